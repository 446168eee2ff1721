//! Before a connection is open: decisions made later, plain HTTP, bad requests, too many connections, and the end of a
//! server.

use core::time::Duration;

use wirefan_protocol::Overdue;
use wirefan_protocol::handshake::Reply;

use super::client::Seen;
use super::net::Conduct;
use super::script::{Call, Script};
use super::world::{Setup, World};
use crate::{Acceptance, CloseCause, Message};

/// Accepts or answers a held request on its worker; returns whether it still waited.
fn decide(world: &mut World<Script>, script: &Script, path: &str, accept: bool) -> bool {
    let id = script.id(path);
    world.with_ctx(id.worker(), |server| {
        if accept {
            server.accept(id, Acceptance::new(path.into()))
        } else {
            server.answer(id, Reply::text(403, "no"))
        }
    })
}

fn status(world: &World<Script>, client: usize) -> String {
    let answer = String::from_utf8_lossy(&world.clients[client].answer).into_owned();
    answer
        .trim_start_matches("HTTP/1.1 ")
        .chars()
        .take(3)
        .collect()
}

#[test]
fn a_request_may_be_accepted_later_and_the_frames_behind_it_are_kept() {
    for drains in [true, false] {
        let script = Script::echo();
        let mut setup = Setup::default();
        setup.conduct.drains = drains;
        let mut world = script.world(setup);
        let client = world.connect(0, "/later");
        world.clients[client].send_raw(&[0x81, 0x81, 0, 0, 0, 0, b'a']);
        world.run(1000);
        // And one that comes while the request waits.
        world.clients[client].send_raw(&[0x81, 0x81, 0, 0, 0, 0, b'b']);
        world.run(1000);
        assert!(script.calls().is_empty() && world.clients[client].seen.is_empty());
        assert!(decide(&mut world, &script, "/later", true));
        assert!(
            !decide(&mut world, &script, "/later", true),
            "it is decided once"
        );
        world.run(100);
        assert_eq!(world.clients[client].texts(), ["a", "b"]);
        let message = |text: &str| Call::Message("/later".into(), text.into());
        let calls = [Call::Open("/later".into()), message("a"), message("b")];
        assert_eq!(script.calls(), calls);
    }
}

#[test]
fn a_request_may_be_answered_later_or_not_at_all() {
    let script = Script::echo();
    let mut world = script.world(Setup::default());
    let (answered, forgotten) = (world.connect(0, "/later1"), world.connect(0, "/later2"));
    world.run(1000);
    assert!(decide(&mut world, &script, "/later1", false));
    world.run(100);
    assert_eq!(status(&world, answered), "403");
    assert_eq!(script.cause("/later1"), CloseCause::Answered(403));
    world.run(9200);
    assert_eq!(status(&world, forgotten), "408");
    assert_eq!(
        script.cause("/later2"),
        CloseCause::Timeout(Overdue::Handshake)
    );
    assert!(
        !decide(&mut world, &script, "/later2", true),
        "that was too late"
    );
    world.run(100);
    world.assert_empty();
}

#[test]
fn two_decisions_in_one_turn_are_one() {
    let script = Script::echo();
    let mut world = script.world(Setup::default());
    let client = world.connect(0, "/later");
    world.run(10);
    let id = script.id("/later");
    let results = world.with_ctx(0, |server| {
        let no = || Reply::text(403, "no");
        (
            server.answer(id, no()),
            server.answer(id, no()),
            server.accept(id, Acceptance::new(String::new())),
        )
    });
    assert_eq!(results, (true, false, false));
    world.run(10);
    assert_eq!(status(&world, client), "403");
    assert_eq!(script.cause("/later"), CloseCause::Answered(403));
}

#[test]
fn a_client_that_goes_while_its_request_is_held_is_told_once() {
    for accept in [true, false] {
        for reset in [true, false] {
            let script = Script::echo();
            let mut world = script.world(Setup::default());
            let client = world.connect(0, "/later");
            world.run(10);
            if reset {
                world.clients[client].reset();
            } else {
                world.clients[client].finish();
            }
            world.run(10);
            assert!(decide(&mut world, &script, "/later", accept));
            world.run(10_000);
            let cause = script.cause("/later");
            let expected = match (accept, reset) {
                (true, false) => matches!(cause, CloseCause::Lost),
                (true, true) => matches!(cause, CloseCause::Reset(_)),
                (false, _) => matches!(cause, CloseCause::Answered(403)),
            };
            assert!(expected, "{accept} {reset}: {cause:?}");
            assert_eq!(status(&world, client) == "403", !accept && !reset);
            world.assert_empty();
        }
    }
}

#[test]
fn a_page_is_written_to_its_end_before_the_connection_closes() {
    for seed in 0..10 {
        let script = Script::echo();
        let conduct = Conduct {
            room: 500,
            delay: 3,
            cut: true,
            drains: seed % 2 == 0,
        };
        let mut world = script.world(Setup {
            seed,
            conduct,
            ..Setup::default()
        });
        let request = b"GET /page50000 HTTP/1.1\r\nHost: x\r\n\r\nand something behind it";
        let client = world.connect_plain(0, request);
        world.run(5000);
        let body = world.clients[client]
            .answer
            .iter()
            .filter(|byte| **byte == b'x')
            .count();
        assert!(body >= 50_000, "{body}");
        assert_eq!(world.clients[client].ending(), (None, true), "not a reset");
        assert_eq!(script.cause("/page50000"), CloseCause::Answered(200));
        world.run(5000);
        world.assert_empty();
    }
}

#[test]
fn what_is_no_request_is_answered_and_a_plain_one_cannot_be_accepted() {
    let script = Script::echo();
    let mut world = script.world(Setup::default());
    let bad = world.connect_plain(0, b"HELLO\r\n\r\n");
    let plain = world.connect_plain(0, b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n");
    world.run(100);
    assert_eq!(
        (&*status(&world, bad), &*status(&world, plain)),
        ("400", "426")
    );
    assert!(matches!(script.cause("#0"), CloseCause::BadRequest(_)));
    assert_eq!(script.cause("/ws"), CloseCause::Answered(426));
    world.assert_empty();
}

#[test]
fn over_the_limit_there_is_a_503_and_room_again_as_soon_as_one_leaves() {
    let script = Script::echo();
    let mut world = script.world(Setup {
        max_connections: 3,
        workers: 2,
        ..Setup::default()
    });
    let names = ["/0", "/1", "/2"];
    let inside: Vec<usize> = (0..3).map(|i| world.connect(i % 2, names[i])).collect();
    world.run(10);
    let turned_away: Vec<usize> = (0..4).map(|i| world.connect(i % 2, "/more")).collect();
    // They linger.
    for client in &turned_away {
        world.clients[*client].mood.leaves = false;
    }
    world.run(100);
    for client in &turned_away {
        assert_eq!(status(&world, *client), "503");
    }
    world.clients[inside[0]].close(1000);
    world.run(100);
    let one = world.connect(1, "/one");
    world.run(100);
    let two = world.connect(0, "/two");
    world.run(100);
    assert!(world.clients[one].is_open());
    assert_eq!(status(&world, two), "503");
    world.run(10_000);
    let told = script
        .calls()
        .into_iter()
        .filter(|call| matches!(call, Call::Closed(_, false, CloseCause::TooManyConnections)));
    assert_eq!(told.count(), 5);
    world.shut_down(1000);
    world.run(1000);
    world.assert_empty();
}

#[test]
fn a_shutdown_tells_everybody_behind_what_was_sent_and_ends() {
    let script = Script::new()
        .open(|conn| conn.subscribe("room"))
        .message(|conn, message| {
            let _ = conn.send_binary(&[0; 100_000]);
            conn.publish_all("room", message);
        });
    for workers in [1, 3] {
        let mut world = script.world(Setup {
            workers,
            ..Setup::default()
        });
        let names = ["/0", "/1", "/2", "/3"];
        let clients: Vec<usize> = (0..4)
            .map(|i| world.connect(i % usize::from(workers), names[i]))
            .collect();
        let late = world.connect(0, "/later");
        let half = world.connect_plain(0, b"GET /x HTTP/1.1\r\n");
        let never = world.connect_plain(0, b"");
        world.run(10);
        for client in &clients {
            (
                world.clients[*client].mood.gulp,
                world.clients[*client].mood.pace,
            ) = (10_000, 1);
        }
        world.clients[clients[0]].send_text("last words");
        world.settle();
        world.shut_down(4000);
        world.run(100);
        world.clients[half].send_raw(b"Host: x\r\n\r\n");
        world.run(1000);
        for (client, name) in clients.iter().zip(names) {
            assert_eq!(world.clients[*client].texts(), ["last words"]);
            assert_eq!(world.clients[*client].ending(), (Some(1001), true));
            assert_eq!(script.cause(name), CloseCause::Shutdown);
        }
        assert_eq!(
            world.clients[clients[0]].count(|seen| matches!(seen, Seen::Binary(_))),
            1
        );
        assert_eq!(
            (&*status(&world, late), &*status(&world, half)),
            ("503", "503")
        );
        assert_eq!(script.cause("/later"), CloseCause::Answered(503));
        assert_eq!(script.cause(&format!("#{half}")), CloseCause::Answered(503));
        assert_eq!(script.cause(&format!("#{never}")), CloseCause::Shutdown);
        assert!(
            world.benches.iter().all(|bench| bench.done),
            "all is over long before the grace"
        );
        world.assert_empty();
        script.seen.borrow_mut().calls.clear();
    }
}

#[test]
fn a_shutdown_does_not_wait_longer_than_its_grace() {
    let script = Script::echo();
    let mut world = script.world(Setup::default());
    let clients: Vec<usize> = (0..3).map(|_| world.connect(0, "/mute")).collect();
    world.run(10);
    for client in clients {
        world.clients[client].mood.answers = false;
    }
    world.shut_down(3000);
    world.run(2900);
    assert!(!world.benches[0].done);
    world.run(200);
    assert!(world.benches[0].done);
    world.assert_empty();
    let causes: Vec<Call> = script.calls().into_iter().skip(3).collect();
    assert_eq!(
        causes,
        vec![Call::Closed("/mute".into(), true, CloseCause::Shutdown); 3]
    );
}

#[test]
fn a_second_shutdown_may_be_more_impatient() {
    let script = Script::echo();
    let mut world = script.world(Setup::default());
    let client = world.connect(0, "/mute");
    world.run(10);
    world.clients[client].mood.answers = false;
    world.shut_down(100_000);
    world.run(100);
    world.shut_down(0);
    world.run(50);
    assert!(world.benches[0].done);
    world.assert_empty();
}

#[test]
fn what_is_accepted_in_the_turn_of_the_shutdown_does_not_outlive_it() {
    let script = Script::echo();
    let mut world = script.world(Setup::default());
    let client = world.connect(0, "/later");
    world.run(10);
    let id = script.id("/later");
    let accept = move |server: &mut crate::Ctx<'_, String>| {
        server.accept(id, Acceptance::new("/later".into()));
    };
    world.remote.note(0, Box::new(accept)).unwrap();
    world.shut_down(100_000);
    world.run(1000);
    assert_eq!(status(&world, client), "503");
    assert!(world.benches[0].done);
}

#[test]
fn one_that_comes_during_a_shutdown_is_answered() {
    let script = Script::echo();
    let mut world = script.world(Setup::default());
    let mute = world.connect(0, "/mute");
    world.run(10);
    world.clients[mute].mood.answers = false;
    world.shut_down(3000);
    world.run(10);
    let client = world.connect(0, "/late");
    world.run(100);
    assert_eq!(status(&world, client), "503");
    assert_eq!(
        script.cause(&format!("#{client}")),
        CloseCause::Answered(503)
    );
}

#[test]
fn timers_and_messages_do_not_come_in_a_shutdown() {
    let script = Script::new().open(|conn| {
        conn.set_timer(Duration::from_millis(500));
        let _ = conn.send(Message::Text("welcome"));
    });
    let mut world = script.world(Setup::default());
    let client = world.connect(0, "/one");
    world.run(10);
    world.clients[client].mood.answers = false;
    world.shut_down(2000);
    world.clients[client].send_text("too late");
    world.run(3000);
    let calls = [
        Call::Open("/one".into()),
        Call::Closed("/one".into(), true, CloseCause::Shutdown),
    ];
    assert_eq!(script.calls(), calls);
}
