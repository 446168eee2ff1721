//! [`Outgoing`]: what a connection has yet to write, as a stretch of its sender's frames.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::sync::Arc;

use super::cargo::{Cargo, Ring};
use super::tally::Tally;

/// The frames of a sender, in the form that was agreed on.
#[derive(Clone, Debug)]
pub(crate) enum Load {
    Masked(Arc<Cargo>),
    Compressed(Arc<Ring>),
}

impl Load {
    #[inline]
    fn ring(&self) -> &Ring {
        match self {
            Self::Masked(cargo) => &cargo.masked,
            Self::Compressed(ring) => ring,
        }
    }
}

/// What is to be written, and since when messages are under way.
#[derive(Debug)]
pub(crate) struct Outgoing {
    load: Load,
    variants: u64,
    /// The number of the next message to send.
    pub(crate) next: u64,
    /// The next byte of the ring to write.
    at: usize,
    /// Bytes from there on that are to be written.
    pending: u64,
    /// Pongs and Closes: between messages.
    pub(crate) control: Vec<u8>,
    control_at: usize,
    /// Messages under way, oldest first: since when, and how many.
    under_way: VecDeque<(u64, u64)>,
    pub(crate) outstanding: u64,
}

impl Outgoing {
    /// Starts with message `first`; room for `in_flight` messages is made now.
    pub(crate) fn new(load: Load, variants: usize, first: u64, in_flight: usize) -> Self {
        let at = load.ring().start((first % variants as u64) as usize);
        Self {
            load,
            variants: variants as u64,
            next: first,
            at,
            pending: 0,
            control: Vec::new(),
            control_at: 0,
            under_way: VecDeque::with_capacity(in_flight),
            outstanding: 0,
        }
    }

    /// Bytes of messages that are yet to be written.
    #[inline]
    pub(crate) fn pending(&self) -> u64 {
        self.pending
    }

    /// Messages to be sent, and counted from `since` on.
    #[inline]
    pub(crate) fn push(&mut self, messages: u64, since: u64) {
        let variant = (self.next % self.variants) as usize;
        self.pending += self.load.ring().len_of(variant, messages);
        self.next += messages;
        self.outstanding += messages;
        self.under_way.push_back((since, messages));
    }

    /// The oldest messages under way are done; `tally`: they have arrived, and count.
    #[inline]
    pub(crate) fn done(&mut self, mut messages: u64, now: u64, mut tally: Option<&mut Tally>) {
        self.outstanding = self.outstanding.saturating_sub(messages);
        while messages > 0
            && let Some((since, batch)) = self.under_way.front_mut()
        {
            let part = messages.min(*batch);
            if let Some(tally) = &mut tally {
                tally.took(now.saturating_sub(*since), part);
            }
            *batch -= part;
            messages -= part;
            if *batch == 0 {
                self.under_way.pop_front();
            }
        }
    }

    /// Writes what the socket takes, and returns how many bytes that were.
    #[inline]
    pub(crate) fn flush(&mut self, socket: &mut impl Write) -> io::Result<u64> {
        let mut written = 0;
        loop {
            let (offered, result) = if self.control_at > 0 || self.pending == 0 {
                let control = &self.control[self.control_at..];
                if control.is_empty() {
                    return Ok(written);
                }
                (control.len(), socket.write(control))
            } else {
                let bytes = self.load.ring().bytes();
                let rest = &bytes[self.at..];
                // Messages are shorter than memory.
                let pending = usize::try_from(self.pending).unwrap_or(usize::MAX);
                if pending <= rest.len() {
                    (pending, socket.write(&rest[..pending]))
                } else {
                    let again = &bytes[..bytes.len().min(pending - rest.len())];
                    let slices = [IoSlice::new(rest), IoSlice::new(again)];
                    (rest.len() + again.len(), socket.write_vectored(&slices))
                }
            };
            let len = match result {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            written += len as u64;
            self.wrote(len);
            if len < offered {
                // The socket is full, and will tell when it is not.
                return Ok(written);
            }
        }
    }

    #[inline]
    fn wrote(&mut self, len: usize) {
        if self.control_at > 0 || self.pending == 0 {
            self.control_at += len;
            if self.control_at == self.control.len() {
                self.control.clear();
                self.control_at = 0;
            }
        } else {
            self.pending -= len as u64;
            self.at = (self.at + len) % self.load.ring().round();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::cargo::Lading;
    use crate::bench::options::Payload;

    /// Takes so many bytes of each write, and every third time none at all.
    struct Slow {
        taken: Vec<u8>,
        most: usize,
        turn: usize,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.turn += 1;
            if self.turn.is_multiple_of(3) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let len = bytes.len().min(self.most);
            self.taken.extend_from_slice(&bytes[..len]);
            Ok(len)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn cargo(size: usize) -> Arc<Cargo> {
        let lading = Lading {
            size,
            payload: Payload::Ascii,
            in_flight: 1,
            named: false,
        };
        Arc::new(Cargo::new(lading, 0, || [1, 2, 3, 4]))
    }

    #[test]
    fn any_cut_gives_the_same_bytes_and_control_frames_between_messages() {
        // Rings that are there twice, and one that is not.
        for (size, most) in [
            (5, 1),
            (5, 7),
            (5, 11),
            (5, 1000),
            (5000, 997),
            (5000, 100_000),
        ] {
            let cargo = cargo(size);
            let load = Load::Masked(Arc::clone(&cargo));
            let mut outgoing = Outgoing::new(load, cargo.variants(), 14, 1);
            let mut slow = Slow {
                taken: Vec::new(),
                most,
                turn: 0,
            };
            outgoing.push(1, 0);
            outgoing.push(40, 0);
            outgoing.control.extend_from_slice(b"ping");
            for _ in 0..2000 {
                outgoing.flush(&mut slow).unwrap();
            }
            let frames = (14..55).map(|number| cargo.masked.frame(number % cargo.variants()));
            let expected: Vec<u8> = frames.flatten().copied().chain(*b"ping").collect();
            assert_eq!(slow.taken, expected, "{most}");
            assert_eq!(outgoing.outstanding, 41);
        }
    }

    #[test]
    fn latency_counts_from_when_each_was_sent() {
        let cargo = cargo(5);
        let mut outgoing = Outgoing::new(Load::Masked(Arc::clone(&cargo)), cargo.variants(), 0, 1);
        let mut tally = Tally::new().unwrap();
        outgoing.push(2, 1_000_000);
        outgoing.push(2, 3_000_000);
        outgoing.done(1, 5_000_000, None);
        outgoing.done(2, 5_000_000, Some(&mut tally));
        assert_eq!((outgoing.outstanding, tally.latency.len()), (1, 2));
        assert!(tally.latency.min().abs_diff(2_000_000) < 10_000);
        assert!(tally.latency.max().abs_diff(4_000_000) < 10_000);
        // More than were sent: nothing to count.
        outgoing.done(9, 5_000_000, Some(&mut tally));
        assert_eq!((outgoing.outstanding, tally.latency.len()), (0, 3));
    }
}
