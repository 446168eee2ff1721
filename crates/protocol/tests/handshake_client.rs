//! The client's handshake from outside: the request that it writes, the answers that it accepts, refuses or
//! fails on, and that no cut of the bytes changes any of it. Sections are those of RFC 6455.

#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

use std::sync::Arc;

use proptest::prelude::*;
#[cfg(feature = "deflate")]
use wirefan_protocol::DeflateConfig;
use wirefan_protocol::handshake::{
    Accept, Answer, Asked, BadResponse, ClientHandshake, ClientRequest, HeadError, InvalidRequest,
    ServerHandshake, accept_key,
};
use wirefan_protocol::{Config, Connection, Event, Input, RecvScratch, SendScratch};

const SEED: [u8; 32] = [7; 32];

/// The unmasked "Hello" of §5.7.
const HELLO: &[u8] = b"\x81\x05Hello";

/// What a handshake made of some bytes, owned.
#[derive(Debug, PartialEq)]
enum Made {
    Nothing,
    Accepted {
        protocol: Option<String>,
        rest: Vec<u8>,
    },
    Refused {
        status: u16,
        reason: String,
        headers: Vec<(String, Vec<u8>)>,
    },
    Failed(BadResponse),
}

fn start(config: Config, protocols: &[&str]) -> (ClientHandshake, Vec<u8>) {
    let mut request = ClientRequest::new("example.com", "/");
    request.protocols = protocols;
    let mut out = Vec::new();
    let handshake = ClientHandshake::start(Arc::new(config), request, SEED, &mut out).unwrap();
    (handshake, out)
}

/// The request that is written for `request`.
fn written(request: ClientRequest<'_>, seed: [u8; 32]) -> Result<String, InvalidRequest> {
    let mut out = Vec::new();
    let started = ClientHandshake::start(Arc::new(Config::default()), request, seed, &mut out);
    assert!(started.is_ok() || out.is_empty(), "an error writes nothing");
    started.map(|_| String::from_utf8(out).unwrap())
}

fn key_in(request: &str) -> &str {
    let (_, rest) = request.split_once("\r\nSec-WebSocket-Key: ").unwrap();
    rest.split_once("\r\n").unwrap().0
}

/// The answer to the request of [`start`], with `more` lines.
fn switching(more: &str) -> String {
    let (_, out) = start(Config::default(), &[]);
    let accept = accept_key(key_in(str::from_utf8(&out).unwrap()).as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: {}\r\n{more}\r\n",
        str::from_utf8(&accept).unwrap()
    )
}

/// Feeds a client that has offered `chat` and `superchat` with pieces, each in memory of its own.
fn run<'p>(config: &Config, pieces: impl IntoIterator<Item = &'p [u8]>) -> Made {
    let (mut handshake, _) = start(config.clone(), &["chat", "superchat"]);
    let mut made = Made::Nothing;
    for piece in pieces {
        let mut read = piece.to_vec();
        let mut input = Input::new(&mut read);
        if let Made::Accepted { rest, .. } = &mut made {
            rest.extend_from_slice(input.into_rest());
            continue;
        }
        let answer = handshake.next_response(&mut input);
        assert!(answer.is_none() || made == Made::Nothing, "a second answer");
        match answer {
            None => assert!(input.is_empty()),
            Some(Answer::Accepted(_, response)) => {
                assert_eq!((response.status(), response.body()), (101, &b""[..]));
                let protocol = response.protocol().map(String::from);
                made = Made::Accepted {
                    protocol,
                    rest: input.into_rest().to_vec(),
                };
            }
            Some(Answer::Refused(response)) => {
                assert!(input.is_empty());
                let headers = response
                    .headers()
                    .map(|(name, value)| (name.into(), value.into()));
                made = Made::Refused {
                    status: response.status(),
                    reason: response.reason().into(),
                    headers: headers.collect(),
                };
            }
            Some(Answer::Failed(why)) => {
                assert!(input.is_empty());
                made = Made::Failed(why);
            }
        }
    }
    made
}

fn whole(response: &str) -> Made {
    run(&Config::default(), [response.as_bytes()])
}

fn with(line: &str, other: &str) -> String {
    let response = switching("");
    assert!(response.contains(line));
    response.replace(line, other)
}

#[track_caller]
fn fails(response: &str, why: BadResponse) {
    assert_eq!(whole(response), Made::Failed(why), "{response}");
}

#[track_caller]
fn accepts(response: &str) {
    assert_eq!(
        whole(response),
        Made::Accepted {
            protocol: None,
            rest: Vec::new()
        },
        "{response}"
    );
}

#[test]
fn section_4_1_the_request_has_what_it_must() {
    let mut request = ClientRequest::new("[::1]:9001", "/a?b=%20");
    let plain = written(request, SEED).unwrap();
    let key = key_in(&plain).to_owned();
    assert_eq!(
        plain,
        format!(
            "GET /a?b=%20 HTTP/1.1\r\nHost: [::1]:9001\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        )
    );
    request.origin = Some("http://example.com");
    request.protocols = &["superchat", "chat"];
    request.headers = &[("Cookie", "a=b"), ("X-Name", "ä")];
    let more = "Origin: http://example.com\r\nSec-WebSocket-Protocol: superchat, chat\r\n\
        Cookie: a=b\r\nX-Name: ä\r\n\r\n";
    assert_eq!(
        written(request, SEED).unwrap(),
        plain.trim_end().to_owned() + "\r\n" + more
    );
}

#[test]
fn section_4_1_item_7_the_key_follows_from_the_seed() {
    let request = ClientRequest::new("a", "/");
    let text = written(request, SEED).unwrap();
    assert_eq!(key_in(&text).len(), 24);
    assert_eq!(written(request, SEED).unwrap(), text);
    assert_ne!(key_in(&written(request, [8; 32]).unwrap()), key_in(&text));
}

#[test]
fn section_4_1_what_would_break_the_request_is_refused() {
    for host in ["", "a b", "a\r\nX: y", "a/b", "user@a", "ä", "a:b", ":80"] {
        assert_eq!(
            written(ClientRequest::new(host, "/"), SEED),
            Err(InvalidRequest::Host)
        );
    }
    for target in [
        "",
        "a",
        "*",
        "/a b",
        "/a\r\nX: y",
        "/a\n",
        "/a#b",
        "/ä",
        "/\0",
        "http://a/",
    ] {
        assert_eq!(
            written(ClientRequest::new("a", target), SEED),
            Err(InvalidRequest::Target)
        );
    }
    for origin in ["", "http://a\r\nX: y", "http://ä", "a\tb"] {
        let mut request = ClientRequest::new("a", "/");
        request.origin = Some(origin);
        assert_eq!(written(request, SEED), Err(InvalidRequest::Origin));
    }
    for (name, value) in [
        ("A", "b\r\nC: d"),
        ("A", "b\n"),
        ("A", "\0"),
        ("A b", "c"),
        ("", "c"),
    ] {
        let headers = [("X", "y"), (name, value)];
        let mut request = ClientRequest::new("a", "/");
        request.headers = &headers;
        assert_eq!(written(request, SEED), Err(InvalidRequest::Header));
    }
    let reserved = [
        "host",
        "Origin",
        "UPGRADE",
        "Connection",
        "Sec-WebSocket-Key",
        "sec-websocket-extensions",
        "Content-Length",
        "Transfer-Encoding",
    ];
    for name in reserved {
        let headers = [(name, "x")];
        let mut request = ClientRequest::new("a", "/");
        request.headers = &headers;
        assert_eq!(
            written(request, SEED),
            Err(InvalidRequest::ReservedHeader),
            "{name}"
        );
    }
}

#[test]
fn section_4_1_item_10_subprotocols_are_distinct_tokens() {
    let offer = |protocols: &[&str]| {
        let mut request = ClientRequest::new("a", "/");
        request.protocols = protocols;
        written(request, SEED).map(|_| ())
    };
    assert_eq!(offer(&["a", "A", "b"]), Ok(()));
    for other in ["", "a b", "a,b", "ä", "a\r\n", "a/b"] {
        assert_eq!(
            offer(&["x", other]),
            Err(InvalidRequest::Protocol),
            "{other:?}"
        );
    }
    assert_eq!(
        offer(&["a", "b", "a"]),
        Err(InvalidRequest::RepeatedProtocol)
    );
}

#[test]
fn section_4_1_a_good_answer_opens_the_connection() {
    accepts(&switching(""));
    accepts(&with("Upgrade: websocket\r\n", "upgrade:WEBSOCKET \r\n"));
    accepts(&with(
        "Connection: Upgrade\r\n",
        "CONNECTION: keep-alive,  upgrade\r\n",
    ));
    accepts(&with(
        "Connection: Upgrade\r\n",
        "Connection: keep-alive\r\nConnection: UPGRADE\r\n",
    ));
    accepts(&with("Accept: ", "Accept:\t  "));
    accepts(&with("Switching Protocols", "\u{e4}"));
    accepts(&with(" Switching Protocols", ""));
    accepts(&switching("Set-Cookie: a=b\r\nX-Name: \u{e4}\r\n"));
}

#[test]
fn section_4_1_frames_behind_the_answer_are_left_for_the_connection() {
    let (mut handshake, _) = start(Config::default(), &[]);
    let mut read = [switching("").as_bytes(), HELLO].concat();
    let mut input = Input::new(&mut read);
    let answer = handshake.next_response(&mut input);
    let Some(Answer::Accepted(mut connection, _)) = answer else {
        panic!("{answer:?}")
    };
    let (mut scratch, mut out) = (RecvScratch::default(), Vec::new());
    let event = connection.next_event(&mut input, &mut scratch, &mut out);
    assert_eq!(event, Some(Event::Text("Hello")));
}

#[test]
fn section_4_1_check_1_another_status_is_a_refusal() {
    let (mut handshake, _) = start(Config::default(), &[]);
    let mut read =
        *b"HTTP/1.1 401 Who are you\r\nWWW-Authenticate: Basic\r\nContent-Length: 9\r\n\r\nnot";
    let mut input = Input::new(&mut read);
    let answer = handshake.next_response(&mut input);
    let Some(Answer::Refused(response)) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!((response.status(), response.reason()), (401, "Who are you"));
    assert_eq!(response.header("www-authenticate"), Some(&b"Basic"[..]));
    assert_eq!(response.body(), b"not");
    // What comes later of it is discarded.
    let mut read = *b" you\r\n";
    assert!(
        handshake
            .next_response(&mut Input::new(&mut read))
            .is_none()
    );

    for status in ["200 OK", "302 Found", "403", "426 ", "503 \u{e4}"] {
        for version in ["1.0", "1.1"] {
            let made = whole(&format!("HTTP/{version} {status}\r\n\r\n"));
            assert!(matches!(made, Made::Refused { .. }), "{made:?}");
        }
    }
}

#[test]
fn section_4_1_check_2_upgrade() {
    let line = "Upgrade: websocket\r\n";
    for other in [
        "",
        "Upgrade:\r\n",
        "Upgrade: h2c\r\n",
        "Upgrade: websocket, h2c\r\n",
        "Upgrade: websocket\r\nUpgrade: h2c\r\n",
        "Upgrade: \u{e4}\r\n",
    ] {
        fails(&with(line, other), BadResponse::UpgradeMissing);
    }
}

#[test]
fn section_4_1_check_3_connection() {
    let line = "Connection: Upgrade\r\n";
    for other in [
        "",
        "Connection: close\r\n",
        "Connection: no-upgrade\r\n",
        "Connection: \u{e4}\r\n",
    ] {
        fails(&with(line, other), BadResponse::ConnectionWithoutUpgrade);
    }
}

#[test]
fn section_4_1_check_4_accept() {
    let response = switching("");
    let line = response
        .lines()
        .find(|line| line.starts_with("Sec-WebSocket-Accept"))
        .unwrap();
    fails(&with(line, "X: y"), BadResponse::AcceptMissing);
    fails(
        &with(line, &format!("{line}\r\n{line}")),
        BadResponse::AcceptRepeated,
    );
    let wrong = format!("{}A=", &line[..line.len() - 2]);
    let lower = line.to_lowercase();
    let of_the_example = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    let longer = format!("{line}=");
    for other in [
        "Sec-WebSocket-Accept:",
        of_the_example,
        &wrong,
        &lower,
        &longer,
    ] {
        assert_ne!(other, line);
        fails(&with(line, other), BadResponse::AcceptWrong);
    }
}

#[test]
fn section_4_1_check_5_extensions_that_nobody_offered() {
    for line in [
        "Sec-WebSocket-Extensions: permessage-deflate",
        "sec-websocket-extensions:",
    ] {
        fails(
            &switching(&format!("{line}\r\n")),
            BadResponse::ExtensionNotOffered,
        );
    }
}

#[cfg(feature = "deflate")]
#[test]
fn rfc_7692_section_5_1_what_the_server_chooses_has_to_fit_the_offer() {
    let mut config = Config::default();
    config.deflate = Some(DeflateConfig::default());
    let (_, request) = start(config.clone(), &[]);
    assert!(String::from_utf8(request).unwrap().contains(
        "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
        client_no_context_takeover; client_max_window_bits\r\n"
    ));
    let made = |value: &str| {
        let answer = switching(&format!("Sec-WebSocket-Extensions: {value}\r\n"));
        run(&config, [answer.as_bytes()])
    };
    let accepted = Made::Accepted {
        protocol: None,
        rest: Vec::new(),
    };
    let good = "permessage-deflate; server_no_context_takeover";
    assert_eq!(made(good), accepted);
    assert_eq!(
        made(&format!("{good}; client_max_window_bits=\"10\"")),
        accepted
    );
    assert_eq!(
        run(&config, [switching("").as_bytes()]),
        accepted,
        "it may decline"
    );
    for bad in [
        "permessage-deflate",
        "x",
        "permessage-deflate; server_no_context_takeover; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover, permessage-deflate",
        "permessage-deflate; server_no_context_takeover\r\nSec-WebSocket-Extensions: x",
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=7",
        "permessage-deflate; \"",
    ] {
        assert_eq!(
            made(bad),
            Made::Failed(BadResponse::ExtensionInvalid),
            "{bad}"
        );
    }
}

#[test]
fn section_4_1_check_6_subprotocols() {
    let chosen = |lines: &str| whole(&switching(&format!("Sec-WebSocket-Protocol: {lines}\r\n")));
    let accepted = |protocol: &str| Made::Accepted {
        protocol: Some(protocol.into()),
        rest: Vec::new(),
    };
    assert_eq!(chosen("chat"), accepted("chat"));
    assert_eq!(chosen("superchat"), accepted("superchat"));
    for other in [
        "",
        "other",
        "Chat",
        "chat, superchat",
        "chat,superchat",
        "ch\u{e4}t",
        "\"chat\"",
    ] {
        assert_eq!(
            chosen(other),
            Made::Failed(BadResponse::ProtocolNotOffered),
            "{other}"
        );
    }
    let repeated = chosen("chat\r\nSec-WebSocket-Protocol: chat");
    assert_eq!(repeated, Made::Failed(BadResponse::ProtocolRepeated));
}

#[test]
fn section_4_2_2_the_version_of_a_101_is_1_1() {
    fails(&with("HTTP/1.1", "HTTP/1.0"), BadResponse::HttpTooOld);
    fails(
        &with("HTTP/1.1", "HTTP/2.0"),
        BadResponse::Head(HeadError::UnsupportedVersion),
    );
    for other in ["SSH-2.0-OpenSSH", "http/1.1", "\r\nHTTP/1.1", "HTTX/1.1"] {
        fails(
            &with("HTTP/1.1", other),
            BadResponse::Head(HeadError::InvalidStartLine),
        );
    }
    fails(
        &with("101", "1O1"),
        BadResponse::Head(HeadError::InvalidStartLine),
    );
}

#[test]
fn rfc_9110_section_15_2_interim_responses_are_skipped_within_reason() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n";
    accepts(&format!("{interim}{}", switching("")));
    let made = whole(&format!("{interim}HTTP/1.1 404 Not Found\r\n\r\n"));
    assert!(
        matches!(made, Made::Refused { status: 404, .. }),
        "{made:?}"
    );
    accepts(&format!("{}{}", interim.repeat(4), switching("")));
    fails(
        &format!("{}HTTP/1.1 199 \r\n\r\n", interim.repeat(4)),
        BadResponse::TooManyInterim,
    );
    fails(
        "HTTP/1.1 100 \r\nX : y\r\n\r\n",
        BadResponse::Head(HeadError::InvalidHeader),
    );
    assert_eq!(whole(interim), Made::Nothing);
}

#[test]
fn what_is_no_head_fails_at_its_first_wrong_byte() {
    for (bytes, error) in [
        (&b"\x15\x03\x01\x00\x02\x02\x46"[..], HeadError::Tls),
        (b"\0", HeadError::ControlByte),
        (b"HTTP/1.1 101\n", HeadError::LineEnd),
        (b"HTTP/1.1 101\r\nA: b\r\n c", HeadError::FoldedHeader),
        (b"\r", HeadError::InvalidStartLine),
    ] {
        let made = run(&Config::default(), [bytes]);
        assert_eq!(
            made,
            Made::Failed(BadResponse::Head(error)),
            "{}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn the_head_is_bounded_in_bytes_and_lines() {
    let response = switching("");
    let mut config = Config::default();
    let failed = |error| Made::Failed(BadResponse::Head(error));
    config.max_head = response.len();
    assert!(matches!(
        run(&config, [response.as_bytes()]),
        Made::Accepted { .. }
    ));
    // Each of several heads has the whole limit.
    let twice = format!("HTTP/1.1 100 Continue\r\n\r\n{response}");
    assert!(matches!(
        run(&config, [twice.as_bytes()]),
        Made::Accepted { .. }
    ));
    config.max_head -= 1;
    assert_eq!(
        run(&config, [response.as_bytes()]),
        failed(HeadError::TooLong)
    );
    assert_eq!(
        run(&config, [&[b'x'; 1000][..]]),
        failed(HeadError::TooLong)
    );

    let mut config = Config::default();
    config.max_headers = 3;
    assert!(matches!(
        run(&config, [response.as_bytes()]),
        Made::Accepted { .. }
    ));
    let four = switching("A: b\r\n");
    assert_eq!(
        run(&config, [four.as_bytes()]),
        failed(HeadError::TooManyHeaders)
    );
}

/// Takes the first text out of what was read.
fn text(connection: &mut Connection, read: &mut [u8]) -> String {
    let (mut scratch, mut out) = (RecvScratch::default(), Vec::new());
    let mut input = Input::new(read);
    let text = match connection.next_event(&mut input, &mut scratch, &mut out) {
        Some(Event::Text(text)) => text.to_owned(),
        other => panic!("{other:?}"),
    };
    assert!(input.is_empty());
    text
}

#[test]
fn client_and_server_understand_one_another() {
    let config = Arc::new(Config::default());
    let mut request = ClientRequest::new("localhost:9001", "/chat?x=y");
    request.protocols = &["a", "b"];
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    let mut client = ClientHandshake::start(config.clone(), request, SEED, &mut to_server).unwrap();
    let mut server = ServerHandshake::new(config);

    let mut input = Input::new(&mut to_server);
    let asked = server.next_request(&mut input, &mut to_client);
    let Some(Asked::Request(request)) = asked else {
        panic!("{asked:?}")
    };
    let accept = Accept {
        protocol: Some("b"),
        headers: &[("Set-Cookie", "c=d")],
    };
    let mut server = request.accept(accept, &mut to_client).unwrap();
    assert!(input.into_rest().is_empty());

    let mut input = Input::new(&mut to_client);
    let answer = client.next_response(&mut input);
    let Some(Answer::Accepted(mut client, response)) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(response.protocol(), Some("b"));
    assert_eq!(response.header("set-cookie"), Some(&b"c=d"[..]));
    assert!(input.into_rest().is_empty());

    to_server.clear();
    client
        .send_text("ping", &mut SendScratch::default(), &mut to_server)
        .unwrap();
    assert!(!to_server.ends_with(b"ping"), "a client masks");
    assert_eq!(text(&mut server, &mut to_server), "ping");
    to_client.clear();
    server
        .send_text("pong", &mut SendScratch::default(), &mut to_client)
        .unwrap();
    assert_eq!(text(&mut client, &mut to_client), "pong");
}

/// Responses of all kinds, whole and broken.
fn responses() -> impl Strategy<Value = Vec<u8>> {
    let lines = prop::sample::subsequence(
        vec![
            "Upgrade: websocket\r\n",
            "Connection: Upgrade\r\n",
            "Sec-WebSocket-Accept: x\r\n",
            "Sec-WebSocket-Protocol: chat\r\n",
            "X: \u{e4}\r\n",
            "X : y\r\n",
            " folded\r\n",
            "X: y\n",
        ],
        0..=5,
    );
    let start = prop::sample::select(vec![
        "HTTP/1.1 101 Switching Protocols\r\n",
        "HTTP/1.0 404 Not Found\r\n",
        "HTTP/1.1 100\r\n",
        "SSH-2.0\r\n",
    ]);
    let made = (
        start,
        lines.prop_shuffle(),
        prop::collection::vec(any::<u8>(), 0..20),
    )
        .prop_map(|(start, lines, rest)| {
            [start.as_bytes(), lines.concat().as_bytes(), b"\r\n", &rest].concat()
        });
    let interim = prop::sample::select(vec![0, 1, 2, 8, 9])
        .prop_map(|count| "HTTP/1.1 102 \r\n\r\n".repeat(count));
    let good = (interim, prop::collection::vec(any::<u8>(), 0..20))
        .prop_map(|(interim, rest)| [interim.as_bytes(), switching("").as_bytes(), &rest].concat());
    let spoilt = (good.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(
        |(mut bytes, at, byte)| {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        },
    );
    prop_oneof![2 => made, 1 => good, 2 => spoilt]
}

/// `bytes` in pieces, some of them empty.
fn cut<'b>(bytes: &'b [u8], cuts: &[prop::sample::Index]) -> Vec<&'b [u8]> {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    ends.extend([0, bytes.len()]);
    ends.sort_unstable();
    ends.windows(2)
        .map(|ends| &bytes[ends[0]..ends[1]])
        .collect()
}

proptest! {
    #[test]
    fn no_cut_changes_anything(
        bytes in responses(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        max_head in prop_oneof![3 => Just(16 * 1024), 1 => 0_usize..200],
    ) {
        let mut config = Config::default();
        config.max_head = max_head;
        let uncut = run(&config, [&bytes[..]]);
        prop_assert_eq!(&run(&config, cut(&bytes, &cuts)), &uncut);
        prop_assert_eq!(&run(&config, bytes.chunks(1)), &uncut);
    }

    #[test]
    fn garbage_never_panics_and_never_opens(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let made = run(&Config::default(), cut(&bytes, &cuts));
        let opened = matches!(made, Made::Accepted { .. });
        prop_assert!(!opened);
    }
}
