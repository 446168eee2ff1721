//! wirefan-tokio: echoes all that came with a read at once (`read_with`), as its echo example; broadcasts by the same loop as
//! the other peers on tokio. Compressed: without context takeover, level 3.

use std::sync::Arc;

use peer::{Invocation, Mode, Room, Transport};
use wirefan_tokio::{
    Config, Decision, DeflateConfig, Error, Event, Message, State, WebSocketStream, accept_with,
};

fn main() {
    let Invocation {
        mode,
        port,
        compressed,
        tls,
    } = Invocation::from_args();
    let room = Room::default();
    let mut config = Config::default();
    config.max_message = 16 << 20;
    config.deflate = compressed.then(|| {
        let mut deflate = DeflateConfig::default();
        deflate.takeover = false;
        deflate.level = 3;
        deflate.min_len = 128;
        deflate
    });
    let config = Arc::new(config);
    match &tls {
        None => peer::serve(port, move |stream| {
            connection(stream, Arc::clone(&config), mode, room.clone())
        }),
        Some(tls) => peer::serve_tls(port, tls, move |stream| {
            connection(stream, Arc::clone(&config), mode, room.clone())
        }),
    }
}

async fn connection(stream: impl Transport, config: Arc<Config>, mode: Mode, room: Room<Message>) {
    let accepting = accept_with(stream, config, |_| Decision::accept());
    let Ok(socket) = accepting.await else { return };
    let is_data = |message: &Message| matches!(message, Message::Text(_) | Message::Binary(_));
    // An end without a Close is one, too.
    let _ = match mode {
        Mode::Echo => echo(socket).await,
        Mode::Broadcast => peer::broadcast(socket, room, is_data).await,
    };
}

async fn echo(mut socket: WebSocketStream<impl Transport>) -> Result<(), Error> {
    let mut state = State::Open;
    while state != State::Closed {
        let reading = socket.read_with(|event, replies| {
            // Behind a Close nothing is sent any more.
            let _ = match event {
                Event::Text(text) => replies.text(text),
                Event::Binary(data) => replies.binary(data),
                _ => Ok(()),
            };
        });
        state = reading.await?;
    }
    Ok(())
}
