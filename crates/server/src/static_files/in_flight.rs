//! [`InFlight`]: how many bytes of files are on their way, so that many slow readers cannot hold a copy each.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::collections::HashMap;
use std::sync::Arc;

use wirefan_eventloop::ConnId;

/// As much as is sent at a time, on all workers. A file that is larger is sent when nothing else is.
const MOST: usize = 64 << 20;

/// What one worker is sending; clones count together.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    all: Arc<AtomicUsize>,
    here: HashMap<ConnId, usize>,
}

impl Clone for InFlight {
    fn clone(&self) -> Self {
        Self {
            all: Arc::clone(&self.all),
            here: HashMap::new(),
        }
    }
}

impl InFlight {
    /// Something is to be sent to a caller. Returns whether it may be.
    pub(super) fn begin(&mut self, id: ConnId, len: usize) -> bool {
        let more = |all: usize| match all.checked_add(len) {
            Some(sum) if all == 0 || sum <= MOST => Some(sum),
            _ => None,
        };
        let may = self
            .all
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok();
        if may && len > 0 {
            *self.here.entry(id).or_default() += len;
        }
        may
    }

    /// The caller has all of it, or has gone.
    pub(super) fn end(&mut self, id: ConnId) {
        if let Some(len) = self.here.remove(&id) {
            self.all.fetch_sub(len, Ordering::Relaxed);
        }
    }
}
