//! The loop as a client: [`Dial`] says where to and how, [`Ctx::dial`](crate::Ctx::dial) and [`Client::dial`] do it, and the
//! connection is then one like any other, of the same [`Handler`](crate::Handler).
//!
//! ```text
//! Dial ── name ──→ addresses ── connect ──→ socket ── request ──→ answer ──→ Handler::open
//!    on another thread     one after another                          └────→ Handler::closed(CloseCause::Dial)
//! ```
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

pub mod blocking;
mod body;
mod connect;
mod dial;
mod dialling;
mod failure;
mod masked;
mod message;
mod race;
mod resolver;
mod response;
mod running;
mod steps;
mod target;

pub(crate) use connect::Sockets;
pub use dial::Dial;
pub(crate) use dialling::Dialling;
pub use failure::{DialError, DialPhase, UrlError};
pub use message::OwnedMessage;
pub use response::Response;
pub use running::{Client, ClientBuilder};
pub(crate) use steps::{Dialled, Letter, cause_of_dial};
