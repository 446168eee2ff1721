//! [`Reply`]: a plain HTTP answer of the caller's, and [`AnswerError`], what may be wrong with an answer.

use core::fmt;

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::write;

/// A plain HTTP answer: a status, headers and a body.
///
/// `Content-Length` and `Connection: close` are added when it is written: it is the last thing on its
/// connection.
///
/// ```
/// use wirefan_protocol::handshake::Reply;
///
/// let page = Reply::new(200).header("Content-Type", "text/html").body(b"<p>Hello");
/// let refusal: Reply<'static> = Reply::text(403, "this origin may not come in");
/// assert_eq!(refusal.status(), 403);
/// # let _ = page;
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply<'a> {
    status: u16,
    headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    body: Cow<'a, [u8]>,
}

impl<'a> Reply<'a> {
    /// An answer without headers and body. `status` is 200 to 599.
    pub const fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Cow::Borrowed(&[]),
        }
    }

    /// An answer of plain text.
    pub fn text(status: u16, text: impl Into<Cow<'a, str>>) -> Self {
        let body = match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self::new(status)
            .header("Content-Type", "text/plain; charset=utf-8")
            .body(body)
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body, which an answer to HEAD and those with 204, 205 and 304 do not carry.
    #[must_use]
    pub fn body(mut self, body: impl Into<Cow<'a, [u8]>>) -> Self {
        self.body = body.into();
        self
    }

    /// The status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Appends the answer, or nothing if anything is wrong with it.
    pub(super) fn write(&self, for_head: bool, out: &mut Vec<u8>) -> Result<(), AnswerError> {
        if !(200..=599).contains(&self.status) {
            return Err(AnswerError::InvalidStatus);
        }
        let headers = || self.headers.iter().map(|(name, value)| (&**name, &**value));
        headers().try_for_each(|(name, value)| check_header(name, value))?;
        write::answer(out, self.status, headers(), &self.body, for_head);
        Ok(())
    }
}

/// Checks a header that the caller wants in an answer.
pub(super) fn check_header(name: &str, value: &str) -> Result<(), AnswerError> {
    if !write::is_header(name, value) {
        Err(AnswerError::InvalidHeader)
    } else if write::is_reserved(name) {
        Err(AnswerError::ReservedHeader)
    } else {
        Ok(())
    }
}

/// What is wrong with an answer. Nothing was written.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum AnswerError {
    /// A header whose name is no token, or whose value holds CR, LF, NUL or another control byte.
    InvalidHeader,
    /// A status outside of 200 to 599.
    InvalidStatus,
    /// The request asks for no WebSocket.
    NotWebSocket,
    /// A subprotocol that the client did not offer (RFC 6455 §4.2.2).
    ProtocolNotOffered,
    /// A header that is written here: `Connection`, `Upgrade`, `Content-Length`, `Transfer-Encoding`,
    /// `Sec-WebSocket-*`.
    ReservedHeader,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidHeader => "a header would not be one line of HTTP",
            Self::InvalidStatus => "the status is not between 200 and 599",
            Self::NotWebSocket => "the request asks for no WebSocket",
            Self::ProtocolNotOffered => "the client did not offer this subprotocol",
            Self::ReservedHeader => "this header is not the caller's to write",
        })
    }
}

impl core::error::Error for AnswerError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply<'_>) -> alloc::string::String {
        let mut out = Vec::new();
        reply.write(false, &mut out).unwrap();
        alloc::string::String::from_utf8(out).unwrap()
    }

    #[test]
    fn writes_status_headers_length_and_body() {
        let reply = Reply::new(200)
            .header("A", "b")
            .header("A", "c")
            .body(b"<p>");
        assert_eq!(
            written(&reply),
            "HTTP/1.1 200 OK\r\nA: b\r\nA: c\r\nContent-Length: 3\r\nConnection: close\r\n\r\n<p>"
        );
        assert_eq!(
            written(&Reply::new(599)),
            "HTTP/1.1 599 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn rfc_9110_section_8_6_no_body_and_no_length_where_there_may_be_none() {
        for status in [204, 304] {
            let text = written(&Reply::new(status).body(b"x"));
            assert!(text.ends_with("\r\nConnection: close\r\n\r\n"), "{text}");
            assert!(!text.contains("Content-Length"), "{text}");
        }
        assert!(written(&Reply::new(205).body(b"x")).contains("Content-Length: 0\r\n"));
    }

    #[test]
    fn refuses_what_would_break_the_answer_and_writes_nothing() {
        let mut out = Vec::new();
        for (reply, error) in [
            (Reply::new(101), AnswerError::InvalidStatus),
            (Reply::new(199), AnswerError::InvalidStatus),
            (Reply::new(600), AnswerError::InvalidStatus),
            (
                Reply::new(200).header("A", "b\r\nC: d"),
                AnswerError::InvalidHeader,
            ),
            (
                Reply::new(200).header("A b", "c"),
                AnswerError::InvalidHeader,
            ),
            (
                Reply::new(200).header("content-length", "7"),
                AnswerError::ReservedHeader,
            ),
            (
                Reply::new(200).header("Upgrade", "h2c"),
                AnswerError::ReservedHeader,
            ),
        ] {
            assert_eq!(reply.write(false, &mut out), Err(error));
            assert!(out.is_empty());
        }
    }
}
