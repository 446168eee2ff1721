//! 10,000 random messages with tokio-tungstenite at the other end, byte for byte, in both roles. It cannot compress:
//! `foreign/` has peers that can.

mod common;
#[path = "common/random.rs"]
mod random;

use std::sync::Arc;

use common::soon;
use futures_util::{SinkExt, StreamExt};
use random::{MESSAGES, Random, converse, echo};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite;
use wirefan_tokio::Message;

fn theirs(message: Message) -> tungstenite::Message {
    match message {
        Message::Text(text) => tungstenite::Message::text(text.as_str()),
        other => tungstenite::Message::binary(other.into_data()),
    }
}

#[tokio::test]
async fn as_a_client_it_gets_everything_back() {
    for in_reads in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            let socket = wirefan_tokio::accept(socket).await.unwrap();
            echo(socket, in_reads).await.unwrap();
        });
        let (socket, _) = soon(tokio_tungstenite::connect_async(&url)).await.unwrap();
        let (mut sink, mut stream) = socket.split();
        let sending = tokio::spawn(async move {
            let mut random = Random::new(42);
            for _ in 0..MESSAGES {
                sink.send(theirs(random.message())).await.unwrap();
            }
            sink
        });
        let mut random = Random::new(42);
        for i in 0..MESSAGES {
            let message = soon(stream.next()).await.unwrap().unwrap();
            assert!(message == theirs(random.message()), "message {i}");
        }
        let mut sink = soon(sending).await.unwrap();
        soon(sink.send(tungstenite::Message::Close(None)))
            .await
            .unwrap();
        let close = soon(stream.next()).await.unwrap().unwrap();
        assert_eq!(close, tungstenite::Message::Close(None));
        assert!(soon(stream.next()).await.is_none());
        soon(serving).await.unwrap();
    }
}

#[tokio::test]
async fn as_a_server_it_gives_everything_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(socket).await.unwrap();
        while let Some(message) = socket.next().await {
            let message = message.unwrap();
            if message.is_text() || message.is_binary() {
                socket.send(message).await.unwrap();
            }
        }
    });
    let stream = TcpStream::connect(address).await.unwrap();
    let request = wirefan_tokio::ClientRequest::new("localhost", "/");
    let connecting = wirefan_tokio::client(stream, request, Arc::default());
    let (socket, response) = soon(connecting).await.unwrap();
    assert_eq!((response.status(), response.protocol()), (101, None));
    soon(converse(socket, 43)).await;
    soon(serving).await.unwrap();
}
