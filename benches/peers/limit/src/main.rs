//! `limit`: raw TCP echo and fan-out on mio. It moves the bytes of a WebSocket server by the same system calls (one
//! `recv` a wake-up into one buffer of 512 KiB, one `send`), answers a handshake with a constant and knows nothing else of
//! WebSocket, so that what a server costs above it is the server's own. The load generator speaks to it as `tcp://`.

mod connection;

use std::io::{self, Write as _};
use std::net::{self, Ipv4Addr};
use std::process::ExitCode;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

use crate::connection::{Connection, Progress};

const LISTENER: Token = Token(usize::MAX);
const BUFFER: usize = 512 * 1024;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let invocation = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["echo", port] => port.parse().ok().map(|port| (false, port)),
        ["broadcast", port] => port.parse().ok().map(|port| (true, port)),
        _ => None,
    };
    let Some((broadcast, port)) = invocation else {
        eprintln!("usage: limit echo|broadcast PORT");
        return ExitCode::from(2);
    };
    match Limit::bind(port, broadcast).and_then(|mut limit| limit.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("limit: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Limit {
    poll: Poll,
    listener: TcpListener,
    broadcast: bool,
    /// By token; who is gone leaves its place to the next.
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
}

impl Limit {
    fn bind(port: u16, broadcast: bool) -> io::Result<Self> {
        let poll = Poll::new()?;
        // The standard library's listener has a queue as long as the system allows, mio's one of 1024.
        let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        println!("ready");
        io::stdout().flush()?;
        Ok(Self {
            poll,
            listener,
            broadcast,
            connections: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; BUFFER],
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            if let Err(error) = self.poll.poll(&mut events, None) {
                if error.kind() == io::ErrorKind::Interrupted {
                    continue;
                }
                return Err(error);
            }
            for event in &events {
                if event.token() == LISTENER {
                    self.accept()?;
                    continue;
                }
                let at = event.token().0;
                if event.is_writable() {
                    self.flush(at);
                }
                if event.is_readable() {
                    self.read(at);
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // Gone before it was accepted, or no descriptors: the next may do.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            if stream.set_nodelay(true).is_err() {
                continue;
            }
            let at = self.free.pop().unwrap_or(self.connections.len());
            self.poll.registry().register(
                &mut stream,
                Token(at),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            if at == self.connections.len() {
                self.connections.push(None);
            }
            self.connections[at] = Some(Connection::new(stream));
        }
    }

    /// Writes what a socket had refused, and reads what was left unread meanwhile.
    fn flush(&mut self, at: usize) {
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else {
            return;
        };
        match connection.flush() {
            Progress::Going { read: true } => self.read(at),
            Progress::Going { read: false } => {}
            Progress::Over => self.forget(at),
        }
    }

    fn read(&mut self, at: usize) {
        loop {
            let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else {
                return;
            };
            let Some(len) = connection.receive(&mut self.buffer) else {
                return;
            };
            let bytes = &self.buffer[..len];
            if bytes.is_empty() {
                return self.forget(at);
            }
            let progress = if connection.is_new() {
                connection.answer(bytes)
            } else if connection::is_close(bytes) {
                let _ = connection.send(bytes);
                Progress::Over
            } else if self.broadcast {
                self.fan_out(at, len);
                Progress::Going { read: true }
            } else {
                connection.send(bytes)
            };
            if progress == Progress::Over {
                return self.forget(at);
            }
            // A short read means that the socket was empty.
            if len < BUFFER {
                return;
            }
        }
    }

    fn fan_out(&mut self, from: usize, len: usize) {
        for at in 0..self.connections.len() {
            let Some(connection) = self.connections[at].as_mut() else {
                continue;
            };
            if at != from && connection.send(&self.buffer[..len]) == Progress::Over {
                self.forget(at);
            }
        }
    }

    /// Closes the socket; the kernel takes it out of the poll.
    fn forget(&mut self, at: usize) {
        if self.connections[at].take().is_some() {
            self.free.push(at);
        }
    }
}
