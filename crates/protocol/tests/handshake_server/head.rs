//! What is a head at all (RFC 9112), and its limits.

use wirefan_protocol::Config;
use wirefan_protocol::handshake::{BadRequest, HeadError};

use super::{EXAMPLE, HELLO, Made, Run, accepts, held, refuses, run, whole, with};

#[test]
fn bytes_that_are_no_text_are_refused_or_handed_on_and_never_a_panic() {
    let names = [
        "Host",
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Origin",
        "Sec-WebSocket-Protocol",
        "Content-Length",
        "Transfer-Encoding",
        "Expect",
    ];
    for name in names {
        let line = format!("\r\n{name}: \u{e4}\r\n");
        let mut request = with("\r\nOrigin: http://example.com\r\n", &line).into_bytes();
        let at = request.iter().position(|&byte| byte == 0xc3).unwrap();
        request.remove(at); // a lone continuation byte
        let made = run(&Config::default(), [&request[..]]).made;
        assert!(!matches!(made, Made::Nothing), "{name}");
    }
    let request = held(&with("Origin: http://example.com", "X-Name: \u{e4}"));
    assert_eq!(
        request.request().header("x-name"),
        Some("\u{e4}".as_bytes())
    );
    assert_eq!(request.request().header("x-other"), None);
}

#[test]
fn rfc_9112_what_is_no_head_fails_at_its_first_wrong_byte() {
    for (bytes, error, reason) in [
        (
            &b"\x16\x03\x01\x02\x00\x01\x00"[..],
            HeadError::Tls,
            "TLS on a plain port",
        ),
        (b"\x16", HeadError::Tls, "TLS on a plain port"),
        (b"\0", HeadError::ControlByte, "control byte in the head"),
        (
            b"GET /\0",
            HeadError::ControlByte,
            "control byte in the head",
        ),
        (
            b"GET / HTTP/1.1\nHost: a\n\n",
            HeadError::LineEnd,
            "line that does not end with CR LF",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\rX",
            HeadError::LineEnd,
            "line that does not end with CR LF",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\n b",
            HeadError::FoldedHeader,
            "folded header line",
        ),
        (b"\r\n\r\n", HeadError::InvalidStartLine, "not HTTP"),
        (b" GET", HeadError::InvalidStartLine, "not HTTP"),
    ] {
        let run = run(&Config::default(), [bytes]);
        assert_eq!(
            run.made,
            Made::Failed(BadRequest::Head(error)),
            "{}",
            bytes.escape_ascii()
        );
        assert!(run.out.ends_with(reason.as_bytes()));
    }
    for line in ["Host : a", "Host", ": a", "Ho st: a", "\u{e4}: a", "H(: a"] {
        let request = format!("GET / HTTP/1.1\r\n{line}\r\n\r\n");
        refuses(&request, BadRequest::Head(HeadError::InvalidHeader), 400);
    }
}

#[test]
fn rfc_9112_section_2_2_one_empty_line_before_the_request_is_skipped() {
    accepts(&format!("\r\n{EXAMPLE}"));
    let Run { made, .. } = whole(&format!("\r\n{EXAMPLE}"));
    assert_eq!(made, whole(EXAMPLE).made);
    refuses(
        &format!("\r\n\r\n{EXAMPLE}"),
        BadRequest::Head(HeadError::InvalidStartLine),
        400,
    );
}

#[test]
fn the_head_is_bounded_in_bytes() {
    let mut config = Config::default();
    config.max_head = EXAMPLE.len();
    let at_the_limit = [EXAMPLE.as_bytes(), HELLO].concat();
    let run_at = run(&config, [&at_the_limit[..]]);
    assert!(matches!(run_at.made, Made::Request { .. }));
    assert_eq!(run_at.rest, HELLO);
    config.max_head -= 1;
    let failed = Made::Failed(BadRequest::Head(HeadError::TooLong));
    assert_eq!(run(&config, [EXAMPLE.as_bytes()]).made, failed);
    // Before the end has come, and in one endless line.
    assert_eq!(
        run(&config, [&EXAMPLE.as_bytes()[..config.max_head]]).made,
        failed
    );
    assert_eq!(run(&config, [&[b'x'; 1000][..]]).made, failed);
    assert_eq!(BadRequest::Head(HeadError::TooLong).status(), 431);
}

#[test]
fn the_head_is_bounded_in_lines() {
    let with_lines = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "A: b\r\n".repeat(count - 1)
        )
    };
    let too_many = Made::Failed(BadRequest::Head(HeadError::TooManyHeaders));
    let mut config = Config::default();
    for (max_headers, most) in [(100, 100), (3, 3), (128, 128), (1000, 128)] {
        config.max_headers = max_headers;
        let made = run(&config, [with_lines(most).as_bytes()]).made;
        assert!(matches!(made, Made::Request { .. }), "{made:?}");
        assert_eq!(
            run(&config, [with_lines(most + 1).as_bytes()]).made,
            too_many
        );
    }
    config.max_headers = 0;
    assert_eq!(run(&config, [with_lines(1).as_bytes()]).made, too_many);
    assert_eq!(BadRequest::Head(HeadError::TooManyHeaders).status(), 431);
}

#[test]
fn a_head_that_dribbles_in_is_not_searched_again() {
    // Half a megabyte in single bytes: 10^11 steps if each began again at the front.
    let mut config = Config::default();
    config.max_head = 1 << 20;
    let request = with(
        "Origin: http://example.com",
        &format!("X: {}", "y".repeat(1 << 19)),
    );
    let run = run(&config, request.as_bytes().chunks(1));
    assert!(matches!(
        run.made,
        Made::Request {
            is_websocket: true,
            ..
        }
    ));
}

#[test]
fn long_lists_are_read_in_one_go() {
    // A megabyte each: 10^12 steps if any of them were quadratic.
    let mut config = Config::default();
    config.max_head = 4 << 20;
    for element in [",", " ", "\t", ", ", "a,", "a ,\t", "a"] {
        let list = element.repeat((1 << 20) / element.len());
        for line in [
            "Sec-WebSocket-Protocol: chat, superchat",
            "Connection: Upgrade",
            "Upgrade: websocket",
        ] {
            let (name, value) = line.split_once(": ").unwrap();
            let request = with(line, &format!("{name}: {list}, {value}"));
            let run = run(&config, [request.as_bytes()]);
            assert_ne!(run.made, Made::Nothing);
        }
    }
}
