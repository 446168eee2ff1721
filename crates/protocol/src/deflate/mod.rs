//! permessage-deflate (RFC 7692): the one extension there is, as one layer between the decoder and the messages.
//!
//! Negotiation is text and always there; without the feature `deflate` every offer is declined.

mod negotiate;
mod offer;

#[cfg(feature = "deflate")]
mod cohort;
#[cfg(feature = "deflate")]
mod deflater;
#[cfg(feature = "deflate")]
mod inflate;
#[cfg(feature = "deflate")]
mod inflater;

#[cfg(feature = "deflate")]
pub use cohort::{Cohort, InStep, Place};
#[cfg(feature = "deflate")]
pub(crate) use deflater::Deflater;
#[cfg(feature = "deflate")]
pub(crate) use inflate::{Inflation, remember};
pub use negotiate::{InvalidExtensions, negotiate};
pub(crate) use negotiate::{check, offer};
pub(crate) use offer::is_extension_list;

const PERMESSAGE_DEFLATE: &str = "permessage-deflate";

/// How to compress, and what to agree to.
///
/// `takeover` decides what a connection costs. Without it, the default, all connections of a thread share one
/// compressor and one decompressor, and a quiet connection owns nothing; each message is compressed for itself. With
/// it, messages refer to earlier ones, which makes small similar ones much smaller, and a connection keeps a window of
/// up to 32 KiB for what it receives and a compressor of up to 380 KiB for what it sends.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DeflateConfig {
    /// Whether messages may refer to earlier ones (RFC 7692 §7.1.1). Default: no.
    pub takeover: bool,
    /// Broadcasts that are compressed once for all, with a shared history and a keyframe every so many messages
    /// ([`Cohort`](crate::Cohort)): as small as with `takeover`, at the price of one compressor for each room. To this
    /// end it is agreed that *our* messages may refer to earlier ones, which costs the peer a window and a connection of
    /// ours nothing. `None`: each broadcast is compressed on its own. Default: `None`.
    pub shared_history: Option<u32>,
    /// The largest window in bits, 9 to 15, for both directions (RFC 7692 §7.1.2). Default: 15.
    pub window_bits: u8,
    /// How hard to try, from 1 (fast) to 9 (small). Default: 3.
    pub level: u8,
    /// Shorter messages are sent as they are. Bytes; default: 128.
    pub min_len: usize,
    /// The most bytes that one byte may inflate to, looked at from 64 KiB of a message on; beyond, the connection fails
    /// with 1009. `None`: [`Config::max_message`](crate::Config::max_message) alone bounds. Default: `None`, for blank
    /// images and the like honestly reach the thousandfold that deflate is capable of.
    pub max_ratio: Option<u32>,
    /// A compressed message is sent in fragments of at most this many bytes, for peers that bound their frames. `None`:
    /// in one frame. Default: `None`.
    pub max_frame: Option<usize>,
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self {
            takeover: false,
            shared_history: None,
            window_bits: 15,
            level: 3,
            min_len: 128,
            max_ratio: None,
            max_frame: None,
        }
    }
}

/// What the handshake settled about extensions. The default is: nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Agreed {
    pub(crate) deflate: Option<DeflateParams>,
}

impl Agreed {
    /// How messages are compressed, if they may be.
    pub fn deflate(&self) -> Option<DeflateParams> {
        self.deflate
    }
}

/// What was agreed for permessage-deflate, seen from this end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeflateParams {
    /// For what we send.
    pub send: Way,
    /// For what we receive.
    pub receive: Way,
}

/// What was agreed for one direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Way {
    /// Messages may refer to earlier ones (RFC 7692 §7.1.1).
    pub takeover: bool,
    /// The largest window in bits, 8 to 15 (RFC 7692 §7.1.2).
    pub window_bits: u8,
}
