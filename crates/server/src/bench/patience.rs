//! [`Patience`]: how long nothing has moved that a phase waits for. Asked by `load.rs`.

use core::time::Duration;
use std::time::Instant;

use super::control::Reading;

/// Runs out while nothing moves.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    moved: Instant,
    /// Messages, and connections that were opened or have failed.
    last: [u64; 3],
    /// The most bytes of messages so far.
    most: i64,
}

impl Patience {
    pub(crate) fn new(limit: Duration, now: Instant, reading: Reading) -> Self {
        Self {
            limit,
            moved: now,
            last: counts(reading),
            most: bytes(reading),
        }
    }

    /// What is left of it. Parts of a message count, as a large one may take long; pings do not, as they may go on for ever.
    pub(crate) fn left(&mut self, reading: Reading, now: Instant) -> Duration {
        let (counts, bytes) = (counts(reading), bytes(reading));
        // The first half of a ping looks like a part of a message, until the other half is there: then the sum is as before.
        if counts != self.last || bytes > self.most {
            self.moved = now;
        }
        self.last = counts;
        self.most = self.most.max(bytes);
        self.limit
            .saturating_sub(now.saturating_duration_since(self.moved))
    }
}

fn counts(reading: Reading) -> [u64; 3] {
    [reading.messages, reading.opened, reading.failed]
}

fn bytes(reading: Reading) -> i64 {
    // With compression more may stand aside than came.
    (reading.bytes_in + reading.bytes_out).wrapping_sub(reading.bytes_aside) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    /// What is left after the first reading, and a second for each of the others.
    fn left_after(readings: &[Reading]) -> Duration {
        let begin = Instant::now();
        let mut patience = Patience::new(LIMIT, begin, readings[0]);
        let mut left = LIMIT;
        for (second, &reading) in readings.iter().enumerate() {
            left = patience.left(reading, begin + Duration::from_secs(second as u64));
        }
        left
    }

    #[test]
    fn messages_connections_and_parts_of_a_message_move_it() {
        let still = Reading {
            bytes_in: 10,
            ..Reading::default()
        };
        for moved in [
            Reading {
                messages: 1,
                ..still
            },
            Reading { opened: 1, ..still },
            Reading { failed: 1, ..still },
            Reading {
                bytes_in: 11,
                ..still
            },
            Reading {
                bytes_out: 1,
                ..still
            },
        ] {
            assert_eq!(left_after(&[still, moved]), LIMIT, "{moved:?}");
        }
        assert_eq!(left_after(&[still; 4]), Duration::from_secs(2));
        assert_eq!(left_after(&[still; 9]), Duration::ZERO);
    }

    #[test]
    fn pings_and_pongs_do_not_however_they_are_cut() {
        let mut readings = vec![Reading::default()];
        for ping in 0..3 {
            // The first half, the whole, our pong.
            for (bytes_in, bytes_out, bytes_aside) in [(3, 0, 0), (6, 0, 6), (6, 10, 16)] {
                readings.push(Reading {
                    bytes_in: 6 * ping + bytes_in,
                    bytes_out: 10 * ping + bytes_out,
                    bytes_aside: 16 * ping + bytes_aside,
                    ..Reading::default()
                });
            }
        }
        // Only the very first half was more than there had been.
        readings.truncate(6);
        assert_eq!(left_after(&readings), Duration::from_secs(1));
    }
}
