//! The simulated network: byte streams with a delay and a bound, cut wherever the seed decides, and readiness as epoll
//! gives it, edge by edge. The worker has one end as a [`Socket`], a client of `client.rs` the other.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard};

use super::chance::{Clock, Rng};
use crate::transport::Socket;

/// How a line behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conduct {
    /// The longest way of a piece, in milliseconds.
    pub(super) delay: u64,
    /// Bytes that can be under way, each way, until the other end reads them.
    pub(super) room: usize,
    /// Pieces are cut anywhere, reads and writes interrupted and refused now and then.
    pub(super) cut: bool,
    /// A read that leaves room in the buffer has emptied the stream, as epoll promises for TCP.
    pub(super) drains: bool,
}

impl Conduct {
    pub(super) const PLAIN: Self = Self {
        delay: 0,
        room: 64 * 1024,
        cut: false,
        drains: true,
    };
}

/// A connection of the network.
#[derive(Clone)]
pub(super) struct Line(Arc<Mutex<Wire>>);

struct Wire {
    clock: Clock,
    rng: Rng,
    conduct: Conduct,
    up: Half,
    down: Half,
    /// Something has happened that the worker has not been told: bytes or an end have come, room has.
    edge: [bool; 2],
    /// The server has ended its side, or all of it.
    shut: bool,
    server_gone: bool,
    client_gone: bool,
    /// The client has ended its side, or all of it.
    finished: bool,
}

/// One way of a line.
#[derive(Default)]
struct Half {
    flight: VecDeque<(u64, Item)>,
    flying: usize,
    arrived: VecDeque<u8>,
    end: Option<End>,
    /// The writer has been refused and waits for room.
    refused: bool,
}

enum Item {
    Bytes(Vec<u8>),
    End(End),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Fin,
    Reset,
}

/// What a client's read gave.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Got {
    Bytes(Vec<u8>),
    Nothing,
    End,
    Reset,
}

/// What epoll would tell of a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) read_closed: bool,
}

impl Line {
    pub(super) fn new(clock: &Clock, seed: u64, conduct: Conduct) -> Self {
        Self(Arc::new(Mutex::new(Wire {
            clock: clock.clone(),
            rng: Rng::new(seed),
            conduct,
            up: Half::default(),
            down: Half::default(),
            // Registering tells what is there already.
            edge: [true; 2],
            shut: false,
            server_gone: false,
            client_gone: false,
            finished: false,
        })))
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap()
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The server's end.
    pub(super) fn socket(&self) -> Box<dyn Socket> {
        Box::new(ServerEnd(self.clone()))
    }

    /// Moves on what has come to its end by now.
    pub(super) fn arrive(&self) {
        self.wire().arrive();
    }

    /// When something arrives next.
    pub(super) fn next_arrival(&self) -> Option<u64> {
        let wire = self.wire();
        let next = |half: &Half| half.flight.front().map(|(at, _)| *at);
        next(&wire.up).into_iter().chain(next(&wire.down)).min()
    }

    /// Whether epoll would tell something of the server's end.
    pub(super) fn has_edge(&self) -> bool {
        let wire = self.wire();
        let edge = wire.level();
        wire.edge != [false; 2] && !wire.server_gone && (edge.readable || edge.writable)
    }

    /// What epoll tells, once: the edge is used up, what is told is how things are now. Others tell only what is new.
    pub(super) fn take_edge(&self) -> Edge {
        let mut wire = self.wire();
        let ([read, write], level) = (core::mem::take(&mut wire.edge), wire.level());
        let all = wire.conduct.drains;
        Edge {
            readable: level.readable && (read || all),
            writable: level.writable && (write || all),
            read_closed: level.read_closed && (read || all),
        }
    }

    /// Whether the server has closed its end.
    pub(super) fn server_gone(&self) -> bool {
        self.wire().server_gone
    }

    /// Sends what there is room for; behind its end, nothing.
    pub(super) fn send(&self, bytes: &[u8]) -> usize {
        let mut wire = self.wire();
        if wire.finished {
            return bytes.len();
        }
        let len = bytes.len().min(wire.room(&wire.up));
        wire.launch(true, &bytes[..len]);
        len
    }

    /// Fills the way down with bytes from nowhere.
    pub(super) fn fill(&self, bytes: &[u8]) {
        self.wire().launch(false, bytes);
    }

    /// Ends the client's side.
    pub(super) fn finish(&self) {
        let mut wire = self.wire();
        if !core::mem::replace(&mut wire.finished, true) {
            let at = wire.at(true);
            wire.up.flight.push_back((at, Item::End(End::Fin)));
        }
    }

    /// The client is gone without a word; what it sent before arrives or does not.
    pub(super) fn reset(&self) {
        let mut wire = self.wire();
        wire.client_gone = true;
        if wire.rng.percent(50) {
            wire.up.flight.clear();
            wire.up.flying = 0;
        }
        let at = wire.at(true);
        wire.up.flight.push_back((at, Item::End(End::Reset)));
    }

    /// The client closes its socket, having read all it wants.
    pub(super) fn leave(&self) {
        self.finish();
        self.wire().client_gone = true;
    }

    /// Reads at most `most` bytes at the client's end.
    pub(super) fn receive(&self, most: usize) -> Got {
        let mut wire = self.wire();
        let len = wire.down.arrived.len().min(most);
        if len > 0 {
            let bytes = wire.down.arrived.drain(..len).collect();
            wire.room_again();
            return Got::Bytes(bytes);
        }
        match wire.down.end {
            None => Got::Nothing,
            Some(End::Fin) => Got::End,
            Some(End::Reset) => Got::Reset,
        }
    }

    /// Whether the client would get something by reading.
    pub(super) fn waits_for_client(&self) -> bool {
        let wire = self.wire();
        !wire.down.arrived.is_empty() || wire.down.end.is_some()
    }

    /// Whether the client may send.
    pub(super) fn has_room(&self) -> bool {
        let wire = self.wire();
        wire.room(&wire.up) > 0
    }

    /// Bytes that the server has written and the client has not read.
    pub(super) fn unread(&self) -> usize {
        let wire = self.wire();
        wire.down.used()
    }
}

impl Half {
    fn used(&self) -> usize {
        self.arrived.len() + self.flying
    }

    /// Nothing more comes; of what was under way, as much as `rng` likes.
    fn break_off(&mut self, rng: &mut Rng) {
        self.flight.clear();
        self.flying = 0;
        if rng.percent(50) {
            let keep = rng.below(self.arrived.len() + 1);
            self.arrived.truncate(keep);
        }
        self.end = Some(End::Reset);
    }
}

impl Wire {
    fn room(&self, half: &Half) -> usize {
        self.conduct.room.saturating_sub(half.used())
    }

    /// epoll tells of room only when there is a good deal of it.
    fn much_room(&self) -> bool {
        self.room(&self.down) * 3 >= self.conduct.room
    }

    fn level(&self) -> Edge {
        let reset = self.up.end == Some(End::Reset);
        Edge {
            readable: !self.up.arrived.is_empty() || self.up.end.is_some(),
            writable: self.much_room() || reset,
            read_closed: self.up.end.is_some(),
        }
    }

    fn half(&mut self, up: bool) -> &mut Half {
        if up { &mut self.up } else { &mut self.down }
    }

    /// When something sent now arrives: not before what was sent before it.
    fn at(&mut self, up: bool) -> u64 {
        let delay = self.rng.below(self.conduct.delay as usize + 1) as u64;
        let at = self.clock.now() + delay;
        let last = self.half(up).flight.back().map_or(0, |(at, _)| *at);
        at.max(last)
    }

    fn launch(&mut self, up: bool, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let len = if self.conduct.cut && self.rng.percent(30) {
                1 + self.rng.below(bytes.len())
            } else {
                bytes.len()
            };
            let (piece, rest) = bytes.split_at(len);
            let at = self.at(up);
            let half = self.half(up);
            half.flying += len;
            half.flight.push_back((at, Item::Bytes(piece.to_vec())));
            bytes = rest;
        }
    }

    fn arrive(&mut self) {
        let now = self.clock.now();
        for up in [true, false] {
            let mut some = false;
            while self
                .half(up)
                .flight
                .front()
                .is_some_and(|(at, _)| *at <= now)
            {
                let Some((_, item)) = self.half(up).flight.pop_front() else {
                    break;
                };
                some = true;
                match item {
                    Item::Bytes(bytes) => {
                        let half = self.half(up);
                        half.flying -= bytes.len();
                        half.arrived.extend(bytes);
                    }
                    Item::End(End::Fin) => self.half(up).end = Some(End::Fin),
                    Item::End(End::Reset) => {
                        self.up.break_off(&mut self.rng);
                        self.down.break_off(&mut self.rng);
                    }
                }
            }
            if !some {
                continue;
            }
            self.edge[0] |= up;
            // An error concerns both directions.
            self.edge[1] |= self.up.end == Some(End::Reset);
            // What comes for someone who is gone is answered with a reset.
            if up && self.server_gone && !self.up.arrived.is_empty() {
                self.up.arrived.clear();
                self.down.break_off(&mut self.rng);
            }
            if !up && self.client_gone && !self.down.arrived.is_empty() {
                self.down.arrived.clear();
                let at = self.clock.now();
                self.up.flight.push_back((at, Item::End(End::Reset)));
            }
        }
    }

    fn room_again(&mut self) {
        if self.down.refused && self.much_room() {
            self.down.refused = false;
            self.edge[1] = true;
        }
    }

    /// A refusal that has nothing to do with the stream: readiness is told again.
    fn refuses(&mut self) -> Option<io::Error> {
        if !self.conduct.cut {
            return None;
        }
        if self.rng.percent(3) {
            return Some(io::ErrorKind::Interrupted.into());
        }
        if self.rng.percent(3) {
            self.down.refused = true;
            self.room_again();
            self.edge[0] |= self.level().readable;
            return Some(io::ErrorKind::WouldBlock.into());
        }
        None
    }
}

struct ServerEnd(Line);

impl Socket for ServerEnd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.0.wire();
        if let Some(error) = wire.refuses() {
            return Err(error);
        }
        let mut len = wire.up.arrived.len().min(buffer.len());
        if len == 0 {
            return match wire.up.end {
                None => Err(io::ErrorKind::WouldBlock.into()),
                Some(End::Fin) => Ok(0),
                Some(End::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
            };
        }
        if wire.conduct.cut && !wire.conduct.drains && wire.rng.percent(50) {
            len = 1 + wire.rng.below(len);
        }
        for (place, byte) in buffer.iter_mut().zip(wire.up.arrived.drain(..len)) {
            *place = byte;
        }
        Ok(len)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut wire = self.0.wire();
        let slices: Vec<&[u8]> = slices.iter().map(|slice| &**slice).collect();
        let bytes = slices.concat();
        assert!(!bytes.is_empty(), "a write of nothing");
        assert!(!wire.shut, "a write behind the end");
        if let Some(error) = wire.refuses() {
            return Err(error);
        }
        if wire.up.end == Some(End::Reset) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut len = bytes.len().min(wire.room(&wire.down));
        if len == 0 {
            wire.down.refused = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if wire.conduct.cut && wire.rng.percent(50) {
            len = 1 + wire.rng.below(len);
        }
        wire.launch(false, &bytes[..len]);
        Ok(len)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        let mut wire = self.0.wire();
        assert!(!wire.shut, "a side that is ended twice");
        if wire.up.end == Some(End::Reset) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        wire.shut = true;
        let at = wire.at(false);
        wire.down.flight.push_back((at, Item::End(End::Fin)));
        Ok(())
    }

    fn short_read_drains(&self) -> bool {
        self.0.wire().conduct.drains
    }
}

impl Drop for ServerEnd {
    fn drop(&mut self) {
        let mut wire = self.0.wire();
        wire.server_gone = true;
        if !wire.up.arrived.is_empty() {
            // close(2) with unread input resets the connection, and the reset overtakes what we wrote.
            wire.up.arrived.clear();
            let Wire { down, rng, .. } = &mut *wire;
            down.break_off(rng);
        } else if !wire.shut {
            let at = wire.at(false);
            wire.down.flight.push_back((at, Item::End(End::Fin)));
        }
    }
}
