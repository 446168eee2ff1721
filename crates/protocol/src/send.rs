//! What a connection's owner may send: messages, fragments, pings, shared frames, and the Close.

use alloc::vec::Vec;

use bytes::Bytes;

#[cfg(feature = "deflate")]
use crate::deflate::{Deflater, Way};
use crate::header::HeaderBytes;
use crate::mask::apply_mask;
use crate::{CloseCode, Connection, Frame, Header, Kind, Opcode, SendError, SendScratch, State};

/// Sending. Each method appends whole frames to `out`; write `out` in order.
impl Connection {
    /// Sends a text message, compressed if that was agreed and makes it shorter.
    ///
    /// # Errors
    ///
    /// [`SendError::AfterClose`], [`SendError::InsideMessage`].
    #[inline]
    pub fn send_text(
        &mut self,
        text: &str,
        scratch: &mut SendScratch,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.send(Kind::Text, text.as_bytes(), scratch, out)
    }

    /// Sends a binary message, compressed if that was agreed and makes it shorter.
    ///
    /// # Errors
    ///
    /// [`SendError::AfterClose`], [`SendError::InsideMessage`].
    #[inline]
    pub fn send_binary(
        &mut self,
        data: &[u8],
        scratch: &mut SendScratch,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.send(Kind::Binary, data, scratch, out)
    }

    /// Sends a piece of a text message that is not known whole (RFC 6455 §5.4), as it is. `last` ends the message.
    ///
    /// Until then only fragments of the same kind, pings, pongs and a Close may be sent.
    ///
    /// # Errors
    ///
    /// [`SendError::AfterClose`], or [`SendError::InsideMessage`] if a binary message is under way.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use wirefan_protocol::{Agreed, Config, Connection, SendError, SendScratch};
    /// # let mut connection = Connection::server(Arc::new(Config::default()), Agreed::default());
    /// # let mut scratch = SendScratch::default();
    /// let mut out = Vec::new();
    /// connection.send_text_fragment("Hel", false, &mut out)?;
    /// assert_eq!(connection.send_text("no", &mut scratch, &mut out), Err(SendError::InsideMessage));
    /// connection.send_text_fragment("lo", true, &mut out)?;
    /// assert_eq!(out, b"\x01\x03Hel\x80\x02lo");
    /// # Ok::<(), SendError>(())
    /// ```
    pub fn send_text_fragment(
        &mut self,
        text: &str,
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.send_fragment(Kind::Text, text.as_bytes(), last, out)
    }

    /// Sends a piece of a binary message that is not known whole; as
    /// [`send_text_fragment`](Self::send_text_fragment).
    ///
    /// # Errors
    ///
    /// [`SendError::AfterClose`], or [`SendError::InsideMessage`] if a text message is under way.
    pub fn send_binary_fragment(
        &mut self,
        data: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.send_fragment(Kind::Binary, data, last, out)
    }

    /// Sends a ping with at most 125 bytes (RFC 6455 §5.5.2).
    ///
    /// # Errors
    ///
    /// [`SendError::AfterClose`], [`SendError::ControlTooLong`].
    pub fn send_ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_control(Opcode::Ping, payload, out)
    }

    /// Sends a pong that nobody asked for, with at most 125 bytes (RFC 6455 §5.5.3). Pings are answered without this.
    ///
    /// # Errors
    ///
    /// [`SendError::AfterClose`], [`SendError::ControlTooLong`].
    pub fn send_pong(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_control(Opcode::Pong, payload, out)
    }

    /// Starts the closing handshake (RFC 6455 §7.1.2). Nothing can be sent afterwards; events still arrive.
    ///
    /// [`CloseCode::NO_STATUS`] with an empty reason sends a Close without a code.
    ///
    /// # Errors
    ///
    /// [`SendError::AfterClose`], [`SendError::InvalidCloseCode`], [`SendError::ReasonTooLong`].
    pub fn close(
        &mut self,
        code: CloseCode,
        reason: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_open()?;
        if code == CloseCode::NO_STATUS && reason.is_empty() {
            self.write_close(None, "", out);
        } else {
            if !code.is_sendable() {
                return Err(SendError::InvalidCloseCode);
            }
            if reason.len() > 123 {
                return Err(SendError::ReasonTooLong);
            }
            self.write_close(Some(code), reason, out);
        }
        self.state = State::Closing;
        Ok(())
    }

    /// The bytes of a shared frame for this connection, to be written in their turn behind `out`: a server clones a
    /// reference, a client makes a masked copy.
    ///
    /// # Errors
    ///
    /// [`SendError::AfterClose`], [`SendError::InsideMessage`].
    pub fn send_frame(
        &mut self,
        frame: &Frame,
        scratch: &mut SendScratch,
    ) -> Result<Bytes, SendError> {
        self.check_between_messages()?;
        if self.keys.is_some() {
            let mut masked = Vec::with_capacity(Header::MAX_LEN + frame.payload().len());
            self.send(frame.kind(), frame.payload(), scratch, &mut masked)?;
            return Ok(masked.into());
        }
        #[cfg(feature = "deflate")]
        if let Some((send, level)) = self.compression(frame.payload().len())
            && send.window_bits == 15
            && let Some(compressed) = frame.compressed(level, scratch)
        {
            self.forget_sent();
            return Ok(compressed.clone());
        }
        #[cfg(not(feature = "deflate"))]
        let _ = scratch;
        Ok(frame.bytes().clone())
    }

    /// The header of a message of `len` bytes, which you write yourself right behind it (`writev`): no copy.
    ///
    /// # Errors
    ///
    /// [`SendError::HeaderForClient`], [`SendError::AfterClose`], [`SendError::InsideMessage`].
    #[inline]
    pub fn send_header(&mut self, kind: Kind, len: usize) -> Result<HeaderBytes, SendError> {
        if self.keys.is_some() {
            return Err(SendError::HeaderForClient);
        }
        self.check_between_messages()?;
        Ok(Header::of_message(kind, len).encode())
    }

    /// Sends a message, compressed if that was agreed and makes it shorter. That a text is UTF-8 is yours to know.
    ///
    /// # Errors
    ///
    /// [`SendError::AfterClose`], [`SendError::InsideMessage`].
    #[inline]
    pub fn send(
        &mut self,
        kind: Kind,
        payload: &[u8],
        scratch: &mut SendScratch,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_between_messages()?;
        #[cfg(feature = "deflate")]
        if self.agreed.deflate.is_some() && self.write_compressed(kind, payload, scratch, out) {
            return Ok(());
        }
        #[cfg(not(feature = "deflate"))]
        let _ = scratch;
        self.write(true, kind.into(), payload, out);
        Ok(())
    }

    /// Appends a compressed message, or says that it is better sent as it is.
    #[cfg(feature = "deflate")]
    fn write_compressed(
        &mut self,
        kind: Kind,
        payload: &[u8],
        scratch: &mut SendScratch,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some((send, level)) = self.compression(payload.len()) else {
            return false;
        };
        let (compressed, buffer) = if send.takeover && self.keeps_compressor() {
            let takeover = self.takeover.get_or_insert_default();
            let deflater = takeover
                .deflater
                .get_or_insert_with(|| Deflater::new(send.window_bits, level));
            let buffer = scratch.buffer();
            let compressed = deflater.compress(payload, buffer);
            if compressed.is_none() {
                // The peer will not see what the compressor has seen.
                deflater.reset();
            }
            (compressed, buffer)
        } else {
            let (deflater, buffer) = scratch.shared(send.window_bits, level);
            (deflater.compress(payload, buffer), buffer)
        };
        let Some(compressed) = compressed.and_then(|len| buffer.get(..len)) else {
            return false;
        };
        let max_frame = self
            .config
            .deflate
            .as_ref()
            .and_then(|deflate| deflate.max_frame);
        let mut fragments = compressed
            .chunks(max_frame.unwrap_or(usize::MAX).max(1))
            .peekable();
        let mut opcode = kind.into();
        while let Some(fragment) = fragments.next() {
            // RFC 7692 §6.1: the bit is on the first frame alone.
            let rsv1 = opcode != Opcode::Continuation;
            self.write_frame(fragments.peek().is_none(), rsv1, opcode, fragment, out);
            opcode = Opcode::Continuation;
        }
        true
    }

    /// Whether messages of its own refer to earlier ones: what was agreed allows it, and what is configured wants it.
    #[cfg(feature = "deflate")]
    fn keeps_compressor(&self) -> bool {
        self.config
            .deflate
            .as_ref()
            .is_some_and(|deflate| deflate.takeover)
    }

    /// How a message of this length is to be compressed, if it is.
    #[cfg(feature = "deflate")]
    fn compression(&self, len: usize) -> Option<(Way, u8)> {
        let (params, config) = (self.agreed.deflate?, self.config.deflate.as_ref()?);
        // No encoder of ours keeps to a window of 8 bits: such a peer gets its messages as they are.
        let can = params.send.window_bits > 8 && len >= config.min_len.max(1);
        can.then_some((params.send, config.level))
    }

    fn send_fragment(
        &mut self,
        kind: Kind,
        payload: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_open()?;
        let opcode = match self.sending {
            None => kind.into(),
            Some(under_way) if under_way == kind => Opcode::Continuation,
            Some(_) => return Err(SendError::InsideMessage),
        };
        self.sending = if last { None } else { Some(kind) };
        self.write(last, opcode, payload, out);
        Ok(())
    }

    fn send_control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_open()?;
        if payload.len() > 125 {
            return Err(SendError::ControlTooLong);
        }
        self.write(true, opcode, payload, out);
        Ok(())
    }

    /// Whether [`send`](Self::send) would try to compress a message of this length.
    #[inline]
    pub fn compresses(&self, len: usize) -> bool {
        #[cfg(feature = "deflate")]
        return self.agreed.deflate.is_some() && self.compression(len).is_some();
        #[cfg(not(feature = "deflate"))]
        return self.agreed.deflate.is_some() && len == usize::MAX;
    }

    /// Tells that the peer was sent a compressed message that is not ours, from a [`Frame`] or a cohort: its window has
    /// moved on without our own compressor, which starts anew.
    #[cfg(feature = "deflate")]
    pub fn forget_sent(&mut self) {
        if let Some(deflater) = self
            .takeover
            .as_mut()
            .and_then(|takeover| takeover.deflater.as_mut())
        {
            deflater.reset();
        }
    }

    /// Gives back what compression keeps for sending; it is made again when it is needed. What earlier messages of the
    /// peer left has to stay.
    #[cfg(feature = "deflate")]
    pub fn release_compressor(&mut self) {
        if let Some(takeover) = &mut self.takeover {
            takeover.deflater = None;
        }
    }

    #[inline]
    fn check_open(&self) -> Result<(), SendError> {
        if self.state == State::Open {
            Ok(())
        } else {
            Err(SendError::AfterClose)
        }
    }

    #[inline]
    fn check_between_messages(&self) -> Result<(), SendError> {
        self.check_open()?;
        if self.sending.is_none() {
            Ok(())
        } else {
            Err(SendError::InsideMessage)
        }
    }

    /// Appends a Close frame, the caller having checked what it says.
    pub(crate) fn write_close(&mut self, code: Option<CloseCode>, reason: &str, out: &mut Vec<u8>) {
        let mut payload = [0; 125];
        let mut len = 0;
        if let Some(code) = code {
            for (place, byte) in payload
                .iter_mut()
                .zip(code.0.to_be_bytes().iter().chain(reason.as_bytes()))
            {
                *place = *byte;
                len += 1;
            }
        }
        self.write(
            true,
            Opcode::Close,
            payload.get(..len).unwrap_or_default(),
            out,
        );
    }

    /// Appends a frame that is not compressed.
    #[inline]
    pub(crate) fn write(&mut self, fin: bool, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
        self.write_frame(fin, false, opcode, payload, out);
    }

    /// Appends a frame, masked if we are the client.
    #[inline]
    fn write_frame(
        &mut self,
        fin: bool,
        rsv1: bool,
        opcode: Opcode,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) {
        let header = Header {
            fin,
            rsv1,
            opcode,
            masking_key: None,
            len: payload.len() as u64,
        };
        if self.keys.is_some() {
            return self.write_masked(header, payload, out);
        }
        header.append_to(out);
        out.extend_from_slice(payload);
    }

    /// Appends a client's frame.
    #[inline(never)]
    fn write_masked(&mut self, mut header: Header, payload: &[u8], out: &mut Vec<u8>) {
        header.masking_key = self.keys.as_mut().map(|keys| keys.next_key());
        out.reserve(Header::MAX_LEN + payload.len());
        header.append_to(out);
        out.extend_from_slice(payload);
        if let Some(key) = header.masking_key {
            let start = out.len() - payload.len();
            apply_mask(out.get_mut(start..).unwrap_or_default(), key, 0);
        }
    }
}
