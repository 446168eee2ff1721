//! What is kept and told of connections: a line when one opens, a line when one ends, the counts of all.

use core::num::NonZeroU64;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use wirefan_eventloop::{Caller, CloseCause, Conn, Message};

/// Tells of connections, and counts them; clones share the counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visits {
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    open: AtomicUsize,
    all: AtomicU64,
    messages: AtomicU64,
}

/// What is kept for one connection: as little as possible, for there may be many.
#[derive(Debug)]
pub(crate) struct Visit {
    /// In microseconds since the first one: half of an `Instant`.
    since: NonZeroU64,
    messages: u64,
}

impl Visits {
    /// A connection has opened, in a room where there are rooms.
    pub(crate) fn begin(&self, Caller { id, addr, .. }: Caller, room: Option<&str>) {
        let connections = self.counts.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.counts.all.fetch_add(1, Ordering::Relaxed);
        tracing::info!(%addr, %id, room, connections, "connected");
    }

    /// A connection has ended, or what has never become one.
    pub(crate) fn end(&self, visit: Option<Visit>, caller: Caller, cause: &CloseCause) {
        let (Caller { id, addr, .. }, name) = (caller, cause.name());
        if let Some(visit) = visit {
            let (lasted, messages) = (visit.lasted(), visit.messages);
            let connections = self.counts.open.fetch_sub(1, Ordering::Relaxed) - 1;
            self.counts.messages.fetch_add(messages, Ordering::Relaxed);
            tracing::info!(
                %addr, %id, cause = name, messages, lasted = %format_args!("{lasted:.1?}"), connections,
                "disconnected: {cause}"
            );
        } else if is_routine(cause) {
            tracing::debug!(%addr, %id, cause = name, "not opened: {cause}");
        } else {
            tracing::info!(%addr, %id, cause = name, "not opened: {cause}");
        }
    }

    /// The connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.counts.open.load(Ordering::Relaxed)
    }

    /// The connections that ever were, and the messages received from those that have ended.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let Counts { all, messages, .. } = &*self.counts;
        (
            all.load(Ordering::Relaxed),
            messages.load(Ordering::Relaxed),
        )
    }
}

impl Visit {
    /// It begins now.
    pub(crate) fn new() -> Self {
        Self {
            since: moment(),
            messages: 0,
        }
    }

    /// How long it has lasted.
    pub(crate) fn lasted(&self) -> Duration {
        Duration::from_micros(moment().get().saturating_sub(self.since.get()))
    }

    /// The messages that have come.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// A message has come.
    #[inline]
    pub(crate) fn message(&mut self) {
        self.messages += 1;
    }
}

/// Now, in microseconds since this was first asked.
fn moment() -> NonZeroU64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let since = FIRST.get_or_init(Instant::now).elapsed();
    NonZeroU64::MIN.saturating_add(since.as_micros() as u64)
}

/// Traces a message.
#[inline]
pub(crate) fn trace<P>(conn: &Conn<'_, P>, message: Message<'_>) {
    if tracing::level_enabled!(tracing::Level::TRACE) {
        let Caller { id, addr, .. } = caller(conn);
        match message {
            Message::Text(text) => tracing::trace!(%addr, %id, len = text.len(), "text"),
            Message::Binary(data) => tracing::trace!(%addr, %id, len = data.len(), "binary"),
        }
    }
}

/// Who is at the other end of a connection.
#[inline]
pub(crate) fn caller<P>(conn: &Conn<'_, P>) -> Caller {
    conn.caller()
}

/// Page loads, health checks of load balancers and the like: a busy log of info is not for them.
fn is_routine(cause: &CloseCause) -> bool {
    matches!(
        cause,
        CloseCause::Answered(..400)
            | CloseCause::Lost
            | CloseCause::Reset(_)
            | CloseCause::Shutdown
    )
}
