//! Whether a promise is kept: used by the report and by `head2head`.

use crate::statistics::Summary;

/// Whether a promise is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// The median reaches it.
    Met,
    /// The interval of the median reaches it.
    Reached,
    Missed,
}

impl Verdict {
    /// Judges a ratio, or bytes of memory, of which less is better.
    pub(crate) fn of(value: &Summary, wanted: f64, less_is_better: bool) -> Self {
        let reaches = |value: f64| {
            if less_is_better {
                value <= wanted
            } else {
                value >= wanted
            }
        };
        let best = if less_is_better {
            value.low
        } else {
            value.high
        };
        if reaches(value.median) {
            Self::Met
        } else if reaches(best) {
            Self::Reached
        } else {
            Self::Missed
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Reached => "met (by its interval)",
            Self::Missed => "**missed**",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(low: f64, median: f64, high: f64) -> Summary {
        Summary {
            median,
            low,
            high,
            min: low,
            max: high,
            count: 12,
        }
    }

    #[test]
    fn a_bar_is_met_when_the_interval_reaches_it() {
        let verdict = |low, median, high| Verdict::of(&summary(low, median, high), 0.92, false);
        assert_eq!(verdict(0.90, 0.93, 0.95), Verdict::Met);
        assert_eq!(verdict(0.85, 0.91, 0.93), Verdict::Reached);
        assert_eq!(verdict(0.80, 0.85, 0.91), Verdict::Missed);
        let memory = |low, median, high| Verdict::of(&summary(low, median, high), 256.0, true);
        assert_eq!(memory(200.0, 210.0, 220.0), Verdict::Met);
        assert_eq!(memory(250.0, 260.0, 270.0), Verdict::Reached);
        assert_eq!(memory(257.0, 260.0, 270.0), Verdict::Missed);
    }
}
