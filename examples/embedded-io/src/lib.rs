//! An echo server over any [`embedded_io`] stream: the socket of a small TCP stack, a modem, a serial line. It needs `alloc`
//! and no std.
//!
//! `examples/tcp.rs` runs it on `std::net`, `../firmware` on a microcontroller.
#![no_std]

extern crate alloc;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use embedded_io::{Read, Write};
use wirefan_protocol::handshake::{Accept, AnswerError, Asked, Reply, ServerHandshake};
use wirefan_protocol::{Config, Connection, Event, Input, Scratch, SendError, State};

/// Limits for a machine that has some ten kilobytes for a connection.
pub fn small() -> Config {
    let mut config = Config::default();
    config.max_message = 4 * 1024;
    config.max_head = 2 * 1024;
    config.max_headers = 32;
    config.max_body = 0;
    config
}

/// Why a connection ended before its closing handshake.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error<E> {
    /// The stream failed.
    Stream(E),
    /// The stream came to its end.
    Ended,
    /// Our answer to the handshake is none.
    Answer(AnswerError),
    /// Our message is none.
    Send(SendError),
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => error.fmt(f),
            Self::Ended => f.write_str("the peer went without a Close"),
            Self::Answer(error) => error.fmt(f),
            Self::Send(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for Error<E> {}

/// Serves one connection to its end: the handshake, then each message back to its sender.
///
/// All that is read goes through `buffer`, of whatever length: messages may be longer. What is sent is written after each
/// read, and flushed.
///
/// # Errors
///
/// The stream fails or ends before the closing handshake is complete. A peer that breaks the rules of the protocol is
/// told so, and is no error.
pub fn serve<S: Read + Write>(
    stream: &mut S,
    buffer: &mut [u8],
    config: &Arc<Config>,
) -> Result<(), Error<S::Error>> {
    let (mut scratch, mut out) = (Scratch::default(), Vec::new());
    let mut handshake = ServerHandshake::new(Arc::clone(config));
    let mut connection = None;
    let mut refused = false;
    while !refused && is_open(connection.as_ref()) {
        let len = stream.read(buffer).map_err(Error::Stream)?;
        if len == 0 {
            return Err(Error::Ended);
        }
        let mut input = Input::new(&mut buffer[..len]);
        let outcome = match &mut connection {
            Some(connection) => echo(connection, &mut input, &mut scratch, &mut out),
            None => match handshake.next_request(&mut input, &mut out) {
                None => Ok(()),
                Some(Asked::Request(request)) if request.is_websocket() => {
                    match request.accept(Accept::default(), &mut out) {
                        Ok(accepted) => {
                            let connection = connection.insert(accepted);
                            // A message may have come with the request.
                            echo(connection, &mut input, &mut scratch, &mut out)
                        }
                        Err(error) => Err(Error::Answer(error)),
                    }
                }
                Some(Asked::Request(request)) => {
                    refused = true;
                    let reply = Reply::text(426, "connect with a WebSocket client\n");
                    request.respond(&reply, &mut out).map_err(Error::Answer)
                }
                // The answer that says why is in `out`.
                Some(Asked::Failed(_)) => {
                    refused = true;
                    Ok(())
                }
            },
        };
        // What stands behind the end is for nobody.
        input.into_rest();
        outcome?;
        stream.write_all(&out).map_err(Error::Stream)?;
        stream.flush().map_err(Error::Stream)?;
        out.clear();
    }
    Ok(())
}

/// Before the handshake, too.
fn is_open(connection: Option<&Connection>) -> bool {
    connection.is_none_or(|connection| connection.state() != State::Closed)
}

fn echo<E>(
    connection: &mut Connection,
    input: &mut Input<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), Error<E>> {
    while let Some(event) = connection.next_event(input, &mut scratch.recv, out) {
        match event {
            Event::Text(text) => connection.send_text(text, &mut scratch.send, out),
            Event::Binary(data) => connection.send_binary(data, &mut scratch.send, out),
            // Pings and Closes are answered, and violations too: all of that is in `out` already.
            Event::Ping(_) | Event::Pong(_) | Event::Close(_) | Event::Failed(_) => Ok(()),
        }
        .map_err(Error::Send)?;
    }
    Ok(())
}
