//! [`Guest`]: what the door keeps for a connection: whose it is, and what may be done with it. Part of every handler's peer.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use wirefan_admission::{Grant, Permit};
use wirefan_eventloop::Caller;

use super::refusal::Ending;

/// Longest time between two looks at a clock that may be set meanwhile.
const LOOK: Duration = Duration::from_secs(60 * 60);

/// Somebody who has a connection.
#[derive(Debug)]
pub(crate) struct Guest {
    addr: SocketAddr,
    standing: Standing,
    /// It counts until this is gone.
    _permit: Option<Arc<Permit>>,
}

#[derive(Debug)]
enum Standing {
    /// Nobody is asked who they are.
    Anyone,
    /// The first message has to be a token, until then.
    Waiting { until: Instant, _place: Place },
    /// With what a token allows in the room of this connection.
    Granted(Allowed),
}

/// What a grant comes to in one room.
#[derive(Clone, Copy, Debug)]
struct Allowed {
    reads: bool,
    writes: bool,
    /// In seconds since the Unix epoch.
    expires: Option<u64>,
}

/// A place among those who wait; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Place {
    /// A place, if fewer than `most` are taken.
    pub(super) fn take(taken: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let place = Self(Arc::clone(taken));
        (taken.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Guest {
    pub(super) fn anyone(addr: SocketAddr, permit: Option<Arc<Permit>>) -> Self {
        Self {
            addr,
            standing: Standing::Anyone,
            _permit: permit,
        }
    }

    pub(super) fn waiting(
        addr: SocketAddr,
        permit: Option<Arc<Permit>>,
        patience: Duration,
        place: Place,
    ) -> Self {
        let standing = Standing::Waiting {
            until: Instant::now() + patience,
            _place: place,
        };
        Self {
            addr,
            standing,
            _permit: permit,
        }
    }

    /// Gives them what a grant allows in this room, where there are rooms. Returns whether that is anything.
    pub(super) fn be_granted(&mut self, grant: &Grant, room: Option<&str>) -> bool {
        let (reads, writes) = match room {
            Some(room) => (grant.may_read(room), grant.may_write(room)),
            None => (true, true),
        };
        self.standing = Standing::Granted(Allowed {
            reads,
            writes,
            expires: grant.expires,
        });
        reads || writes
    }

    /// Where they are: behind trusted proxies, what those say.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The caller, by that address.
    pub(crate) fn caller(&self, caller: Caller) -> Caller {
        let addr = self.addr;
        Caller { addr, ..caller }
    }

    /// Whether the token has yet to come.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.standing, Standing::Waiting { .. })
    }

    /// Whether they may get what others send.
    pub(crate) fn reads(&self) -> bool {
        match self.standing {
            Standing::Anyone => true,
            Standing::Waiting { .. } => false,
            Standing::Granted(allowed) => allowed.reads,
        }
    }

    /// Whether they may send something.
    #[inline]
    pub(super) fn writes(&self) -> bool {
        match self.standing {
            Standing::Anyone => true,
            Standing::Waiting { .. } => false,
            Standing::Granted(allowed) => allowed.writes,
        }
    }

    /// When to look again, or why they have to go. `now` is in seconds since the Unix epoch.
    pub(super) fn look(&self, now: u64) -> Result<Option<Duration>, Ending> {
        match self.standing {
            Standing::Anyone => Ok(None),
            Standing::Waiting { until, .. } => {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(Ending::NoToken);
                }
                Ok(Some(left))
            }
            Standing::Granted(Allowed { expires, .. }) => match expires {
                None => Ok(None),
                Some(expires) if now >= expires => Err(Ending::Expired),
                Some(expires) => Ok(Some(Duration::from_secs(expires - now).min(LOOK))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr() -> SocketAddr {
        ([192, 0, 2, 1], 1).into()
    }

    #[test]
    fn a_grant_is_for_its_rooms_and_its_time() {
        let mut grant = Grant::new("ann");
        grant.read = "/news".parse().unwrap();
        grant.expires = Some(100);
        let mut guest = Guest::anyone(addr(), None);
        assert!(guest.be_granted(&grant, Some("/news")));
        assert!(guest.reads() && !guest.writes());
        assert_eq!(guest.look(40), Ok(Some(Duration::from_secs(60))));
        assert_eq!(guest.look(100), Err(Ending::Expired));
        assert!(!guest.be_granted(&grant, Some("/tea")));
        assert!(guest.be_granted(&grant, None) && guest.writes());
        grant.expires = Some(u64::MAX);
        assert!(guest.be_granted(&grant, Some("/news")));
        assert_eq!(guest.look(0), Ok(Some(LOOK)));
    }

    #[test]
    fn places_are_counted_and_given_back() {
        let taken = Arc::default();
        let one = Place::take(&taken, 2).unwrap();
        let two = Place::take(&taken, 2).unwrap();
        assert!(Place::take(&taken, 2).is_none());
        assert!(Place::take(&taken, 2).is_none());
        drop(one);
        let guest = Guest::waiting(addr(), None, Duration::ZERO, two);
        assert_eq!(guest.look(0), Err(Ending::NoToken));
        assert!(!guest.reads() && !guest.writes() && guest.is_waiting());
        assert!(Place::take(&taken, 2).is_some());
        drop(guest);
        assert_eq!(taken.load(Ordering::Relaxed), 0);
    }
}
