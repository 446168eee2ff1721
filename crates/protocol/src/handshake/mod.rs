//! The opening handshake (RFC 6455 §4) of both sides, without I/O, and plain HTTP requests to the same port.
//!
//! [`ServerHandshake`] turns bytes into a [`Request`], to be accepted, answered or held;
//! [`ClientHandshake`] writes a request and turns bytes into an [`Answer`]. A stack that speaks HTTP
//! itself needs neither: [`accept_key`], and [`Connection::server`](crate::Connection::server).

mod bad_request;
mod bad_response;
mod checks;
mod client;
mod client_request;
pub(crate) mod grammar;
mod head;
mod key;
mod reply;
mod request;
mod response;
mod server;
mod write;

pub use crate::deflate::{InvalidExtensions, negotiate};
pub use bad_request::BadRequest;
pub use bad_response::BadResponse;
pub use client::{Answer, ClientHandshake};
pub use client_request::{ClientRequest, InvalidRequest};
pub use head::HeadError;
pub use key::{accept_key, parse_key};
pub use reply::{AnswerError, Reply};
pub use request::{Accept, HeldRequest, Request};
pub use response::Response;
pub use server::{Asked, ServerHandshake};
