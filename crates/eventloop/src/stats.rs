//! [`Stats`]: what a server has counted, as [`Remote::stats`](crate::Remote::stats) gives it to whoever watches.

use std::time::Duration;

use crate::histogram::Histogram;
use crate::tally::Board;

/// What the workers of a server have counted since their start, and what they have now. As of the end of each worker's
/// last turn.
///
/// ```
/// use wirefan_eventloop::{Remote, Stats};
///
/// /// A line for a log, every now and then.
/// fn line(remote: &Remote<()>) -> String {
///     let Stats { workers, topics, .. } = remote.stats();
///     let total = workers.iter().map(|worker| worker.connections).sum::<u64>();
///     let dropped = workers.iter().flat_map(|worker| worker.dropped).map(|(_, n)| n).sum::<u64>();
///     format!("{total} connections in {topics} topics, {dropped} messages dropped")
/// }
/// # use wirefan_eventloop::{Caller, Conn, Ctx, Decision, Handler, Message, Server};
/// # struct Echo;
/// # impl Handler for Echo {
/// #     type Peer = ();
/// #     type Note = ();
/// #     fn request(&mut self, _: &wirefan_protocol::handshake::Request<'_>, _: Caller, _: &mut Ctx<'_, ()>) -> Decision<()> {
/// #         Decision::accept(())
/// #     }
/// #     fn message(&mut self, _: &mut Conn<'_, ()>, _: Message<'_>) {}
/// # }
///
/// let server = Server::builder().listen("127.0.0.1:0")?.workers(2).start(|_| Echo)?;
/// assert_eq!(line(&server.remote()), "0 connections in 0 topics, 0 messages dropped");
/// # server.shutdown(std::time::Duration::from_secs(1))?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Each worker's own, by its number.
    pub workers: Vec<WorkerStats>,
    /// Topics with members now, each counted once on whatever workers these are.
    pub topics: usize,
}

/// One worker's part of the [`Stats`]. What is a count only grows; what is *now* goes up and down.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Sockets now: open connections, handshakes, plain requests, and what is being ended.
    pub sockets: u64,
    /// Open WebSocket connections now, from their acceptance to their last event.
    pub connections: u64,
    /// Topics with members on this worker now.
    pub topics: u64,
    /// Bytes now that sockets have refused, of all connections. What TLS has sealed already is not among them.
    pub backlog: u64,
    /// What became of requests and would-be requests: `accepted`, `answered_2xx` to `answered_5xx` for plain HTTP,
    /// `dialled` for those of our own, and the [names](crate::CloseCause::name) of the other causes.
    pub handshakes: Vec<(&'static str, u64)>,
    /// Ends of connections that were open, by the [name](crate::CloseCause::name) of the cause.
    pub closed: Vec<(&'static str, u64)>,
    /// Messages received.
    pub messages_received: u64,
    /// Messages taken for sending: those to one connection, and the `deliveries`.
    pub messages_sent: u64,
    /// Messages of topics, counted once for each member that they were sent to.
    pub deliveries: u64,
    /// Messages that slow readers were not sent, once for each of them. What waited for a reader that was closed is not
    /// among them.
    pub dropped: [(DropPolicy, u64); DropPolicy::ALL.len()],
    /// Bytes read from sockets, behind TLS if there is any.
    pub bytes_received: u64,
    /// Bytes that sockets took, in front of TLS if there is any.
    pub bytes_sent: u64,
    /// What compressors took and gave. A message to a topic counts once for each form that its members take.
    pub deflated: Deflated,
    /// What decompressors took and gave.
    pub inflated: Deflated,
    /// How long turns took: from being woken to waiting again. A long one kept every other connection waiting.
    pub turns: Histogram,
    /// How long pings of the loop took to be answered.
    pub round_trips: Histogram,
}

/// Bytes of messages without and with compression.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Deflated {
    /// Bytes of the messages themselves.
    pub plain: u64,
    /// Bytes that travelled for them.
    pub compressed: u64,
}

/// What a message fell to that a slow reader was not sent.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DropPolicy {
    /// It was the newest, and the backlog at its limit.
    New,
    /// It made room for newer ones.
    Oldest,
    /// A newer one of its kind took its place.
    Conflate,
    /// It had waited for too long.
    MaxAge,
}

impl DropPolicy {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::New, Self::Oldest, Self::Conflate, Self::MaxAge];

    /// The same word in every log and count.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "drop_new",
            Self::Oldest => "drop_oldest",
            Self::Conflate => "conflate",
            Self::MaxAge => "max_age",
        }
    }
}

impl WorkerStats {
    /// The sum of all ends of connections that were open.
    pub fn closed_total(&self) -> u64 {
        self.closed.iter().map(|(_, count)| count).sum()
    }
}

impl Stats {
    /// The workers' counts added up.
    pub fn total(&self) -> WorkerStats {
        let mut total = Board::new().read();
        for worker in &self.workers {
            total.add(worker);
        }
        total
    }
}

impl WorkerStats {
    fn add(&mut self, other: &Self) {
        self.sockets += other.sockets;
        self.connections += other.connections;
        self.topics += other.topics;
        self.backlog += other.backlog;
        add_named(&mut self.handshakes, &other.handshakes);
        add_named(&mut self.closed, &other.closed);
        self.messages_received += other.messages_received;
        self.messages_sent += other.messages_sent;
        self.deliveries += other.deliveries;
        for ((_, own), (_, more)) in self.dropped.iter_mut().zip(other.dropped) {
            *own += more;
        }
        self.bytes_received += other.bytes_received;
        self.bytes_sent += other.bytes_sent;
        self.deflated.add(other.deflated);
        self.inflated.add(other.inflated);
        self.turns.add(&other.turns);
        self.round_trips.add(&other.round_trips);
    }
}

impl Deflated {
    /// How many times smaller: 4.0 where a fourth of the bytes travelled. `None`: there was nothing.
    pub fn ratio(self) -> Option<f64> {
        (self.compressed > 0).then(|| self.plain as f64 / self.compressed as f64)
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.plain += other.plain;
        self.compressed += other.compressed;
    }
}

/// Adds counts by their names.
fn add_named(own: &mut Vec<(&'static str, u64)>, more: &[(&'static str, u64)]) {
    for (name, count) in more {
        add_to(own, name, *count);
    }
}

/// Adds to the count with this name.
pub(crate) fn add_to(counts: &mut Vec<(&'static str, u64)>, name: &'static str, more: u64) {
    match counts.iter_mut().find(|(known, _)| *known == name) {
        Some((_, count)) => *count += more,
        None => counts.push((name, more)),
    }
}

/// The upper bounds of [`WorkerStats::turns`].
pub(crate) const TURNS: &[Duration] = &[
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_secs(1),
];

/// The upper bounds of [`WorkerStats::round_trips`].
pub(crate) const ROUND_TRIPS: &[Duration] = &[
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(10),
];
