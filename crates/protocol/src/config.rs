//! The limits of a connection and of a handshake, with what each one bounds.

use crate::DeflateConfig;

/// What a peer may make us hold or do. Built once and shared by connections.
///
/// Every limit is finite by default, and `0` means zero, never "unlimited".
///
/// ```
/// use wirefan_protocol::Config;
///
/// let mut config = Config::default();
/// config.max_message = 64 * 1024;
/// assert_eq!(config.max_head, 16 * 1024);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Longest message in bytes, over all of its fragments; one byte more fails the connection with 1009.
    ///
    /// A peer can make a connection hold at most this much plus the slack of a growing vector (at most
    /// as much again). Default: 1 MiB.
    pub max_message: usize,
    /// Most fragments in one message, the first included; one more fails the connection with 1008.
    ///
    /// Fragments are joined as they arrive and cost no memory of their own, so this bounds work only.
    /// Default: 131,072.
    pub max_fragments: u32,
    /// Most empty fragments in a row; one more fails the connection with 1008. Default: 32.
    pub max_empty_fragments: u32,
    /// Longest head of a request or response in bytes, blank line included; more is answered with 431.
    ///
    /// A peer that has not finished its handshake can make us hold at most this much (and
    /// [`max_body`](Self::max_body) with a plain request). Default: 16 KiB.
    pub max_head: usize,
    /// Most header lines in a request or response; more is answered with 431. At most 128; default: 100.
    pub max_headers: usize,
    /// Longest body of a plain HTTP request in bytes; more is answered with 413. Default: 64 KiB.
    pub max_body: usize,
    /// Compression of messages (RFC 7692); `None`: no. Default: `None`, for it costs time, and memory that other
    /// settings here do not bound.
    pub deflate: Option<DeflateConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_message: 1024 * 1024,
            max_fragments: 131_072,
            max_empty_fragments: 32,
            max_head: 16 * 1024,
            max_headers: 100,
            max_body: 64 * 1024,
            deflate: None,
        }
    }
}
