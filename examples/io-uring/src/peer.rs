//! One connection: what it is on WebSocket's side, and what the ring has of it. Bytes in, answers out: `server.rs` moves
//! both.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use wirefan_protocol::handshake::{Accept, Asked, Reply, ServerHandshake};
use wirefan_protocol::{Config, Connection, Event, Input, Scratch, SendError, State};

/// For a whole handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// For the last bytes to go out, and for the peer to end its side.
const LINGER: Duration = Duration::from_secs(2);

/// A connection.
pub(crate) struct Peer {
    pub(crate) socket: TcpStream,
    stage: Stage,
    /// What came to be said while the kernel was still sending what was said before.
    pub(crate) unsent: Vec<u8>,
    /// So much of what the kernel sends now is out.
    pub(crate) sent: usize,
    /// The kernel has a request of ours.
    pub(crate) receiving: bool,
    pub(crate) sending: bool,
    /// It has been asked to stop receiving.
    pub(crate) cancelled: bool,
    /// Nothing can be read any more.
    pub(crate) ended: bool,
    /// Our side of the socket is shut.
    pub(crate) shut: bool,
    deadline: Option<Instant>,
}

enum Stage {
    Opening(ServerHandshake),
    Open(Box<Connection>),
    /// Whatever still comes is read away: unread bytes would make the close a reset, which might overtake our last words.
    Over,
}

impl Peer {
    pub(crate) fn new(socket: TcpStream, config: &Arc<Config>, now: Instant) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            stage: Stage::Opening(ServerHandshake::new(Arc::clone(config))),
            unsent: Vec::new(),
            sent: 0,
            receiving: false,
            sending: false,
            cancelled: false,
            ended: false,
            shut: false,
            deadline: Some(now + HANDSHAKE),
        })
    }

    /// Whether there is nothing more to say than what waits.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Whether its time is up.
    pub(crate) fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Ends both sides at once; what the ring has of it completes then.
    pub(crate) fn abort(&mut self) {
        self.ended = true;
        self.stage = Stage::Over;
        self.unsent.clear();
        // An error means that it is gone already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Takes what was read; what has to be sent is appended to `out`.
    pub(crate) fn read(
        &mut self,
        bytes: &mut [u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
        now: Instant,
    ) {
        let mut input = Input::new(bytes);
        if let Stage::Opening(handshake) = &mut self.stage {
            match open(handshake, &mut input, out) {
                None => {}
                Some(Stage::Open(connection)) => {
                    self.stage = Stage::Open(connection);
                    self.deadline = None;
                }
                Some(_) => self.over(now),
            }
        }
        if let Stage::Open(connection) = &mut self.stage {
            // An error says that nothing can be sent behind a Close. That is all right for an echo.
            let _ = echo(connection, &mut input, scratch, out);
            if connection.state() == State::Closed {
                self.over(now);
            }
        }
        // What stands behind the end is read away.
        input.into_rest();
    }

    fn over(&mut self, now: Instant) {
        self.stage = Stage::Over;
        self.deadline = Some(now + LINGER);
    }
}

/// What the handshake becomes, if all of the request is there.
fn open(
    handshake: &mut ServerHandshake,
    input: &mut Input<'_>,
    out: &mut Vec<u8>,
) -> Option<Stage> {
    match handshake.next_request(input, out)? {
        Asked::Request(request) if request.is_websocket() => {
            let accepted = request.accept(Accept::default(), out);
            Some(accepted.map_or(Stage::Over, |connection| Stage::Open(connection.into())))
        }
        Asked::Request(request) => {
            let reply = Reply::text(426, "connect with a WebSocket client\n");
            // Only a header of ours could make this fail.
            let _ = request.respond(&reply, out);
            Some(Stage::Over)
        }
        // The answer that says why is in `out`.
        Asked::Failed(_) => Some(Stage::Over),
    }
}

fn echo(
    connection: &mut Connection,
    input: &mut Input<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), SendError> {
    while let Some(event) = connection.next_event(input, &mut scratch.recv, out) {
        match event {
            Event::Text(text) => connection.send_text(text, &mut scratch.send, out)?,
            Event::Binary(data) => connection.send_binary(data, &mut scratch.send, out)?,
            // Pings and Closes are answered, and violations too: all of that is in `out` already.
            Event::Ping(_) | Event::Pong(_) | Event::Close(_) | Event::Failed(_) => {}
        }
    }
    Ok(())
}
