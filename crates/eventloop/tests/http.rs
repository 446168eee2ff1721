//! Plain HTTP on the WebSocket port: requests reach the handler and are answered, and what is no request is told so.

mod common;

use std::io::Write;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use common::client::{Client, dial, exchange, read_all, request};
use common::server::{App, TestServer};
use common::{PATIENCE, until};
use wirefan_eventloop::{CloseCause, Decision};
use wirefan_protocol::Config;
use wirefan_protocol::handshake::{BadRequest, HeadError, Reply};

/// What the handler saw of a request.
#[derive(Debug, Eq, PartialEq)]
struct Asked {
    method: String,
    target: String,
    path: String,
    query: Option<String>,
    host: Option<String>,
    header: Option<Vec<u8>>,
    body: Vec<u8>,
}

/// A server that answers requests for no WebSocket with a page, and tells what they were.
fn server(set: impl FnOnce(&mut Config)) -> (TestServer, Receiver<Asked>) {
    let (tell, told) = mpsc::channel();
    let app = App::echo().on_request(move |request, _| {
        if request.is_websocket() {
            return Decision::accept(String::new());
        }
        let _ = tell.send(Asked {
            method: request.method().into(),
            target: request.target().into(),
            path: request.path().into(),
            query: request.query().map(Into::into),
            host: request.host().map(Into::into),
            header: request.header("X-Test").map(Into::into),
            body: request.body().into(),
        });
        let page = Reply::new(200)
            .header("Content-Type", "text/html")
            .header("X-Page", "yes")
            .body(b"<p>hello");
        Decision::Answer(page)
    });
    let mut config = Config::default();
    set(&mut config);
    (
        TestServer::start(app, |builder| builder.protocol(config)),
        told,
    )
}

#[test]
fn a_request_reaches_the_handler_whole_and_is_answered() {
    let (server, told) = server(|_| {});
    let bytes =
        "GET /a/b%20c?q=1&r HTTP/1.1\r\nhOST: example.com:81\r\nx-test:  some value \r\n\r\n";
    let answer = exchange(server.addr, bytes.as_bytes(), false);
    assert_eq!(
        answer,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Page: yes\r\nContent-Length: 8\r\n\
         Connection: close\r\n\r\n<p>hello"
    );
    let asked = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        asked,
        Asked {
            method: "GET".into(),
            target: "/a/b%20c?q=1&r".into(),
            path: "/a/b%20c".into(),
            query: Some("q=1&r".into()),
            host: Some("example.com:81".into()),
            header: Some(b"some value".into()),
            body: Vec::new(),
        }
    );
    let end = server.closed();
    assert_eq!((end.opened, end.cause), (false, CloseCause::Answered(200)));
}

#[test]
fn head_is_answered_like_get_without_the_body() {
    let (server, _) = server(|_| {});
    let get = exchange(server.addr, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", false);
    let head = exchange(server.addr, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", false);
    assert_eq!(get.strip_suffix("<p>hello"), Some(&*head));
}

#[test]
fn http_1_0_without_a_host_is_served() {
    let (server, told) = server(|_| {});
    let answer = exchange(server.addr, b"GET / HTTP/1.0\r\n\r\n", false);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().host, None);
}

#[test]
fn a_body_comes_in_whatever_pieces() {
    let (server, told) = server(|_| {});
    let body = vec![b'b'; 50_000];
    let head = format!(
        "POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let bytes = [head.as_bytes(), &body].concat();
    for piece in [bytes.len(), 20_000, 999] {
        let mut stream = dial(server.addr);
        for (i, piece) in bytes.chunks(piece).enumerate() {
            stream.write_all(piece).unwrap();
            if i < 3 {
                thread::sleep(Duration::from_millis(5));
            }
        }
        let (answer, end) = read_all(&mut stream);
        end.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
        let asked = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!((&*asked.method, &*asked.path), ("POST", "/form"));
        assert!(asked.body == body);
    }
}

#[test]
fn who_waits_for_100_continue_gets_it() {
    let (server, told) = server(|_| {});
    let mut stream = dial(server.addr);
    stream
        .write_all(
            b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
        )
        .unwrap();
    let mut interim = [0; 25];
    std::io::Read::read_exact(&mut stream, &mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").unwrap();
    let (answer, _) = read_all(&mut stream);
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().body, b"body");
}

#[test]
fn limits_of_head_headers_and_body_hold_to_the_byte() {
    let (server, _) = server(|config| {
        config.max_head = 1000;
        config.max_headers = 10;
        config.max_body = 100;
    });
    let status = |bytes: &[u8]| {
        let answer = exchange(server.addr, bytes, false);
        answer["HTTP/1.1 ".len()..][..3].to_owned()
    };
    let with_head = |len: usize| {
        let before = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        let fill = "x".repeat(len - before.len() - 4);
        format!("{before}{fill}\r\n\r\n")
    };
    assert_eq!(status(with_head(1000).as_bytes()), "200");
    assert_eq!(status(with_head(1001).as_bytes()), "431");
    let with_headers = |count: usize| {
        let lines = "X: y\r\n".repeat(count - 1);
        format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
    };
    assert_eq!(status(with_headers(10).as_bytes()), "200");
    assert_eq!(status(with_headers(11).as_bytes()), "431");
    let with_body = |len: usize| {
        let body = "b".repeat(len);
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n{body}")
    };
    assert_eq!(status(with_body(100).as_bytes()), "200");
    assert_eq!(status(with_body(101).as_bytes()), "413");
    // A head without an end is refused when it is too long, not when its end comes.
    assert_eq!(status(&[&b"GET /"[..], &[b'a'; 2000]].concat()), "431");
}

#[test]
fn what_is_no_request_is_told_so() {
    let (server, told) = server(|_| {});
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on";
    let h2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for (bytes, status, why) in [
        (&tls[..], "400", BadRequest::Head(HeadError::Tls)),
        (h2, "505", BadRequest::Head(HeadError::UnsupportedVersion)),
        (
            b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
            "400",
            BadRequest::Head(HeadError::InvalidStartLine),
        ),
        (
            b"\0\0\0\0\0\0",
            "400",
            BadRequest::Head(HeadError::ControlByte),
        ),
        (
            b"GET / HTTP/1.1\nHost: a\n\n",
            "400",
            BadRequest::Head(HeadError::LineEnd),
        ),
        (b"GET / HTTP/1.1\r\n\r\n", "400", BadRequest::HostMissing),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "501",
            BadRequest::TransferEncoding,
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "400",
            BadRequest::LengthInvalid,
        ),
    ] {
        let answer = exchange(server.addr, bytes, false);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{}: {answer}",
            bytes.escape_ascii()
        );
        assert!(answer.ends_with(why.reason()), "{answer}");
        let cause = match why {
            BadRequest::Head(HeadError::Tls) => CloseCause::TlsOnPlainPort,
            why => CloseCause::BadRequest(why),
        };
        assert_eq!(server.closed().cause, cause);
    }
    assert!(told.try_recv().is_err(), "the handler was asked");
}

#[test]
fn a_request_for_a_websocket_that_is_wrong_is_refused_with_its_status() {
    let (server, _) = server(|_| {});
    let right = request("/");
    for (from, to, status) in [
        ("GET ", "POST ", "405"),
        ("Version: 13", "Version: 12", "426"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ==", "400"),
        ("Connection: Upgrade", "Connection: keep-alive", "400"),
        ("HTTP/1.1", "HTTP/1.0", "400"),
        ("Host: localhost\r\n", "", "400"),
        ("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello", "400"),
    ] {
        let wrong = right.replacen(from, to, 1);
        assert_ne!(wrong, right);
        let answer = exchange(server.addr, wrong.as_bytes(), false);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{to}: {answer}"
        );
        assert_eq!(
            answer.contains("\r\nSec-WebSocket-Version: 13\r\n"),
            status == "426"
        );
        assert_eq!(server.closed().cause.name(), "bad_request");
    }
}

#[test]
fn a_plain_request_that_is_accepted_is_answered_with_426() {
    let server = TestServer::echo();
    let answer = exchange(server.addr, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", false);
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    assert!(answer.contains("\r\nUpgrade: websocket\r\n"), "{answer}");
    assert_eq!(server.closed().cause, CloseCause::Answered(426));
}

#[test]
fn an_answer_that_cannot_be_written_is_a_500_and_not_a_hole() {
    let app = App::echo().on_request(|request, _| {
        Decision::Answer(match request.path() {
            "/status" => Reply::new(101),
            _ => Reply::new(200).header("X-Evil", "a\r\nSet-Cookie: b"),
        })
    });
    let server = TestServer::start(app, |builder| builder);
    for path in ["/status", "/header"] {
        let bytes = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = exchange(server.addr, bytes.as_bytes(), false);
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(!answer.contains("Set-Cookie"), "{answer}");
        assert_eq!(server.closed().cause, CloseCause::Answered(500));
    }
}

/// There is one answer on a connection: what a proxy may think is the next request is not served.
#[test]
fn nothing_is_served_behind_an_answer() {
    let (server, told) = server(|_| {});
    let twice = "GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = exchange(server.addr, twice.as_bytes(), true);
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    let refused = format!(
        "{}GET /second HTTP/1.1\r\nHost: a\r\n\r\n",
        request("/").replace("13", "12")
    );
    let answer = exchange(server.addr, refused.as_bytes(), true);
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    until("all is over", || server.connections() == 0);
    let paths: Vec<_> = told.try_iter().map(|asked| asked.path).collect();
    assert_eq!(paths, ["/first"]);
}

/// Bytes of all kinds, many times over: the server goes on.
#[test]
fn garbage_ends_its_own_connection_and_nothing_else() {
    let (server, _) = server(|_| {});
    let mut client = Client::connect(server.addr, "/");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..300 {
        let len = 1 + round % 97;
        let garbage: Vec<u8> = (0..len)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        let mut stream = dial(server.addr);
        if round % 2 == 0 {
            // Behind a handshake they are frames.
            common::client::upgrade(&mut stream, "/");
        }
        stream.write_all(&garbage).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = read_all(&mut stream);
    }
    client.echo("still there");
    until("all are gone", || server.connections() == 1);
}
