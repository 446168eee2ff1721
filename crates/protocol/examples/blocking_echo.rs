//! The smallest server on the protocol crate alone: `std::net`, one thread for each connection.
//!
//! `cargo run --release -p wirefan-protocol --example blocking_echo`, then connect to ws://127.0.0.1:9001/. Another address
//! is the first argument.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::{env, thread};

use wirefan_protocol::handshake::{Accept, Asked, Reply, ServerHandshake};
use wirefan_protocol::{Config, Connection, Event, Input, Scratch, State};

fn main() -> io::Result<()> {
    let config = Arc::new(Config::default());
    let address = env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:9001"))?;
    println!("echo on ws://{}/", listener.local_addr()?);
    for socket in listener.incoming() {
        let (socket, config) = (socket?, Arc::clone(&config));
        thread::spawn(move || {
            if let Err(error) = serve(socket, &config) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

fn serve(mut socket: TcpStream, config: &Arc<Config>) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut out = Vec::new();
    let mut scratch = Scratch::default();
    let mut handshake = ServerHandshake::new(Arc::clone(config));
    let mut connection = None;
    loop {
        let len = socket.read(&mut buffer)?;
        if len == 0 {
            return Ok(());
        }
        let mut input = Input::new(&mut buffer[..len]);
        if connection.is_none() {
            match handshake.next_request(&mut input, &mut out) {
                None => {}
                Some(Asked::Request(request)) if request.is_websocket() => {
                    let accepted = request.accept(Accept::default(), &mut out);
                    connection = Some(accepted.map_err(io::Error::other)?);
                }
                Some(Asked::Request(request)) => {
                    let reply = Reply::text(426, "connect with a WebSocket client");
                    request
                        .respond(&reply, &mut out)
                        .map_err(io::Error::other)?;
                    return socket.write_all(&out);
                }
                // The answer that says why is in `out`.
                Some(Asked::Failed(_)) => return socket.write_all(&out),
            }
        }
        if let Some(connection) = &mut connection {
            echo(connection, input, &mut scratch, &mut out).map_err(io::Error::other)?;
        }
        socket.write_all(&out)?;
        out.clear();
        if connection
            .as_ref()
            .is_some_and(|connection| connection.state() == State::Closed)
        {
            return Ok(());
        }
    }
}

fn echo(
    connection: &mut Connection,
    mut input: Input<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), wirefan_protocol::SendError> {
    while let Some(event) = connection.next_event(&mut input, &mut scratch.recv, out) {
        match event {
            Event::Text(text) => connection.send_text(text, &mut scratch.send, out)?,
            Event::Binary(data) => connection.send_binary(data, &mut scratch.send, out)?,
            // Pings and Closes are answered, and violations too: all of that is in `out` already.
            Event::Ping(_) | Event::Pong(_) | Event::Close(_) | Event::Failed(_) => {}
        }
    }
    Ok(())
}
