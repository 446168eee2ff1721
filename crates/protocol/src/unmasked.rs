//! [`Unmasked`]: the payload of a message that has come whole, unmasked and looked at in one pass. Made by the decoder.
//!
//! The only `unsafe` of this crate is here: what has just been seen to be ASCII is not checked again for being UTF-8.
#![allow(unsafe_code)]

use crate::mask::{apply_mask, rotate};
use crate::{Error, utf8};

/// A payload, and whether it is known to be ASCII.
#[derive(Debug)]
pub(crate) struct Unmasked<'i> {
    payload: &'i [u8],
    /// All of the payload is ASCII. Set here alone: `text` relies on it.
    ascii: bool,
}

impl<'i> Unmasked<'i> {
    /// Of a peer that masks.
    #[inline]
    pub(crate) fn new(payload: &'i mut [u8], key: [u8; 4]) -> Self {
        let ascii = unmask(payload, key);
        Self { payload, ascii }
    }

    /// Of a peer that does not.
    #[inline]
    pub(crate) fn never_masked(payload: &'i [u8]) -> Self {
        // What is longer is checked at once, by vectors.
        let ascii = payload.len() < 128 && payload.is_ascii();
        Self { payload, ascii }
    }

    /// The payload of a binary message.
    #[inline]
    pub(crate) fn binary(self) -> &'i [u8] {
        self.payload
    }

    /// The payload of a text message.
    #[inline]
    pub(crate) fn text(self) -> Result<&'i str, Error> {
        if !self.ascii {
            return utf8::validate_other(self.payload);
        }
        debug_assert!(self.payload.is_ascii());
        // SAFETY: ASCII is UTF-8, and every byte was seen to be below 0x80: by `is_ascii`, or by `unmask`, which collects
        // the bits of all bytes that it writes. Nobody else can have written since: the payload is borrowed.
        Ok(unsafe { core::str::from_utf8_unchecked(self.payload) })
    }
}

/// Unmasks a payload, and tells whether all of it is ASCII.
///
/// A short one is unmasked as two halves that overlap, so that no byte is handled alone.
#[inline]
fn unmask(payload: &mut [u8], key: [u8; 4]) -> bool {
    match payload.len() {
        64.. => unmask_long(payload, key),
        32.. => unmask_halves::<4>(payload, key),
        16.. => unmask_halves::<2>(payload, key),
        8.. => unmask_halves::<1>(payload, key),
        _ => {
            let mut seen = 0;
            for (byte, key) in payload.iter_mut().zip(key.into_iter().cycle()) {
                *byte ^= key;
                seen |= *byte;
            }
            seen < 0x80
        }
    }
}

/// The same for `N` to twice as many words.
#[inline]
fn unmask_halves<const N: usize>(payload: &mut [u8], key: [u8; 4]) -> bool {
    let at = payload.len() - 8 * N;
    // Both are read before either is written.
    let first = unmasked::<N>(&payload[..8 * N], key);
    let last = unmasked::<N>(&payload[at..], rotate(key, at));
    write(&mut payload[..8 * N], first);
    write(&mut payload[at..], last);
    is_ascii(first.iter().chain(&last).fold(0, |all, word| all | word))
}

#[inline]
fn unmasked<const N: usize>(bytes: &[u8], key: [u8; 4]) -> [u64; N] {
    let key = u64::from(u32::from_ne_bytes(key));
    let mut words = [key | key << 32; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word ^= u64::from_ne_bytes(*bytes);
    }
    words
}

#[inline]
fn write<const N: usize>(bytes: &mut [u8], words: [u64; N]) {
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_ne_bytes();
    }
}

/// The same for many words: the compiler makes the widest vectors of it that the target has.
#[inline(never)]
fn unmask_long(payload: &mut [u8], key: [u8; 4]) -> bool {
    if payload.len() <= 128 {
        return unmask_halves::<8>(payload, key);
    }
    // Most text is ASCII from its beginning to its end, or soon not.
    const LOOK: usize = 4096;
    let (begin, rest) = payload.split_at_mut(LOOK.min(payload.len()));
    let mut ascii = unmask_block(begin, key);
    if ascii {
        ascii = unmask_block(rest, key);
    } else {
        apply_mask(rest, key, 0);
    }
    ascii
}

#[inline]
fn unmask_block(payload: &mut [u8], key: [u8; 4]) -> bool {
    let key = u64::from(u32::from_ne_bytes(key));
    let word = key | key << 32;
    let (words, tail) = payload.as_chunks_mut::<8>();
    let mut seen = 0;
    for bytes in words {
        let plain = u64::from_ne_bytes(*bytes) ^ word;
        *bytes = plain.to_ne_bytes();
        seen |= plain;
    }
    for (byte, key) in tail.iter_mut().zip(word.to_ne_bytes()) {
        *byte ^= key;
        seen |= u64::from(*byte);
    }
    is_ascii(seen)
}

/// Whether bytes are ASCII of which the bits were collected.
fn is_ascii(seen: u64) -> bool {
    seen & 0x8080_8080_8080_8080 == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// At the borders of ASCII and of characters, right and wrong.
    const BORDERS: &[&[u8]] = &[
        b"\x80",
        b"\x7f",
        b"\xff",
        b"\xc2",
        b"\xc2\x80",
        b"\xbf",
        b"\xed\xa0\x80",
        b"\xef\xbf\xbf",
        b"\xf0\x9f\xa6\x80",
        b"\xf4\x90\x80\x80",
        b"\0",
    ];

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 1 } else { 40 },
            // Under Miri there is no folder to look for old failures in.
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn is_what_a_slow_decoder_makes_of_it(
            pieces in vec(
                (0_usize..400, proptest::sample::select(BORDERS)),
                0..4,
            ),
            letters in vec(0_u8..0x80, 400),
            key in any::<[u8; 4]>(),
            place in 0_usize..9,
        ) {
            for len in (0_usize..=300).step_by(if cfg!(miri) { 7 } else { 1 }) {
                let mut plain: Vec<u8> = letters.iter().copied().take(len).collect();
                for (at, piece) in &pieces {
                    let at = at % (len + 1);
                    let room = plain.iter_mut().skip(at);
                    for (byte, other) in room.zip(*piece) {
                        *byte = *other;
                    }
                }
                let mut read: Vec<u8> = core::iter::repeat_n(0xee, place).collect();
                read.extend(plain.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
                read.extend([0xee; 9]);
                let masked = &mut read[place..place + len];
                let text = Unmasked::new(masked, key).text().ok();
                prop_assert_eq!(text, core::str::from_utf8(&plain).ok());
                prop_assert_eq!(&read[place..place + len], &plain[..]);
                prop_assert!(read[..place].iter().chain(&read[place + len..]).all(|byte| *byte == 0xee));
                let text = Unmasked::never_masked(&plain).text().ok();
                prop_assert_eq!(text, core::str::from_utf8(&plain).ok());
            }
        }
    }

    #[test]
    fn is_the_payload_and_ascii_only_where_all_of_it_is() {
        let key = [0x81, 0x20, 0xfe, 3];
        // All of them would keep Miri busy for minutes.
        for len in (0_usize..400).step_by(if cfg!(miri) { 13 } else { 1 }) {
            let plain: Vec<u8> = (0..len).map(|i| (i * 7) as u8 & 0x7f).collect();
            let places = [0, len / 2, len.saturating_sub(20), len.saturating_sub(1)];
            for place in [None].into_iter().chain(places.map(Some)) {
                let mut plain = plain.clone();
                if let Some(byte) = place.and_then(|place| plain.get_mut(place)) {
                    *byte |= 0x80;
                }
                let mut masked = plain.clone();
                apply_mask(&mut masked, key, 0);
                let payload = Unmasked::new(&mut masked, key);
                assert_eq!(payload.ascii, plain.is_ascii(), "{len} bytes");
                assert_eq!(payload.text().ok(), core::str::from_utf8(&plain).ok());
                assert_eq!(
                    Unmasked {
                        payload: &masked,
                        ascii: false
                    }
                    .binary(),
                    plain
                );
                let text = Unmasked::never_masked(&plain).text();
                assert_eq!(text.ok(), core::str::from_utf8(&plain).ok());
            }
        }
    }
}
