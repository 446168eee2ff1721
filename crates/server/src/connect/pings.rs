//! [`Pings`]: those of ours that are under way, and how long they took. Used by the session.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What the payload of each begins with: the loop has pings of its own, which are none of ours.
const OURS: [u8; 4] = *b"rtt ";
/// The most that are remembered: a server that answers none costs no memory.
const MOST: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Pings {
    next: u32,
    under_way: VecDeque<(u32, Instant)>,
}

impl Pings {
    /// The payload of the next one, which is sent now.
    pub(crate) fn begin(&mut self, now: Instant) -> [u8; 8] {
        if self.under_way.len() == MOST {
            self.under_way.pop_front();
        }
        self.next = self.next.wrapping_add(1);
        self.under_way.push_back((self.next, now));
        let mut payload = [0; 8];
        payload[..4].copy_from_slice(&OURS);
        payload[4..].copy_from_slice(&self.next.to_be_bytes());
        payload
    }

    /// How long this one took; `None`: the pong answers none of ours. One pong answers all before it (RFC 6455 §5.5.3).
    pub(crate) fn end(&mut self, payload: &[u8], now: Instant) -> Option<Duration> {
        let number = u32::from_be_bytes(payload.strip_prefix(&OURS)?.try_into().ok()?);
        let place = self.under_way.iter().position(|(it, _)| *it == number)?;
        let (_, began) = self.under_way.drain(..=place).next_back()?;
        Some(now.saturating_duration_since(began))
    }

    /// The connection is gone, and what was under way with it.
    pub(crate) fn forget(&mut self) {
        self.under_way.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pong_belongs_to_its_ping_and_answers_those_before() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pings = Pings::default();
        let [one, two, three] = [1, 2, 3].map(|millis| pings.begin(at(millis)));
        assert_eq!(pings.end(b"else", at(9)), None);
        assert_eq!(pings.end(b"", at(9)), None);
        assert_eq!(pings.end(&[0, 0, 0, 1], at(9)), None);
        assert_eq!(pings.end(&two, at(9)), Some(Duration::from_millis(7)));
        assert_eq!(pings.end(&one, at(9)), None);
        assert_eq!(pings.end(&two, at(9)), None);
        assert_eq!(pings.end(&three, at(9)), Some(Duration::from_millis(6)));
        let first = pings.begin(start);
        for _ in 0..MOST {
            pings.begin(start);
        }
        assert_eq!(
            (pings.under_way.len(), pings.end(&first, start)),
            (MOST, None)
        );
        pings.forget();
        assert!(pings.under_way.is_empty());
    }
}
