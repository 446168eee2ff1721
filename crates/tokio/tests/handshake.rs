//! Both opening handshakes, over streams that cut at every byte, and what they refuse.

mod common;

use std::sync::Arc;

use common::{Trickle, client_end, soon, wire};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpListener;
use wirefan_tokio::handshake::{AnswerError, BadRequest, BadResponse, InvalidRequest, Reply};
use wirefan_tokio::{
    AcceptError, Acceptance, ClientRequest, CloseCode, Config, ConnectError, Decision,
    DeflateConfig, Message, accept, accept_with, client, connect,
};

const REQUEST: &str = "GET /chat?a=b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\r\n";

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

#[tokio::test]
async fn frames_right_behind_the_request_are_not_lost_however_it_is_cut() {
    let config = Arc::new(Config::default());
    let messages: Vec<Message> = vec!["one".into(), "two".into()];
    for piece in 1..400 {
        let mut bytes = REQUEST.as_bytes().to_vec();
        bytes.extend(wire(&mut client_end(&config), &messages));
        let mut socket = soon(accept(Trickle::new(&bytes, piece))).await.unwrap();
        assert_eq!(
            socket.get_ref().output,
            format!("{SWITCHING}\r\n").as_bytes()
        );
        for message in &messages {
            assert_eq!(
                soon(socket.next()).await.unwrap().unwrap(),
                *message,
                "{piece}"
            );
        }
    }
}

#[tokio::test]
async fn a_server_looks_at_the_request_and_chooses() {
    let io = Trickle::new(REQUEST.as_bytes(), 10);
    let socket = accept_with(io, Arc::default(), |request| {
        assert_eq!((request.path(), request.query()), ("/chat", Some("a=b")));
        Decision::Accept(Acceptance {
            protocol: request.protocols().nth(1).map(Into::into),
            headers: vec![("Set-Cookie".into(), "a=b".into())],
        })
    });
    let socket = soon(socket).await.unwrap();
    let expected =
        format!("{SWITCHING}Sec-WebSocket-Protocol: superchat\r\nSet-Cookie: a=b\r\n\r\n");
    assert_eq!(socket.get_ref().output, expected.as_bytes());
}

/// The answer to `request`, and what the server makes of it.
async fn answered(request: &str, decision: Decision) -> (String, AcceptError) {
    let (io, mut peer) = duplex(64 * 1024);
    peer.write_all(request.as_bytes()).await.unwrap();
    let result = soon(accept_with(io, Arc::default(), |_| decision)).await;
    let mut answer = String::new();
    let error = result.err().unwrap();
    soon(peer.read_to_string(&mut answer)).await.unwrap();
    (answer, error)
}

#[tokio::test]
async fn a_server_answers_what_it_does_not_accept() {
    let (answer, error) = answered(REQUEST, Decision::Answer(Reply::text(403, "no"))).await;
    assert!(
        answer.starts_with("HTTP/1.1 403 ") && answer.ends_with("\r\n\r\nno"),
        "{answer}"
    );
    assert!(matches!(error, AcceptError::Answered(403)));

    let (answer, error) = answered("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Decision::accept()).await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    assert!(matches!(error, AcceptError::Answered(426)));

    let old = REQUEST.replace("Version: 13", "Version: 8");
    let (answer, error) = answered(&old, Decision::accept()).await;
    assert!(answer.starts_with("HTTP/1.1 426 ") && answer.contains("Sec-WebSocket-Version: 13"));
    assert!(matches!(
        error,
        AcceptError::BadRequest(BadRequest::VersionUnsupported)
    ));

    let unoffered = Acceptance {
        protocol: Some("other".into()),
        headers: Vec::new(),
    };
    let (answer, error) = answered(REQUEST, Decision::Accept(unoffered)).await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(matches!(
        error,
        AcceptError::Decision(AnswerError::ProtocolNotOffered)
    ));
}

#[tokio::test]
async fn a_stream_that_ends_early_is_an_error_on_both_sides() {
    let mut io = Trickle::new(&REQUEST.as_bytes()[..50], 10);
    io.ends = true;
    let error = soon(accept(io)).await.unwrap_err();
    assert!(
        matches!(error, AcceptError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof)
    );
    let mut io = Trickle::new(&[], 1000);
    io.ends = true;
    let error = soon(client(io, ClientRequest::new("a", "/"), Arc::default()))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ConnectError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof)
    );
}

#[tokio::test]
async fn a_client_tells_what_the_server_answered() {
    for (answer, check) in [
        (
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\nwho are you",
            (|error| match error {
                ConnectError::Refused(response) => {
                    assert_eq!(
                        (response.status(), response.body()),
                        (401, &b"who are you"[..])
                    );
                    assert_eq!(response.header("www-authenticate"), Some(&b"Basic"[..]));
                }
                other => panic!("{other}"),
            }) as fn(ConnectError),
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            |error| match error {
                ConnectError::BadResponse(BadResponse::AcceptMissing) => {}
                other => panic!("{other}"),
            },
        ),
    ] {
        let io = Trickle::new(answer.as_bytes(), 1000);
        check(
            soon(client(io, ClientRequest::new("a", "/"), Arc::default()))
                .await
                .unwrap_err(),
        );
    }
    let request = ClientRequest::new("a", "no path");
    let error = soon(client(Trickle::default(), request, Arc::default()))
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        ConnectError::InvalidRequest(InvalidRequest::Target)
    ));
}

#[tokio::test]
async fn a_url_is_all_that_a_client_needs() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/path?query", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let accepting = accept_with(socket, Arc::default(), |request| {
            assert_eq!(request.target(), "/path?query");
            assert!(request.host().unwrap().starts_with("127.0.0.1:"));
            Decision::accept()
        });
        let mut socket = accepting.await.unwrap();
        socket.send("welcome".into()).await.unwrap();
        while let Some(message) = socket.next().await {
            message.unwrap();
        }
    });
    let (mut socket, _) = soon(connect(&url)).await.unwrap();
    assert_eq!(
        soon(socket.next()).await.unwrap().unwrap(),
        "welcome".into()
    );
    soon(socket.close(CloseCode::NORMAL, "")).await.unwrap();
    assert!(soon(socket.next()).await.unwrap().unwrap().is_close());
    assert!(soon(socket.next()).await.is_none());
    soon(serving).await.unwrap();
    for url in ["wss://127.0.0.1/", "http://127.0.0.1/", "127.0.0.1"] {
        assert!(matches!(soon(connect(url)).await, Err(ConnectError::Url)));
    }
}

#[tokio::test]
async fn compression_is_agreed_on_where_both_want_it() {
    let mut config = Config::default();
    config.deflate = Some(DeflateConfig::default());
    let (with, without) = (Arc::new(config), Arc::new(Config::default()));
    for (server, peer, agreed) in [
        (&with, &with, true),
        (&with, &without, false),
        (&without, &with, false),
    ] {
        let (io, other) = duplex(1000);
        let accepting = accept_with(io, Arc::clone(server), |_| Decision::accept());
        let connecting = client(other, ClientRequest::new("a", "/"), Arc::clone(peer));
        let (accepted, connected) = soon(async { tokio::join!(accepting, connecting) }).await;
        let (mut accepted, (mut connected, _)) = (accepted.unwrap(), connected.unwrap());
        assert_eq!(accepted.agreed().deflate().is_some(), agreed);
        assert_eq!(connected.agreed().deflate().is_some(), agreed);
        // Large enough to be given away without a copy.
        let text: Message = "the same over and over ".repeat(10_000).into();
        let (sent, received) =
            soon(async { tokio::join!(connected.send(text.clone()), accepted.next()) }).await;
        sent.unwrap();
        assert!(received.unwrap().unwrap() == text);
    }
}
