//! An echo server on tokio, one task for each connection.
//!
//! `cargo run --release -p wirefan-tokio --example echo_server -- 127.0.0.1:9001 messages`
//!
//! The first argument is where to listen. The second is how the messages are read: `messages`, one by one as from any
//! `Stream`, or `reads`, all that came with a read at once and without an allocation.

use std::env;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use wirefan_tokio::{
    Config, Decision, DeflateConfig, Event, Message, State, WebSocketStream, accept_with,
};

/// For a handshake.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:9001".into());
    let in_reads = arguments.next().is_some_and(|how| how == "reads");
    let mut config = Config::default();
    config.max_message = 16 * 1024 * 1024;
    config.deflate = Some(DeflateConfig::default());
    let config = Arc::new(config);

    // One thread is enough for an echo; a server that computes takes `new_multi_thread`.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(&address).await?;
        println!("echo on ws://{}/", listener.local_addr()?);
        loop {
            let (socket, _) = listener.accept().await?;
            let config = Arc::clone(&config);
            tokio::spawn(async move {
                if let Err(error) = serve(socket, config, in_reads).await {
                    eprintln!("{error}");
                }
            });
        }
    })
}

async fn serve(
    socket: TcpStream,
    config: Arc<Config>,
    in_reads: bool,
) -> Result<(), Box<dyn Error>> {
    socket.set_nodelay(true)?;
    let accepting = accept_with(socket, config, |_| Decision::accept());
    let socket = timeout(PATIENCE, accepting).await??;
    if in_reads {
        echo_reads(socket).await?;
    } else {
        echo_messages(socket).await?;
    }
    Ok(())
}

async fn echo_messages(mut socket: WebSocketStream<TcpStream>) -> Result<(), wirefan_tokio::Error> {
    while let Some(message) = socket.next().await {
        match message? {
            // What is fed leaves with one write when nothing more is to be read: as with the other form.
            message @ (Message::Text(_) | Message::Binary(_)) => socket.feed(message).await?,
            // Pings and Closes have been answered.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => {}
        }
    }
    Ok(())
}

async fn echo_reads(mut socket: WebSocketStream<TcpStream>) -> Result<(), wirefan_tokio::Error> {
    let mut state = State::Open;
    while state != State::Closed {
        state = socket
            .read_with(|event, replies| {
                // Behind a Close nothing is sent any more.
                let _ = match event {
                    Event::Text(text) => replies.text(text),
                    Event::Binary(data) => replies.binary(data),
                    _ => Ok(()),
                };
            })
            .await?;
    }
    Ok(())
}
