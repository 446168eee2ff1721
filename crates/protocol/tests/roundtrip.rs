//! What one end sends, in any of the ways that there are, arrives at the other: whole, once and in order.

mod common;

use common::streams::{cases, control, message, pieces, role};
use common::{End, PING, Raw, Seen, TEXT, parse, peer};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeSet;
use wirefan_protocol::{Config, Frame, Kind, Role, SendScratch, State};

/// How a message is sent.
#[derive(Clone, Debug)]
enum How {
    Whole,
    /// From a frame that others may share.
    Shared,
    /// The header alone, and the payload behind it; a client, which cannot, sends it whole.
    HeaderFirst,
    /// In fragments that end at these places, with control frames between them.
    Fragments(Vec<Index>, Vec<Raw>),
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        Just(How::Whole),
        Just(How::Shared),
        Just(How::HeaderFirst),
        (vec(any::<Index>(), 0..6), vec(control(), 0..4))
            .prop_map(|(cuts, between)| How::Fragments(cuts, between)),
    ]
}

/// Sends a message, and returns what must arrive.
fn send(end: &mut End, data: &[u8], text: Option<&str>, how: &How) -> Vec<Seen> {
    let mut arrives = Vec::new();
    let (connection, out) = (&mut end.connection, &mut end.out);
    match (how, text) {
        (How::Fragments(cuts, between), _) => {
            arrives = send_fragments(end, data, text.is_some(), cuts, between);
        }
        (How::Shared, text) => {
            let frame = text.map_or_else(|| Frame::binary(data), Frame::text);
            out.extend(
                connection
                    .send_frame(&frame, &mut SendScratch::default())
                    .expect("between messages"),
            );
        }
        (How::HeaderFirst, text) if connection.role() == Role::Server => {
            let kind = text.map_or(Kind::Binary, |_| Kind::Text);
            let header = connection.send_header(kind, data.len());
            out.extend_from_slice(&header.expect("between messages"));
            out.extend_from_slice(data);
        }
        (_, Some(text)) => connection
            .send_text(text, &mut SendScratch::default(), out)
            .expect("between messages"),
        (_, None) => connection
            .send_binary(data, &mut SendScratch::default(), out)
            .expect("between messages"),
    }
    arrives.push(text.map_or_else(|| Seen::Binary(data.into()), |text| Seen::Text(text.into())));
    arrives
}

/// Sends fragments, and returns the control frames between them.
fn send_fragments(
    end: &mut End,
    data: &[u8],
    is_text: bool,
    cuts: &[Index],
    between: &[Raw],
) -> Vec<Seen> {
    let (connection, out) = (&mut end.connection, &mut end.out);
    let mut arrives = Vec::new();
    // What is sent must be whole characters: the rest of a cut one goes with the next piece.
    let mut text = Vec::new();
    let pieces = pieces(data, cuts);
    for (n, piece) in pieces.iter().enumerate() {
        if let Some(control) = between.get(n)
            && n > 0
        {
            let payload = control.payload.clone();
            if control.opcode == PING {
                connection.send_ping(&payload, out).expect("it is open");
                arrives.push(Seen::Ping(payload));
            } else {
                connection.send_pong(&payload, out).expect("it is open");
                arrives.push(Seen::Pong(payload));
            }
        }
        let last = n + 1 == pieces.len();
        let sent = if is_text {
            text.extend_from_slice(piece);
            let whole = std::str::from_utf8(&text).map_or_else(|e| e.valid_up_to(), str::len);
            let characters: Vec<u8> = text.drain(..whole).collect();
            let characters = String::from_utf8(characters).expect("valid up to there");
            connection.send_text_fragment(&characters, last, out)
        } else {
            connection.send_binary_fragment(piece, last, out)
        };
        sent.expect("this message is under way");
    }
    arrives
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn any_messages_sent_in_any_way_arrive(
        role in role(),
        messages in vec((message(), how()), 0..8),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let (mut sender, mut receiver) =
            (End::new(role, &Config::default()), End::new(peer(role), &Config::default()));
        let mut expected = Vec::new();
        for ((opcode, data), how) in &messages {
            let text = (*opcode == TEXT).then(|| std::str::from_utf8(data).expect("a text"));
            expected.extend(send(&mut sender, data, text, how));
        }
        for piece in pieces(&sender.out, &cuts) {
            receiver.read(piece);
        }
        prop_assert_eq!(receiver.seen, expected);
        prop_assert_eq!(receiver.connection.state(), State::Open);
        // Whole frames, masked or not as the role demands.
        parse(role, &sender.out);
    }
}

#[test]
fn a_clients_frames_have_different_keys_however_they_are_sent() {
    let mut end = End::new(Role::Client, &Config::default());
    let zeros = [0; 4];
    let mut keys = BTreeSet::new();
    for _ in 0..50 {
        let frame = end
            .connection
            .send_frame(&Frame::binary(&zeros), &mut SendScratch::default());
        let (connection, out) = (&mut end.connection, &mut end.out);
        let sent = [
            connection.send_binary(&zeros, &mut SendScratch::default(), out),
            connection.send_text("\0\0\0\0", &mut SendScratch::default(), out),
            connection.send_binary_fragment(&zeros, false, out),
            connection.send_ping(&zeros, out),
            connection.send_pong(&zeros, out),
            connection.send_binary_fragment(&zeros, true, out),
        ];
        assert_eq!(sent, [Ok(()); 6]);
        out.extend(frame.expect("between messages"));
    }
    let frames = end.out.chunks(10);
    assert_eq!(frames.len(), 350);
    for frame in frames {
        let (key, masked) = frame[2..].split_at(4);
        // The payload is zeros, so it shows the key.
        assert_eq!(key, masked);
        assert!(keys.insert(key), "{key:?} came twice");
    }
}
