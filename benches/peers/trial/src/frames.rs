//! Masked frames, as a client that does everything right sends them, and the headers of answers.

use crate::bare;

/// The first byte of a frame that is a whole text message.
pub const TEXT: u8 = 0x81;
/// The first byte of a frame that is a whole binary message.
pub const BINARY: u8 = 0x82;

/// The head of a masked frame.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub first: u8,
    pub key: [u8; 4],
    /// What the header takes.
    pub used: usize,
    /// What the payload takes.
    pub len: usize,
}

impl Head {
    /// The head that `bytes` begin with, if all of it is there.
    #[inline]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (first, used, len) = match *bytes {
            [first, len @ 0x80..=0xfd, ..] => (first, 6, usize::from(len & 0x7f)),
            [first, 0xfe, a, b, ..] => (first, 8, usize::from(u16::from_be_bytes([a, b]))),
            [first, 0xff, a, b, c, d, e, f, g, h, ..] => {
                let len = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
                (first, 14, usize::try_from(len).ok()?)
            }
            _ => return None,
        };
        let key = *bytes.get(..used)?.last_chunk()?;
        Some(Self {
            first,
            key,
            used,
            len,
        })
    }
}

/// Appends the header of an answer.
#[inline]
pub fn append_header(out: &mut Vec<u8>, first: u8, len: usize) {
    match len {
        0..=125 => out.extend_from_slice(&[first, len as u8]),
        126..=0xffff => {
            let [a, b] = (len as u16).to_be_bytes();
            out.extend_from_slice(&[first, 126, a, b]);
        }
        _ => {
            out.extend_from_slice(&[first, 127]);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

/// Unmasks what stands `offset` bytes behind the beginning of a payload, and tells whether all of it is ASCII.
#[inline]
pub fn unmask(payload: &mut [u8], mut key: [u8; 4], offset: usize) -> bool {
    key.rotate_left(offset % 4);
    bare::unmask(payload, key)
}

/// Whether a payload that is not ASCII is UTF-8.
#[inline]
pub fn is_text(payload: &[u8]) -> bool {
    simdutf8::basic::from_utf8(payload).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_5_7_hello() {
        const FRAME: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        let head = Head::read(FRAME).unwrap();
        assert_eq!((head.first, head.used, head.len), (TEXT, 6, 5));
        assert!((0..6).all(|cut| Head::read(&FRAME[..cut]).is_none()));
        for cut in 0..=head.len {
            let mut payload = FRAME[head.used..].to_vec();
            let (begin, rest) = payload.split_at_mut(cut);
            assert!(unmask(begin, head.key, 0) && unmask(rest, head.key, cut));
            assert_eq!(payload, b"Hello");
        }
        assert!(!unmask(&mut [0x37, 0xfa ^ 0xc3], head.key, 0));
        let mut out = Vec::new();
        append_header(&mut out, TEXT, 5);
        append_header(&mut out, BINARY, 126);
        append_header(&mut out, BINARY, 0x1_0000);
        assert_eq!(out, b"\x81\x05\x82\x7e\0\x7e\x82\x7f\0\0\0\0\0\x01\0\0");
    }
}
