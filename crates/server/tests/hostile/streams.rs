//! Attacks by those who have been let in and send what costs the server more than them.

use std::time::Duration;

use crate::frames::{
    BINARY, CONTINUATION, FIN, PING, RSV1, TEXT, frame, header, many, request, request_and,
};
use crate::siege::{MIB, MOST, SIEGE, Siege};
use crate::swarm::{Swarm, Then};

#[test]
fn ping_floods() {
    let siege = Siege::lay("");
    let pings = || Then::Flood(many(&frame(FIN | PING, &[b'p'; 125]), 64 * 1024));
    // Those who do not read their pongs, and those who do.
    let mute = Swarm::unleash(siege.plan(40, 20, |_| request("/pings"), pings()));
    let plan = siege.plan(20, 20, |_| request("/pings"), pings());
    let swarm = Swarm::unleash(plan.reading());
    siege.watch(SIEGE, 60);
    drop(mute);
    // Each of them has 256 KiB of pongs waiting at most.
    siege.lift(swarm, 40 * MIB);
}

#[test]
fn fragments_without_end() {
    // Longer than the most fragments of one byte are.
    let siege = Siege::lay("--max-message 200k");
    // Of one byte, and of so many that the message is soon too long.
    let small = frame(CONTINUATION, b"x");
    let first = |_| request_and("/fragments", &frame(TEXT, b"x"));
    let plan = siege.plan(20, 20, first, Then::Flood(many(&small, 32 * 1024)));
    let tiny = Swarm::unleash(plan.returning());
    let large = many(&frame(CONTINUATION, &[b'x'; 1000]), 64 * 1024);
    let plan = siege.plan(40, 20, first, Then::Flood(large));
    let swarm = Swarm::unleash(plan.reading().returning());
    siege.watch(SIEGE, MOST);
    siege.await_metric("wirefan_connections_closed_total protocol_error", 200);
    tiny.freeze();
    swarm.freeze();
    siege.server.line_with("too many fragments");
    siege.await_sockets(60);
    drop(tiny);
    siege.lift(swarm, 32 * MIB);
}

#[test]
fn messages_that_are_almost_whole() {
    let siege = Siege::lay("--idle-timeout 3s");
    // All but one byte of the longest message, in a frame or in many, and then silence.
    let swarm = Swarm::unleash(siege.plan(
        400,
        20,
        |number| {
            let message = match number % 2 {
                0 => [header(FIN | BINARY, 65_536), vec![b'x'; 65_535]].concat(),
                _ => [
                    frame(TEXT, b"x"),
                    many(&frame(CONTINUATION, &[b'x'; 63]), 64_000),
                ]
                .concat(),
            };
            request_and("/almost", &message)
        },
        Then::Stay,
    ));
    swarm.await_opened(400);
    siege.watch(Duration::from_secs(1), 400);
    siege.await_metric("wirefan_connections_closed_total idle_timeout", 400);
    siege.await_sockets(0);
    // 400 messages of 64 KiB, in memory that grows by doubling.
    siege.lift(swarm, 56 * MIB);
}

#[test]
fn empty_fragments() {
    let siege = Siege::lay("");
    let first = |_| request_and("/nothing", &frame(TEXT, b""));
    let nothing = many(&frame(CONTINUATION, b""), 32 * 1024);
    let plan = siege.plan(50, 20, first, Then::Flood(nothing));
    let swarm = Swarm::unleash(plan.returning());
    siege.watch(SIEGE, MOST);
    siege.await_metric("wirefan_connections_closed_total protocol_error", 200);
    swarm.freeze();
    siege.server.line_with("too many empty fragments");
    siege.lift(swarm, 16 * MIB);
}

/// The beginning of a compressed message (RFC 7692): a zero, and the same 258 bytes further on, for 13 bits each time.
fn bomb(_: usize) -> Vec<u8> {
    // A block with fixed codes (RFC 1951 §3.2.6), the literal 0; then as often as it fits length 258 and distance 1.
    let again = [1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0];
    let mut bits = vec![0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0];
    bits.extend(again.repeat(40_000 * 8 / again.len()));
    let bytes = bits.chunks(8).map(|bits| {
        let placed = bits.iter().enumerate().map(|(place, bit)| bit << place);
        placed.sum::<u8>()
    });
    let mut request = request("/bombs");
    request.truncate(request.len() - 2);
    request.extend(b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
    request.extend(frame(RSV1 | TEXT, &bytes.collect::<Vec<u8>>()));
    request
}

#[test]
fn compressed_bombs() {
    let siege = Siege::lay("");
    // 40,000 bytes that would be 6 MiB.
    let plan = siege.plan(100, 20, bomb, Then::Stay);
    let swarm = Swarm::unleash(plan.reading().returning());
    siege.watch(SIEGE, MOST);
    siege.await_metric("wirefan_connections_closed_total protocol_error", 300);
    swarm.freeze();
    siege.server.line_with("message too long");
    siege.lift(swarm, 32 * MIB);
}

#[test]
fn resets_in_mid_frame() {
    let siege = Siege::lay("");
    let opening = |number| match number % 4 {
        // Inside a header, a payload, a message, a handshake.
        0 => request_and("/room-0", &header(FIN | BINARY, 60_000)[..3]),
        1 => request_and(
            "/room-1",
            &[header(FIN | BINARY, 60_000), vec![b'x'; 30_000]].concat(),
        ),
        2 => request_and("/room-2", &frame(TEXT, &[b'x'; 1000])),
        _ => request("/room-3")[..60].to_vec(),
    };
    let plan = siege.plan(40, 40, opening, Then::Reset);
    let swarm = Swarm::unleash(plan.returning());
    siege.watch(SIEGE, MOST);
    siege.await_metric("wirefan_connections_closed_total reset", 200);
    siege.lift(swarm, 32 * MIB);
}
