//! A client that sends back whatever the server sends, until the server ends the connection. The Autobahn TestSuite
//! tests the client role with it.
//!
//! `cargo run --release -p wirefan-tokio --example echo_client -- 127.0.0.1:9001 /path`

use std::env;
use std::error::Error;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use wirefan_tokio::{ClientRequest, Config, DeflateConfig, Message, client};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:9001".into());
    let target = arguments.next().unwrap_or_else(|| "/".into());

    let mut config = Config::default();
    config.max_message = 16 * 1024 * 1024;
    let mut deflate = DeflateConfig::default();
    deflate.takeover = true;
    config.deflate = Some(deflate);

    let stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let request = ClientRequest::new(&address, &target);
    let (mut socket, _) = client(stream, request, Arc::new(config)).await?;
    while let Some(message) = socket.next().await {
        match message? {
            message @ (Message::Text(_) | Message::Binary(_)) => socket.send(message).await?,
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => {}
        }
    }
    Ok(())
}
