//! [`Shutdown`]: how a server ends, and [`Departures`], how its connections went. Asked for through a `Remote`.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use wirefan_protocol::CloseCode;

/// How a server is to end. A [`Duration`] alone is the grace.
///
/// ```
/// use std::time::Duration;
/// use wirefan_eventloop::{Remote, Shutdown};
/// use wirefan_protocol::CloseCode;
///
/// fn deploy(remote: &Remote<()>) {
///     let mut how = Shutdown::default();
///     how.spread = Duration::from_secs(30);
///     how.code = CloseCode::SERVICE_RESTART;
///     remote.shutdown(how);
/// }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Shutdown {
    /// Each connection is closed at a moment of its own in this time, so that not all of them come back at once. Until
    /// then it goes on as before. Default: none, all are closed at once.
    pub spread: Duration,
    /// From the end of the spread on, the time for connections to take what was sent to them and to answer our Close.
    /// Who is not done then is cut off. Default: 10 s.
    pub grace: Duration,
    /// What they are closed with. Default: 1001; 1012 says that the service comes back.
    pub code: CloseCode,
    /// The reason in the Close, at most 123 bytes. Default: "the server shuts down".
    pub reason: Cow<'static, str>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            spread: Duration::ZERO,
            grace: Duration::from_secs(10),
            code: CloseCode::GOING_AWAY,
            reason: Cow::Borrowed("the server shuts down"),
        }
    }
}

impl From<Duration> for Shutdown {
    fn from(grace: Duration) -> Self {
        Self {
            grace,
            ..Self::default()
        }
    }
}

/// How the connections went that were open when a shutdown began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Departures {
    /// Closed by both sides: all that was sent before has arrived.
    pub left: u64,
    /// Ended by the peer or the network, without the peer's Close.
    pub lost: u64,
    /// Cut off by us, for the time was over.
    pub cut: u64,
}

impl Departures {
    /// Whether nobody had to be cut off.
    pub fn is_clean(&self) -> bool {
        self.cut == 0
    }
}

/// The same while it happens, on all workers.
#[derive(Debug, Default)]
pub(crate) struct Draining {
    pub(crate) begun: AtomicBool,
    left: AtomicU64,
    lost: AtomicU64,
    cut: AtomicU64,
}

/// How one connection went.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Departure {
    Left,
    Lost,
    Cut,
}

impl Draining {
    pub(crate) fn count(&self, departure: Departure) {
        let count = match departure {
            Departure::Left => &self.left,
            Departure::Lost => &self.lost,
            Departure::Cut => &self.cut,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn departures(&self) -> Departures {
        Departures {
            left: self.left.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            cut: self.cut.load(Ordering::Relaxed),
        }
    }
}
