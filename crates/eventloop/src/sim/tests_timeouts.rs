//! Time: each limit and its cause, who is not cut though it is slow, and what a worker that slept does first.

use core::time::Duration;

use wirefan_protocol::{CloseCode, Overdue};

use super::client::Seen;
use super::net::Conduct;
use super::script::{Call, Script};
use super::world::{Setup, World};
use crate::{CloseCause, Message};

const SECOND: u64 = 1000;

fn narrow() -> Setup {
    Setup {
        conduct: Conduct {
            room: 2000,
            ..Conduct::PLAIN
        },
        ..Setup::default()
    }
}

fn one(script: &Script, setup: Setup) -> (World<Script>, usize) {
    let mut world = script.world(setup);
    let client = world.connect(0, "/one");
    world.run(10);
    (world, client)
}

#[test]
fn a_request_that_does_not_come_is_answered_with_408() {
    for request in [&b""[..], b"GET / HTTP/1.1\r\nHost: x\r\n"] {
        let script = Script::new();
        let mut world = script.world(Setup::default());
        let client = world.connect_plain(0, request);
        world.run(9900);
        assert!(script.calls().is_empty());
        world.run(300);
        assert_eq!(script.cause("#0"), CloseCause::Timeout(Overdue::Handshake));
        assert!(world.clients[client].answer.starts_with(b"HTTP/1.1 408 "));
        assert_eq!(world.clients[client].ending(), (None, true));
        world.assert_empty();
    }
}

#[test]
fn an_answer_that_is_not_read_is_not_followed_by_others_and_ends_in_time() {
    let script = Script::new();
    let mut world = script.world(narrow());
    let page = world.connect_plain(0, b"GET /page9000 HTTP/1.1\r\nHost: x\r\n\r\n");
    let silent = world.connect_plain(0, b"");
    for client in [page, silent] {
        world.clients[client].mood.reads = false;
    }
    let clog = vec![0; 2000];
    world.clients[silent].line.fill(&clog);
    world.run(16 * SECOND);
    assert!(
        world.benches[0].backlogs().is_empty(),
        "they have their time and no more"
    );
    assert_eq!(script.cause("/page9000"), CloseCause::Answered(200));
    assert_eq!(script.cause("#1"), CloseCause::Timeout(Overdue::Handshake));
    world.clients[page].mood.reads = true;
    world.run(SECOND);
    let answer = String::from_utf8_lossy(&world.clients[page].answer).into_owned();
    assert!(!answer.contains("408"), "{answer}");
    world.assert_empty();
}

#[test]
fn an_idle_connection_is_closed_with_1001_and_messages_of_either_way_postpone_it() {
    let script = Script::new().open(|conn| {
        if conn.peer() == "/member" {
            conn.subscribe("room");
        }
    });
    let mut setup = Setup::default();
    setup.timeouts.idle = Some(Duration::from_secs(60));
    let mut world = script.world(setup);
    let clients = ["/quiet", "/talker", "/member"].map(|name| world.connect(0, name));
    world.run(30 * SECOND);
    world.clients[clients[1]].send_text("still here");
    world.with_ctx(0, |server| server.publish("room", Message::Text("news")));
    world.run(29 * SECOND);
    assert!(
        clients
            .iter()
            .all(|client| world.clients[*client].is_open())
    );
    world.run(2 * SECOND);
    assert_eq!(world.clients[clients[0]].ending(), (Some(1001), true));
    assert_eq!(script.cause("/quiet"), CloseCause::Timeout(Overdue::Idle));
    assert!(
        clients[1..]
            .iter()
            .all(|client| world.clients[*client].is_open())
    );
    world.run(30 * SECOND);
    assert_eq!(world.clients[clients[1]].ending(), (Some(1001), true));
    assert_eq!(world.clients[clients[2]].ending(), (Some(1001), true));
    world.assert_empty();
}

#[test]
fn a_peer_that_answers_pings_stays_and_one_that_does_not_is_cut() {
    let script = Script::new();
    let mut world = script.world(Setup::default());
    let (alive, dead) = (world.connect(0, "/alive"), world.connect(0, "/dead"));
    world.run(10);
    world.clients[dead].mood.answers = false;
    world.run(35 * SECOND);
    assert_eq!(world.clients[dead].count(|seen| *seen == Seen::Ping), 1);
    assert_eq!(world.benches[0].backlogs().len(), 2);
    world.run(200);
    assert_eq!(script.cause("/dead"), CloseCause::Timeout(Overdue::Pong));
    assert_eq!(world.clients[dead].ending(), (Some(1008), true));
    world.run(3600 * SECOND);
    assert!(world.clients[alive].is_open());
    let pings = world.clients[alive].count(|seen| *seen == Seen::Ping);
    assert!((140..=146).contains(&pings), "{pings} pings in an hour");
}

#[test]
fn any_byte_is_a_sign_of_life() {
    let (mut world, client) = one(&Script::new(), Setup::default());
    world.clients[client].mood.answers = false;
    world.clients[client].send_raw(&[0x82, 0xfe, 0x10, 0, 0, 0, 0, 0]);
    for _ in 0..100 {
        world.run(9 * SECOND);
        world.clients[client].send_raw(&[0]);
    }
    assert!(world.clients[client].is_open());
}

/// It is sent far more than the network holds, reads a little every few seconds, and its pong can only come at the end.
fn slow_reader(kilobytes: usize, high: usize) {
    let script = Script::new().message(move |conn, _| {
        for _ in 0..kilobytes {
            let _ = conn.send_binary(&[0; 1000]);
        }
    });
    let mut setup = narrow();
    setup.marks.high = high;
    setup.marks.low = high / 2;
    let (mut world, client) = one(&script, setup);
    world.clients[client].mood.gulp = 1500;
    world.clients[client].mood.pace = 8 * SECOND;
    world.clients[client].send_text("go");
    world.run(kilobytes as u64 * 10 * SECOND);
    assert!(world.clients[client].is_open(), "{:?}", script.calls());
    let got = world.clients[client].count(|seen| matches!(seen, Seen::Binary(_)));
    assert_eq!(got, kilobytes);
}

#[test]
fn a_choked_peer_that_still_reads_is_not_cut_for_a_pong() {
    slow_reader(100, 10_000);
}

#[test]
fn a_peer_with_a_backlog_that_still_reads_is_not_cut_for_a_pong() {
    slow_reader(100, 1_000_000);
}

#[test]
fn a_choked_peer_that_does_not_read_is_cut() {
    let script = Script::new().message(|conn, _| {
        let _ = conn.send_binary(&[0; 400_000]);
    });
    let (mut world, client) = one(&script, narrow());
    world.clients[client].mood.reads = false;
    world.clients[client].send_text("go");
    world.run(5 * SECOND);
    // What it sends is not looked at, and helps it nothing.
    world.clients[client].send_text("more");
    world.run(70 * SECOND);
    assert_eq!(script.cause("/one"), CloseCause::Timeout(Overdue::Pong));
    world.assert_empty();
}

#[test]
fn a_connection_that_we_do_not_read_is_not_cut_for_a_pong_that_we_do_not_see() {
    for pause_at in [0, 24_000, 25_010, 30_000] {
        let script = Script::new()
            .message(|conn, _| conn.pause_reading())
            .open(move |conn| conn.set_timer(Duration::from_millis(pause_at)))
            .timer(|conn| conn.pause_reading());
        let mut setup = Setup::default();
        setup.conduct.delay = 100;
        let (mut world, client) = one(&script, setup);
        world.run(300 * SECOND);
        assert!(
            world.clients[client].is_open(),
            "paused at {pause_at}: {:?}",
            script.calls()
        );
    }
}

#[test]
fn a_frozen_worker_reads_before_it_cuts() {
    for seed in 0..20 {
        let script = Script::new();
        let mut setup = Setup {
            seed,
            ..Setup::default()
        };
        setup.conduct.delay = 50;
        let mut world = script.world(setup);
        let old = world.connect(0, "/old");
        // Its ping is on its way when the worker falls asleep.
        world.run(25_040 + 10 * seed);
        let new = world.connect(0, "/new");
        let late = world.connect_plain(0, b"GET /page HTTP/1.1\r\nHost: x\r\n");
        world.run(1 + seed);
        world.benches[0].frozen = world.now() + 60 * SECOND;
        world.clients[late].send_raw(b"\r\n");
        world.run(61 * SECOND);
        assert!(
            world.clients[old].is_open(),
            "seed {seed}: {:?}",
            script.calls()
        );
        assert!(
            world.clients[new].is_open(),
            "seed {seed}: {:?}",
            script.calls()
        );
        assert_eq!(script.cause("/page"), CloseCause::Answered(200));
        world.run(100 * SECOND);
        assert!(world.clients[old].is_open() && world.clients[new].is_open());
    }
}

#[test]
fn deadlines_wait_for_untold_sockets_but_not_for_ever() {
    let script = Script::new();
    let mut world = script.world(Setup::default());
    let client = world.connect(0, "/dead");
    world.run(10);
    world.clients[client].mood.answers = false;
    world.clients[client].mood.reads = false;
    world.freeze(100 * SECOND);
    // As if there were always more sockets ready than could be told.
    for _ in 0..2000 {
        world.freeze(5);
        world.turn_busy(0);
    }
    assert_eq!(
        world.clients[client].line.unread(),
        10,
        "a ping has gone out"
    );
    for _ in 0..4000 {
        world.freeze(5);
        world.turn_busy(0);
    }
    assert_eq!(script.cause("/dead"), CloseCause::Timeout(Overdue::Pong));
}

#[test]
fn a_timer_comes_once_in_time_and_can_be_replaced_and_forgotten() {
    let script = Script::new()
        .open(|conn| {
            let seconds = |count| Duration::from_secs(count);
            match &**conn.peer() {
                "/once" => conn.set_timer(seconds(40)),
                "/sooner" => (1..=90)
                    .rev()
                    .for_each(|count| conn.set_timer(seconds(count))),
                "/last" => (1..=90).for_each(|count| conn.set_timer(seconds(count))),
                "/never" => {
                    conn.set_timer(seconds(10));
                    conn.clear_timer();
                }
                "/far" => conn.set_timer(Duration::MAX),
                _ => conn.set_timer(Duration::from_millis(u64::MAX - 40)),
            }
        })
        .timer(|_| {});
    let mut world = script.world(Setup::default());
    let clients = ["/once", "/sooner", "/last", "/never", "/far", "/farther"];
    clients.iter().for_each(|name| _ = world.connect(0, name));
    let due = [40, 1, 90];
    for second in 0..200 {
        for (name, due) in clients.iter().zip(due) {
            let calls = script.count(&Call::Timer((*name).into()));
            assert_eq!(calls, usize::from(second >= due), "{name} at {second}");
        }
        world.run(SECOND + if second == 0 { 150 } else { 0 });
    }
    for name in &clients[3..] {
        assert_eq!(script.count(&Call::Timer((*name).into())), 0, "{name}");
    }
}

/// One entry for each connection, or nearly, however often a timer is set.
#[test]
fn deadlines_do_not_pile_up() {
    let script = Script::new()
        .open(|conn| conn.set_timer(Duration::from_millis(40)))
        .timer(|conn| {
            conn.set_timer(Duration::from_secs(1000));
            conn.set_timer(Duration::from_millis(40));
        });
    let (mut world, _) = one(&script, Setup::default());
    world.run(100 * SECOND);
    assert!(script.calls().len() > 1000);
    let entries = world.benches[0].worker.core.wheel.len();
    assert!(entries <= 2, "{entries} entries");
}

#[test]
fn an_overdue_close_keeps_the_cause_it_had() {
    let script = Script::new().message(|conn, _| conn.close(CloseCode(4000), "").unwrap());
    let (mut world, client) = one(&script, Setup::default());
    world.clients[client].mood.reads = false;
    world.clients[client].send_text("go");
    world.run(4 * SECOND);
    assert_eq!(world.benches[0].backlogs().len(), 1);
    world.run(2 * SECOND);
    let code = CloseCode(4000);
    assert_eq!(script.cause("/one"), CloseCause::WeClosed { code });
    world.assert_empty();
}
