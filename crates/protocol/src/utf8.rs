//! UTF-8 as it arrives: whole messages at once, and pieces that may end inside a character. Used by the connection.

use alloc::string::String;

use crate::Error;

/// Checks a whole text.
#[inline]
pub(crate) fn validate(bytes: &[u8]) -> Result<&str, Error> {
    // Short ASCII is fastest with the standard library; everything else with SIMD, by a factor of up to ten.
    if bytes.len() >= 64 {
        return validate_other(bytes);
    }
    core::str::from_utf8(bytes).map_err(|_| Error::InvalidUtf8)
}

/// The same for what is long or not ASCII.
#[inline]
pub(crate) fn validate_other(bytes: &[u8]) -> Result<&str, Error> {
    #[cfg(feature = "std")]
    return simdutf8::basic::from_utf8(bytes).map_err(|_| Error::InvalidUtf8);
    #[cfg(not(feature = "std"))]
    return core::str::from_utf8(bytes).map_err(|_| Error::InvalidUtf8);
}

/// The beginning of a character whose end has not arrived.
#[derive(Debug, Default)]
pub(crate) struct CutCharacter {
    bytes: [u8; 4],
    len: u8,
}

impl CutCharacter {
    /// The number of bytes that wait for the rest of their character.
    pub(crate) fn len(&self) -> u8 {
        self.len
    }

    /// The bytes that wait.
    #[cfg(feature = "deflate")]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Appends the next piece to `text`, and fails at the first octet that no text can have there.
    pub(crate) fn append(&mut self, text: &mut String, piece: &[u8]) -> Result<(), Error> {
        let piece = self.complete(text, piece)?;
        let (whole, cut) = piece.split_at(piece.len() - cut_len(piece));
        text.push_str(validate(whole)?);
        for byte in cut {
            self.push(*byte)?;
        }
        Ok(())
    }

    /// Adds bytes of `piece` to the cut character until it is whole, and returns the others.
    fn complete<'a>(&mut self, text: &mut String, mut piece: &'a [u8]) -> Result<&'a [u8], Error> {
        while self.len > 0
            && let Some((byte, rest)) = piece.split_first()
        {
            piece = rest;
            if let Some(character) = self.push(*byte)? {
                text.push(character);
            }
        }
        Ok(piece)
    }

    /// Adds one byte; returns the character if that completes it.
    fn push(&mut self, byte: u8) -> Result<Option<char>, Error> {
        let slot = self
            .bytes
            .get_mut(usize::from(self.len))
            .ok_or(Error::InvalidUtf8)?;
        *slot = byte;
        self.len += 1;
        let bytes = self
            .bytes
            .get(..usize::from(self.len))
            .ok_or(Error::InvalidUtf8)?;
        match core::str::from_utf8(bytes) {
            Ok(character) => {
                let character = character.chars().next();
                self.len = 0;
                Ok(character)
            }
            // The bytes are the beginning of a character.
            Err(error) if error.error_len().is_none() => Ok(None),
            Err(_) => Err(Error::InvalidUtf8),
        }
    }
}

/// How many bytes at the end of `piece` begin a character that is longer than them: 0 to 3.
fn cut_len(piece: &[u8]) -> usize {
    for (back, byte) in piece.iter().rev().take(3).enumerate() {
        let needed = match byte {
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
            _ => return 0,
        };
        let there = back + 1;
        return if needed > there { there } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the pieces; the text, or the number of the piece that failed. A text that ends cut fails after the last.
    fn feed(pieces: &[&[u8]]) -> Result<String, usize> {
        let (mut text, mut cut) = (String::new(), CutCharacter::default());
        for (i, piece) in pieces.iter().enumerate() {
            cut.append(&mut text, piece).map_err(|_| i)?;
        }
        if cut.len() == 0 {
            Ok(text)
        } else {
            Err(pieces.len())
        }
    }

    #[test]
    fn a_text_cut_anywhere_is_the_same_text() {
        let text = "aé水𝓪 κόσμε \u{10ffff}\u{7ff}\u{800}\u{ffff}\u{10000}";
        let bytes = text.as_bytes();
        for a in 0..=bytes.len() {
            for b in a..=bytes.len() {
                assert_eq!(
                    feed(&[&bytes[..a], &bytes[a..b], &bytes[b..]]).as_deref(),
                    Ok(text)
                );
            }
        }
    }

    #[test]
    fn fails_at_the_first_bad_octet() {
        assert_eq!(feed(&[b"\xf4", b"\x90"]), Err(1), "above U+10FFFF");
        assert_eq!(feed(&[b"abc\xed", b"\xa0"]), Err(1), "a surrogate");
        assert_eq!(feed(&[b"\xc0"]), Err(0), "an overlong form");
        assert_eq!(feed(&[b"\xf5"]), Err(0), "not a lead byte");
        assert_eq!(feed(&[b"\xe0", b"\x9f"]), Err(1), "an overlong form");
        assert_eq!(
            feed(&[b"\xe6", b"\xb0", b"a"]),
            Err(2),
            "a character broken off"
        );
        assert_eq!(feed(&[b"\x80"]), Err(0), "a continuation alone");
        assert_eq!(
            feed(&["水".as_bytes(), b"\xe6\xb0"]),
            Err(2),
            "the end of the text inside a character"
        );
    }

    #[test]
    fn every_pair_of_bytes_is_judged_like_the_standard_library() {
        for a in 0..=255_u8 {
            for b in 0..=255_u8 {
                let whole = [a, b];
                let cut = feed(&[&[a], &[b]]).is_ok();
                assert_eq!(cut, core::str::from_utf8(&whole).is_ok(), "{whole:x?}");
            }
        }
    }
}
