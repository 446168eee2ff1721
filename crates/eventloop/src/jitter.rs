//! [`of`]: a number for each connection, so that those which came together are not pinged, and do not leave, together.

use crate::ConnId;

/// Any of all numbers, each as likely as another, and always the same for the same connection: a run of the simulation
/// can be replayed, and nothing has to be kept.
pub(crate) fn of(id: ConnId) -> u32 {
    // SplitMix64 (Steele, Lea, Flood 2014): neighbours come out far from each other.
    let mut mixed = u64::from(id.slot) << 32 | u64::from(id.generation);
    mixed = (mixed ^ u64::from(id.worker) << 48).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_came_together_are_spread_evenly() {
        let mut tenths = [0; 10];
        for slot in 0..10_000 {
            let id = ConnId {
                worker: (slot % 2) as u16,
                slot,
                generation: 0,
            };
            tenths[((u64::from(of(id)) * 10) >> 32) as usize] += 1;
        }
        assert!(
            tenths.iter().all(|count| (850..1150).contains(count)),
            "{tenths:?}"
        );
    }
}
