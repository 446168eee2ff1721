//! [`Slot`]: all that a worker keeps of one connection.

use std::net::SocketAddr;

use wirefan_admission::proxy_protocol::ProxyReader;
use wirefan_protocol::handshake::{HeldRequest, ServerHandshake};
use wirefan_protocol::{Connection, Liveness, Millis, State};

use crate::CloseCause;
use crate::outbox::Outbox;
use crate::peer_addr::PeerAddr;
use crate::round_trip::RoundTrip;
use crate::topics::Membership;
use crate::transport::Transport;
use crate::wheel::Deadline;

#[derive(Debug)]
pub(crate) struct Slot<P> {
    pub(crate) stage: Stage,
    pub(crate) socket: Transport,
    pub(crate) flags: Flags,
    pub(crate) standing: Standing,
    /// What the socket refused; `None` as long as it takes everything.
    pub(crate) outbox: Option<Box<Outbox>>,
    pub(crate) liveness: Liveness,
    pub(crate) round_trip: RoundTrip,
    /// Messages that it lost to reading slowly.
    pub(crate) dropped: u32,
    /// The handler's own timer.
    pub(crate) timer: Deadline,
    /// When the wheel brings this slot up.
    pub(crate) armed: Deadline,
    pub(crate) memberships: Vec<Membership>,
    pub(crate) peer: Option<P>,
    pub(crate) addr: PeerAddr,
    /// Why it ends, as soon as that is known.
    pub(crate) cause: Option<Box<CloseCause>>,
}

/// Among which connections of the server it is counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Standing {
    /// Among all, and among those that are not open yet.
    #[default]
    Pending,
    /// Among all.
    Open,
    /// Among those of its worker that were turned away, for there were too many.
    TurnedAway,
    /// Among none: it is we who have come to it.
    Dialled,
}

/// How far a connection has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// A proxy is to tell whom it speaks for, before anything else.
    Proxied(Box<ProxyReader>),
    /// A request is awaited.
    Handshake(ServerHandshake),
    /// The handler decides later.
    Held(Box<Held>),
    /// We are to connect and be answered.
    #[cfg(feature = "client")]
    Dialling(Box<crate::client::Dialling>),
    /// A WebSocket connection, until it is closed.
    Open(Connection),
    /// Nothing more is said: what is left is written, our side is shut, and the peer's end is awaited.
    Draining,
}

/// A request without an answer, and what came behind it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) request: HeldRequest,
    pub(crate) rest: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags {
    /// Readiness to read has been told and not been used up.
    pub(crate) readable: bool,
    pub(crate) inbound: Inbound,
    pub(crate) farewell: Farewell,
    /// Why nothing is read for the time being.
    pub(crate) holds: Holds,
    /// The handler is to be told when the backlog is low.
    pub(crate) owed_drained: bool,
    /// In the list of what is to be written at the end of the turn.
    pub(crate) dirty: bool,
    /// In the list of what is to be read again without being told.
    pub(crate) again: bool,
    /// The last message was large: the next one may be, too.
    pub(crate) large: bool,
    /// The last read brought much: the next one comes behind those of others.
    pub(crate) bulk: bool,
    /// Our side of the transport is shut.
    pub(crate) shut: bool,
    /// In the list of what is to be taken down.
    pub(crate) ended: bool,
}

/// How far the peer's side of the transport is from its end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Inbound {
    #[default]
    Open,
    /// The peer has ended it: read on until that is reached.
    Closed,
    /// That has been read.
    AtEnd,
}

/// How a connection takes its leave.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Farewell {
    #[default]
    None,
    /// The peer's Close has been read.
    PeerClosed,
    /// It was given up for its time to leave was over.
    Cut,
    /// All was said before a shutdown began: it is none of those that leave.
    Before,
}

impl Flags {
    /// It is given up, unless the peer has closed it.
    pub(crate) fn cut_off(&mut self) {
        if self.farewell == Farewell::None {
            self.farewell = Farewell::Cut;
        }
    }
}

/// Reasons to read nothing from a connection, a bit for each.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Holds(u8);

impl Holds {
    /// The handler wants nothing to be read.
    pub(crate) const PAUSED: Self = Self(1);
    /// The backlog has passed the high mark and not yet fallen below the low one.
    pub(crate) const CHOKED: Self = Self(2);
    /// Another worker's mailbox is full of what this connection published.
    pub(crate) const STALLED: Self = Self(4);
    /// The peer has sent more than it may, and nothing is read for a while.
    pub(crate) const THROTTLED: Self = Self(8);

    /// Whether it was not there before.
    pub(crate) fn add(&mut self, hold: Self) -> bool {
        let new = !self.any_but(Self(!hold.0));
        self.0 |= hold.0;
        new
    }

    pub(crate) fn remove(&mut self, hold: Self) {
        self.0 &= !hold.0;
    }

    /// Whether there is another one than this.
    pub(crate) fn any_but(self, hold: Self) -> bool {
        self.0 & !hold.0 != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl<P> Slot<P> {
    pub(crate) fn new(socket: Transport, addr: SocketAddr, stage: Stage, now: Millis) -> Self {
        Self {
            stage,
            socket,
            flags: Flags::default(),
            standing: Standing::default(),
            outbox: None,
            liveness: Liveness::new(now),
            round_trip: RoundTrip::default(),
            dropped: 0,
            timer: Deadline::NEVER,
            armed: Deadline::NEVER,
            memberships: Vec::new(),
            peer: None,
            addr: addr.into(),
            cause: None,
        }
    }

    /// The connection, while messages can be sent.
    #[inline]
    pub(crate) fn open(&mut self) -> Option<&mut Connection> {
        match &mut self.stage {
            Stage::Open(connection) if connection.state() == State::Open => Some(connection),
            _ => None,
        }
    }

    /// Whether the rest of a large message may be read to where it belongs.
    #[inline]
    pub(crate) fn lends(&self) -> bool {
        // What TLS opens may be more than there is room for in that place.
        self.socket.is_plain()
            && matches!(&self.stage, Stage::Open(connection) if connection.lends())
    }

    pub(crate) fn backlog(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.backlog()) + self.socket.unsent()
    }

    /// When a message of a topic has waited for too long. Behind our Close everything is sent that was before it.
    pub(crate) fn aged(&mut self) -> Option<Millis> {
        self.outbox
            .as_ref()
            .filter(|outbox| outbox.is_of_topics())?;
        self.open()?;
        self.outbox.as_mut()?.deadline()
    }

    /// Whether something is to be written as soon as the socket takes it.
    #[inline]
    pub(crate) fn waits_to_write(&self) -> bool {
        self.outbox.is_some() || self.socket.unsent() > 0
    }

    /// Whether bytes of this connection may be read now.
    #[inline]
    pub(crate) fn wants_read(&self) -> bool {
        let flags = self.flags;
        flags.readable
            && !(flags.ended || flags.inbound == Inbound::AtEnd)
            && match &self.stage {
                Stage::Held(_) => false,
                Stage::Open(connection) if connection.state() == State::Open => {
                    flags.holds.is_empty()
                }
                // No message is handed out any more: what is read is the peer's Close, or thrown away.
                _ => true,
            }
    }

    /// Whether all is said, and our side of the transport is to end behind it.
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        match &self.stage {
            Stage::Open(connection) => connection.state() == State::Closed,
            Stage::Draining => !self.flags.shut,
            Stage::Proxied(_) | Stage::Handshake(_) | Stage::Held(_) => false,
            #[cfg(feature = "client")]
            Stage::Dialling(_) => false,
        }
    }

    /// Whether that follows in this turn when all is written. A client waits for the server to do so; what is given up is
    /// closed, with whatever it has not read.
    #[inline]
    pub(crate) fn ends(&self) -> bool {
        self.is_done() && !self.flags.ended && !self.is_dialled()
    }

    /// Whether we have dialled, and are the client.
    #[inline]
    pub(crate) fn is_dialled(&self) -> bool {
        self.standing == Standing::Dialled
    }

    /// The first cause counts.
    pub(crate) fn set_cause(&mut self, cause: CloseCause) {
        self.cause.get_or_insert_with(|| Box::new(cause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_connection_does_not_pay_for_tls() {
        // Tests have one more kind of socket. Without TLS, and with a whole `SocketAddr`, it was as large.
        let of_tests = size_of::<Transport>() - 16;
        assert!(size_of::<Slot<()>>() - of_tests <= 216);
        assert!(size_of::<Slot<Box<()>>>() - of_tests <= 216);
    }
}
