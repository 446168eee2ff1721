//! [`Frame`]: a message encoded once, for sending to many. Used by whoever broadcasts.

use alloc::sync::Arc;
#[cfg(feature = "deflate")]
use std::sync::OnceLock;

use bytes::{BufMut, Bytes, BytesMut};

#[cfg(feature = "deflate")]
use crate::SendScratch;
use crate::{Header, Kind};

/// A message encoded for sending, cheap to clone and to send to many.
///
/// It holds what servers send, unmasked; [`Connection::send_frame`](crate::Connection::send_frame) makes a masked
/// copy where a client sends it.
///
/// ```
/// use wirefan_protocol::{Frame, Kind};
///
/// let frame = Frame::text("Hello");
/// assert_eq!(frame.payload(), b"Hello");
/// assert_eq!(frame.kind(), Kind::Text);
/// assert_eq!(&frame.bytes()[..], b"\x81\x05Hello");
/// ```
#[derive(Clone, Debug)]
pub struct Frame {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bytes: Bytes,
    header_len: u8,
    kind: Kind,
    /// Made at first need; `None`: it would not be shorter.
    #[cfg(feature = "deflate")]
    compressed: OnceLock<Option<Bytes>>,
}

impl Frame {
    /// A text message.
    pub fn text(text: &str) -> Self {
        Self::new(Kind::Text, text.as_bytes())
    }

    /// A binary message.
    pub fn binary(data: &[u8]) -> Self {
        Self::new(Kind::Binary, data)
    }

    fn new(kind: Kind, payload: &[u8]) -> Self {
        let header = Header::of_message(kind, payload.len()).encode();
        let mut bytes = BytesMut::with_capacity(header.len() + payload.len());
        bytes.put_slice(&header);
        bytes.put_slice(payload);
        Self {
            inner: Arc::new(Inner {
                bytes: bytes.freeze(),
                // A header has at most 14 bytes.
                header_len: header.len() as u8,
                kind,
                #[cfg(feature = "deflate")]
                compressed: OnceLock::new(),
            }),
        }
    }

    /// What a server writes: header and payload.
    pub fn bytes(&self) -> &Bytes {
        &self.inner.bytes
    }

    /// The message.
    pub fn payload(&self) -> &[u8] {
        self.bytes()
            .get(usize::from(self.inner.header_len)..)
            .unwrap_or_default()
    }

    /// What the message is.
    pub fn kind(&self) -> Kind {
        self.inner.kind
    }

    /// What a server writes to those that agreed on permessage-deflate with the full window: made at first need, once
    /// for all that share the frame, with the level that was asked for first. `None`: it would not be shorter.
    ///
    /// It refers to no earlier message. Where the server's context takeover was agreed as well, the connection's own
    /// compressor has to start anew behind it; [`Connection::send_frame`](crate::Connection::send_frame) sees to that.
    #[cfg(feature = "deflate")]
    pub fn compressed(&self, level: u8, scratch: &mut SendScratch) -> Option<&Bytes> {
        let compressed = self.inner.compressed.get_or_init(|| {
            let mut bytes = BytesMut::new();
            scratch.compress(self.kind(), self.payload(), 15, level, &mut bytes)?;
            Some(bytes.freeze())
        });
        compressed.as_ref()
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Frame {}
