//! [`Histogram`]: how often something took how long, in buckets. Filled by one worker, read by any thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of every histogram, the last one without an upper bound.
const BUCKETS: usize = 14;

/// How often something took how long.
///
/// ```
/// use wirefan_eventloop::Histogram;
///
/// /// The longest that all but one in a hundred took, as well as the buckets tell; `None`: nothing was counted, or it is
/// /// above all bounds.
/// fn p99(histogram: &Histogram) -> Option<std::time::Duration> {
///     let (mut seen, count) = (0, histogram.count());
///     let mut buckets = histogram.buckets();
///     buckets.find(|(_, n)| { seen += n; seen * 100 >= count * 99 && count > 0 })?.0
/// }
/// assert_eq!(p99(&Histogram::default()), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    bounds: &'static [Duration],
    counts: [u64; BUCKETS],
    sum: Duration,
}

impl Histogram {
    /// The buckets, shortest first: the upper bound, included (`None`: there is none), and how many were not above it but
    /// above the one before.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        bounds.zip(self.counts)
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long all of them took together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// Adds the counts of another one with the same bounds.
    pub(crate) fn add(&mut self, other: &Self) {
        self.bounds = other.bounds;
        for (own, more) in self.counts.iter_mut().zip(other.counts) {
            *own += more;
        }
        self.sum += other.sum;
    }
}

/// The side of the worker. It is the only one that writes, so that no instruction has to be a locked one.
#[derive(Debug)]
pub(crate) struct Buckets {
    bounds: &'static [Duration],
    /// The same in nanoseconds: one comparison each.
    below: [u64; BUCKETS - 1],
    counts: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

impl Buckets {
    /// With one bucket for each bound, and one above.
    pub(crate) fn new(bounds: &'static [Duration]) -> Self {
        debug_assert_eq!(bounds.len() + 1, BUCKETS);
        let mut below = [u64::MAX; BUCKETS - 1];
        for (below, bound) in below.iter_mut().zip(bounds) {
            *below = nanos(*bound);
        }
        Self {
            bounds,
            below,
            counts: [const { AtomicU64::new(0) }; BUCKETS],
            nanos: AtomicU64::new(0),
        }
    }

    /// Counts one. Only the worker whose buckets these are may.
    pub(crate) fn record(&self, took: Duration) {
        let took = nanos(took);
        let bucket = self.below.iter().position(|bound| took <= *bound);
        raise(&self.counts[bucket.unwrap_or(BUCKETS - 1)], 1);
        raise(&self.nanos, took);
    }

    pub(crate) fn read(&self) -> Histogram {
        Histogram {
            bounds: self.bounds,
            counts: self.counts.each_ref().map(|c| c.load(Ordering::Relaxed)),
            sum: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)),
        }
    }
}

/// Up to 584 years of them.
fn nanos(time: Duration) -> u64 {
    time.as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(time.subsec_nanos().into())
}

/// Adds to a number that nobody else writes.
fn raise(number: &AtomicU64, more: u64) {
    let now = number.load(Ordering::Relaxed);
    number.store(now.saturating_add(more), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{ROUND_TRIPS, TURNS};

    #[test]
    fn a_bound_belongs_to_its_bucket_and_nothing_is_lost_above_the_last() {
        for bounds in [TURNS, ROUND_TRIPS] {
            assert!(bounds.is_sorted());
            let buckets = Buckets::new(bounds);
            let mut sum = Duration::ZERO;
            for took in bounds
                .iter()
                .flat_map(|bound| [*bound, *bound + Duration::from_nanos(1)])
                .chain([Duration::ZERO, Duration::from_secs(3600)])
            {
                buckets.record(took);
                sum += took;
            }
            let histogram = buckets.read();
            let counts: Vec<u64> = histogram.buckets().map(|(_, count)| count).collect();
            assert_eq!((counts[0], counts[1], counts[BUCKETS - 1]), (2, 2, 2));
            assert_eq!(
                histogram.buckets().last().map(|(bound, _)| bound),
                Some(None)
            );
            assert_eq!(histogram.count(), 2 * bounds.len() as u64 + 2);
            assert_eq!(histogram.sum(), sum);
        }
    }
}
