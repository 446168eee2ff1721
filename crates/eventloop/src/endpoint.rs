//! [`Endpoint`]: something to listen on, and what is spoken there; [`ListenAddr`]: where that turned out to be.

use core::fmt;
use std::net::{SocketAddr, TcpListener};
#[cfg(unix)]
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;

use wirefan_admission::Networks;

use crate::tls::Tls;

/// Something to listen on: an address, the path of a Unix socket, or a socket that is open already; over TLS or not, behind
/// a proxy that speaks the PROXY protocol or not.
///
/// Where the system shares a port's connections out, each worker listens on an address for itself. A Unix socket and one
/// that was open already are there once: the first worker accepts, and hands out to all in turn.
///
/// ```
/// use wirefan_eventloop::{Endpoint, Server};
///
/// let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let endpoint = Endpoint::from(socket).proxy_protocol("loopback".parse().unwrap());
/// let builder = Server::builder().listen_on(endpoint);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub(crate) place: Place,
    pub(crate) tls: Option<Tls>,
    pub(crate) proxies: Option<Arc<Networks>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    OpenTcp(Arc<TcpListener>),
    #[cfg(unix)]
    Unix(PathBuf, u32),
    #[cfg(unix)]
    OpenUnix(Arc<UnixListener>),
}

impl Endpoint {
    /// An address. Port 0 is any free one.
    pub fn tcp(addr: SocketAddr) -> Self {
        Self::at(Place::Tcp(addr))
    }

    /// A Unix socket at `path`, whose file gets the permissions `mode`, such as `0o660`: whoever may write to it may connect.
    ///
    /// It is never there with other permissions. The file of a server that has ended is replaced, one of a live server is an
    /// error, and so is anything that is no socket. The file is removed when the listener closes, unless somebody has put
    /// another one in its place.
    #[cfg(unix)]
    pub fn unix(path: impl Into<PathBuf>, mode: u32) -> Self {
        Self::at(Place::Unix(path.into(), mode))
    }

    /// Over TLS, beside whatever else there is: see [`listen_tls`](crate::ServerBuilder::listen_tls).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: &Tls) -> Self {
        self.tls = Some(tls.clone());
        self
    }

    /// Behind proxies that tell with the PROXY protocol (version 1 or 2, in front of TLS if there is TLS) whom they speak
    /// for, which is [`Caller::addr`](crate::Caller::addr) then.
    ///
    /// Every connection has to begin with such a header, in the time that a handshake has, and to come from `trusted`
    /// networks; others are closed unread, with [`CloseCause::Proxy`](crate::CloseCause::Proxy). On a Unix socket the
    /// permissions of its file say who is trusted.
    #[must_use]
    pub fn proxy_protocol(mut self, trusted: Networks) -> Self {
        self.proxies = Some(Arc::new(trusted));
        self
    }

    /// Whether somebody else has opened it.
    pub(crate) fn is_open(&self) -> bool {
        match self.place {
            Place::OpenTcp(_) => true,
            #[cfg(unix)]
            Place::OpenUnix(_) => true,
            _ => false,
        }
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            tls: None,
            proxies: None,
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        Self::tcp(addr)
    }
}

/// A socket that listens already, one that was inherited for instance. When the server shuts down, who waits in its queue is
/// left to whoever listens there next.
impl From<TcpListener> for Endpoint {
    fn from(socket: TcpListener) -> Self {
        Self::at(Place::OpenTcp(Arc::new(socket)))
    }
}

/// A socket that listens already. Its file is left to whoever has made it, and its queue to whoever listens there next.
#[cfg(unix)]
impl From<UnixListener> for Endpoint {
    fn from(socket: UnixListener) -> Self {
        Self::at(Place::OpenUnix(Arc::new(socket)))
    }
}

/// Where a server listens.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum ListenAddr {
    /// An address of TCP, its port resolved.
    Tcp(SocketAddr),
    /// The path of a Unix socket, unless it has none.
    Unix(Option<PathBuf>),
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            Self::Unix(None) => f.write_str("unix:"),
        }
    }
}
