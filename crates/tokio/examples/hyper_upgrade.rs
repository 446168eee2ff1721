//! WebSockets beside plain HTTP on a hyper 1 server: hyper speaks HTTP, `from_upgraded` takes over where it ends.
//!
//! `cargo run --release -p wirefan-tokio --example hyper_upgrade`, then connect to ws://127.0.0.1:9001/.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use wirefan_tokio::handshake::{accept_key, negotiate};
use wirefan_tokio::{Agreed, Config, DeflateConfig, Error, Role, WebSocketStream};

type Answer = Response<Full<Bytes>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut config = Config::default();
    config.deflate = Some(DeflateConfig::default());
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:9001").await?;
    println!("echo on ws://{}/", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        let config = Arc::clone(&config);
        tokio::spawn(async move {
            if let Err(error) = serve(socket, config).await {
                eprintln!("{error}");
            }
        });
    }
}

/// Serves the requests of one TCP connection, until it becomes a WebSocket.
pub(crate) async fn serve(socket: TcpStream, config: Arc<Config>) -> hyper::Result<()> {
    let service = service_fn(|request| {
        let config = Arc::clone(&config);
        async move { Ok::<_, Infallible>(answer(request, config)) }
    });
    http1::Builder::new()
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades()
        .await
}

fn answer(mut request: Request<Incoming>, config: Arc<Config>) -> Answer {
    let headers = request.headers();
    let names = |name, value: &str| {
        let mut lines = headers
            .get_all(name)
            .iter()
            .filter_map(|line| line.to_str().ok());
        lines.any(|line| {
            line.split(',')
                .any(|element| element.trim().eq_ignore_ascii_case(value))
        })
    };
    if !names(UPGRADE, "websocket") {
        return Response::new("connect with a WebSocket client\n".into());
    }
    // RFC 6455 §4.2.1.
    let is_valid = request.method() == Method::GET
        && names(CONNECTION, "upgrade")
        && headers
            .get(SEC_WEBSOCKET_VERSION)
            .is_some_and(|version| version == "13");
    let key = headers
        .get(SEC_WEBSOCKET_KEY)
        .filter(|key| is_valid && key.len() == 24);
    let offers = headers
        .get_all(SEC_WEBSOCKET_EXTENSIONS)
        .iter()
        .map(HeaderValue::as_bytes);
    let (Some(key), Ok((agreed, extension))) = (key, negotiate(offers, &config)) else {
        return refusal();
    };
    let Ok(accept) = HeaderValue::from_bytes(&accept_key(key.as_bytes())) else {
        return refusal();
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(extension) = extension.and_then(|extension| extension.try_into().ok()) {
        answer.insert(SEC_WEBSOCKET_EXTENSIONS, extension);
    }
    tokio::spawn(async move {
        match hyper::upgrade::on(&mut request).await {
            // What hyper has read behind the request comes out of `upgraded` first.
            Ok(upgraded) => {
                if let Err(error) = echo(TokioIo::new(upgraded), config, agreed).await {
                    eprintln!("{error}");
                }
            }
            Err(error) => eprintln!("{error}"),
        }
    });
    response
}

fn refusal() -> Answer {
    let mut response = Response::new("not a valid WebSocket request\n".into());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

async fn echo(
    upgraded: TokioIo<hyper::upgrade::Upgraded>,
    config: Arc<Config>,
    agreed: Agreed,
) -> Result<(), Error> {
    let mut socket = WebSocketStream::from_upgraded(upgraded, Role::Server, config, agreed, [])?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
