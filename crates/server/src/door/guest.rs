//! [`Guest`]: what the door keeps for a connection: whose it is, and what may be done with it. Part of every handler's peer.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use wirefan_admission::{Grant, Permit};
use wirefan_eventloop::Caller;

use super::refusal::Ending;

/// Longest time between two looks at a clock that may be set meanwhile, or go on while the machine sleeps.
const LOOK: Duration = Duration::from_secs(5 * 60);
/// The end of a grant that has none.
const NEVER: u64 = u64::MAX;

/// Somebody who has a connection. There is one for each, and most are nobody in particular: then it is a null pointer.
#[derive(Debug)]
pub(crate) struct Guest(Option<Box<Known>>);

/// Somebody of whom something is known.
#[derive(Debug, Default)]
struct Known {
    /// `None`: they are where the connection comes from.
    behind: Option<Behind>,
    standing: Standing,
}

/// What trusted proxies have told about somebody.
#[derive(Debug)]
pub(super) struct Behind {
    addr: SocketAddr,
    /// It counts until this is gone.
    _permit: Option<Arc<Permit>>,
}

#[derive(Debug, Default)]
enum Standing {
    /// Nobody is asked who they are.
    #[default]
    Anyone,
    /// The first message has to be a token.
    Waiting(Wait),
    /// With what a token allows in the room of this connection, until then in seconds since the Unix epoch.
    Granted {
        reads: bool,
        writes: bool,
        expires: u64,
    },
}

#[derive(Debug)]
struct Wait {
    until: Instant,
    _place: Place,
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

impl Behind {
    /// Somebody at `addr`, if that is not where the connection comes from.
    pub(super) fn a_proxy(
        addr: SocketAddr,
        peer: SocketAddr,
        permit: Option<Arc<Permit>>,
    ) -> Option<Self> {
        (addr != peer).then_some(Self {
            addr,
            _permit: permit,
        })
    }
}

impl Guest {
    pub(super) fn anyone(behind: Option<Behind>) -> Self {
        Self(behind.map(|behind| {
            Box::new(Known {
                behind: Some(behind),
                ..Known::default()
            })
        }))
    }

    pub(super) fn waiting(behind: Option<Behind>, patience: Duration, place: Place) -> Self {
        let standing = Standing::Waiting(Wait {
            until: Instant::now() + patience,
            _place: place,
        });
        Self(Some(Box::new(Known { behind, standing })))
    }

    fn standing(&self) -> &Standing {
        (self.0.as_ref()).map_or(&Standing::Anyone, |known| &known.standing)
    }

    /// Gives them what a grant allows in this room, where there are rooms. Returns whether that is anything.
    pub(super) fn be_granted(&mut self, grant: &Grant, room: Option<&str>) -> bool {
        let (reads, writes) = match room {
            Some(room) => (grant.may_read(room), grant.may_write(room)),
            None => (true, true),
        };
        self.0.get_or_insert_default().standing = Standing::Granted {
            reads,
            writes,
            expires: grant.expires.unwrap_or(NEVER),
        };
        reads || writes
    }

    /// The caller with the address where they are: behind trusted proxies, what those say.
    pub(crate) fn caller(&self, caller: Caller) -> Caller {
        Caller {
            addr: self.addr(caller.addr),
            ..caller
        }
    }

    /// Where they are, if their connection comes from `peer`.
    pub(crate) fn addr(&self, peer: SocketAddr) -> SocketAddr {
        let behind = self.0.as_ref().and_then(|known| known.behind.as_ref());
        behind.map_or(peer, |behind| behind.addr)
    }

    /// Whether the token has yet to come.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.standing(), Standing::Waiting(_))
    }

    /// Whether they may get what others send.
    pub(crate) fn reads(&self) -> bool {
        match *self.standing() {
            Standing::Anyone => true,
            Standing::Waiting(_) => false,
            Standing::Granted { reads, .. } => reads,
        }
    }

    /// Whether they may send something.
    #[inline]
    pub(super) fn writes(&self) -> bool {
        match *self.standing() {
            Standing::Anyone => true,
            Standing::Waiting(_) => false,
            Standing::Granted { writes, .. } => writes,
        }
    }

    /// When to look again, or why they have to go. `now` is in seconds since the Unix epoch.
    pub(super) fn look(&self, now: u64) -> Result<Option<Duration>, Ending> {
        match self.standing() {
            Standing::Anyone => Ok(None),
            Standing::Waiting(wait) => {
                let left = wait.until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(Ending::NoToken);
                }
                Ok(Some(left))
            }
            Standing::Granted { expires, .. } => match *expires {
                NEVER => Ok(None),
                expires if now >= expires => Err(Ending::Expired),
                expires => Ok(Some(Duration::from_secs(expires - now).min(LOOK))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_small() {
        assert_eq!(size_of::<Guest>(), size_of::<usize>());
        assert!(Guest::anyone(None).0.is_none());
    }

    #[test]
    fn a_grant_is_for_its_rooms_and_its_time() {
        let mut grant = Grant::new("ann");
        grant.read = "/news".parse().unwrap();
        grant.expires = Some(100);
        let mut guest = Guest::anyone(None);
        assert!(guest.be_granted(&grant, Some("/news")));
        assert!(guest.reads() && !guest.writes());
        assert_eq!(guest.look(40), Ok(Some(Duration::from_secs(60))));
        assert_eq!(guest.look(100), Err(Ending::Expired));
        assert!(!guest.be_granted(&grant, Some("/tea")));
        assert!(guest.be_granted(&grant, None) && guest.writes());
        grant.expires = Some(u64::MAX - 1);
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
        let guest = Guest::waiting(None, Duration::ZERO, two);
        assert_eq!(guest.look(0), Err(Ending::NoToken));
        assert!(!guest.reads() && !guest.writes() && guest.is_waiting());
        assert!(Place::take(&taken, 2).is_some());
        drop(guest);
        assert_eq!(taken.load(Ordering::Relaxed), 0);
    }
}
