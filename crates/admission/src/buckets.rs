//! [`Rate`] and [`Bucket`]: how much in how long, with the time as an argument. [`Traffic`] is the pair for what a connection
//! sends; `per_address` has one for the handshakes of an address.

use std::num::NonZeroU32;
use std::time::Duration;

use wirefan_protocol::Millis;

/// A bucket counts in thousandths of a token, so that each millisecond adds a whole number of them and nothing is rounded.
const PARTS: i64 = 1000;

/// How many tokens come in a second, and how many can be saved up. Shared by buckets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    per_second: NonZeroU32,
    burst: NonZeroU32,
}

impl Rate {
    /// So many in a second, and at most `burst` at once.
    pub const fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        Self { per_second, burst }
    }

    /// So many in a second, and at most those of one second at once.
    pub const fn per_second(per_second: NonZeroU32) -> Self {
        Self::new(per_second, per_second)
    }

    /// How many tokens come in a second.
    pub const fn tokens_per_second(self) -> u32 {
        self.per_second.get()
    }

    /// How many tokens can be saved up.
    pub const fn burst(self) -> u32 {
        self.burst.get()
    }

    fn full(self) -> i64 {
        i64::from(self.burst()) * PARTS
    }

    /// How long it takes until `parts` more have come.
    fn time_for(self, parts: i64) -> Duration {
        let parts = u64::try_from(parts).unwrap_or(0);
        Duration::from_millis(parts.div_ceil(self.tokens_per_second().into()))
    }
}

/// A token bucket. It begins full.
///
/// Time that goes backwards counts as none. Nothing is rounded: over any time, exactly what the rate says has come.
///
/// ```
/// use std::num::NonZeroU32;
/// use std::time::Duration;
/// use wirefan_admission::{Bucket, Rate};
/// use wirefan_protocol::Millis;
///
/// let (ten, twenty) = (NonZeroU32::new(10).unwrap(), NonZeroU32::new(20).unwrap());
/// let rate = Rate::new(ten, twenty);
/// let mut bucket = Bucket::new(rate, Millis(0));
/// assert_eq!(bucket.take(20, rate, Millis(0)), Ok(()));
/// assert_eq!(bucket.take(1, rate, Millis(0)), Err(Duration::from_millis(100)));
/// assert_eq!(bucket.take(1, rate, Millis(100)), Ok(()));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bucket {
    /// In thousandths of a token; below zero is owed.
    level: i64,
    at: Millis,
}

impl Bucket {
    /// A full bucket.
    pub fn new(rate: Rate, now: Millis) -> Self {
        Self {
            level: rate.full(),
            at: now,
        }
    }

    /// Takes `tokens`, if they are there: for what can be refused.
    ///
    /// # Errors
    ///
    /// How long it takes until they are; nothing is taken then. More than the burst never are, however long one
    /// waits: then it is the time until the bucket is full.
    pub fn take(&mut self, tokens: u32, rate: Rate, now: Millis) -> Result<(), Duration> {
        self.fill(rate, now);
        let wanted = i64::from(tokens) * PARTS;
        if wanted > self.level {
            return Err(rate.time_for(wanted.min(rate.full()) - self.level));
        }
        self.level -= wanted;
        Ok(())
    }

    /// Takes `tokens`, whether they are there or not: for what has come already, as the bytes of a message.
    ///
    /// Returns the moment from which on nothing is owed, if that is not now: read no more until then. Debts end at 2³² - 1
    /// tokens.
    pub fn charge(&mut self, tokens: u64, rate: Rate, now: Millis) -> Option<Millis> {
        self.fill(rate, now);
        let tokens = i64::from(u32::try_from(tokens).unwrap_or(u32::MAX));
        let most_owed = -(i64::from(u32::MAX) * PARTS);
        self.level = (self.level - tokens * PARTS).max(most_owed);
        // What is past stays past: a clock that went back does not make the wait longer.
        (self.level < 0).then(|| self.at.after(rate.time_for(-self.level)))
    }

    /// Whether there are so many tokens, or as many as there can be.
    fn has(&mut self, tokens: u64, rate: Rate, now: Millis) -> bool {
        self.fill(rate, now);
        let tokens = i64::from(u32::try_from(tokens).unwrap_or(u32::MAX));
        self.level >= (tokens * PARTS).min(rate.full())
    }

    /// Whether all that was taken has come back.
    pub fn is_full(&mut self, rate: Rate, now: Millis) -> bool {
        self.fill(rate, now);
        self.level == rate.full()
    }

    fn fill(&mut self, rate: Rate, now: Millis) {
        let Some(elapsed) = now.0.checked_sub(self.at.0) else {
            return;
        };
        self.at = now;
        let missing = rate.full() - self.level;
        let come = i64::try_from(elapsed)
            .ok()
            .and_then(|elapsed| elapsed.checked_mul(rate.tokens_per_second().into()));
        // Where even the product is too large, all of it has come.
        self.level += come.map_or(missing, |come| come.min(missing));
    }
}

/// How much a connection may send; `None`: as much as it can.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct TrafficLimits {
    /// Messages.
    pub messages: Option<Rate>,
    /// Bytes of messages.
    pub bytes: Option<Rate>,
}

/// What a connection has sent, against [`TrafficLimits`]. 32 bytes for each connection, and no allocation.
///
/// ```
/// use std::num::NonZeroU32;
/// use wirefan_admission::{Rate, Traffic, TrafficLimits};
/// use wirefan_protocol::Millis;
///
/// let mut limits = TrafficLimits::default();
/// limits.bytes = NonZeroU32::new(1000).map(Rate::per_second);
/// let mut traffic = Traffic::new(&limits, Millis(0));
/// assert_eq!(traffic.message(800, &limits, Millis(0)), None);
/// // 600 bytes too many: no more is read for 0.6 s, or the connection is closed with 1008, as one likes.
/// assert_eq!(traffic.message(800, &limits, Millis(0)), Some(Millis(600)));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Traffic {
    messages: Bucket,
    bytes: Bucket,
}

impl Traffic {
    /// A connection that has sent nothing.
    pub fn new(limits: &TrafficLimits, now: Millis) -> Self {
        let bucket = |rate: Option<Rate>| {
            rate.map_or(Bucket { level: 0, at: now }, |rate| Bucket::new(rate, now))
        };
        Self {
            messages: bucket(limits.messages),
            bytes: bucket(limits.bytes),
        }
    }

    /// Counts a message of `len` bytes. Returns the moment until which no more should be read, if it was too much.
    pub fn message(&mut self, len: u64, limits: &TrafficLimits, now: Millis) -> Option<Millis> {
        let by_count = limits
            .messages
            .and_then(|rate| self.messages.charge(1, rate, now));
        let by_len = limits
            .bytes
            .and_then(|rate| self.bytes.charge(len, rate, now));
        by_count.max(by_len)
    }

    /// Counts a message of `len` bytes if it may pass, and returns whether it may: for messages that are dropped otherwise.
    /// One that is larger than what can be saved up passes when that is full, and is paid for behind.
    pub fn try_message(&mut self, len: u64, limits: &TrafficLimits, now: Millis) -> bool {
        let by_count = limits
            .messages
            .is_none_or(|rate| self.messages.has(1, rate, now));
        let by_len = limits
            .bytes
            .is_none_or(|rate| self.bytes.has(len, rate, now));
        let passes = by_count && by_len;
        if passes {
            self.message(len, limits, now);
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate::new(
            NonZeroU32::new(per_second).unwrap(),
            NonZeroU32::new(burst).unwrap(),
        )
    }

    #[test]
    fn what_is_not_there_is_not_taken() {
        let rate = rate(3, 5);
        let mut bucket = Bucket::new(rate, Millis(7));
        assert_eq!(bucket.take(4, rate, Millis(7)), Ok(()));
        let wait = Duration::from_millis(334);
        assert_eq!(bucket.take(2, rate, Millis(7)), Err(wait));
        assert_eq!(
            bucket.take(2, rate, Millis(340)),
            Err(Duration::from_millis(1))
        );
        assert_eq!(bucket.take(2, rate, Millis(341)), Ok(()));
        // More than fits: the time until it is full, which is as good as it gets.
        assert_eq!(
            bucket.take(9, rate, Millis(341)),
            Err(Duration::from_millis(1666))
        );
    }

    #[test]
    fn what_has_come_is_owed_and_paid_back() {
        let rate = rate(1000, 1);
        let mut bucket = Bucket::new(rate, Millis(0));
        assert_eq!(bucket.charge(1, rate, Millis(0)), None);
        assert_eq!(bucket.charge(5000, rate, Millis(0)), Some(Millis(5000)));
        assert_eq!(bucket.charge(0, rate, Millis(4999)), Some(Millis(5000)));
        assert_eq!(bucket.charge(0, rate, Millis(5000)), None);
        assert!(!bucket.is_full(rate, Millis(5000)));
        assert!(bucket.is_full(rate, Millis(5001)));
    }

    #[test]
    fn refill_is_exact_over_long_times() {
        // 7 in a second, asked every 613 ms for a week: what came in between is neither lost nor made up.
        let rate = rate(7, 7);
        let mut bucket = Bucket::new(rate, Millis(0));
        assert_eq!(bucket.take(7, rate, Millis(0)), Ok(()));
        let (mut now, mut taken) = (0, 0_u64);
        while now < 7 * 86_400_000_u64 {
            now += 613;
            while bucket.take(1, rate, Millis(now)).is_ok() {
                taken += 1;
            }
        }
        assert_eq!(taken, now * 7 / 1000);
    }

    #[test]
    fn the_ends_of_the_numbers() {
        let largest = rate(u32::MAX, u32::MAX);
        let smallest = rate(1, 1);
        for rate in [largest, smallest] {
            let mut bucket = Bucket::new(rate, Millis(0));
            let _ = bucket.charge(u64::MAX, rate, Millis(0));
            for _ in 0..3 {
                let until = bucket.charge(u64::MAX, rate, Millis(0)).unwrap();
                let longest = u64::from(u32::MAX) * 1000 / u64::from(rate.tokens_per_second());
                assert_eq!(until, Millis(longest));
            }
            assert!(bucket.is_full(rate, Millis(u64::MAX)));
            assert_eq!(bucket.take(rate.burst(), rate, Millis(u64::MAX)), Ok(()));
            assert!(bucket.take(u32::MAX, rate, Millis(0)).is_err());
        }
    }

    #[test]
    fn time_that_goes_back_gives_nothing_and_takes_nothing() {
        let rate = rate(10, 10);
        let mut bucket = Bucket::new(rate, Millis(1000));
        assert_eq!(bucket.take(10, rate, Millis(1000)), Ok(()));
        assert!(bucket.take(1, rate, Millis(0)).is_err());
        assert!(bucket.take(1, rate, Millis(1099)).is_err());
        assert_eq!(bucket.take(1, rate, Millis(1100)), Ok(()));
    }

    #[test]
    fn the_longer_of_two_waits_counts() {
        let mut limits = TrafficLimits::default();
        let mut traffic = Traffic::new(&limits, Millis(0));
        assert_eq!(traffic.message(u64::MAX, &limits, Millis(0)), None);
        limits.messages = Some(rate(1, 2));
        limits.bytes = Some(rate(10, 10));
        let mut traffic = Traffic::new(&limits, Millis(0));
        assert_eq!(traffic.message(10, &limits, Millis(0)), None);
        assert_eq!(traffic.message(5, &limits, Millis(0)), Some(Millis(500)));
        assert_eq!(traffic.message(0, &limits, Millis(0)), Some(Millis(1000)));
        assert_eq!(size_of::<Traffic>(), 32);
    }

    #[test]
    fn what_does_not_pass_costs_nothing_and_the_largest_passes_in_the_end() {
        let limits = TrafficLimits {
            messages: Some(rate(1, 2)),
            bytes: Some(rate(10, 10)),
        };
        let mut traffic = Traffic::new(&limits, Millis(0));
        let mut passes = |len, now| traffic.try_message(len, &limits, Millis(now));
        assert!(passes(6, 0));
        assert!(!passes(5, 0) && !passes(5, 99));
        assert!(passes(5, 100));
        // There are bytes again, and no more messages.
        assert!(!passes(0, 999));
        assert!(passes(0, 1000));
        assert!(!passes(1000, 1999));
        assert!(passes(1000, 2000));
        assert!(!passes(1, 2000) && !passes(1, 101_099));
        assert!(passes(1, 101_100));
    }

    proptest! {
        #[test]
        fn it_never_gives_more_than_the_rate_allows_nor_less(
            per_second in 1_u32..5000, burst in 1_u32..5000,
            asks in proptest::collection::vec((0_u64..3000, 0_u32..6000), 1..50),
        ) {
            let rate = rate(per_second, burst);
            let mut bucket = Bucket::new(rate, Millis(0));
            // The same in thousandths, with numbers so large that nothing can go wrong.
            let (mut now, mut level) = (0_u64, i128::from(burst) * 1000);
            for (pause, tokens) in asks {
                now += pause;
                level = (level + i128::from(pause) * i128::from(per_second)).min(i128::from(burst) * 1000);
                let wanted = i128::from(tokens) * 1000;
                match bucket.take(tokens, rate, Millis(now)) {
                    Ok(()) => {
                        prop_assert!(wanted <= level);
                        level -= wanted;
                    }
                    Err(wait) => {
                        prop_assert!(wanted > level);
                        if tokens <= burst {
                            let (mut early, mut late) = (bucket, bucket);
                            let wait = u64::try_from(wait.as_millis()).unwrap();
                            prop_assert!(late.take(tokens, rate, Millis(now + wait)).is_ok());
                            prop_assert!(early.take(tokens, rate, Millis(now + wait - 1)).is_err());
                        }
                    }
                }
            }
        }
    }
}
