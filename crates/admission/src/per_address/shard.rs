//! [`Shard`]: a part of the table, under one lock. Used by `per_address`.

use std::collections::HashMap;
use std::mem;

use wirefan_protocol::Millis;

use super::{AddressLimits, AddressRefused, Key};
use crate::{Bucket, Rate};

/// The addresses of one part.
///
/// Those without a connection are in two generations. Whoever is asked about moves to the young one; from time to time the old
/// one is thrown away, as one piece, and the young one becomes the old one. That takes no list and no search:
///
/// * after the time that an empty bucket needs to be full: then whoever is still in the old one has a full bucket;
/// * when the young one is full: then the old one holds those that were quiet for longest.
#[derive(Debug)]
pub(super) struct Shard {
    /// With connections.
    active: HashMap<Key, Active>,
    young: HashMap<Key, Bucket>,
    old: HashMap<Key, Bucket>,
    /// Most entries of a generation.
    generation: usize,
    /// When the generations last changed by time.
    turned: Millis,
}

#[derive(Debug)]
struct Active {
    connections: u32,
    /// Where handshakes have a limit.
    handshakes: Option<Bucket>,
}

impl Shard {
    pub(super) fn new(generation: usize) -> Self {
        Self {
            active: HashMap::new(),
            young: HashMap::new(),
            old: HashMap::new(),
            generation,
            turned: Millis(0),
        }
    }

    /// Counts a handshake and a connection.
    pub(super) fn admit(
        &mut self,
        key: Key,
        limits: &AddressLimits,
        now: Millis,
    ) -> Result<(), AddressRefused> {
        self.sweep(limits, now);
        let connections = self.connections(key);
        let mut handshakes = limits
            .handshakes
            .map(|rate| (rate, self.bucket(key, rate, now)));
        let in_time = match &mut handshakes {
            Some((rate, bucket)) => bucket
                .take(1, *rate, now)
                .map_err(|retry_after| AddressRefused::TooManyHandshakes { retry_after }),
            None => Ok(()),
        };
        let handshakes = handshakes.map(|(_, bucket)| bucket);
        let room = limits.connections.is_none_or(|most| connections < most);
        let answer = match (in_time, room) {
            (Ok(()), false) => Err(AddressRefused::TooManyConnections),
            (answer, _) => answer,
        };
        // A refused one without connections has no place among the active.
        let connections = connections.saturating_add(u32::from(answer.is_ok()));
        if connections > 0 {
            let active = Active {
                connections,
                handshakes,
            };
            self.active.insert(key, active);
        } else {
            self.remember(key, handshakes);
        }
        answer
    }

    /// Counts a connection less.
    pub(super) fn release(&mut self, key: Key, limits: &AddressLimits) {
        let Some(active) = self.active.get_mut(&key) else {
            return;
        };
        active.connections = active.connections.saturating_sub(1);
        if active.connections > 0 {
            return;
        }
        let handshakes = active.handshakes;
        self.active.remove(&key);
        if limits.handshakes.is_some() {
            self.remember(key, handshakes);
        }
        // After a storm the room goes too; that takes as many steps as have been made since it was needed.
        if self.active.capacity() > 64 && self.active.len() < self.active.capacity() / 8 {
            self.active.shrink_to(self.active.len() * 2);
        }
    }

    pub(super) fn connections(&self, key: Key) -> u32 {
        self.active.get(&key).map_or(0, |active| active.connections)
    }

    pub(super) fn len(&self) -> usize {
        self.active.len() + self.young.len() + self.old.len()
    }

    /// Throws away what is known to be full by time.
    pub(super) fn sweep(&mut self, limits: &AddressLimits, now: Millis) {
        let Some(rate) = limits.handshakes else {
            return;
        };
        // From empty, which is as low as handshakes get.
        let full_after = u64::from(rate.burst())
            .saturating_mul(1000)
            .div_ceil(rate.tokens_per_second().into());
        let since = now.0.saturating_sub(self.turned.0);
        if since >= full_after.saturating_mul(2) {
            self.young = HashMap::new();
            self.old = HashMap::new();
        } else if since >= full_after {
            self.old = mem::take(&mut self.young);
        } else {
            return;
        }
        self.turned = now;
    }

    /// Takes the bucket of `key` from where it is, or a new one.
    fn bucket(&mut self, key: Key, rate: Rate, now: Millis) -> Bucket {
        self.active
            .get(&key)
            .and_then(|active| active.handshakes)
            .or_else(|| self.young.remove(&key))
            .or_else(|| self.old.remove(&key))
            .unwrap_or_else(|| Bucket::new(rate, now))
    }

    fn remember(&mut self, key: Key, handshakes: Option<Bucket>) {
        let Some(bucket) = handshakes else {
            return;
        };
        if self.young.len() >= self.generation {
            self.old = mem::take(&mut self.young);
        }
        if self.generation > 0 {
            self.young.insert(key, bucket);
        }
    }
}

#[cfg(test)]
impl Shard {
    /// The larger of the two kinds of entry, in bytes.
    pub(super) const ENTRY: usize = size_of::<(Key, Active)>();

    /// How many entries there is room for.
    pub(super) fn room(&self) -> usize {
        self.active.capacity() + self.young.capacity() + self.old.capacity()
    }
}
