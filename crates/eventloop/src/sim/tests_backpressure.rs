//! Slow readers: the marks, what is promised at each, and what a peer that never reads can make us hold.

use core::cell::{Cell, RefCell};
use std::rc::Rc;

use wirefan_protocol::CloseCode;

use super::client::Seen;
use super::net::Conduct;
use super::script::{Call, Script};
use super::world::{Setup, World};
use crate::{AtLimit, Backpressure, CloseCause, Conn, Message, Sent};

const ROOM: usize = 1000;

/// Small marks, and a network that holds little.
fn small(at_limit: AtLimit) -> Setup {
    Setup {
        marks: Backpressure {
            low: 2000,
            high: 5000,
            limit: 20_000,
            at_limit,
        },
        conduct: Conduct {
            room: ROOM,
            ..Conduct::PLAIN
        },
        ..Setup::default()
    }
}

/// Sends numbered messages of a kilobyte; returns what became of each.
fn flood(conn: &mut Conn<'_, String>, count: usize) -> Vec<Sent> {
    let send = |i| conn.send_text(&format!("{i:0>1000}"));
    (0..count).map(send).collect()
}

/// `/reader` does not read and is sent so many kilobytes, 64 in a call; returns the results and the reader's number.
fn flooded(setup: Setup, count: usize) -> (Script, World<Script>, usize, Rc<RefCell<Vec<Sent>>>) {
    let results = Rc::new(RefCell::new(Vec::new()));
    let sent = Rc::clone(&results);
    let script = Script::new().message(move |conn, _| {
        sent.borrow_mut().extend(flood(conn, count));
    });
    let mut world = script.world(setup);
    let reader = world.connect(0, "/reader");
    world.run(10);
    world.clients[reader].mood.reads = false;
    world.clients[reader].send_text("go");
    world.run(10);
    (script, world, reader, results)
}

fn numbers(texts: &[&str]) -> Vec<usize> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn sending_says_full_from_the_high_mark_on_and_drained_comes_once_at_the_low_one() {
    let (script, mut world, reader, _) = flooded(small(AtLimit::Drop), 0);
    let drained = Call::Drained("/reader".into());
    let id = script.id("/reader");
    let results = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..8 {
        let sent = world.with_ctx(0, |server| server.send(id, Message::Binary(&[0; 1000])));
        results.borrow_mut().push(sent);
        world.run(1);
    }
    let sent = results.borrow();
    let full = sent.iter().position(|sent| *sent == Sent::Full).unwrap();
    assert!((5..7).contains(&full), "{sent:?}");
    assert!(sent[full..].iter().all(|sent| *sent == Sent::Full));
    world.run(1000);
    assert_eq!(script.count(&drained), 0);
    world.clients[reader].mood.gulp = 500;
    world.clients[reader].mood.pace = 10;
    world.clients[reader].mood.reads = true;
    while world.benches[0].backlogs()[0] > 2000 {
        assert_eq!(script.count(&drained), 0);
        world.run(1);
    }
    assert_eq!(script.count(&drained), 1);
    world.run(10_000);
    assert_eq!(script.count(&drained), 1, "it is called once");
    let all = world.clients[reader].count(|seen| matches!(seen, Seen::Binary(_)));
    assert_eq!(all, 8);
}

#[test]
fn below_the_high_mark_nobody_is_told_of_drained() {
    let (script, mut world, reader, sent) = flooded(small(AtLimit::Drop), 4);
    assert_eq!(*sent.borrow(), [Sent::Queued; 4]);
    world.clients[reader].mood.reads = true;
    world.run(1000);
    assert_eq!(world.clients[reader].texts().len(), 4);
    assert_eq!(script.count(&Call::Drained("/reader".into())), 0);
}

#[test]
fn at_the_limit_the_begun_frame_is_finished_and_the_code_sent() {
    for code in [CloseCode::TRY_AGAIN_LATER, CloseCode::POLICY] {
        let (script, mut world, reader, sent) = flooded(small(AtLimit::Close(code)), 100);
        let taken = sent
            .borrow()
            .iter()
            .filter(|sent| **sent != Sent::Dropped)
            .count();
        assert!((20..90).contains(&taken), "{taken}");
        world.clients[reader].mood.reads = true;
        world.run(1000);
        let got = numbers(&world.clients[reader].texts());
        // What had reached the network, and the frame that had been begun.
        assert_eq!(got, (0..got.len()).collect::<Vec<_>>());
        assert!(
            got.len() < taken && got.len() * 1000 >= ROOM,
            "{} of {taken}",
            got.len()
        );
        assert_eq!(world.clients[reader].ending(), (Some(code.0), true));
        assert_eq!(script.cause("/reader"), CloseCause::SlowReader);
        world.assert_empty();
    }
}

#[test]
fn a_peer_over_the_limit_that_never_reads_is_cut_in_time() {
    let at_limit = AtLimit::Close(CloseCode::TRY_AGAIN_LATER);
    let (script, mut world, _, _) = flooded(small(at_limit), 100);
    assert!(
        world.benches[0].backlogs()[0] < 2000,
        "nothing is kept but a frame and a Close"
    );
    world.run(4900);
    assert_eq!(world.benches[0].backlogs().len(), 1);
    world.run(300);
    assert_eq!(script.cause("/reader"), CloseCause::SlowReader);
    world.assert_empty();
}

#[test]
fn at_the_limit_whole_messages_are_dropped_and_later_ones_come_again() {
    let (script, mut world, reader, sent) = flooded(small(AtLimit::Drop), 200);
    let kept: Vec<usize> = (0..200)
        .filter(|i| sent.borrow()[*i] != Sent::Dropped)
        .collect();
    assert!((15..150).contains(&kept.len()), "{}", kept.len());
    world.clients[reader].mood.reads = true;
    world.run(1000);
    assert_eq!(numbers(&world.clients[reader].texts()), kept);
    assert_eq!(script.count(&Call::Drained("/reader".into())), 1);
    world.clients[reader].seen.clear();
    world.clients[reader].send_text("go");
    world.run(1000);
    assert!(!world.clients[reader].texts().is_empty());
}

#[test]
fn a_large_frame_that_is_begun_is_finished_too() {
    let at_limit = AtLimit::Close(CloseCode::POLICY);
    let script = Script::new().message(|conn, _| {
        let _ = conn.send_binary(&[7; 300_000]);
        let _ = conn.send_text("this is too much");
    });
    let mut world = script.world(small(at_limit));
    let reader = world.connect(0, "/reader");
    world.run(10);
    world.clients[reader].mood.reads = false;
    world.clients[reader].send_text("go");
    world.run(10);
    world.clients[reader].mood.reads = true;
    world.run(1000);
    let seen = [
        Seen::Open,
        Seen::Binary(vec![7; 300_000]),
        Seen::Close(Some(1008)),
        Seen::End,
    ];
    assert!(world.clients[reader].seen == seen);
}

/// What is sent to others in one call is offered to their sockets before it gets much.
#[test]
fn what_one_call_sends_to_others_is_bounded() {
    let (script, mut world, reader, _) = flooded(small(AtLimit::Drop), 0);
    let id = script.id("/reader");
    let sent = world.with_ctx(0, |server| {
        let send = |_| server.send(id, Message::Binary(&[0; 1000]));
        (0..1000).map(send).collect::<Vec<_>>()
    });
    let kept = sent.iter().filter(|sent| **sent != Sent::Dropped).count();
    assert!(kept < 100 && sent.contains(&Sent::Full), "{kept} kilobytes");
    world.clients[reader].mood.reads = true;
    world.run(1000);
    let got = world.clients[reader].count(|seen| matches!(seen, Seen::Binary(_)));
    assert_eq!(got, kept);
}

/// The frames that wait in front are discarded, and with them all that would come behind the gap.
#[test]
fn at_the_limit_nothing_is_sent_behind_a_gap() {
    let script = Script::new()
        .message(|conn, _| {
            let _ = conn.send_text(&"x".repeat(10_000));
            conn.set_timer(core::time::Duration::from_millis(100));
        })
        .timer(|conn| {
            let sent = flood(conn, 30);
            assert!(
                matches!(sent[..], [Sent::Full, .., Sent::Dropped]),
                "{sent:?}"
            );
        });
    let mut world = script.world(small(AtLimit::Close(CloseCode::POLICY)));
    let reader = world.connect(0, "/reader");
    world.run(10);
    world.clients[reader].mood.reads = false;
    world.clients[reader].send_text("go");
    world.run(200);
    world.clients[reader].mood.reads = true;
    world.run(100);
    assert_eq!(world.clients[reader].texts(), ["x".repeat(10_000)]);
    assert_eq!(world.clients[reader].ending(), (Some(1008), true));
}

#[test]
fn a_drop_is_followed_by_drained_even_if_the_limit_is_the_lowest_mark() {
    let mut setup = small(AtLimit::Drop);
    setup.marks.high = 1_000_000;
    let (script, mut world, reader, sent) = flooded(setup, 100);
    assert!(sent.borrow().contains(&Sent::Dropped) && !sent.borrow().contains(&Sent::Full));
    world.clients[reader].mood.reads = true;
    world.run(1000);
    assert_eq!(script.count(&Call::Drained("/reader".into())), 1);
}

/// Room may come without being told, and what waits for it may go out with something else.
#[test]
fn a_choked_peer_is_read_again_however_its_backlog_went_down() {
    let mut setup = small(AtLimit::Drop);
    (setup.marks.low, setup.marks.high) = (3900, 3901);
    let (script, mut world, reader, _) = flooded(setup, 5);
    world.clients[reader].send_text("more");
    world.run(100);
    assert_eq!(script.messages("/reader"), ["go"]);
    // So little that epoll says nothing.
    world.clients[reader].mood.gulp = 330;
    world.clients[reader].mood.pace = 1_000_000;
    world.clients[reader].mood.reads = true;
    world.run(100);
    assert_eq!(script.messages("/reader"), ["go"]);
    let id = script.id("/reader");
    let _ = world.with_ctx(0, |server| server.send(id, Message::Text("!")));
    world.run(100);
    assert_eq!(script.messages("/reader"), ["go", "more"]);
}

/// Ten members of a topic, the last of which does not read, and a publisher who is a member or not.
fn room(at_limit: AtLimit, rounds: usize) -> (Script, World<Script>) {
    let script = Script::new()
        .open(|conn| {
            conn.subscribe("room");
            if conn.peer() == "/several" {
                conn.subscribe("other");
            }
        })
        .message(|conn, message| conn.publish("room", message));
    let mut world = script.world(small(at_limit));
    for name in ["/reader", "/several", "/slow", "/publisher"] {
        world.connect(0, name);
    }
    world.run(10);
    world.clients[2].mood.reads = false;
    for i in 0..rounds {
        world.clients[3].send_text(&format!("{i:0>1000}"));
        world.run(10);
    }
    (script, world)
}

#[test]
fn a_slow_member_of_a_topic_is_closed_and_the_others_get_everything() {
    let (script, mut world) = room(AtLimit::Close(CloseCode::POLICY), 60);
    world.run(1000);
    for reader in 0..2 {
        assert_eq!(
            numbers(&world.clients[reader].texts()),
            (0..60).collect::<Vec<_>>()
        );
    }
    world.clients[2].mood.reads = true;
    world.run(1000);
    let got = numbers(&world.clients[2].texts());
    assert_eq!(got, (0..got.len()).collect::<Vec<_>>());
    assert_eq!(world.clients[2].ending(), (Some(1008), true));
    assert_eq!(script.cause("/slow"), CloseCause::SlowReader);
    assert_eq!(world.with_ctx(0, |server| server.members("room")), 3);
}

#[test]
fn a_slow_member_of_a_topic_misses_whole_messages() {
    let (script, mut world) = room(AtLimit::Drop, 60);
    world.clients[2].mood.reads = true;
    world.run(1000);
    let got = numbers(&world.clients[2].texts());
    assert!((15..40).contains(&got.len()), "{got:?}");
    assert!(got.is_sorted());
    assert_eq!(script.count(&Call::Drained("/slow".into())), 1);
    world.clients[3].send_text("60");
    world.run(1000);
    assert_eq!(world.clients[2].texts().last(), Some(&"60"));
}

/// Whatever mixture of sending and publishing: a connection holds at most the limit and one message.
#[test]
fn the_backlog_stays_below_the_limit_and_one_message() {
    for at_limit in [AtLimit::Drop, AtLimit::Close(CloseCode::POLICY)] {
        let most = Rc::new(Cell::new(0));
        let seen = Rc::clone(&most);
        let script = Script::new()
            .open(|conn| {
                conn.subscribe("room");
                conn.subscribe("other");
            })
            .message(move |conn, _| {
                let id = conn.id();
                for i in 0..3000 {
                    conn.publish_all(["room", "other"][i % 2], Message::Binary(&[1; 500]));
                    if i % 7 == 0 {
                        let _ = conn.server().send(id, Message::Binary(&[2; 300]));
                    }
                    if i % 100 == 0 {
                        conn.unsubscribe("other");
                        conn.subscribe("other");
                    }
                    seen.set(seen.get().max(conn.backlog()));
                }
            });
        let mut setup = small(at_limit);
        setup.marks.limit = 200_000;
        let mut world = script.world(setup);
        let other = world.connect(0, "/other");
        let reader = world.connect(0, "/reader");
        world.run(10);
        world.clients[reader].mood.reads = false;
        world.clients[other].mood.reads = false;
        world.clients[reader].send_text("go");
        world.run(10);
        let held = world.benches[0].backlogs().into_iter().max().unwrap_or(0);
        let bound = 200_000 + 600 + 64;
        assert!(
            most.get().max(held) <= bound,
            "{} and {held}, {at_limit:?}",
            most.get()
        );
    }
}

/// Only what the socket refused counts: a busy turn is nobody's fault.
#[test]
fn a_healthy_reader_loses_nothing_in_a_busy_turn() {
    let script = Script::new()
        .open(|conn| {
            conn.subscribe("room");
            if conn.peer() == "/several" {
                conn.subscribe("other");
            }
        })
        .message(|conn, _| {
            for i in 0..100 {
                conn.publish("room", Message::Text(&format!("{i:0>1000}")));
            }
            for i in 100..200 {
                conn.publish_all("room", Message::Text(&format!("{i:0>1000}")));
            }
        });
    let mut setup = small(AtLimit::Close(CloseCode::POLICY));
    setup.conduct.room = 10_000_000;
    let mut world = script.world(setup);
    let clients: Vec<_> = ["/reader", "/several", "/speaker"]
        .map(|name| world.connect(0, name))
        .into();
    world.run(10);
    world.clients[clients[2]].send_text("go");
    world.run(1000);
    for (client, first) in clients.iter().zip([0, 0, 100]) {
        let texts = world.clients[*client].texts();
        assert_eq!(
            numbers(&texts),
            (first..200).collect::<Vec<_>>(),
            "{client}"
        );
    }
    // The same by direct sending from outside.
    let id = script.id("/reader");
    let sent: Vec<Sent> = world.with_ctx(0, |server| {
        (0..500)
            .map(|_| server.send(id, Message::Binary(&[0; 1000])))
            .collect()
    });
    assert_eq!(sent, [Sent::Queued; 500]);
}

#[test]
fn pings_of_a_peer_that_never_reads_stay_bounded() {
    let mut setup = small(AtLimit::Drop);
    setup.read_buffer = 4096;
    let mut world = Script::new().world(setup);
    let flooder = world.connect(0, "/flooder");
    world.run(10);
    world.clients[flooder].mood.reads = false;
    for _ in 0..100 {
        for _ in 0..1000 {
            world.clients[flooder].send_ping(&[7; 125]);
        }
        world.run(1);
        let held = world.benches[0].backlogs()[0];
        assert!(held <= 5000 + 4096 + 500, "{held} bytes of pongs");
    }
    assert!(
        !world.clients[flooder].has_sent(),
        "it is not read from any more"
    );
}

#[test]
fn a_choked_peer_is_not_read_until_it_has_read() {
    let (script, mut world, reader, _) = flooded(small(AtLimit::Drop), 10);
    world.clients[reader].send_text("more");
    world.run(1000);
    assert_eq!(script.messages("/reader"), ["go"]);
    world.clients[reader].mood.reads = true;
    world.run(1000);
    assert_eq!(script.messages("/reader"), ["go", "more"]);
    assert_eq!(world.clients[reader].texts().len(), 20);
}

#[test]
fn a_paused_connection_is_not_read_and_goes_on_where_it_was() {
    let script = Script::new()
        .message(|conn, message| {
            if message == Message::Text("pause") {
                conn.pause_reading();
                conn.set_timer(core::time::Duration::from_secs(2));
            }
        })
        .timer(|conn| conn.resume_reading());
    for drains in [true, false] {
        let mut setup = Setup::default();
        setup.conduct.drains = drains;
        let mut world = script.world(setup);
        let client = world.connect(0, "/one");
        world.run(10);
        world.clients[client].send_text("pause");
        world.run(10);
        world.clients[client].send_text("after");
        world.clients[client].send_text("that");
        world.run(1900);
        assert_eq!(script.messages("/one"), ["pause"]);
        world.run(200);
        assert_eq!(script.messages("/one"), ["pause", "after", "that"]);
        script.seen.borrow_mut().calls.clear();
    }
}
