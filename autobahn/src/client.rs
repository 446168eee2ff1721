//! The client under test: blocking `std::net` around the sans-IO `wirefan-protocol`. It echoes
//! every message. The client role opens a connection with it for each case.

use core::hash::BuildHasher;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::hash_map::RandomState;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use wirefan_protocol::handshake::{Answer, ClientHandshake, ClientRequest};
use wirefan_protocol::{
    Config, Connection, DeflateConfig, Event, Input, Scratch, SendError, SendScratch, State,
};

use crate::error::Error;
use crate::job::{Bound, TICK};

/// 9.1.6 and 9.2.6 send 16 MiB in one message.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// A connection on which nothing moves for this long is given up. Writing the reports takes the
/// suite some seconds.
const SILENCE: Duration = Duration::from_secs(60);

/// Connects to `target` and echoes what comes, until the server ends the connection.
pub(crate) fn echo(address: SocketAddr, target: &str, bound: Bound<'_>) -> Result<(), Error> {
    converse(
        address,
        target,
        bound,
        |connection, event, scratch, out| match event {
            Event::Text(text) => connection.send_text(text, scratch, out),
            Event::Binary(data) => connection.send_binary(data, scratch, out),
            // The connection has answered these; the suite judges how.
            Event::Ping(_) | Event::Pong(_) | Event::Close(_) | Event::Failed(_) => Ok(()),
        },
    )
}

/// Connects to `target` and returns the last text message that comes.
pub(crate) fn ask(address: SocketAddr, target: &str, bound: Bound<'_>) -> Result<String, Error> {
    let mut answer = String::new();
    converse(address, target, bound, |_, event, _, _| {
        if let Event::Text(text) = event {
            answer = text.into();
        }
        Ok(())
    })?;
    Ok(answer)
}

/// Connects to `target` and hands every event to `on_event`, until the server ends the connection.
fn converse(
    address: SocketAddr,
    target: &str,
    bound: Bound<'_>,
    mut on_event: impl FnMut(
        &mut Connection,
        Event<'_>,
        &mut SendScratch,
        &mut Vec<u8>,
    ) -> Result<(), SendError>,
) -> Result<(), Error> {
    let unexpected = |why: String| Error::Suite(format!("{target}: {why}"));
    let mut config = Config::default();
    config.max_message = MAX_MESSAGE;
    // With takeover on offer, the suite decides for each case what is agreed.
    let mut deflate = DeflateConfig::default();
    deflate.takeover = true;
    config.deflate = Some(deflate);
    let (mut scratch, mut out) = (Scratch::default(), Vec::new());

    let mut wire = Wire::connect(address, target, bound)?;
    let host = address.to_string();
    let request = ClientRequest::new(&host, target);
    let mut handshake = ClientHandshake::start(Arc::new(config), request, seed(), &mut out)
        .map_err(|why| unexpected(why.to_string()))?;
    wire.send(&mut out)?;

    let mut connection = None;
    loop {
        let read = match wire.receive(bound) {
            // The suite resets connections that it has closed.
            Err(Error::Io { .. }) if connection.as_ref().is_some_and(is_closed) => return Ok(()),
            read => read?,
        };
        if read.is_empty() {
            // A client lets the server end the transport (RFC 6455 §7.1.1): so it goes.
            return match connection.as_mut().map(Connection::end_of_input) {
                Some(None) => Ok(()),
                _ => Err(unexpected("the end, without a Close".into())),
            };
        }
        let mut input = Input::new(read);
        let open = match &mut connection {
            Some(open) => open,
            none => match handshake.next_response(&mut input) {
                // The first frames may stand in the same input.
                Some(Answer::Accepted(open, _)) => none.insert(open),
                Some(Answer::Refused(response)) => {
                    return Err(unexpected(format!("answered with {}", response.status())));
                }
                Some(Answer::Failed(why)) => return Err(unexpected(why.to_string())),
                None => continue,
            },
        };
        let mut handled = Ok(());
        while let Some(event) = open.next_event(&mut input, &mut scratch.recv, &mut out) {
            handled = handled.and_then(|()| on_event(open, event, &mut scratch.send, &mut out));
        }
        drop(input);
        handled.map_err(|why| unexpected(why.to_string()))?;
        wire.send(&mut out)?;
    }
}

fn is_closed(connection: &Connection) -> bool {
    connection.state() == State::Closed
}

/// A socket with the one buffer that it is read into.
struct Wire<'a> {
    what: &'a str,
    socket: TcpStream,
    buffer: Box<[u8]>,
}

impl<'a> Wire<'a> {
    fn connect(address: SocketAddr, what: &'a str, bound: Bound<'_>) -> Result<Self, Error> {
        bound.check(what)?;
        let open = || {
            let socket = TcpStream::connect_timeout(&address, SILENCE)?;
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(TICK))?;
            socket.set_write_timeout(Some(SILENCE))?;
            io::Result::Ok(socket)
        };
        let socket = open().map_err(Error::io(what))?;
        Ok(Self {
            what,
            socket,
            buffer: vec![0; 64 * 1024].into(),
        })
    }

    /// Reads what is there; nothing at the end of the connection.
    fn receive(&mut self, bound: Bound<'_>) -> Result<&mut [u8], Error> {
        let since = Instant::now();
        loop {
            bound.check(self.what)?;
            match self.socket.read(&mut self.buffer) {
                Ok(n) => return Ok(self.buffer.get_mut(..n).unwrap_or_default()),
                Err(error) if is_pause(&error) && since.elapsed() < SILENCE => {}
                Err(error) => return Err(Error::io(self.what)(error)),
            }
        }
    }

    /// Writes `out` and empties it.
    fn send(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let written = self.socket.write_all(out);
        out.clear();
        written.map_err(Error::io(self.what))
    }
}

/// Whether a read only has nothing yet.
fn is_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// Bytes that nobody can guess: the keys of std's hash maps come from the system's generator.
fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    for (place, chunk) in seed.chunks_exact_mut(8).enumerate() {
        chunk.copy_from_slice(&RandomState::new().hash_one(place).to_ne_bytes());
    }
    seed
}
