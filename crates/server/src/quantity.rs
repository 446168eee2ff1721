//! Sizes and durations as people write them: `64k`, `1m`, `500ms`, `2m`. Called by the options.

use core::fmt;
use core::time::Duration;

/// Why a text is no quantity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum QuantityError {
    /// No size.
    Size,
    /// No duration.
    Duration,
    /// Zero, where something has to be allowed.
    Zero,
    /// More than can be counted.
    TooLarge,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "write bytes as 65536, 64k, 16m or 1g",
            Self::Duration => "write a duration as 500ms, 25s, 2m or 1h; a plain number is seconds",
            Self::Zero => "it has to be more than 0",
            Self::TooLarge => "it is too large",
        })
    }
}

impl core::error::Error for QuantityError {}

/// Bytes: a number, times 1024 for each step of `k`, `m`, `g`.
pub(crate) fn size(text: &str) -> Result<usize, QuantityError> {
    let (number, unit) = split(text).ok_or(QuantityError::Size)?;
    let factor: usize = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err(QuantityError::Size),
    };
    let number = usize::try_from(number?).map_err(|_| QuantityError::TooLarge)?;
    number.checked_mul(factor).ok_or(QuantityError::TooLarge)
}

/// As [`size`], but not 0.
pub(crate) fn some_size(text: &str) -> Result<usize, QuantityError> {
    match size(text)? {
        0 => Err(QuantityError::Zero),
        size => Ok(size),
    }
}

/// A number and a unit, seconds if there is none.
pub(crate) fn duration(text: &str) -> Result<Duration, QuantityError> {
    let (number, unit) = split(text).ok_or(QuantityError::Duration)?;
    let millis: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return Err(QuantityError::Duration),
    };
    let millis = number?.checked_mul(millis);
    millis
        .map(Duration::from_millis)
        .ok_or(QuantityError::TooLarge)
}

/// As [`duration`], but not 0.
pub(crate) fn some_duration(text: &str) -> Result<Duration, QuantityError> {
    match duration(text)? {
        Duration::ZERO => Err(QuantityError::Zero),
        duration => Ok(duration),
    }
}

/// The number that a text begins with, and the unit behind it; `None` if there is no number.
fn split(text: &str) -> Option<(Result<u64, QuantityError>, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    // All digits: what cannot be parsed is too large.
    let parsed = number.parse().map_err(|_| QuantityError::TooLarge);
    (!number.is_empty()).then(|| (parsed, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("16777216", 16 << 20),
            ("64k", 64 << 10),
            ("64 KiB", 64 << 10),
            ("1m", 1 << 20),
            ("1M", 1 << 20),
            ("2g", 2 << 30),
            ("7b", 7),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "k", "-1", "1.5m", "1kb", "1 t", "m1", "1k "] {
            assert_eq!(size(text), Err(QuantityError::Size), "{text}");
        }
        for text in ["99999999999999999999", "18446744073709551615k"] {
            assert_eq!(size(text), Err(QuantityError::TooLarge), "{text}");
        }
        assert_eq!(some_size("0k"), Err(QuantityError::Zero));
        assert_eq!(some_size("1"), Ok(1));
    }

    #[test]
    fn durations() {
        for (text, millis) in [
            ("0", 0),
            ("500ms", 500),
            ("25s", 25_000),
            ("25", 25_000),
            ("2m", 120_000),
            ("1 h", 3_600_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "0.5s", "1d", "1S", "1m30s"] {
            assert_eq!(duration(text), Err(QuantityError::Duration), "{text}");
        }
        for text in ["99999999999999999999", "18446744073709551615h"] {
            assert_eq!(duration(text), Err(QuantityError::TooLarge), "{text}");
        }
        assert_eq!(some_duration("0ms"), Err(QuantityError::Zero));
        assert_eq!(some_duration("1ms"), Ok(Duration::from_millis(1)));
    }
}
