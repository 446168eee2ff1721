//! Topics, as a connection sees them: publishing, subscribing, leaving. Part of [`Core`]; what topics are is in `topics.rs`.

use wirefan_protocol::{Frame, Kind};

use crate::mailbox::Post;
use crate::state::Core;
use crate::topics::Membership;

impl<P> Core<P> {
    /// Publishes to the members of a topic, on all workers; `sender` does not get it.
    #[inline]
    pub(crate) fn publish(&mut self, name: &str, kind: Kind, payload: &[u8], sender: Option<u32>) {
        self.publish_with(name, 0, kind, payload, sender);
    }

    /// The same with a key.
    pub(crate) fn publish_with(
        &mut self,
        name: &str,
        key: u64,
        kind: Kind,
        payload: &[u8],
        sender: Option<u32>,
    ) {
        if let Some(topic) = self.topics.find(name) {
            let membership = sender.and_then(|sender| self.membership(sender, topic));
            self.topics.append(topic, kind, payload, membership, key);
        }
        let Some(interest) = self.topics.interest(name) else {
            return;
        };
        let mut frame = None;
        for worker in interest
            .workers()
            .filter(|worker| *worker != usize::from(self.worker))
        {
            let frame = frame.get_or_insert_with(|| match core::str::from_utf8(payload) {
                Ok(text) if kind == Kind::Text => Frame::text(text),
                _ => Frame::binary(payload),
            });
            self.posts[worker].push(Post::Publish {
                topic: name.into(),
                frame: frame.clone(),
                key,
            });
        }
        if frame.is_some() {
            self.note_poster();
        }
    }

    /// Notes who has something for other workers in this turn.
    pub(crate) fn note_poster(&mut self) {
        if self.posters.last() != self.current.as_ref() {
            self.posters.extend(self.current);
        }
    }

    /// Publishes what came from another worker or thread.
    pub(crate) fn publish_here(&mut self, name: &str, frame: &Frame, key: u64) {
        if let Some(topic) = self.topics.find(name) {
            self.topics
                .append(topic, frame.kind(), frame.payload(), None, key);
        }
    }

    pub(crate) fn subscribe(&mut self, index: u32, name: &str) {
        let known = self
            .topics
            .find(name)
            .is_some_and(|topic| self.membership(index, topic).is_some());
        if known {
            return;
        }
        if let Some(slot) = self.slots.get(index)
            && let [only] = slot.memberships[..]
            && self.topics.is_in_cohort(only)
        {
            // What was published in the cohort's form is sent in it.
            self.settle(index);
            // That may have closed it.
            if let Some(slot) = self.slots.get(index)
                && let [only] = slot.memberships[..]
            {
                self.topics.leave_cohort(only);
            }
        }
        if let Some(slot) = self.slots.get_mut(index)
            && slot.open().is_some()
        {
            let deflate = slot
                .open()
                .and_then(|connection| connection.agreed().deflate());
            // What is masked is no connection's but its own.
            let deflate = deflate.filter(|_| !slot.is_dialled());
            let alone = slot.memberships.is_empty();
            slot.memberships
                .push(self.topics.join(name, index, deflate, alone));
        }
    }

    pub(crate) fn unsubscribe(&mut self, index: u32, name: &str) -> bool {
        let Some(topic) = self.topics.find(name) else {
            return false;
        };
        if self.membership(index, topic).is_none() {
            return false;
        }
        // What was published before still arrives; if it is too much, all memberships have ended by now.
        self.settle(index);
        if let Some(membership) = self.membership(index, topic)
            && let Some(slot) = self.slots.get_mut(index)
        {
            slot.memberships
                .retain(|membership| membership.topic != topic);
            self.leave(membership);
        }
        true
    }

    /// Ends all memberships. What was published and not yet sent is not sent.
    pub(crate) fn leave_all(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        for membership in core::mem::take(&mut slot.memberships) {
            self.leave(membership);
        }
    }

    fn leave(&mut self, membership: Membership) {
        let Some(moved) = self.topics.leave(membership) else {
            return;
        };
        let memberships = self.slots.get_mut(moved).map(|slot| &mut slot.memberships);
        if let Some(other) = memberships
            .into_iter()
            .flatten()
            .find(|other| other.topic == membership.topic)
        {
            other.place = membership.place;
        }
    }

    pub(crate) fn membership(&self, index: u32, topic: u32) -> Option<Membership> {
        self.slots
            .get(index)?
            .memberships
            .iter()
            .find(|membership| membership.topic == topic)
            .copied()
    }
}
