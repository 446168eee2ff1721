//! [`Transport`]: the stream of bytes below, what has still to be written to it, and who waits for that.
//! Driven by `stream.rs` and by the handshakes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::lent::Lent;
use crate::outgoing::Outgoing;

/// Which task polls: the one that reads, or the one that writes. They may be one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Reader,
    Writer,
}

#[derive(Debug)]
pub(crate) struct Transport<S> {
    pub(crate) io: S,
    pub(crate) outgoing: Outgoing,
    /// Something has been written and not been flushed.
    unflushed: bool,
    /// Why nothing can be written any more.
    broken: Option<io::ErrorKind>,
    stalled: Option<Box<Stalled>>,
}

impl<S> Transport<S> {
    pub(crate) fn new(io: S) -> Self {
        Self {
            io,
            outgoing: Outgoing::default(),
            unflushed: false,
            broken: None,
            stalled: None,
        }
    }

    /// Whether [`poll_write`](Self::poll_write) would find nothing to do or to tell, as on most calls.
    #[inline]
    pub(crate) fn is_settled(&self) -> bool {
        self.outgoing.is_empty()
            && !self.unflushed
            && self.stalled.is_none()
            && self.broken.is_none()
    }

    /// Why nothing can be written any more, if so.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.broken.map_or(Ok(()), |kind| Err(kind.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport<S> {
    /// Reads once; 0 is the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let poll = Pin::new(&mut self.io).poll_read(cx, &mut buffer);
        poll.map_ok(|()| buffer.filled().len())
    }

    /// Writes until at most `left` bytes are left; down to 0 means that they are flushed, too.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        side: Side,
        left: usize,
    ) -> Poll<io::Result<()>> {
        if let Err(error) = self.check() {
            // Answers to what still comes lead nowhere.
            self.outgoing.clear();
            return Poll::Ready(Err(error));
        }
        let mut poll = self.poll_write_as(cx, left);
        if poll.is_pending() {
            // The stream below remembers one task only, and two may wait for it.
            let stalled = self.stalled.get_or_insert_default();
            if let Some(both) = stalled.add(side, cx.waker()) {
                poll = self.poll_write_as(&mut Context::from_waker(&both), left);
            }
        }
        if let Poll::Ready(result) = &poll {
            if let Some(stalled) = self.stalled.take() {
                stalled.wake_other(side);
            }
            if let Err(error) = result {
                self.broken = Some(error.kind());
                self.outgoing.clear();
            }
        }
        poll
    }

    fn poll_write_as(&mut self, cx: &mut Context<'_>, left: usize) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() && (left == 0 || self.outgoing.len() > left) {
            match self.outgoing.poll_write(&mut self.io, cx)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(_) => self.unflushed = true,
                Poll::Pending => return Poll::Pending,
            }
        }
        if left == 0 && self.unflushed {
            std::task::ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Ends our side of the stream, everything having been written.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    /// Throws away what has come, a bounded amount. With unread input `close(2)` resets the connection, and the reset
    /// may overtake our Close.
    pub(crate) fn discard(&mut self, cx: &mut Context<'_>, lent: &mut Lent) {
        for _ in 0..16 {
            if !matches!(self.poll_read(cx, &mut lent.buffer), Poll::Ready(Ok(1..))) {
                return;
            }
        }
    }

    /// Tells that bytes went to the stream past [`poll_write`](Self::poll_write).
    pub(crate) fn wrote(&mut self) {
        self.unflushed = true;
    }
}

/// The tasks that wait until the stream takes more.
#[derive(Debug, Default)]
struct Stalled {
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Stalled {
    /// Remembers one, and returns a waker for both if the other one is another task.
    fn add(&mut self, side: Side, waker: &Waker) -> Option<Waker> {
        let (own, other) = match side {
            Side::Reader => (&mut self.reader, &self.writer),
            Side::Writer => (&mut self.writer, &self.reader),
        };
        own.get_or_insert_with(|| waker.clone()).clone_from(waker);
        let other = other.as_ref().filter(|other| !other.will_wake(waker))?;
        Some(Arc::new(Both(waker.clone(), other.clone())).into())
    }

    /// It goes on for one: the other one may look again.
    fn wake_other(self, side: Side) {
        let other = match side {
            Side::Reader => self.writer,
            Side::Writer => self.reader,
        };
        if let Some(other) = other {
            other.wake();
        }
    }
}

struct Both(Waker, Waker);

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake_by_ref();
        self.1.wake_by_ref();
    }
}
