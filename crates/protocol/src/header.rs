//! The head of a frame, read and written (RFC 6455 §5.2). Used by the decoder and by everything that sends.

use alloc::vec::Vec;
use core::ops::Deref;

use crate::Error;

/// What a frame is (RFC 6455 §5.2, §11.8).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message that is under way.
    Continuation = 0x0,
    /// The beginning of a text message.
    Text = 0x1,
    /// The beginning of a binary message.
    Binary = 0x2,
    /// The closing handshake.
    Close = 0x8,
    /// A request for a pong.
    Ping = 0x9,
    /// The answer to a ping, or a sign of life.
    Pong = 0xa,
}

impl Opcode {
    /// The opcode with this number, if it is not reserved.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    /// Whether this is a control frame: at most 125 bytes, never fragmented, allowed inside a message (RFC 6455 §5.5).
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// What a message is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

impl From<Kind> for Opcode {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text,
            Kind::Binary => Self::Binary,
        }
    }
}

/// The head of a frame.
///
/// ```
/// use wirefan_protocol::{Header, Opcode};
///
/// // RFC 6455 §5.7: a single-frame unmasked text message, "Hello".
/// let (header, used) = Header::decode(b"\x81\x05Hello").unwrap().unwrap();
/// assert_eq!((header.opcode, header.fin, header.len, used), (Opcode::Text, true, 5, 2));
/// assert_eq!(&*header.encode(), b"\x81\x05");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// The last frame of its message.
    pub fin: bool,
    /// The first reserved bit; only an extension gives it a meaning.
    pub rsv1: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The masking key, where the frame is masked.
    pub masking_key: Option<[u8; 4]>,
    /// The length of the payload in bytes; below 2⁶³.
    pub len: u64,
}

impl Header {
    /// The most bytes that a header takes.
    pub const MAX_LEN: usize = 14;

    /// The head of a message in one frame, as a server sends it.
    #[inline]
    pub fn of_message(kind: Kind, len: usize) -> Self {
        Self {
            fin: true,
            rsv1: false,
            opcode: kind.into(),
            masking_key: None,
            len: len as u64,
        }
    }

    /// Reads a header from the front of `bytes`, and how many of them it took; `None` if it is not complete.
    ///
    /// # Errors
    ///
    /// What breaks RFC 6455 §5.2 or §5.5 whoever sent it: a second or third reserved bit, a reserved opcode, a
    /// control frame that is fragmented or too long, a length that is not minimal or has its top bit set.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, Error> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        let fin = first & 0x80 != 0;
        let (masked, len) = (second & 0x80 != 0, second & 0x7f);
        if first & 0x30 != 0 {
            return Err(Error::ReservedBits);
        }
        let Some(opcode) = Opcode::from_bits(first & 0xf) else {
            return Err(Error::UnknownOpcode(first & 0xf));
        };
        if opcode.is_control() {
            // RFC 6455 §5.5: control frames are not fragmented and carry at most 125 bytes.
            if !fin {
                return Err(Error::FragmentedControl);
            }
            if len > 125 {
                return Err(Error::ControlTooLong);
            }
        }
        // RFC 6455 §5.2: the length in network order, in as few bytes as it takes.
        let (len, rest, mut used) = match len {
            126 => {
                let Some((len, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                let len = u64::from(u16::from_be_bytes(*len));
                if len < 126 {
                    return Err(Error::InvalidLength);
                }
                (len, rest, 4)
            }
            127 => {
                let Some((len, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                let len = u64::from_be_bytes(*len);
                if len <= 0xffff || len >> 63 != 0 {
                    return Err(Error::InvalidLength);
                }
                (len, rest, 10)
            }
            len => (u64::from(len), rest, 2),
        };
        let masking_key = if masked {
            let Some(key) = rest.first_chunk() else {
                return Ok(None);
            };
            used += 4;
            Some(*key)
        } else {
            None
        };
        Ok(Some((
            Self {
                fin,
                rsv1: first & 0x40 != 0,
                opcode,
                masking_key,
                len,
            },
            used,
        )))
    }

    /// Writes the header.
    #[inline]
    pub fn encode(&self) -> HeaderBytes {
        let mut bytes = HeaderBytes {
            bytes: [0; Self::MAX_LEN],
            len: 0,
        };
        self.write(|part| bytes.push(part));
        bytes
    }

    /// Appends the header, as [`encode`](Self::encode) writes it.
    #[inline]
    pub fn append_to(&self, out: &mut Vec<u8>) {
        if self.len <= 125 && self.masking_key.is_none() {
            // The way of nearly every header, in line where it is called.
            return out.extend_from_slice(&[self.first_byte(), self.len as u8]);
        }
        // By value: it need not lie in memory for the others.
        self.append_long_to(out);
    }

    #[inline(never)]
    fn append_long_to(self, out: &mut Vec<u8>) {
        self.write(|part| out.extend_from_slice(part));
    }

    /// Opcode and flags.
    #[inline]
    fn first_byte(&self) -> u8 {
        u8::from(self.fin) << 7 | u8::from(self.rsv1) << 6 | self.opcode as u8
    }

    /// Gives the header away in parts, each of a length that the compiler knows.
    #[inline]
    fn write(&self, mut put: impl FnMut(&[u8])) {
        let first = self.first_byte();
        let mask = u8::from(self.masking_key.is_some()) << 7;
        // The casts are to what the range of the arm says.
        match self.len {
            0..=125 => put(&[first, mask | self.len as u8]),
            126..=0xffff => {
                let [a, b] = (self.len as u16).to_be_bytes();
                put(&[first, mask | 126, a, b]);
            }
            _ => {
                put(&[first, mask | 127]);
                put(&self.len.to_be_bytes());
            }
        }
        if let Some(key) = self.masking_key {
            put(&key);
        }
    }
}

/// A header as it travels: 2 to 14 bytes.
#[derive(Clone, Copy, Debug)]
pub struct HeaderBytes {
    bytes: [u8; Header::MAX_LEN],
    len: u8,
}

impl HeaderBytes {
    #[inline]
    fn push(&mut self, more: &[u8]) {
        let start = usize::from(self.len);
        // At most ten bytes and a key are ever pushed.
        if let Some(place) = self.bytes.get_mut(start..start + more.len()) {
            place.copy_from_slice(more);
            self.len += more.len() as u8;
        }
    }
}

impl Deref for HeaderBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.len))
            .unwrap_or(&self.bytes)
    }
}

impl AsRef<[u8]> for HeaderBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn header(len: u64, masking_key: Option<[u8; 4]>) -> Header {
        Header {
            fin: true,
            rsv1: false,
            opcode: Opcode::Binary,
            masking_key,
            len,
        }
    }

    #[test]
    fn section_5_2_lengths_at_every_border() {
        for (len, plain) in [
            (0, 2),
            (125, 2),
            (126, 4),
            (127, 4),
            (0xffff, 4),
            (0x1_0000, 10),
            (u64::MAX >> 1, 10),
        ] {
            for key in [None, Some([1, 2, 3, 4])] {
                let bytes = header(len, key).encode();
                let expected = plain + key.map_or(0, |_| 4);
                assert_eq!(bytes.len(), expected);
                assert_eq!(
                    Header::decode(&bytes),
                    Ok(Some((header(len, key), expected)))
                );
                for cut in 0..expected {
                    assert_eq!(
                        Header::decode(&bytes[..cut]),
                        Ok(None),
                        "{len} cut at {cut}"
                    );
                }
            }
        }
    }

    #[test]
    fn section_5_2_lengths_must_be_minimal_and_below_2_to_the_63() {
        for bytes in [
            vec![0x82, 126, 0, 125],
            vec![0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
            vec![0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
            vec![0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(
                Header::decode(&bytes),
                Err(Error::InvalidLength),
                "{bytes:x?}"
            );
        }
    }

    #[test]
    fn section_5_2_reserved_bits_and_opcodes() {
        assert_eq!(Header::decode(&[0xa1, 0]), Err(Error::ReservedBits));
        assert_eq!(Header::decode(&[0x91, 0]), Err(Error::ReservedBits));
        assert!(Header::decode(&[0xc1, 0]).is_ok_and(|h| h.is_some_and(|(h, _)| h.rsv1)));
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            assert_eq!(
                Header::decode(&[0x80 | opcode, 0]),
                Err(Error::UnknownOpcode(opcode))
            );
        }
    }

    #[test]
    fn section_5_5_control_frames_are_short_and_whole() {
        for opcode in [0x8, 0x9, 0xa] {
            assert_eq!(Header::decode(&[opcode, 0]), Err(Error::FragmentedControl));
            assert_eq!(
                Header::decode(&[0x80 | opcode, 126]),
                Err(Error::ControlTooLong)
            );
            assert_eq!(
                Header::decode(&[0x80 | opcode, 0xff]),
                Err(Error::ControlTooLong)
            );
            assert!(Header::decode(&[0x80 | opcode, 125]).is_ok());
        }
    }
}
