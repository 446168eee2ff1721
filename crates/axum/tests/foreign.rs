//! 10,000 random messages with Python's `websockets` as the client of an axum app, byte for byte, with compression and
//! without. It is installed by the test itself; where Python is missing the test says that it was skipped, and why.

#[path = "../../server/tests/foreign/install.rs"]
#[allow(dead_code, reason = "only Python is wanted here")]
mod install;

use std::path::Path;

use axum::{Router, routing::any};
use install::{or_skip, python, succeeds};
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use wirefan_axum::{DeflateConfig, Message, WebSocket, WebSocketUpgrade};

/// The one with which `wirefan-tokio` is tested.
const SCRIPT: &str = "../tokio/tests/foreign/echo_random.py";

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Text(_) | Message::Binary(_) = message
            && socket.send(message).await.is_err()
        {
            return;
        }
    }
}

fn app() -> Router {
    let mut takeover = DeflateConfig::default();
    takeover.takeover = true;
    let plain = |ws: WebSocketUpgrade| async { ws.on_upgrade(echo) };
    let compressed = |deflate: DeflateConfig| {
        any(move |ws: WebSocketUpgrade| async move { ws.compression(deflate).on_upgrade(echo) })
    };
    Router::new()
        .route("/plain", any(plain))
        .route("/compressed", compressed(DeflateConfig::default()))
        .route("/takeover", compressed(takeover))
}

#[tokio::test]
async fn websockets_of_pypi_gets_everything_back() {
    if or_skip(python()).is_none() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app()).await });
    for (path, compression) in [("plain", "off"), ("compressed", "on"), ("takeover", "on")] {
        let url = format!("ws://{address}/{path}");
        spawn_blocking(move || {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(SCRIPT);
            let mut python = python().unwrap();
            python.arg(script).args(["client", &url, compression]);
            succeeds(python);
        })
        .await
        .unwrap();
    }
}
