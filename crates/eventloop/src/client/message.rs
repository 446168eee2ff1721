//! [`OwnedMessage`]: a whole message that is kept, for the blocking form and for what waits while there is no connection.

use core::fmt;

use crate::Message;

/// A whole message that belongs to whoever has it.
#[derive(Clone, Eq, PartialEq)]
pub enum OwnedMessage {
    /// UTF-8.
    Text(String),
    /// Any bytes.
    Binary(Vec<u8>),
}

impl OwnedMessage {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// The bytes, whatever they are.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(data) => data,
        }
    }

    /// The same, borrowed.
    pub fn borrowed(&self) -> Message<'_> {
        match self {
            Self::Text(text) => Message::Text(text),
            Self::Binary(data) => Message::Binary(data),
        }
    }

    /// The length in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl From<Message<'_>> for OwnedMessage {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.into()),
            Message::Binary(data) => Self::Binary(data.into()),
        }
    }
}

impl From<&str> for OwnedMessage {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for OwnedMessage {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&[u8]> for OwnedMessage {
    fn from(data: &[u8]) -> Self {
        Self::Binary(data.into())
    }
}

impl From<Vec<u8>> for OwnedMessage {
    fn from(data: Vec<u8>) -> Self {
        Self::Binary(data)
    }
}

// Long messages are cut, so that a log stays one.
impl fmt::Debug for OwnedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 80;
        match self {
            Self::Text(text) if text.len() <= SHOWN => write!(f, "Text({text:?})"),
            Self::Text(text) => {
                let end = (0..=SHOWN).rev().find(|end| text.is_char_boundary(*end));
                let shown = &text[..end.unwrap_or(0)];
                write!(f, "Text({shown:?}…, {} bytes)", text.len())
            }
            Self::Binary(data) => write!(f, "Binary({} bytes)", data.len()),
        }
    }
}
