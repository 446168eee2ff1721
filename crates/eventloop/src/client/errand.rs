//! What a worker hands out when it dials, and what comes back: [`Outside`] is the system to it, so that a test can be that.

use core::any::Any;
use core::fmt;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use super::{Dial, DialError, Proxy, Response};
use crate::ConnId;
use crate::slots::SlotToken;
use crate::state::Core;
use crate::transport::Transport;

/// What a worker wants of the world when it dials.
pub(crate) trait Outside {
    /// Starts to connect; readiness is told with the token from then on.
    fn connect(&mut self, addr: SocketAddr, token: SlotToken) -> io::Result<Transport>;
    /// Has an errand run, whose outcome comes back as [`Letter::Found`].
    fn look_up(&mut self, id: ConnId, errand: Errand);
}

/// What is to be done before connecting, on a thread that may wait.
#[derive(Debug)]
pub(crate) struct Errand {
    pub(crate) dial: Dial,
}

#[cfg(all(test, feature = "tls"))]
impl Errand {
    /// Whose addresses are wanted.
    pub(crate) fn host(&self) -> &str {
        &self.dial.target.host
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) dial: Dial,
    /// Whose addresses these are, if not the server's.
    pub(crate) proxy: Option<Proxy>,
    pub(crate) addrs: Vec<SocketAddr>,
}

/// Mail about dialling.
pub(crate) enum Letter {
    Found(ConnId, Box<Result<Found, DialError>>),
    /// Dial; the argument is the worker's core.
    Dial(Call),
}

/// To be called with a worker's core, whatever its handler keeps.
type Call = Box<dyn FnOnce(&mut dyn Any) + Send>;

impl Letter {
    /// To a worker whose handler keeps such a `peer` for a connection.
    pub(crate) fn dial<P: Send + 'static>(dial: Dial, peer: P) -> Self {
        Self::Dial(Box::new(|core| {
            if let Some(core) = core.downcast_mut::<Core<P>>() {
                core.dial(dial, peer);
            }
        }))
    }
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Found(..) => "Found",
            Self::Dial(_) => "Dial",
        })
    }
}

/// What a worker keeps of its dialled connections beside their slots.
#[derive(Debug, Default)]
pub(crate) struct Dialled {
    /// Connections for which something is to be done outside.
    pub(crate) wanted: Vec<u32>,
    /// What the servers of open ones answered.
    pub(crate) responses: HashMap<u32, Box<Response>>,
}
