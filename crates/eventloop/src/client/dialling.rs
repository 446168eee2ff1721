//! [`Dialling`]: how far a connection has come that we open. Kept in its slot until it is open; moved by `steps.rs`.

use core::fmt;
use std::net::SocketAddr;

use wirefan_protocol::Millis;
use wirefan_protocol::handshake::ClientHandshake;

use super::body::Body;
use super::proxy::Talk;
use super::race::Race;
use super::{Dial, DialError, DialPhase, Proxy, Response};
use crate::transport::Transport;

#[derive(Debug)]
pub(crate) struct Dialling {
    pub(super) dial: Dial,
    pub(super) phase: Phase,
    /// Who connects for us.
    pub(super) proxy: Option<Proxy>,
    /// Redirections that were followed.
    pub(super) hops: u8,
    /// Until when this phase has time.
    pub(super) deadline: Millis,
}

pub(super) enum Phase {
    /// It starts when the deadline comes.
    Delayed,
    /// The addresses are looked for elsewhere.
    LookUp,
    Connecting(Connecting),
    /// The proxy is to connect us.
    Proxy(Box<Talk>),
    /// Everything waits for TLS.
    #[cfg(feature = "tls")]
    Securing,
    /// The request is out or on its way.
    Asking(Box<ClientHandshake>),
    /// There will be no connection; the rest of the answer is read.
    Refused(Box<(Response, Body)>),
}

pub(super) struct Connecting {
    pub(super) race: Race,
    pub(super) attempts: Vec<Attempt>,
    /// Of the last attempt that has failed.
    pub(super) failure: DialError,
}

/// A socket on its way to one address.
pub(super) struct Attempt {
    pub(super) socket: Transport,
    pub(super) addr: SocketAddr,
}

impl Dialling {
    pub(super) fn new(dial: Dial, now: Millis) -> Self {
        Self {
            deadline: now.after(dial.delay),
            phase: Phase::Delayed,
            proxy: None,
            hops: 0,
            dial,
        }
    }

    /// Begins again, elsewhere.
    pub(super) fn restart(&mut self, dial: Dial, now: Millis) {
        self.dial = dial;
        self.phase = Phase::Delayed;
        self.deadline = now;
        self.hops += 1;
    }

    /// When something is to be done though nothing has happened.
    pub(crate) fn due(&self) -> Millis {
        let race = match &self.phase {
            Phase::Connecting(connecting) => connecting.race.due(),
            _ => None,
        };
        race.map_or(self.deadline, |race| race.min(self.deadline))
    }

    /// What took too long if the time is over.
    pub(super) fn overdue(&self) -> DialPhase {
        match self.phase {
            Phase::Delayed | Phase::LookUp | Phase::Connecting(_) => DialPhase::Connect,
            #[cfg(feature = "tls")]
            Phase::Securing => DialPhase::Handshake,
            Phase::Proxy(_) | Phase::Asking(_) | Phase::Refused(_) => DialPhase::Handshake,
        }
    }
}

impl fmt::Debug for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delayed => "Delayed",
            Self::LookUp => "LookUp",
            Self::Connecting(_) => "Connecting",
            Self::Proxy(_) => "Proxy",
            #[cfg(feature = "tls")]
            Self::Securing => "Securing",
            Self::Asking(_) => "Asking",
            Self::Refused(_) => "Refused",
        })
    }
}
