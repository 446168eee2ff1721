//! [`Outbox`]: what a socket refused, of one connection. It exists only while something waits in it.

use core::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;

use bytes::{Buf, Bytes};
use wirefan_protocol::Header;

use crate::transport::Transport;

/// What keeping a chunk costs beside its bytes; counted, so that many small messages weigh what they weigh.
const CHUNK_COST: usize = 64;
/// The longest chunk that is a copy. glibc keeps free memory to itself up to the size of the largest block that it has
/// seen freed, so a copy of a huge message in one block would cost that much for ever.
const PIECE: usize = 64 * 1024;
/// Slices handed to one system call.
const SLICES: usize = 64;
/// Spare outboxes kept, each with room for one system call's slices at most.
const SPARES: usize = 64;

mod waiting;

use waiting::{Mark, Waiting};

/// Whole frames in order, the first of which may have been begun. Frames may share chunks, and a chunk may be shared
/// with other connections; a header never crosses from one chunk to the next.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    chunks: VecDeque<Chunk>,
    len: usize,
    /// Bytes at the front that must go in any case: the rest of a frame (or of a handshake) whose beginning is out.
    begun: usize,
    /// The socket has refused what is here, or the front of it. Otherwise it has not been offered anything yet.
    refused: bool,
    /// The bytes in all outboxes of the worker.
    held: Rc<Cell<usize>>,
    /// What is known of the messages of topics that have a policy.
    waiting: Option<Box<Waiting>>,
    /// Messages that policies have dropped.
    dropped: u32,
}

#[derive(Debug)]
struct Chunk {
    /// Empty: it was dropped.
    bytes: Bytes,
    /// It is a message that may be dropped, and has not begun to go out.
    mark: Option<Mark>,
}

impl Outbox {
    /// The bytes that the socket has refused, with those behind them, and what keeping them costs.
    pub(crate) fn backlog(&self) -> usize {
        if self.refused { self.weight() } else { 0 }
    }

    /// The same of bytes that the socket has not been offered; `None` where it would refuse them.
    pub(crate) fn unoffered(&self) -> Option<usize> {
        (!self.refused).then(|| self.weight())
    }

    fn weight(&self) -> usize {
        let dead = self.waiting.as_ref().map_or(0, |waiting| waiting.dead);
        self.len + (self.chunks.len() - dead) * CHUNK_COST
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether there are, or were, messages of topics with a policy.
    pub(crate) fn is_of_topics(&self) -> bool {
        self.waiting.is_some()
    }

    /// Adds whole frames, or a header or a payload of its own.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.grow(bytes.len());
            self.chunks.push_back(Chunk { bytes, mark: None });
        }
    }

    /// Adds the first chunk, which the socket has refused and of which `begun` bytes must go in any case.
    pub(crate) fn push_begun(&mut self, bytes: Bytes, begun: usize) {
        debug_assert!(self.is_empty(), "only the front can be begun");
        self.begun = begun;
        self.refused = true;
        self.push(bytes);
    }

    /// Adds a copy of the first chunks, which the socket has refused and of which `begun` bytes must go in any case: whole
    /// frames, and a header with its payload.
    pub(crate) fn push_refused(&mut self, slices: &[IoSlice<'_>; 3], begun: usize) {
        debug_assert!(self.is_empty(), "only the front can be begun");
        self.begun = begun;
        self.refused = true;
        let [frames, header, payload] = slices;
        let (front, frames) = frames.split_at(begun.min(frames.len()));
        let whole = [frames, header];
        for piece in front
            .chunks(PIECE)
            .chain(whole)
            .chain(payload.chunks(PIECE))
        {
            self.push(Bytes::copy_from_slice(piece));
        }
    }

    /// Adds whole frames as long as the backlog is below `limit`; returns how many had to be left out. A reader that is
    /// about to be closed gets none.
    pub(crate) fn push_within(&mut self, mut frames: Bytes, limit: usize) -> usize {
        if self.doomed().is_some() {
            return 0;
        }
        let room = limit.saturating_sub(self.backlog());
        let mut end = frames.len();
        if end > room {
            end = 0;
            while end < room && end < frames.len() {
                end += frame_len(&frames[end..]);
            }
        }
        let mut left_out = 0;
        let mut rest = frames.split_off(end.min(frames.len()));
        while !rest.is_empty() {
            rest.advance(frame_len(&rest).min(rest.len()));
            left_out += 1;
        }
        self.push(frames);
        left_out
    }

    /// Writes until the socket refuses or nothing is left. Returns whether there was room where there had been none: the
    /// peer reads.
    pub(crate) fn write(&mut self, socket: &mut Transport) -> io::Result<bool> {
        let mut reads = false;
        while !self.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut used = 0;
            let chunks = self.chunks.iter().filter(|chunk| !chunk.bytes.is_empty());
            for (slice, chunk) in slices.iter_mut().zip(chunks) {
                *slice = IoSlice::new(&chunk.bytes);
                used += 1;
            }
            match socket.write_vectored(&slices[..used]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.advance(written);
                    reads |= core::mem::take(&mut self.refused);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.refused = true;
                    return Ok(reads);
                }
                Err(error) => return Err(error),
            }
        }
        self.refused = false;
        Ok(reads)
    }

    /// Drops every frame that has not been begun.
    pub(crate) fn discard_unbegun(&mut self) {
        let mut keep = self.begun;
        self.chunks.retain_mut(|chunk| {
            chunk.bytes.truncate(keep);
            keep -= chunk.bytes.len();
            !chunk.bytes.is_empty()
        });
        self.shrink(self.len - self.begun);
        self.waiting = None;
    }

    fn grow(&mut self, bytes: usize) {
        self.len += bytes;
        self.held.update(|held| held + bytes);
    }

    fn shrink(&mut self, bytes: usize) {
        self.len -= bytes;
        self.held.update(|held| held - bytes);
    }

    fn advance(&mut self, mut written: usize) {
        self.shrink(written);
        while let Some(front) = self.chunks.front_mut() {
            if !front.bytes.is_empty() {
                if self.begun == 0 {
                    if written == 0 {
                        return;
                    }
                    self.begun = frame_len(&front.bytes);
                    if let Some(mark) = front.mark.take()
                        && let Some(waiting) = &mut self.waiting
                    {
                        waiting.forget(mark, waiting.first, front.bytes.len());
                    }
                }
                let step = written.min(self.begun).min(front.bytes.len());
                front.bytes.advance(step);
                self.begun -= step;
                written -= step;
                if !front.bytes.is_empty() {
                    if step == 0 {
                        return;
                    }
                    continue;
                }
            } else if let Some(waiting) = &mut self.waiting {
                waiting.dead -= 1;
            }
            self.chunks.pop_front();
            if let Some(waiting) = &mut self.waiting {
                waiting.first += 1;
            }
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.held.update(|held| held - self.len);
    }
}

/// Outboxes that nobody needs now: they keep their memory for the next connection that does.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    #[expect(
        clippy::vec_box,
        reason = "the boxes are the spares: slots own and return them"
    )]
    boxes: Vec<Box<Outbox>>,
    held: Rc<Cell<usize>>,
}

impl Spares {
    pub(crate) fn take(&mut self) -> Box<Outbox> {
        self.boxes.pop().unwrap_or_else(|| {
            let mut outbox = Box::<Outbox>::default();
            outbox.held = Rc::clone(&self.held);
            outbox
        })
    }

    /// The bytes in all outboxes that were taken from here.
    pub(crate) fn held(&self) -> usize {
        self.held.get()
    }

    /// Keeps an empty outbox, or frees it if there are enough.
    pub(crate) fn put_back(&mut self, mut outbox: Box<Outbox>) {
        outbox.chunks.clear();
        outbox.waiting = None;
        outbox.dropped = 0;
        if self.boxes.len() < SPARES && outbox.chunks.capacity() <= SLICES {
            self.boxes.push(outbox);
        }
    }
}

/// How many bytes behind the first `written` of `bytes` belong to what these have begun. `bytes` are whole frames behind
/// `head` bytes of a handshake.
pub(crate) fn begun_rest(bytes: &[u8], head: usize, written: usize) -> usize {
    let mut end = head;
    while end < written {
        end += frame_len(&bytes[end.min(bytes.len())..]);
    }
    end - written
}

/// The length of the frame at the front of `bytes`, header included. We wrote it, so there is one.
fn frame_len(bytes: &[u8]) -> usize {
    match Header::decode(bytes) {
        Ok(Some((header, used))) => {
            used.saturating_add(usize::try_from(header.len).unwrap_or(usize::MAX))
        }
        _ => bytes.len().max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Socket;
    use std::sync::{Arc, Mutex};
    use wirefan_protocol::Frame;

    /// Takes a few bytes, then refuses once.
    struct Narrow(Arc<Mutex<Vec<u8>>>, usize, bool);

    impl Socket for Narrow {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            unreachable!()
        }
        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            self.2 = !self.2;
            if self.2 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let bytes: Vec<u8> = slices
                .iter()
                .flat_map(|slice| slice.iter().copied())
                .take(self.1)
                .collect();
            self.0.lock().unwrap().extend(&bytes);
            Ok(bytes.len())
        }
        fn shutdown_write(&mut self) -> io::Result<()> {
            unreachable!()
        }
    }

    fn frames() -> Vec<Bytes> {
        let one = Frame::text("one").bytes().clone();
        let two = [&one[..], Frame::binary(&[7; 200]).bytes()].concat();
        vec![
            one,
            two.into(),
            Frame::text("").bytes().clone(),
            Frame::binary(&[8; 70_000]).bytes().clone(),
        ]
    }

    #[test]
    fn everything_goes_out_in_order_however_little_the_socket_takes() {
        for step in [1, 2, 3, 7, 1000, 100_000] {
            let (mut outbox, seen) = (Outbox::default(), Arc::default());
            let mut socket = Transport::Other(Box::new(Narrow(Arc::clone(&seen), step, false)));
            let frames = if step > 2 {
                frames()
            } else {
                frames()[..3].to_vec()
            };
            frames.iter().for_each(|frame| outbox.push(frame.clone()));
            while !outbox.is_empty() {
                outbox.write(&mut socket).unwrap();
            }
            assert_eq!(*seen.lock().unwrap(), frames.concat());
            assert_eq!((outbox.begun, outbox.backlog()), (0, 0));
        }
    }

    #[test]
    fn a_frame_that_is_begun_is_finished_and_the_others_can_be_dropped() {
        let all: Vec<u8> = frames().concat();
        let ends = [5, 10, 10 + 204, 216, all.len()];
        for written in (0..230).chain([all.len() - 1, all.len()]) {
            let mut outbox = Outbox::default();
            frames().into_iter().for_each(|frame| outbox.push(frame));
            outbox.advance(written);
            outbox.discard_unbegun();
            let expected = if ends.contains(&written) || written == 0 {
                0
            } else {
                ends.iter().find(|end| **end > written).unwrap() - written
            };
            assert_eq!(outbox.len, expected, "after {written}");
            assert_eq!(begun_rest(&all, 0, written), expected);
            assert_eq!(
                outbox.chunks.iter().map(|it| it.bytes.len()).sum::<usize>(),
                expected
            );
        }
    }

    #[test]
    fn a_handshake_that_is_begun_is_finished() {
        let mut bytes = b"HTTP/1.1 101 ...\r\n\r\n".to_vec();
        let head = bytes.len();
        bytes.extend_from_slice(Frame::text("hello").bytes());
        assert_eq!(begun_rest(&bytes, head, 3), head - 3);
        assert_eq!(begun_rest(&bytes, head, head), 0);
        assert_eq!(begun_rest(&bytes, head, head + 1), 6);
    }
}
