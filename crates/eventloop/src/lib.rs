//! A WebSocket server on `mio`: one thread, one poll, one turn.
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
//! * [`Backpressure`] and [`Timeouts`] say what becomes of peers that are slow or gone; [`CloseCause`] says what became of
//!   each.
//!
//! A broadcast is framed once, and compressed once, whoever listens; an idle connection owns no buffer. The order in
//! which messages arrive is promised: each member of a topic sees every publisher's messages in the order published, and
//! direct messages and those of topics in the order in which one handler sent them.
#![forbid(unsafe_code)]
#![warn(clippy::expect_used, clippy::unwrap_used)]

mod conn;

mod ctx;
mod directory;
mod event_loop;
mod fan_out;
mod handler;
mod lane;
mod large;
mod listener;
mod mailbox;
mod outbox;
mod peer_addr;
mod receive;
mod remote;
mod send;
mod server;
mod settings;
#[cfg(test)]
#[cfg(feature = "tls")]
mod sim;
mod slot;
mod slots;
mod state;
mod tls;
mod topics;
mod transport;
mod wheel;
mod worker;

pub use conn::Conn;
pub use ctx::Ctx;
pub use handler::{Acceptance, Caller, CloseCause, Decision, Handler, Message, Sent};
pub use mailbox::MailboxFull;
pub use remote::{Remote, WorkerInfo};
/// The rustls that [`Tls`] is made for, so that a configuration of one's own is of the same version.
#[cfg(feature = "tls")]
pub use rustls;
pub use server::{Server, ServerBuilder};
pub use settings::{AtLimit, Backpressure};
pub use slots::ConnId;
pub use tls::TlsFailure;
#[cfg(feature = "tls")]
pub use tls::{ClientAuth, PemSource, Tls, TlsBuilder, TlsError, TlsSession};
pub use wirefan_protocol::Timeouts;

/// The examples of the README compile, and those of the pages in docs/ that are about the loop.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
#[doc = include_str!("../../../docs/moving-from/tungstenite.md")]
#[doc = include_str!("../../../docs/moving-from/ws.md")]
#[doc = include_str!("../../../docs/moving-from/python-websockets.md")]
#[derive(Debug)]
pub struct Readme;
