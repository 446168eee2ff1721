//! `trial`: the bare design of wirefan, an echo on mio that reads into one buffer of 512 KiB, decodes in place and answers
//! through one output buffer. Text has to be UTF-8; of all else that a real core does there is nothing: no limits, no
//! fragments, no pings, no timers, no counts, no request but the load generator's. The distance from it to wirefan is what
//! all of that costs.

#[path = "../../../src/bare.rs"]
#[expect(dead_code, reason = "only its unmasking is wanted here")]
mod bare;
mod connection;
mod frames;

use std::io::{self, ErrorKind, Write as _};
use std::net::{self, Ipv4Addr};
use std::process::ExitCode;

use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

use crate::connection::{Buffers, Connection, Over};

const LISTENER: Token = Token(usize::MAX);
const BUFFER: usize = 512 * 1024;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let port = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["echo", port] => port.parse().ok(),
        _ => None,
    };
    let Some(port) = port else {
        eprintln!("usage: trial echo PORT");
        return ExitCode::from(2);
    };
    match Trial::bind(port).and_then(|mut trial| trial.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trial: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Trial {
    poll: Poll,
    listener: TcpListener,
    /// By token; who is gone leaves its place to the next.
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    buffers: Buffers,
}

impl Trial {
    fn bind(port: u16) -> io::Result<Self> {
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
            connections: Vec::new(),
            free: Vec::new(),
            buffers: Buffers::new(BUFFER),
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                if event.token() == LISTENER {
                    self.accept()?;
                    continue;
                }
                let at = event.token().0;
                if self.turn(at, event).is_err() {
                    // The kernel takes it out of the poll.
                    self.connections[at] = None;
                    self.free.push(at);
                }
            }
        }
    }

    fn turn(&mut self, at: usize, event: &Event) -> Result<(), Over> {
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else {
            return Ok(());
        };
        let mut more = event.is_writable() && connection.flush()? || event.is_readable();
        while more {
            more = connection.read(&mut self.buffers)?;
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            if stream.set_nodelay(true).is_err() {
                continue;
            }
            let at = self.free.pop().unwrap_or(self.connections.len());
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut stream, Token(at), both)?;
            if at == self.connections.len() {
                self.connections.push(None);
            }
            self.connections[at] = Some(Connection::new(stream));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpStream;
    use std::thread;

    use super::*;
    use crate::frames::{BINARY, TEXT, append_header, unmask};

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    #[test]
    fn everything_comes_back_however_it_is_cut() {
        let mut trial = Trial::bind(0).unwrap();
        let address = trial.listener.local_addr().unwrap();
        thread::spawn(move || trial.run());
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(REQUEST).unwrap();
        let mut answer = [0; 129];
        socket.read_exact(&mut answer).unwrap();
        assert!(answer.ends_with(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));

        let (mut sent, mut expected) = (Vec::new(), Vec::new());
        let text = "text that is ASCII, and a bit that is not: äöü. ".repeat(4000);
        let lens = [
            0,
            5,
            125,
            126,
            20_000,
            65_535,
            70_000,
            300_000,
            1 << 20,
            1 << 20,
            7,
        ];
        for len in lens {
            for (first, payload) in [(TEXT, text.as_bytes()), (BINARY, &[0xee; 1 << 20])] {
                let payload = match first {
                    TEXT => &payload[..text.floor_char_boundary(len)],
                    _ => &payload[..len],
                };
                append_header(&mut expected, first, payload.len());
                expected.extend_from_slice(payload);
                let header = sent.len();
                append_header(&mut sent, first, payload.len());
                sent[header + 1] |= 0x80;
                sent.extend_from_slice(&[1, 2, 3, 4]);
                let begin = sent.len();
                sent.extend_from_slice(payload);
                unmask(&mut sent[begin..], [1, 2, 3, 4], 0);
            }
        }
        let mut writer = socket.try_clone().unwrap();
        thread::spawn(move || {
            for (at, piece) in sent.chunks(99_991).enumerate() {
                let (a, b) = piece.split_at(at * 7 % piece.len());
                writer.write_all(a).unwrap();
                writer.write_all(b).unwrap();
            }
        });
        let mut received = vec![0; expected.len()];
        socket.read_exact(&mut received).unwrap();
        assert!(received == expected);
    }
}
