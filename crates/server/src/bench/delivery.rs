//! [`Delivery`]: how far one publisher's messages have come among the subscribers of one thread.

use std::collections::VecDeque;

/// Counts subscribers by the number of the message that they wait for, so that a step costs the same for any number
/// of messages and subscribers.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// What the slowest waits for: all before it is delivered. `u64::MAX` without subscribers.
    pub(crate) done: u64,
    /// How many wait for `done`, `done + 1`, …
    waiting: VecDeque<u32>,
    subscribers: u32,
}

impl Delivery {
    /// Nobody has anything.
    pub(crate) fn new(subscribers: u32) -> Self {
        Self {
            done: if subscribers == 0 { u64::MAX } else { 0 },
            waiting: VecDeque::from([subscribers]),
            subscribers,
        }
    }

    /// A subscriber waited for one message, and now waits for a later one: whether it was the slowest.
    #[inline]
    pub(crate) fn advance(&mut self, from: u64, to: u64) -> bool {
        if from == to {
            return false;
        }
        let before = self.done;
        let place = (to - self.done) as usize;
        if self.waiting.len() <= place {
            self.waiting.resize(place + 1, 0);
        }
        self.waiting[place] += 1;
        self.leave(from);
        self.done != before
    }

    /// A subscriber is gone that waited for this.
    pub(crate) fn gone(&mut self, from: u64) {
        self.subscribers -= 1;
        if self.subscribers == 0 {
            self.done = u64::MAX;
            self.waiting.clear();
        } else {
            self.leave(from);
        }
    }

    #[inline]
    fn leave(&mut self, from: u64) {
        self.waiting[(from - self.done) as usize] -= 1;
        while self.waiting.front() == Some(&0) {
            self.waiting.pop_front();
            self.done += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_decides() {
        let mut delivery = Delivery::new(3);
        delivery.advance(0, 5);
        delivery.advance(0, 2);
        assert_eq!(delivery.done, 0);
        delivery.advance(0, 1);
        assert_eq!(delivery.done, 1);
        delivery.advance(1, 7);
        assert_eq!(delivery.done, 2);
        delivery.gone(2);
        assert_eq!(delivery.done, 5);
        delivery.gone(5);
        assert_eq!(delivery.done, 7);
        delivery.gone(7);
        assert_eq!(delivery.done, u64::MAX);
    }

    #[test]
    fn nobody_has_everything() {
        assert_eq!(Delivery::new(0).done, u64::MAX);
    }
}
