//! [`PerAddress`]: how many connections and handshakes each client address has. Shared by all threads; asked when a
//! connection comes, told when it goes.

mod shard;

use std::error;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wirefan_protocol::Millis;

use crate::Rate;
use shard::Shard;

/// Enough that two threads seldom want the same one.
const SHARDS: usize = 64;

/// What one client address may do.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AddressLimits {
    /// Most connections at a time; `None`: any number. Default: `None`.
    pub connections: Option<u32>,
    /// Handshakes; `None`: any number. Default: `None`.
    pub handshakes: Option<Rate>,
    /// The bits of an IPv6 address that tell one client from another, from 0 to 64. Default: 64, the smallest network that
    /// anybody is given (RFC 6177 §2). Providers that hand out more are counted as one with 56 or 48.
    pub v6_prefix: u8,
    /// Most addresses without a connection whose handshakes are remembered. Default: 131,072.
    pub remembered: usize,
}

impl Default for AddressLimits {
    fn default() -> Self {
        Self {
            connections: None,
            handshakes: None,
            v6_prefix: 64,
            remembered: 128 * 1024,
        }
    }
}

/// The connections and handshakes of each client address. Clones share them.
///
/// IPv6 is counted by network, and IPv4 inside of IPv6 as IPv4.
///
/// **Memory.** An address with connections is kept, so there is at most one entry for each open connection; their number is
/// for the server to bound. An address without is kept only while its bucket is not full again, and at most
/// [`remembered`](AddressLimits::remembered) of them (rounded up to the next 128). That is at most 80 bytes for each that is
/// remembered and 120 for each with connections, slack of the hash tables included.
///
/// **A full table refuses nobody.** Somebody with more IPv6 networks than there is room for would otherwise keep all others out.
/// Instead the addresses that were quiet for longest are forgotten, which means: their buckets are full again. Whoever
/// floods the table gains nothing for an address in use, and to have one of its own forgotten has to come from half as many other
/// networks as are remembered. Against such a one only limits on all connections together help, and a shorter `v6_prefix`.
///
/// **Cost.** One short lock when a connection comes and one when it goes, on one of 64 parts chosen by a keyed hash, so that
/// nobody can aim at one; a few steps in hash tables under it. Messages never come here. Atomics alone could not keep
/// a table, its limit and two numbers of an entry true together.
///
/// ```
/// use std::num::NonZeroU32;
/// use wirefan_admission::{AddressLimits, AddressRefused, PerAddress, Rate};
/// use wirefan_protocol::Millis;
///
/// let mut limits = AddressLimits::default();
/// limits.connections = Some(2);
/// limits.handshakes = NonZeroU32::new(10).map(Rate::per_second);
/// let table = PerAddress::new(limits);
///
/// let first = table.admit("2001:db8::1".parse()?, Millis(0))?;
/// let second = table.admit("2001:db8::2".parse()?, Millis(0))?;
/// let third = table.admit("2001:db8::3".parse()?, Millis(0)); // the same /64
/// assert_eq!(third.unwrap_err(), AddressRefused::TooManyConnections);
/// drop(first); // the connection has ended
/// assert!(table.admit("2001:db8::3".parse()?, Millis(0)).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PerAddress(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: AddressLimits,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

/// A client address, as far as it counts.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Key {
    V4(u32),
    /// The first 64 bits, those behind the prefix cleared.
    V6(u64),
}

impl PerAddress {
    /// An empty table.
    pub fn new(limits: AddressLimits) -> Self {
        let generation = limits.remembered.div_ceil(2 * SHARDS);
        Self(Arc::new(Shared {
            limits,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::new(Shard::new(generation))),
        }))
    }

    /// Counts a handshake, and if it may go on a connection, until the permit is dropped.
    ///
    /// # Errors
    ///
    /// Why not. A handshake that is refused for the number of connections counts as one; those refused for their own number do
    /// not, so that whoever tries again and again gets what the rate allows.
    pub fn admit(&self, address: IpAddr, now: Millis) -> Result<Permit, AddressRefused> {
        let key = self.key(address);
        self.0
            .shard(key)
            .admit(key, &self.0.limits, now)
            .map(|()| Permit {
                shared: Arc::clone(&self.0),
                key,
            })
    }

    /// How many connections this address has.
    pub fn connections(&self, address: IpAddr) -> u32 {
        let key = self.key(address);
        self.0.shard(key).connections(key)
    }

    /// How many addresses there is something to know of.
    pub fn len(&self) -> usize {
        let shards = self.0.shards.iter();
        shards.map(|shard| locked(shard).len()).sum()
    }

    /// Whether there is nothing to know of any address.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets addresses that have no connection and whose buckets are full again. [`admit`](Self::admit) does that too, so this
    /// is only for servers to which nobody comes any more: once a minute will do.
    pub fn sweep(&self, now: Millis) {
        for shard in &self.0.shards {
            locked(shard).sweep(&self.0.limits, now);
        }
    }

    fn key(&self, address: IpAddr) -> Key {
        match address.to_canonical() {
            IpAddr::V4(address) => Key::V4(address.to_bits()),
            IpAddr::V6(address) => {
                let cleared = 64 - u32::from(self.0.limits.v6_prefix.min(64));
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                let network = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
                Key::V6(network & u64::MAX.checked_shl(cleared).unwrap_or(0))
            }
        }
    }
}

impl Shared {
    fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        let [first, ..] = self.hasher.hash_one(key).to_le_bytes();
        locked(&self.shards[usize::from(first) % SHARDS])
    }
}

/// A panic elsewhere leaves numbers behind that are good enough to go on with.
fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection that is counted. Keep it as long as the connection is open, and drop it with it.
#[must_use = "the connection counts until this is dropped"]
pub struct Permit {
    shared: Arc<Shared>,
    key: Key,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let limits = &self.shared.limits;
        self.shared.shard(self.key).release(self.key, limits);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.key).finish()
    }
}

/// Why somebody may not come in now.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum AddressRefused {
    /// The address has as many connections as it may.
    TooManyConnections,
    /// The address makes handshakes faster than it may.
    TooManyHandshakes {
        /// How long it takes until the next one is allowed.
        retry_after: Duration,
    },
}

impl AddressRefused {
    /// One line for the answer, with 429 (RFC 6585 §4).
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooManyConnections => "too many connections from this address",
            Self::TooManyHandshakes { .. } => "too many handshakes from this address",
        }
    }

    /// The value of `Retry-After`: whole seconds, and at least one (RFC 9110 §10.2.3). Nobody knows when a connection ends: then
    /// it is a guess.
    pub fn retry_after_secs(self) -> u64 {
        match self {
            Self::TooManyConnections => 10,
            Self::TooManyHandshakes { retry_after } => {
                let part = u64::from(retry_after.subsec_nanos() > 0);
                (retry_after.as_secs() + part).max(1)
            }
        }
    }
}

impl fmt::Display for AddressRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl error::Error for AddressRefused {}

#[cfg(test)]
mod tests;
