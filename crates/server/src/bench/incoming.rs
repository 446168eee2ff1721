//! [`Incoming`]: what a connection has read, against what it was to read. Byte for byte as long as that goes well,
//! frame by frame from then on.

use std::sync::Arc;

use wirefan_protocol::{
    Config, Connection, Event, Header, Input, Kind, MaskKeys, Opcode, RecvScratch,
};

use super::cargo::{Cargo, sender_of};
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

/// The place in the frames that are expected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exact {
    /// The next byte of the ring.
    at: usize,
    /// How many bytes of the current frame have come.
    in_frame: usize,
    /// As they were sent, masked: from a raw server.
    raw: bool,
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

impl Exact {
    /// From message `first` on.
    pub(crate) fn new(cargo: &Cargo, first: u64, raw: bool) -> Self {
        let variant = (first % cargo.variants() as u64) as usize;
        let mut exact = Self {
            at: 0,
            in_frame: 0,
            raw,
        };
        exact.at = exact.ring(cargo).start(variant);
        exact
    }

    #[inline]
    fn ring<'c>(&self, cargo: &'c Cargo) -> &'c super::cargo::Ring {
        if self.raw {
            &cargo.masked
        } else {
            &cargo.plain
        }
    }

    /// Compares bytes with those that are expected: how many messages have become whole, and how many bytes at the
    /// front were right, up to the last whole message if not all of them.
    #[inline]
    fn compare(&mut self, cargo: &Cargo, bytes: &[u8]) -> (u64, usize) {
        let ring = self.ring(cargo).bytes();
        let frame = ring.len() / cargo.variants();
        let mut rest = bytes;
        let mut at = self.at;
        while !rest.is_empty() {
            let part = rest.len().min(ring.len() - at);
            if rest[..part] != ring[at..at + part] {
                return self.compare_frames(ring, frame, bytes);
            }
            rest = &rest[part..];
            at = (at + part) % ring.len();
        }
        let all = self.in_frame + bytes.len();
        *self = Self {
            at,
            in_frame: all % frame,
            raw: self.raw,
        };
        ((all / frame) as u64, bytes.len())
    }

    #[cold]
    fn compare_frames(&mut self, ring: &[u8], frame: usize, bytes: &[u8]) -> (u64, usize) {
        let (mut messages, mut used) = (0, 0);
        loop {
            let end = self.at + frame - self.in_frame;
            let Some(part) = bytes.get(used..used + end - self.at) else {
                return (messages, used);
            };
            if part != &ring[self.at..end] {
                return (messages, used);
            }
            used += part.len();
            messages += 1;
            self.at = end % ring.len();
            self.in_frame = 0;
        }
    }
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

    /// Behind whole messages comes something else: a ping, or the end of comparing.
    #[cold]
    fn differs(
        &mut self,
        bytes: &mut [u8],
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
        if exact.in_frame == 0
            && !exact.raw
            && let Ok(Some((header, used))) = Header::decode(bytes)
            && header.opcode == Opcode::Ping
            && let Some((ping, rest)) = bytes.split_at_mut_checked(used + header.len as usize)
        {
            let mut input = Input::new(ping);
            let event = connection.next_event(&mut input, expected.scratch, expected.out);
            if let Some(Event::Failed(error)) = event {
                return (received, Err(Failure::Protocol(error)));
            }
            drop(input);
            let (more, result) = self.take(rest, expected);
            received.right += more.right;
            return (
                Received {
                    right: received.right,
                    ..more
                },
                result,
            );
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
            Event::Ping(_) | Event::Pong(_) => continue,
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
        ledger.next += 1;
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
        Arrival::Again => received.again += 1,
    }
}
