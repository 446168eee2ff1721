//! [`BadResponse`]: why an answer to a client is none that it can go on with.

use core::fmt;

use super::HeadError;

/// Why a response opens no connection, though it says 101, or is no response at all.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum BadResponse {
    /// No `Sec-WebSocket-Accept` (RFC 6455 §4.1).
    AcceptMissing,
    /// More than one `Sec-WebSocket-Accept` (RFC 6455 §11.3.3).
    AcceptRepeated,
    /// A `Sec-WebSocket-Accept` for another key (RFC 6455 §4.1).
    AcceptWrong,
    /// No `Connection` line has the element `Upgrade` (RFC 6455 §4.1).
    ConnectionWithoutUpgrade,
    /// An answer to our offer of an extension that does not fit it (RFC 6455 §9.1, RFC 7692 §5.1, §7.1).
    ExtensionInvalid,
    /// An extension, where none was offered (RFC 6455 §4.1).
    ExtensionNotOffered,
    /// The head is none.
    Head(HeadError),
    /// A 101 in HTTP/1.0 (RFC 6455 §4.2.2).
    HttpTooOld,
    /// A subprotocol that was not offered (RFC 6455 §4.1).
    ProtocolNotOffered,
    /// More than one `Sec-WebSocket-Protocol` (RFC 6455 §11.3.4).
    ProtocolRepeated,
    /// More than 8 responses that were not the last (RFC 9110 §15.2).
    TooManyInterim,
    /// No `Upgrade`, or one that is not `websocket` (RFC 6455 §4.1).
    UpgradeMissing,
}

impl BadResponse {
    /// One line for people.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::AcceptMissing => "Sec-WebSocket-Accept is missing",
            Self::AcceptRepeated => "more than one Sec-WebSocket-Accept",
            Self::AcceptWrong => "Sec-WebSocket-Accept does not fit the key",
            Self::ConnectionWithoutUpgrade => "Connection does not contain Upgrade",
            Self::ExtensionInvalid => "an extension that does not fit our offer",
            Self::ExtensionNotOffered => "an extension that was not offered",
            Self::Head(error) => error.reason(),
            Self::HttpTooOld => "a WebSocket needs HTTP/1.1",
            Self::ProtocolNotOffered => "a subprotocol that was not offered",
            Self::ProtocolRepeated => "more than one Sec-WebSocket-Protocol",
            Self::TooManyInterim => "too many interim responses",
            Self::UpgradeMissing => "Upgrade is not websocket",
        }
    }
}

impl fmt::Display for BadResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl core::error::Error for BadResponse {}

impl From<HeadError> for BadResponse {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}
