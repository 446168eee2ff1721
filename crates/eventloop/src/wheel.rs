//! [`Wheel`]: coarse deadlines, one entry for each connection, moved lazily. A deadline that comes later than its
//! entry is looked at once and put back; nothing is done when a connection is merely busy.

use wirefan_protocol::Millis;

/// How coarse deadlines are, in milliseconds.
const TICK: u64 = 32;
/// Ticks in one turn of the wheel; what is due later stays for another turn.
const BUCKETS: usize = 1024;

/// A deadline of a connection, as coarse as the wheel and half as large as [`Millis`]: the first four years of a loop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Deadline(u32);

impl Deadline {
    pub(crate) const NEVER: Self = Self(u32::MAX);

    /// At `due`, or up to a tick later.
    pub(crate) fn new(due: Millis) -> Self {
        let ticks = u32::try_from(due.0.div_ceil(TICK));
        ticks.map_or(Self::NEVER, Self)
    }

    pub(crate) fn get(self) -> Millis {
        match self {
            Self::NEVER => Millis(u64::MAX),
            Self(ticks) => Millis(u64::from(ticks) * TICK),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Wheel {
    buckets: Vec<Vec<Entry>>,
    /// A bit for each bucket that is not empty: every turn asks which is the next.
    filled: [u64; BUCKETS / 64],
    /// The next tick to look at.
    next: u64,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    slot: u32,
    /// The lower half of the tick: enough for four years.
    tick: u32,
}

impl Wheel {
    pub(crate) fn new(now: Millis) -> Self {
        Self {
            buckets: vec![Vec::new(); BUCKETS],
            filled: [0; BUCKETS / 64],
            next: now.0 / TICK,
            len: 0,
        }
    }

    /// Has `slot` come out of [`expired`](Self::expired) at `due` or up to a tick later; returns when that is.
    pub(crate) fn insert(&mut self, slot: u32, due: Millis) -> Deadline {
        let tick = due.0.div_ceil(TICK).max(self.next);
        let place = tick as usize % BUCKETS;
        self.buckets[place].push(Entry {
            slot,
            tick: tick as u32,
        });
        self.filled[place / 64] |= 1 << (place % 64);
        self.len += 1;
        Deadline::new(Millis(tick.saturating_mul(TICK)))
    }

    /// Takes an entry out, `at` being what [`insert`](Self::insert) returned for it.
    pub(crate) fn remove(&mut self, slot: u32, at: Deadline) {
        let tick = at.get().0 / TICK;
        let place = tick as usize % BUCKETS;
        let bucket = &mut self.buckets[place];
        let is_it = |entry: &Entry| entry.slot == slot && entry.tick == tick as u32;
        if let Some(entry) = bucket.iter().position(is_it) {
            bucket.swap_remove(entry);
            self.len -= 1;
            if bucket.is_empty() {
                self.filled[place / 64] &= !(1 << (place % 64));
            }
        }
    }

    /// Moves the slots whose time has come into `slots`.
    pub(crate) fn expired(&mut self, now: Millis, slots: &mut Vec<u32>) {
        let last = now.0 / TICK;
        // After a long sleep one look at each bucket is enough.
        let first = self.next.max(last.saturating_sub(BUCKETS as u64 - 1));
        for tick in first..=last {
            let place = tick as usize % BUCKETS;
            let bucket = &mut self.buckets[place];
            bucket.retain(|entry| {
                let due = (entry.tick.wrapping_sub(last as u32) as i32) <= 0;
                if due {
                    slots.push(entry.slot);
                    self.len -= 1;
                }
                !due
            });
            if bucket.is_empty() {
                self.filled[place / 64] &= !(1 << (place % 64));
                if bucket.capacity() > 64 {
                    *bucket = Vec::new();
                }
            }
        }
        self.next = self.next.max(last + 1);
    }

    #[cfg(all(test, feature = "tls"))] // for `sim`
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// When to look again; `None`: there are no entries.
    pub(crate) fn next(&self) -> Option<Millis> {
        if self.len == 0 {
            return None;
        }
        let start = self.next as usize % BUCKETS;
        // The first word twice: from the bucket on, and at the end the buckets before it.
        for turn in 0..=self.filled.len() {
            let word = (start / 64 + turn) % self.filled.len();
            let from = match turn {
                0 => !0 << (start % 64),
                _ => !0,
            };
            let filled = self.filled[word] & from;
            if filled != 0 {
                let place = word * 64 + filled.trailing_zeros() as usize;
                let ahead = (place + BUCKETS - start) % BUCKETS;
                return Some(Millis((self.next + ahead as u64) * TICK));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_entry_comes_out_within_a_tick_and_not_before() {
        let mut wheel = Wheel::new(Millis(1000));
        let at = wheel.insert(7, Millis(1500)).get();
        assert!(at >= Millis(1500) && at < Millis(1500 + TICK));
        let mut slots = Vec::new();
        wheel.expired(Millis(1499), &mut slots);
        assert!(slots.is_empty());
        wheel.expired(at, &mut slots);
        assert_eq!((slots, wheel.next()), (vec![7], None));
    }

    #[test]
    fn a_deadline_is_never_early_and_at_most_a_tick_late() {
        for due in [0, 1, TICK - 1, TICK, TICK + 1, 1 << 36] {
            let at = Deadline::new(Millis(due)).get();
            assert!(at >= Millis(due) && at < Millis(due + TICK), "{due}");
        }
        let last = (u64::from(u32::MAX) - 1) * TICK;
        assert_eq!(Deadline::new(Millis(last)).get(), Millis(last));
        for due in [last + 1, u64::MAX] {
            assert_eq!(Deadline::new(Millis(due)), Deadline::NEVER);
        }
    }

    #[test]
    fn an_entry_that_is_removed_does_not_come_out() {
        let mut wheel = Wheel::new(Millis(0));
        let entries = [500, 500, 90_000].map(|due| wheel.insert(7, Millis(due)));
        wheel.remove(7, entries[2]);
        wheel.remove(7, entries[0]);
        wheel.remove(8, entries[1]);
        let mut slots = Vec::new();
        wheel.expired(Millis(100_000), &mut slots);
        assert_eq!((slots, wheel.next()), (vec![7], None));
    }

    #[test]
    fn what_is_due_in_a_later_turn_of_the_wheel_waits_for_it() {
        let mut wheel = Wheel::new(Millis(0));
        let far = TICK * BUCKETS as u64 * 3 + 5;
        wheel.insert(1, Millis(far));
        let mut slots = Vec::new();
        for now in (0..far).step_by(TICK as usize) {
            wheel.expired(Millis(now), &mut slots);
            assert!(slots.is_empty(), "at {now}");
        }
        wheel.expired(Millis(far + TICK), &mut slots);
        assert_eq!(slots, [1]);
    }

    proptest! {
        #[test]
        fn every_entry_comes_out_once_whatever_the_clock_does(
            dues in prop::collection::vec(0_u64..200_000, 1..50),
            steps in prop::collection::vec(0_u64..100_000, 1..30),
        ) {
            let mut wheel = Wheel::new(Millis(0));
            for (slot, due) in dues.iter().enumerate() {
                wheel.insert(slot as u32, Millis(*due));
            }
            let (mut now, mut seen) = (0, vec![false; dues.len()]);
            for step in steps.into_iter().chain([200_000 + TICK]) {
                now += step;
                let mut slots = Vec::new();
                wheel.expired(Millis(now), &mut slots);
                let ticks = wheel.next..wheel.next + BUCKETS as u64;
                let filled = |tick: &u64| !wheel.buckets[*tick as usize % BUCKETS].is_empty();
                let first = ticks.into_iter().find(filled);
                prop_assert_eq!(wheel.next(), first.map(|tick| Millis(tick * TICK)));
                for slot in slots {
                    prop_assert!(!seen[slot as usize] && dues[slot as usize] <= now);
                    seen[slot as usize] = true;
                }
                for (slot, due) in dues.iter().enumerate() {
                    prop_assert!(seen[slot] || due + TICK > now, "{slot} due at {due} was late at {now}");
                }
            }
        }
    }
}
