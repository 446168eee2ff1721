//! [`Handler`]: what an application writes, and the values that its calls carry.

use core::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use wirefan_protocol::handshake::{BadRequest, Reply, Request};
use wirefan_protocol::{CloseCode, Error, Overdue};

use crate::{Conn, ConnId, Ctx, ProxyFailure, TlsFailure};

/// Your side of every connection. One value for each worker thread.
///
/// A call never happens inside another one, nor inside something that you called. Calls must not block: every other
/// connection of the worker waits meanwhile.
///
/// ```
/// use wirefan_eventloop::{Caller, Conn, Ctx, Decision, Handler, Message, Server};
/// use wirefan_protocol::handshake::Request;
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Peer = ();
///     type Note = ();
///
///     fn request(&mut self, _: &Request<'_>, _: Caller, _: &mut Ctx<'_, ()>) -> Decision<()> {
///         Decision::accept(())
///     }
///
///     fn message(&mut self, conn: &mut Conn<'_, ()>, message: Message<'_>) {
///         let _ = conn.send(message);
///     }
/// }
///
/// let server = Server::builder().listen("127.0.0.1:0")?.workers(1).start(|_| Echo)?;
/// println!("listening on {}", server.addrs()[0]);
/// server.shutdown(std::time::Duration::from_secs(1));
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Handler: Sized + 'static {
    /// What you keep for each connection.
    type Peer: 'static;

    /// What other threads may send you with [`Remote::note`](crate::Remote::note).
    type Note: Send + 'static;

    /// A request has come: accept it, answer it, or decide later.
    ///
    /// Plain HTTP requests come here too: [`Request::is_websocket`] tells. They can only be answered; accepting one
    /// answers 426.
    ///
    /// It is not called for what this loop has dialled. Default: 404.
    fn request(
        &mut self,
        request: &Request<'_>,
        caller: Caller,
        server: &mut Ctx<'_, Self::Peer>,
    ) -> Decision<Self::Peer> {
        let _ = (request, caller, server);
        Decision::Answer(Reply::text(404, "not found"))
    }

    /// What was dialled is about to be connected to, at once or when it is [time](crate::Dial::after).
    #[cfg(feature = "client")]
    fn dialling(&mut self, peer: &mut Self::Peer) {
        let _ = peer;
    }

    /// The connection is open.
    fn open(&mut self, conn: &mut Conn<'_, Self::Peer>) {
        let _ = conn;
    }

    /// A whole message has come. None comes any more after [`Conn::close`].
    fn message(&mut self, conn: &mut Conn<'_, Self::Peer>, message: Message<'_>);

    /// The backlog fell below the low mark, after it had passed the high one or a message had been dropped; where a
    /// [policy](crate::Policy) dropped it, when nothing waits any more.
    fn drained(&mut self, conn: &mut Conn<'_, Self::Peer>) {
        let _ = conn;
    }

    /// A pong has come. `rtt` is how long it took where it answers the loop's own ping or [`Conn::ping`]; where it is
    /// `None`, the pong answers [`Conn::send_ping`] or nothing at all.
    fn pong(&mut self, conn: &mut Conn<'_, Self::Peer>, payload: &[u8], rtt: Option<Duration>) {
        let _ = (conn, payload, rtt);
    }

    /// The timer set with [`Conn::set_timer`] is due.
    fn timer(&mut self, conn: &mut Conn<'_, Self::Peer>) {
        let _ = conn;
    }

    /// The last call for this caller, exactly once. `peer` is `None` where no connection was opened, unless we had dialled
    /// it.
    fn closed(
        &mut self,
        peer: Option<Self::Peer>,
        caller: Caller,
        cause: CloseCause,
        server: &mut Ctx<'_, Self::Peer>,
    ) {
        let _ = (peer, caller, cause, server);
    }

    /// A note from another thread: an answer from a database, a decision after [`Decision::Later`].
    fn note(&mut self, note: Self::Note, server: &mut Ctx<'_, Self::Peer>) {
        let _ = (note, server);
    }
}

/// A whole message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Message<'a> {
    /// UTF-8.
    Text(&'a str),
    /// Any bytes.
    Binary(&'a [u8]),
}

/// Who is calling.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Caller {
    /// What the connection is called, now and when it is open.
    pub id: ConnId,
    /// The client: the other end of the transport, or whom a trusted proxy named. `0.0.0.0:0` where nobody knows, on a Unix
    /// socket.
    pub addr: SocketAddr,
    /// How it has come here, which says what `addr` is worth.
    pub via: Via,
}

/// On which way a connection has come.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Via {
    /// Over TCP, from the address itself. A connection of a proxy on its own behalf, such as a health check, is one too.
    Tcp,
    /// On a Unix socket, without an address.
    Unix,
    /// By way of a proxy that has told the address with the PROXY protocol; the proxy's own, unless it came on a Unix socket.
    Proxy(Option<SocketAddr>),
}

/// What is to become of a request.
#[derive(Debug)]
pub enum Decision<P> {
    /// Open the connection.
    Accept(Acceptance<P>),
    /// Answer with plain HTTP and close.
    Answer(Reply<'static>),
    /// Decide later, with [`Ctx::accept`] or [`Ctx::answer`]. Until then nothing more is read; the time limit of the
    /// handshake goes on.
    Later,
}

impl<P> Decision<P> {
    /// Opens the connection, without a subprotocol or headers of one's own.
    pub fn accept(peer: P) -> Self {
        Self::Accept(Acceptance::new(peer))
    }
}

/// The choices in accepting a connection.
#[derive(Clone, Debug)]
pub struct Acceptance<P> {
    /// What to keep for the connection.
    pub peer: P,
    /// One of the subprotocols that the client offered.
    pub protocol: Option<String>,
    /// More headers for the answer.
    pub headers: Vec<(String, String)>,
}

impl<P> Acceptance<P> {
    /// Without a subprotocol or headers of one's own.
    pub fn new(peer: P) -> Self {
        Self {
            peer,
            protocol: None,
            headers: Vec::new(),
        }
    }
}

/// What became of a message that was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a dropped message is not an error, but it is gone"]
pub enum Sent {
    /// It is on its way.
    Queued,
    /// It is on its way, but the backlog is above the high mark: better wait for [`Handler::drained`].
    Full,
    /// It is gone: the backlog is at its limit, or the connection is closing.
    Dropped,
}

/// Why a connection, or what might have become one, has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CloseCause {
    /// The peer closed.
    PeerClosed {
        /// Its code, if it gave one.
        code: Option<CloseCode>,
        /// Its reason.
        reason: Box<str>,
    },
    /// We closed, by [`Conn::close`] or from another thread.
    WeClosed {
        /// Our code.
        code: CloseCode,
    },
    /// The peer broke the protocol or a limit.
    Protocol(Error),
    /// The transport ended without a Close.
    Lost,
    /// The transport failed.
    Reset(io::ErrorKind),
    /// Something took too long.
    Timeout(Overdue),
    /// The peer did not read what it was sent, and the backlog reached its limit.
    SlowReader,
    /// The server shuts down.
    Shutdown,
    /// A request was answered with plain HTTP and this status.
    Answered(u16),
    /// A request was not one.
    BadRequest(BadRequest),
    /// There were too many connections already.
    TooManyConnections,
    /// There were too many connections already that were not open yet.
    TooManyPending,
    /// Its address had too many connections already.
    TooManyFromAddress,
    /// Its address made too many handshakes.
    TooManyHandshakes,
    /// It subscribed to too many topics.
    TooManyTopics,
    /// It sent more messages or bytes than it may.
    TooFast,
    /// Nobody could tell whom it was from, or was trusted to.
    Proxy(ProxyFailure),
    /// TLS failed.
    Tls(TlsFailure),
    /// TLS came where plain HTTP is spoken.
    TlsOnPlainPort,
    /// What was dialled did not open.
    #[cfg(feature = "client")]
    Dial(crate::DialError),
}

impl CloseCause {
    /// The same word in every log and count.
    pub fn name(&self) -> &'static str {
        match self {
            Self::PeerClosed { .. } => "peer_closed",
            Self::WeClosed { .. } => "we_closed",
            Self::Protocol(_) => "protocol_error",
            Self::Lost => "lost",
            // What the system says where TCP_USER_TIMEOUT is over.
            Self::Reset(io::ErrorKind::TimedOut) => "write_stalled",
            Self::Reset(_) => "reset",
            Self::Timeout(Overdue::Handshake) => "handshake_timeout",
            Self::Timeout(Overdue::Pong) => "pong_timeout",
            Self::Timeout(Overdue::Idle) => "idle_timeout",
            Self::Timeout(Overdue::Close) => "close_timeout",
            Self::Timeout(Overdue::Lifetime) => "lifetime_over",
            Self::SlowReader => "slow_reader",
            Self::Shutdown => "shutdown",
            Self::Answered(_) => "answered",
            Self::BadRequest(_) => "bad_request",
            Self::TooManyConnections => "too_many_connections",
            Self::TooManyPending => "too_many_pending",
            Self::TooManyFromAddress => "too_many_from_address",
            Self::TooManyHandshakes => "too_many_handshakes",
            Self::TooManyTopics => "too_many_topics",
            Self::TooFast => "too_fast",
            Self::Proxy(failure) => failure.name(),
            Self::Tls(failure) => failure.name(),
            Self::TlsOnPlainPort => "tls_on_plain_port",
            #[cfg(feature = "client")]
            Self::Dial(error) => error.name(),
        }
    }
}

impl fmt::Display for CloseCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerClosed { code: None, .. } => f.write_str("peer closed without a code"),
            Self::PeerClosed {
                code: Some(code),
                reason,
            } if reason.is_empty() => {
                write!(f, "peer closed with {code}")
            }
            Self::PeerClosed {
                code: Some(code),
                reason,
            } => {
                write!(f, "peer closed with {code}: {}", reason.escape_debug())
            }
            Self::WeClosed { code } => write!(f, "closed with {code}"),
            Self::Protocol(error) => write!(f, "{error}"),
            Self::Lost => f.write_str("connection lost without a Close"),
            Self::Reset(kind) => write!(f, "transport failed: {kind}"),
            Self::Timeout(Overdue::Handshake) => f.write_str("handshake took too long"),
            Self::Timeout(Overdue::Pong) => f.write_str("no sign of life after a ping"),
            Self::Timeout(Overdue::Idle) => f.write_str("no message for too long"),
            Self::Timeout(Overdue::Close) => f.write_str("closing took too long"),
            Self::Timeout(Overdue::Lifetime) => f.write_str("lasted as long as it may"),
            Self::SlowReader => f.write_str("reads too slowly"),
            Self::Shutdown => f.write_str("server shuts down"),
            Self::Answered(status) => write!(f, "answered with {status}"),
            Self::BadRequest(why) => write!(f, "bad request: {why}"),
            Self::TooManyConnections => f.write_str("too many connections"),
            Self::TooManyPending => f.write_str("too many connections that are not open yet"),
            Self::TooManyFromAddress => f.write_str("too many connections from this address"),
            Self::TooManyHandshakes => f.write_str("too many handshakes from this address"),
            Self::TooManyTopics => f.write_str("too many topics"),
            Self::TooFast => f.write_str("more messages or bytes than allowed"),
            Self::Proxy(failure) => write!(f, "PROXY protocol: {failure}"),
            Self::Tls(failure) => failure.fmt(f),
            Self::TlsOnPlainPort => f.write_str("TLS on a plain port"),
            #[cfg(feature = "client")]
            Self::Dial(error) => error.fmt(f),
        }
    }
}
