//! Limits in virtual time: rates to the message, what stands behind a wait, counts of those that are not open, and headers of
//! proxies that come in pieces.

use core::num::NonZeroU32;

use wirefan_admission::Rate;
use wirefan_admission::proxy_protocol::ProxyError;

use super::client::Seen;
use super::net::Conduct;
use super::script::Script;
use super::world::{Setup, World};
use crate::slot::Holds;
use crate::{CloseCause, OverRate, ProxyFailure};

fn rate(per_second: u32, burst: u32) -> Option<Rate> {
    Some(Rate::new(
        NonZeroU32::new(per_second)?,
        NonZeroU32::new(burst)?,
    ))
}

/// So many messages in a second, as many at once.
fn metered(per_second: u32, over_rate: OverRate) -> Setup {
    let mut setup = Setup::default();
    setup.limits.traffic.messages = rate(per_second, per_second);
    setup.limits.over_rate = over_rate;
    setup
}

fn open(script: &Script, setup: Setup, name: &str) -> (World<Script>, usize) {
    let mut world = script.world(setup);
    let client = world.connect(0, name);
    world.run(10);
    (world, client)
}

fn numbers(world: &mut World<Script>, client: usize, count: usize) {
    for i in 0..count {
        world.clients[client].send_text(&i.to_string());
    }
}

#[test]
fn a_delay_keeps_to_the_rate_and_to_the_order() {
    for cut in [false, true] {
        let mut setup = metered(10, OverRate::Delay);
        setup.conduct.cut = cut;
        let script = Script::echo();
        let (mut world, client) = open(&script, setup, "/fast");
        numbers(&mut world, client, 100);
        world.run(50);
        // As many as are saved up, and one that is paid for behind.
        assert_eq!(script.messages("/fast").len(), 11);
        for second in 1..=8 {
            world.run(1000);
            let messages = script.messages("/fast").len();
            assert!(
                (10 + second * 10..=13 + second * 10).contains(&messages),
                "{messages} in second {second}"
            );
        }
        world.run(2000);
        let expected: Vec<String> = (0..100).map(|i| i.to_string()).collect();
        assert_eq!(script.messages("/fast"), expected);
        assert_eq!(world.clients[client].texts(), expected);
        world.clients[client].close(1000);
        world.run(100);
        world.assert_empty();
    }
}

#[test]
fn what_stands_behind_a_wait_is_not_lost() {
    // A ping, a Close, and the end of the stream behind twenty messages too many.
    for end in ["close", "finish"] {
        let script = Script::echo();
        let (mut world, client) = open(&script, metered(10, OverRate::Delay), "/fast");
        numbers(&mut world, client, 30);
        world.clients[client].send_ping(b"behind");
        match end {
            "close" => world.clients[client].close(4321),
            _ => {
                world.run(1);
                world.clients[client].finish();
            }
        }
        world.run(1000);
        assert!(script.messages("/fast").len() < 25);
        world.run(2000);
        assert_eq!(script.messages("/fast").len(), 30);
        let pongs = world.clients[client].count(|seen| matches!(seen, Seen::Pong(..)));
        assert_eq!(pongs, 1);
        let name = script.cause("/fast").name();
        assert_eq!(
            name,
            if end == "close" {
                "peer_closed"
            } else {
                "lost"
            }
        );
        world.assert_empty();
    }
}

#[test]
fn little_waits_behind_a_large_message() {
    // Text and compressed messages come through the read buffer, binary ones do not.
    for kind in ["text", "binary"] {
        let mut setup = metered(10, OverRate::Delay);
        setup.conduct.room = 512 * 1024;
        let script = Script::new();
        let (mut world, client) = open(&script, setup, "/fast");
        for _ in 0..2 {
            match kind {
                "text" => world.clients[client].send_text(&"x".repeat(150_000)),
                _ => world.clients[client].send_binary(&[0; 150_000]),
            }
        }
        for i in 0..15 {
            world.clients[client].send_text(&format!("{i:5000}"));
        }
        let mut most = 0;
        for _ in 0..100 {
            world.run(20);
            let guest = world.benches[0].worker.core.guests.get(0);
            most = most.max(guest.map_or(0, |guest| guest.rest.len()));
        }
        assert!((1..=16 * 1024).contains(&most), "{most} bytes wait");
        assert_eq!(script.messages("/fast").len(), 17);
    }
}

#[test]
fn our_own_close_does_not_wait_and_nothing_is_handed_out_behind_it() {
    let script = Script::echo();
    let (mut world, client) = open(&script, metered(10, OverRate::Delay), "/fast");
    numbers(&mut world, client, 100);
    world.run(100);
    let seen = script.messages("/fast").len();
    let id = script.id("/fast");
    world.with_ctx(0, |server| {
        server.close(id, wirefan_protocol::CloseCode(4000), "enough");
    });
    world.run(500);
    assert_eq!(world.clients[client].ending(), (Some(4000), true));
    assert_eq!(script.messages("/fast").len(), seen);
    world.assert_empty();
}

#[test]
fn who_waits_is_not_taken_for_dead_and_who_is_paused_waits_on() {
    let script = Script::echo();
    let (mut world, client) = open(&script, metered(1, OverRate::Delay), "/fast");
    numbers(&mut world, client, 120);
    // Longer than our pings and their answers have time.
    world.run(100_000);
    assert!(world.clients[client].is_open());
    let before = script.messages("/fast").len();
    assert!((95..=105).contains(&before), "{before}");
    let id = script.id("/fast");
    let pause = |world: &mut World<Script>, paused: bool| {
        world.with_ctx(0, |server| {
            let index = server.core.slots.find(id).expect("it is there");
            let slot = server.core.slots.get_mut(index).expect("it");
            if paused {
                slot.flags.holds.add(Holds::PAUSED);
            } else {
                slot.flags.holds.remove(Holds::PAUSED);
                server.core.read_again(index);
            }
        });
    };
    pause(&mut world, true);
    world.run(50_000);
    assert_eq!(script.messages("/fast").len(), before);
    pause(&mut world, false);
    world.run(50_000);
    assert_eq!(script.messages("/fast").len(), 120);
    world.clients[client].reset();
    world.run(100);
    world.assert_empty();
}

#[test]
fn one_that_goes_while_it_waits_leaves_nothing_behind() {
    let script = Script::echo();
    let (mut world, client) = open(&script, metered(1, OverRate::Delay), "/fast");
    numbers(&mut world, client, 100);
    world.run(100);
    world.clients[client].reset();
    world.run(200);
    // Nobody reads from it as long as it waits, but the end is told when it has waited.
    let other = world.connect(0, "/other");
    world.run(10);
    world.clients[other].send_text("mine");
    world.run(150_000);
    assert_eq!(script.messages("/other"), ["mine"]);
    world.clients[other].close(1000);
    world.run(100);
    world.assert_empty();
}

#[test]
fn nobody_is_left_alone_for_ever_whatever_is_owed() {
    let mut setup = Setup::default();
    setup.limits.traffic.bytes = rate(1, 1);
    let script = Script::echo();
    let (mut world, client) = open(&script, setup, "/fast");
    // Two weeks' worth, and gone.
    world.clients[client].send_binary(&vec![0; 50_000]);
    world.run(1000);
    world.clients[client].reset();
    world.run(31_000);
    assert_eq!(script.cause("/fast").name(), "reset");
    world.assert_empty();
}

#[test]
fn drops_are_exact() {
    let script = Script::echo();
    let (mut world, client) = open(&script, metered(10, OverRate::Drop), "/fast");
    for second in 1..=5 {
        numbers(&mut world, client, 100);
        world.run(1000);
        assert_eq!(script.messages("/fast").len(), second * 10);
    }
    world.clients[client].close(1000);
    world.run(100);
    world.assert_empty();
}

#[test]
fn the_first_one_too_many_closes() {
    let script = Script::echo();
    let (mut world, client) = open(&script, metered(10, OverRate::Close), "/fast");
    numbers(&mut world, client, 10);
    world.run(999);
    assert!(world.clients[client].is_open());
    numbers(&mut world, client, 100);
    world.run(100);
    assert_eq!(world.clients[client].ending(), (Some(1008), true));
    assert_eq!(script.cause("/fast"), CloseCause::TooFast);
    assert_eq!(script.messages("/fast").len(), 19);
    world.assert_empty();
}

#[test]
fn those_that_are_not_open_are_counted_until_they_are_or_are_gone() {
    let mut setup = Setup::default();
    setup.limits.pending = 3;
    let script = Script::new();
    let mut world = script.world(setup);
    let later = world.connect(0, "/later");
    let half = world.connect_plain(0, b"GET /");
    let silent = world.connect_plain(0, b"");
    world.run(10);
    let refused = world.connect_plain(0, b"");
    world.run(10);
    assert_eq!(script.cause("#3"), CloseCause::TooManyPending);
    let answer = &world.clients[refused].answer;
    assert!(answer.starts_with(b"HTTP/1.1 503 "));
    // One is open, one is gone: two may come.
    let id = script.id("/later");
    world.with_ctx(0, |server| {
        server.accept(id, crate::Acceptance::new("/later".into()))
    });
    world.clients[silent].reset();
    world.run(10);
    let (one, other) = (world.connect(0, "/one"), world.connect(0, "/other"));
    world.run(10);
    for client in [later, one, other] {
        assert!(world.clients[client].is_open());
        world.clients[client].close(1000);
    }
    world.clients[half].reset();
    world.run(100);
    world.assert_empty();
}

#[test]
fn a_header_of_a_proxy_may_be_cut_anywhere() {
    for seed in 0..50 {
        let setup = Setup {
            seed,
            conduct: Conduct {
                delay: 20,
                cut: true,
                drains: seed % 2 == 0,
                ..Conduct::PLAIN
            },
            proxies: Some("loopback".parse().expect("networks")),
            ..Setup::default()
        };
        let script = Script::new();
        let mut world = script.world(setup);
        let request = "GET /page HTTP/1.1\r\nHost: x\r\n\r\n";
        let header = "PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n";
        let good = world.connect_plain(0, format!("{header}{request}").as_bytes());
        let bad = world.connect_plain(0, request.as_bytes());
        world.run(9000);
        assert!(world.clients[good].answer.starts_with(b"HTTP/1.1 200 "));
        assert_eq!(script.cause("/page"), CloseCause::Answered(200));
        assert!(world.clients[bad].answer.is_empty());
        let why = ProxyError::NoProxyProtocol;
        let cause = CloseCause::Proxy(ProxyFailure::Header(why));
        assert_eq!(script.cause("#1"), cause);
        world.assert_empty();
    }
}
