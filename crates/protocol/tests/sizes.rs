//! What a connection weighs, and that in the steady state it allocates nothing.

mod common;

use std::sync::Arc;

use allocation_counter::measure;
use common::{ROLES, Raw, binary, continuation, peer, ping, pong, text, wire};
use wirefan_protocol::{
    Agreed, Config, Connection, Event, Frame, Input, Kind, Liveness, MaskKeys, RecvScratch, Role,
    SendError, SendScratch,
};

const ECHOES: usize = 100_000;

fn connection(role: Role) -> Connection {
    let config = Arc::new(Config::default());
    match role {
        Role::Server => Connection::server(config, Agreed::default()),
        Role::Client => Connection::client(config, Agreed::default(), MaskKeys::from_seed([7; 32])),
    }
}

/// Asserts that `round`, once it has run a few times, allocates nothing in [`ECHOES`] more.
#[track_caller]
fn allocates_nothing(mut round: impl FnMut()) {
    for _ in 0..10 {
        round();
    }
    let taken = measure(|| {
        for _ in 0..ECHOES {
            round();
        }
    });
    assert_eq!(taken.count_total, 0, "{taken:?}");
}

/// Echoes the messages among `frames`, which come in reads that end at `cut`; both roles.
#[track_caller]
fn echoes_without_allocating(frames: &[Raw], cut: impl Fn(usize) -> usize) {
    for role in ROLES {
        let bytes = wire(peer(role), frames);
        let (first, second) = bytes.split_at(cut(bytes.len()));
        let mut connection = connection(role);
        let mut scratch = RecvScratch::default();
        let (mut read, mut out) = (bytes.clone(), Vec::new());
        let mut echoes = 0;
        allocates_nothing(|| {
            out.clear();
            for part in [first, second] {
                let read = &mut read[..part.len()];
                read.copy_from_slice(part);
                let mut input = Input::new(read);
                while let Some(event) = connection.next_event(&mut input, &mut scratch, &mut out) {
                    let sent = match event {
                        Event::Text(text) => {
                            connection.send_text(text, &mut SendScratch::default(), &mut out)
                        }
                        Event::Binary(data) => {
                            connection.send_binary(data, &mut SendScratch::default(), &mut out)
                        }
                        Event::Ping(_) | Event::Pong(_) => continue,
                        Event::Close(_) | Event::Failed(_) => Err(SendError::AfterClose),
                    };
                    sent.expect("it stays open");
                    echoes += 1;
                }
            }
        });
        assert!(echoes >= ECHOES);
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn a_connection_takes_80_bytes() {
    assert!(size_of::<Connection>() <= 80);
    assert!(size_of::<Event<'_>>() <= 32);
    assert!(size_of::<Frame>() <= 40);
    assert!(size_of::<Liveness>() <= 32);
}

#[test]
fn echoes_of_small_messages() {
    echoes_without_allocating(&[text("hello")], |len| len);
}

#[test]
fn echoes_of_messages_cut_in_two_reads() {
    echoes_without_allocating(&[text("hello, 水")], |len| len - 2);
    echoes_without_allocating(&[binary([0xfe; 20])], |len| len / 2);
}

#[test]
fn echoes_of_messages_cut_inside_their_header() {
    echoes_without_allocating(&[text("hello")], |_| 1);
    echoes_without_allocating(&[binary([0xfe; 130])], |_| 3);
}

#[test]
fn echoes_of_fragmented_messages() {
    let frames = [
        text("hel").more(),
        ping("x"),
        continuation("l").more(),
        continuation("o"),
    ];
    echoes_without_allocating(&frames, |len| len);
    echoes_without_allocating(&frames, |len| len / 2);
}

#[test]
fn answers_to_control_frames_cut_in_two_reads() {
    echoes_without_allocating(&[binary("a"), pong("b"), ping([1; 20])], |len| len - 10);
}

#[test]
fn broadcasts() {
    let (frame, payload) = (Frame::text("to everybody"), [1; 1000]);
    let mut members: Vec<_> = (0..3).map(|_| connection(Role::Server)).collect();
    allocates_nothing(|| {
        for member in &mut members {
            let bytes = member
                .send_frame(&frame, &mut SendScratch::default())
                .expect("it is open");
            let header = member
                .send_header(Kind::Binary, payload.len())
                .expect("it is open");
            assert_eq!((bytes.len(), header.len()), (14, 4));
        }
    });
}

#[test]
fn messages_in_fragments() {
    for role in ROLES {
        let (mut connection, mut out) = (connection(role), Vec::new());
        allocates_nothing(|| {
            out.clear();
            let sent = [
                connection.send_text_fragment("hel", false, &mut out),
                connection.send_ping(b"x", &mut out),
                connection.send_text_fragment("lo", true, &mut out),
            ];
            assert_eq!(sent, [Ok(()); 3]);
        });
    }
}
