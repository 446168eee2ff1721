//! [`Ctx`]: the worker in a handler's hand.

use std::net::IpAddr;

use wirefan_admission::AddressRefused;
use wirefan_protocol::handshake::Reply;
use wirefan_protocol::{CloseCode, Frame};

use crate::mailbox::Post;
use crate::slot::Stage;
use crate::state::Core;
use crate::{Acceptance, CloseCause, ConnId, Decision, Drops, Message, Sent};

/// The worker, for the length of one call. [`Conn::server`](crate::Conn::server) gives it too.
#[derive(Debug)]
pub struct Ctx<'a, P> {
    pub(crate) core: &'a mut Core<P>,
}

impl<P> Ctx<'_, P> {
    /// Publishes to every member of a topic, on every worker.
    pub fn publish(&mut self, topic: &str, message: Message<'_>) {
        let (kind, payload) = message.parts();
        self.core.publish(topic, kind, payload, None);
    }

    /// Publishes to every member of a topic a message that takes the place of an older one with the same key wherever that
    /// still waits, in topics that [conflate](crate::WhenSlow::Conflate).
    pub fn publish_keyed(&mut self, topic: &str, key: &str, message: Message<'_>) {
        let (kind, payload) = message.parts();
        let key = self.core.topics.key(key);
        self.core.publish_with(topic, key, kind, payload, None);
    }

    /// Sends a message to any connection of the server. One on another worker gets it there; that it does is not known
    /// here, and [`Sent::Queued`] is returned.
    pub fn send(&mut self, to: ConnId, message: Message<'_>) -> Sent {
        if to.worker == self.core.worker {
            let (kind, payload) = message.parts();
            return match self.core.slots.find(to) {
                Some(index) => self.core.send(index, kind, payload),
                None => Sent::Dropped,
            };
        }
        let frame = match message {
            Message::Text(text) => Frame::text(text),
            Message::Binary(data) => Frame::binary(data),
        };
        self.send_frame(to, &frame)
    }

    /// Sends an encoded message to any connection of the server, sharing its bytes.
    pub fn send_frame(&mut self, to: ConnId, frame: &Frame) -> Sent {
        if to.worker != self.core.worker {
            return self.post(
                to,
                Post::Send {
                    to,
                    frame: frame.clone(),
                },
            );
        }
        match self.core.slots.find(to) {
            Some(index) => self.core.send_frame(index, frame),
            None => Sent::Dropped,
        }
    }

    /// Starts the closing handshake of any connection of the server; nothing happens if it is gone or if the code may
    /// not be sent.
    pub fn close(&mut self, conn: ConnId, code: CloseCode, reason: &str) {
        if conn.worker != self.core.worker {
            let _ = self.post(
                conn,
                Post::Close {
                    conn,
                    code,
                    reason: reason.into(),
                },
            );
        } else if let Some(index) = self.core.slots.find(conn) {
            let _ = self
                .core
                .close(index, code, reason, CloseCause::WeClosed { code });
        }
    }

    /// What was agreed by TLS with a connection of this worker, from its request on; `None` on a plain one, or if it is
    /// gone.
    #[cfg(feature = "tls")]
    pub fn tls(&self, id: ConnId) -> Option<crate::TlsSession<'_>> {
        let here = (id.worker == self.core.worker).then_some(id)?;
        let index = self.core.slots.find(here)?;
        self.core.slots.get(index)?.socket.tls()
    }

    /// Opens a connection to somewhere else, on this worker. [`Handler::open`](crate::Handler::open) tells when it is open,
    /// [`Handler::closed`](crate::Handler::closed) that it is not any more, or never was; `peer` comes back there in either
    /// case. Until it is open nothing can be sent to it; [`close`](Self::close) gives it up.
    ///
    /// While the loop shuts down nothing is dialled: `peer` is dropped, and the name is nobody's.
    #[cfg(feature = "client")]
    pub fn dial(&mut self, dial: crate::Dial, peer: P) -> ConnId {
        self.core.dial(dial, peer)
    }

    /// Reads on from a connection of this worker that [`Conn::pause_reading`](crate::Conn::pause_reading) has paused.
    #[cfg(feature = "client")]
    pub(crate) fn resume_reading(&mut self, id: ConnId) {
        if let Some(index) = self.core.slots.find(id)
            && let Some(slot) = self.core.slots.get_mut(index)
        {
            slot.flags.paused = false;
            self.core.read_again(index);
        }
    }

    /// How many members a topic has, on all workers.
    pub fn members(&self, topic: &str) -> usize {
        self.core.topics.members(topic)
    }

    /// What the members of a topic on this worker have lost to reading slowly, since it has members here; `None` where it
    /// has no members, or no [policy](crate::Policy).
    pub fn topic_drops(&self, topic: &str) -> Option<Drops> {
        self.core.topics.drops(topic)
    }

    /// What the connections of this worker have lost to reading slowly, in all topics, with a policy or without, and of what
    /// they were sent alone.
    pub fn drops(&self) -> Drops {
        self.core.topics.tally.drops()
    }

    /// How many connections this worker has, those in their handshake included.
    pub fn connections(&self) -> usize {
        self.core.slots.len()
    }

    /// Counts a connection of this worker for the address of a client that a header of HTTP has named, against
    /// [`Limits::per_address`](crate::Limits::per_address): to be called once in [`Handler::request`](crate::Handler::request),
    /// for requests of [`Limits::proxies`](crate::Limits::proxies). Without limits, or if it is gone, nothing happens.
    ///
    /// # Errors
    ///
    /// The address has had enough: answer with 429 and `Retry-After`
    /// ([`retry_after_secs`](AddressRefused::retry_after_secs)).
    pub fn count_as(&mut self, id: ConnId, client: IpAddr) -> Result<(), AddressRefused> {
        let here = (id.worker == self.core.worker).then_some(id);
        match here.and_then(|id| self.core.slots.find(id)) {
            Some(index) => self.core.count_as(index, client),
            None => Ok(()),
        }
    }

    /// Accepts a request that was to be decided [later](Decision::Later). Returns whether it still waited; it must be
    /// on this worker ([`ConnId::worker`]).
    pub fn accept(&mut self, id: ConnId, acceptance: Acceptance<P>) -> bool {
        self.decide(id, Decision::Accept(acceptance))
    }

    /// Answers a request that was to be decided [later](Decision::Later). Returns whether it still waited; it must be
    /// on this worker ([`ConnId::worker`]).
    pub fn answer(&mut self, id: ConnId, reply: Reply<'static>) -> bool {
        self.decide(id, Decision::Answer(reply))
    }

    fn decide(&mut self, id: ConnId, decision: Decision<P>) -> bool {
        let Some(index) = self
            .core
            .slots
            .find(id)
            .filter(|_| id.worker == self.core.worker)
        else {
            return false;
        };
        let waits = matches!(
            self.core.slots.get(index).map(|slot| &slot.stage),
            Some(Stage::Held(_))
        ) && !self
            .core
            .decided
            .iter()
            .any(|(decided, _)| *decided == index);
        if waits {
            // Opening calls the handler, and that never happens inside a call.
            self.core.decided.push((index, decision));
        }
        waits
    }

    fn post(&mut self, to: ConnId, post: Post) -> Sent {
        let Some(posts) = self.core.posts.get_mut(usize::from(to.worker)) else {
            return Sent::Dropped;
        };
        posts.push(post);
        self.core.note_poster();
        Sent::Queued
    }
}
