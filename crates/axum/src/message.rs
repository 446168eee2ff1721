//! [`Message`] and [`CloseFrame`], shaped as axum's: the code of a Close is a number.

use axum_core::Error;
use bytes::Bytes;
use wirefan_tokio::Utf8Bytes;

/// Why a connection is closed (RFC 6455 §7.4).
pub type CloseCode = u16;

/// The code and the reason of a Close.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CloseFrame {
    /// Why.
    pub code: CloseCode,
    /// For people and logs; at most 123 bytes.
    pub reason: Utf8Bytes,
}

/// A message, or a control frame.
///
/// ```
/// use wirefan_axum::{CloseFrame, Message, close_code};
///
/// assert_eq!(Message::from("hello"), Message::text("hello"));
/// assert_eq!(Message::binary(vec![1, 2]).into_data(), vec![1, 2]);
/// let close = CloseFrame { code: close_code::NORMAL, reason: "done".into() };
/// assert_eq!(Message::Close(Some(close)).to_text()?, "done");
/// # Ok::<(), axum::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// UTF-8.
    Text(Utf8Bytes),
    /// Any bytes.
    Binary(Bytes),
    /// A ping, of at most 125 bytes. One that arrives has been answered already.
    Ping(Bytes),
    /// A pong, of at most 125 bytes, asked for or not.
    Pong(Bytes),
    /// A Close. One that arrives has been answered already, and is the last message.
    Close(Option<CloseFrame>),
}

impl Message {
    /// A text message.
    pub fn text(text: impl Into<Utf8Bytes>) -> Self {
        Self::Text(text.into())
    }

    /// A binary message.
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self::Binary(data.into())
    }

    /// The payload, not copied; of a Close its reason.
    pub fn into_data(self) -> Bytes {
        match self {
            Self::Text(text) => text.into(),
            Self::Binary(data) | Self::Ping(data) | Self::Pong(data) => data,
            Self::Close(frame) => frame.map_or_else(Bytes::new, |frame| frame.reason.into()),
        }
    }

    /// The payload as text, not copied.
    ///
    /// # Errors
    ///
    /// It is not UTF-8.
    pub fn into_text(self) -> Result<Utf8Bytes, Error> {
        match self {
            Self::Text(text) => Ok(text),
            other => other.into_data().try_into().map_err(Error::new),
        }
    }

    /// The payload as text.
    ///
    /// # Errors
    ///
    /// It is not UTF-8.
    pub fn to_text(&self) -> Result<&str, Error> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Binary(data) | Self::Ping(data) | Self::Pong(data) => {
                str::from_utf8(data).map_err(Error::new)
            }
            Self::Close(frame) => Ok(frame.as_ref().map_or("", |frame| &frame.reason)),
        }
    }
}

impl From<wirefan_tokio::Message> for Message {
    fn from(message: wirefan_tokio::Message) -> Self {
        match message {
            wirefan_tokio::Message::Text(text) => Self::Text(text),
            wirefan_tokio::Message::Binary(data) => Self::Binary(data),
            wirefan_tokio::Message::Ping(data) => Self::Ping(data),
            wirefan_tokio::Message::Pong(data) => Self::Pong(data),
            wirefan_tokio::Message::Close(frame) => Self::Close(frame.map(|frame| CloseFrame {
                code: frame.code.0,
                reason: frame.reason,
            })),
        }
    }
}

impl From<Message> for wirefan_tokio::Message {
    fn from(message: Message) -> Self {
        match message {
            Message::Text(text) => Self::Text(text),
            Message::Binary(data) => Self::Binary(data),
            Message::Ping(data) => Self::Ping(data),
            Message::Pong(data) => Self::Pong(data),
            Message::Close(frame) => Self::Close(frame.map(|frame| wirefan_tokio::CloseFrame {
                code: wirefan_tokio::CloseCode(frame.code),
                reason: frame.reason,
            })),
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<&[u8]> for Message {
    fn from(data: &[u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(data))
    }
}

impl From<Vec<u8>> for Message {
    fn from(data: Vec<u8>) -> Self {
        Self::Binary(data.into())
    }
}

impl From<Bytes> for Message {
    fn from(data: Bytes) -> Self {
        Self::Binary(data)
    }
}

impl From<Message> for Vec<u8> {
    fn from(message: Message) -> Self {
        message.into_data().into()
    }
}

/// The codes that the RFC names, by axum's names.
pub mod close_code {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: u16 = 1000;
    /// The endpoint goes away.
    pub const AWAY: u16 = 1001;
    /// The peer broke the protocol.
    pub const PROTOCOL: u16 = 1002;
    /// A kind of data that is not accepted here.
    pub const UNSUPPORTED: u16 = 1003;
    /// The Close frame had no code. Never sent.
    pub const STATUS: u16 = 1005;
    /// The connection ended without a Close frame. Never sent.
    pub const ABNORMAL: u16 = 1006;
    /// Data that does not fit its type.
    pub const INVALID: u16 = 1007;
    /// A policy of this endpoint was broken.
    pub const POLICY: u16 = 1008;
    /// A message is too big to be processed.
    pub const SIZE: u16 = 1009;
    /// The client needs an extension that the server did not agree to.
    pub const EXTENSION: u16 = 1010;
    /// The server met something unexpected.
    pub const ERROR: u16 = 1011;
    /// The service restarts.
    pub const RESTART: u16 = 1012;
    /// Too busy; come back later.
    pub const AGAIN: u16 = 1013;
}
