//! An echo server on axum, with compression: `cargo run --release -p wirefan-axum --example axum_echo`, then connect to
//! ws://127.0.0.1:9001/ws.

use axum::response::Response;
use axum::{Router, routing::any};
use tokio::net::TcpListener;
use wirefan_axum::{DeflateConfig, Message, WebSocket, WebSocketUpgrade};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app: Router = Router::new().route("/ws", any(handler));
    let listener = TcpListener::bind("127.0.0.1:9001").await?;
    println!("echo on ws://{}/ws", listener.local_addr()?);
    axum::serve(listener, app).await
}

async fn handler(ws: WebSocketUpgrade) -> Response {
    ws.compression(DeflateConfig::default()).on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        // Pings have been answered by the time they are shown.
        if let Message::Text(_) | Message::Binary(_) = message
            && socket.send(message).await.is_err()
        {
            return;
        }
    }
}
