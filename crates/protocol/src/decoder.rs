//! Bytes to parts of frames: reads headers, also cut ones, checks the mask by role, and unmasks payloads where
//! they lie. Knows nothing of messages; used by the connection alone.

use crate::mask::{apply_mask, rotate};
use crate::unmasked::Unmasked;
use crate::{Error, Header, Input, Kind, Opcode};

/// Where we are in the stream of frames.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// Payload bytes of the current frame that have not arrived.
    remaining: u64,
    /// Turned so that it fits the next payload byte.
    key: [u8; 4],
    opcode: Opcode,
    fin: bool,
    /// The beginning of a header whose end has not arrived: at most 13 bytes.
    spill: [u8; Header::MAX_LEN - 1],
    spilled: u8,
}

/// Parts of messages are at most this long, so that what is done with them one after the other (unmasking, checking UTF-8,
/// copying) is done in the processor's nearest cache.
const PART: usize = 16 * 1024;

/// Payload of one frame that lies together in the input. It may be empty.
#[derive(Debug)]
pub(crate) struct Part<'i> {
    pub(crate) opcode: Opcode,
    pub(crate) fin: bool,
    /// The first frame of a compressed message (RFC 7692 §6).
    #[cfg_attr(not(feature = "deflate"), expect(dead_code, reason = "none is"))]
    pub(crate) compressed: bool,
    /// The header of this frame has just been read: then this is its payload's length.
    pub(crate) begins: Option<u64>,
    /// Nothing of the frame is left.
    pub(crate) ends: bool,
    /// Payload bytes of the frame that have arrived, those of this part among them.
    pub(crate) here: usize,
    /// Payload bytes of the frame that have not arrived.
    pub(crate) to_come: u64,
    /// Unmasked.
    pub(crate) payload: &'i mut [u8],
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self {
            remaining: 0,
            key: [0; 4],
            opcode: Opcode::Continuation,
            fin: true,
            spill: [0; Header::MAX_LEN - 1],
            spilled: 0,
        }
    }

    /// The next frame, unmasked, if it is a whole message that lies in the input and has at most `max` bytes: the way of
    /// nearly every message. `None` says nothing of what there is instead; nothing has been used then.
    #[inline(always)]
    pub(crate) fn next_whole<'i>(
        &self,
        input: &mut Input<'i>,
        masked: bool,
        max: usize,
    ) -> Option<(Kind, Unmasked<'i>)> {
        if self.remaining > 0 || self.spilled > 0 {
            return None;
        }
        if masked
            && let Some(&[first, second, a, b, c, d]) = input.peek().first_chunk()
            && let len @ 0..=125 = usize::from(second ^ 0x80)
        {
            // What a server is sent most of the time, in line where it is called.
            let kind = kind_of(first)?;
            if len > max {
                return None;
            }
            let payload = input.take_whole(6 + len)?.get_mut(6..)?;
            return Some((kind, Unmasked::new(payload, [a, b, c, d])));
        }
        next_whole_of_any(input, masked, max)
    }

    /// The next part, or `None` when all of the input is used. `masked`: what RFC 6455 §5.1 asks of this peer; `deflate`:
    /// whether messages may be compressed.
    #[inline]
    pub(crate) fn next_part<'i>(
        &mut self,
        input: &mut Input<'i>,
        masked: bool,
        deflate: bool,
    ) -> Result<Option<Part<'i>>, Error> {
        if input.is_empty() {
            return Ok(None);
        }
        let (mut begins, mut compressed) = (None, false);
        if self.remaining == 0 {
            let Some(header) = self.next_header(input)? else {
                return Ok(None);
            };
            match header.masking_key {
                Some(_) if !masked => return Err(Error::MaskUnexpected),
                None if masked => return Err(Error::MaskMissing),
                key => self.key = key.unwrap_or_default(),
            }
            // RFC 7692 §6: on the first frame of a data message, and on no other frame.
            if header.rsv1 && !(deflate && matches!(header.opcode, Opcode::Text | Opcode::Binary)) {
                return Err(Error::ReservedBits);
            }
            compressed = header.rsv1;
            self.opcode = header.opcode;
            self.fin = header.fin;
            self.remaining = header.len;
            begins = Some(header.len);
        }
        let here = usize::try_from(self.remaining)
            .map_or(input.len(), |remaining| remaining.min(input.len()));
        let payload = input.take(here.min(PART));
        if masked {
            apply_mask(payload, self.key, 0);
            self.key = rotate(self.key, payload.len());
        }
        let to_come = self.remaining;
        self.remaining -= payload.len() as u64;
        Ok(Some(Part {
            opcode: self.opcode,
            fin: self.fin,
            compressed,
            begins,
            ends: self.remaining == 0,
            here,
            to_come: to_come - here as u64,
            payload,
        }))
    }

    /// How many bytes of a data frame have not arrived.
    #[inline]
    pub(crate) fn to_come(&self) -> u64 {
        self.remaining
    }

    /// So many of them have, past the input: unmasks them. Returns whether the frame, and whether its message, is whole.
    pub(crate) fn arrived(&mut self, payload: &mut [u8], masked: bool) -> bool {
        for part in payload.chunks_mut(PART) {
            if masked {
                apply_mask(part, self.key, 0);
                self.key = rotate(self.key, part.len());
            }
        }
        self.remaining = self.remaining.saturating_sub(payload.len() as u64);
        self.remaining == 0 && self.fin
    }

    #[inline]
    fn next_header(&mut self, input: &mut Input<'_>) -> Result<Option<Header>, Error> {
        if self.spilled == 0
            && let Some((header, used)) = Header::decode(input.peek())?
        {
            input.take(used);
            return Ok(Some(header));
        }
        self.next_cut_header(input)
    }

    /// A header that the end of a read cuts: its bytes are collected in the spill until it is whole.
    #[cold]
    fn next_cut_header(&mut self, input: &mut Input<'_>) -> Result<Option<Header>, Error> {
        let spilled = usize::from(self.spilled);
        let mut bytes = [0; Header::MAX_LEN];
        for (place, byte) in bytes
            .iter_mut()
            .zip(self.spill.iter().take(spilled).chain(input.peek()))
        {
            *place = *byte;
        }
        let there = bytes.len().min(spilled + input.len());
        let there = bytes.get(..there).unwrap_or(&bytes);
        if let Some((header, used)) = Header::decode(there)? {
            // What was in the spill alone was not a header, so at least one byte of this input is in it.
            input.take(used.saturating_sub(spilled));
            self.spilled = 0;
            return Ok(Some(header));
        }
        // Not whole: that is at most 13 bytes, and all of the input.
        for (place, byte) in self.spill.iter_mut().zip(there) {
            *place = *byte;
        }
        self.spilled = there.len() as u8;
        input.discard();
        Ok(None)
    }
}

/// Which message a frame of it that is alone and not compressed begins with.
#[inline]
fn kind_of(first: u8) -> Option<Kind> {
    match first {
        0x81 => Some(Kind::Text),
        0x82 => Some(Kind::Binary),
        _ => None,
    }
}

/// [`Decoder::next_whole`] for both roles and all lengths.
#[inline(never)]
fn next_whole_of_any<'i>(
    input: &mut Input<'i>,
    masked: bool,
    max: usize,
) -> Option<(Kind, Unmasked<'i>)> {
    let [first, second, rest @ ..] = input.peek() else {
        return None;
    };
    let kind = kind_of(*first)?;
    let (len, head) = match (second ^ u8::from(masked) << 7, rest) {
        (len @ 0..=125, _) => (usize::from(len), 2),
        (126, [a, b, ..]) => match u16::from_be_bytes([*a, *b]) {
            0..126 => return None,
            len => (usize::from(len), 4),
        },
        (127, [a, b, c, d, e, f, g, h, ..]) => {
            match u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) {
                0..0x1_0000 => return None,
                len => (usize::try_from(len).ok()?, 10),
            }
        }
        _ => return None,
    };
    if len > max {
        return None;
    }
    let used = head + 4 * usize::from(masked);
    let (header, payload) = input.take_whole(used.checked_add(len)?)?.split_at_mut(used);
    let payload = match header.last_chunk() {
        Some(key) if masked => Unmasked::new(payload, *key),
        _ => Unmasked::never_masked(payload),
    };
    Some((kind, payload))
}
