//! [`Deflater`]: a compressor, shared by the connections of a thread or, with context takeover, one connection's own
//! (RFC 7692 §7.2.1).

use alloc::vec::Vec;
use core::fmt;

use zlib_rs::{Deflate, DeflateFlush};

/// What a flush leaves at the end of a message, and is not sent (RFC 7692 §7.2.1).
const TAIL: &[u8] = &[0x00, 0x00, 0xff, 0xff];
/// Room to begin with, and to add.
const ROOM: usize = 16 * 1024;

pub(crate) struct Deflater {
    stream: Deflate,
    window_bits: u8,
    level: u8,
}

impl Deflater {
    /// `window_bits` is 9 to 15, `level` 1 to 9; what is out of range is taken for the nearest.
    pub(crate) fn new(window_bits: u8, level: u8) -> Self {
        let (window_bits, level) = (window_bits.clamp(9, 15), level.clamp(1, 9));
        Self {
            stream: Deflate::new(level.into(), false, window_bits),
            window_bits,
            level,
        }
    }

    /// Whether it does what is asked for.
    pub(crate) fn fits(&self, window_bits: u8, level: u8) -> bool {
        (self.window_bits, self.level) == (window_bits.clamp(9, 15), level.clamp(1, 9))
    }

    /// Forgets the messages so far: what follows does not refer to them.
    pub(crate) fn reset(&mut self) {
        self.stream.reset();
    }

    /// Compresses a message into the front of `buffer`, which is memory and not content. Returns its length, or `None`
    /// as soon as it is not shorter than the message: then the compressor has to be reset.
    pub(crate) fn compress(&mut self, message: &[u8], buffer: &mut Vec<u8>) -> Option<usize> {
        let (mut input, mut len) = (message, 0);
        loop {
            if buffer.len() - len < ROOM {
                buffer.resize(buffer.len() + ROOM.max(buffer.len() / 2), 0);
            }
            let room = buffer.get_mut(len..)?;
            let room_len = room.len();
            let (used, produced) = (self.stream.total_in(), self.stream.total_out());
            self.stream
                .compress(input, room, DeflateFlush::SyncFlush)
                .ok()?;
            // Both are at most the length of a slice.
            input = input.get((self.stream.total_in() - used) as usize..)?;
            let produced = (self.stream.total_out() - produced) as usize;
            len += produced;
            if len >= message.len().saturating_add(TAIL.len()) {
                return None;
            }
            if input.is_empty() && produced < room_len {
                break;
            }
        }
        buffer.get(..len)?.strip_suffix(TAIL).map(<[u8]>::len)
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater")
            .field("window_bits", &self.window_bits)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}
