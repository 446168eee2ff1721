//! [`Tally`]: what a worker counts, in plain numbers of its own; and [`Board`], where it shows them to other threads
//! once in a turn.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::CloseCause;
use crate::histogram::Buckets;
use crate::stats::{Deflated, DropPolicy, ROUND_TRIPS, TURNS, WorkerStats, add_to};

/// A worker's counts. What happens with every message or system call adds to a plain number here; what is rare goes to
/// the board at once.
#[derive(Debug)]
pub(crate) struct Tally {
    boards: Arc<[Board]>,
    worker: u16,
    /// Messages.
    pub(crate) received: u64,
    /// Messages to one connection.
    pub(crate) sent: u64,
    /// Messages of topics, for each member.
    pub(crate) delivered: u64,
    /// Bytes.
    pub(crate) read: u64,
    pub(crate) written: u64,
    /// What was compressed for one connection.
    pub(crate) deflated: Deflated,
    open: u64,
}

/// What is known elsewhere at the end of a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) sockets: usize,
    pub(crate) topics: usize,
    pub(crate) backlog: usize,
    /// Messages, in the order of [`DropPolicy::ALL`].
    pub(crate) dropped: [u64; DropPolicy::ALL.len()],
    /// What was compressed for topics.
    pub(crate) deflated: Deflated,
    pub(crate) inflated: Deflated,
}

impl Tally {
    /// For the worker with this number.
    pub(crate) fn new(worker: u16, boards: Arc<[Board]>) -> Self {
        Self {
            boards,
            worker,
            received: 0,
            sent: 0,
            delivered: 0,
            read: 0,
            written: 0,
            deflated: Deflated::default(),
            open: 0,
        }
    }

    fn board(&self) -> &Board {
        &self.boards[usize::from(self.worker)]
    }

    /// A connection is open.
    pub(crate) fn opened(&mut self) {
        self.open += 1;
        add_to(&mut self.board().named().handshakes, ACCEPTED, 1);
    }

    /// A connection that we have dialled is open.
    #[cfg(feature = "client")]
    pub(crate) fn dialled(&mut self) {
        self.open += 1;
        add_to(&mut self.board().named().handshakes, "dialled", 1);
    }

    /// A connection has ended, or what was to become one.
    pub(crate) fn ended(&mut self, was_open: bool, cause: &CloseCause) {
        self.open -= u64::from(was_open);
        let mut named = self.board().named();
        if was_open {
            add_to(&mut named.closed, cause.name(), 1);
        } else {
            add_to(&mut named.handshakes, result(cause), 1);
        }
    }

    /// A turn has taken so long.
    pub(crate) fn turned(&self, took: Duration) {
        self.board().turns.record(took);
    }

    /// A ping of ours was answered after so long.
    pub(crate) fn round_trip(&self, took: Duration) {
        self.board().round_trips.record(took);
    }

    /// Shows the counts to other threads.
    pub(crate) fn publish(&self, now: Now) {
        let show = |number: &AtomicU64, value: u64| number.store(value, Ordering::Relaxed);
        let Numbers {
            sockets,
            open,
            topics,
            backlog,
            received,
            sent,
            delivered,
            read,
            written,
            dropped,
            deflated,
            inflated,
        } = &self.board().numbers;
        show(sockets, now.sockets as u64);
        show(open, self.open);
        show(topics, now.topics as u64);
        show(backlog, now.backlog as u64);
        show(received, self.received);
        show(sent, self.sent + self.delivered);
        show(delivered, self.delivered);
        show(read, self.read);
        show(written, self.written);
        for (number, value) in dropped.iter().zip(now.dropped) {
            show(number, value);
        }
        for ([plain, compressed], values) in [
            (deflated, [self.deflated, now.deflated]),
            (inflated, [now.inflated, Deflated::default()]),
        ] {
            show(plain, values.iter().map(|value| value.plain).sum());
            show(
                compressed,
                values.iter().map(|value| value.compressed).sum(),
            );
        }
    }
}

const ACCEPTED: &str = "accepted";

/// What became of a handshake that opened nothing.
fn result(cause: &CloseCause) -> &'static str {
    match cause {
        CloseCause::Answered(..300) => "answered_2xx",
        CloseCause::Answered(300..400) => "answered_3xx",
        CloseCause::Answered(400..500) => "answered_4xx",
        CloseCause::Answered(500..) => "answered_5xx",
        other => other.name(),
    }
}

/// Names that are shown before they are first counted: who watches a count wants to see its first step.
const USUAL_RESULTS: [&str; 7] = [
    ACCEPTED,
    "answered_2xx",
    "answered_4xx",
    "answered_5xx",
    "bad_request",
    "handshake_timeout",
    "lost",
];
const USUAL_CAUSES: [&str; 9] = [
    "peer_closed",
    "we_closed",
    "protocol_error",
    "lost",
    "reset",
    "pong_timeout",
    "close_timeout",
    "slow_reader",
    "shutdown",
];

/// A worker's counts as others see them. On cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Board {
    numbers: Numbers,
    named: Mutex<Named>,
    turns: Buckets,
    round_trips: Buckets,
}

#[derive(Debug, Default)]
struct Numbers {
    sockets: AtomicU64,
    open: AtomicU64,
    topics: AtomicU64,
    backlog: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    delivered: AtomicU64,
    read: AtomicU64,
    written: AtomicU64,
    dropped: [AtomicU64; DropPolicy::ALL.len()],
    deflated: [AtomicU64; 2],
    inflated: [AtomicU64; 2],
}

/// Counts that happen once or twice in the life of a connection.
#[derive(Debug)]
struct Named {
    handshakes: Vec<(&'static str, u64)>,
    closed: Vec<(&'static str, u64)>,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self {
            numbers: Numbers::default(),
            named: Mutex::new(Named {
                handshakes: USUAL_RESULTS.map(|name| (name, 0)).into(),
                closed: USUAL_CAUSES.map(|name| (name, 0)).into(),
            }),
            turns: Buckets::new(TURNS),
            round_trips: Buckets::new(ROUND_TRIPS),
        }
    }

    pub(crate) fn read(&self) -> WorkerStats {
        let (handshakes, closed) = {
            let named = self.named();
            (named.handshakes.clone(), named.closed.clone())
        };
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let pair = |[plain, compressed]: &[AtomicU64; 2]| Deflated {
            plain: get(plain),
            compressed: get(compressed),
        };
        let numbers = &self.numbers;
        let mut dropped = DropPolicy::ALL.map(|policy| (policy, 0));
        for ((_, count), number) in dropped.iter_mut().zip(&numbers.dropped) {
            *count = get(number);
        }
        WorkerStats {
            sockets: get(&numbers.sockets),
            connections: get(&numbers.open),
            topics: get(&numbers.topics),
            backlog: get(&numbers.backlog),
            handshakes,
            closed,
            messages_received: get(&numbers.received),
            messages_sent: get(&numbers.sent),
            deliveries: get(&numbers.delivered),
            dropped,
            bytes_received: get(&numbers.read),
            bytes_sent: get(&numbers.written),
            deflated: pair(&numbers.deflated),
            inflated: pair(&numbers.inflated),
            turns: self.turns.read(),
            round_trips: self.round_trips.read(),
        }
    }

    fn named(&self) -> MutexGuard<'_, Named> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
