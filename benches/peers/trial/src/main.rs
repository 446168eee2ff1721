//! `trial`: the bare design of wirefan, an echo on mio that reads into one buffer of 512 KiB, decodes in place and answers
//! through one output buffer. It has none of the checks that a real core makes: no limits, no fragments, no pings, no
//! timers, no request but the load generator's. So it shows what the design can reach on a machine, and the distance from
//! it to wirefan is what all the rest costs.

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
