//! [`Guests`]: what a worker keeps of some connections beside their slots: of those that are counted by address, that may
//! send only so much, or that came by way of a proxy. Where nothing of that is wanted it holds nothing.

use core::cmp::Reverse;
use std::collections::BinaryHeap;

use wirefan_admission::{Permit, Traffic};
use wirefan_protocol::Millis;

use crate::peer_addr::PeerAddr;

/// What is kept of one connection.
#[derive(Debug, Default)]
pub(crate) struct Guest {
    /// It counts for its address until this is dropped.
    pub(crate) permit: Option<Permit>,
    pub(crate) proxy: Option<Proxy>,
    /// What it has sent, where that has limits.
    pub(crate) traffic: Option<Traffic>,
    /// What has been read and has to wait.
    pub(crate) rest: Vec<u8>,
    /// Until when nothing more is read.
    pub(crate) until: Millis,
}

/// The proxy that has told of a connection: its own address, unless it came on a Unix socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proxy(pub(crate) Option<PeerAddr>);

#[derive(Debug, Default)]
pub(crate) struct Guests {
    /// By slot.
    list: Vec<Option<Box<Guest>>>,
    /// Which connections wait, and until when; slot and generation.
    waiting: BinaryHeap<Reverse<(Millis, u32, u32)>>,
}

impl Guests {
    pub(crate) fn get(&self, slot: u32) -> Option<&Guest> {
        self.list.get(slot as usize)?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Guest> {
        self.list.get_mut(slot as usize)?.as_deref_mut()
    }

    /// The same, and if there is none a new one.
    pub(crate) fn entry(&mut self, slot: u32) -> &mut Guest {
        let place = slot as usize;
        if self.list.len() <= place {
            self.list.resize_with(place + 1, || None);
        }
        self.list[place].get_or_insert_default()
    }

    pub(crate) fn remove(&mut self, slot: u32) {
        if let Some(guest) = self.list.get_mut(slot as usize) {
            *guest = None;
        }
    }

    /// Whether nothing is kept of anybody.
    #[cfg(all(test, feature = "tls"))]
    pub(crate) fn is_empty(&self) -> bool {
        self.list.iter().all(Option::is_none)
    }

    /// Has a connection come out of [`due`](Self::due) at `until`.
    pub(crate) fn wait(&mut self, until: Millis, slot: u32, generation: u32) {
        self.waiting.push(Reverse((until, slot, generation)));
    }

    /// When the next one has waited long enough.
    pub(crate) fn next(&self) -> Option<Millis> {
        self.waiting.peek().map(|Reverse((until, ..))| *until)
    }

    /// One that has waited long enough: its slot and generation.
    pub(crate) fn due(&mut self, now: Millis) -> Option<(u32, u32)> {
        if self.next()? > now {
            return None;
        }
        let Reverse((_, slot, generation)) = self.waiting.pop()?;
        Some((slot, generation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_counted_costs_128_bytes_and_others_nothing() {
        assert!(size_of::<Guest>() <= 120);
        assert_eq!(size_of::<Option<Box<Guest>>>(), 8);
        let guests = Guests::default();
        assert_eq!(guests.list.capacity() + guests.waiting.capacity(), 0);
    }

    #[test]
    fn they_come_out_in_the_order_of_their_time() {
        let mut guests = Guests::default();
        for (until, slot) in [(30, 1), (10, 2), (20, 3)] {
            guests.wait(Millis(until), slot, 7);
        }
        assert_eq!(guests.next(), Some(Millis(10)));
        assert_eq!(guests.due(Millis(9)), None);
        let due: Vec<_> = core::iter::from_fn(|| guests.due(Millis(20))).collect();
        assert_eq!(due, [(2, 7), (3, 7)]);
        assert_eq!(guests.next(), Some(Millis(30)));
    }
}
