//! RFC 6455 without I/O: bytes in, events out; messages in, bytes out.
//!
//! The crate has no socket, no clock and no thread, one line of `unsafe`, and works without `std`. You lend it what you read, it
//! unmasks that in place and hands slices of it back; you lend it a vector, it appends what must be sent:
//!
//! * [`Connection`], one end of an open connection: [`next_event`](Connection::next_event) for what the peer sent,
//!   [`send_text`](Connection::send_text) and its siblings for what you send. Pings, Closes and violations are answered
//!   for you, before you see the event.
//! * [`handshake`], how a connection is opened, from either side; and for stacks that speak HTTP themselves,
//!   [`handshake::accept_key`] and [`handshake::negotiate`].
//! * [`Frame`], a message encoded (and compressed) once for many; `Cohort`, one compressor with history
//!   for many.
//! * [`Liveness`], when to ping and when to give up, with time as an argument.
//! * [`Config`], the limits: each has a safe default, and each tells what it bounds.
//!
//! The contract: ask for events until there are none, write `out` in order, and end the transport when
//! [`state`](Connection::state) says so. `examples/blocking_echo.rs` is a whole server on `std::net`.
//!
//! # Features
//!
//! Both are on by default, and each only adds:
//!
//! * `std`: UTF-8 is checked with SIMD, chosen at run time.
//! * `deflate`: permessage-deflate (RFC 7692); implies `std`. Without it every offer is declined.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]
#![warn(clippy::expect_used, clippy::unwrap_used)]
#![warn(
    clippy::alloc_instead_of_core,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core
)]

extern crate alloc;

mod close;
mod config;
mod connection;
mod decoder;
mod deflate;
mod error;
mod event;
mod frame;
pub mod handshake;
mod header;
mod input;
mod keys;
mod liveness;
mod mask;
mod partial;
mod scratch;
mod send;
mod unmasked;
mod utf8;

pub use close::{CloseCode, CloseFrame};
pub use config::Config;
pub use connection::Connection;
pub use deflate::{Agreed, DeflateConfig, DeflateParams, Way};
#[cfg(feature = "deflate")]
pub use deflate::{Cohort, InStep, Place};
pub use error::{Error, SendError};
pub use event::{Event, Role, State};
pub use frame::Frame;
pub use header::{Header, HeaderBytes, Kind, Opcode};
pub use input::Input;
pub use keys::MaskKeys;
pub use liveness::{Due, Liveness, Millis, Overdue, Timeouts};
pub use mask::apply_mask;
#[cfg(feature = "deflate")]
pub use scratch::Inflated;
pub use scratch::{RecvScratch, Scratch, SendScratch};
