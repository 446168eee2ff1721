//! [`View`]: a worker's connections and topics, as [`Remote::inspect`](crate::Remote::inspect) lets another thread look
//! at them.

use core::any::Any;
use core::fmt;
use core::ops::Range;
use std::net::SocketAddr;
use std::time::Duration;

use crate::ConnId;
use crate::slot::{Slot, Stage};
use crate::state::Core;

/// What a worker has, between two of its turns.
pub struct View<'a>(&'a dyn Source);

/// An open connection in a [`View`].
#[derive(Clone, Copy)]
pub struct ConnView<'a> {
    /// What it is called.
    pub id: ConnId,
    /// The other end of the transport.
    pub addr: SocketAddr,
    /// The bytes that its socket has refused, and what keeping them costs.
    pub backlog: usize,
    /// How long pings of the loop take to be answered; `None`: none was yet.
    pub rtt: Option<Duration>,
    /// Messages that it lost to reading slowly.
    pub dropped: u32,
    source: &'a dyn Source,
    peer: &'a dyn Any,
}

impl<'a> View<'a> {
    pub(crate) fn of<P: 'static>(core: &'a Core<P>) -> Self {
        Self(core)
    }

    /// The number of the worker.
    pub fn worker(&self) -> usize {
        self.0.worker().into()
    }

    /// The open connections behind `after` (`None`: from the first one), in an order that stays: what is known of a page
    /// is where the next one begins, also if that connection is gone by then.
    pub fn connections(
        &self,
        after: Option<ConnId>,
    ) -> impl Iterator<Item = ConnView<'a>> + use<'a> {
        let first = after.map_or(0, |id| id.slot.saturating_add(1));
        let source = self.0;
        source.slots(first).filter_map(move |slot| source.at(slot))
    }

    /// The open connection with this name, if it is one of this worker.
    pub fn connection(&self, id: ConnId) -> Option<ConnView<'a>> {
        self.0.at(id.slot).filter(|found| found.id == id)
    }

    /// The open connections of this worker that are members of a topic, in no order.
    pub fn connections_in(&self, topic: &str) -> impl Iterator<Item = ConnView<'a>> + use<'a> {
        let source = self.0;
        source
            .slots_in(topic)
            .filter_map(move |slot| source.at(slot))
    }

    /// How many members a topic has on this worker.
    pub fn members(&self, topic: &str) -> usize {
        self.0.members(topic)
    }

    /// The topics with members on this worker, in no order, and how many these are.
    pub fn topics(&self) -> impl Iterator<Item = (&'a str, usize)> + use<'a> {
        self.0.topics()
    }
}

impl<'a> ConnView<'a> {
    /// What the handler keeps for it, if that is of this type.
    pub fn peer<P: 'static>(&self) -> Option<&'a P> {
        self.peer.downcast_ref()
    }

    /// The topics that it is a member of.
    pub fn topics(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.source.topics_of(self.id.slot)
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("worker", &self.worker())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ConnView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnView")
            .field("id", &self.id)
            .field("addr", &self.addr)
            .field("backlog", &self.backlog)
            .finish_non_exhaustive()
    }
}

/// A worker's core, whatever its handler keeps.
trait Source {
    fn worker(&self) -> u16;
    /// The numbers of the slots from this one on.
    fn slots(&self, first: u32) -> Range<u32>;
    fn at(&self, slot: u32) -> Option<ConnView<'_>>;
    fn slots_in(&self, topic: &str) -> Box<dyn Iterator<Item = u32> + '_>;
    fn members(&self, topic: &str) -> usize;
    fn topics(&self) -> Box<dyn Iterator<Item = (&str, usize)> + '_>;
    fn topics_of(&self, slot: u32) -> Box<dyn Iterator<Item = &str> + '_>;
}

impl<P: 'static> Source for Core<P> {
    fn worker(&self) -> u16 {
        self.worker
    }

    fn slots(&self, first: u32) -> Range<u32> {
        first..self.slots.end()
    }

    fn at(&self, slot: u32) -> Option<ConnView<'_>> {
        let found: &Slot<P> = self.slots.get(slot)?;
        let (Stage::Open(_), Some(peer)) = (&found.stage, &found.peer) else {
            return None;
        };
        Some(ConnView {
            id: self.id(slot),
            addr: found.addr.get(),
            backlog: found.backlog(),
            rtt: found.liveness.rtt(),
            dropped: found.dropped,
            source: self,
            peer,
        })
    }

    fn slots_in(&self, topic: &str) -> Box<dyn Iterator<Item = u32> + '_> {
        let topic = self.topics.find(topic).map(|topic| self.topics.get(topic));
        let members = topic.into_iter().flat_map(|topic| &topic.members);
        Box::new(members.map(|member| member.slot))
    }

    fn members(&self, topic: &str) -> usize {
        let topic = self.topics.find(topic);
        topic.map_or(0, |topic| self.topics.get(topic).members.len())
    }

    fn topics(&self) -> Box<dyn Iterator<Item = (&str, usize)> + '_> {
        Box::new(self.topics.list())
    }

    fn topics_of(&self, slot: u32) -> Box<dyn Iterator<Item = &str> + '_> {
        let memberships = self.slots.get(slot).map(|slot| &*slot.memberships);
        let topics = memberships.unwrap_or_default().iter();
        Box::new(topics.map(|membership| self.topics.get(membership.topic).name()))
    }
}
