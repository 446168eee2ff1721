//! [`RoundTrip`]: the ping of the loop's that a peer has to answer, and how long that took. Kept in every slot, four bytes.

use core::num::NonZeroU32;
use core::time::Duration;
use std::hash::{BuildHasher, RandomState};

use wirefan_protocol::SendError;

use crate::ConnId;
use crate::state::Core;

/// When the ping was sent that waits for its answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RoundTrip(Option<NonZeroU32>);

/// Makes what a ping carries from what is known of it, so that only the moment has to be kept, and nobody can answer
/// a ping that has not come yet.
#[derive(Debug, Default)]
pub(crate) struct PingKey(RandomState);

impl PingKey {
    fn payload(&self, id: ConnId, sent: NonZeroU32) -> [u8; 8] {
        self.0.hash_one((id, sent)).to_be_bytes()
    }
}

impl RoundTrip {
    /// A ping goes out, at a time in microseconds; returns its payload. Of several only the last counts.
    pub(crate) fn ping(&mut self, id: ConnId, micros: u32, key: &PingKey) -> [u8; 8] {
        let sent = NonZeroU32::new(micros).unwrap_or(NonZeroU32::MIN);
        self.0 = Some(sent);
        key.payload(id, sent)
    }

    /// A pong has come. Returns how long it took, if it answers the ping that waits for that.
    pub(crate) fn pong(
        &mut self,
        id: ConnId,
        payload: &[u8],
        micros: u32,
        key: &PingKey,
    ) -> Option<Duration> {
        let sent = self.0.take_if(|sent| key.payload(id, *sent) == *payload)?;
        // The clock may have passed its end, after 71 minutes.
        let took = micros.wrapping_sub(sent.get());
        Some(Duration::from_micros(took.into()))
    }
}

impl<P> Core<P> {
    /// Sends a ping whose answer tells the round-trip time.
    pub(crate) fn measure(&mut self, index: u32) -> Result<(), SendError> {
        let (id, micros) = (self.id(index), self.micros());
        let slot = self.slots.get_mut(index).ok_or(SendError::AfterClose)?;
        let payload = slot.round_trip.ping(id, micros, &self.ping_key);
        self.ping(index, &payload)
    }

    /// A pong has come; returns how long it took if it answers such a ping.
    pub(crate) fn measured(&mut self, index: u32, payload: &[u8]) -> Option<Duration> {
        let (id, micros) = (self.id(index), self.micros());
        let slot = self.slots.get_mut(index)?;
        let rtt = (slot.round_trip).pong(id, payload, micros, &self.ping_key)?;
        self.tally.round_trip(rtt);
        slot.liveness.measured(rtt);
        slot.liveness.rtt()
    }

    fn micros(&self) -> u32 {
        (self.now.0 as u32)
            .wrapping_mul(1000)
            .wrapping_add(self.micros.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ConnId = ConnId {
        worker: 1,
        slot: 2,
        generation: 3,
    };

    #[test]
    fn only_the_answer_to_the_last_ping_counts_and_once() {
        let (mut trip, key) = (RoundTrip::default(), PingKey::default());
        let first = trip.ping(ID, 1000, &key);
        let second = trip.ping(ID, 2000, &key);
        for payload in [&first[..], b"", b"12345678", &second[..7]] {
            assert_eq!(trip.pong(ID, payload, 2500, &key), None);
        }
        let other = ConnId {
            generation: 4,
            ..ID
        };
        assert_eq!(trip.pong(other, &second, 2500, &key), None);
        let took = Some(Duration::from_micros(500));
        assert_eq!(trip.pong(ID, &second, 2500, &key), took);
        assert_eq!(trip.pong(ID, &second, 9000, &key), None);
    }

    #[test]
    fn the_clock_may_pass_its_end_and_an_answer_may_take_no_time() {
        let (mut trip, key) = (RoundTrip::default(), PingKey::default());
        let payload = trip.ping(ID, u32::MAX - 9, &key);
        assert_eq!(
            trip.pong(ID, &payload, 10, &key),
            Some(Duration::from_micros(20))
        );
        for micros in [0, 7] {
            let payload = trip.ping(ID, micros, &key);
            assert!(trip.pong(ID, &payload, micros, &key).is_some());
        }
        assert_eq!(size_of::<RoundTrip>(), 4);
    }
}
