//! The PROXY protocol, versions 1 and 2, after HAProxy's `proxy-protocol.txt`: [`ProxyReader`] takes the bytes that a proxy
//! sends before all others, [`ProxyHeader`] is what they say, and writes them too.

mod crc32c;
mod error;
mod header;
mod reader;
mod tlv;
mod v1;
mod v2;

pub use error::{ProxyError, ProxyWriteError};
pub use header::{Endpoints, ProxyHeader, Transport};
pub use reader::{MAX_V1, ProxyReader};
pub use tlv::{ProxyTls, TlvType};

#[cfg(test)]
mod tests;
