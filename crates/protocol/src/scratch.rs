//! [`RecvScratch`]: the memory that a thread lends to its connections while they receive.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

#[cfg(feature = "deflate")]
use bytes::BufMut;

use crate::Event;
#[cfg(feature = "deflate")]
use crate::deflate::{Deflater, Inflation};
use crate::partial::{Partial, Whole};
#[cfg(feature = "deflate")]
use crate::{Header, Kind};

/// Spares are kept up to this many, and up to this many bytes in all: a huge message leaves nothing behind.
const SPARES: usize = 16;
const SPARE_BYTES: usize = 4 * 1024 * 1024;

/// A compression buffer that has grown beyond this is given back.
#[cfg(feature = "deflate")]
const BUFFER_KEPT: usize = 1024 * 1024;
/// Compressors: one for each window size with one level.
#[cfg(feature = "deflate")]
const DEFLATERS: usize = 7;
/// Decompressors, of about 64 KiB each.
#[cfg(feature = "deflate")]
const SPARE_INFLATIONS: usize = 4;

/// Memory for work in progress: one for each thread, shared by its connections.
///
/// Two fields, so that a message can be held from the one while an answer is compressed with the other.
///
/// ```
/// use wirefan_protocol::Scratch;
///
/// let mut scratch = Scratch::default();
/// let (_for_receiving, _for_sending) = (&mut scratch.recv, &mut scratch.send);
/// ```
#[derive(Debug, Default)]
pub struct Scratch {
    /// For [`Connection::next_event`](crate::Connection::next_event).
    pub recv: RecvScratch,
    /// For [`Connection::send_text`](crate::Connection::send_text) and its siblings.
    pub send: SendScratch,
}

/// Memory for messages that are compressed to be sent: one for each thread, shared by its connections.
///
/// It keeps a compressor for each window size that was agreed, of up to 380 KiB, and a buffer of at most 1 MiB.
#[derive(Debug, Default)]
pub struct SendScratch {
    #[cfg(feature = "deflate")]
    deflaters: Vec<Deflater>,
    #[cfg(feature = "deflate")]
    buffer: Vec<u8>,
}

#[cfg(feature = "deflate")]
impl SendScratch {
    /// The compressor for messages on their own, and the buffer.
    pub(crate) fn shared(&mut self, window_bits: u8, level: u8) -> (&mut Deflater, &mut Vec<u8>) {
        let known = self
            .deflaters
            .iter()
            .position(|deflater| deflater.fits(window_bits, level));
        let place = known.unwrap_or_else(|| {
            self.deflaters.truncate(DEFLATERS - 1);
            self.deflaters.insert(0, Deflater::new(window_bits, level));
            0
        });
        let deflater = &mut self.deflaters[place];
        deflater.reset();
        (deflater, kept(&mut self.buffer))
    }

    /// Appends the frame of a message that is compressed on its own, for peers that agreed on a window of `window_bits`;
    /// `None`, and nothing is appended: it does not shrink.
    pub fn compress(
        &mut self,
        kind: Kind,
        payload: &[u8],
        window_bits: u8,
        level: u8,
        out: &mut impl BufMut,
    ) -> Option<()> {
        let (deflater, buffer) = self.shared(window_bits, level);
        let len = deflater.compress(payload, buffer)?;
        out.put_slice(
            &Header {
                rsv1: true,
                ..Header::of_message(kind, len)
            }
            .encode(),
        );
        out.put_slice(buffer.get(..len)?);
        Some(())
    }

    /// The buffer alone.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        kept(&mut self.buffer)
    }
}

/// The buffer, without what some earlier message has grown it to.
#[cfg(feature = "deflate")]
fn kept(buffer: &mut Vec<u8>) -> &mut Vec<u8> {
    if buffer.capacity() > BUFFER_KEPT {
        *buffer = Vec::new();
    }
    buffer
}

/// Memory for messages that do not arrive in one piece: one for each thread, shared by its connections.
///
/// It keeps a few spare buffers (at most 16, at most 4 MiB in all), so that connections own none while they are quiet.
///
/// ```
/// use wirefan_protocol::RecvScratch;
///
/// let scratch = RecvScratch::default();
/// ```
#[derive(Debug, Default)]
pub struct RecvScratch {
    /// What the last event was borrowed from.
    delivered: Option<Box<Partial>>,
    #[expect(
        clippy::vec_box,
        reason = "the boxes are the spares: connections own and return them"
    )]
    spares: Vec<Box<Partial>>,
    spare_bytes: usize,
    #[cfg(feature = "deflate")]
    #[expect(
        clippy::vec_box,
        reason = "the boxes are the spares: partial messages own and return them"
    )]
    inflations: Vec<Box<Inflation>>,
    #[cfg(feature = "deflate")]
    inflated: Inflated,
    control: Control,
}

/// The payload of a control frame that came in pieces.
#[derive(Debug)]
struct Control([u8; 125]);

impl Default for Control {
    fn default() -> Self {
        Self([0; 125])
    }
}

/// Bytes of the messages that were decompressed with a [`RecvScratch`], for who watches how well compression does.
#[cfg(feature = "deflate")]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Inflated {
    /// Bytes that came, without the headers of frames.
    pub compressed: u64,
    /// Bytes of the messages that they were.
    pub plain: u64,
}

impl RecvScratch {
    /// What has been decompressed so far, in messages that were whole.
    #[cfg(feature = "deflate")]
    pub fn inflated(&self) -> Inflated {
        self.inflated
    }

    /// The text that the last event of [`next_event`](crate::Connection::next_event) was borrowed from, to be kept without
    /// a copy. `None`: it lay in the input, as those of [`next_whole`](crate::Connection::next_whole) always do, for which
    /// this is not to be asked; or the event was none.
    ///
    /// Worth it for large messages: the memory of small ones is better left here, for the next ones.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use wirefan_protocol::{Agreed, Config, Connection, Event, Input, RecvScratch};
    /// # let mut connection = Connection::server(Arc::new(Config::default()), Agreed::default());
    /// # let (mut scratch, mut out) = (RecvScratch::default(), Vec::new());
    /// // Two fragments, "Hel" and "lo".
    /// let mut read = *b"\x01\x83\0\0\0\0Hel\x80\x82\0\0\0\0lo";
    /// let mut input = Input::new(&mut read);
    /// let event = connection.next_event(&mut input, &mut scratch, &mut out);
    /// assert_eq!(event, Some(Event::Text("Hello")));
    /// assert_eq!(scratch.take_text().as_deref(), Some("Hello"));
    /// ```
    pub fn take_text(&mut self) -> Option<String> {
        self.delivered.as_mut()?.take_text()
    }

    /// The binary message that the last event was borrowed from; as [`take_text`](Self::take_text).
    pub fn take_binary(&mut self) -> Option<Vec<u8>> {
        self.delivered.as_mut()?.take_binary()
    }

    /// Gives memory for messages to come, for instance that of one which was taken and has served. What would be too much
    /// is freed.
    ///
    /// Its bytes are overwritten and not cleared: see [`Connection::filled`](crate::Connection::filled).
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use wirefan_protocol::{Agreed, Config, Connection, Event, Input, RecvScratch};
    /// # let mut connection = Connection::server(Arc::new(Config::default()), Agreed::default());
    /// # let (mut scratch, mut out) = (RecvScratch::default(), Vec::new());
    /// # let mut read = *b"\x02\x83\0\0\0\0Hel\x80\x82\0\0\0\0lo";
    /// # let mut input = Input::new(&mut read);
    /// let event = connection.next_event(&mut input, &mut scratch, &mut out);
    /// assert!(matches!(event, Some(Event::Binary(b"Hello"))));
    /// let data = scratch.take_binary().unwrap();
    /// // … and when nobody needs it any more:
    /// scratch.give(data);
    /// ```
    pub fn give(&mut self, memory: Vec<u8>) {
        if memory.capacity() == 0 {
            return;
        }
        let emptied = self
            .spares
            .first()
            .is_some_and(|spare| spare.capacity() == 0);
        let mut partial = if emptied {
            self.spares.remove(0)
        } else {
            Box::default()
        };
        partial.set_memory(memory);
        self.put_back(partial);
    }

    /// Takes the last event's memory back.
    #[inline]
    pub(crate) fn reclaim(&mut self) {
        if let Some(partial) = self.delivered.take() {
            self.put_back(partial);
        }
    }

    /// Memory for a message, a spare if there is one.
    #[cold]
    pub(crate) fn take(&mut self) -> Box<Partial> {
        let spare = self.spares.pop().unwrap_or_default();
        self.spare_bytes -= spare.capacity().min(self.spare_bytes);
        spare
    }

    /// A decompressor, a spare if there is one.
    #[cfg(feature = "deflate")]
    pub(crate) fn take_inflation(&mut self) -> Box<Inflation> {
        self.inflations
            .pop()
            .unwrap_or_else(|| Box::new(Inflation::new()))
    }

    /// Gives memory back; what would be too much is freed.
    #[cold]
    pub(crate) fn put_back(&mut self, mut partial: Box<Partial>) {
        #[cfg(feature = "deflate")]
        if let Some(inflation) = partial.inflation.take()
            && self.inflations.len() < SPARE_INFLATIONS
        {
            self.inflations.push(inflation);
        }
        partial.clear();
        let bytes = partial.capacity();
        if self.spares.len() < SPARES && bytes <= SPARE_BYTES - self.spare_bytes {
            self.spare_bytes += bytes;
            if bytes == 0 {
                // Its memory was given away: the others come first.
                self.spares.insert(0, partial);
            } else {
                self.spares.push(partial);
            }
        }
    }

    /// Holds a finished message, and lends it.
    pub(crate) fn deliver(&mut self, partial: Box<Partial>) -> Event<'_> {
        #[cfg(feature = "deflate")]
        if let Some(inflation) = &partial.inflation {
            self.inflated.compressed += inflation.came();
            self.inflated.plain += partial.len() as u64;
        }
        match self.delivered.insert(partial).whole() {
            Whole::Text(text) => Event::Text(text),
            Whole::Binary(data) => Event::Binary(data),
        }
    }

    /// Holds a control frame's payload, and lends it.
    pub(crate) fn hold_control(&mut self, payload: [u8; 125], len: usize) -> &[u8] {
        self.control.0 = payload;
        self.control.0.get(..len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn a_message_is_given_away_once_and_only_as_what_it_is() {
        let mut scratch = RecvScratch::default();
        for kind in [Kind::Text, Kind::Binary] {
            let mut partial = scratch.take();
            partial.begin(kind);
            partial.append(b"Hello", 5, 0).unwrap();
            let _ = scratch.deliver(partial);
            let (text, binary) = match kind {
                Kind::Text => (Some("Hello".into()), None),
                Kind::Binary => (None, Some(b"Hello".to_vec())),
            };
            let wrong = match kind {
                Kind::Text => scratch.take_binary().is_none(),
                Kind::Binary => scratch.take_text().is_none(),
            };
            assert!(wrong);
            assert_eq!((scratch.take_text(), scratch.take_binary()), (text, binary));
            scratch.reclaim();
            assert_eq!((scratch.take_text(), scratch.take_binary()), (None, None));
        }
    }

    #[test]
    fn memory_that_is_given_serves_the_next_message() {
        let mut scratch = RecvScratch::default();
        // The memory comes back before what held it, and then behind it.
        for reclaimed_first in [false, true] {
            for _ in 0..3 {
                let mut partial = scratch.take();
                partial.begin(Kind::Binary);
                partial.append(&[1; 100], 100, 0).unwrap();
                let _ = scratch.deliver(partial);
                let memory = scratch.take_binary().unwrap();
                if reclaimed_first {
                    scratch.reclaim();
                }
                scratch.give(memory);
                scratch.reclaim();
                assert!(scratch.spares.len() <= 2);
                let spare = scratch.take();
                assert!(spare.is_idle() && spare.capacity() >= 100);
                scratch.put_back(spare);
            }
        }
        scratch.give(alloc::vec![0; SPARE_BYTES]);
        assert!(scratch.spare_bytes <= SPARE_BYTES);
    }

    #[test]
    fn spares_are_bounded_in_number_and_in_bytes() {
        let mut scratch = RecvScratch::default();
        let filled = |len: usize| {
            let mut partial = Box::new(Partial::default());
            partial.begin(Kind::Binary);
            partial.append(&alloc::vec![0; len], len, 0).unwrap();
            partial
        };
        for _ in 0..40 {
            scratch.put_back(filled(10));
        }
        assert_eq!(scratch.spares.len(), SPARES);
        let mut scratch = RecvScratch::default();
        for _ in 0..5 {
            scratch.put_back(filled(1024 * 1024));
        }
        assert_eq!(
            (scratch.spares.len(), scratch.spare_bytes),
            (4, SPARE_BYTES)
        );
        scratch.put_back(filled(16 * 1024 * 1024));
        assert_eq!(scratch.spares.len(), 4);
        for _ in 0..4 {
            drop(scratch.take());
        }
        assert_eq!(scratch.spare_bytes, 0);
    }
}
