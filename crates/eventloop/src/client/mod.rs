//! The loop as a client: [`Dial`] says where to and how, [`Ctx::dial`](crate::Ctx::dial) and [`Client::dial`] do it, and the
//! connection is then one like any other, of the same [`Handler`](crate::Handler).
//!
//! ```text
//! Dial ── name ──→ addresses ── connect ──→ socket ── request ──→ answer ──→ Handler::open
//!    on another thread     one after another                          └────→ Handler::closed(CloseCause::Dial)
//! ```
//!
//! * [`Link`] is a connection that comes back when it is lost, and keeps meanwhile what is sent.
//! * [`blocking`] is for scripts and threads.
//!
//! ```
//! use wirefan_eventloop::{Caller, Client, CloseCause, Conn, Ctx, Dial, Handler, Message};
//!
//! struct Print;
//!
//! impl Handler for Print {
//!     type Peer = &'static str;
//!     type Note = ();
//!
//!     fn open(&mut self, conn: &mut Conn<'_, Self::Peer>) {
//!         println!("{} is there", conn.peer());
//!         let _ = conn.send_text("hello");
//!     }
//!
//!     fn message(&mut self, _: &mut Conn<'_, Self::Peer>, message: Message<'_>) {
//!         println!("{message:?}");
//!     }
//!
//!     fn closed(&mut self, _: Option<Self::Peer>, _: Caller, cause: CloseCause, _: &mut Ctx<'_, Self::Peer>) {
//!         println!("{cause}");
//!     }
//! }
//!
//! let client = Client::builder().start(|_| Print)?;
//! client.dial(Dial::new("ws://127.0.0.1:9/chat")?, "nobody")?;
//! client.shutdown(std::time::Duration::from_secs(1))?;
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

mod backoff;
pub mod blocking;
mod body;
mod connect;
mod course;
mod dial;
mod dialling;
mod errand;
mod failure;
mod hops;
mod link;
mod masked;
mod message;
mod offline;
mod proxy;
mod race;
mod redirect;
mod resolver;
mod response;
mod retry_after;
mod running;
mod steps;
mod target;

pub use backoff::{Backoff, Verdict};
pub(crate) use connect::Sockets;
pub use dial::Dial;
pub(crate) use dialling::Dialling;
pub(crate) use errand::{Dialled, Letter};
// The simulation, which is built with TLS, is the world to a worker.
#[cfg(all(test, feature = "tls"))]
pub(crate) use errand::{Errand, Found, Outside};
pub use failure::{DialError, DialPhase, UrlError};
pub use link::{Link, LinkEvent, LinkFull, Links, Reconnect};
pub use message::OwnedMessage;
pub use offline::{LinkCounts, Offline, WhenFull};
pub use proxy::{Proxy, ProxyError};
pub use redirect::RedirectError;
pub use response::Response;
pub use running::{Client, ClientBuilder};
pub(crate) use steps::cause_of_dial;
