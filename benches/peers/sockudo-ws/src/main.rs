//! sockudo-ws: default settings, all messages at hand with `feed`, one `flush`; its pings and idle timeout are off, as
//! no row lasts that long. Compressed: without context takeover, level 3.

use bytes::BytesMut;
use peer::{Invocation, Mode, Room};
use sockudo_ws::deflate::DeflateConfig;
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use sockudo_ws::{CompressedWebSocketStream, Config, Message, WebSocketStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

fn main() {
    let Invocation {
        mode,
        port,
        compressed,
        ..
    } = Invocation::from_args().without_tls();
    let room = Room::default();
    let config = Config::builder().idle_timeout(0).auto_ping(false).build();
    peer::serve(port, |stream| {
        let (room, config) = (room.clone(), config.clone());
        async move {
            let Some(stream) = accept(stream, compressed).await else {
                return;
            };
            let is_data =
                |message: &Message| matches!(message, Message::Text(_) | Message::Binary(_));
            // An end without a Close is one, too.
            let _ = if compressed {
                let socket = CompressedWebSocketStream::server(stream, config, deflate());
                match mode {
                    Mode::Echo => peer::echo(socket, is_data).await,
                    Mode::Broadcast => peer::broadcast(socket, room, is_data).await,
                }
            } else {
                let socket = WebSocketStream::server(stream, config);
                match mode {
                    Mode::Echo => peer::echo(socket, is_data).await,
                    Mode::Broadcast => peer::broadcast(socket, room, is_data).await,
                }
            };
        }
    });
}

fn deflate() -> DeflateConfig {
    DeflateConfig {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        compression_level: 3,
        compression_threshold: 128,
        ..DeflateConfig::default()
    }
}

/// The handshake of its own example. No client of the comparison speaks before the answer.
async fn accept(mut stream: TcpStream, compressed: bool) -> Option<TcpStream> {
    let mut request = BytesMut::with_capacity(4096);
    loop {
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
        if let Some((parsed, _)) = parse_request(&request).ok()? {
            let key = generate_accept_key(parsed.key);
            let response = build_response(&key, None, compressed.then_some(AGREED));
            stream.write_all(&response).await.ok()?;
            return Some(stream);
        }
    }
}
