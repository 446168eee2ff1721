//! [`Conn`]: a connection in a handler's hand.

use core::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use wirefan_protocol::{CloseCode, Frame, Kind, SendError};

use crate::slot::Holds;
use crate::state::Core;
use crate::wheel::Deadline;
use crate::{Caller, CloseCause, ConnId, Ctx, Message, Sent};

/// A connection, for the length of one call. To reach it later or from elsewhere, keep its [`ConnId`].
///
/// What is sent here is written when the call is over, or soon after the read that led to it: all of it at once, behind at
/// most 15 more reads, of other connections.
pub struct Conn<'a, P> {
    pub(crate) core: &'a mut Core<P>,
    pub(crate) slot: u32,
    pub(crate) peer: &'a mut P,
}

impl<P> Conn<'_, P> {
    /// What the connection is called.
    pub fn id(&self) -> ConnId {
        self.core.id(self.slot)
    }

    /// What you keep for it.
    pub fn peer(&mut self) -> &mut P {
        self.peer
    }

    /// The client's address, as in [`Caller::addr`].
    pub fn remote_addr(&self) -> SocketAddr {
        self.core.caller(self.slot).addr
    }

    /// Who it is and how it has come here, as its request told.
    pub fn caller(&self) -> Caller {
        self.core.caller(self.slot)
    }

    /// What was agreed by TLS; `None` on a plain connection.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<crate::TlsSession<'_>> {
        self.core.slots.get(self.slot)?.socket.tls()
    }

    /// What the server answered to the handshake, where we have dialled; `None` on a connection that was accepted.
    #[cfg(feature = "client")]
    pub fn response(&self) -> Option<&crate::client::Response> {
        self.core.dialled.responses.get(&self.slot).map(|it| &**it)
    }

    /// Sends a message.
    #[inline]
    pub fn send(&mut self, message: Message<'_>) -> Sent {
        let (kind, payload) = message.parts();
        self.core.send(self.slot, kind, payload)
    }

    /// Sends a text message.
    #[inline]
    pub fn send_text(&mut self, text: &str) -> Sent {
        self.core.send(self.slot, Kind::Text, text.as_bytes())
    }

    /// Sends a binary message.
    #[inline]
    pub fn send_binary(&mut self, data: &[u8]) -> Sent {
        self.core.send(self.slot, Kind::Binary, data)
    }

    /// Sends an encoded message.
    pub fn send_frame(&mut self, frame: &Frame) -> Sent {
        self.core.send_frame(self.slot, frame)
    }

    /// Sends a ping of one's own, of at most 125 bytes; [`Handler::pong`](crate::Handler::pong) tells of the answer.
    ///
    /// # Errors
    ///
    /// [`SendError::AfterClose`], [`SendError::ControlTooLong`].
    pub fn send_ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.core.ping(self.slot, payload)
    }

    /// Sends a ping whose answer tells the round-trip time. The loop does that by itself with the pings that it sends to
    /// quiet peers; of several at a time the last one counts.
    ///
    /// # Errors
    ///
    /// [`SendError::AfterClose`].
    pub fn ping(&mut self) -> Result<(), SendError> {
        self.core.measure(self.slot)
    }

    /// How long the peer took to answer the last ping of the loop's or of [`ping`](Self::ping) that it has answered, the
    /// time that either side was busy included; `None`: it has not answered any. A peer that always has something to
    /// say is not pinged by the loop.
    pub fn rtt(&self) -> Option<Duration> {
        self.core.slots.get(self.slot)?.liveness.rtt()
    }

    /// Starts the closing handshake (RFC 6455 §7.1.2), behind all that was sent. No message comes any more, all
    /// subscriptions end, and [`Handler::closed`](crate::Handler::closed) follows when the transport has ended.
    ///
    /// # Errors
    ///
    /// [`SendError::AfterClose`], [`SendError::InvalidCloseCode`], [`SendError::ReasonTooLong`].
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.core
            .close(self.slot, code, reason, CloseCause::WeClosed { code })
    }

    /// Makes this connection a member of a topic; a topic is whatever someone subscribed to.
    ///
    /// One that goes beyond [`Limits::topics`](crate::Limits::topics) is closed instead, with 1008: see
    /// [`topics`](Self::topics).
    pub fn subscribe(&mut self, topic: &str) {
        if self.core.may_subscribe(self.slot, topic) {
            self.core.subscribe(self.slot, topic);
        } else {
            let (code, cause) = (CloseCode::POLICY, CloseCause::TooManyTopics);
            let _ = self.core.close(self.slot, code, "too many topics", cause);
        }
    }

    /// How many topics this connection is a member of.
    pub fn topics(&self) -> usize {
        let slot = self.core.slots.get(self.slot);
        slot.map_or(0, |slot| slot.memberships.len())
    }

    /// Ends a membership; what was published before still arrives. Returns whether there was one.
    pub fn unsubscribe(&mut self, topic: &str) -> bool {
        self.core.unsubscribe(self.slot, topic)
    }

    /// Publishes to every other member of a topic, on every worker.
    #[inline]
    pub fn publish(&mut self, topic: &str, message: Message<'_>) {
        let (kind, payload) = message.parts();
        self.core.publish(topic, kind, payload, Some(self.slot));
    }

    /// Publishes to every other member of a topic a message that takes the place of an older one with the same key
    /// wherever that still waits, in topics that [conflate](crate::WhenSlow::Conflate).
    /// [`server`](Self::server)`().publish_keyed` does so for this one too.
    pub fn publish_keyed(&mut self, topic: &str, key: &str, message: Message<'_>) {
        let (kind, payload) = message.parts();
        let key = self.core.topics.key(key);
        self.core
            .publish_with(topic, key, kind, payload, Some(self.slot));
    }

    /// Publishes to every member of a topic, this one included.
    #[inline]
    pub fn publish_all(&mut self, topic: &str, message: Message<'_>) {
        let (kind, payload) = message.parts();
        self.core.publish(topic, kind, payload, None);
    }

    /// The bytes that the socket has refused, with those behind them, and what keeping them costs.
    pub fn backlog(&self) -> usize {
        self.core
            .slots
            .get(self.slot)
            .map_or(0, |slot| slot.backlog())
    }

    /// How many messages this connection has lost to reading slowly: by the [policies](crate::Policy) of its topics and at
    /// the [limit](crate::Backpressure::limit) of its backlog. [`Handler::drained`](crate::Handler::drained) is the moment
    /// to send it what makes up for them.
    pub fn dropped(&self) -> u32 {
        self.core
            .slots
            .get(self.slot)
            .map_or(0, |slot| slot.dropped)
    }

    /// Reads nothing more from this connection. What has been read already still comes.
    pub fn pause_reading(&mut self) {
        if let Some(slot) = self.core.slots.get_mut(self.slot) {
            slot.flags.holds.add(Holds::PAUSED);
        }
    }

    /// Reads on.
    pub fn resume_reading(&mut self) {
        if let Some(slot) = self.core.slots.get_mut(self.slot) {
            slot.flags.holds.remove(Holds::PAUSED);
            self.core.read_again(self.slot);
        }
    }

    /// Has [`Handler::timer`](crate::Handler::timer) called once, after this time or up to a tenth of a second later.
    /// A timer set before is replaced.
    pub fn set_timer(&mut self, after: Duration) {
        self.core.set_timer(self.slot, self.core.now.after(after));
    }

    /// Forgets the timer.
    pub fn clear_timer(&mut self) {
        if let Some(slot) = self.core.slots.get_mut(self.slot) {
            slot.timer = Deadline::NEVER;
        }
    }

    /// The worker, for what concerns other connections.
    pub fn server(&mut self) -> Ctx<'_, P> {
        Ctx { core: self.core }
    }
}

impl<P: fmt::Debug> fmt::Debug for Conn<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn")
            .field("id", &self.id())
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl<'a> Message<'a> {
    /// What it is, and its bytes.
    #[inline]
    pub(crate) fn parts(self) -> (Kind, &'a [u8]) {
        match self {
            Message::Text(text) => (Kind::Text, text.as_bytes()),
            Message::Binary(data) => (Kind::Binary, data),
        }
    }
}
