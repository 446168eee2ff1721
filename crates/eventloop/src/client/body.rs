//! [`Body`]: what comes behind the head of an answer that opens no connection, up to a limit (RFC 9112 §6). Used while
//! dialling.

use super::Response;

#[derive(Debug)]
pub(crate) struct Body {
    bytes: Vec<u8>,
    max: usize,
    rest: Rest,
}

/// What is still to come.
#[derive(Debug)]
enum Rest {
    Nothing,
    Length(u64),
    UntilEnd,
    Chunked(Chunk),
}

/// Where in a chunked body (RFC 9112 §7.1) we are.
#[derive(Debug)]
enum Chunk {
    Size(u64),
    /// An extension, to the end of the line.
    Extension(u64),
    Data(u64),
    /// The end of the line behind the data.
    Gap,
}

impl Body {
    pub(crate) fn of(response: &Response, max: usize) -> Self {
        let chunked = (response.text("transfer-encoding"))
            .is_some_and(|codings| codings.to_ascii_lowercase().ends_with("chunked"));
        let rest = if matches!(response.status(), 204 | 304) || max == 0 {
            Rest::Nothing
        } else if chunked {
            Rest::Chunked(Chunk::Size(0))
        } else {
            match response.text("content-length").map(str::parse) {
                Some(Ok(0)) => Rest::Nothing,
                Some(Ok(len)) => Rest::Length(len),
                _ => Rest::UntilEnd,
            }
        };
        Self {
            bytes: Vec::new(),
            max,
            rest,
        }
    }

    /// Takes more of it in.
    pub(crate) fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_complete() {
            bytes = match self.rest {
                Rest::Nothing => return,
                Rest::UntilEnd => self.keep(bytes, u64::MAX).1,
                Rest::Length(left) => {
                    let (left, bytes) = self.keep(bytes, left);
                    self.rest = if left == 0 {
                        Rest::Nothing
                    } else {
                        Rest::Length(left)
                    };
                    bytes
                }
                Rest::Chunked(Chunk::Data(left)) => {
                    let (left, bytes) = self.keep(bytes, left);
                    self.rest = Rest::Chunked(if left == 0 {
                        Chunk::Gap
                    } else {
                        Chunk::Data(left)
                    });
                    bytes
                }
                Rest::Chunked(ref chunk) => {
                    self.rest = chunk.step(bytes[0]);
                    &bytes[1..]
                }
            };
        }
        if self.bytes.len() >= self.max {
            self.rest = Rest::Nothing;
        }
    }

    /// Whether nothing more is wanted.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.rest, Rest::Nothing)
    }

    /// What has come of it.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Keeps up to `left` bytes as far as there is room; returns how many are left, and the bytes behind them.
    fn keep<'a>(&mut self, bytes: &'a [u8], left: u64) -> (u64, &'a [u8]) {
        let len = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let room = self.max.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..len.min(room)]);
        (left - len as u64, &bytes[len..])
    }
}

impl Chunk {
    /// Goes on by a byte that is not data. What is no chunk ends the body.
    fn step(&self, byte: u8) -> Rest {
        let begin = |size| match size {
            0 => Rest::Nothing,
            size => Rest::Chunked(Self::Data(size)),
        };
        match (self, byte) {
            (Self::Size(size) | Self::Extension(size), b'\n') => begin(*size),
            (Self::Size(size), b'\r' | b';' | b' ' | b'\t') | (Self::Extension(size), _) => {
                Rest::Chunked(Self::Extension(*size))
            }
            (Self::Size(size), digit) => {
                let digit = char::from(digit).to_digit(16).map(u64::from);
                let size = digit.and_then(|digit| size.checked_mul(16)?.checked_add(digit));
                size.map_or(Rest::Nothing, |size| Rest::Chunked(Self::Size(size)))
            }
            (Self::Gap, b'\r') => Rest::Chunked(Self::Gap),
            (Self::Gap, b'\n') => Rest::Chunked(Self::Size(0)),
            (Self::Gap | Self::Data(_), _) => Rest::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(rest: Rest, max: usize, pieces: &[&[u8]]) -> (Vec<u8>, bool) {
        let bytes = Vec::new();
        let mut body = Body { bytes, max, rest };
        pieces.iter().for_each(|piece| body.add(piece));
        let complete = body.is_complete();
        (body.into_bytes(), complete)
    }

    #[test]
    fn a_body_ends_with_its_length_its_last_chunk_or_the_limit() {
        assert_eq!(body(Rest::Length(3), 9, &[b"ab"]), (b"ab".into(), false));
        assert_eq!(
            body(Rest::Length(3), 9, &[b"ab", b"cd"]),
            (b"abc".into(), true)
        );
        assert_eq!(
            body(Rest::UntilEnd, 9, &[b"ab", b"cd"]),
            (b"abcd".into(), false)
        );
        assert_eq!(
            body(Rest::UntilEnd, 3, &[b"ab", b"cd"]),
            (b"abc".into(), true)
        );
        let whole: &[u8] = b"2;x=y\r\nab\r\n0A\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n";
        let chunked = || Rest::Chunked(Chunk::Size(0));
        let bytewise: Vec<&[u8]> = whole.chunks(1).collect();
        for pieces in [&[whole][..], &bytewise] {
            assert_eq!(body(chunked(), 99, pieces), (b"ab0123456789".into(), true));
        }
        assert_eq!(body(chunked(), 99, &[b"2\r\nabX"]), (b"ab".into(), true));
        assert_eq!(body(chunked(), 5, &[whole]), (b"ab012".into(), true));
        let huge: &[u8] = b"ffffffffffffffffff\r\nab";
        assert_eq!(body(chunked(), 99, &[huge]), (vec![], true));
    }
}
