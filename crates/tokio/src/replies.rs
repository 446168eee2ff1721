//! [`Replies`]: what is sent while input is being read; all of it leaves with one write. Lent by
//! [`WebSocketStream::read_with`](crate::WebSocketStream::read_with).

use std::fmt;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use wirefan_protocol::{CloseCode, Connection, Kind, SendError, SendScratch, State};

use crate::transport::Transport;

/// A payload of at least this many bytes is written from where it lies; copying a shorter one is cheaper.
pub(crate) const DIRECT: usize = 16 * 1024;

/// Sends while input is being read.
pub struct Replies<'a, 'c, S> {
    pub(crate) connection: &'a mut Connection,
    pub(crate) transport: &'a mut Transport<S>,
    pub(crate) scratch: &'a mut SendScratch,
    pub(crate) cx: &'a mut Context<'c>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Replies<'_, '_, S> {
    /// Sends a text message.
    ///
    /// # Errors
    ///
    /// [`SendError::AfterClose`].
    #[inline]
    pub fn text(&mut self, text: &str) -> Result<(), SendError> {
        self.send(Kind::Text, text.as_bytes())
    }

    /// Sends a binary message.
    ///
    /// # Errors
    ///
    /// [`SendError::AfterClose`].
    #[inline]
    pub fn binary(&mut self, data: &[u8]) -> Result<(), SendError> {
        self.send(Kind::Binary, data)
    }

    /// Sends a ping with at most 125 bytes.
    ///
    /// # Errors
    ///
    /// [`SendError::AfterClose`], [`SendError::ControlTooLong`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.connection
            .send_ping(payload, self.transport.outgoing.end())
    }

    /// Starts the closing handshake.
    ///
    /// # Errors
    ///
    /// [`SendError::AfterClose`], [`SendError::InvalidCloseCode`], [`SendError::ReasonTooLong`].
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.connection
            .close(code, reason, self.transport.outgoing.end())
    }

    /// How far the connection is from its end.
    pub fn state(&self) -> State {
        self.connection.state()
    }

    #[inline]
    fn send(&mut self, kind: Kind, payload: &[u8]) -> Result<(), SendError> {
        if payload.len() >= DIRECT
            && writes_in_place(self.connection, self.transport, payload.len())
        {
            return self.write_through(kind, payload);
        }
        let out = self.transport.outgoing.end();
        self.connection.send(kind, payload, self.scratch, out)
    }

    /// Writes a payload from where it lies, behind what is waiting; what the stream does not take is kept.
    fn write_through(&mut self, kind: Kind, payload: &[u8]) -> Result<(), SendError> {
        let header = self.connection.send_header(kind, payload.len())?;
        let outgoing = &mut self.transport.outgoing;
        let mut taken = 0;
        if let Some(waiting) = outgoing.whole() {
            let slices = [waiting, &header, payload].map(IoSlice::new);
            let io = Pin::new(&mut self.transport.io);
            // An error comes again, where it is looked at.
            if let Poll::Ready(Ok(len)) = io.poll_write_vectored(self.cx, &slices) {
                let of_waiting = len.min(waiting.len());
                taken = len - of_waiting;
                outgoing.advance(of_waiting);
            }
        }
        for piece in [&header, payload] {
            let of_piece = taken.min(piece.len());
            taken -= of_piece;
            outgoing
                .end()
                .extend_from_slice(piece.get(of_piece..).unwrap_or_default());
        }
        self.transport.wrote();
        Ok(())
    }
}

/// Whether a payload of this length may be written as it is, without a copy.
pub(crate) fn writes_in_place<S: AsyncWrite>(
    connection: &Connection,
    transport: &Transport<S>,
    len: usize,
) -> bool {
    connection.role() == wirefan_protocol::Role::Server
        && !connection.compresses(len)
        && transport.io.is_write_vectored()
}

impl<S> fmt::Debug for Replies<'_, '_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies")
            .field("state", &self.connection.state())
            .finish_non_exhaustive()
    }
}
