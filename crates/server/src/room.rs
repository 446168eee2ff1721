//! From the path of a URL to the name of a room. Called for every request of a broadcast server.

use core::fmt;

/// Longest name of a room in bytes.
pub(crate) const MAX_LEN: usize = 256;

/// Why a path names no room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoRoom {
    /// It is no path, but `*`.
    NoPath,
    /// A `%` without two hexadecimal digits behind it.
    InvalidEscape,
    /// Decoded, it is not UTF-8.
    NotUtf8,
    /// Decoded, it has a control character in it, which no log and no page could show.
    Control,
    /// Decoded, it is longer than [`MAX_LEN`].
    TooLong,
}

impl NoRoom {
    /// The status of the answer.
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::TooLong => 414,
            _ => 400,
        }
    }
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPath => f.write_str("a room has a path: /tea for instance"),
            Self::InvalidEscape => {
                f.write_str("a % in the path has no two hexadecimal digits behind it")
            }
            Self::NotUtf8 => f.write_str("the decoded path is not UTF-8"),
            Self::Control => f.write_str("the decoded path has a control character in it"),
            Self::TooLong => write!(f, "the decoded path is longer than {MAX_LEN} bytes"),
        }
    }
}

impl core::error::Error for NoRoom {}

/// The room of a path without its query: the path, percent-decoded (RFC 3986 §2.1).
pub(crate) fn of(path: &str) -> Result<String, NoRoom> {
    if !path.starts_with('/') {
        return Err(NoRoom::NoPath);
    }
    let mut room = Vec::new();
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if room.len() == MAX_LEN {
            return Err(NoRoom::TooLong);
        }
        room.push(match byte {
            b'%' => digit(bytes.next())? << 4 | digit(bytes.next())?,
            byte => byte,
        });
    }
    let room = String::from_utf8(room).map_err(|_| NoRoom::NotUtf8)?;
    if room.contains(char::is_control) {
        return Err(NoRoom::Control);
    }
    Ok(room)
}

fn digit(byte: Option<u8>) -> Result<u8, NoRoom> {
    byte.and_then(|byte| char::from(byte).to_digit(16))
        .and_then(|digit| u8::try_from(digit).ok())
        .ok_or(NoRoom::InvalidEscape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rfc_3986_section_2_1_escapes_are_decoded_once() {
        for (path, room) in [
            ("/", "/"),
            ("/tea", "/tea"),
            ("/gr%C3%BCn", "/grün"),
            ("/gr%c3%bcn", "/grün"),
            ("/a%2Fb", "/a/b"),
            ("/100%25", "/100%"),
            ("/%2541", "/%41"),
            ("/a+b", "/a+b"),
            ("//a//", "//a//"),
        ] {
            assert_eq!(of(path).as_deref(), Ok(room));
        }
    }

    #[test]
    fn paths_that_are_no_rooms() {
        for (path, why) in [
            ("*", NoRoom::NoPath),
            ("/%", NoRoom::InvalidEscape),
            ("/%4", NoRoom::InvalidEscape),
            ("/%zz", NoRoom::InvalidEscape),
            ("/%+1", NoRoom::InvalidEscape),
            ("/%C3", NoRoom::NotUtf8),
            ("/%C3%28", NoRoom::NotUtf8),
            ("/%ED%A0%80", NoRoom::NotUtf8),
            ("/a%00", NoRoom::Control),
            ("/a%0Ab", NoRoom::Control),
            ("/%C2%85", NoRoom::Control),
        ] {
            assert_eq!(of(path), Err(why), "{path}");
            assert_eq!(why.status(), 400);
        }
    }

    #[test]
    fn a_name_has_256_bytes_at_most_however_it_is_written() {
        let longest = format!("/{}", "a".repeat(255));
        assert_eq!(of(&longest).as_deref(), Ok(&*longest));
        assert_eq!(of(&format!("{longest}a")), Err(NoRoom::TooLong));
        assert!(of(&format!("/{}", "%61".repeat(255))).is_ok());
        assert_eq!(of(&format!("/{}", "%61".repeat(256))), Err(NoRoom::TooLong));
        assert_eq!(NoRoom::TooLong.status(), 414);
    }

    proptest! {
        #[test]
        fn every_name_has_a_path(name in "/[^\\p{Cc}]{0,60}") {
            let path: String = name.bytes().skip(1).map(|byte| format!("%{byte:02X}")).collect();
            let room = of(&format!("/{path}"));
            prop_assert_eq!(room.as_deref(), Ok(&*name));
        }

        #[test]
        fn whatever_the_path_a_room_is_short_and_can_be_shown(path in "/([ -~]|%[0-9a-f]{2}){0,300}") {
            if let Ok(room) = of(&path) {
                prop_assert!(room.len() <= MAX_LEN && !room.contains(char::is_control));
            }
        }
    }
}
