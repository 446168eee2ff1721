//! The head of a request or a response: its end, found byte by byte and once, and its header lines,
//! split again lazily. Called by both handshakes.

use core::fmt;
use core::mem::MaybeUninit;

use httparse::Header;

use crate::Config;

/// Why something is not the head of a request or response.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum HeadError {
    /// A control byte, such as NUL (RFC 9110 §5.5).
    ControlByte,
    /// A header line that goes on in the next line (RFC 9112 §5.2).
    FoldedHeader,
    /// A header line without a colon, with space before it, or with a name that is no token (RFC 9112 §5).
    InvalidHeader,
    /// A first line that is neither a request line nor a status line (RFC 9112 §3, §4).
    InvalidStartLine,
    /// A carriage return or a line feed without the other (RFC 9112 §2.2).
    LineEnd,
    /// A TLS record where HTTP is spoken.
    Tls,
    /// More bytes than [`Config::max_head`](crate::Config::max_head).
    TooLong,
    /// More header lines than [`Config::max_headers`](crate::Config::max_headers).
    TooManyHeaders,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    UnsupportedVersion,
}

impl HeadError {
    /// One line for people.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ControlByte => "control byte in the head",
            Self::FoldedHeader => "folded header line",
            Self::InvalidHeader => "invalid header line",
            Self::InvalidStartLine => "not HTTP",
            Self::LineEnd => "line that does not end with CR LF",
            Self::Tls => "TLS on a plain port",
            Self::TooLong => "head too long",
            Self::TooManyHeaders => "too many header lines",
            Self::UnsupportedVersion => "HTTP version not supported",
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl core::error::Error for HeadError {}

impl From<httparse::Error> for HeadError {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::HeaderName | httparse::Error::HeaderValue => Self::InvalidHeader,
            httparse::Error::NewLine => Self::LineEnd,
            httparse::Error::Status | httparse::Error::Token => Self::InvalidStartLine,
            httparse::Error::TooManyHeaders => Self::TooManyHeaders,
            httparse::Error::Version => Self::UnsupportedVersion,
        }
    }
}

/// The search for the blank line that ends a head.
///
/// It keeps its place between reads, so a head that dribbles in costs no more than one that comes at
/// once. What can never become a head fails at its first wrong byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadSearch {
    seen: usize,
    at: At,
}

/// What came last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum At {
    /// Nothing; one empty line may come before a request (RFC 9112 §2.2).
    Start,
    /// The carriage return of that empty line.
    EmptyLineCr,
    /// Nothing of the first line.
    FirstLine,
    /// Bytes inside a line.
    Line,
    /// The carriage return that ends a line.
    Cr,
    /// The end of a line.
    LineStart,
    /// The carriage return of the blank line.
    BlankLineCr,
}

impl HeadSearch {
    /// The search in a request, which one empty line may precede.
    pub(super) const fn request() -> Self {
        Self {
            seen: 0,
            at: At::Start,
        }
    }

    /// The search in a response.
    pub(super) const fn response() -> Self {
        Self {
            seen: 0,
            at: At::FirstLine,
        }
    }

    /// Goes on in `chunk`, which follows what was looked at before; returns how much of it belongs to the
    /// head if the head ends in it.
    pub(super) fn look(&mut self, chunk: &[u8], limit: usize) -> Result<Option<usize>, HeadError> {
        let within = limit.saturating_sub(self.seen);
        let chunk = chunk.get(..within).unwrap_or(chunk);
        let mut used = 0;
        while let Some(&byte) = chunk.get(used) {
            used += 1;
            self.at = match (self.at, byte) {
                (At::BlankLineCr, b'\n') => return Ok(Some(used)),
                (At::Cr, b'\n') => At::LineStart,
                (At::EmptyLineCr, b'\n') => At::FirstLine,
                (At::Line, b'\r') => At::Cr,
                (At::LineStart, b'\r') => At::BlankLineCr,
                (At::Start, b'\r') => At::EmptyLineCr,
                (At::LineStart, b' ' | b'\t') => return Err(HeadError::FoldedHeader),
                // The first byte of a ClientHello or of an alert.
                (At::Start | At::FirstLine, 0x15 | 0x16) => return Err(HeadError::Tls),
                (At::Start | At::FirstLine, b' ' | b'\t' | b'\r') => {
                    return Err(HeadError::InvalidStartLine);
                }
                (At::Cr | At::EmptyLineCr | At::BlankLineCr, _) | (_, b'\n') => {
                    return Err(HeadError::LineEnd);
                }
                (_, byte) if is_control(byte) => return Err(HeadError::ControlByte),
                _ => {
                    used += plain_len(chunk.get(used..).unwrap_or_default());
                    At::Line
                }
            };
        }
        self.seen += used;
        if self.seen == limit {
            Err(HeadError::TooLong)
        } else {
            Ok(None)
        }
    }
}

/// How many bytes come before the first control byte. Sixteen are tested at a time, which compilers
/// turn into vector instructions.
fn plain_len(bytes: &[u8]) -> usize {
    let has_control = |piece: &&[u8]| {
        piece
            .iter()
            .fold(false, |any, &byte| any | is_control(byte))
    };
    let pieces = bytes
        .chunks_exact(16)
        .take_while(|piece| !has_control(piece));
    let plain = 16 * pieces.count();
    let rest = bytes.get(plain..).unwrap_or_default();
    let more = rest.iter().position(|&byte| is_control(byte));
    plain + more.unwrap_or(rest.len())
}

fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

/// Room for the header lines of one head, on the stack.
pub(super) struct HeaderRoom<'h>([MaybeUninit<Header<'h>>; 128]);

impl<'h> HeaderRoom<'h> {
    pub(super) const fn new() -> Self {
        Self([const { MaybeUninit::uninit() }; 128])
    }

    /// As much of it as `config` allows.
    pub(super) fn within(&mut self, config: &Config) -> &mut [MaybeUninit<Header<'h>>] {
        let most = config.max_headers.min(self.0.len());
        &mut self.0[..most]
    }
}

/// The header lines of a head that has been parsed, split again at each step.
#[derive(Clone, Copy)]
pub(super) struct HeaderLines<'a> {
    rest: &'a [u8],
}

impl<'a> HeaderLines<'a> {
    /// The first line of `head` without its end, and the header lines behind it.
    pub(super) fn split(head: &'a [u8]) -> (&'a [u8], Self) {
        let end = head
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(head.len(), |at| at + 1);
        let (first, rest) = head.split_at(end);
        (first.trim_ascii_end(), Self { rest })
    }

    /// The header lines in `bytes`, which came out of [`as_bytes`](Self::as_bytes).
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) const fn as_bytes(self) -> &'a [u8] {
        self.rest
    }

    /// The values of all lines with this name, in order.
    pub(super) fn values(self, name: &str) -> impl Iterator<Item = &'a [u8]> + use<'a, '_> {
        // Not by name and value: most lines have other names, and are done with when that is seen.
        let lines = self.rest.split(|&byte| byte == b'\n');
        lines.filter_map(|line| match line.split_at_checked(name.len())? {
            // What has a colon in it is no name.
            (other, [b':', value @ ..])
                if other.eq_ignore_ascii_case(name.as_bytes()) && !other.contains(&b':') =>
            {
                Some(value.trim_ascii())
            }
            _ => None,
        })
    }
}

impl<'a> Iterator for HeaderLines<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let end = self.rest.iter().position(|&byte| byte == b'\n')?;
        let (line, rest) = self.rest.split_at(end + 1);
        // The blank line has no colon.
        let colon = line.iter().position(|&byte| byte == b':')?;
        self.rest = rest;
        let name = str::from_utf8(&line[..colon]).ok()?;
        Some((name, line[colon + 1..].trim_ascii()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const LIMIT: usize = 64;

    fn request(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        HeadSearch::request().look(bytes, LIMIT)
    }

    #[test]
    fn finds_the_blank_line_and_nothing_behind_it() {
        assert_eq!(
            request(b"GET / HTTP/1.1\r\nA: b\r\n\r\nrest\n\0"),
            Ok(Some(24))
        );
        assert_eq!(request(b"GET / HTTP/1.1\r\n\r\n"), Ok(Some(18)));
        assert_eq!(request(b"GET / HTTP/1.1\r\nA: b\r\n\r"), Ok(None));
    }

    #[test]
    fn keeps_its_place_between_chunks() {
        let head = b"\r\nGET / HTTP/1.1\r\nA: b\r\n\r\n";
        let mut search = HeadSearch::request();
        let (last, before) = head.split_last().unwrap();
        for byte in before {
            assert_eq!(search.look(&[*byte], LIMIT), Ok(None));
        }
        assert_eq!(search.look(&[*last, b'x'], LIMIT), Ok(Some(1)));
    }

    #[test]
    fn rfc_9112_section_2_2_one_empty_line_may_come_before_a_request() {
        assert_eq!(request(b"\r\nGET / HTTP/1.1\r\n\r\n"), Ok(Some(20)));
        assert_eq!(
            request(b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
            Err(HeadError::InvalidStartLine)
        );
        let response = HeadSearch::response().look(b"\r\nHTTP/1.1 101 \r\n\r\n", LIMIT);
        assert_eq!(response, Err(HeadError::InvalidStartLine));
    }

    #[test]
    fn fails_at_the_first_byte_that_cannot_be() {
        for (bytes, error) in [
            (&b"\x16"[..], HeadError::Tls),
            (b"\x15\x03\x01", HeadError::Tls),
            (b" ", HeadError::InvalidStartLine),
            (b"\n", HeadError::LineEnd),
            (b"\rG", HeadError::LineEnd),
            (b"GET\n", HeadError::LineEnd),
            (b"GET\rX", HeadError::LineEnd),
            (b"GET\r\r", HeadError::LineEnd),
            (b"GET\r\n\n", HeadError::LineEnd),
            (b"GET\r\n\rX", HeadError::LineEnd),
            (b"GET\r\n ", HeadError::FoldedHeader),
            (b"GET\r\n\t", HeadError::FoldedHeader),
            (b"\0", HeadError::ControlByte),
            (b"GET \0", HeadError::ControlByte),
            (b"GET\r\nA: \x7f", HeadError::ControlByte),
            (b"GET\r\n\x1b", HeadError::ControlByte),
        ] {
            assert_eq!(request(bytes), Err(error), "{}", bytes.escape_ascii());
            let (_, before) = bytes.split_last().unwrap();
            assert!(matches!(request(before), Ok(None) | Err(HeadError::Tls)));
        }
    }

    #[test]
    fn the_limit_holds_to_the_byte() {
        let head = b"GET / HTTP/1.1\r\n\r\n";
        assert_eq!(
            HeadSearch::request().look(head, head.len()),
            Ok(Some(head.len()))
        );
        assert_eq!(
            HeadSearch::request().look(head, head.len() - 1),
            Err(HeadError::TooLong)
        );
        let mut search = HeadSearch::request();
        assert_eq!(search.look(&[b'x'; LIMIT - 1], LIMIT), Ok(None));
        assert_eq!(search.look(b"x", LIMIT), Err(HeadError::TooLong));
    }

    #[test]
    fn splits_lines_again_as_they_were_parsed() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nEmpty:\r\nX: \t b:\xff c \t\r\nHOST:d\r\n\r\n";
        let (first, lines) = HeaderLines::split(head);
        assert_eq!(first, b"GET / HTTP/1.1");
        let all: Vec<_> = lines.collect();
        assert_eq!(
            all,
            [
                ("Host", &b"a"[..]),
                ("Empty", b""),
                ("X", b"b:\xff c"),
                ("HOST", b"d")
            ]
        );
        assert_eq!(lines.values("host").collect::<Vec<_>>(), [b"a", b"d"]);
        for other in [
            "x: \t b",
            "hos",
            "hosts",
            "",
            "a name that is longer than its line",
        ] {
            assert_eq!(lines.values(other).count(), 0, "{other}");
        }
    }
}
