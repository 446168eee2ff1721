//! [`Policy`]: what becomes of a topic's messages that wait for a slow reader, and [`Drops`], how many were lost to that.

use core::cell::Cell;
use core::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use wirefan_protocol::CloseCode;

/// What happens to the messages of a topic that wait for a member who reads slowly.
///
/// Messages wait only where a socket has refused what came before; whoever keeps up is never concerned. What the system
/// has taken already is out of reach, and a message that has gone out in part is finished. What remains arrives in the
/// order in which it was published. Each message that waits counts its length and 64 bytes.
///
/// Beside it, [`Backpressure::limit`](crate::Backpressure::limit) bounds everything that waits for a connection: at that
/// limit too this policy says what becomes of the topic's messages.
///
/// ```
/// use std::time::Duration;
/// use wirefan_eventloop::{Policy, Server, WhenSlow};
///
/// let builder = Server::builder().topic_policy(|topic| {
///     topic.starts_with("prices/").then(|| {
///         let mut policy = Policy::new(WhenSlow::Conflate);
///         policy.max_age = Some(Duration::from_secs(5));
///         policy
///     })
/// });
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Policy {
    /// What is done for a reader that is slow.
    pub when_slow: WhenSlow,
    /// The bytes of this topic that may wait for one member. Default: 1 MiB.
    pub limit: usize,
    /// How long a message may wait for one member. One that is older is dropped, or its reader closed with
    /// [`WhenSlow::Close`], at most a tenth of a second late; `None`: for ever. Default: `None`.
    pub max_age: Option<Duration>,
}

impl Policy {
    /// With the default limit, and without an age.
    pub fn new(when_slow: WhenSlow) -> Self {
        Self {
            when_slow,
            limit: 1024 * 1024,
            max_age: None,
        }
    }
}

/// What is done for a reader that is slow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhenSlow {
    /// At the limit it is closed with this code, 1013 for instance.
    Close(CloseCode),
    /// New messages are dropped as long as what waits is at the limit: what it gets is what came first.
    DropNew,
    /// The oldest messages make room for new ones: what it gets is what came last.
    DropOldest,
    /// Of the messages with the same key only the newest waits; those without a key are of one key together. At the
    /// limit the oldest of all make room.
    Conflate,
}

/// Messages, each counted once for each member who lost it, and members closed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Drops {
    /// Not taken at a limit.
    pub newest: u64,
    /// Dropped to make room for newer ones.
    pub oldest: u64,
    /// Replaced by a newer one of their key.
    pub conflated: u64,
    /// Dropped for their age.
    pub expired: u64,
    /// Members closed for reading too slowly. What waited for them is not counted.
    pub closed: u64,
}

impl Drops {
    /// The messages.
    pub fn messages(&self) -> u64 {
        self.newest + self.oldest + self.conflated + self.expired
    }
}

/// The policy of one topic on one worker, and what it has led to. It outlives the topic where its messages still wait.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) policy: Policy,
    drops: Cell<Drops>,
    /// Those of the whole worker.
    all: Rc<Tally>,
}

/// What a worker has lost to slow readers.
#[derive(Debug, Default)]
pub(crate) struct Tally(Cell<Drops>);

impl Rules {
    pub(crate) fn new(policy: Policy, all: Rc<Tally>) -> Self {
        Self {
            policy,
            drops: Cell::default(),
            all,
        }
    }

    pub(crate) fn count(&self, add: impl Fn(&mut Drops)) {
        let mut drops = self.drops.get();
        add(&mut drops);
        self.drops.set(drops);
        self.all.count(add);
    }

    pub(crate) fn drops(&self) -> Drops {
        self.drops.get()
    }
}

impl Tally {
    pub(crate) fn count(&self, add: impl Fn(&mut Drops)) {
        let mut drops = self.0.get();
        add(&mut drops);
        self.0.set(drops);
    }

    pub(crate) fn drops(&self) -> Drops {
        self.0.get()
    }
}

/// Chooses the policy of a topic by its name.
#[derive(Clone, Default)]
pub(crate) struct Policies(pub(crate) Option<Arc<Choose>>);

type Choose = dyn Fn(&str) -> Option<Policy> + Send + Sync;

impl Policies {
    pub(crate) fn of(&self, topic: &str) -> Option<Policy> {
        self.0.as_ref()?(topic)
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Policies").field(&self.0.is_some()).finish()
    }
}
