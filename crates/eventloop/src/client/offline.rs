//! [`Queue`]: what waits for a connection, bounded, and counted to the last message. Used by the link.

use std::collections::VecDeque;

use super::OwnedMessage;

/// How much may wait for a connection, and what happens when that is too little.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Offline {
    /// The most messages. Default: 1000.
    pub max_messages: usize,
    /// The most bytes in them. Default: 4 MiB.
    pub max_bytes: usize,
    /// What happens to a message for which there is no room. Default: it is refused.
    pub when_full: WhenFull,
}

impl Default for Offline {
    fn default() -> Self {
        Self {
            max_messages: 1000,
            max_bytes: 4 * 1024 * 1024,
            when_full: WhenFull::Refuse,
        }
    }
}

/// What happens to a message for which there is no room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhenFull {
    /// Those that wait the longest make room: the newest count, as with prices and positions.
    DropOldest,
    /// It is dropped, and the caller is not bothered.
    DropNew,
    /// The caller is told.
    Refuse,
}

/// What became of the messages of a [`Link`](super::Link). Each that was sent is in exactly one of these.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct LinkCounts {
    /// Handed to a connection. If that was lost right afterwards, the server may not have seen them.
    pub sent: u64,
    /// Waiting for a connection, or for the server to read.
    pub waiting: u64,
    /// Dropped for want of room, or because the link has ended.
    pub dropped: u64,
    /// Refused, as the caller was told.
    pub refused: u64,
}

/// What became of a message that came to the queue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Queued {
    Waits,
    Dropped,
    Refused(OwnedMessage),
}

#[derive(Debug)]
pub(crate) struct Queue {
    limits: Offline,
    messages: VecDeque<OwnedMessage>,
    bytes: usize,
    counts: LinkCounts,
}

impl Queue {
    pub(crate) fn new(limits: Offline) -> Self {
        Self {
            limits,
            messages: VecDeque::new(),
            bytes: 0,
            counts: LinkCounts::default(),
        }
    }

    pub(crate) fn push(&mut self, message: OwnedMessage) -> Queued {
        let Offline {
            max_messages,
            max_bytes,
            when_full,
        } = self.limits;
        let fits = message.len() <= max_bytes && max_messages > 0;
        let has_room = |queue: &Self| {
            queue.messages.len() < max_messages && queue.bytes + message.len() <= max_bytes
        };
        if when_full == WhenFull::DropOldest && fits {
            while !has_room(self) && self.take().is_some() {
                self.counts.dropped += 1;
            }
        }
        if has_room(self) {
            self.bytes += message.len();
            self.messages.push_back(message);
            return Queued::Waits;
        }
        if when_full == WhenFull::Refuse {
            self.counts.refused += 1;
            return Queued::Refused(message);
        }
        self.counts.dropped += 1;
        Queued::Dropped
    }

    /// The message that waits the longest, to be handed to a connection.
    pub(crate) fn pop(&mut self) -> Option<OwnedMessage> {
        let message = self.take()?;
        self.counts.sent += 1;
        Some(message)
    }

    /// The connection did not take it after all.
    pub(crate) fn put_back(&mut self, message: OwnedMessage) {
        self.counts.sent -= 1;
        self.bytes += message.len();
        self.messages.push_front(message);
    }

    /// There will be no connection any more.
    pub(crate) fn drop_all(&mut self) {
        self.counts.dropped += self.messages.len() as u64;
        self.messages = VecDeque::new();
        self.bytes = 0;
    }

    /// A message came when the link had ended.
    pub(crate) fn refuse(&mut self) {
        self.counts.refused += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn counts(&self) -> LinkCounts {
        let waiting = self.messages.len() as u64;
        LinkCounts {
            waiting,
            ..self.counts
        }
    }

    fn take(&mut self) -> Option<OwnedMessage> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(max_messages: usize, max_bytes: usize, when_full: WhenFull) -> Queue {
        Queue::new(Offline {
            max_messages,
            max_bytes,
            when_full,
        })
    }

    fn rest(queue: &mut Queue) -> Vec<String> {
        core::iter::from_fn(|| queue.pop())
            .map(|message| message.as_text().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_full_queue_does_as_it_was_told_and_counts_exactly() {
        for (when_full, last, kept) in [
            (WhenFull::DropOldest, Queued::Waits, ["2", "3"]),
            (WhenFull::DropNew, Queued::Dropped, ["0", "1"]),
            (WhenFull::Refuse, Queued::Refused("2".into()), ["0", "1"]),
        ] {
            let mut queue = queue(2, 100, when_full);
            let outcomes: Vec<Queued> = (0..4)
                .map(|number| queue.push(number.to_string().into()))
                .collect();
            assert_eq!(outcomes[..3], [Queued::Waits, Queued::Waits, last]);
            let counts = queue.counts();
            let refused = if when_full == WhenFull::Refuse { 2 } else { 0 };
            assert_eq!(
                (counts.waiting, counts.dropped, counts.refused),
                (2, 2 - refused, refused)
            );
            assert_eq!(rest(&mut queue), kept);
            assert_eq!((queue.counts().sent, queue.counts().waiting), (2, 0));
        }
    }

    #[test]
    fn bytes_count_too_and_what_never_fits_drives_nothing_out() {
        let mut queue = queue(100, 10, WhenFull::DropOldest);
        queue.push("12345".into());
        queue.push("67890".into());
        assert_eq!(queue.push("x".repeat(11).into()), Queued::Dropped);
        assert_eq!(queue.counts().waiting, 2);
        assert_eq!(queue.push("abcdef".into()), Queued::Waits);
        assert_eq!(queue.counts().dropped, 3);
        assert_eq!(rest(&mut queue), ["abcdef"]);
    }

    #[test]
    fn what_is_put_back_is_the_next_again() {
        let mut queue = queue(2, 100, WhenFull::Refuse);
        queue.push("1".into());
        queue.push("2".into());
        let first = queue.pop().unwrap();
        queue.put_back(first);
        assert_eq!(queue.counts().sent, 0);
        assert_eq!(rest(&mut queue), ["1", "2"]);
        queue.push("3".into());
        queue.drop_all();
        let counts = queue.counts();
        assert_eq!((counts.sent, counts.waiting, counts.dropped), (2, 0, 1));
    }
}
