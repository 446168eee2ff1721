//! The server's handshake from outside: what is accepted, what is refused and how, and that no cut of the
//! bytes changes any of it. Sections are those of RFC 6455 where no other RFC is named.

#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

mod cuts;
mod head;
mod plain;
mod websocket;

use std::sync::Arc;

use wirefan_protocol::handshake::{
    Accept, AnswerError, Asked, BadRequest, HeldRequest, Request, ServerHandshake,
};
use wirefan_protocol::{Config, Input};

/// The request of §1.2.
const EXAMPLE: &str = "GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Origin: http://example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// The masked "Hello" of §5.7.
const HELLO: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";

/// What a handshake made of some bytes, owned.
#[derive(Debug, PartialEq)]
enum Made {
    Nothing,
    Failed(BadRequest),
    Request {
        is_websocket: bool,
        method: String,
        target: String,
        headers: Vec<(String, Vec<u8>)>,
        host: Option<String>,
        origin: Option<String>,
        protocols: Vec<String>,
        body: Vec<u8>,
    },
}

impl From<&Request<'_>> for Made {
    fn from(request: &Request<'_>) -> Self {
        Self::Request {
            is_websocket: request.is_websocket(),
            method: request.method().into(),
            target: request.target().into(),
            headers: request
                .headers()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            host: request.host().map(str::to_owned),
            origin: request.origin().map(str::to_owned),
            protocols: request.protocols().map(str::to_owned).collect(),
            body: request.body().into(),
        }
    }
}

/// The result of a whole run, what was written, and what was left for the connection.
#[derive(Debug, PartialEq)]
struct Run {
    made: Made,
    out: Vec<u8>,
    rest: Vec<u8>,
}

/// Feeds a handshake with pieces, each in memory of its own.
fn run<'p>(config: &Config, pieces: impl IntoIterator<Item = &'p [u8]>) -> Run {
    let mut handshake = ServerHandshake::new(Arc::new(config.clone()));
    let mut run = Run {
        made: Made::Nothing,
        out: Vec::new(),
        rest: Vec::new(),
    };
    for piece in pieces {
        let mut read = piece.to_vec();
        let mut input = Input::new(&mut read);
        if matches!(
            run.made,
            Made::Request {
                is_websocket: true,
                ..
            }
        ) {
            run.rest.extend_from_slice(input.into_rest());
            continue;
        }
        match handshake.next_request(&mut input, &mut run.out) {
            None => assert!(input.is_empty()),
            Some(_) if run.made != Made::Nothing => panic!("a second answer"),
            Some(Asked::Failed(why)) => run.made = Made::Failed(why),
            Some(Asked::Request(request)) => run.made = Made::from(&request),
        }
        if matches!(
            run.made,
            Made::Request {
                is_websocket: true,
                ..
            }
        ) {
            run.rest.extend_from_slice(input.into_rest());
        } else {
            assert!(input.is_empty(), "only frames are left in the input");
        }
    }
    run
}

fn whole(request: &str) -> Run {
    run(&Config::default(), [request.as_bytes()])
}

/// The request in `text`, which has to be one.
fn held(text: &str) -> HeldRequest {
    let mut read = text.as_bytes().to_vec();
    let mut input = Input::new(&mut read);
    let mut handshake = ServerHandshake::new(Arc::new(Config::default()));
    let asked = handshake.next_request(&mut input, &mut Vec::new());
    let Some(Asked::Request(request)) = asked else {
        panic!("{asked:?} for {text}")
    };
    let request = request.hold();
    input.into_rest();
    request
}

/// The example with one line changed for others.
fn with(line: &str, other: &str) -> String {
    assert!(EXAMPLE.contains(line));
    EXAMPLE.replace(line, other)
}

#[track_caller]
fn accepts(request: &str) {
    let made = whole(request).made;
    assert!(
        matches!(
            made,
            Made::Request {
                is_websocket: true,
                ..
            }
        ),
        "{made:?} for {request}"
    );
}

/// Expects a refusal with this reason and status, in an answer that is well formed and the last one.
#[track_caller]
fn refuses(request: &str, why: BadRequest, status: u16) -> String {
    let run = whole(request);
    assert_eq!(run.made, Made::Failed(why), "{request}");
    assert_eq!(why.status(), status, "{why}");
    let answer = String::from_utf8(run.out).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(
        head.contains("\r\nContent-Type: text/plain\r\n"),
        "{answer}"
    );
    assert!(
        head.contains(&format!("\r\nContent-Length: {}\r\n", why.reason().len())),
        "{answer}"
    );
    assert!(head.ends_with("\r\nConnection: close"), "{answer}");
    let for_head = request.trim_start().starts_with("HEAD ");
    assert_eq!(
        body,
        if for_head {
            String::new()
        } else {
            why.to_string()
        }
    );
    answer
}

fn accept(request: &HeldRequest, accept: Accept<'_>) -> Result<String, AnswerError> {
    let mut out = Vec::new();
    let accepted = request.request().accept(accept, &mut out);
    assert!(
        accepted.is_ok() || out.is_empty(),
        "an error writes nothing"
    );
    accepted.map(|_| String::from_utf8(out).unwrap())
}
