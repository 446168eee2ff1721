//! TLS by rustls, driven by the loop: [`Tls`] is what a listener has, [`ClientTls`] what a dial has, [`stream`] what a connection has. Without the
//! feature `tls` the types of `absent.rs` stand in for both, of which there are no values.

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod builder;
#[cfg(all(feature = "client", feature = "tls"))]
mod client;
mod failure;
#[cfg(feature = "tls")]
mod identity;
#[cfg(feature = "tls")]
mod records;
#[cfg(feature = "tls")]
mod sealed;
#[cfg(feature = "tls")]
mod session;
#[cfg(feature = "tls")]
mod settings;
#[cfg(feature = "tls")]
mod stream;
#[cfg(test)]
#[cfg(feature = "tls")]
mod tests;

#[cfg(not(feature = "tls"))]
pub(crate) use absent::{Tls, TlsStream};
#[cfg(feature = "tls")]
pub use builder::{ClientAuth, PemSource, TlsBuilder, TlsError};
#[cfg(all(feature = "client", feature = "tls"))]
pub use client::{ClientTls, ClientTlsBuilder};
pub use failure::TlsFailure;
#[cfg(feature = "tls")]
pub use session::TlsSession;
#[cfg(feature = "tls")]
pub use settings::Tls;
#[cfg(feature = "tls")]
pub(crate) use stream::TlsStream;
