//! Over hyper 1: the server is the one of `examples/hyper_upgrade.rs`, the client upgrades with hyper as well.

mod common;
#[path = "../examples/hyper_upgrade.rs"]
#[allow(dead_code, reason = "an example has a main")]
mod hyper_upgrade;

use std::sync::Arc;

use common::{client_end, messages, soon, wire};
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wirefan_tokio::{
    Agreed, ClientRequest, CloseCode, Config, DeflateConfig, Message, Role, WebSocketStream, client,
};

/// A connection to the server of the example.
async fn connected() -> TcpStream {
    let mut config = Config::default();
    config.deflate = Some(DeflateConfig::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        hyper_upgrade::serve(socket, Arc::new(config))
            .await
            .unwrap();
    });
    TcpStream::connect(address).await.unwrap()
}

#[tokio::test]
async fn an_upgraded_connection_echoes_with_compression_and_without() {
    let mut with = Config::default();
    with.deflate = Some(DeflateConfig::default());
    for config in [Config::default(), with] {
        let compresses = config.deflate.is_some();
        let request = ClientRequest::new("localhost", "/");
        let stream = connected().await;
        let (mut socket, _) = soon(client(stream, request, Arc::new(config)))
            .await
            .unwrap();
        assert_eq!(socket.agreed().deflate().is_some(), compresses);
        for len in [0, 5, 125, 126, 70_000, 500_000] {
            let message = Message::from("grün".repeat(len / 5));
            soon(socket.send(message.clone())).await.unwrap();
            assert!(
                soon(socket.next()).await.unwrap().unwrap() == message,
                "{len}"
            );
        }
        soon(socket.close(CloseCode::NORMAL, "")).await.unwrap();
        assert!(soon(socket.next()).await.unwrap().unwrap().is_close());
        assert!(soon(socket.next()).await.is_none());
    }
}

#[tokio::test]
async fn frames_behind_the_request_are_not_lost_in_hyper() {
    let mut stream = connected().await;
    let sent: Vec<Message> = vec!["one".into(), "two".into()];
    let mut client = client_end(&Arc::default());
    let mut bytes = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        .to_vec();
    bytes.extend(wire(&mut client, &sent));
    stream.write_all(&bytes).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap());
    }
    let mut frames = [0; 10];
    soon(stream.read_exact(&mut frames)).await.unwrap();
    assert_eq!(messages(&mut client, &frames), sent);
}

#[tokio::test]
async fn a_client_may_upgrade_with_hyper_as_well() {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(connected().await))
            .await
            .unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = Request::get("/").header("Host", "a");
    let page = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap());
    let page = soon(page)
        .await
        .unwrap()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    assert_eq!(page, "connect with a WebSocket client\n");

    let request = Request::get("/")
        .header("Host", "a")
        .header("Upgrade", "websocket")
        .header("Connection", "upgrade")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap());
    let response = soon(response).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(
        response.headers()["sec-websocket-accept"],
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    let upgraded = TokioIo::new(soon(hyper::upgrade::on(response)).await.unwrap());
    let socket = WebSocketStream::from_upgraded(
        upgraded,
        Role::Client,
        Arc::default(),
        Agreed::default(),
        [],
    );
    let mut socket = socket.unwrap();
    soon(socket.send("through two hypers".into()))
        .await
        .unwrap();
    assert_eq!(
        soon(socket.next()).await.unwrap().unwrap(),
        "through two hypers".into()
    );
}
