#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(clippy::expect_used, clippy::unwrap_used)]

mod accept;
mod client;
mod error;
mod lent;
mod message;
mod outgoing;
mod read;
mod receive;
mod replies;
mod sender;
mod stream;
mod transport;
#[cfg(feature = "connect")]
mod url;
mod utf8_bytes;

pub use accept::{AcceptError, Acceptance, Decision, accept, accept_with};
#[cfg(feature = "connect")]
pub use client::connect;
pub use client::{ConnectError, Response, client};
pub use error::Error;
pub use message::{CloseFrame, Message};
pub use replies::Replies;
pub use sender::{QueueError, Sender};
pub use stream::WebSocketStream;
pub use utf8_bytes::Utf8Bytes;

pub use wirefan_protocol::Error as ProtocolError;
pub use wirefan_protocol::handshake::{self, ClientRequest};
pub use wirefan_protocol::{
    Agreed, CloseCode, Config, DeflateConfig, Event, Role, SendError, State,
};

/// The code in docs/ that needs tokio compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/linking.md")]
#[doc = include_str!("../../../docs/moving-from/tokio-tungstenite.md")]
#[doc = include_str!("../../../docs/moving-from/fastwebsockets.md")]
#[derive(Debug)]
pub struct Pages;
