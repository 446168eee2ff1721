//! tokio-tungstenite: default settings, all messages at hand with `feed`, one `flush`.

use peer::{Invocation, Mode, Room, Transport};
use tokio_tungstenite::tungstenite::Message;

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
    let Ok(socket) = tokio_tungstenite::accept_async(stream).await else {
        return;
    };
    let is_data = |message: &Message| message.is_text() || message.is_binary();
    // An end without a Close is one, too.
    let _ = match mode {
        Mode::Echo => peer::echo(socket, is_data).await,
        Mode::Broadcast => peer::broadcast(socket, room, is_data).await,
    };
}
