//! Whether `limit` is the ruler that it should be: a weak `limit` would make everybody look good.

use crate::results::Results;
use crate::rows::Row;

/// By how much a peer may exceed its known ratio to `limit`: both the known one and the one of this run are medians that
/// are good to about ±10 % (six rounds), and 1.10 / 0.90 is 1.22.
pub(crate) const TOLERANCE: f64 = 1.22;

/// One peer's ratio to `limit` in one row, beside the one that is known of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Check {
    pub(crate) row: &'static str,
    pub(crate) peer: &'static str,
    pub(crate) known: f64,
    pub(crate) measured: f64,
}

impl Check {
    /// Whether `limit` is as far ahead of the peer as it should be.
    pub(crate) fn holds(&self) -> bool {
        self.measured <= self.known * TOLERANCE
    }
}

/// All checks that a run allows.
pub(crate) fn checks(results: &Results, rows: &[&'static Row]) -> Vec<Check> {
    let mut checks = Vec::new();
    for row in rows {
        for &(peer, known) in row.known {
            if let Some(ratio) = results.ratio(row.name, peer, "limit") {
                checks.push(Check {
                    row: row.name,
                    peer,
                    known,
                    measured: ratio.median,
                });
            }
        }
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_comes_too_close_shows_a_weak_limit() {
        let check = |measured| Check {
            row: "e16d1",
            peer: "bun",
            known: 0.5,
            measured,
        };
        assert!(check(0.2).holds() && check(0.6).holds());
        assert!(!check(0.62).holds());
    }
}
