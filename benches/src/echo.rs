//! The event loop's share of the instruction counts: a server in a process of its own, and a driver that sends it a fixed
//! number of messages. Used by `instructions.rs`.

use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use wirefan_benches::input::{client_frame, text};
use wirefan_benches::opening;
use wirefan_eventloop::{Caller, Conn, Ctx, Decision, Handler, Message, Server, Timeouts};
use wirefan_protocol::handshake::Request;
use wirefan_protocol::{Header, Kind, Opcode};

/// Callgrind makes a server fifty times slower, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the server is sent.
pub(crate) struct Exchange {
    /// Its name in the baseline.
    pub(crate) name: &'static str,
    /// How many times a whole lot goes there and back for one count.
    pub(crate) rounds: u64,
    /// How many messages are in flight.
    pub(crate) messages: usize,
    /// Bytes of a message.
    pub(crate) len: usize,
    /// Who else gets each message. With none, they come back.
    subscribers: usize,
}

pub(crate) static EXCHANGES: [Exchange; 4] = [
    exchange("echo-16-1", 2000, 1, 16, 0),
    exchange("echo-16-32", 500, 32, 16, 0),
    exchange("echo-1024-8", 500, 8, 1024, 0),
    exchange("fan-out-16-16", 500, 16, 16, 8),
];

const fn exchange(
    name: &'static str,
    rounds: u64,
    messages: usize,
    len: usize,
    subscribers: usize,
) -> Exchange {
    Exchange {
        name,
        rounds,
        messages,
        len,
        subscribers,
    }
}

/// Texts come back, and binary messages go to all others.
struct Exchanger;

impl Handler for Exchanger {
    type Peer = ();
    type Note = ();

    fn request(&mut self, _: &Request<'_>, _: Caller, _: &mut Ctx<'_, ()>) -> Decision<()> {
        Decision::accept(())
    }

    fn open(&mut self, conn: &mut Conn<'_, ()>) {
        conn.subscribe("all");
    }

    fn message(&mut self, conn: &mut Conn<'_, ()>, message: Message<'_>) {
        match message {
            Message::Text(text) => {
                let _ = conn.send_text(text);
            }
            Message::Binary(_) => conn.publish("all", message),
        }
    }
}

/// Serves until standard input ends; the first line that it writes is the port.
pub(crate) fn serve() -> io::Result<()> {
    let mut timeouts = Timeouts::default();
    // What depends on the clock is not to be counted.
    timeouts.ping = None;
    let server = Server::builder()
        .listen((Ipv4Addr::LOCALHOST, 0))?
        .workers(1)
        .timeouts(timeouts)
        .start(|_| Exchanger)?;
    for addr in server.addrs() {
        println!("{}", addr.port());
    }
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    server.shutdown(PATIENCE).map(drop)
}

impl Exchange {
    /// Opens its connections to the port, and sends all messages of a round in one write when those of the last one have
    /// come.
    pub(crate) fn drive(&self, port: u16, rounds: u64) -> io::Result<()> {
        let mut sender = connect(port)?;
        let mut subscribers = Vec::new();
        for _ in 0..self.subscribers {
            subscribers.push(connect(port)?);
        }
        let payload = text(self.len);
        let (kind, opcode) = match self.subscribers {
            0 => (Kind::Text, Opcode::Text),
            _ => (Kind::Binary, Opcode::Binary),
        };
        let header = Header::of_message(kind, payload.len()).encode();
        let expected = [&*header, payload.as_bytes()]
            .concat()
            .repeat(self.messages);
        let frames = client_frame(opcode, payload.as_bytes()).repeat(self.messages);
        let mut received = vec![0; expected.len()];
        for _ in 0..rounds {
            sender.write_all(&frames)?;
            let receivers = match self.subscribers {
                0 => std::slice::from_mut(&mut sender),
                _ => &mut subscribers[..],
            };
            for receiver in receivers {
                receiver.read_exact(&mut received)?;
                if received != expected {
                    return Err(io::Error::other("other messages have come"));
                }
            }
        }
        Ok(())
    }
}

/// Opens a WebSocket.
fn connect(port: u16) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(opening::REQUEST)?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.extend(byte);
    }
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_driven_comes() {
        let server = Server::builder()
            .listen((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .workers(1)
            .start(|_| Exchanger)
            .unwrap();
        let port = server.addrs()[0].port();
        for exchange in &EXCHANGES {
            exchange.drive(port, 3).unwrap();
        }
        server.shutdown(PATIENCE).unwrap();
    }
}
