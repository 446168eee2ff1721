//! [`World`]: a whole server of a few workers and its clients in one thread, on a simulated network and in virtual
//! time. Who goes next is decided by the seed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use wirefan_admission::Networks;
use wirefan_protocol::{CloseCode, Config, DeflateConfig, Millis, Timeouts};

use super::chance::{Clock, Rng};
use super::client::{Client, Mood};
use super::net::{Conduct, Line};
use super::secure::{self, Secure};
use crate::directory::Directory;
use crate::limits::Admission;
use crate::mailbox::Mailbox;
use crate::policy::Policies;
use crate::settings::{Backpressure, Settings};
use crate::slots::SlotToken;
use crate::tally::Board;
use crate::tls::TlsStream;
use crate::transport::Transport;
use crate::worker::{Ready, Shared, Worker};
use crate::{Ctx, Handler, Limits, Remote};

/// Long enough for every deadline of a run.
const MONTHS: Duration = Duration::from_secs(100 * 24 * 60 * 60);

/// What a server is made with, and how its world behaves.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) seed: u64,
    pub(super) workers: u16,
    pub(super) timeouts: Timeouts,
    pub(super) marks: Backpressure,
    pub(super) policies: Policies,
    pub(super) max_connections: usize,
    pub(super) limits: Limits,
    /// Everybody comes by way of a proxy, one of these.
    pub(super) proxies: Option<Networks>,
    pub(super) max_mail: usize,
    pub(super) max_message: usize,
    pub(super) read_buffer: usize,
    /// Sockets told in one turn.
    pub(super) batch: usize,
    pub(super) conduct: Conduct,
    pub(super) mood: Mood,
    /// What the server and what the clients have of permessage-deflate.
    pub(super) deflate: Option<DeflateConfig>,
    pub(super) client_deflate: Option<DeflateConfig>,
    /// Everything goes over TLS.
    pub(super) tls: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let mut timeouts = Timeouts::default();
        // Moments are looked at to the millisecond.
        timeouts.jitter = 0;
        Self {
            seed: 1,
            workers: 1,
            timeouts,
            marks: Backpressure::default(),
            policies: Policies::default(),
            max_connections: 1000,
            limits: Limits::default(),
            proxies: None,
            max_mail: 1024 * 1024,
            max_message: 1024 * 1024,
            read_buffer: 64 * 1024,
            batch: usize::MAX,
            conduct: Conduct::PLAIN,
            mood: Mood::PLAIN,
            deflate: None,
            client_deflate: None,
            tls: false,
        }
    }
}

/// Is told of the steps of a worker that its handler does not see.
pub(super) trait Watch {
    /// The mailbox is about to be emptied.
    fn opens_mail(&self, _worker: usize) {}
    /// It has been.
    fn opened_mail(&self, _worker: usize) {}
    /// A turn has ended.
    fn turned(&self, _worker: usize) {}
}

impl Watch for () {}

pub(super) struct World<H: Handler> {
    pub(super) rng: Rng,
    pub(super) clock: Clock,
    pub(super) setup: Setup,
    pub(super) benches: Vec<Bench<H>>,
    pub(super) clients: Vec<Client>,
    pub(super) shared: Shared<H::Note>,
    pub(super) remote: Remote<H::Note>,
    watch: Box<dyn Watch>,
    steps: u64,
}

/// A worker and what the loop around it would keep.
pub(super) struct Bench<H: Handler> {
    pub(super) worker: Worker<H>,
    woken: Arc<AtomicBool>,
    lines: Vec<(SlotToken, Line)>,
    incoming: Vec<(Line, SocketAddr)>,
    /// Frozen until then.
    pub(super) frozen: u64,
    /// Its thread has ended.
    pub(super) done: bool,
    pub(super) turns: u64,
}

impl<H: Handler> World<H> {
    pub(super) fn new(setup: Setup, watch: Box<dyn Watch>, make: impl Fn(usize) -> H) -> Self {
        let mut protocol = Config::default();
        protocol.max_message = setup.max_message;
        protocol.deflate = setup.deflate.clone();
        let woken: Vec<_> = (0..setup.workers)
            .map(|_| Arc::new(AtomicBool::new(false)))
            .collect();
        let shared = Shared {
            directory: Arc::new(Directory::new(usize::from(setup.workers))),
            mailboxes: woken
                .iter()
                .map(|woken| {
                    let woken = Arc::clone(woken);
                    let wake = move || woken.store(true, Ordering::SeqCst);
                    Arc::new(Mailbox::new(setup.max_mail, wake))
                })
                .collect(),
            connections: Arc::new(AtomicUsize::new(0)),
            boards: (0..setup.workers).map(|_| Board::new()).collect(),
            draining: Arc::default(),
            settings: Arc::new(Settings {
                protocol: Arc::new(protocol),
                timeouts: setup.timeouts.clone(),
                backpressure: setup.marks.clone(),
                policies: setup.policies.clone(),
                max_connections: setup.max_connections,
                lifetime_code: CloseCode::GOING_AWAY,
                admission: Admission::new(setup.limits.clone()),
            }),
        };
        let benches = woken
            .into_iter()
            .zip(0..)
            .map(|(woken, index)| {
                let handler = make(usize::from(index));
                let mut worker = Worker::new(index, handler, shared.clone(), Millis(0));
                worker.read_buffer = vec![0; setup.read_buffer];
                Bench {
                    worker,
                    woken,
                    lines: Vec::new(),
                    incoming: Vec::new(),
                    frozen: 0,
                    done: false,
                    turns: 0,
                }
            })
            .collect();
        let remote = Remote {
            mailboxes: Arc::clone(&shared.mailboxes),
            directory: Arc::clone(&shared.directory),
            boards: Arc::clone(&shared.boards),
            draining: Arc::clone(&shared.draining),
            #[cfg(feature = "client")]
            peer: core::any::TypeId::of::<H::Peer>(),
        };
        Self {
            rng: Rng::new(setup.seed),
            clock: Clock::default(),
            benches,
            clients: Vec::new(),
            shared,
            remote,
            watch,
            steps: 0,
            setup,
        }
    }

    /// A connection to a worker; its client's address has the client's number as its port.
    pub(super) fn line(&mut self, worker: usize, conduct: Conduct) -> Line {
        let line = Line::new(&self.clock, self.rng.next(), conduct);
        let addr = SocketAddr::from(([127, 0, 0, 1], self.clients.len() as u16));
        self.benches[worker].incoming.push((line.clone(), addr));
        line
    }

    /// A client that asks a worker for a WebSocket; returns its number.
    pub(super) fn connect(&mut self, worker: usize, target: &str) -> usize {
        let (line, seed) = (self.line(worker, self.setup.conduct), self.rng.next());
        let deflate = self.setup.client_deflate.clone();
        let mut client = Client::new(line, target, seed, deflate);
        client.mood = self.setup.mood;
        client.secure = self.setup.tls.then(|| Box::new(Secure::new()));
        self.clients.push(client);
        self.clients.len() - 1
    }

    /// A client that sends bytes and notes the answer.
    pub(super) fn connect_plain(&mut self, worker: usize, bytes: &[u8]) -> usize {
        let line = self.line(worker, self.setup.conduct);
        let mut client = Client::plain(line, bytes);
        client.mood = self.setup.mood;
        client.secure = self.setup.tls.then(|| Box::new(Secure::new()));
        self.clients.push(client);
        self.clients.len() - 1
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Goes on for this long.
    pub(super) fn run(&mut self, millis: u64) {
        let end = self.now() + millis;
        loop {
            if self.step() {
                continue;
            }
            match self.next_moment() {
                Some(next) if next <= end => self.clock.set(next.max(self.now())),
                _ => break,
            }
        }
        self.clock.set(end.max(self.now()));
    }

    /// Goes on until nothing happens any more without time passing.
    pub(super) fn settle(&mut self) {
        while self.step() {}
    }

    /// Lets so many do something.
    pub(super) fn steps(&mut self, steps: usize) {
        for _ in 0..steps {
            if !self.step() {
                break;
            }
        }
    }

    /// Lets time pass in which nobody does anything: the machine sleeps.
    pub(super) fn freeze(&self, millis: u64) {
        self.clock.set(self.now() + millis);
    }

    /// Lets someone who has something to do do it; returns whether there was anybody.
    fn step(&mut self) -> bool {
        let now = self.now();
        for client in &self.clients {
            client.line.arrive();
        }
        let mut due: Vec<Actor> = Vec::new();
        due.extend(
            (0..self.benches.len())
                .filter(|i| self.benches[*i].is_due(now))
                .map(Actor::Worker),
        );
        due.extend(
            (0..self.clients.len())
                .filter(|i| self.clients[*i].is_due(now))
                .map(Actor::Client),
        );
        if due.is_empty() {
            return false;
        }
        self.steps += 1;
        assert!(
            self.steps < 5_000_000,
            "this goes on for ever: seed {}",
            self.setup.seed
        );
        match self.rng.pick(&due) {
            Actor::Worker(index) => self.turn(index),
            Actor::Client(index) => self.clients[index].step(now),
        }
        true
    }

    fn next_moment(&self) -> Option<u64> {
        let arrivals = self
            .clients
            .iter()
            .filter_map(|client| client.line.next_arrival());
        let steps = self.clients.iter().filter_map(Client::next_step);
        let turns = self.benches.iter().filter_map(Bench::next_turn);
        arrivals.chain(steps).chain(turns).min()
    }

    /// One turn of a worker, as the loop around it does it.
    pub(super) fn turn(&mut self, index: usize) {
        let now = Millis(self.now());
        let (bench, rng) = (&mut self.benches[index], &mut self.rng);
        bench.turns += 1;
        bench.worker.core.now = now;
        bench.lines.retain(|(_, line)| !line.server_gone());
        let ready = bench.lines.iter().filter(|(_, line)| line.has_edge());
        let mut told: Vec<Option<(SlotToken, Line)>> = ready.cloned().map(Some).collect();
        if bench.woken.load(Ordering::SeqCst) {
            told.push(None);
        }
        rng.shuffle(&mut told);
        let all = told.len() <= self.setup.batch;
        told.truncate(self.setup.batch);
        for told in told {
            match told {
                Some((token, line)) => {
                    let edge = line.take_edge();
                    bench.worker.ready(Ready {
                        token,
                        readable: edge.readable,
                        writable: edge.writable,
                        read_closed: edge.read_closed,
                    });
                }
                None => {
                    bench.woken.store(false, Ordering::SeqCst);
                    self.watch.opens_mail(index);
                    bench.worker.open_mail();
                    self.watch.opened_mail(index);
                }
            }
        }
        for (line, addr) in bench.incoming.drain(..) {
            let socket = match self.setup.tls {
                true => TlsStream::boxed(line.socket(), secure::server()),
                false => line.socket(),
            };
            let (socket, proxies) = (Transport::Other(socket), self.setup.proxies.as_ref());
            if let Some(token) = bench.worker.admit(socket, Some(addr), proxies) {
                bench.lines.push((token, line));
            }
        }
        bench.worker.turn(all);
        bench.done = bench.worker.is_done();
        self.watch.turned(index);
    }

    /// A turn in which nothing is told, and more is ready.
    pub(super) fn turn_busy(&mut self, index: usize) {
        let worker = &mut self.benches[index].worker;
        worker.core.now = Millis(self.clock.now());
        worker.turn(false);
    }

    /// What a worker's readiness is told with for a client.
    pub(super) fn token(&self, index: usize, client: usize) -> SlotToken {
        let line = &self.clients[client].line;
        let mut lines = self.benches[index].lines.iter();
        lines
            .find(|(_, other)| other.is(line))
            .expect("a connection")
            .0
    }

    /// Tells a worker of readiness that was meant for a connection of long ago.
    pub(super) fn stale_edge(&mut self, index: usize, token: SlotToken) {
        self.benches[index].worker.ready(Ready {
            token,
            readable: true,
            writable: true,
            read_closed: true,
        });
    }

    /// Has something done on a worker as if from a note, and everything that follows from it in its turn.
    pub(super) fn with_ctx<T>(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Ctx<'_, H::Peer>) -> T,
    ) -> T {
        let core = &mut self.benches[index].worker.core;
        core.now = Millis(self.clock.now());
        let result = act(&mut Ctx { core });
        self.turn(index);
        result
    }

    pub(super) fn shut_down(&self, grace: u64) {
        self.remote.shutdown(Duration::from_millis(grace));
    }

    /// Nothing is left of any connection, topic, or deadline.
    pub(super) fn assert_empty(&mut self) {
        for bench in &mut self.benches {
            let core = &mut bench.worker.core;
            assert_eq!(core.slots.len(), 0, "connections are left");
            assert!(core.topics.is_empty(), "topics are left");
            assert!(core.guests.is_empty(), "something is kept of connections");
            let mut entries = Vec::new();
            core.wheel.expired(core.now.after(MONTHS), &mut entries);
            assert_eq!(core.wheel.next(), None, "deadlines are left");
            assert!(core.out.is_empty() && core.posts.iter().all(Vec::is_empty));
        }
        assert!(
            self.shared.directory.is_empty(),
            "the directory is not empty"
        );
        assert_eq!(self.shared.connections.load(Ordering::SeqCst), 0);
        assert_eq!(self.shared.settings.admission.pending(), 0);
    }
}

#[derive(Clone, Copy)]
enum Actor {
    Worker(usize),
    Client(usize),
}

impl<H: Handler> Bench<H> {
    fn is_due(&self, now: u64) -> bool {
        !self.done
            && self.frozen <= now
            && (self.woken.load(Ordering::SeqCst)
                || !self.incoming.is_empty()
                || self.worker.next_turn().is_some_and(|next| next.0 <= now)
                || self.lines.iter().any(|(_, line)| line.has_edge()))
    }

    fn next_turn(&self) -> Option<u64> {
        if self.done {
            return None;
        }
        if self.frozen > 0
            && (self.woken.load(Ordering::SeqCst)
                || !self.incoming.is_empty()
                || self.lines.iter().any(|(_, line)| line.has_edge()))
        {
            return Some(self.frozen);
        }
        self.worker.next_turn().map(|next| next.0.max(self.frozen))
    }

    /// The backlogs of its connections.
    pub(super) fn backlogs(&self) -> Vec<usize> {
        let slots = &self.worker.core.slots;
        let indices = slots.indices();
        indices
            .into_iter()
            .filter_map(|index| Some(slots.get(index)?.backlog()))
            .collect()
    }
}
