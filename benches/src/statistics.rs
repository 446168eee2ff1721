//! Medians and their intervals, which is all the statistics that a comparison on a noisy machine bears.

/// How sure an interval of a median is to hold the true one.
const CONFIDENCE: f64 = 0.95;

/// What a few repetitions of one measurement say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    /// Half of the values are below, half above.
    pub(crate) median: f64,
    /// Lower end of the interval of the median.
    pub(crate) low: f64,
    /// Upper end of the interval of the median.
    pub(crate) high: f64,
    /// The smallest value.
    pub(crate) min: f64,
    /// The largest value.
    pub(crate) max: f64,
    /// How many values there were.
    pub(crate) count: usize,
}

impl Summary {
    /// The summary of these values; `None` without any, and where one is no number.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        if !values.iter().all(|value| value.is_finite()) {
            return None;
        }
        let count = sorted.len();
        let upper = sorted.get(count / 2)?;
        let lower = sorted.get((count - 1) / 2)?;
        let outside = outside(count);
        Some(Self {
            median: f64::midpoint(*lower, *upper),
            low: *sorted.get(outside)?,
            high: *sorted.get(count - 1 - outside)?,
            min,
            max,
            count,
        })
    }
}

/// How many of `count` sorted values lie outside of the interval of their median, at each end.
///
/// The sign test: each value is above the true median or below it like a thrown coin, whatever the values are distributed
/// like. Below six values even the whole range is surer than nothing, but not to 95 %.
fn outside(count: usize) -> usize {
    // The chance that at most `k` of `count` coins show heads; both ends together may take 1 - CONFIDENCE.
    let mut chance = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let mut tail = chance;
    let mut outside = 0;
    while tail * 2.0 <= 1.0 - CONFIDENCE && outside < count / 2 {
        // C(n, k+1) = C(n, k) · (n - k) / (k + 1)
        chance *= (count - outside) as f64 / (outside + 1) as f64;
        tail += chance;
        outside += 1;
    }
    outside.saturating_sub(1)
}

/// Each value of `ours` by the one of `theirs` that was measured beside it; pairs in which one is missing are left out.
pub(crate) fn ratios(ours: &[Option<f64>], theirs: &[Option<f64>]) -> Vec<f64> {
    ours.iter()
        .zip(theirs)
        .filter_map(|(ours, theirs)| Some((*ours)? / (*theirs)?))
        .filter(|ratio| ratio.is_finite())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_in_the_middle() {
        assert_eq!(Summary::of(&[3.0, 1.0, 2.0]).unwrap().median, 2.0);
        assert_eq!(Summary::of(&[4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Summary::of(&[7.0]).unwrap().median, 7.0);
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn the_interval_is_that_of_the_sign_test() {
        // Known table of the 95 % interval for a median: n, and the rank of its lower end.
        for (count, rank) in [
            (6, 1),
            (8, 1),
            (9, 2),
            (12, 3),
            (15, 4),
            (20, 6),
            (25, 8),
            (30, 10),
        ] {
            assert_eq!(outside(count), rank - 1, "{count} values");
        }
        let values: Vec<f64> = (1..=12).map(f64::from).collect();
        let summary = Summary::of(&values).unwrap();
        assert_eq!((summary.low, summary.high), (3.0, 10.0));
        assert_eq!((summary.min, summary.max, summary.count), (1.0, 12.0, 12));
    }

    #[test]
    fn few_values_are_their_own_interval() {
        for count in 1..=5 {
            assert_eq!(outside(count), 0, "{count} values");
        }
    }

    #[test]
    fn ratios_pair_what_was_measured_together() {
        let ours = [Some(2.0), None, Some(9.0), Some(1.0)];
        let theirs = [Some(1.0), Some(1.0), Some(3.0), Some(0.0)];
        assert_eq!(ratios(&ours, &theirs), [2.0, 3.0]);
    }
}
