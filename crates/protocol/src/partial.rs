//! [`Partial`]: what has arrived of a message (and of a control frame in its midst) that is not whole yet, kept once
//! and in its final form. A connection owns one only as long as it needs it; the scratch keeps spares.

#[cfg(feature = "deflate")]
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::{fmt, mem};

#[cfg(feature = "deflate")]
use crate::deflate::Inflation;
use crate::utf8::CutCharacter;
use crate::{Config, Error, Kind};

static ZEROS: [u8; 4096] = [0; 4096];
/// With less room than this, reading past the input is not worth its trouble.
pub(crate) const WORTH_LENDING: usize = 16 * 1024;
/// The most bytes a control frame carries (RFC 6455 §5.5).
const CONTROL_LEN: usize = 125;

pub(crate) struct Partial {
    message: Message,
    /// Frames of the message so far.
    fragments: u32,
    /// Empty frames at the end of the message so far.
    empty_run: u32,
    /// Nothing is missing any more.
    pub(crate) is_whole: bool,
    control: [u8; CONTROL_LEN],
    control_len: u8,
    /// If the message is compressed.
    #[cfg(feature = "deflate")]
    pub(crate) inflation: Option<Box<Inflation>>,
}

/// The message so far. Text is checked as it comes, so it can be a `String` from the start.
enum Message {
    /// There is none; the memory of the last one.
    None(Vec<u8>),
    Text(String, CutCharacter),
    Binary(Filled),
}

/// Memory, of which the front counts. Behind it lies what was there before, so that it can be lent without clearing it.
#[derive(Default)]
struct Filled {
    memory: Vec<u8>,
    len: usize,
}

impl Filled {
    fn bytes(&self) -> &[u8] {
        self.memory.get(..self.len).unwrap_or_default()
    }

    fn append(&mut self, payload: &[u8], reserve: usize) {
        let beyond = (self.len + reserve).saturating_sub(self.memory.len());
        self.memory.reserve_exact(beyond);
        let place = self.memory.get_mut(self.len..).unwrap_or_default();
        let (over, behind) = payload.split_at(payload.len().min(place.len()));
        if let Some(place) = place.get_mut(..over.len()) {
            place.copy_from_slice(over);
        }
        self.memory.extend_from_slice(behind);
        self.len += payload.len();
    }
}

impl Default for Partial {
    fn default() -> Self {
        Self {
            message: Message::None(Vec::new()),
            fragments: 0,
            empty_run: 0,
            is_whole: false,
            control: [0; CONTROL_LEN],
            control_len: 0,
            #[cfg(feature = "deflate")]
            inflation: None,
        }
    }
}

impl Partial {
    /// Whether there is neither a message nor a control frame half way.
    pub(crate) fn is_idle(&self) -> bool {
        !self.has_message() && self.control_len == 0
    }

    pub(crate) fn has_message(&self) -> bool {
        !matches!(self.message, Message::None(_))
    }

    /// The first frame of a message begins.
    pub(crate) fn begin(&mut self, kind: Kind) {
        let mut memory = mem::take(self).into_memory();
        self.message = match kind {
            Kind::Text => {
                memory.clear();
                Message::Text(
                    String::from_utf8(memory).unwrap_or_default(),
                    CutCharacter::default(),
                )
            }
            Kind::Binary => Message::Binary(Filled { memory, len: 0 }),
        };
    }

    /// A frame of `len` bytes begins: counts it, and checks what it would make of the message before any of it is kept.
    /// `fragment`: it is not the whole message, so that without a payload it is an empty fragment.
    pub(crate) fn count_frame(
        &mut self,
        len: u64,
        fragment: bool,
        config: &Config,
    ) -> Result<(), Error> {
        // Saturating: with a limit of `u32::MAX` a patient peer would else count past the end.
        self.fragments = self.fragments.saturating_add(1);
        if self.fragments > config.max_fragments.max(1) {
            return Err(Error::TooManyFragments);
        }
        self.empty_run = if fragment && len == 0 {
            self.empty_run.saturating_add(1)
        } else {
            0
        };
        if self.empty_run > config.max_empty_fragments {
            return Err(Error::TooManyEmptyFragments);
        }
        #[cfg(feature = "deflate")]
        if let Some(inflation) = &mut self.inflation {
            return inflation.count_frame(len, config);
        }
        if len > self.room(config) {
            return Err(Error::MessageTooLong);
        }
        Ok(())
    }

    /// How many bytes the message may still grow by.
    pub(crate) fn room(&self, config: &Config) -> u64 {
        (config.max_message as u64).saturating_sub(self.bytes().len() as u64 + self.cut_len())
    }

    /// Adds payload of a compressed message, which may refer to `history`.
    #[cfg(feature = "deflate")]
    pub(crate) fn append_compressed(
        &mut self,
        payload: &[u8],
        last: bool,
        history: &[u8],
        config: &Config,
    ) -> Result<(), Error> {
        let Some(mut inflation) = self.inflation.take() else {
            return Ok(());
        };
        let mut result = inflation.inflate(payload, self, history, config);
        if last {
            result = result.and_then(|()| inflation.finish(self, history, config));
        }
        self.inflation = Some(inflation);
        result
    }

    /// The bytes of the message so far: those that are whole characters, and those of a cut one.
    #[cfg(feature = "deflate")]
    pub(crate) fn content(&self) -> (&[u8], &[u8]) {
        match &self.message {
            Message::Text(text, cut) => (text.as_bytes(), cut.bytes()),
            Message::Binary(data) => (data.bytes(), &[]),
            Message::None(_) => (&[], &[]),
        }
    }

    /// The length of the message so far.
    #[cfg(feature = "deflate")]
    pub(crate) fn len(&self) -> usize {
        let (whole, cut) = self.content();
        whole.len() + cut.len()
    }

    /// Adds payload. It is the first of `here` bytes that have arrived; at most `to_come` more will follow these.
    pub(crate) fn append(
        &mut self,
        payload: &[u8],
        here: usize,
        to_come: u64,
    ) -> Result<(), Error> {
        match &mut self.message {
            Message::Text(text, cut) => {
                // The cut character is not in the text yet.
                let more = usize::from(cut.len()) + here;
                text.reserve_exact(growth(text.len(), text.capacity(), more, to_come));
                cut.append(text, payload)
            }
            Message::Binary(data) => {
                let reserve = growth(data.len, data.memory.capacity(), here, to_come);
                data.append(payload, reserve);
                Ok(())
            }
            Message::None(_) => Ok(()),
        }
    }

    /// The place for the next bytes of a binary message that is not compressed, of which `to_come` are missing.
    pub(crate) fn lend(&mut self, to_come: usize) -> Option<&mut [u8]> {
        #[cfg(feature = "deflate")]
        if self.inflation.is_some() {
            return None;
        }
        let Message::Binary(data) = &mut self.message else {
            return None;
        };
        let (len, capacity) = (data.len, data.memory.capacity());
        // Doubling by what has arrived, as in `append`; memory that is there already costs nothing.
        let room = to_come.min((capacity - len).max(len));
        if room < WORTH_LENDING {
            return None;
        }
        let missing = (len + room).saturating_sub(data.memory.len());
        data.memory.reserve_exact(missing);
        // In pieces, for `resize` goes byte by byte where nothing is optimised.
        while data.memory.len() < len + room {
            let zeros = (len + room - data.memory.len()).min(ZEROS.len());
            data.memory.extend_from_slice(&ZEROS[..zeros]);
        }
        data.memory.get_mut(len..len + room)
    }

    /// That many of the bytes that were lent have been filled; returns them.
    pub(crate) fn filled(&mut self, len: usize) -> &mut [u8] {
        let Message::Binary(data) = &mut self.message else {
            return &mut [];
        };
        let start = data.len;
        data.len = data.memory.len().min(start + len);
        data.memory.get_mut(start..data.len).unwrap_or_default()
    }

    /// The message is whole: a text may not end inside a character.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        if self.cut_len() > 0 {
            Err(Error::InvalidUtf8)
        } else {
            Ok(())
        }
    }

    /// The finished message.
    pub(crate) fn whole(&self) -> Whole<'_> {
        match &self.message {
            Message::Text(text, _) => Whole::Text(text),
            Message::Binary(data) => Whole::Binary(data.bytes()),
            Message::None(_) => Whole::Binary(&[]),
        }
    }

    /// The finished text, given away.
    pub(crate) fn take_text(&mut self) -> Option<String> {
        match &mut self.message {
            Message::Text(text, _) => Some(mem::take(text)),
            Message::Binary(_) | Message::None(_) => None,
        }
    }

    /// The finished binary message, given away.
    pub(crate) fn take_binary(&mut self) -> Option<Vec<u8>> {
        match &mut self.message {
            Message::Binary(data) => {
                let Filled { mut memory, len } = mem::take(data);
                memory.truncate(len);
                Some(memory)
            }
            Message::Text(..) | Message::None(_) => None,
        }
    }

    /// Adds payload of a control frame.
    pub(crate) fn append_control(&mut self, payload: &[u8]) {
        let rest = self.control.iter_mut().skip(usize::from(self.control_len));
        for (place, byte) in rest.zip(payload) {
            *place = *byte;
            self.control_len += 1;
        }
    }

    /// The finished control frame's payload, and how much of it counts.
    pub(crate) fn take_control(&mut self) -> ([u8; CONTROL_LEN], usize) {
        (self.control, usize::from(mem::take(&mut self.control_len)))
    }

    /// The bytes of memory it would keep as a spare.
    pub(crate) fn capacity(&self) -> usize {
        match &self.message {
            Message::Text(text, _) => text.capacity(),
            Message::Binary(data) => data.memory.capacity(),
            Message::None(memory) => memory.capacity(),
        }
    }

    /// Forgets what it held but keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.message = Message::None(mem::take(self).into_memory());
    }

    /// Sets the memory for the next message; there is none half way.
    pub(crate) fn set_memory(&mut self, memory: Vec<u8>) {
        self.message = Message::None(memory);
    }

    fn bytes(&self) -> &[u8] {
        match &self.message {
            Message::Text(text, _) => text.as_bytes(),
            Message::Binary(data) => data.bytes(),
            Message::None(_) => &[],
        }
    }

    fn cut_len(&self) -> u64 {
        match &self.message {
            Message::Text(_, cut) => cut.len().into(),
            _ => 0,
        }
    }

    fn into_memory(mut self) -> Vec<u8> {
        self.take_memory()
    }

    /// The memory, with whatever is in it.
    fn take_memory(&mut self) -> Vec<u8> {
        match &mut self.message {
            Message::Text(text, _) => mem::take(text).into_bytes(),
            Message::Binary(data) => mem::take(&mut data.memory),
            Message::None(memory) => mem::take(memory),
        }
    }
}

/// Without the memory: what is in it may be of another connection.
impl fmt::Debug for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partial")
            .field("len", &self.bytes().len())
            .finish_non_exhaustive()
    }
}

/// A message's memory is freed small.
///
/// glibc takes a large block that is freed for a sign that more will follow, and from then on keeps free memory of up to
/// twice its size to itself: after messages of 16 MiB a quiet server would hold 64 MiB for ever. Shrinking the block in
/// place gives its pages back without being a sign.
impl Drop for Partial {
    fn drop(&mut self) {
        const SMALL: usize = 64 * 1024;
        let mut memory = self.take_memory();
        memory.clear();
        memory.shrink_to(SMALL);
    }
}

/// A finished message.
#[derive(Debug)]
pub(crate) enum Whole<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

/// How much to reserve for `more` bytes: doubling by what has arrived, yet not beyond the end of what can come.
fn growth(len: usize, capacity: usize, more: usize, to_come: u64) -> usize {
    if more <= capacity - len {
        return 0;
    }
    let ahead = usize::try_from(to_come)
        .unwrap_or(usize::MAX)
        .min(len + more);
    more.saturating_add(ahead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_by_what_arrived_and_never_by_what_is_claimed() {
        let mut partial = Partial::default();
        partial.begin(Kind::Binary);
        partial.append(&[0; 10], 10, 1 << 40).unwrap();
        assert!(partial.capacity() <= 20, "{}", partial.capacity());
        partial.append(&[0; 1000], 1000, 1 << 40).unwrap();
        assert!(partial.capacity() <= 2020, "{}", partial.capacity());
    }

    #[test]
    fn a_message_that_is_nearly_here_is_not_overshot() {
        let mut partial = Partial::default();
        partial.begin(Kind::Binary);
        partial.append(&[0; 1000], 1000, 24).unwrap();
        assert_eq!(partial.capacity(), 1024);
    }

    #[test]
    fn a_cut_character_is_reckoned_with() {
        let mut partial = Partial::default();
        partial.begin(Kind::Text);
        partial.append(b"abc\xf0\x9f\x92", 6, 9).unwrap();
        assert_eq!(partial.capacity(), 12);
        partial.append(b"\xa9abcdefgh", 9, 0).unwrap();
        assert_eq!(partial.capacity(), 15, "by what it takes");
    }

    #[test]
    fn counting_does_not_overflow() {
        let mut partial = Partial::default();
        partial.begin(Kind::Binary);
        partial.fragments = u32::MAX;
        partial.empty_run = u32::MAX;
        let config = Config {
            max_fragments: u32::MAX,
            max_empty_fragments: u32::MAX,
            ..Config::default()
        };
        assert_eq!(partial.count_frame(0, true, &config), Ok(()));
    }

    #[test]
    fn memory_outlives_the_message() {
        let mut partial = Partial::default();
        partial.begin(Kind::Text);
        partial.append(b"some text", 9, 0).unwrap();
        partial.clear();
        assert!(partial.is_idle() && partial.capacity() >= 9);
        partial.begin(Kind::Binary);
        assert!(matches!(partial.whole(), Whole::Binary([])));
    }
}
