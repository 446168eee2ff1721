//! [`Incoming`]: what a connection has read, against what it was to read. Byte for byte as long as that goes well,
//! frame by frame from then on.

use std::sync::Arc;

use wirefan_protocol::{
    Config, Connection, Event, Header, Input, Kind, MaskKeys, Opcode, RecvScratch,
};

use super::cargo::{Cargo, sender_of};
use super::exact::Exact;
use super::failure::Failure;
use super::ledger::{Arrival, Ledger};

/// The receiving end of a connection.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// One sender, and bytes that are known beforehand.
    Bytes(Exact),
    /// Anything else: several senders, compression, or bytes that were not the expected ones.
    Frames(Box<Connection>),
    /// A raw publisher: nothing that comes concerns it.
    Nothing,
}

/// What has come of a number of bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Received {
    /// Messages that came and were right.
    pub(crate) right: u64,
    /// Messages that are to be taken for lost, unless they come late.
    pub(crate) skipped: u64,
    /// Messages with another content.
    pub(crate) wrong: u64,
    pub(crate) late: u64,
    pub(crate) again: u64,
    /// Bytes of whole frames that bring nothing which is waited for: pings, pongs, messages of others or again.
    pub(crate) aside: u64,
}

/// Who sends to this connection, and what it has.
pub(crate) struct Expected<'a> {
    pub(crate) cargos: &'a [Arc<Cargo>],
    /// For each sender. Empty: what comes is not looked at.
    pub(crate) ledgers: &'a mut [Ledger],
    /// For each sender how many messages it has sent.
    pub(crate) sent: &'a dyn Fn(usize) -> u64,
    pub(crate) config: &'a Arc<Config>,
    pub(crate) scratch: &'a mut RecvScratch,
    /// For pongs and Closes.
    pub(crate) out: &'a mut Vec<u8>,
}

impl Incoming {
    /// Takes what was read.
    #[inline]
    pub(crate) fn take(
        &mut self,
        bytes: &mut [u8],
        expected: Expected<'_>,
    ) -> (Received, Result<(), Failure>) {
        match self {
            Self::Bytes(exact) => {
                // There is one sender.
                let (right, used) = exact.compare(&expected.cargos[0], bytes);
                expected.ledgers[0].next += right;
                let received = Received {
                    right,
                    ..Received::default()
                };
                if used == bytes.len() {
                    return (received, Ok(()));
                }
                self.differs(&mut bytes[used..], received, expected)
            }
            Self::Frames(connection) => {
                let mut received = Received::default();
                let result = frames(connection, bytes, &mut received, expected);
                (received, result)
            }
            Self::Nothing => (Received::default(), Ok(())),
        }
    }

    /// Behind whole messages comes something else: pings, or the end of comparing.
    #[cold]
    fn differs(
        &mut self,
        mut bytes: &mut [u8],
        mut received: Received,
        expected: Expected<'_>,
    ) -> (Received, Result<(), Failure>) {
        let Self::Bytes(exact) = self else {
            return (received, Ok(()));
        };
        let agreed = wirefan_protocol::Agreed::default();
        let config = Arc::clone(expected.config);
        let mut connection = if exact.raw {
            Connection::server(config, agreed)
        } else {
            let keys = match super::dial::seed() {
                Ok(seed) => MaskKeys::from_seed(seed),
                Err(error) => return (received, Err(Failure::Broken(error))),
            };
            Connection::client(config, agreed, keys)
        };
        while exact.in_frame == 0
            && !exact.raw
            && let Some(len) = whole_ping(bytes)
        {
            let (ping, rest) = bytes.split_at_mut(len);
            let mut input = Input::new(ping);
            let event = connection.next_event(&mut input, expected.scratch, expected.out);
            if let Some(Event::Failed(error)) = event {
                return (received, Err(Failure::Protocol(error)));
            }
            received.aside += len as u64;
            let (right, used) = exact.compare(&expected.cargos[0], rest);
            expected.ledgers[0].next += right;
            received.right += right;
            bytes = &mut rest[used..];
            if bytes.is_empty() {
                return (received, Ok(()));
            }
        }
        // What has come of the current frame was as expected: it is still there to be read.
        let ring = exact.ring(&expected.cargos[0]).bytes();
        let mut begun = ring[exact.at - exact.in_frame..exact.at].to_vec();
        let Expected {
            cargos,
            ledgers,
            sent,
            config,
            scratch,
            out,
        } = expected;
        for bytes in [&mut *begun, bytes] {
            let expected = Expected {
                cargos,
                ledgers: &mut *ledgers,
                sent,
                config,
                scratch: &mut *scratch,
                out: &mut *out,
            };
            if let Err(failure) = frames(&mut connection, bytes, &mut received, expected) {
                return (received, Err(failure));
            }
        }
        *self = Self::Frames(Box::new(connection));
        (received, Ok(()))
    }
}

/// The length of a ping at the front, if all of it is there.
fn whole_ping(bytes: &[u8]) -> Option<usize> {
    let (header, used) = Header::decode(bytes).ok()??;
    let len = usize::try_from(header.len).ok()?.checked_add(used)?;
    (header.opcode == Opcode::Ping && len <= bytes.len()).then_some(len)
}

/// Frame by frame.
fn frames(
    connection: &mut Connection,
    bytes: &mut [u8],
    received: &mut Received,
    expected: Expected<'_>,
) -> Result<(), Failure> {
    let mut input = Input::new(bytes);
    while let Some(event) = connection.next_event(&mut input, expected.scratch, expected.out) {
        let (kind, payload) = match event {
            Event::Text(text) => (Kind::Text, text.as_bytes()),
            Event::Binary(data) => (Kind::Binary, data),
            Event::Ping(payload) | Event::Pong(payload) => {
                // RFC 6455 §5.5: its length fits the second byte.
                received.aside += 2 + payload.len() as u64;
                continue;
            }
            Event::Close(frame) => return Err(Failure::Closed(frame.map(|frame| frame.code))),
            Event::Failed(error) => return Err(Failure::Protocol(error)),
        };
        if expected.ledgers.is_empty() {
            continue;
        }
        message(
            kind,
            payload,
            received,
            expected.cargos,
            expected.ledgers,
            expected.sent,
        );
    }
    Ok(())
}

#[inline]
fn message(
    kind: Kind,
    payload: &[u8],
    received: &mut Received,
    cargos: &[Arc<Cargo>],
    ledgers: &mut [Ledger],
    sent: &dyn Fn(usize) -> u64,
) {
    let sender = if cargos.len() == 1 {
        0
    } else {
        sender_of(payload).unwrap_or(usize::MAX)
    };
    let (Some(cargo), Some(ledger)) = (cargos.get(sender), ledgers.get_mut(sender)) else {
        received.wrong += 1;
        received.aside += frame_len(kind, payload);
        return;
    };
    let variants = cargo.variants();
    let next = (ledger.next % variants as u64) as usize;
    let variant = if payload == cargo.payload(next) {
        Some(next)
    } else {
        cargo.variant_of(payload)
    };
    let Some(variant) = variant.filter(|_| kind == cargo.kind) else {
        // Whichever it was meant to be: taken for the next one.
        received.wrong += 1;
        if ledger.next < sent(sender) {
            ledger.next += 1;
        } else {
            received.aside += frame_len(kind, payload);
        }
        return;
    };
    match ledger.arrived(variant, variants, sent(sender)) {
        Arrival::Ahead(skipped) => {
            received.skipped += skipped;
            received.right += 1;
        }
        Arrival::Late => {
            received.right += 1;
            received.late += 1;
        }
        Arrival::Again => {
            received.again += 1;
            received.aside += frame_len(kind, payload);
        }
    }
}

/// Of a message in one frame.
fn frame_len(kind: Kind, payload: &[u8]) -> u64 {
    (Header::of_message(kind, payload.len()).encode().len() + payload.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::cargo::Lading;
    use crate::bench::options::Payload;

    fn cargo() -> Arc<Cargo> {
        let lading = Lading {
            size: 12,
            payload: Payload::Ascii,
            in_flight: 1,
            named: false,
        };
        Arc::new(Cargo::new(lading, 0, || [1, 2, 3, 4]))
    }

    /// What comes of a stream from message 3 on, in reads of so many bytes; and the answers.
    fn read(stream: &[u8], most: usize, raw: bool) -> (Received, Option<Failure>, Vec<u8>) {
        let cargo = cargo();
        let mut incoming = Incoming::Bytes(Exact::new(&cargo, 3, raw));
        let (mut ledgers, mut out) = ([Ledger::new(3)], Vec::new());
        let mut sum = Received::default();
        for part in stream.chunks(most) {
            let expected = Expected {
                cargos: std::slice::from_ref(&cargo),
                ledgers: &mut ledgers,
                sent: &|_| 3 + 50,
                config: &Arc::default(),
                scratch: &mut RecvScratch::default(),
                out: &mut out,
            };
            let (received, result) = incoming.take(&mut part.to_vec(), expected);
            sum.right += received.right;
            sum.skipped += received.skipped;
            sum.wrong += received.wrong;
            sum.late += received.late;
            sum.again += received.again;
            sum.aside += received.aside;
            if let Err(failure) = result {
                return (sum, Some(failure), out);
            }
        }
        (sum, None, out)
    }

    fn frames(numbers: impl Iterator<Item = usize>, raw: bool) -> Vec<u8> {
        let cargo = cargo();
        let ring = if raw { &cargo.masked } else { &cargo.plain };
        let frames = numbers.map(|number| ring.frame(number % cargo.variants()));
        frames.flatten().copied().collect()
    }

    #[test]
    fn the_expected_bytes_in_any_cut() {
        for raw in [false, true] {
            let stream = frames(3..53, raw);
            for most in 1..100 {
                let (received, failure, out) = read(&stream, most, raw);
                assert!(failure.is_none() && out.is_empty());
                let right = Received {
                    right: 50,
                    ..Received::default()
                };
                assert_eq!(received, right, "{most}");
            }
        }
    }

    #[test]
    fn a_ping_between_messages_is_answered_in_any_cut() {
        let stream = [
            frames(3..20, false),
            b"\x89\x02hi".to_vec(),
            frames(20..53, false),
        ]
        .concat();
        for most in 1..300 {
            let (received, failure, out) = read(&stream, most, false);
            assert!(failure.is_none(), "{most}");
            assert_eq!(
                (received.right, received.wrong, received.aside),
                (50, 0, 4),
                "{most}"
            );
            assert_eq!((out.len(), &out[..2]), (8, &[0x8a, 0x82][..]));
        }
    }

    #[test]
    fn a_read_full_of_pings_needs_no_stack() {
        const PINGS: usize = 50_000;

        let stream = [
            frames(3..20, false),
            b"\x89\x00".repeat(PINGS),
            frames(20..53, false),
        ]
        .concat();
        let (received, failure, out) = read(&stream, stream.len(), false);
        assert!(failure.is_none());
        assert_eq!((received.right, received.wrong), (50, 0));
        assert_eq!(received.aside, 2 * PINGS as u64);
        // An empty pong is a header and a key.
        assert_eq!(out.len(), 6 * PINGS);
    }

    #[test]
    fn what_differs_is_told_apart_in_any_cut() {
        let changed = {
            let mut stream = frames(3..53, false);
            stream[14 * 10 + 9] ^= 1;
            stream
        };
        let wrong = |right, skipped, wrong, late, again| Received {
            right,
            skipped,
            wrong,
            late,
            again,
            // What came again is waited for no more: 12 bytes and a header.
            aside: 14 * again,
        };
        for (stream, expected) in [
            (changed, wrong(49, 0, 1, 0, 0)),
            (frames((3..10).chain(12..53), false), wrong(48, 2, 0, 0, 0)),
            (
                frames((3..10).chain([11, 10]).chain(12..53), false),
                wrong(50, 1, 0, 1, 0),
            ),
            (frames((3..10).chain(9..53), false), wrong(50, 0, 0, 0, 1)),
        ] {
            for most in 1..100 {
                let (received, failure, _) = read(&stream, most, false);
                assert!(failure.is_none());
                assert_eq!(received, expected, "{most}");
            }
        }
    }

    #[test]
    fn a_close_in_any_cut() {
        let stream = [frames(3..20, false), b"\x88\x02\x03\xe9".to_vec()].concat();
        for most in 1..100 {
            let (received, failure, _) = read(&stream, most, false);
            assert_eq!(received.right, 17);
            assert!(matches!(failure, Some(Failure::Closed(Some(code))) if code.0 == 1001));
        }
    }
}
