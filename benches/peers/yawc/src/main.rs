//! yawc: hyper's upgrade, UTF-8 checked, a read buffer of 128 KiB. Compressed: without context takeover, level 3.

use futures_util::StreamExt;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use peer::{Invocation, Mode, Room};
use tokio::task;
use yawc::{CompressionLevel, DeflateOptions, Frame, OpCode, Options, WebSocket, WebSocketError};

fn main() {
    let Invocation {
        mode,
        port,
        compressed,
        ..
    } = Invocation::from_args().without_tls();
    let room = Room::default();
    let mut options = Options::default()
        .with_utf8()
        .with_limits(16 << 20, 32 << 20)
        .with_read_buffer_capacity(128 * 1024);
    if compressed {
        options.compression = Some(DeflateOptions {
            level: CompressionLevel::new(3),
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            compression_threshold: 128,
            ..DeflateOptions::default()
        });
    }
    peer::serve(port, |stream| {
        let (room, options) = (room.clone(), options.clone());
        async move {
            let upgrade = service_fn(|request| {
                let (room, options) = (room.clone(), options.clone());
                async move { accept(request, options, mode, room) }
            });
            // An end without a Close is one, too.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), upgrade)
                .with_upgrades()
                .await;
        }
    });
}

fn accept(
    mut request: Request<Incoming>,
    options: Options,
    mode: Mode,
    room: Room<Frame>,
) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, upgraded) = WebSocket::upgrade_with_options(&mut request, options)?;
    task::spawn(task::unconstrained(async move {
        let Ok(socket) = upgraded.await else { return };
        let socket = socket.map(Ok);
        let is_data = |frame: &Frame| matches!(frame.opcode(), OpCode::Text | OpCode::Binary);
        let _ = match mode {
            Mode::Echo => peer::echo(socket, is_data).await,
            Mode::Broadcast => peer::broadcast(socket, room, is_data).await,
        };
    }));
    Ok(response)
}
