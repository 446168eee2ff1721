//! What the tests on real sockets share: a blocking client, a server that tells what its handler sees, and processes.
#![allow(dead_code, reason = "each test file uses its part of this one")]

#[cfg(feature = "client")]
pub(crate) mod caller;
pub(crate) mod client;
pub(crate) mod process;
pub(crate) mod server;
#[cfg(feature = "tls")]
pub(crate) mod tls;

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up. Far more than it does, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// `len` bytes that differ from place to place.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}
