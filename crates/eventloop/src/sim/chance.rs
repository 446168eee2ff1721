//! What a run depends on beside its code: the seed's numbers, and the time.

use core::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A small generator: the same seed, the same numbers.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(super) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(super) fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            list.swap(end, self.below(end + 1));
        }
    }
}

/// The seeds of a random test, one of `share` parts of all runs: those that the environment asks for, as `mod.rs` tells.
pub(super) fn seeds(share: u64) -> Range<u64> {
    let number = |name| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    match number("WIREFAN_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WIREFAN_SIM_RUNS").unwrap_or(2500) / share,
    }
}

/// The time of a run, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, now: u64) {
        assert!(now >= self.now(), "time does not run backwards");
        self.0.store(now, Ordering::Relaxed);
    }
}
