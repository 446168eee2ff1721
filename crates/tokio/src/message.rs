//! [`Message`] and [`CloseFrame`]: what a stream yields and a sink takes, in the shape that tungstenite made common.

use bytes::Bytes;
use wirefan_protocol::{CloseCode, SendError};

use crate::Utf8Bytes;

/// A message, or a control frame.
///
/// ```
/// use wirefan_tokio::{CloseCode, CloseFrame, Message};
///
/// let hello = Message::from("hello");
/// assert_eq!(hello.to_text(), Some("hello"));
/// assert_eq!(hello.into_data(), "hello");
/// let close = Message::Close(Some(CloseFrame { code: CloseCode::NORMAL, reason: "done".into() }));
/// assert!(close.is_close());
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

/// The code and the reason of a Close.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CloseFrame {
    /// Why.
    pub code: CloseCode,
    /// For people and logs; at most 123 bytes.
    pub reason: Utf8Bytes,
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

    /// Whether this is [`Message::Text`].
    pub const fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// Whether this is [`Message::Binary`].
    pub const fn is_binary(&self) -> bool {
        matches!(self, Self::Binary(_))
    }

    /// Whether this is [`Message::Ping`].
    pub const fn is_ping(&self) -> bool {
        matches!(self, Self::Ping(_))
    }

    /// Whether this is [`Message::Pong`].
    pub const fn is_pong(&self) -> bool {
        matches!(self, Self::Pong(_))
    }

    /// Whether this is [`Message::Close`].
    pub const fn is_close(&self) -> bool {
        matches!(self, Self::Close(_))
    }

    /// The payload; of a Close its reason.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(data) | Self::Ping(data) | Self::Pong(data) => data,
            Self::Close(frame) => frame.as_ref().map_or(&[], |frame| frame.reason.as_bytes()),
        }
    }

    /// The payload, not copied; of a Close its reason.
    pub fn into_data(self) -> Bytes {
        match self {
            Self::Text(text) => text.into(),
            Self::Binary(data) | Self::Ping(data) | Self::Pong(data) => data,
            Self::Close(frame) => frame.map_or_else(Bytes::new, |frame| frame.reason.into()),
        }
    }

    /// The payload as text, if it is UTF-8.
    pub fn to_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            other => str::from_utf8(other.as_bytes()).ok(),
        }
    }

    /// Whether it may be sent at all, on a connection that is open.
    pub(crate) fn check(&self) -> Result<(), SendError> {
        match self {
            Self::Ping(data) | Self::Pong(data) if data.len() > 125 => {
                Err(SendError::ControlTooLong)
            }
            Self::Close(Some(frame)) => frame.check(),
            _ => Ok(()),
        }
    }
}

impl CloseFrame {
    fn check(&self) -> Result<(), SendError> {
        if self.code == CloseCode::NO_STATUS && self.reason.is_empty() {
            Ok(())
        } else if !self.code.is_sendable() {
            Err(SendError::InvalidCloseCode)
        } else if self.reason.len() > 123 {
            Err(SendError::ReasonTooLong)
        } else {
            Ok(())
        }
    }
}

impl From<wirefan_protocol::CloseFrame<'_>> for CloseFrame {
    fn from(frame: wirefan_protocol::CloseFrame<'_>) -> Self {
        Self {
            code: frame.code,
            reason: frame.reason.into(),
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

impl From<Utf8Bytes> for Message {
    fn from(text: Utf8Bytes) -> Self {
        Self::Text(text)
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
