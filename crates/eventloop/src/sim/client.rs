//! [`Client`]: a peer of the simulated server, driven by the protocol crate's client connection. It reads as fast or as
//! slowly as it is told, and notes all it sees.

use std::sync::Arc;

use wirefan_protocol::handshake::{Answer, ClientHandshake, ClientRequest};
use wirefan_protocol::{
    CloseCode, Config, Connection, DeflateConfig, Error, Event, Input, RecvScratch, SendScratch,
    State,
};

use super::net::{Got, Line};
use super::secure::Secure;

/// What a client has seen of the server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Seen {
    Open,
    Text(String),
    Binary(Vec<u8>),
    Ping,
    Pong(Vec<u8>),
    /// The server's Close.
    Close(Option<u16>),
    /// The server broke the protocol.
    Failed(Error),
    /// The server's side has ended.
    End,
    Reset,
}

/// How a client behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mood {
    /// Whether it reads at all.
    pub(super) reads: bool,
    /// Bytes of one read, and the pause behind it in milliseconds.
    pub(super) gulp: usize,
    pub(super) pace: u64,
    /// Whether it sends what its connection answers to pings and Closes.
    pub(super) answers: bool,
    /// Whether it closes its socket when the connection is over.
    pub(super) leaves: bool,
}

impl Mood {
    pub(super) const PLAIN: Self = Self {
        reads: true,
        gulp: 64 * 1024,
        pace: 0,
        answers: true,
        leaves: true,
    };
}

pub(super) struct Client {
    pub(super) line: Line,
    pub(super) mood: Mood,
    pub(super) seen: Vec<Seen>,
    /// All bytes of a plain HTTP answer.
    pub(super) answer: Vec<u8>,
    /// What is between its words and the line, if it speaks TLS.
    pub(super) secure: Option<Box<Secure>>,
    stage: Stage,
    /// To be sent.
    out: Vec<u8>,
    scratch: RecvScratch,
    next_read: u64,
    gone: bool,
}

enum Stage {
    /// Only bytes.
    Plain,
    Asking(ClientHandshake),
    Open(Connection),
}

impl Client {
    /// A client that asks for a WebSocket.
    pub(super) fn new(line: Line, target: &str, seed: u64, deflate: Option<DeflateConfig>) -> Self {
        let mut config = Config::default();
        config.max_message = 64 * 1024 * 1024;
        config.deflate = deflate;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut out = Vec::new();
        let request = ClientRequest::new("sim", target);
        let asking = ClientHandshake::start(Arc::new(config), request, bytes, &mut out);
        Self::with(line, Stage::Asking(asking.unwrap()), out)
    }

    /// A client that sends these bytes and notes what is answered.
    pub(super) fn plain(line: Line, bytes: &[u8]) -> Self {
        Self::with(line, Stage::Plain, bytes.to_vec())
    }

    fn with(line: Line, stage: Stage, out: Vec<u8>) -> Self {
        Self {
            line,
            mood: Mood::PLAIN,
            seen: Vec::new(),
            answer: Vec::new(),
            secure: None,
            stage,
            out,
            scratch: RecvScratch::default(),
            next_read: 0,
            gone: false,
        }
    }

    /// The connection, once it is open.
    pub(super) fn connection(&mut self) -> Option<(&mut Connection, &mut Vec<u8>)> {
        match &mut self.stage {
            Stage::Open(connection) => Some((connection, &mut self.out)),
            _ => None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(&self.stage, Stage::Open(connection) if connection.state() == State::Open)
            && !self.is_over()
    }

    /// Nothing more will come of this client.
    pub(super) fn is_over(&self) -> bool {
        self.gone || matches!(self.seen.last(), Some(Seen::End | Seen::Reset))
    }

    pub(super) fn send_text(&mut self, text: &str) {
        let (connection, out) = self.connection().expect("an open connection");
        connection
            .send_text(text, &mut SendScratch::default(), out)
            .unwrap();
    }

    pub(super) fn send_binary(&mut self, data: &[u8]) {
        let (connection, out) = self.connection().expect("an open connection");
        connection
            .send_binary(data, &mut SendScratch::default(), out)
            .unwrap();
    }

    pub(super) fn send_ping(&mut self, payload: &[u8]) {
        let (connection, out) = self.connection().expect("an open connection");
        connection.send_ping(payload, out).unwrap();
    }

    pub(super) fn close(&mut self, code: u16) {
        let (connection, out) = self.connection().expect("an open connection");
        connection.close(CloseCode(code), "", out).unwrap();
    }

    /// Bytes that no connection would send.
    pub(super) fn send_raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Whether all it wanted to send has been sent.
    pub(super) fn has_sent(&self) -> bool {
        self.out.is_empty() && self.secure.as_ref().is_none_or(|secure| secure.is_empty())
    }

    pub(super) fn reset(&mut self) {
        self.gone = true;
        self.line.reset();
    }

    /// Ends its side; goes on reading.
    pub(super) fn finish(&self) {
        assert!(self.has_sent(), "the rest would be lost");
        self.line.finish();
    }

    /// Whether it would do something now.
    pub(super) fn is_due(&self, now: u64) -> bool {
        !self.gone
            && ((self.has_to_send() && self.line.has_room())
                || (self.mood.reads && self.next_read <= now && self.hears()))
    }

    /// When it would read on by itself.
    pub(super) fn next_step(&self) -> Option<u64> {
        (self.mood.reads && !self.gone && self.hears()).then_some(self.next_read)
    }

    fn has_to_send(&self) -> bool {
        match &self.secure {
            Some(secure) => secure.has_some(&self.out),
            None => !self.out.is_empty(),
        }
    }

    fn send(&mut self) {
        if let Some(secure) = &mut self.secure {
            return secure.send(&mut self.out, &self.line);
        }
        let sent = self.line.send(&self.out);
        self.out.drain(..sent);
    }

    fn hears(&self) -> bool {
        !self.is_over() && self.line.waits_for_client()
    }

    /// Sends what there is room for and reads once.
    pub(super) fn step(&mut self, now: u64) {
        if self.gone {
            return;
        }
        self.send();
        if !self.mood.reads || self.next_read > now || self.is_over() {
            return;
        }
        self.next_read = now + self.mood.pace;
        match self.line.receive(self.mood.gulp) {
            Got::Bytes(mut bytes) => {
                if let Some(secure) = &mut self.secure {
                    bytes = secure.open(&bytes);
                }
                self.take(&mut bytes);
            }
            Got::Nothing => {}
            Got::End => self.seen.push(Seen::End),
            Got::Reset => self.seen.push(Seen::Reset),
        }
        self.send();
        // RFC 6455 §7.1.1: the server ends the transport first.
        if self.mood.leaves && self.seen.last() == Some(&Seen::End) && self.has_sent() {
            self.gone = true;
            self.line.leave();
        }
    }

    fn take(&mut self, bytes: &mut [u8]) {
        let mut input = Input::new(bytes);
        match &mut self.stage {
            Stage::Plain => self.answer.extend_from_slice(input.into_rest()),
            Stage::Asking(handshake) => match handshake.next_response(&mut input) {
                None => {}
                Some(Answer::Accepted(connection, _)) => {
                    self.stage = Stage::Open(connection);
                    self.seen.push(Seen::Open);
                    self.events(input);
                }
                Some(Answer::Refused(response)) => {
                    let head = format!("{} ", response.status());
                    self.answer.extend_from_slice(head.as_bytes());
                    self.answer.extend_from_slice(response.body());
                    self.stage = Stage::Plain;
                }
                Some(Answer::Failed(why)) => panic!("the server's handshake: {why:?}"),
            },
            Stage::Open(_) => self.events(input),
        }
    }

    fn events(&mut self, mut input: Input<'_>) {
        let Stage::Open(connection) = &mut self.stage else {
            return;
        };
        let mut answers = Vec::new();
        while let Some(event) = connection.next_event(&mut input, &mut self.scratch, &mut answers) {
            self.seen.push(match event {
                Event::Text(text) => Seen::Text(text.into()),
                Event::Binary(data) => Seen::Binary(data.into()),
                Event::Ping(_) => Seen::Ping,
                Event::Pong(payload) => Seen::Pong(payload.into()),
                Event::Close(frame) => Seen::Close(frame.map(|frame| frame.code.0)),
                Event::Failed(error) => Seen::Failed(error),
            });
        }
        if self.mood.answers {
            self.out.append(&mut answers);
        }
    }

    /// The messages it has seen, as text.
    pub(super) fn texts(&self) -> Vec<&str> {
        self.seen
            .iter()
            .filter_map(|seen| match seen {
                Seen::Text(text) => Some(&**text),
                _ => None,
            })
            .collect()
    }

    pub(super) fn count(&self, which: impl Fn(&Seen) -> bool) -> usize {
        self.seen.iter().filter(|seen| which(seen)).count()
    }

    /// The server's Close and what became of the transport behind it.
    pub(super) fn ending(&self) -> (Option<u16>, bool) {
        let code = self.seen.iter().find_map(|seen| match seen {
            Seen::Close(code) => Some(code.unwrap_or(1005)),
            _ => None,
        });
        (code, self.seen.last() == Some(&Seen::End))
    }
}
