//! What the tests of an open connection share: frames as they travel, right or wrong; a connection that is fed in
//! any pieces and keeps what it reported; and the slow decoder that it is compared with.
#![allow(dead_code, reason = "each test file uses its part of this one")]

use std::sync::Arc;

use wirefan_protocol::{
    Agreed, Config, Connection, Error, Event, Input, MaskKeys, RecvScratch, Role, SendScratch,
    State,
};

pub(crate) mod naive;
pub(crate) mod streams;

pub(crate) const ROLES: [Role; 2] = [Role::Server, Role::Client];

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

pub(crate) fn peer(role: Role) -> Role {
    match role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    }
}

/// A frame as it travels, right or wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Raw {
    pub(crate) fin: bool,
    /// The three reserved bits as one number: RSV1 is 4.
    pub(crate) rsv: u8,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn frame(opcode: u8, payload: impl AsRef<[u8]>) -> Raw {
    Raw {
        fin: true,
        rsv: 0,
        opcode,
        payload: payload.as_ref().to_vec(),
    }
}

pub(crate) fn text(payload: impl AsRef<[u8]>) -> Raw {
    frame(TEXT, payload)
}

pub(crate) fn binary(payload: impl AsRef<[u8]>) -> Raw {
    frame(BINARY, payload)
}

pub(crate) fn continuation(payload: impl AsRef<[u8]>) -> Raw {
    frame(CONTINUATION, payload)
}

pub(crate) fn ping(payload: impl AsRef<[u8]>) -> Raw {
    frame(PING, payload)
}

pub(crate) fn pong(payload: impl AsRef<[u8]>) -> Raw {
    frame(PONG, payload)
}

pub(crate) fn close(code: u16, reason: impl AsRef<[u8]>) -> Raw {
    frame(CLOSE, [&code.to_be_bytes(), reason.as_ref()].concat())
}

/// The Close that says what went wrong.
pub(crate) fn failure(error: Error) -> Raw {
    close(error.close_code().0, error.reason())
}

impl Raw {
    /// The same frame without the FIN bit.
    pub(crate) fn more(mut self) -> Self {
        self.fin = false;
        self
    }

    pub(crate) fn rsv(mut self, bits: u8) -> Self {
        self.rsv = bits;
        self
    }

    /// The bytes of the frame, masked if there is a key.
    pub(crate) fn encode(&self, key: Option<[u8; 4]>) -> Vec<u8> {
        let mut bytes = header(self, self.payload.len() as u64, key);
        let key = key.unwrap_or_default();
        bytes.extend(
            self.payload
                .iter()
                .zip(key.iter().cycle())
                .map(|(b, k)| b ^ k),
        );
        bytes
    }
}

/// The bytes of a header that declares `len`, in as few of them as it takes.
pub(crate) fn header(frame: &Raw, len: u64, key: Option<[u8; 4]>) -> Vec<u8> {
    let first = u8::from(frame.fin) << 7 | frame.rsv << 4 | frame.opcode;
    let mask = if key.is_some() { 0x80 } else { 0 };
    let mut bytes = match len {
        0..126 => vec![first, mask | len as u8],
        126..0x1_0000 => vec![first, mask | 126, (len >> 8) as u8, len as u8],
        _ => [&[first, mask | 127], &len.to_be_bytes()[..]].concat(),
    };
    bytes.extend(key.into_iter().flatten());
    bytes
}

/// The key of the `n`th frame of a client in these tests.
pub(crate) fn key(sender: Role, n: usize) -> Option<[u8; 4]> {
    (sender == Role::Client).then_some([0x37, 0xfa, n as u8, 0x80 | n as u8])
}

/// What `sender` writes.
pub(crate) fn wire(sender: Role, frames: &[Raw]) -> Vec<u8> {
    let frames = frames.iter().enumerate();
    frames
        .flat_map(|(n, frame)| frame.encode(key(sender, n)))
        .collect()
}

/// What `sender` wrote: whole frames, by the rules, with the mask that its role demands.
pub(crate) fn parse(sender: Role, mut bytes: &[u8]) -> Vec<Raw> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let head = naive::head(&mut bytes, sender == Role::Client).expect("a right header");
        let payload = naive::take(&mut bytes, head.len as usize).expect("a whole frame");
        frames.push(Raw {
            fin: head.fin,
            rsv: head.rsv,
            opcode: head.opcode,
            payload: naive::unmask(payload, head.key),
        });
    }
    frames
}

/// An event, kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    Failed(Error),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.into()),
            Event::Binary(data) => Self::Binary(data.into()),
            Event::Ping(payload) => Self::Ping(payload.into()),
            Event::Pong(payload) => Self::Pong(payload.into()),
            Event::Close(frame) => {
                Self::Close(frame.map(|frame| (frame.code.0, frame.reason.into())))
            }
            Event::Failed(error) => Self::Failed(error),
        }
    }
}

/// A connection with all that its owner has: what it reported is in `seen`, what it wrote in `out`.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) connection: Connection,
    pub(crate) scratch: RecvScratch,
    pub(crate) out: Vec<u8>,
    pub(crate) seen: Vec<Seen>,
    /// Whether messages are sent back.
    pub(crate) echo: bool,
    /// Whether it asks for whole messages before it asks for events.
    pub(crate) whole_first: bool,
}

impl End {
    pub(crate) fn new(role: Role, config: &Config) -> Self {
        let config = Arc::new(config.clone());
        Self {
            connection: match role {
                Role::Server => Connection::server(config, Agreed::default()),
                Role::Client => {
                    Connection::client(config, Agreed::default(), MaskKeys::from_seed([7; 32]))
                }
            },
            scratch: RecvScratch::default(),
            out: Vec::new(),
            seen: Vec::new(),
            echo: false,
            whole_first: false,
        }
    }

    pub(crate) fn echo(role: Role) -> Self {
        Self {
            echo: true,
            ..Self::new(role, &Config::default())
        }
    }

    pub(crate) fn role(&self) -> Role {
        self.connection.role()
    }

    pub(crate) fn state(&self) -> State {
        self.connection.state()
    }

    /// Reads `bytes` in one piece.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let mut input = Input::new(&mut bytes);
        loop {
            let whole = if self.whole_first {
                self.connection.next_whole(&mut input)
            } else {
                None
            };
            let (scratch, out) = (&mut self.scratch, &mut self.out);
            let event = whole.or_else(|| self.connection.next_event(&mut input, scratch, out));
            let Some(event) = event else { break };
            self.seen.push(event.into());
            // A peer's message may come behind our own Close, when there is no answering it.
            if self.echo && self.connection.state() == State::Open {
                let sent = match event {
                    Event::Text(text) => {
                        self.connection
                            .send_text(text, &mut SendScratch::default(), &mut self.out)
                    }
                    Event::Binary(data) => self.connection.send_binary(
                        data,
                        &mut SendScratch::default(),
                        &mut self.out,
                    ),
                    _ => Ok(()),
                };
                sent.expect("the connection is open");
            }
        }
        assert!(input.is_empty());
    }

    /// Reads frames of the peer's in one piece.
    pub(crate) fn receive(&mut self, frames: &[Raw]) {
        let bytes = wire(peer(self.role()), frames);
        self.read(&bytes);
    }

    /// Reads `bytes` in pieces that end at `cuts`, which ascend.
    pub(crate) fn read_cut(&mut self, bytes: &[u8], cuts: &[usize]) {
        let mut from = 0;
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            self.read(&bytes[from..cut]);
            from = cut;
        }
    }

    /// Tells that the transport has ended.
    pub(crate) fn end(&mut self) {
        self.seen
            .extend(self.connection.end_of_input().map(Seen::from));
    }

    /// What it wrote so far.
    pub(crate) fn sent(&self) -> Vec<Raw> {
        parse(self.role(), &self.out)
    }

    /// What it wrote since the last call.
    pub(crate) fn take_sent(&mut self) -> Vec<Raw> {
        let sent = self.sent();
        self.out.clear();
        sent
    }

    pub(crate) fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }
}

/// The ways to cut `len` bytes that every case is tried in: not at all; in two, at every byte (of long inputs: near
/// both ends and now and then between); octet by octet.
pub(crate) fn cuts(len: usize) -> impl Iterator<Item = Vec<usize>> {
    let in_two = (1..len)
        .filter(move |cut| len <= 512 || *cut < 32 || len - cut < 32 || cut.is_multiple_of(7919));
    let whole = [Vec::new()].into_iter();
    whole
        .chain(in_two.map(|cut| vec![cut]))
        .chain([(1..len).collect()])
}
