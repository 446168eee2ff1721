//! [`Far`]: the rest of the world for a worker that dials: names, addresses that connect, refuse or are silent, and servers
//! that say hello. In virtual time; where bytes are cut and writes refused is the seed's to say.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use wirefan_protocol::handshake::accept_key;
use wirefan_protocol::{Header, Opcode};

use super::chance::Rng;
use crate::client::{Errand, Found, Letter, Outside};
use crate::slots::SlotToken;
use crate::transport::{Socket, Transport};
use crate::{ConnId, DialError};

/// What an address does after so many milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Server {
    Accepts(u64),
    Refuses(u64),
    Silent,
}

pub(super) struct Far {
    pub(super) rng: Rng,
    pub(super) now: u64,
    pub(super) servers: HashMap<SocketAddr, Server>,
    /// The addresses of names, and how long it takes to find them.
    pub(super) names: HashMap<String, (u64, Vec<SocketAddr>)>,
    /// Bytes are cut and writes refused.
    pub(super) cuts: bool,
    /// Who was tried, and when.
    pub(super) tried: Vec<(u64, SocketAddr)>,
    look_ups: Vec<(u64, ConnId, Errand)>,
    lines: Vec<Line>,
}

/// A socket and its server.
struct Line {
    token: SlotToken,
    /// When something happens to it that has not happened yet.
    due: Option<(u64, bool)>,
    ends: Ends,
    answered: bool,
    /// Bytes of the client that the server has looked at.
    used: usize,
    /// When the server ends its side.
    end: Option<u64>,
}

/// How long after its Close a server ends the transport.
pub(super) const END: u64 = 50;

#[derive(Clone)]
struct Ends(Arc<Mutex<Wire>>);

struct Wire {
    rng: Rng,
    cuts: bool,
    connected: Option<bool>,
    up: Vec<u8>,
    down: VecDeque<u8>,
    /// The server has closed; its end of the transport follows.
    closed: bool,
    ended: bool,
    /// Something has happened that the worker has not been told.
    edge: bool,
    /// Bytes have come that the server has not looked at.
    fresh: bool,
    gone: bool,
}

impl Far {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            now: 0,
            servers: HashMap::new(),
            names: HashMap::new(),
            cuts: false,
            tried: Vec::new(),
            look_ups: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Sockets that the worker has not let go.
    pub(super) fn sockets(&self) -> usize {
        let lines = self.lines.iter();
        lines.filter(|line| !line.ends.wire().gone).count()
    }

    /// Lets happen what is due, and returns whom to tell.
    pub(super) fn step(&mut self) -> Vec<SlotToken> {
        self.lines.retain(|line| !line.ends.wire().gone);
        for line in &mut self.lines {
            let mut wire = line.ends.wire();
            if let Some((_, connected)) = line.due.take_if(|(due, _)| *due <= self.now) {
                wire.connected = Some(connected);
                wire.edge = true;
            }
            wire.fresh = false;
            let closed = wire.closed;
            if serve(&mut wire, &mut line.answered, &mut line.used) {
                wire.edge = true;
            }
            if wire.closed && !closed {
                line.end = Some(self.now + END);
            }
            if line.end.take_if(|end| *end <= self.now).is_some() {
                (wire.ended, wire.edge) = (true, true);
            }
        }
        let mut told: Vec<SlotToken> = (self.lines.iter())
            .filter(|line| core::mem::take(&mut line.ends.wire().edge))
            .map(|line| line.token)
            .collect();
        self.rng.shuffle(&mut told);
        told
    }

    /// What was looked up.
    pub(super) fn letters(&mut self) -> Vec<Letter> {
        let (now, names) = (self.now, &self.names);
        let due = self.look_ups.extract_if(.., |(due, ..)| *due <= now);
        due.map(|(_, id, errand)| {
            let found = match names.get(errand.host()) {
                Some((_, addrs)) => Ok(Found {
                    dial: errand.dial,
                    proxy: None,
                    addrs: addrs.clone(),
                }),
                None => Err(DialError::Resolve("nobody".into())),
            };
            Letter::Found(id, Box::new(found))
        })
        .collect()
    }

    /// When something happens next.
    pub(super) fn next(&self) -> Option<u64> {
        let lines = self.lines.iter().filter(|line| !line.ends.wire().gone);
        let edges = lines.filter_map(|line| {
            let wire = line.ends.wire();
            let edge = (wire.edge || wire.fresh).then_some(self.now);
            let due = line.due.map(|(due, _)| due);
            edge.into_iter().chain(due).chain(line.end).min()
        });
        let look_ups = self.look_ups.iter().map(|(due, ..)| *due);
        edges.chain(look_ups).min()
    }
}

impl Outside for Far {
    fn connect(&mut self, addr: SocketAddr, token: SlotToken) -> io::Result<Transport> {
        self.tried.push((self.now, addr));
        let due = match self.servers.get(&addr) {
            Some(Server::Accepts(after)) => Some((self.now + after, true)),
            Some(Server::Refuses(0)) => return Err(io::ErrorKind::NetworkUnreachable.into()),
            Some(Server::Refuses(after)) => Some((self.now + after, false)),
            Some(Server::Silent) | None => None,
        };
        let ends = Ends(Arc::new(Mutex::new(Wire {
            rng: Rng::new(self.rng.next()),
            cuts: self.cuts,
            connected: None,
            up: Vec::new(),
            down: VecDeque::new(),
            closed: false,
            ended: false,
            edge: false,
            fresh: false,
            gone: false,
        })));
        self.lines.push(Line {
            token,
            due,
            ends: ends.clone(),
            answered: false,
            used: 0,
            end: None,
        });
        Ok(Transport::Other(Box::new(NearEnd(ends))))
    }

    fn look_up(&mut self, id: ConnId, errand: Errand) {
        let after = self.names.get(errand.host()).map_or(0, |(after, _)| *after);
        self.look_ups.push((self.now + after, id, errand));
    }
}

impl Ends {
    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap()
    }
}

/// A server that answers a request, says hello, and echoes the Close. Returns whether it has said anything.
fn serve(wire: &mut Wire, answered: &mut bool, used: &mut usize) -> bool {
    if !*answered {
        let Some(end) = wire.up.windows(4).position(|four| four == b"\r\n\r\n") else {
            return false;
        };
        let head = str::from_utf8(&wire.up[..end]).unwrap();
        let key = head.split_once("Sec-WebSocket-Key: ").unwrap().1;
        let accept = accept_key(&key.as_bytes()[..24]);
        wire.down.extend(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        );
        wire.down.extend(b"Sec-WebSocket-Accept: ");
        wire.down.extend(accept);
        wire.down.extend(b"\r\n\r\n\x81\x05hello");
        *answered = true;
        *used = end + 4;
        return true;
    }
    while let Some((header, len)) = Header::decode(&wire.up[*used..]).unwrap() {
        assert!(header.masking_key.is_some(), "RFC 6455 §5.1");
        let end = *used + len + header.len as usize;
        if end > wire.up.len() {
            break;
        }
        *used = end;
        if header.opcode == Opcode::Close && !wire.closed {
            wire.down.extend(b"\x88\x02\x03\xe8");
            wire.closed = true;
            return true;
        }
    }
    false
}

/// The worker's end.
struct NearEnd(Ends);

impl Socket for NearEnd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.0.wire();
        assert_eq!(wire.connected, Some(true), "a read before it is connected");
        if wire.down.is_empty() {
            let ended = wire.ended;
            return if ended {
                Ok(0)
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            };
        }
        let most = wire.down.len().min(buffer.len());
        let len = if wire.cuts {
            1 + wire.rng.below(most.min(9))
        } else {
            most
        };
        let len = len.min(most);
        for (place, byte) in buffer.iter_mut().zip(wire.down.drain(..len)) {
            *place = byte;
        }
        Ok(len)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut wire = self.0.wire();
        assert_eq!(wire.connected, Some(true), "a write before it is connected");
        if wire.cuts && wire.rng.percent(40) {
            wire.edge = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let bytes: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        let len = if wire.cuts {
            1 + wire.rng.below(bytes.len().min(50))
        } else {
            bytes.len()
        };
        wire.fresh = true;
        wire.up.extend(&bytes[..len.min(bytes.len())]);
        Ok(len.min(bytes.len()))
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        assert!(
            self.0.wire().ended,
            "RFC 6455 §7.1.1: the server is the first"
        );
        Ok(())
    }

    fn short_read_drains(&self) -> bool {
        !self.0.wire().cuts
    }

    fn is_connected(&self) -> io::Result<bool> {
        match self.0.wire().connected {
            None => Ok(false),
            Some(true) => Ok(true),
            Some(false) => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

impl Drop for NearEnd {
    fn drop(&mut self) {
        self.0.wire().gone = true;
    }
}
