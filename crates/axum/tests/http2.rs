//! WebSockets over HTTP/2 (RFC 8441), several on one connection.

use std::time::Duration;

use axum::{Router, routing::any};
use futures_util::{SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::ext::Protocol;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use wirefan_axum::{DeflateConfig, WebSocketUpgrade};
use wirefan_protocol::Config;
use wirefan_tokio::{Agreed, Role, WebSocketStream};

/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future)
        .await
        .expect("it was not done in time")
}

#[tokio::test]
async fn extended_connect_opens_websockets_side_by_side() {
    let handler = |ws: WebSocketUpgrade| async {
        ws.compression(DeflateConfig::default())
            .on_upgrade(|mut socket| async move {
                while let Some(Ok(message)) = socket.recv().await {
                    if socket.send(message).await.is_err() {
                        return;
                    }
                }
            })
    };
    let app: Router = Router::new().route("/", any(handler));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });

    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
    tokio::spawn(connection);
    soon(sender.ready()).await.unwrap();
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://{address}/"))
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = soon(sender.send_request(request)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let upgraded = TokioIo::new(soon(hyper::upgrade::on(response)).await.unwrap());
        let config = Config::default().into();
        let socket =
            WebSocketStream::from_upgraded(upgraded, Role::Client, config, Agreed::default(), []);
        sockets.push(socket.unwrap());
    }
    for (i, socket) in sockets.iter_mut().enumerate() {
        let message = format!("socket {i}").repeat(10_000);
        soon(socket.send(message.clone().into())).await.unwrap();
        assert!(soon(socket.next()).await.unwrap().unwrap() == message.into());
    }
}
