//! [`Tally`]: what a thread has to tell when it ends: latencies, and what went wrong.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use hdrhistogram::errors::CreationError;

use super::failure::Failure;

/// Latencies in nanoseconds, and what went wrong.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) latency: Histogram<u64>,
    pub(crate) lost: u64,
    /// Open loop: were due, and held back to the end.
    pub(crate) unsent: u64,
    pub(crate) reordered: u64,
    pub(crate) duplicated: u64,
    pub(crate) verify_errors: u64,
    /// Connections that were open, and ended before their time.
    pub(crate) ended: u64,
    /// Failures in words, and how often.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Connections that agreed on compression.
    pub(crate) compressed: u64,
    /// When the last connection was open, in nanoseconds since the beginning.
    pub(crate) all_open: u64,
}

impl Tally {
    pub(crate) fn new() -> Result<Self, CreationError> {
        Ok(Self {
            // From 100 ns to an hour, three digits.
            latency: Histogram::new_with_bounds(100, 3_600_000_000_000, 3)?,
            lost: 0,
            unsent: 0,
            reordered: 0,
            duplicated: 0,
            verify_errors: 0,
            ended: 0,
            errors: BTreeMap::new(),
            compressed: 0,
            all_open: 0,
        })
    }

    /// Counts messages that took so long.
    #[inline]
    pub(crate) fn took(&mut self, nanos: u64, messages: u64) {
        self.latency.saturating_record_n(nanos, messages);
    }

    pub(crate) fn failed(&mut self, failure: &Failure) {
        *self.errors.entry(failure.to_string()).or_default() += 1;
    }

    /// Adds what another thread has to tell.
    pub(crate) fn merge(&mut self, other: Self) {
        // Both have the same bounds, so that adding cannot fail.
        let _ = self.latency.add(&other.latency);
        self.lost += other.lost;
        self.unsent += other.unsent;
        self.reordered += other.reordered;
        self.duplicated += other.duplicated;
        self.verify_errors += other.verify_errors;
        self.ended += other.ended;
        self.compressed += other.compressed;
        self.all_open = self.all_open.max(other.all_open);
        for (error, times) in other.errors {
            *self.errors.entry(error).or_default() += times;
        }
    }
}
