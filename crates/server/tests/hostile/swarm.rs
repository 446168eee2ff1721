//! Attackers: any number of connections from many addresses of the loopback, driven by one thread. They follow a plan and
//! know no manners.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use crate::common::PATIENCE;

/// Connections begun in one turn, so that a swarm comes fast and not all in the same moment.
const BATCH: usize = 64;
/// How many come again in a second, at most.
const AGAIN: usize = 2000;

/// What each of them does.
pub(crate) struct Plan {
    pub(crate) target: SocketAddr,
    pub(crate) connections: usize,
    /// How many addresses they come from; none of them is that of a citizen.
    pub(crate) addresses: u8,
    /// What the n-th connection sends first.
    pub(crate) opening: fn(usize) -> Vec<u8>,
    pub(crate) then: Then,
    /// Whether they read what they are sent.
    pub(crate) reads: bool,
    /// Whether they come again when they have been thrown out, or have left.
    pub(crate) returns: bool,
}

impl Plan {
    pub(crate) fn reading(mut self) -> Self {
        self.reads = true;
        self
    }

    pub(crate) fn returning(mut self) -> Self {
        self.returns = true;
        self
    }
}

/// What follows the opening.
pub(crate) enum Then {
    /// Nothing at all.
    Stay,
    /// The same, again and again, as fast as it is taken.
    Flood(Vec<u8>),
    /// One byte of these after the other, each after such a time.
    Drip(&'static [u8], Duration),
    /// They go with a reset.
    Reset,
}

/// A swarm at work. It is gone when this is dropped.
pub(crate) struct Swarm {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// They neither send nor return any more, and stay as they are.
    freeze: AtomicBool,
    leave: AtomicBool,
    begun: AtomicUsize,
    opened: AtomicUsize,
    ended: AtomicUsize,
}

impl Swarm {
    pub(crate) fn unleash(plan: Plan) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::spawn(move || Horde::new(plan, theirs).live());
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Returns when so many have sent all of their opening, those that have come again counted again.
    pub(crate) fn await_opened(&self, opened: usize) {
        let start = Instant::now();
        while self.shared.opened.load(Ordering::SeqCst) < opened {
            assert!(start.elapsed() < PATIENCE, "{self:?} and not {opened}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// They stop to send and to return; their sockets stay open.
    pub(crate) fn freeze(&self) {
        self.shared.freeze.store(true, Ordering::SeqCst);
    }
}

impl std::fmt::Debug for Swarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        f.debug_struct("Swarm")
            .field("begun", &count(&self.shared.begun))
            .field("opened", &count(&self.shared.opened))
            .field("ended", &count(&self.shared.ended))
            .finish()
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        self.shared.leave.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // While a test fails already there is nothing to add.
            let result = thread.join();
            assert!(thread::panicking() || result.is_ok());
        }
    }
}

struct Foe {
    socket: TcpStream,
    /// What is to be sent, and how much of it has been.
    opening: Option<Vec<u8>>,
    sent: usize,
    dripped: usize,
    due: Instant,
    readable: bool,
    writable: bool,
}

struct Horde {
    plan: Plan,
    shared: Arc<Shared>,
    poll: Poll,
    foes: Vec<Option<Foe>>,
    begun: usize,
}

impl Horde {
    fn new(plan: Plan, shared: Arc<Shared>) -> Self {
        Self {
            foes: (0..plan.connections).map(|_| None).collect(),
            plan,
            shared,
            poll: Poll::new().unwrap(),
            begun: 0,
        }
    }

    fn live(mut self) {
        let (start, mut events) = (Instant::now(), Events::with_capacity(4096));
        while !self.shared.leave.load(Ordering::SeqCst) {
            let patience = match self.plan.then {
                Then::Flood(_) | Then::Reset => Duration::from_millis(1),
                _ => Duration::from_millis(10),
            };
            match self.poll.poll(&mut events, Some(patience)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => panic!("{error}"),
                _ => {}
            }
            for event in &events {
                if let Some(foe) = &mut self.foes[event.token().0] {
                    foe.readable |= event.is_readable() || event.is_read_closed();
                    foe.writable |= event.is_writable();
                }
            }
            let frozen = self.shared.freeze.load(Ordering::SeqCst);
            let more = match self.plan.returns {
                true => start.elapsed().as_millis() as usize * AGAIN / 1000,
                false => 0,
            };
            let may_begin = match frozen {
                true => 0,
                false => (self.plan.connections + more).saturating_sub(self.begun),
            };
            let mut begun = 0;
            for place in 0..self.foes.len() {
                match &mut self.foes[place] {
                    None => {
                        if begun < may_begin.min(BATCH) {
                            begun += 1;
                            self.begin(place);
                        }
                    }
                    Some(foe) => {
                        if !act(foe, &self.plan, &self.shared, frozen) {
                            self.foes[place] = None;
                            self.shared.ended.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
            }
        }
    }

    fn begin(&mut self, place: usize) {
        let number = self.begun;
        self.begun += 1;
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        if !self.plan.reads {
            // What the system keeps for somebody who does not read is not what is tested.
            socket.set_recv_buffer_size(4096).unwrap();
        }
        let from = Ipv4Addr::new(127, 0, 66, 1 + number as u8 % self.plan.addresses);
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        match socket.connect(&self.plan.target.into()) {
            Err(error) if error.raw_os_error() != Some(nix::libc::EINPROGRESS) => {
                // No port or no patience: it comes again.
                assert!(self.plan.returns, "{error}");
                return;
            }
            _ => {}
        }
        let mut socket = TcpStream::from_std(socket.into());
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut socket, Token(place), both)
            .unwrap();
        self.foes[place] = Some(Foe {
            socket,
            opening: Some((self.plan.opening)(number)),
            sent: 0,
            dripped: 0,
            due: Instant::now(),
            readable: false,
            writable: false,
        });
        self.shared.begun.fetch_add(1, Ordering::SeqCst);
    }
}

/// One turn of one of them; `false`: it is over.
fn act(foe: &mut Foe, plan: &Plan, shared: &Shared, frozen: bool) -> bool {
    if foe.readable && plan.reads {
        foe.readable = false;
        let mut buffer = [0; 64 * 1024];
        // It may not be all: the rest waits for the next turn.
        match foe.socket.read(&mut buffer) {
            Ok(0) => return false,
            Ok(_) => foe.readable = true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
    if !foe.writable || frozen {
        return true;
    }
    let bytes: &[u8] = match (&foe.opening, &plan.then) {
        (Some(opening), _) => opening,
        (None, Then::Stay) => return true,
        (None, Then::Flood(bytes)) => bytes,
        (None, Then::Drip(bytes, pace)) => {
            if foe.due > Instant::now() {
                return true;
            }
            foe.due = Instant::now() + *pace;
            let byte = foe.dripped % bytes.len();
            foe.dripped += 1;
            foe.sent = 0;
            &bytes[byte..=byte]
        }
        (None, Then::Reset) => {
            let _ = socket2::SockRef::from(&foe.socket).set_linger(Some(Duration::ZERO));
            return false;
        }
    };
    match foe.socket.write(&bytes[foe.sent..]) {
        Ok(len) => foe.sent += len,
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            foe.writable = false;
            return true;
        }
        Err(error) if error.kind() == ErrorKind::NotConnected => return true,
        Err(_) => return false,
    }
    if foe.sent == bytes.len() {
        foe.sent = 0;
        if foe.opening.take().is_some() {
            shared.opened.fetch_add(1, Ordering::SeqCst);
        }
    }
    true
}
