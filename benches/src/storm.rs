//! Ten thousand connections at once: the time from each one's SYN to the answer of its first message. It runs as a
//! process of its own (`wirefan-benches storm`), tied to the load's core.

use core::time::Duration;
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::json;

use crate::error::Error;
use crate::machine::{Pinning, Side};
use crate::statistics::Summary;

/// The longest that anybody waits: two retransmitted SYNs and some.
const PATIENCE: Duration = Duration::from_secs(30);
/// The key of RFC 6455 §1.3, for which `limit` knows the answer.
const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// A text of 16 bytes under a key of zeros.
const MESSAGE: &[u8] = b"\x81\x90\0\0\0\0sixteen letters.";
/// The answer has no key; that of `limit` has one.
const ANSWER: usize = 18;

/// The times of a storm in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Times {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) last: f64,
}

impl Times {
    /// The median of each over several storms; `None` without any.
    pub(crate) fn median(storms: &[Self]) -> Option<Self> {
        let of = |time: fn(&Self) -> f64| {
            let times: Vec<f64> = storms.iter().map(time).collect();
            Some(Summary::of(&times)?.median)
        };
        Some(Self {
            p50: of(|times| times.p50)?,
            p99: of(|times| times.p99)?,
            last: of(|times| times.last)?,
        })
    }
}

/// Runs a storm against this port from the load's core.
pub(crate) fn measure(pinning: Pinning, port: u16, connections: u32) -> Result<Times, Error> {
    let program = std::env::current_exe().map_err(Error::io("this program"))?;
    let output = pinning
        .command(program.as_os_str(), Side::Load)
        .args(["storm", &port.to_string(), &connections.to_string()])
        .output()
        .map_err(Error::io("the storm"))?;
    let said = || Error::Load(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|_| said())?;
    let time = |name: &str| value[name].as_f64().ok_or_else(said);
    Ok(Times {
        p50: time("p50")?,
        p99: time("p99")?,
        last: time("last")?,
    })
}

/// What `wirefan-benches storm` does: prints the times as JSON.
pub(crate) fn run(port: u16, connections: usize) -> Result<(), Error> {
    let times = Storm::new(port)
        .and_then(|mut storm| storm.run(connections))
        .map_err(Error::io("the storm"))?;
    println!(
        "{}",
        json!({"p50": times.p50, "p99": times.p99, "last": times.last})
    );
    Ok(())
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Connecting,
    /// So many bytes of the answer to the handshake are there, of which the last ones are kept.
    Accepted([u8; 4]),
    /// So many bytes of the answer to the message are there.
    Answered(usize),
}

struct Client {
    stream: TcpStream,
    begun: Instant,
    stage: Stage,
}

struct Storm {
    address: SocketAddr,
    poll: Poll,
    clients: HashMap<Token, Client>,
    /// Connections that are done stay open until all are.
    done: Vec<TcpStream>,
    times: Vec<f64>,
}

impl Storm {
    fn new(port: u16) -> io::Result<Self> {
        Ok(Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            poll: Poll::new()?,
            clients: HashMap::new(),
            done: Vec::new(),
            times: Vec::new(),
        })
    }

    fn run(&mut self, connections: usize) -> io::Result<Times> {
        let begun = Instant::now();
        let mut events = Events::with_capacity(1024);
        // All of them before the first answer is looked at: that is what makes it a storm.
        for number in 0..connections {
            let mut client = Client {
                begun: Instant::now(),
                stream: TcpStream::connect(self.address)?,
                stage: Stage::Connecting,
            };
            let token = Token(number);
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut client.stream, token, both)?;
            self.clients.insert(token, client);
        }
        while !self.clients.is_empty() {
            if begun.elapsed() > PATIENCE {
                let missing = format!("{} of {connections} had no answer", self.clients.len());
                return Err(io::Error::new(ErrorKind::TimedOut, missing));
            }
            self.turn(&mut events, Duration::from_millis(100))?;
        }
        Ok(times(&mut self.times))
    }

    fn turn(&mut self, events: &mut Events, wait: Duration) -> io::Result<()> {
        self.poll.poll(events, Some(wait))?;
        for event in &*events {
            let Some(client) = self.clients.get_mut(&event.token()) else {
                continue;
            };
            if client.go_on()?
                && let Some(client) = self.clients.remove(&event.token())
            {
                self.times.push(client.begun.elapsed().as_secs_f64() * 1e3);
                self.done.push(client.stream);
            }
        }
        Ok(())
    }
}

impl Client {
    /// Goes as far as it can; whether the answer to the message is there.
    fn go_on(&mut self) -> io::Result<bool> {
        if self.stage == Stage::Connecting {
            if let Some(error) = self.stream.take_error()? {
                return Err(error);
            }
            match self.stream.peer_addr() {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
                Err(error) => return Err(error),
            }
            self.stream.set_nodelay(true)?;
            self.stream.write_all(REQUEST)?;
            self.stage = Stage::Accepted([0; 4]);
        }
        let mut buffer = [0; 1024];
        loop {
            let len = match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            match &mut self.stage {
                Stage::Connecting => {}
                Stage::Accepted(last) => {
                    for &byte in &buffer[..len] {
                        *last = [last[1], last[2], last[3], byte];
                    }
                    if last == b"\r\n\r\n" {
                        self.stream.write_all(MESSAGE)?;
                        self.stage = Stage::Answered(0);
                    }
                }
                Stage::Answered(so_far) => {
                    *so_far += len;
                    if *so_far >= ANSWER {
                        return Ok(true);
                    }
                }
            }
        }
    }
}

fn times(times: &mut [f64]) -> Times {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let rank = (times.len() as f64 * share).ceil() as usize;
        times
            .get(rank.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    };
    Times {
        p50: at(0.5),
        p99: at(0.99),
        last: at(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_ranks() {
        let mut all: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let Times { p50, p99, last } = times(&mut all);
        assert_eq!((p50, p99, last), (50.0, 99.0, 100.0));
    }

    #[test]
    fn the_message_is_a_whole_masked_frame() {
        assert_eq!(MESSAGE.len(), 6 + 16);
        assert_eq!(MESSAGE[1], 0x80 | 16);
    }
}
