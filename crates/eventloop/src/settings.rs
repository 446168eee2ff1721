//! What a server is told once and all its workers share: limits, times, and what to do about slow readers.

use std::sync::Arc;

use wirefan_protocol::{CloseCode, Config, Timeouts};

use crate::limits::Admission;
use crate::policy::Policies;

/// When a peer counts as slow, and what follows. Each mark is in bytes of one connection's backlog: what the
/// application sent and the socket refused.
///
/// Above `high` nothing more is read *from* the peer until the backlog has fallen below `low`. At `limit` messages
/// are no longer taken; pongs and Closes always are. A message is taken whole while the backlog is below `limit`,
/// so a connection holds at most `limit` and one message.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Backpressure {
    /// Below this [`Handler::drained`](crate::Handler::drained) is called and reading goes on. Default: 64 KiB.
    pub low: usize,
    /// From here on sending says [`Sent::Full`](crate::Sent::Full) and reading stops. Default: 256 KiB.
    pub high: usize,
    /// From here on `at_limit` holds. Default: 4 MiB.
    pub limit: usize,
    /// What happens at the limit. Default: close with 1013.
    pub at_limit: AtLimit,
}

impl Default for Backpressure {
    fn default() -> Self {
        Self {
            low: 64 * 1024,
            high: 256 * 1024,
            limit: 4 * 1024 * 1024,
            at_limit: AtLimit::Close(CloseCode::TRY_AGAIN_LATER),
        }
    }
}

/// What happens to a connection whose backlog has reached its limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AtLimit {
    /// It is closed with this code, 1013 or 1008 for instance; what waits for it and is not begun is discarded.
    Close(CloseCode),
    /// New messages for it are dropped until there is room again.
    Drop,
}

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) protocol: Arc<Config>,
    pub(crate) timeouts: Timeouts,
    pub(crate) backpressure: Backpressure,
    pub(crate) policies: Policies,
    pub(crate) max_connections: usize,
    /// What a connection is closed with that has lasted its time.
    pub(crate) lifetime_code: CloseCode,
    pub(crate) admission: Admission,
}
