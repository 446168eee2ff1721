//! A WebSocket server, and client, on `mio`: one thread, one poll, one turn.
//!
//! Write a [`Handler`], and start a [`Server`] with it:
//!
//! ```text
//! sockets ── read ──→ events ──→ your Handler ── send, publish ──→ one write for each socket and turn
//!                                     ↑
//!                  Remote: notes, messages and closings from other threads
//! ```
//!
//! * [`Conn`] is a connection in a handler's hand: send, subscribe, publish, close, pause, set a timer.
//! * [`Ctx`] is the worker in its hand, for what concerns other connections; [`ConnId`] names one for ever.
//! * [`Remote`] reaches all that from any thread.
//! * [`Endpoint`] is what to listen on: an address, a Unix socket, a socket that is open already; over TLS, behind a proxy.
//! * [`Limits`] says how many may come, how fast, and how much each may send.
//! * [`Stats`] is what it counts, and [`View`] a look at what it has, for whoever watches.
//! * [`Backpressure`], [`Policy`] and [`Timeouts`] say what becomes of peers that are slow or gone; [`CloseCause`] says
//!   what became of each.
//!
//! With the feature `client`, which is on by default, the loop also dials: see [`client`].
//!
//! A broadcast is framed once, and compressed once, whoever listens; an idle connection owns no buffer. The order in
//! which messages arrive is promised: each member of a topic sees every publisher's messages in the order published, and
//! direct messages and those of topics in the order in which one handler sent them.
#![forbid(unsafe_code)]
#![warn(clippy::expect_used, clippy::unwrap_used)]

mod admit;
mod bulk;
#[cfg(feature = "client")]
pub mod client;
mod conn;

mod ctx;
mod deferred;
mod directory;
mod endpoint;
mod event_loop;
mod fan_out;
mod guests;
mod handler;
mod histogram;
mod jitter;
mod lane;
mod large;
mod leaving;
mod limits;
mod listener;
mod mailbox;
mod membership;
mod outbox;
mod peer_addr;
mod policy;
mod proxied;
mod receive;
mod remote;
mod round_trip;
mod send;
mod server;
mod settings;
mod shutdown;
#[cfg(test)]
#[cfg(feature = "tls")]
mod sim;
mod slot;
mod slots;
mod slow_readers;
mod state;
mod stats;
mod stream;
mod tally;
mod tcp;
mod tls;
mod topics;
mod traffic;
mod transport;
#[cfg(unix)]
mod unix_socket;
mod view;
mod wheel;
mod worker;

#[cfg(feature = "client")]
pub use client::{Client, Dial, DialError};
pub use conn::Conn;
pub use ctx::Ctx;
pub use endpoint::{Endpoint, ListenAddr};
pub use handler::{Acceptance, Caller, CloseCause, Decision, Handler, Message, Sent, Via};
pub use histogram::Histogram;
pub use limits::{Limits, OverRate};
pub use mailbox::MailboxFull;
pub use policy::{Drops, Policy, WhenSlow};
pub use proxied::ProxyFailure;
pub use remote::{Remote, WorkerInfo};
/// The rustls that [`Tls`] is made for, so that a configuration of one's own is of the same version.
#[cfg(feature = "tls")]
pub use rustls;
pub use server::{Server, ServerBuilder};
pub use settings::{AtLimit, Backpressure};
pub use shutdown::{Departures, Shutdown};
pub use slots::{ConnId, InvalidConnId};
pub use stats::{Deflated, DropPolicy, Stats, WorkerStats};
pub use tls::TlsFailure;
#[cfg(feature = "tls")]
pub use tls::{ClientAuth, PemSource, Tls, TlsBuilder, TlsError, TlsSession};
#[cfg(all(feature = "client", feature = "tls"))]
pub use tls::{ClientTls, ClientTlsBuilder};
pub use view::{ConnView, View};
/// The crate that [`Limits`] and [`Endpoint::proxy_protocol`] are made with.
pub use wirefan_admission as admission;
pub use wirefan_protocol::Timeouts;

/// The examples of the README compile, and those of the pages in docs/ that are about the loop.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
#[doc = include_str!("../../../docs/slow-readers.md")]
#[doc = include_str!("../../../docs/deploys.md")]
#[doc = include_str!("../../../docs/limits.md")]
#[doc = include_str!("../../../docs/moving-from/tungstenite.md")]
#[doc = include_str!("../../../docs/moving-from/ws.md")]
#[doc = include_str!("../../../docs/moving-from/python-websockets.md")]
#[derive(Debug)]
pub struct Readme;
