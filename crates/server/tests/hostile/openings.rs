//! Attacks by those who are not let in yet, or never will be.

use std::time::Duration;

use crate::frames::request;
use crate::siege::{MIB, SIEGE, Siege, TURNED_AWAY};
use crate::swarm::{Swarm, Then};

#[test]
fn slow_handshakes_by_the_thousand() {
    let siege = Siege::lay("");
    // A byte now and then, of a head that does not end.
    let drip = Then::Drip(b"X-Slow: yes\r\n", Duration::from_millis(100));
    let plan = siege.plan(2000, 20, |_| b"GET / HTTP/1.1\r\n".to_vec(), drip);
    let swarm = Swarm::unleash(plan.reading().returning());
    siege.watch(SIEGE, 500 + TURNED_AWAY);
    siege.await_metric("wirefan_handshakes_total handshake_timeout", 500);
    siege.await_metric("wirefan_handshakes_total too_many_pending", 1);
    // They stay and say nothing more: that does not keep the server from being rid of them.
    swarm.freeze();
    siege.await_sockets(0);
    siege.lift(swarm, 16 * MIB);
}

/// Heads that are longer than any honest one, in three ways.
fn bomb(number: usize) -> Vec<u8> {
    let mut head = request("/");
    head.truncate(head.len() - 2);
    match number % 3 {
        // One line without an end.
        0 => head.extend([b"X-Bomb: ".to_vec(), vec![b'a'; 256 * 1024]].concat()),
        // More lines than anyone needs.
        1 => head.extend(b"X: a\r\n".repeat(20_000)),
        // Just short enough, and never finished.
        _ => head.extend([b"X-Bomb: ".to_vec(), vec![b'a'; 16_000]].concat()),
    }
    head
}

#[test]
fn header_bombs() {
    let siege = Siege::lay("");
    let plan = siege.plan(400, 20, bomb, Then::Stay);
    let swarm = Swarm::unleash(plan.reading().returning());
    siege.watch(SIEGE, 500 + TURNED_AWAY);
    siege.await_metric("wirefan_handshakes_total bad_request", 1000);
    siege.await_metric("wirefan_handshakes_total handshake_timeout", 50);
    swarm.freeze();
    siege.await_sockets(0);
    // 500 pending with 16 KiB each, in memory that grows by doubling.
    siege.lift(swarm, 24 * MIB);
}

#[test]
fn a_connection_storm_over_the_limit() {
    let siege = Siege::lay("--max-connections 300");
    let plan = siege.plan(
        1000,
        200,
        |number| request(&format!("/storm-{number}")),
        Then::Stay,
    );
    let swarm = Swarm::unleash(plan.reading().returning());
    siege.watch(SIEGE, 200 + TURNED_AWAY);
    siege.await_metric("wirefan_handshakes_total too_many_connections", 200);
    siege.lift(swarm, 32 * MIB);
}

#[test]
fn one_address_takes_all_it_can() {
    let siege = Siege::lay("--max-connections 300");
    let plan = siege.plan(1000, 1, |_| request("/storm"), Then::Stay);
    let swarm = Swarm::unleash(plan.reading().returning());
    siege.watch(SIEGE, 150 + TURNED_AWAY);
    siege.await_metric("wirefan_handshakes_total too_many_from_address", 100);
    siege.await_metric("wirefan_handshakes_total too_many_handshakes", 1);
    // The others do not notice, not even at the door.
    siege.newcomers_are_welcome();
    siege.lift(swarm, 32 * MIB);
}

#[test]
fn no_more_file_descriptors() {
    // More are allowed than can be opened.
    let siege = Siege::lay_with_files(220, "--max-connections 1000");
    let swarm = Swarm::unleash(siege.plan(400, 20, |_| Vec::new(), Then::Stay));
    siege.server.line_with("cannot accept connections");
    siege.watch(SIEGE, 220);
    // It waits for better times, a second at last, and does not ask again and again.
    let lines = siege.server.lines_so_far();
    let tries = lines
        .iter()
        .filter(|line| line.contains("cannot accept connections"));
    let tries = tries.count();
    assert!((1..100).contains(&tries), "{tries}");
    siege.lift(swarm, 16 * MIB);
}
