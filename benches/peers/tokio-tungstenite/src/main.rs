//! tokio-tungstenite: default settings, all messages at hand with `feed`, one `flush`.

use peer::{Invocation, Mode, Room};
use tokio_tungstenite::tungstenite::Message;

fn main() {
    let Invocation { mode, port, .. } = Invocation::from_args().without_compression();
    let room = Room::default();
    peer::serve(port, |stream| {
        let room = room.clone();
        async move {
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
    });
}
