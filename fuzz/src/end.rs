//! [`End`]: one end of a connection with a wire to the other, and a model of what the other must see. For `pair`.

use std::sync::Arc;

use arbitrary::Arbitrary;
use wirefan_protocol::{
    CloseCode, Config, Connection, Frame, Kind, RecvScratch, Role, SendError, SendScratch, State,
};

use crate::{Seen, connection, receive};

/// What a caller may do with a connection.
#[derive(Arbitrary, Debug)]
pub enum Operation<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
    TextFragment(&'a str, bool),
    BinaryFragment(&'a [u8], bool),
    Shared(&'a str),
    /// A header, and the payload right behind it.
    Header(&'a [u8]),
    Ping(&'a [u8]),
    Pong(&'a [u8]),
    Close(u16, &'a str),
}

/// One end of a connection.
pub struct End {
    pub connection: Connection,
    /// Written, and not yet read by the other end.
    pub wire: Vec<u8>,
    /// What the other end must see, and what this one has seen.
    pub sent: Vec<Seen>,
    pub seen: Vec<Seen>,
    scratch: RecvScratch,
    /// The fragments sent so far of a message.
    fragments: Option<(Kind, Vec<u8>)>,
}

impl End {
    pub fn new(role: Role) -> Self {
        let mut config = Config::default();
        config.max_empty_fragments = u32::MAX;
        Self {
            connection: connection(role, Arc::new(config)),
            wire: Vec::new(),
            sent: Vec::new(),
            seen: Vec::new(),
            scratch: RecvScratch::default(),
            fragments: None,
        }
    }

    /// Does it, and checks that a refusal has its reason and writes nothing.
    pub fn perform(&mut self, operation: &Operation<'_>) {
        let written = self.wire.len();
        let open = self.connection.state() == State::Open;
        match self.send(operation) {
            Ok(sent) => {
                assert!(open);
                self.sent.extend(sent);
            }
            Err(error) => {
                assert_eq!(self.wire.len(), written);
                assert!(error != SendError::AfterClose || !open);
                assert!(error != SendError::InsideMessage || self.fragments.is_some());
            }
        }
    }

    /// Reads up to `len` of the bytes that `other` has written, and follows the answers.
    pub fn read_from(&mut self, other: &mut Self, len: usize) {
        let mut piece: Vec<u8> = other.wire.drain(..len.min(other.wire.len())).collect();
        let open = self.connection.state() == State::Open;
        let events = receive(
            &mut self.connection,
            &mut piece,
            &mut self.scratch,
            &mut self.wire,
        );
        for event in &events {
            match event {
                Seen::Failed(error) => panic!("{error}"),
                Seen::Ping(payload) if open => self.sent.push(Seen::Pong(payload.clone())),
                Seen::Close(frame) if open => {
                    let echo = frame.as_ref().map(|(code, _)| (*code, String::new()));
                    self.sent.push(Seen::Close(echo));
                }
                _ => {}
            }
        }
        self.seen.extend(events);
    }

    /// Sends, and returns what the other end must see of it.
    fn send(&mut self, operation: &Operation<'_>) -> Result<Option<Seen>, SendError> {
        let Self {
            connection, wire, ..
        } = self;
        Ok(Some(match *operation {
            Operation::Text(text) => {
                connection.send_text(text, &mut SendScratch::default(), wire)?;
                Seen::Text(text.into())
            }
            Operation::Binary(data) => {
                connection.send_binary(data, &mut SendScratch::default(), wire)?;
                Seen::Binary(data.into())
            }
            Operation::TextFragment(text, last) => {
                connection.send_text_fragment(text, last, wire)?;
                return Ok(self.add_fragment(Kind::Text, text.as_bytes(), last));
            }
            Operation::BinaryFragment(data, last) => {
                connection.send_binary_fragment(data, last, wire)?;
                return Ok(self.add_fragment(Kind::Binary, data, last));
            }
            Operation::Shared(text) => {
                wire.extend(
                    connection.send_frame(&Frame::text(text), &mut SendScratch::default())?,
                );
                Seen::Text(text.into())
            }
            Operation::Header(data) => {
                let header = connection.send_header(Kind::Binary, data.len())?;
                wire.extend_from_slice(&header);
                wire.extend_from_slice(data);
                Seen::Binary(data.into())
            }
            Operation::Ping(payload) => {
                connection.send_ping(payload, wire)?;
                Seen::Ping(payload.into())
            }
            Operation::Pong(payload) => {
                connection.send_pong(payload, wire)?;
                Seen::Pong(payload.into())
            }
            Operation::Close(code, reason) => {
                connection.close(CloseCode(code), reason, wire)?;
                let without_code = code == CloseCode::NO_STATUS.0;
                Seen::Close((!without_code).then(|| (code, reason.into())))
            }
        }))
    }

    fn add_fragment(&mut self, kind: Kind, payload: &[u8], last: bool) -> Option<Seen> {
        let (begun, message) = self.fragments.get_or_insert_with(|| (kind, Vec::new()));
        assert_eq!(*begun, kind, "fragments of two messages are mixed");
        message.extend(payload);
        if !last {
            return None;
        }
        let (_, message) = self.fragments.take()?;
        Some(match kind {
            Kind::Text => Seen::Text(String::from_utf8(message).expect("it was text")),
            Kind::Binary => Seen::Binary(message),
        })
    }
}
