//! [`Failure`]: why a connection did not open, or is no more. Counted by kind in the tally.

use core::fmt;
use std::io;

use wirefan_protocol::handshake::BadResponse;
use wirefan_protocol::{CloseCode, Error};

/// What went wrong with a connection.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not be connected.
    Connect(io::Error),
    /// The server answered the handshake with another status than 101.
    Refused(u16, String),
    /// The answer to the handshake breaks the protocol.
    Handshake(BadResponse),
    /// The answer of a raw server is not the constant one.
    RawHandshake,
    /// The server ended the connection before it had answered.
    EndInHandshake,
    /// Nothing came for too long.
    NotOpened,
    /// The server closed.
    Closed(Option<CloseCode>),
    /// The server ended the connection without a Close.
    End,
    /// The transport broke.
    Broken(io::Error),
    /// The server broke the protocol.
    Protocol(Error),
    /// The server did not answer a Close with one.
    NotClosed,
    /// Bytes of a raw server are not those that were sent.
    Bytes,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                write!(
                    f,
                    "cannot connect: no local port is free, wait a minute or use fewer connections"
                )
            }
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Refused(status, reason) if reason.is_empty() => {
                write!(f, "handshake refused with {status}")
            }
            Self::Refused(status, reason) => write!(f, "handshake refused with {status} {reason}"),
            Self::Handshake(why) => write!(f, "invalid handshake: {why}"),
            Self::RawHandshake => f.write_str("invalid handshake: not the 101 of a raw echo"),
            Self::EndInHandshake => f.write_str("ended by the server during the handshake"),
            Self::NotOpened => f.write_str("no answer to the handshake in time"),
            Self::Closed(Some(code)) => write!(f, "closed by the server with {}", code.0),
            Self::Closed(None) => f.write_str("closed by the server without a code"),
            Self::End => f.write_str("ended by the server without a Close"),
            Self::Broken(error) => write!(f, "connection broken: {error}"),
            Self::Protocol(error) => write!(f, "protocol error of the server: {error}"),
            Self::NotClosed => f.write_str("no answer to a Close in time"),
            Self::Bytes => f.write_str("other bytes than those that were sent"),
        }
    }
}
