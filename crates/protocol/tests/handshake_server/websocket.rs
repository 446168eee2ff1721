//! Requests for a WebSocket: the rules of RFC 6455 §4.2.1 and §4.2.2, and the answer.

use std::sync::Arc;

#[cfg(feature = "deflate")]
use wirefan_protocol::DeflateConfig;
use wirefan_protocol::handshake::{
    Accept, AnswerError, Asked, BadRequest, HeadError, ServerHandshake,
};
use wirefan_protocol::{Config, Connection, Event, Input, RecvScratch};

use super::{EXAMPLE, HELLO, Made, accept, accepts, held, refuses, whole, with};

#[test]
fn section_1_2_the_example_is_answered_as_there() {
    let request = held(EXAMPLE);
    let answer = accept(
        &request,
        Accept {
            protocol: Some("chat"),
            ..Accept::default()
        },
    );
    assert_eq!(
        answer.unwrap(),
        "HTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Protocol: chat\r\n\r\n"
    );
}

#[test]
fn section_4_2_2_without_a_choice_nothing_is_added() {
    assert_eq!(
        accept(&held(EXAMPLE), Accept::default()).unwrap(),
        "HTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    );
}

#[test]
fn section_4_2_2_extensions_are_not_answered() {
    let request = with(
        "13\r\n",
        "13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
    );
    assert!(
        !accept(&held(&request), Accept::default())
            .unwrap()
            .contains("Extensions"),
        "compression is not configured"
    );
}

#[test]
fn section_9_1_a_list_of_extensions_that_is_none_is_refused() {
    for value in ["permessage-deflate; \"x", ",", "a b", "permessage-deflate;"] {
        let line = format!("13\r\nSec-WebSocket-Extensions: {value}\r\n");
        refuses(&with("13\r\n", &line), BadRequest::ExtensionsInvalid, 400);
    }
}

#[cfg(feature = "deflate")]
#[test]
fn rfc_7692_section_5_offers_over_several_lines_are_answered() {
    let mut config = Config::default();
    config.deflate = Some(DeflateConfig::default());
    let lines = "13\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8\r\n\
        sec-websocket-extensions: x, permessage-deflate; client_max_window_bits\r\n";
    let request = with("13\r\n", lines);
    let mut read = request.as_bytes().to_vec();
    let (mut input, mut out) = (Input::new(&mut read), Vec::new());
    let mut handshake = ServerHandshake::new(Arc::new(config));
    let Some(Asked::Request(request)) = handshake.next_request(&mut input, &mut out) else {
        panic!("a good request")
    };
    let connection = request.accept(Accept::default(), &mut out).unwrap();
    let line = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
        client_no_context_takeover\r\n";
    assert!(String::from_utf8(out).unwrap().contains(line));
    assert!(
        connection
            .agreed()
            .deflate()
            .is_some_and(|params| !params.receive.takeover)
    );
}

#[test]
fn section_4_2_2_a_subprotocol_has_to_be_one_of_those_offered() {
    let request = held(&with(
        ": chat, superchat",
        ": a,,b , c\r\nSEC-WEBSOCKET-PROTOCOL: d",
    ));
    let offered: Vec<_> = request.request().protocols().collect();
    assert_eq!(offered, ["a", "b", "c", "d"]);
    for (protocol, fits) in [
        ("a", true),
        ("c", true),
        ("d", true),
        ("A", false),
        ("a,b", false),
    ] {
        let answer = accept(
            &request,
            Accept {
                protocol: Some(protocol),
                ..Accept::default()
            },
        );
        assert_eq!(answer.is_ok(), fits, "{protocol}");
        assert!(fits || answer == Err(AnswerError::ProtocolNotOffered));
    }
}

#[test]
fn section_4_2_2_more_headers_are_added_and_cannot_break_the_answer() {
    let request = held(EXAMPLE);
    let with_headers = |headers: &[(&str, &str)]| {
        accept(
            &request,
            Accept {
                protocol: None,
                headers,
            },
        )
    };
    let answer = with_headers(&[("Set-Cookie", "a=b"), ("set-cookie", "c=ä")]).unwrap();
    assert!(
        answer.ends_with("xOo=\r\nSet-Cookie: a=b\r\nset-cookie: c=ä\r\n\r\n"),
        "{answer}"
    );
    for (name, value) in [
        ("A", "b\r\nC: d"),
        ("A", "b\0"),
        ("A\r\nB", "c"),
        ("A B", "c"),
        ("", "c"),
    ] {
        assert_eq!(
            with_headers(&[("X", "y"), (name, value)]),
            Err(AnswerError::InvalidHeader)
        );
    }
    for name in [
        "upgrade",
        "Connection",
        "Sec-WebSocket-Extensions",
        "content-length",
    ] {
        assert_eq!(
            with_headers(&[(name, "x")]),
            Err(AnswerError::ReservedHeader)
        );
    }
}

#[test]
fn section_4_2_1_frames_behind_the_request_are_left_for_the_connection() {
    let mut read = [EXAMPLE.as_bytes(), HELLO].concat();
    let mut input = Input::new(&mut read);
    let mut out = Vec::new();
    let mut handshake = ServerHandshake::new(Arc::new(Config::default()));
    let asked = handshake.next_request(&mut input, &mut out);
    let Some(Asked::Request(request)) = asked else {
        panic!("{asked:?}")
    };
    let connection = request.accept(Accept::default(), &mut out).unwrap();
    assert_eq!(first_text(connection, input.into_rest()), "Hello");
}

#[test]
fn section_4_2_1_case_order_lists_and_several_lines_do_not_matter() {
    accepts(EXAMPLE);
    accepts(&with(
        "Connection: Upgrade\r\n",
        "Connection: Upgrade\r\nConnection: close\r\n",
    ));
    accepts(&with(
        "Upgrade: websocket\r\n",
        "Upgrade: websocket\r\nUpgrade: h2c\r\n",
    ));
    accepts(
        "GET / HTTP/1.1\r\nsec-websocket-version:13\r\nSEC-WEBSOCKET-KEY:  dGhlIHNhbXBsZSBub25jZQ==\t \r\n\
        X: y\r\nCONNECTION: keep-alive\r\nconnection: foo , UPGRADE,bar\r\n\
        upgrade: h2c\r\nUpgrade: foo/1,  WebSocket\r\nhost: [::1]:80\r\n\r\n",
    );
}

#[test]
fn section_4_2_1_item_1_method_and_version() {
    for method in ["POST", "HEAD", "get", "OPTIONS"] {
        let request = with("GET", method);
        let answer = refuses(&request, BadRequest::MethodNotGet, 405);
        assert!(answer.contains("\r\nAllow: GET\r\n"), "{answer}");
    }
    refuses(&with("HTTP/1.1", "HTTP/1.0"), BadRequest::HttpTooOld, 400);
    let unsupported = BadRequest::Head(HeadError::UnsupportedVersion);
    for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/11"] {
        refuses(&with("HTTP/1.1", version), unsupported, 505);
    }
    refuses("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", unsupported, 505);
    for line in [
        "GET  / HTTP/1.1",
        "GET / http/1.1",
        "GET /a b HTTP/1.1",
        "GET /",
        "hello",
        "G(T / HTTP/1.1",
    ] {
        let request = with("GET /chat HTTP/1.1", line);
        refuses(&request, BadRequest::Head(HeadError::InvalidStartLine), 400);
    }
}

#[test]
fn section_4_2_1_item_1_the_target_is_a_path_or_a_whole_uri() {
    for (target, path, query, host) in [
        ("/", "/", None, "server.example.com"),
        ("/a/b?c=d?e", "/a/b", Some("c=d?e"), "server.example.com"),
        ("/?", "/", Some(""), "server.example.com"),
        ("//x", "//x", None, "server.example.com"),
        ("http://other:81/a?b", "/a", Some("b"), "other:81"),
        ("wss://other", "/", None, "other"),
        ("WS://other?b", "/", Some("b"), "other"),
    ] {
        let request = held(&with("/chat", target));
        let request = request.request();
        assert_eq!((request.target(), request.path()), (target, path));
        assert_eq!(
            (request.query(), request.host()),
            (query, Some(host)),
            "{target}"
        );
    }
    for target in ["chat", "/a#b", "/\u{e4}", "ftp://a/", "http:///a", "a:80"] {
        refuses(&with("/chat", target), BadRequest::TargetInvalid, 400);
    }
}

#[test]
fn section_4_2_1_item_2_and_rfc_9112_section_3_2_host() {
    let line = "Host: server.example.com\r\n";
    refuses(&with(line, ""), BadRequest::HostMissing, 400);
    refuses(
        &with(line, "Host: a\r\nhost: a\r\n"),
        BadRequest::HostRepeated,
        400,
    );
    for host in ["", "a b", "a/b", "u@a", "a:b", "a, b:c", "[::1", "\u{e4}"] {
        refuses(
            &with("server.example.com", host),
            BadRequest::HostInvalid,
            400,
        );
    }
}

#[test]
fn section_4_2_1_item_3_upgrade() {
    let line = "Upgrade: websocket\r\n";
    for other in [
        "",
        "Upgrade: h2c\r\n",
        "Upgrade: web socket\r\n",
        "Upgrade: websocket/13\r\n",
        "Upgrade:\r\n",
    ] {
        refuses(&with(line, other), BadRequest::UpgradeMissing, 400);
    }
}

#[test]
fn section_4_2_1_item_4_connection() {
    let line = "Connection: Upgrade\r\n";
    for other in [
        "",
        "Connection: close\r\n",
        "Connection: upgrade-not, x upgrade\r\n",
        "Connection:\r\n",
    ] {
        refuses(
            &with(line, other),
            BadRequest::ConnectionWithoutUpgrade,
            400,
        );
    }
}

#[test]
fn section_4_2_1_item_5_key() {
    let line = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    refuses(&with(line, ""), BadRequest::KeyMissing, 400);
    refuses(
        &with(line, &format!("{line}{line}")),
        BadRequest::KeyRepeated,
        400,
    );
    for key in [
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "c2hvcnQ=",
        "dGhlIHNhbXBsZSBub25jZWE=",
        "d\u{e4}lIHNhbXBsZSBub25jZQ==",
    ] {
        refuses(
            &with("dGhlIHNhbXBsZSBub25jZQ==", key),
            BadRequest::KeyInvalid,
            400,
        );
    }
    // §4.1 has this example, in which a bit is set that stands for nothing.
    accepts(&with(
        "dGhlIHNhbXBsZSBub25jZQ==",
        "AQIDBAUGBwgJCgsMDQ4PEC==",
    ));
}

#[test]
fn section_4_2_1_item_6_and_section_4_4_version() {
    let line = "Sec-WebSocket-Version: 13\r\n";
    for other in [
        "",
        "Sec-WebSocket-Version: 8\r\n",
        "Sec-WebSocket-Version: 25\r\n",
        "Sec-WebSocket-Version: 013\r\n",
        "Sec-WebSocket-Version: 13, 8\r\n",
        "Sec-WebSocket-Version:\r\n",
    ] {
        let answer = refuses(&with(line, other), BadRequest::VersionUnsupported, 426);
        assert!(
            answer.contains("\r\nSec-WebSocket-Version: 13\r\n"),
            "{answer}"
        );
        // RFC 9110 §15.5.22, §7.8.
        assert!(
            answer.contains("\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"),
            "{answer}"
        );
    }
    refuses(
        &with(line, &format!("{line}{line}")),
        BadRequest::VersionRepeated,
        400,
    );
}

#[test]
fn section_4_2_1_item_7_origin() {
    assert_eq!(held(EXAMPLE).request().origin(), Some("http://example.com"));
    let line = "Origin: http://example.com\r\n";
    assert_eq!(held(&with(line, "")).request().origin(), None);
    // What is no text must not look like a client that sends none.
    refuses(
        &with("http://example.com", "http://\u{e4}"),
        BadRequest::OriginInvalid,
        400,
    );
    refuses(
        &with("http://example.com", ""),
        BadRequest::OriginInvalid,
        400,
    );
    refuses(
        &with(line, &format!("{line}{line}")),
        BadRequest::OriginRepeated,
        400,
    );
}

#[test]
fn section_4_2_1_item_8_protocols_are_tokens() {
    for protocols in ["", ",", "a b", "a, (b)", "caf\u{e9}", "a;b=c", "\"a\""] {
        refuses(
            &with("chat, superchat", protocols),
            BadRequest::ProtocolInvalid,
            400,
        );
    }
    for lines in [
        "a b\r\nSec-WebSocket-Protocol: c",
        "c\r\nSec-WebSocket-Protocol: a b",
    ] {
        refuses(
            &with("chat, superchat", lines),
            BadRequest::ProtocolInvalid,
            400,
        );
    }
}

#[test]
fn section_4_1_a_request_for_a_websocket_has_no_body() {
    let line = "Upgrade: websocket\r\n";
    let request = with(line, "Upgrade: websocket\r\nContent-Length: 1\r\n");
    refuses(&request, BadRequest::BodyUnexpected, 400);
    accepts(&with(line, "Upgrade: websocket\r\nContent-Length: 0\r\n"));
}

#[test]
fn a_held_request_outlives_its_bytes_and_is_the_same() {
    for text in [
        EXAMPLE,
        "POST /a?b HTTP/1.1\r\nHost: c\r\nContent-Length: 1\r\n\r\nd",
        "GET / HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n",
        "GET http://a:1/ HTTP/1.1\r\nhOST: b\r\nOrigin: null\r\nOrigins: c\r\nOrigi: d\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nsec-websocket-protocol: b,c\r\nSEC-WEBSOCKET-PROTOCOL: d\r\n\r\n",
    ] {
        let held = held(text);
        let made = std::thread::spawn(move || Made::from(&held.request()))
            .join()
            .unwrap();
        assert_eq!(made, whole(text).made);
    }
}

#[test]
fn what_every_server_asks_for_is_what_the_lines_say() {
    let noted = |text: &str| match whole(text).made {
        Made::Request {
            host,
            origin,
            protocols,
            ..
        } => (host, origin, protocols),
        other => panic!("{other:?}"),
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        noted(EXAMPLE),
        (
            some("server.example.com"),
            some("http://example.com"),
            vec!["chat".to_owned(), "superchat".to_owned()]
        )
    );
    assert_eq!(
        noted("GET http://a:1/ HTTP/1.1\r\nHost: b\r\nHostile: c\r\n\r\n"),
        (some("a:1"), None, vec![])
    );
    assert_eq!(noted("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n").0, some(""));
    assert_eq!(noted("GET / HTTP/1.0\r\n\r\n"), (None, None, vec![]));
}

#[test]
fn credentials_stay_out_of_debug_output() {
    let request = held(&with(
        "/chat HTTP/1.1\r\n",
        "/chat?token=secret HTTP/1.1\r\nCookie: secret\r\n",
    ));
    let text = format!("{:?} {request:?}", request.request());
    assert!(text.contains("/chat") && !text.contains("secret"), "{text}");
}

fn first_text(mut connection: Connection, read: &mut [u8]) -> String {
    let (mut scratch, mut out) = (RecvScratch::default(), Vec::new());
    let mut input = Input::new(read);
    let text = match connection.next_event(&mut input, &mut scratch, &mut out) {
        Some(Event::Text(text)) => text.to_owned(),
        other => panic!("{other:?}"),
    };
    assert!(input.is_empty());
    text
}
