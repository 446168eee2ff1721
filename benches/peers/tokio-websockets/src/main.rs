//! tokio-websockets: no limits and no fragments, as in its echo example; all messages at hand are collected first, for
//! its reader flushes.

use peer::{Invocation, Mode, Room, Transport};
use tokio_websockets::{Config, Limits, Message, ServerBuilder};

fn main() {
    let invocation = Invocation::from_args().without_compression();
    let Invocation {
        mode, port, tls, ..
    } = invocation;
    let room = Room::default();
    match &tls {
        None => peer::serve(port, move |stream| connection(stream, mode, room.clone())),
        Some(tls) => peer::serve_tls(port, tls, move |stream| {
            connection(stream, mode, room.clone())
        }),
    }
}

async fn connection(stream: impl Transport, mode: Mode, room: Room<Message>) {
    let accepted = ServerBuilder::new()
        .config(
            Config::default()
                .frame_size(usize::MAX)
                .flush_threshold(64 * 1024),
        )
        .limits(Limits::unlimited())
        .accept(stream)
        .await;
    let Ok((_, socket)) = accepted else { return };
    let is_data = |message: &Message| message.is_text() || message.is_binary();
    // An end without a Close is one, too.
    let _ = match mode {
        Mode::Echo => peer::echo(socket, is_data).await,
        Mode::Broadcast => peer::broadcast(socket, room, is_data).await,
    };
}
