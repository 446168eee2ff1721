//! [`Inflater`]: the decompressor for one message at a time, shared by the connections of a thread (RFC 7692 §7.2.2).

use alloc::boxed::Box;
use alloc::vec;
use core::fmt;

use zlib_rs::{Inflate, InflateFlush, Status};

use crate::Error;

/// The largest window; inflating with it works whatever was agreed.
pub(crate) const WINDOW: usize = 1 << WINDOW_BITS;
const WINDOW_BITS: u8 = 15;
/// How much comes out in one step.
const CHUNK: usize = 16 * 1024;

/// What a sender takes away from the end of a message, and a receiver puts back (RFC 7692 §7.2.1).
pub(crate) const TAIL: &[u8] = &[0x00, 0x00, 0xff, 0xff];
/// An empty last block: it is the end of the stream if and only if the message ended between two blocks.
const END: &[u8] = &[0x01, 0x00, 0x00, 0xff, 0xff];

pub(crate) struct Inflater {
    stream: Inflate,
    chunk: Box<[u8]>,
    /// The last block was marked as the final one, and nothing has come behind it.
    ended: bool,
}

/// What a step has done.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    /// Bytes of the input that were used up.
    pub(crate) used: usize,
    pub(crate) output: &'a [u8],
    /// There may be more to come out of what has been used.
    pub(crate) more: bool,
    /// What follows is not valid; the output comes from before that.
    pub(crate) invalid: bool,
}

impl Inflater {
    pub(crate) fn new() -> Self {
        Self {
            stream: Inflate::new(false, WINDOW_BITS),
            chunk: vec![0; CHUNK].into_boxed_slice(),
            ended: false,
        }
    }

    /// Begins a message, which may refer to `history`: at most a window, the newest last.
    pub(crate) fn begin(&mut self, history: &[u8]) -> Result<(), Error> {
        self.stream.reset(false);
        self.ended = false;
        if !history.is_empty() {
            self.stream
                .set_dictionary(history)
                .map_err(|_| Error::DeflateInvalid)?;
        }
        Ok(())
    }

    /// Whether a final block lies behind: `begin` has to come before the next step, for a message may go on.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// Whether the message so far ends between two blocks. Nothing can be inflated afterwards before `begin`.
    pub(crate) fn ends_a_block(&mut self) -> bool {
        let step = self.step(END, CHUNK);
        let complete = step.used == END.len() && step.output.is_empty() && !step.invalid;
        complete && self.ended
    }

    /// Inflates some of `input`, to at most `limit` bytes.
    pub(crate) fn step(&mut self, input: &[u8], limit: usize) -> Step<'_> {
        let room = self.chunk.len().min(limit);
        let chunk = self.chunk.get_mut(..room).unwrap_or_default();
        let (used, produced) = (self.stream.total_in(), self.stream.total_out());
        let status = self.stream.decompress(input, chunk, InflateFlush::NoFlush);
        self.ended = status == Ok(Status::StreamEnd);
        // Both are at most the length of a slice.
        let used = (self.stream.total_in() - used) as usize;
        let produced = (self.stream.total_out() - produced) as usize;
        let output = self.chunk.get(..produced).unwrap_or_default();
        Step {
            used,
            output,
            more: produced == room && !self.ended,
            invalid: status.is_err(),
        }
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
