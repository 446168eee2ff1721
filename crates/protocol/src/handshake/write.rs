//! Writing heads: status lines, header lines, numbers. Called by everything here that appends to `out`.

use alloc::vec::Vec;

use super::grammar::{is_field_value, is_token};

/// Whether a caller's header may be written as it is: its name a token, and nothing in its value that
/// would end the line and begin another one.
pub(super) fn is_header(name: &str, value: &str) -> bool {
    is_token(name.as_bytes()) && is_field_value(value.as_bytes())
}

/// Whether this header is the handshake's own, or frames the message, and is no caller's to write.
pub(super) fn is_reserved(name: &str) -> bool {
    const PREFIX: &str = "Sec-WebSocket-";
    [
        "Connection",
        "Content-Length",
        "Transfer-Encoding",
        "Upgrade",
    ]
    .iter()
    .any(|own| own.eq_ignore_ascii_case(name))
        || name
            .get(..PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Appends a header line.
pub(super) fn header(out: &mut Vec<u8>, name: &str, value: &str) {
    for piece in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// Appends an answer that is the last one on its connection.
///
/// `for_head` leaves the body out, as the answer to HEAD does; 204, 205 and 304 have none (RFC 9110 §15).
pub(super) fn answer<'h>(
    out: &mut Vec<u8>,
    status: u16,
    headers: impl Iterator<Item = (&'h str, &'h str)>,
    body: &[u8],
    for_head: bool,
) {
    let body = if matches!(status, 204 | 205 | 304) {
        &[]
    } else {
        body
    };
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, usize::from(status));
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        header(out, name, value);
    }
    if !matches!(status, 204 | 304) {
        out.extend_from_slice(b"Content-Length: ");
        decimal(out, body.len());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"Connection: close\r\n\r\n");
    if !for_head {
        out.extend_from_slice(body);
    }
}

fn decimal(out: &mut Vec<u8>, number: usize) {
    if number >= 10 {
        decimal(out, number / 10);
    }
    out.push(b'0' + (number % 10) as u8);
}

/// The reason phrases of RFC 9110 §15 and of the registry; none for a status that has none.
const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let mut out = Vec::new();
        for number in [0, 9, 10, 65_536, usize::MAX] {
            out.clear();
            decimal(&mut out, number);
            assert_eq!(out, alloc::format!("{number}").as_bytes());
        }
    }

    #[test]
    fn headers_that_would_be_two_lines_are_none() {
        assert!(is_header("X-A", "b\tc ä") && is_header("X-A", ""));
        for (name, value) in [
            ("", "b"),
            ("X A", "b"),
            ("X-A:", "b"),
            ("X-A\r\nB", "b"),
            ("X-A", "b\r\nC: d"),
            ("X-A", "b\nC: d"),
            ("X-A", "b\r"),
            ("X-A", "\0"),
            ("X-A", "\x7f"),
        ] {
            assert!(!is_header(name, value), "{name:?}: {value:?}");
        }
    }

    #[test]
    fn names_that_are_reserved() {
        for name in [
            "upgrade",
            "CONNECTION",
            "content-length",
            "Transfer-Encoding",
            "sec-websocket-x",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["Set-Cookie", "Sec-WebSocke", "Sec-WebSockeä-", "Server", ""] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
