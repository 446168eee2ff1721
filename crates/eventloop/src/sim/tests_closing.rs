//! Ends of connections: each told once, with the right cause, the Close not lost, and nothing behind it.

use core::time::Duration;

use wirefan_protocol::{CloseCode, Error};

use super::client::Seen;
use super::script::{Call, Script};
use super::world::Setup;
use crate::{CloseCause, Conn, Message};

fn we_closed(code: u16) -> CloseCause {
    CloseCause::WeClosed {
        code: CloseCode(code),
    }
}

fn close(conn: &mut Conn<'_, String>, code: u16) {
    conn.close(CloseCode(code), "enough").unwrap();
}

#[test]
fn a_handler_may_close_from_every_call() {
    let script = Script::new()
        .open(|conn| match &**conn.peer() {
            "/open" => close(conn, 4000),
            "/timer" => conn.set_timer(Duration::from_millis(100)),
            _ => {}
        })
        .message(|conn, message| match message {
            Message::Text("close") => close(conn, 4001),
            Message::Text("flood") => {
                let _ = conn.send_binary(&[0; 400_000]);
            }
            _ => {}
        })
        .drained(|conn| close(conn, 4002))
        .timer(|conn| close(conn, 4003));
    let mut world = script.world(Setup::default());
    let names = ["/open", "/message", "/drained", "/timer", "/note"];
    let clients = names.map(|name| world.connect(0, name));
    world.run(50);
    world.clients[clients[1]].send_text("close");
    world.clients[clients[2]].mood.reads = false;
    world.clients[clients[2]].send_text("flood");
    world.run(50);
    world.clients[clients[2]].mood.reads = true;
    let id = script.id("/note");
    world
        .remote
        .note(
            0,
            Box::new(move |server| server.close(id, CloseCode(4004), "")),
        )
        .unwrap();
    world.run(200);
    for (index, (client, name)) in clients.into_iter().zip(names).enumerate() {
        let code = 4000 + index as u16;
        assert_eq!(world.clients[client].ending(), (Some(code), true), "{name}");
        assert_eq!(script.cause(name), we_closed(code));
    }
    world.assert_empty();
}

#[test]
fn a_handler_may_close_others_when_one_has_ended() {
    let script = Script::new();
    let names = ["/0", "/1", "/2", "/3"];
    let ids = std::rc::Rc::clone(&script.seen);
    let script = script.closed(move |path, server| {
        let next: usize = path[1..].parse().unwrap();
        let next = ids.borrow().ids.get(&format!("/{}", next + 1)).copied();
        if let Some(next) = next {
            server.close(next, CloseCode(4000), "");
        }
    });
    let mut world = script.world(Setup {
        workers: 2,
        ..Setup::default()
    });
    let clients: Vec<usize> = (0..4).map(|i| world.connect(i % 2, names[i])).collect();
    world.run(50);
    world.clients[clients[0]].reset();
    world.run(50);
    for index in 1..4 {
        assert_eq!(world.clients[clients[index]].ending(), (Some(4000), true));
        assert_eq!(script.cause(names[index]), we_closed(4000));
    }
    world.assert_empty();
}

#[test]
fn what_was_sent_and_published_before_a_close_arrives_and_nothing_behind() {
    let script = Script::new()
        .open(|conn| {
            conn.subscribe("room");
            conn.subscribe("other");
        })
        .message(|conn, _| {
            let _ = conn.send_text("1");
            conn.publish_all("room", Message::Text("2"));
            conn.publish_all("other", Message::Text("3"));
            let _ = conn.send_text("4");
            conn.publish_all("room", Message::Text("5"));
            close(conn, 4000);
            let _ = conn.send_text("6");
            conn.publish_all("room", Message::Text("7"));
            assert!(conn.close(CloseCode(4001), "").is_err());
        });
    let mut world = script.world(Setup::default());
    let (one, other) = (world.connect(0, "/one"), world.connect(0, "/other"));
    world.run(10);
    world.clients[one].send_text("go");
    world.clients[one].send_text("not for the handler any more");
    world.run(10);
    assert_eq!(world.clients[one].texts(), ["1", "2", "3", "4", "5"]);
    assert_eq!(world.clients[one].ending(), (Some(4000), true));
    assert_eq!(world.clients[other].texts(), ["2", "3", "5", "7"]);
    assert_eq!(script.messages("/one"), ["go"]);
}

/// Whatever keeps a connection from being read, the peer's answer to our Close is.
#[test]
fn a_close_of_a_connection_that_is_not_read_is_answered_at_once() {
    let script = Script::new().message(|conn, message| {
        conn.pause_reading();
        if message == Message::Text("flood") {
            let _ = conn.send_binary(&[0; 400_000]);
        }
        conn.set_timer(Duration::from_millis(100));
    });
    let script = script.timer(|conn| close(conn, 4000));
    for order in ["pause", "flood", "both"] {
        let mut world = script.world(Setup::default());
        let client = world.connect(0, "/one");
        world.run(10);
        world.clients[client].send_text(order);
        world.run(10);
        world.clients[client].send_text("unread");
        if order == "both" {
            // Its Close lies there unread when ours goes out.
            world.clients[client].close(1000);
        }
        world.run(200);
        assert_eq!(
            world.clients[client].ending(),
            (Some(4000), true),
            "{order}"
        );
        assert_eq!(script.cause("/one"), we_closed(4000));
        assert_eq!(script.messages("/one"), [order]);
        world.assert_empty();
        script.seen.borrow_mut().calls.clear();
    }
}

#[test]
fn a_close_is_not_lost_to_a_reset_though_the_peer_goes_on_sending() {
    for conduct in 0..4 {
        let mut setup = Setup {
            seed: conduct,
            read_buffer: 1000,
            ..Setup::default()
        };
        setup.conduct.drains = conduct % 2 == 0;
        setup.conduct.cut = conduct > 1;
        setup.conduct.delay = 5;
        let script = Script::new();
        let mut world = script.world(setup);
        let client = world.connect(0, "/one");
        world.run(20);
        world.clients[client].send_raw(&[0xff; 40_000]);
        world.run(1000);
        assert_eq!(world.clients[client].ending(), (Some(1002), true));
        assert!(matches!(script.cause("/one"), CloseCause::Protocol(_)));
        world.assert_empty();
    }
}

#[test]
fn a_message_that_is_too_long_is_refused_with_1009() {
    let script = Script::new();
    let mut world = script.world(Setup {
        max_message: 1000,
        ..Setup::default()
    });
    let client = world.connect(0, "/one");
    world.run(10);
    world.clients[client].send_binary(&[0; 1000]);
    world.clients[client].send_binary(&[0; 1001]);
    world.run(1000);
    assert_eq!(world.clients[client].ending(), (Some(1009), true));
    assert_eq!(script.messages("/one").len(), 1);
    assert_eq!(
        script.cause("/one"),
        CloseCause::Protocol(Error::MessageTooLong)
    );
}

#[test]
fn a_peer_that_closes_gets_its_code_back_behind_what_was_sent() {
    let script = Script::echo();
    let mut world = script.world(Setup::default());
    let client = world.connect(0, "/one");
    world.run(10);
    world.clients[client].mood.gulp = 100;
    world.clients[client].mood.pace = 1;
    world.clients[client].send_text(&"x".repeat(100_000));
    world.clients[client].close(4321);
    // RFC 6455 §7.1.1: the server ends the transport first, without waiting for the client to do so.
    world.clients[client].mood.leaves = false;
    world.run(4000);
    assert_eq!(world.clients[client].texts().len(), 1);
    assert_eq!(world.clients[client].ending(), (Some(4321), true));
    let cause = CloseCause::PeerClosed {
        code: Some(CloseCode(4321)),
        reason: "".into(),
    };
    assert_eq!(script.cause("/one"), cause);
    world.assert_empty();
}

#[test]
fn what_comes_behind_a_close_is_ignored() {
    let script = Script::new();
    let mut world = script.world(Setup::default());
    let client = world.connect(0, "/one");
    world.run(10);
    world.clients[client].mood.answers = false;
    world.clients[client].send_raw(&[0x88, 0x80, 0, 0, 0, 0]);
    world.clients[client].send_raw(&[0x81, 0x81, 0, 0, 0, 0, b'x']);
    world.run(10);
    assert_eq!(world.clients[client].ending(), (Some(1005), true));
    assert!(script.messages("/one").is_empty());
    let cause = CloseCause::PeerClosed {
        code: None,
        reason: "".into(),
    };
    assert_eq!(script.cause("/one"), cause);
}

#[test]
fn a_reset_in_the_middle_of_a_frame_is_a_reset() {
    let script = Script::new();
    for seed in 0..20 {
        let mut world = script.world(Setup {
            seed,
            ..Setup::default()
        });
        let client = world.connect(0, "/one");
        world.run(10);
        world.clients[client].send_raw(&[0x81, 0xfe, 0x10, 0, 1, 2, 3, 4, 5, 6, 7]);
        world.run(10);
        world.clients[client].reset();
        world.run(10);
        assert!(
            matches!(script.cause("/one"), CloseCause::Reset(_)),
            "{:?}",
            script.cause("/one")
        );
        assert!(script.messages("/one").is_empty());
        world.assert_empty();
        script.seen.borrow_mut().calls.clear();
    }
}

#[test]
fn an_end_without_a_close_is_a_loss_also_in_the_middle_of_a_frame() {
    let script = Script::new();
    let frame = [0x81, 0x81, 0, 0, 0, 0, b'x'];
    for (bytes, wait) in [
        (&[][..], 10),
        (&frame, 0),
        (&frame[..5], 10),
        (&frame[..5], 0),
    ] {
        let mut world = script.world(Setup::default());
        let client = world.connect(0, "/one");
        world.run(10);
        world.clients[client].send_raw(bytes);
        let now = world.now();
        world.clients[client].step(now);
        if wait > 0 {
            world.run(wait);
        }
        world.clients[client].finish();
        world.run(10);
        assert_eq!(script.cause("/one"), CloseCause::Lost);
        world.assert_empty();
        script.seen.borrow_mut().calls.clear();
    }
}

#[test]
fn messages_and_a_close_and_an_end_in_one_piece_are_all_seen() {
    for drains in [true, false] {
        let script = Script::new();
        let mut setup = Setup {
            read_buffer: 50,
            ..Setup::default()
        };
        setup.conduct.drains = drains;
        let mut world = script.world(setup);
        let client = world.connect(0, "/one");
        world.run(10);
        for i in 0..20 {
            world.clients[client].send_text(&format!("{i}"));
        }
        world.clients[client].close(1000);
        let now = world.now();
        world.clients[client].step(now);
        world.clients[client].finish();
        world.run(10);
        assert_eq!(script.messages("/one").len(), 20);
        assert!(matches!(
            script.cause("/one"),
            CloseCause::PeerClosed { .. }
        ));
        world.assert_empty();
    }
}

#[test]
fn a_peer_that_never_answers_our_close_is_cut_in_time() {
    let script = Script::new().message(|conn, _| close(conn, 4000));
    let mut world = script.world(Setup::default());
    let client = world.connect(0, "/one");
    world.run(10);
    world.clients[client].mood.answers = false;
    world.clients[client].send_text("go");
    world.run(10);
    assert_eq!(
        world.clients[client].seen.last(),
        Some(&Seen::Close(Some(4000)))
    );
    // However much it goes on saying.
    for _ in 0..49 {
        world.run(100);
        assert_eq!(world.benches[0].backlogs().len(), 1, "at {}", world.now());
        world.clients[client].send_raw(&[0x89, 0x80, 0, 0, 0, 0]);
    }
    world.run(200);
    assert_eq!(script.cause("/one"), we_closed(4000));
    world.assert_empty();
}

#[test]
fn a_stale_token_or_name_reaches_nobody() {
    let script = Script::echo();
    let mut world = script.world(Setup {
        workers: 2,
        ..Setup::default()
    });
    let old = world.connect(0, "/old");
    world.run(10);
    let (id, token) = (script.id("/old"), world.token(0, old));
    world.clients[old].reset();
    world.run(10);
    let new = world.connect(0, "/new");
    world.run(10);
    assert_eq!(
        script.id("/new").to_string()[..3],
        id.to_string()[..3],
        "the slot is used again"
    );
    world.stale_edge(0, token);
    world
        .remote
        .send(id, &wirefan_protocol::Frame::text("stale"))
        .unwrap();
    world.remote.close(id, CloseCode::NORMAL, "").unwrap();
    for worker in 0..2 {
        world.with_ctx(worker, |server| {
            let _ = server.send(id, Message::Text("stale"));
            server.close(id, CloseCode::NORMAL, "");
            assert!(!server.accept(id, crate::Acceptance::new("/old".into())));
        });
    }
    world.run(100);
    assert_eq!(world.clients[new].seen, [Seen::Open]);
    world.clients[new].send_text("fresh");
    world.run(10);
    assert_eq!(world.clients[new].texts(), ["fresh"]);
}

/// A callback that was due for a connection is not made to the one that has its slot now.
#[test]
fn drained_is_not_called_for_a_connection_that_has_been_closed_or_replaced() {
    let script = Script::new().message(|conn, message| match message {
        Message::Text("flood") => {
            let _ = conn.send_binary(&[0; 400_000]);
        }
        _ => close(conn, 4000),
    });
    let mut world = script.world(Setup::default());
    let client = world.connect(0, "/one");
    world.run(10);
    world.clients[client].mood.reads = false;
    world.clients[client].send_text("flood");
    world.run(10);
    // It reads everything, and closes in the same moment: both are told in one turn.
    world.benches[0].frozen = world.now() + 100;
    world.clients[client].mood.reads = true;
    world.clients[client].send_text("close");
    world.run(300);
    assert_eq!(world.clients[client].ending(), (Some(4000), true));
    let closed = script
        .calls()
        .iter()
        .position(|call| *call == Call::Message("/one".into(), b"close".into()));
    let drained = script
        .calls()
        .iter()
        .position(|call| *call == Call::Drained("/one".into()));
    assert!(
        drained.is_none() || drained < closed,
        "{:?}",
        script.calls()
    );
}

#[test]
fn everything_at_once_is_still_one_end() {
    for seed in 0..50 {
        let script = Script::new().message(|conn, _| {
            conn.publish_all("room", Message::Binary(&[0; 100_000]));
            close(conn, 4000);
        });
        let mut setup = Setup {
            seed,
            ..Setup::default()
        };
        setup.conduct.cut = true;
        setup.conduct.room = 5000;
        let mut world = script.world(setup);
        let client = world.connect(0, "/one");
        world.run(50);
        world.clients[client].send_text("go");
        world.clients[client].close(1000);
        let steps = world.rng.below(8);
        world.steps(steps);
        world.clients[client].reset();
        let id = script.id("/one");
        world.with_ctx(0, |server| server.close(id, CloseCode(4001), ""));
        world.shut_down(10);
        world.run(1000);
        let _ = script.cause("/one");
        world.assert_empty();
    }
}
