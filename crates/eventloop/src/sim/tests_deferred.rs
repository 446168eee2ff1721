//! Writes that are put off: some, not too many, not too much, and in order with all else that is written.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::client::Seen;
use super::net::Line;
use super::script::{Call, Script};
use super::world::{Setup, World};
use crate::{CloseCause, Message};

/// What the clients have said comes in one turn.
fn turn(world: &mut World<Script>, clients: &[usize]) {
    let now = world.now();
    for client in clients {
        world.clients[*client].step(now);
        world.clients[*client].line.arrive();
    }
    world.turn(0);
}

/// Has 100 clients say something at once, each to be answered with `len` bytes; returns the most answers, and the most
/// bytes, that were ready and not written.
fn put_off(len: usize) -> (usize, usize) {
    let lines: Rc<RefCell<Vec<Line>>> = Rc::default();
    let (most, watched) = (Rc::new(Cell::new((0, 0))), Rc::clone(&lines));
    let (seen, answered) = (Rc::clone(&most), Cell::new(0));
    let script = Script::new().message(move |conn, _| {
        let _ = conn.send_binary(&vec![7; len]);
        answered.set(answered.get() + 1);
        let lines = watched.borrow();
        let written = lines.iter().filter(|line| line.unread() > 0).count();
        let waiting = answered.get() - written;
        seen.set(seen.get().max((waiting, waiting * len)));
    });
    let mut world = script.world(Setup::default());
    let clients: Vec<usize> = (0..100)
        .map(|n| world.connect(0, &format!("/{n}")))
        .collect();
    world.run(50);
    for client in &clients {
        lines.borrow_mut().push(world.clients[*client].line.clone());
        world.clients[*client].send_text("all at once");
    }
    turn(&mut world, &clients);
    assert!(lines.borrow().iter().all(|line| line.unread() > 0));
    world.run(50);
    for client in clients {
        assert_eq!(
            world.clients[client].count(|seen| matches!(seen, Seen::Binary(_))),
            1
        );
    }
    most.get()
}

#[test]
fn writes_are_put_off_up_to_a_number_and_a_size() {
    assert_eq!(put_off(10).0, 16);
    let (answers, bytes) = put_off(5000);
    assert!(answers > 1 && bytes <= 8 * 1024 + 5000, "{answers} {bytes}");
    assert_eq!(put_off(20_000).0, 0, "it leaves from where it lies");
}

#[test]
fn what_others_send_in_the_same_turn_comes_behind_it() {
    for seed in 0..30 {
        let script = Script::new();
        let book = Rc::clone(&script.seen);
        let script = script.message(move |conn, message| {
            let _ = conn.send(message);
            let (id, from) = (book.borrow().ids["/a"], conn.peer().clone());
            let mut server = conn.server();
            match &*from {
                "/direct" => drop(server.send(id, Message::Text("direct"))),
                "/close" => server.close(id, wirefan_protocol::CloseCode(4000), ""),
                _ => {}
            }
        });
        let mut world = script.world(Setup {
            seed,
            ..Setup::default()
        });
        let names = ["/a", "/direct", "/close"];
        let clients = names.map(|name| world.connect(0, name));
        world.run(50);
        for client in clients {
            world.clients[client].send_text("echo");
        }
        turn(&mut world, &clients);
        let calls = script.calls();
        world.run(100);
        let expected: Vec<&str> = calls
            .iter()
            .filter_map(|call| match call {
                Call::Message(from, _) => Some(&**from),
                _ => None,
            })
            .take_while(|from| *from != "/close")
            .filter_map(|from| match from {
                "/a" => Some("echo"),
                "/direct" => Some("direct"),
                _ => None,
            })
            .collect();
        assert_eq!(world.clients[clients[0]].texts(), expected, "seed {seed}");
        assert_eq!(world.clients[clients[0]].ending(), (Some(4000), true));
        for client in &clients[1..] {
            assert_eq!(world.clients[*client].texts(), ["echo"]);
        }
    }
}

#[test]
fn the_end_comes_behind_what_was_put_off_twice() {
    // The first read is answered, and the second of the same turn brings the Close.
    let script = Script::echo();
    let mut world = script.world(Setup {
        read_buffer: 64,
        ..Setup::default()
    });
    let client = world.connect(0, "/");
    world.run(50);
    for _ in 0..20 {
        world.clients[client].send_text("more than one read holds");
    }
    world.clients[client].close(1000);
    world.run(100);
    assert_eq!(world.clients[client].texts().len(), 20);
    assert_eq!(world.clients[client].ending(), (Some(1000), true));
    assert!(matches!(script.cause("/"), CloseCause::PeerClosed { .. }));
}

#[test]
fn an_end_behind_a_large_message_and_many_small_ones_is_behind_their_answers() {
    for (bad, code) in [(true, 1002), (false, 1000)] {
        let mut setup = Setup::default();
        setup.conduct.room = 1024 * 1024;
        let mut world = Script::echo().world(setup);
        let client = world.connect(0, "/");
        world.run(50);
        world.clients[client].send_binary(&[7; 200_000]);
        for _ in 0..1500 {
            world.clients[client].send_text("small, and many of it");
        }
        if bad {
            world.clients[client].send_raw(&[0xff; 10]);
        } else {
            let now = world.now();
            world.clients[client].close(1000);
            world.clients[client].step(now);
            world.clients[client].finish();
        }
        world.run(1000);
        assert_eq!(world.clients[client].texts().len(), 1500);
        assert_eq!(world.clients[client].ending(), (Some(code), true));
    }
}

#[test]
fn a_handler_that_panics_takes_no_answer_along_that_was_given_before() {
    let mut taken = 0;
    for seed in 0..10 {
        let script = Script::new().message(|conn, message| match &**conn.peer() {
            "/panics" => panic!("as it is told to"),
            _ => drop(conn.send(message)),
        });
        let mut world = script.world(Setup {
            seed,
            ..Setup::default()
        });
        let clients = ["/a", "/panics"].map(|name| world.connect(0, name));
        world.run(50);
        for client in clients {
            world.clients[client].send_text("one of us will not survive");
        }
        let line = world.clients[clients[0]].line.clone();
        let turned = catch_unwind(AssertUnwindSafe(|| turn(&mut world, &clients)));
        assert!(turned.is_err());
        drop(world);
        let answered = script.messages("/a").len();
        assert_eq!(line.unread() > 0, answered == 1, "seed {seed}");
        taken += answered;
    }
    assert!((1..10).contains(&taken), "both orders: {taken}");
}
