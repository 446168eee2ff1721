//! The loop: completions from the ring, bytes to the connections, their answers back to the ring.

use core::mem;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use wirefan_protocol::{Config, Scratch};

use crate::peer::Peer;
use crate::ring::{Completion, Received, Ring};

/// A peer is not read from while so much waits to be sent to it.
const HIGH_WATER: usize = 256 * 1024;
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Vectors kept for the next answers: so many, none of them longer.
const SPARES: usize = 64;
const LONGEST_SPARE: usize = 64 * 1024;

/// An echo server on one ring.
pub(crate) struct Server {
    ring: Ring,
    listener: TcpListener,
    /// The kernel has our request for connections.
    accepting: bool,
    config: Arc<Config>,
    /// A number may be given anew as soon as the ring has nothing of its peer.
    peers: Vec<Option<Peer>>,
    free: Vec<u32>,
    scratch: Scratch,
    out: Vec<u8>,
    spares: Vec<Vec<u8>>,
    now: Instant,
}

impl Server {
    pub(crate) fn new(ring: Ring, listener: TcpListener, config: Config) -> Self {
        Self {
            ring,
            listener,
            accepting: false,
            config: Arc::new(config),
            peers: Vec::new(),
            free: Vec::new(),
            scratch: Scratch::default(),
            out: Vec::new(),
            spares: Vec::new(),
            now: Instant::now(),
        }
    }

    /// Serves until the ring fails.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let mut ticked = self.now;
        loop {
            if !self.accepting {
                self.ring.accept(&self.listener)?;
                self.accepting = true;
            }
            self.ring.wait(TICK)?;
            self.now = Instant::now();
            while let Some(completion) = self.ring.next() {
                match completion {
                    Completion::Accepted { socket, more } => {
                        self.accepting = more;
                        self.welcome(socket)?;
                    }
                    Completion::Received { peer, bytes, more } => self.read(peer, bytes, more)?,
                    Completion::Sent { peer, bytes, sent } => self.written(peer, bytes, sent)?,
                }
            }
            if self.now >= ticked + TICK {
                ticked = self.now;
                self.tick()?;
            }
        }
    }

    fn welcome(&mut self, socket: io::Result<TcpStream>) -> io::Result<()> {
        let peer = socket.and_then(|socket| Peer::new(socket, &self.config, self.now));
        match peer {
            Ok(peer) => {
                let number = self.free.pop().unwrap_or_else(|| {
                    self.peers.push(None);
                    (self.peers.len() - 1) as u32
                });
                self.peers[number as usize] = Some(peer);
                self.settle(number)
            }
            // Out of descriptors, for instance: whoever waits is accepted when somebody has gone.
            Err(error) => {
                eprintln!("accept: {error}");
                std::thread::sleep(Duration::from_millis(10));
                Ok(())
            }
        }
    }

    fn read(
        &mut self,
        number: u32,
        received: io::Result<Option<Received>>,
        more: bool,
    ) -> io::Result<()> {
        let Some(peer) = self.peers[number as usize].as_mut() else {
            return Ok(());
        };
        if !more {
            peer.receiving = false;
            peer.cancelled = false;
        }
        match received {
            Ok(Some(mut received)) => {
                // What is under way goes first.
                let waiting = if peer.sending {
                    &mut peer.unsent
                } else {
                    &mut self.out
                };
                let mut out = mem::take(waiting);
                let bytes = self.ring.bytes(&mut received);
                peer.read(bytes, &mut self.scratch, &mut out, self.now);
                self.ring.give_back(received);
                if !peer.sending && out.is_empty() {
                    self.out = out;
                } else {
                    peer.unsent = out;
                    if self.out.capacity() == 0 {
                        self.out = self.spares.pop().unwrap_or_default();
                    }
                }
            }
            Ok(None) => peer.ended = true,
            // It was asked to stop, or there was no buffer left: it is asked again.
            Err(error) if matches!(error.raw_os_error(), Some(ECANCELED | ENOBUFS)) => {}
            Err(_) => peer.abort(),
        }
        self.settle(number)
    }

    fn written(
        &mut self,
        number: u32,
        mut bytes: Vec<u8>,
        sent: io::Result<usize>,
    ) -> io::Result<()> {
        let Some(peer) = self.peers[number as usize].as_mut() else {
            return Ok(());
        };
        match sent {
            Ok(sent) if sent > 0 => {
                peer.sent += sent;
                if peer.sent < bytes.len() {
                    return self.ring.send(number, &peer.socket, bytes, peer.sent);
                }
            }
            _ => peer.abort(),
        }
        peer.sending = false;
        if bytes.capacity() <= LONGEST_SPARE && self.spares.len() < SPARES {
            bytes.clear();
            self.spares.push(bytes);
        }
        self.settle(number)
    }

    /// Asks the ring for whatever the peer needs next, and forgets a peer that needs nothing.
    fn settle(&mut self, number: u32) -> io::Result<()> {
        let Some(peer) = self.peers[number as usize].as_mut() else {
            return Ok(());
        };
        if !peer.sending && !peer.unsent.is_empty() {
            let bytes = mem::take(&mut peer.unsent);
            (peer.sent, peer.sending) = (0, true);
            self.ring.send(number, &peer.socket, bytes, 0)?;
        }
        if peer.is_over() && !peer.sending && !peer.shut {
            peer.shut = true;
            // An error means that it is gone already.
            let _ = peer.socket.shutdown(Shutdown::Write);
        }
        let full = peer.unsent.len() >= HIGH_WATER;
        if peer.receiving && full && !peer.cancelled {
            peer.cancelled = true;
            self.ring.cancel_recv(number)?;
        }
        if !peer.receiving && !full && !peer.ended {
            peer.receiving = true;
            self.ring.recv(number, &peer.socket)?;
        }
        if peer.ended && !peer.receiving && !peer.sending {
            self.peers[number as usize] = None;
            self.free.push(number);
        }
        Ok(())
    }

    fn tick(&mut self) -> io::Result<()> {
        for number in 0..self.peers.len() {
            if let Some(peer) = &mut self.peers[number]
                && peer.is_late(self.now)
            {
                peer.abort();
                self.settle(number as u32)?;
            }
        }
        Ok(())
    }
}

/// These have no `ErrorKind` of their own.
const ECANCELED: i32 = 125;
const ENOBUFS: i32 = 105;
