//! Plain HTTP requests: answers, bodies, lengths.

use std::sync::Arc;

use wirefan_protocol::handshake::{Accept, AnswerError, BadRequest, Reply, ServerHandshake};
use wirefan_protocol::{Config, Input};

use super::{EXAMPLE, Made, Run, accept, held, refuses, run};

#[test]
fn plain_requests_are_handed_out() {
    let request = held("GET /room?members HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\nGET /next");
    let request = request.request();
    assert!(!request.is_websocket());
    assert_eq!(
        (request.path(), request.query()),
        ("/room", Some("members"))
    );
    assert_eq!((request.host(), request.body()), (Some("a"), &b""[..]));
    assert_eq!(
        accept(&request.clone().hold(), Accept::default()),
        Err(AnswerError::NotWebSocket)
    );

    assert_eq!(held("GET / HTTP/1.0\r\n\r\n").request().host(), None);
    assert_eq!(
        held("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n").request().path(),
        "*"
    );
    // An Upgrade to something else may be ignored (RFC 9110 §7.8).
    let h2c =
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n";
    assert!(!held(h2c).request().is_websocket());
    refuses("GET / HTTP/1.1\r\n\r\n", BadRequest::HostMissing, 400);
    refuses("HEAD / HTTP/1.1\r\n\r\n", BadRequest::HostMissing, 400);
    refuses(
        "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        BadRequest::HostRepeated,
        400,
    );
}

#[test]
fn plain_requests_are_answered() {
    let answer = |request: &str| {
        let mut out = Vec::new();
        held(request)
            .request()
            .respond(&Reply::text(404, "no room"), &mut out)
            .unwrap();
        String::from_utf8(out).unwrap()
    };
    let head = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Length: 7\r\nConnection: close\r\n\r\n";
    assert_eq!(
        answer("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("{head}no room")
    );
    // RFC 9110 §9.3.2: as GET, without the body.
    assert_eq!(answer("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"), head);
    // A refused WebSocket is answered in the same way.
    assert_eq!(answer(EXAMPLE), format!("{head}no room"));

    let mut out = Vec::new();
    let bad = Reply::new(200).header("A", "b\r\n\r\n<script>");
    let error = held(EXAMPLE).request().respond(&bad, &mut out).unwrap_err();
    assert_eq!((error, out.len()), (AnswerError::InvalidHeader, 0));
}

#[test]
fn bodies_are_collected_up_to_the_limit() {
    let mut config = Config::default();
    config.max_body = 10;
    let head = |len: usize| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n");
    let whole_of = |run: Run| match run.made {
        Made::Request {
            body,
            is_websocket: false,
            ..
        } => body,
        other => panic!("{other:?}"),
    };
    let (head_10, head_0) = (head(10), head(0));
    assert_eq!(
        whole_of(run(
            &config,
            [head_10.as_bytes(), b"01234", b"56789abc", b"def"]
        )),
        b"0123456789"
    );
    assert_eq!(
        whole_of(run(&config, [format!("{head_10}0123456789abc").as_bytes()])),
        b"0123456789"
    );
    assert_eq!(whole_of(run(&config, [head_0.as_bytes()])), b"");
    // RFC 9110 §15.5.14: refused as soon as its length is known.
    for len in [11, usize::MAX] {
        let run = run(&config, [head(len).as_bytes()]);
        assert_eq!(run.made, Made::Failed(BadRequest::BodyTooLong));
        assert!(run.out.starts_with(b"HTTP/1.1 413 Content Too Large\r\n"));
    }
    config.max_body = 0;
    assert_eq!(
        run(&config, [head(1).as_bytes()]).made,
        Made::Failed(BadRequest::BodyTooLong)
    );
}

#[test]
fn rfc_9112_section_6_3_lengths_are_read_strictly() {
    let post = |lines: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
    for length in ["", "+1", "-1", "1 1", "1,1", "0x1", "1.0", "one", "\u{b2}"] {
        refuses(
            &post(&format!("Content-Length: {length}")),
            BadRequest::LengthInvalid,
            400,
        );
    }
    refuses(
        &post("Content-Length: 1\r\ncontent-length: 2"),
        BadRequest::LengthInvalid,
        400,
    );
    refuses(
        &post("Content-Length: x\r\nContent-Length: 2"),
        BadRequest::LengthInvalid,
        400,
    );
    assert_eq!(
        held(&(post("Content-Length: 2\r\nContent-Length: 2") + "ab"))
            .request()
            .body(),
        b"ab"
    );
    refuses(
        &post("Content-Length: 99999999999999999999999"),
        BadRequest::BodyTooLong,
        413,
    );
    refuses(
        &post("Transfer-Encoding: chunked"),
        BadRequest::TransferEncoding,
        501,
    );
    for length in ["1", "x"] {
        let lines = format!("Transfer-Encoding: chunked\r\nContent-Length: {length}");
        refuses(&post(&lines), BadRequest::LengthWithEncoding, 400);
    }
}

#[test]
fn rfc_9110_section_10_1_1_who_waits_for_100_gets_it_once() {
    let config = Config::default();
    let post = |version: &str, lines: &str| {
        format!("POST / HTTP/{version}\r\nHost: a\r\nExpect: 100-Continue\r\n{lines}\r\n")
    };
    let request = post("1.1", "Content-Length: 2\r\n");
    let run_of = |request: &str| {
        run(
            &config,
            request.as_bytes().chunks(1).chain([&b"a"[..], b"b"]),
        )
    };
    assert_eq!(run_of(&request).out, b"HTTP/1.1 100 Continue\r\n\r\n");
    assert!(matches!(run_of(&request).made, Made::Request { body, .. } if body == b"ab"));
    assert_eq!(run_of(&post("1.0", "Content-Length: 2\r\n")).out, b"");
    assert_eq!(run_of(&post("1.1", "")).out, b"");
    assert!(
        run_of(&post("1.1", "Content-Length: 99999999\r\n"))
            .out
            .starts_with(b"HTTP/1.1 413 ")
    );
}

#[test]
fn what_follows_the_one_request_is_discarded() {
    let mut handshake = ServerHandshake::new(Arc::new(Config::default()));
    let mut out = Vec::new();
    for (at, bytes) in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"GET",
        EXAMPLE.as_bytes(),
    ]
    .into_iter()
    .enumerate()
    {
        let mut read = bytes.to_vec();
        let mut input = Input::new(&mut read);
        assert_eq!(
            handshake.next_request(&mut input, &mut out).is_some(),
            at == 0
        );
        assert!(input.is_empty());
    }
    assert!(out.is_empty());
}
