//! [`Outgoing`]: the bytes that have not been written yet, in their order: frames in vectors, and large payloads where
//! they lie. Used by `transport.rs`.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use crate::lent::Lent;

/// Slices in one write; more would rarely fit into a socket.
const SLICES: usize = 16;

/// What has been written is moved out of the way from here on.
const WRITTEN_HIGH: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    head: Vec<u8>,
    /// How much of `head` has been written.
    written: usize,
    /// Payloads that are written from where they lie, each with the frames behind it.
    tail: VecDeque<(Bytes, Vec<u8>)>,
}

impl Outgoing {
    pub(crate) fn is_empty(&self) -> bool {
        self.head.len() == self.written && self.tail.is_empty()
    }

    /// The number of bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        let first = self.head.len() - self.written;
        if self.tail.is_empty() {
            return first;
        }
        let tail = self
            .tail
            .iter()
            .map(|(payload, frames)| payload.len() + frames.len());
        first + tail.sum::<usize>()
    }

    /// Takes memory for what is to come.
    pub(crate) fn prepare(&mut self, lent: &mut Lent) {
        if self.head.capacity() == 0 {
            self.head = lent.spare();
        }
    }

    /// Where the next frames go.
    pub(crate) fn end(&mut self) -> &mut Vec<u8> {
        if self.written >= WRITTEN_HIGH {
            self.head.drain(..self.written);
            self.written = 0;
        }
        match self.tail.back_mut() {
            Some((_, frames)) => frames,
            None => &mut self.head,
        }
    }

    /// Adds a payload, whose header stands at the [`end`](Self::end).
    pub(crate) fn push(&mut self, payload: Bytes) {
        self.tail.push_back((payload, Vec::new()));
    }

    /// The first bytes, if they lie in one piece with nothing behind them.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        self.tail.is_empty().then(|| self.first())
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Writes once and returns how much; there has to be something.
    pub(crate) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let io = Pin::new(io);
        let poll = if self.tail.is_empty() {
            io.poll_write(cx, self.first())
        } else if io.is_write_vectored() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let tail = self
                .tail
                .iter()
                .flat_map(|(payload, frames)| [&payload[..], frames]);
            let pieces = [self.first()]
                .into_iter()
                .chain(tail)
                .filter(|piece| !piece.is_empty());
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(pieces) {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            io.poll_write_vectored(cx, slices.get(..count).unwrap_or_default())
        } else if self.first().is_empty() {
            io.poll_write(cx, self.tail.front().map_or(&[], |(payload, _)| payload))
        } else {
            io.poll_write(cx, self.first())
        };
        poll.map_ok(|len| {
            self.advance(len);
            len
        })
    }

    /// Tells that the first `len` bytes have been written.
    pub(crate) fn advance(&mut self, mut len: usize) {
        loop {
            let from_head = len.min(self.head.len() - self.written);
            self.written += from_head;
            len -= from_head;
            if self.written < self.head.len() {
                return;
            }
            self.head.clear();
            self.written = 0;
            let Some((payload, frames)) = self.tail.front_mut() else {
                return;
            };
            let from_payload = len.min(payload.len());
            payload.advance(from_payload);
            len -= from_payload;
            if !payload.is_empty() {
                return;
            }
            let frames = std::mem::take(frames);
            self.tail.pop_front();
            if !frames.is_empty() {
                self.head = frames;
            }
        }
    }

    /// Gives memory back where nothing is left to write.
    #[inline]
    pub(crate) fn release(&mut self, lent: &mut Lent) {
        if self.is_empty() && self.head.capacity() + self.tail.capacity() > 0 {
            self.written = 0;
            lent.put_back(std::mem::take(&mut self.head));
            self.tail = VecDeque::new();
        }
    }

    fn first(&self) -> &[u8] {
        self.head.get(self.written..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// Takes a few bytes at a time, from several slices or from one.
    struct Narrow {
        taken: Vec<u8>,
        most: usize,
        vectored: bool,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let len = bytes.len().min(self.most);
            self.taken.extend_from_slice(&bytes[..len]);
            Poll::Ready(Ok(len))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            assert!(self.vectored && slices.iter().all(|slice| !slice.is_empty()));
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            let len = all.len().min(self.most);
            self.taken.extend_from_slice(&all[..len]);
            Poll::Ready(Ok(len))
        }

        fn is_write_vectored(&self) -> bool {
            self.vectored
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn bytes_leave_in_order_whatever_a_write_takes() {
        let cases =
            (1..20).flat_map(|most| [(most, true, "z"), (most, false, "z"), (most, true, "")]);
        for (most, vectored, last) in cases {
            crate::lent::with(|lent| {
                let mut outgoing = Outgoing::default();
                outgoing.prepare(lent);
                for part in [&b"ab"[..], b"", b"cde"] {
                    outgoing.end().extend_from_slice(part);
                    outgoing.push(Bytes::from_static(b"0123"));
                    outgoing.push(Bytes::from_static(b"4"));
                }
                outgoing.end().extend_from_slice(last.as_bytes());
                let expected = ["ab0123401234cde01234", last].concat();
                let mut io = Narrow {
                    taken: Vec::new(),
                    most,
                    vectored,
                };
                let mut cx = Context::from_waker(Waker::noop());
                while !outgoing.is_empty() {
                    assert_eq!(outgoing.len() + io.taken.len(), expected.len());
                    let poll = outgoing.poll_write(&mut io, &mut cx);
                    assert!(matches!(poll, Poll::Ready(Ok(1..))), "{poll:?}");
                }
                assert_eq!(io.taken, expected.as_bytes());
                outgoing.release(lent);
                assert_eq!(outgoing.head.capacity() + outgoing.tail.capacity(), 0);
            });
        }
    }
}
