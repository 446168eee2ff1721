//! Dialling servers that are none, or bad ones: each ends with an error that says so, in time and in bounded memory.
#![cfg(feature = "client")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use common::PATIENCE;
use common::caller::{TestClient, to};
use wirefan_eventloop::client::DialPhase;
use wirefan_eventloop::{Dial, DialError};
use wirefan_protocol::handshake::{BadResponse, HeadError, InvalidRequest, accept_key};

/// A server that answers the request of its one client as it likes.
fn server(answer: impl FnOnce(&mut TcpStream, &str) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        answer(&mut stream, &String::from_utf8(head).expect("a head"));
    });
    addr
}

/// What a dial makes of these bytes, behind which the server hangs up.
fn answered(bytes: &'static [u8]) -> DialError {
    let addr = server(move |stream, _| stream.write_all(bytes).expect("write"));
    TestClient::start().fail(to(addr, "/"))
}

#[test]
fn a_server_that_never_answers() {
    let addr = server(|stream, _| drop(stream.read(&mut [0])));
    let client = TestClient::start();
    let dial = to(addr, "/").handshake_timeout(Duration::from_millis(100));
    let why = client.fail(dial);
    assert_eq!(why, DialError::Timeout(DialPhase::Handshake));
}

#[test]
fn a_head_that_never_ends_is_cut_off() {
    for piece in ["X: y\r\n", "x"] {
        let addr = server(move |stream, _| {
            let mut bytes = "HTTP/1.1 101 Switching Protocols\r\n".to_owned();
            bytes.push_str(&piece.repeat(1024));
            // Until the client has had enough.
            while stream.write_all(bytes.as_bytes()).is_ok() {
                bytes = piece.repeat(1024);
            }
        });
        let why = TestClient::start().fail(to(addr, "/").handshake_timeout(PATIENCE));
        let expected = DialError::BadResponse(BadResponse::Head(HeadError::TooLong));
        assert_eq!(why, expected);
    }
}

#[test]
fn a_mebibyte_of_headers_is_not_kept() {
    let addr = server(|stream, _| {
        let mut bytes = b"HTTP/1.1 401 No\r\n".to_vec();
        bytes.extend("X-Header: value\r\n".repeat(1024 * 1024 / 17).into_bytes());
        bytes.extend(b"\r\n");
        let _ = stream.write_all(&bytes);
    });
    let why = TestClient::start().fail(to(addr, "/"));
    assert!(
        matches!(why, DialError::BadResponse(BadResponse::Head(_))),
        "{why:?}"
    );
}

#[test]
fn a_body_that_never_ends_is_kept_up_to_its_limit() {
    for framing in [
        "",
        "Content-Length: 99999999\r\n",
        "Transfer-Encoding: chunked\r\n",
    ] {
        let addr = server(move |stream, _| {
            let head = format!("HTTP/1.1 503 No\r\n{framing}Retry-After: 7\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
            let chunk = if framing.contains("chunked") {
                "3e8\r\n".to_owned() + &"x".repeat(1000) + "\r\n"
            } else {
                "x".repeat(1000)
            };
            while stream.write_all(chunk.as_bytes()).is_ok() {}
        });
        let why = TestClient::start().fail(to(addr, "/").max_body(5000));
        let response = why.response().expect("a refusal");
        assert_eq!((response.status(), response.body().len()), (503, 5000));
        assert!(response.body().iter().all(|byte| *byte == b'x'));
    }
}

#[test]
fn a_body_that_is_never_sent_is_not_waited_for_for_ever() {
    let addr = server(|stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 403 No\r\nContent-Length: 10\r\n\r\nabc");
        let _ = stream.read(&mut [0]);
    });
    let dial = to(addr, "/").handshake_timeout(Duration::from_millis(200));
    let why = TestClient::start().fail(dial);
    let response = why.response().expect("a refusal");
    assert_eq!((response.status(), response.body()), (403, &b"abc"[..]));
}

#[test]
fn a_wrong_accept_key() {
    let why = answered(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    );
    assert_eq!(why, DialError::BadResponse(BadResponse::AcceptWrong));
}

#[test]
fn no_http_at_all() {
    let why = answered(b"220 mail.example ESMTP\r\n\r\n");
    let expected = DialError::BadResponse(BadResponse::Head(HeadError::InvalidStartLine));
    assert_eq!(why, expected);
    assert_eq!(answered(b""), DialError::Ended);
    assert_eq!(answered(b"HTTP/1.1 101 Switch"), DialError::Ended);
}

#[test]
fn a_subprotocol_or_an_extension_that_nobody_asked_for() {
    for (line, expected) in [
        (
            "Sec-WebSocket-Protocol: chat",
            BadResponse::ProtocolNotOffered,
        ),
        (
            "Sec-WebSocket-Extensions: permessage-deflate",
            BadResponse::ExtensionNotOffered,
        ),
    ] {
        let addr = server(move |stream, head| {
            let key = head.split_once("Sec-WebSocket-Key: ").expect("a key").1;
            let key = accept_key(&key.as_bytes()[..24]);
            let accept = str::from_utf8(&key).expect("text");
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n{line}\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.read(&mut [0]);
        });
        let why = TestClient::start().fail(to(addr, "/"));
        assert_eq!(why, DialError::BadResponse(expected));
    }
}

/// The answer and the first messages in one piece, and then in single bytes.
#[test]
fn messages_right_behind_the_answer_are_not_lost() {
    for size in [usize::MAX, 1] {
        let addr = server(move |stream, head| {
            let key = head.split_once("Sec-WebSocket-Key: ").expect("a key").1;
            let key = accept_key(&key.as_bytes()[..24]);
            let mut bytes = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\
                Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
                .to_vec();
            bytes.extend(key);
            bytes.extend(b"\r\n\r\n\x81\x05hello\x82\x01!");
            stream.set_nodelay(true).expect("TCP_NODELAY");
            for piece in bytes.chunks(size) {
                stream.write_all(piece).expect("write");
            }
            let _ = stream.read(&mut [0]);
        });
        let client = TestClient::start();
        client.open(to(addr, "/"));
        assert_eq!(client.text(), "hello");
        assert_eq!(client.binary(), b"!");
    }
}

#[test]
fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    drop(listener);
    let client = TestClient::start();
    let kind = ErrorKind::ConnectionRefused;
    assert_eq!(
        client.fail(to(addr, "/")),
        DialError::Connect { addr, kind }
    );
}

#[test]
fn a_name_that_does_not_exist() {
    // RFC 6761 §6.4: it never does.
    let why = TestClient::start().fail(Dial::new("ws://nobody.invalid/").expect("a URL"));
    assert!(matches!(why, DialError::Resolve(_)), "{why:?}");
}

#[test]
fn a_server_whose_queue_is_full_takes_too_long_to_connect_to() {
    // Nobody accepts, and there is room for one or two.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).expect("a port");
    socket.listen(0).expect("a listener");
    let addr = socket.local_addr().expect("an address");
    let addr = addr.as_socket().expect("an address");
    let mut fillers = Vec::new();
    while let Ok(filler) = TcpStream::connect_timeout(&addr, Duration::from_millis(300)) {
        fillers.push(filler);
        assert!(fillers.len() < 10, "the queue has no end");
    }
    let dial = to(addr, "/").connect_timeout(Duration::from_millis(100));
    let why = TestClient::start().fail(dial);
    assert_eq!(why, DialError::Timeout(DialPhase::Connect));
}

#[test]
fn what_cannot_be_asked_is_not_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let client = TestClient::start();
    for (dial, expected) in [
        (
            to(addr, "/").header("A", "b\r\nC: d"),
            InvalidRequest::Header,
        ),
        (
            to(addr, "/").header("Host", "b"),
            InvalidRequest::ReservedHeader,
        ),
        (to(addr, "/").protocol("a b"), InvalidRequest::Protocol),
        (
            to(addr, "/").protocol("a").protocol("a"),
            InvalidRequest::RepeatedProtocol,
        ),
        (to(addr, "/").origin("a\r\n"), InvalidRequest::Origin),
    ] {
        assert_eq!(client.fail(dial), DialError::InvalidRequest(expected));
    }
}

/// A server that masks what it sends breaks RFC 6455 §5.1: that is known once the connection is open.
#[test]
fn a_server_that_masks() {
    let addr = server(|stream, head| {
        let key = head.split_once("Sec-WebSocket-Key: ").expect("a key").1;
        let key = accept_key(&key.as_bytes()[..24]);
        let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Accept: "
            .to_vec();
        bytes.extend(key);
        bytes.extend(b"\r\n\r\n\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        stream.write_all(&bytes).expect("write");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert_eq!((rest[0], rest[1] & 0x80), (0x88, 0x80), "a masked Close");
    });
    let client = TestClient::start();
    client.open(to(addr, "/"));
    let cause = client.closed();
    assert_eq!(cause.name(), "protocol_error", "{cause}");
}
