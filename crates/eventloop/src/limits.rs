//! [`Limits`]: how many may come, how fast, and how much each may send; and [`Admission`], what the workers share to count
//! that.

use std::sync::atomic::{AtomicUsize, Ordering};

use wirefan_admission::{AddressLimits, Networks, PerAddress, TrafficLimits};

/// How many connections may come and how fast, by address and in all, and how much each of them may send.
///
/// Whoever comes over a limit is told with 503 or 429 and `Retry-After`, and reported with a
/// [`CloseCause`](crate::CloseCause) of its own. Answers have limits too: each worker gives at most 256 at a time and 256 in a
/// second (512 at once). Beyond that, and on listeners that speak TLS, connections are closed without a word.
///
/// Addresses are those of clients: where a listener reads the PROXY protocol, the ones that it tells. What has no address, a
/// Unix socket or a health check of the proxy itself, is not counted by address.
///
/// ```
/// use core::num::NonZeroU32;
/// use wirefan_eventloop::admission::Rate;
/// use wirefan_eventloop::{Limits, OverRate, Server};
///
/// let mut limits = Limits::default();
/// limits.per_address.connections = Some(100);
/// limits.per_address.handshakes = NonZeroU32::new(20).map(Rate::per_second);
/// limits.traffic.messages = NonZeroU32::new(50).map(Rate::per_second);
/// limits.over_rate = OverRate::Close;
/// let builder = Server::builder().listen("127.0.0.1:0")?.limits(limits);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Connections and handshakes of each client address. A connection over TCP counts as a handshake as soon as it is accepted,
    /// whether a request follows or not ([`defer_accept`](crate::ServerBuilder::defer_accept) tells when that is). Default: any
    /// number.
    pub per_address: AddressLimits,
    /// HTTP proxies, which name their clients in a header: they are not counted by address. The handler knows of the clients
    /// when it sees the header, and says so with [`Ctx::count_as`](crate::Ctx::count_as). Default: none.
    pub proxies: Networks,
    /// Most connections that are not open yet: in their handshake, waiting for a decision, or with a plain answer under way.
    /// Each can make the server hold one head of a request ([`max_head`](wirefan_protocol::Config::max_head)). More are
    /// answered with 503. Default: 16,384.
    pub pending: usize,
    /// Most topics that a connection may be subscribed to at a time; `None`: any number. Default: `None`.
    pub topics: Option<usize>,
    /// What each connection may send: messages, and their bytes (inflated, if they were compressed). Default: as much as it
    /// can.
    pub traffic: TrafficLimits,
    /// What happens to a connection that sends more than that. Default: [`OverRate::Delay`].
    pub over_rate: OverRate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_address: AddressLimits::default(),
            proxies: Networks::default(),
            pending: 16 * 1024,
            topics: None,
            traffic: TrafficLimits::default(),
            over_rate: OverRate::default(),
        }
    }
}

/// What happens to a connection that sends more than [`Limits::traffic`] allows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OverRate {
    /// It is not read from until it has fallen below its rate, from 16 ms to 30 s; what has been read already waits too, 16 KiB
    /// at most (128 over TLS). Nothing is lost, and a sender that blocks is slowed down. As long as it waits it is not noticed
    /// that the peer is gone.
    #[default]
    Delay,
    /// Messages beyond the rate are dropped: the handler does not see them.
    Drop,
    /// It is closed with 1008.
    Close,
}

/// What workers share to count whom they let in.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) limits: Limits,
    /// Whether each message is counted.
    pub(crate) metered: bool,
    /// By address, if that has limits.
    pub(crate) addresses: Option<PerAddress>,
    /// Connections that are not open yet.
    pending: AtomicUsize,
}

impl Admission {
    pub(crate) fn new(limits: Limits) -> Self {
        let per_address = &limits.per_address;
        let counts = per_address.connections.is_some() || per_address.handshakes.is_some();
        Self {
            metered: limits.traffic != TrafficLimits::default(),
            addresses: counts.then(|| PerAddress::new(per_address.clone())),
            limits,
            pending: AtomicUsize::new(0),
        }
    }

    /// Counts one more that is not open yet, unless there are too many.
    pub(crate) fn enter(&self) -> bool {
        let limit = self.limits.pending;
        let entered = self
            .pending
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |pending| {
                (pending < limit).then_some(pending + 1)
            });
        entered.is_ok()
    }

    #[cfg(all(test, feature = "tls"))]
    pub(crate) fn pending(&self) -> usize {
        self.pending.load(Ordering::SeqCst)
    }

    /// One of these is open, or gone.
    pub(crate) fn leave(&self) {
        self.pending.fetch_sub(1, Ordering::SeqCst);
    }
}
