//! Streams of bytes to throw at a connection: right ones, right ones gone wrong, and nonsense.

use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::FileFailurePersistence;
use wirefan_protocol::{Config, Role};

use super::{
    BINARY, CLOSE, PING, PONG, Raw, TEXT, close, continuation, frame, header, key, peer, ping,
    pong, wire,
};

/// The settings of a property that is tried so many times. What fails is kept beside the test's source.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

pub(crate) fn role() -> impl Strategy<Value = Role> {
    select(&super::ROLES[..])
}

/// Limits that streams of this size meet now and then, or the usual ones.
pub(crate) fn config() -> impl Strategy<Value = Config> {
    let tight = (0..300_usize, 0..6_u32, 0..4_u32);
    prop_oneof![Just(None), tight.prop_map(Some)].prop_map(|tight| {
        let mut config = Config::default();
        if let Some((max_message, max_fragments, max_empty_fragments)) = tight {
            config.max_message = max_message;
            config.max_fragments = max_fragments;
            config.max_empty_fragments = max_empty_fragments;
        }
        config
    })
}

/// The opcode and the payload of a message.
pub(crate) fn message() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let characters = vec(any::<char>(), 0..40).prop_map(|text| text.into_iter().collect());
    let text = characters.prop_map(|text: String| (TEXT, text.into_bytes()));
    let binary = vec(any::<u8>(), 0..40).prop_map(|data| (BINARY, data));
    // Where headers change their form.
    let lengths = select(vec![125, 126, 127, 128, 0xffff, 0x1_0000]);
    let border =
        (select(vec![TEXT, BINARY]), lengths).prop_map(|(kind, len)| (kind, vec![b'*'; len]));
    prop_oneof![8 => text, 4 => binary, 1 => border]
}

pub(crate) fn control() -> impl Strategy<Value = Raw> {
    let payload = prop_oneof![8 => vec(any::<u8>(), 0..10), 1 => vec(any::<u8>(), 120..126)];
    (any::<bool>(), payload).prop_map(|(is_ping, payload)| {
        if is_ping {
            ping(payload)
        } else {
            pong(payload)
        }
    })
}

/// Cuts `data` at these places.
pub(crate) fn pieces<'a>(data: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(data.len() + 1)).collect();
    cuts.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for cut in cuts {
        pieces.push(&data[from..cut]);
        from = cut;
    }
    pieces.push(&data[from..]);
    pieces
}

/// A message in fragments, with control frames between them.
fn fragmented() -> impl Strategy<Value = Vec<Raw>> {
    let between = vec((any::<Index>(), control()), 0..3);
    (message(), vec(any::<Index>(), 0..5), between).prop_map(|((opcode, data), cuts, between)| {
        let pieces = pieces(&data, &cuts);
        let mut frames: Vec<_> = pieces
            .iter()
            .map(|piece| continuation(piece).more())
            .collect();
        frames[0].opcode = opcode;
        frames[pieces.len() - 1].fin = true;
        for (place, control) in between {
            frames.insert(place.index(frames.len() + 1), control);
        }
        frames
    })
}

/// What a peer that breaks no rule sends.
pub(crate) fn right() -> impl Strategy<Value = Vec<Raw>> {
    let end = prop_oneof![
        Just(None),
        Just(Some(frame(CLOSE, ""))),
        (3000..5000_u16, vec(any::<char>(), 0..20))
            .prop_map(|(code, reason)| Some(close(code, String::from_iter(reason)))),
    ];
    (vec(fragmented(), 0..6), end)
        .prop_map(|(messages, end)| messages.into_iter().flatten().chain(end).collect())
}

/// What became of a byte on its way.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(u8),
    Delete,
    Insert(u8),
    Truncate,
}

/// A right stream with a few bytes gone wrong.
fn mutated(sender: Role) -> impl Strategy<Value = Vec<u8>> {
    let mutation = prop_oneof![
        6 => (0..8_u32).prop_map(|bit| Mutation::Flip(1 << bit)),
        2 => any::<u8>().prop_map(Mutation::Flip),
        1 => Just(Mutation::Delete),
        1 => any::<u8>().prop_map(Mutation::Insert),
        1 => Just(Mutation::Truncate),
    ];
    (right(), vec((any::<Index>(), mutation), 1..4)).prop_map(move |(frames, mutations)| {
        let mut bytes = wire(sender, &frames);
        for (place, mutation) in mutations {
            if bytes.is_empty() {
                break;
            }
            let place = place.index(bytes.len());
            match mutation {
                Mutation::Flip(bits) => bytes[place] ^= bits,
                Mutation::Delete => _ = bytes.remove(place),
                Mutation::Insert(byte) => bytes.insert(place, byte),
                Mutation::Truncate => bytes.truncate(place),
            }
        }
        bytes
    })
}

/// How the length stands in a header.
#[derive(Clone, Debug)]
enum Length {
    Right,
    /// More is claimed than follows.
    Claim(u64),
    /// In two bytes, needed or not.
    Two,
    /// In eight bytes, needed or not.
    Eight,
    TopBit,
}

/// Frames that have nothing to do with one another.
fn unrelated(sender: Role) -> impl Strategy<Value = Vec<u8>> {
    let fin_and_opcode = prop_oneof![
        12 => (any::<bool>(), select(vec![0, TEXT, BINARY])),
        12 => (weighted(0.95), select(vec![CLOSE, PING, PONG])),
        1 => (any::<bool>(), 0..16_u8),
    ];
    let rsv = prop_oneof![24 => Just(0), 1 => 0..8_u8];
    let payload = (
        any::<u8>(),
        prop_oneof![8 => 0..12_usize, 1 => 120..130_usize],
    );
    let length = prop_oneof![
        24 => Just(Length::Right),
        1 => any::<u64>().prop_map(|len| Length::Claim(len >> (len & 63))),
        1 => Just(Length::Two),
        1 => Just(Length::Eight),
        1 => Just(Length::TopBit),
    ];
    let one = (fin_and_opcode, rsv, payload, length, weighted(0.97));
    vec(one, 0..12).prop_map(move |frames| {
        let mut bytes = Vec::new();
        for (n, ((fin, opcode), rsv, (byte, len), length, masked)) in frames.into_iter().enumerate()
        {
            let frame = Raw {
                fin,
                rsv,
                opcode,
                payload: vec![byte & 0x7f; len],
            };
            let key = key(if masked { sender } else { peer(sender) }, n);
            let right = header(&frame, len as u64, key);
            let (first, second) = (right[0], right[1] & 0x80);
            bytes.extend(match length {
                Length::Right => right.clone(),
                Length::Claim(len) => header(&frame, len, key),
                Length::Two => vec![first, second | 126, 0, len as u8],
                Length::Eight => vec![first, second | 127, 0, 0, 0, 0, 0, 0, 0, len as u8],
                Length::TopBit => vec![first, second | 127, 0x80, 0, 0, 0, 0, 0, 0, len as u8],
            });
            if matches!(length, Length::Two | Length::Eight | Length::TopBit) {
                bytes.extend(key.into_iter().flatten());
            }
            bytes.extend(&frame.encode(key)[right.len()..]);
        }
        bytes
    })
}

/// Any bytes that a peer of this role may come up with.
pub(crate) fn any_bytes(sender: Role) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => right().prop_map(move |frames| wire(sender, &frames)),
        4 => mutated(sender),
        4 => unrelated(sender),
        1 => vec(any::<u8>(), 0..60),
    ]
}
