//! [`MaskKeys`]: the masking keys of a client, without a random-number generator of our own.

use core::fmt;

use sha1::{Digest, Sha1};

/// A source of masking keys for a client's frames (RFC 6455 §5.3).
///
/// Keys must be unpredictable, so the seed has to come from the operating system's generator. They are
/// SHA-1(seed ‖ counter), five from each block.
///
/// ```
/// use wirefan_protocol::MaskKeys;
///
/// # let from_the_system = [7; 32];
/// let keys = MaskKeys::from_seed(from_the_system);
/// ```
pub struct MaskKeys {
    seed: [u8; 32],
    counter: u64,
    block: [u8; 20],
    used: usize,
}

impl MaskKeys {
    /// Keys that follow from `seed` alone: the same seed gives the same keys.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self {
            seed,
            counter: 0,
            block: [0; 20],
            used: 20,
        }
    }

    /// The next key.
    pub(crate) fn next_key(&mut self) -> [u8; 4] {
        if let Some(key) = self.block.get(self.used..).and_then(<[u8]>::first_chunk) {
            self.used += 4;
            return *key;
        }
        let digest = Sha1::new()
            .chain_update(self.seed)
            .chain_update(self.counter.to_be_bytes())
            .finalize();
        self.counter += 1;
        self.block = digest.into();
        self.used = 4;
        let [a, b, c, d, ..] = self.block;
        [a, b, c, d]
    }
}

impl fmt::Debug for MaskKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever knows the seed knows every key.
        f.debug_struct("MaskKeys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn section_5_3_keys_differ_from_frame_to_frame_and_from_seed_to_seed() {
        let (mut one, mut other) = (MaskKeys::from_seed([1; 32]), MaskKeys::from_seed([2; 32]));
        let keys: BTreeSet<_> = (0..1000)
            .flat_map(|_| [one.next_key(), other.next_key()])
            .collect();
        assert_eq!(keys.len(), 2000);
    }

    #[test]
    fn the_same_seed_replays() {
        let (mut one, mut again) = (MaskKeys::from_seed([3; 32]), MaskKeys::from_seed([3; 32]));
        assert!((0..100).all(|_| one.next_key() == again.next_key()));
    }
}
