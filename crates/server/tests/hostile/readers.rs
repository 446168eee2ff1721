//! Attacks by those who are let in and read nothing.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::frames::{BINARY, FIN, PING, frame, many, request};
use crate::siege::{MIB, MOST, SIEGE, Siege, TURNED_AWAY};
use crate::swarm::{Swarm, Then};

#[test]
fn subscribers_that_never_read() {
    let siege = Siege::lay("--ping-interval 1s --pong-timeout 5s");
    let readers = siege.plan(200, 20, |_| request("/flood"), Then::Stay);
    let readers = Swarm::unleash(readers);
    siege.server.await_members("/flood", 200);
    // Some sit among the citizens, where little is said.
    let quiet = Swarm::unleash(siege.plan(20, 20, |_| request("/room-0"), Then::Stay));
    siege.server.await_members("/room-0", 30);
    // They publish as much as they may.
    let message = frame(FIN | BINARY, &[b'x'; 32 * 1024]);
    let plan = siege.plan(3, 3, |_| request("/flood"), Then::Flood(message));
    let loud = Swarm::unleash(plan.reading());
    siege.watch(SIEGE, 223);
    siege.await_metric("wirefan_connections_closed_total slow_reader", 200);
    siege.await_metric("wirefan_connections_closed_total pong_timeout", 20);
    drop(loud);
    siege.await_sockets(0);
    drop(quiet);
    // 200 readers with 512 KiB waiting would be 100 MiB, if each had a copy of its own.
    siege.lift(readers, 48 * MIB);
}

#[test]
fn half_open_peers() {
    let siege = Siege::lay("--ping-interval 1s --pong-timeout 5s");
    // As if their network were gone: from the handshake on nothing comes, no end either.
    let swarm = Swarm::unleash(siege.plan(
        300,
        20,
        |number| request(&format!("/room-{}", number % 10)),
        Then::Stay,
    ));
    siege.server.await_members("/room-0", 40);
    siege.watch(SIEGE, 300);
    siege.await_metric("wirefan_connections_closed_total pong_timeout", 300);
    siege.await_sockets(0);
    siege.lift(swarm, 16 * MIB);
}

#[test]
fn it_ends_though_they_hold_on() {
    let siege = Siege::lay("--shutdown-grace 2s");
    let silent = siege.plan(100, 20, |_| request("/room-0"), Then::Stay);
    let slow = Then::Drip(b"X-Slow: yes\r\n", Duration::from_millis(100));
    let slow = siege
        .plan(200, 20, |_| b"GET / HTTP/1.1\r\n".to_vec(), slow)
        .returning();
    let pings = Then::Flood(many(&frame(FIN | PING, &[b'p'; 125]), 64 * 1024));
    let pings = siege.plan(20, 20, |_| request("/pings"), pings);
    let swarms = [silent, slow, pings].map(Swarm::unleash);
    siege.server.await_members("/room-0", 110);
    siege.server.await_members("/pings", 20);
    siege.watch(Duration::from_secs(1), MOST);
    siege.end_under_attack(swarms.into());
}

#[test]
fn files_that_nobody_reads() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile-files");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("large.bin"), vec![b'x'; 4 << 20]).unwrap();
    let siege = Siege::lay(&format!("--serve-dir {}", folder.display()));
    let opening = |_| b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    let plan = siege.plan(300, 20, opening, Then::Stay);
    let swarm = Swarm::unleash(plan.returning());
    siege.watch(SIEGE, 300 + TURNED_AWAY);
    siege.await_metric("wirefan_handshakes_total answered_5xx", 100);
    swarm.freeze();
    siege.await_sockets(0);
    // 64 MiB of files are on their way at most.
    siege.lift(swarm, 80 * MIB);
}
