//! [`Exact`]: the next of the bytes that are expected, and the comparison with those that come. Asked by `incoming.rs`.

use super::cargo::{Cargo, Ring};

/// The place in the frames that are expected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exact {
    /// The next byte of the ring.
    pub(crate) at: usize,
    /// How many bytes of the current frame have come.
    pub(crate) in_frame: usize,
    /// As they were sent, masked: from a raw server.
    pub(crate) raw: bool,
}

impl Exact {
    /// From message `first` on.
    pub(crate) fn new(cargo: &Cargo, first: u64, raw: bool) -> Self {
        let variant = (first % cargo.variants() as u64) as usize;
        let mut exact = Self {
            at: 0,
            in_frame: 0,
            raw,
        };
        exact.at = exact.ring(cargo).start(variant);
        exact
    }

    #[inline]
    pub(crate) fn ring<'c>(&self, cargo: &'c Cargo) -> &'c Ring {
        if self.raw {
            &cargo.masked
        } else {
            &cargo.plain
        }
    }

    /// Compares bytes with those that are expected: how many messages have become whole, and how many bytes at the
    /// front were right, up to the last whole message if not all of them.
    #[inline]
    pub(crate) fn compare(&mut self, cargo: &Cargo, bytes: &[u8]) -> (u64, usize) {
        let (ring, round) = (self.ring(cargo).bytes(), self.ring(cargo).round());
        let frame = round / cargo.variants();
        let mut rest = bytes;
        let mut at = self.at;
        while !rest.is_empty() {
            let part = rest.len().min(ring.len() - at);
            if rest[..part] != ring[at..at + part] {
                return self.compare_frames(ring, (frame, round), bytes);
            }
            rest = &rest[part..];
            at = (at + part) % round;
        }
        let all = self.in_frame + bytes.len();
        *self = Self {
            at,
            in_frame: all % frame,
            raw: self.raw,
        };
        ((all / frame) as u64, bytes.len())
    }

    #[cold]
    fn compare_frames(
        &mut self,
        ring: &[u8],
        (frame, round): (usize, usize),
        bytes: &[u8],
    ) -> (u64, usize) {
        let (mut messages, mut used) = (0, 0);
        loop {
            let end = self.at + frame - self.in_frame;
            let Some(part) = bytes.get(used..used + end - self.at) else {
                return (messages, used);
            };
            if part != &ring[self.at..end] {
                return (messages, used);
            }
            used += part.len();
            messages += 1;
            self.at = end % round;
            self.in_frame = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::cargo::Lading;
    use crate::bench::options::Payload;

    #[test]
    fn a_ring_that_is_there_once() {
        let lading = Lading {
            size: 5000,
            payload: Payload::Ascii,
            in_flight: 1,
            named: false,
        };
        let cargo = Cargo::new(lading, 0, || [1, 2, 3, 4]);
        let variants = cargo.variants();
        let frames = (0..40).flat_map(|number| cargo.plain.frame(number % variants));
        let stream: Vec<u8> = frames.copied().collect();
        for most in [1, 4999, 5004, 70_001, 200_000] {
            let mut exact = Exact::new(&cargo, 0, false);
            let reads = stream.chunks(most).map(|part| exact.compare(&cargo, part));
            assert_eq!(reads.map(|(right, _)| right).sum::<u64>(), 40, "{most}");
        }
    }
}
