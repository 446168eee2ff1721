//! The extractor on a real axum server: what it accepts, what it refuses, and that axum's own examples work with it.

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use axum::{Router, routing::any};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use wirefan_axum::{
    CloseFrame, DeflateConfig, Message, WebSocket, WebSocketUpgrade, close_code, rejection,
};
use wirefan_tokio::{ClientRequest, Config, ConnectError, ProtocolError, WebSocketStream, client};

/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future)
        .await
        .expect("it was not done in time")
}

/// Serves `app` and returns where.
async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn connected(
    address: &str,
    request: ClientRequest<'_>,
    config: Config,
) -> (WebSocketStream<TcpStream>, wirefan_tokio::Response) {
    let stream = TcpStream::connect(address).await.unwrap();
    soon(client(stream, request, Arc::new(config)))
        .await
        .unwrap()
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn it_echoes_with_compression_and_without() {
    let app = Router::new()
        .route(
            "/plain",
            any(|ws: WebSocketUpgrade| async { ws.on_upgrade(echo) }),
        )
        .route(
            "/compressed",
            any(|ws: WebSocketUpgrade| async {
                ws.compression(DeflateConfig::default()).on_upgrade(echo)
            }),
        );
    let address = serve(app).await;
    for (path, compressed) in [("/plain", false), ("/compressed", true)] {
        let mut config = Config::default();
        config.deflate = Some(DeflateConfig::default());
        let request = ClientRequest::new("localhost", path);
        let (mut socket, _) = connected(&address, request, config).await;
        assert_eq!(socket.agreed().deflate().is_some(), compressed);
        for len in [0, 125, 126, 65_535, 65_536, 1024 * 1024] {
            let messages = ["x".repeat(len).into(), vec![len as u8; len].into()];
            for message in messages {
                let message: wirefan_tokio::Message = message;
                soon(socket.send(message.clone())).await.unwrap();
                assert!(
                    soon(socket.next()).await.unwrap().unwrap() == message,
                    "{len}"
                );
            }
        }
        soon(socket.close(wirefan_tokio::CloseCode::GOING_AWAY, "bye"))
            .await
            .unwrap();
        assert!(soon(socket.next()).await.unwrap().unwrap().is_close());
        assert!(soon(socket.next()).await.is_none());
    }
}

#[tokio::test]
async fn a_subprotocol_is_chosen_in_the_servers_order() {
    async fn handler(ws: WebSocketUpgrade) -> Response {
        assert_eq!(ws.requested_protocols().count(), 2);
        let ws = ws.protocols(["other", "second", "first"]);
        assert_eq!(ws.selected_protocol().unwrap(), "second");
        ws.on_upgrade(|mut socket| async move {
            let protocol = socket.protocol().unwrap().to_str().unwrap().to_owned();
            socket.send(protocol.into()).await.unwrap();
        })
    }
    let address = serve(Router::new().route("/", any(handler))).await;
    let mut request = ClientRequest::new("localhost", "/");
    request.protocols = &["first", "second"];
    let (mut socket, response) = connected(&address, request, Config::default()).await;
    assert_eq!(response.protocol(), Some("second"));
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), "second".into());
}

#[tokio::test]
async fn halves_work_in_tasks_of_their_own_and_closes_carry_numbers() {
    async fn handler(ws: WebSocketUpgrade) -> Response {
        ws.on_upgrade(|socket| async move {
            let (mut sender, mut receiver) = socket.split();
            let (give, mut take) = mpsc::channel(1);
            tokio::spawn(async move {
                while let Some(Ok(message)) = receiver.next().await {
                    if give.send(message).await.is_err() {
                        return;
                    }
                }
            });
            let Some(Message::Text(text)) = take.recv().await else {
                panic!("no text")
            };
            sender.send(Message::Text(text)).await.unwrap();
            let frame = CloseFrame {
                code: close_code::POLICY,
                reason: "enough".into(),
            };
            sender.send(Message::Close(Some(frame))).await.unwrap();
            let Some(Message::Close(Some(frame))) = take.recv().await else {
                panic!("no Close")
            };
            assert_eq!(frame.code, close_code::POLICY);
        })
    }
    let address = serve(Router::new().route("/", any(handler))).await;
    let request = ClientRequest::new("localhost", "/");
    let (mut socket, _) = connected(&address, request, Config::default()).await;
    soon(socket.send("hello".into())).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), "hello".into());
    let close = soon(socket.next()).await.unwrap().unwrap();
    let wirefan_tokio::Message::Close(Some(frame)) = close else {
        panic!("{close:?}")
    };
    assert_eq!((frame.code.0, frame.reason.as_str()), (1008, "enough"));
    assert!(soon(socket.next()).await.is_none());
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_an_error_with_its_cause_inside() {
    let (give, mut take) = mpsc::unbounded_channel();
    let handler = |ws: WebSocketUpgrade| async move {
        ws.max_message_size(10).on_upgrade(|mut socket| async move {
            give.send(socket.recv().await.unwrap().unwrap_err())
                .unwrap();
        })
    };
    let address = serve(Router::new().route("/", any(handler))).await;
    let request = ClientRequest::new("localhost", "/");
    let (mut socket, _) = connected(&address, request, Config::default()).await;
    soon(socket.send("eleven bytes".into())).await.unwrap();
    let close = soon(socket.next()).await.unwrap().unwrap();
    let wirefan_tokio::Message::Close(Some(frame)) = close else {
        panic!("{close:?}")
    };
    assert_eq!(frame.code.0, close_code::SIZE);
    let error = soon(take.recv()).await.unwrap().into_inner();
    let error = error.downcast::<wirefan_tokio::Error>().unwrap();
    assert!(matches!(
        *error,
        wirefan_tokio::Error::Protocol(ProtocolError::MessageTooLong)
    ));
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

#[tokio::test]
async fn what_is_no_request_for_a_websocket_is_answered_as_axum_does() {
    async fn handler(
        ws: Result<WebSocketUpgrade, rejection::WebSocketUpgradeRejection>,
    ) -> Response {
        match ws {
            Ok(ws) => ws.on_upgrade(echo),
            Err(rejection) => {
                assert_eq!(rejection.to_string(), rejection.body_text());
                rejection.into_response()
            }
        }
    }
    let address = serve(Router::new().route("/", any(handler))).await;
    for (from, to, status) in [
        ("", "", "101 "),
        ("websocket", "WebSocket", "101 "),
        ("GET", "POST", "405 "),
        ("HTTP/1.1", "HTTP/1.0", "426 "),
        ("Upgrade: websocket\r\n", "", "400 "),
        ("keep-alive, Upgrade", "keep-alive", "400 "),
        ("Version: 13", "Version: 8", "400 "),
        ("Sec-WebSocket-Key", "Other", "400 "),
        // 22 digits are 16 bytes, no fewer and no more, and the last four bits may be anything.
        ("dGhlIHNhbXBsZSBub25jZQ==", "", "400 "),
        ("ZQ==", "ZR==", "101 "),
        ("ZQ==", "==", "400 "),
        ("ZQ==", "ZWE=", "400 "),
        ("ZQ==", "ZWFhZQ==", "400 "),
        ("ZQ==", "-_==", "400 "),
        ("dGhl", "d=hl", "400 "),
        (
            "Sec-WebSocket-Version",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version",
            "400 ",
        ),
        (
            "Host: a",
            "Host: a\r\nSec-WebSocket-Extensions: a;;",
            "400 ",
        ),
    ] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let request = format!("{}\r\n", REQUEST.replacen(from, to, 1));
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 13];
        soon(stream.read_exact(&mut answer)).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(&answer[9..], status, "{from} to {to}");
    }
}

#[tokio::test]
async fn a_plain_request_learns_why() {
    let handler = |ws: WebSocketUpgrade| async { ws.on_upgrade(echo) };
    let address = serve(Router::new().route("/", any(handler))).await;
    let stream = TcpStream::connect(&address).await.unwrap();
    let mut request = ClientRequest::new("localhost", "/missing");
    request.headers = &[("Cookie", "a=b")];
    let error = soon(client(stream, request, Arc::default()))
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::Refused(response) if response.status() == 404));
}
