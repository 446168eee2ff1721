//! Shared history: peers that come, go, lose messages and get private ones in between inflate every message of their
//! room to the right bytes. The judge is zlib itself, one inflater for each peer.
#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use flate2::{Decompress, FlushDecompress};
use proptest::prelude::*;
use wirefan_protocol::handshake::negotiate;
use wirefan_protocol::{
    Cohort, Config, Connection, DeflateConfig, Frame, Header, InStep, Kind, SendScratch,
};

/// Rules that a test breaks, to see that it would be noticed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Broken {
    None,
    /// A peer that lost a message is sent the next one all the same.
    LossUnnoticed,
    /// A private message is compressed while the peer is in step.
    PrivateCompressed,
    /// A peer that joins between two keyframes is sent what the others are.
    JoinsAnywhere,
}

#[derive(Clone, Debug)]
enum Operation {
    Publish { seed: u16, dropped_by: Vec<usize> },
    Private { to: usize, seed: u16 },
    Join,
    Leave { who: usize },
    Turn,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        12 => (any::<u16>(), prop::collection::vec(0_usize..20, 0..2))
            .prop_map(|(seed, dropped_by)| Operation::Publish { seed, dropped_by }),
        2 => (0_usize..20, any::<u16>()).prop_map(|(to, seed)| Operation::Private { to, seed }),
        1 => Just(Operation::Join),
        1 => (0_usize..20).prop_map(|who| Operation::Leave { who }),
        4 => Just(Operation::Turn),
    ]
}

struct Peer {
    connection: Connection,
    in_step: InStep,
    inflater: Decompress,
}

impl Peer {
    fn new(config: &Arc<Config>, synchronized: Option<InStep>) -> Self {
        let agreed = negotiate([&b"permessage-deflate"[..]], config).unwrap().0;
        Self {
            connection: Connection::server(Arc::clone(config), agreed),
            in_step: synchronized.unwrap_or_default(),
            inflater: Decompress::new(false),
        }
    }

    /// What the peer makes of a frame.
    fn receive(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let (header, used) = Header::decode(frame).unwrap().unwrap();
        let mut payload = frame[used..].to_vec();
        assert_eq!(payload.len() as u64, header.len);
        if header.rsv1 {
            payload.extend_from_slice(&[0, 0, 0xff, 0xff]);
            let mut content = Vec::with_capacity(64 * 1024);
            self.inflater
                .decompress_vec(&payload, &mut content, FlushDecompress::Sync)
                .ok()?;
            payload = content;
        }
        Some(payload)
    }
}

fn message(seed: u16) -> Vec<u8> {
    match seed % 50 {
        0 => Vec::new(),
        // Noise, which does not shrink.
        1 => (0..200_u32)
            .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(u32::from(seed)) >> 24) as u8)
            .collect(),
        _ => format!(
            "{{\"symbol\":\"S{}\",\"bid\":{}.{:02},\"ask\":{}.{:02},\"time\":17000{:05}}}",
            seed % 7,
            seed % 300,
            seed % 100,
            seed % 301,
            seed % 99,
            seed
        )
        .into_bytes(),
    }
}

/// How many messages were right, how many of these came from the cohort; `Err`: a peer got wrong bytes.
fn run(operations: &[Operation], keyframe: u32, broken: Broken) -> Result<(usize, usize), String> {
    let mut config = Config::default();
    let mut deflate = DeflateConfig::default();
    deflate.shared_history = Some(keyframe);
    deflate.min_len = 0;
    config.deflate = Some(deflate);
    let config = Arc::new(config);
    let mut cohort = Cohort::new(3, keyframe);
    let mut scratch = SendScratch::default();
    let mut peers: Vec<Peer> = (0..3).map(|_| Peer::new(&config, None)).collect();
    let mut synchronized = InStep::default();
    let (mut right, mut shared) = (0, 0);
    cohort.begin();
    for operation in operations {
        match operation {
            Operation::Turn => cohort.begin(),
            Operation::Join => {
                let in_step = (broken == Broken::JoinsAnywhere).then_some(synchronized);
                peers.push(Peer::new(&config, in_step));
            }
            Operation::Leave { who } => {
                if peers.len() > 1 {
                    peers.remove(who % peers.len());
                }
            }
            Operation::Private { to, seed } => {
                let to = to % peers.len();
                let peer = &mut peers[to];
                let (message, mut out) = (message(*seed), Vec::new());
                if peer.in_step.is_in_step() && broken != Broken::PrivateCompressed {
                    out.extend_from_slice(Frame::binary(&message).bytes());
                } else {
                    peer.connection
                        .send(Kind::Binary, &message, &mut scratch, &mut out)
                        .unwrap();
                }
                if peer.receive(&out).as_deref() != Some(&message) {
                    return Err("a private message".into());
                }
                right += 1;
            }
            Operation::Publish { seed, dropped_by } => {
                let message = message(*seed);
                let frame = Frame::binary(&message);
                let mut compressed = Vec::new();
                let place = cohort.compress(Kind::Binary, &message, &mut compressed);
                if let Some(place) = place {
                    synchronized.follows(place);
                }
                let count = peers.len();
                for (i, peer) in peers.iter_mut().enumerate() {
                    if dropped_by.iter().any(|who| who % count == i) {
                        if broken == Broken::LossUnnoticed {
                            if let Some(place) = place {
                                peer.in_step.follows(place);
                            }
                        } else {
                            peer.in_step.lose();
                        }
                        continue;
                    }
                    let bytes = match place {
                        Some(place) if peer.in_step.follows(place) => {
                            shared += 1;
                            compressed.clone()
                        }
                        // In step, but with a message that did not shrink: uncompressed as well.
                        _ if peer.in_step.is_in_step() => frame.bytes().to_vec(),
                        _ => peer
                            .connection
                            .send_frame(&frame, &mut scratch)
                            .unwrap()
                            .to_vec(),
                    };
                    if peer.receive(&bytes).as_deref() != Some(&message) {
                        return Err(format!("a message of the room, to peer {i}"));
                    }
                    right += 1;
                }
            }
        }
    }
    Ok((right, shared))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_wrong_byte_whoever_comes_goes_and_loses(
        operations in prop::collection::vec(operation(), 1..400),
        keyframe in prop_oneof![Just(1_u32), 2..20_u32, Just(256_u32)],
    ) {
        prop_assert!(run(&operations, keyframe, Broken::None).is_ok());
    }
}

/// The same operations every time.
fn fixed(count: u32) -> Vec<Operation> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as u16
    };
    (0..count)
        .map(|_| match next() % 40 {
            0 => Operation::Join,
            1 => Operation::Leave { who: next().into() },
            2..=4 => Operation::Private {
                to: next().into(),
                seed: next(),
            },
            5..=12 => Operation::Turn,
            13 => Operation::Publish {
                seed: next(),
                dropped_by: vec![next().into()],
            },
            _ => Operation::Publish {
                seed: next(),
                dropped_by: Vec::new(),
            },
        })
        .collect()
}

#[test]
fn a_hundred_thousand_messages_without_a_wrong_byte() {
    let (mut right, mut shared) = (0, 0);
    for keyframe in [16, 64, 256] {
        let (more, more_shared) = run(&fixed(20_000), keyframe, Broken::None).unwrap();
        right += more;
        shared += more_shared;
    }
    assert!(right >= 100_000, "{right}");
    assert!(
        shared > right / 10,
        "{shared} of {right} were compressed with shared history"
    );
}

#[test]
fn each_broken_rule_is_noticed() {
    for broken in [
        Broken::LossUnnoticed,
        Broken::PrivateCompressed,
        Broken::JoinsAnywhere,
    ] {
        assert!(run(&fixed(2_000), 256, broken).is_err(), "{broken:?}");
    }
}
