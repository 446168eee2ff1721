//! [`BadRequest`]: why a request was refused by the handshake itself, and the answer that says so.

use core::fmt;

use alloc::vec::Vec;

use super::{HeadError, write};

/// Why a request is none that can be served; with 400 where no other status is named.
///
/// It arrives in [`Asked::Failed`](super::Asked::Failed); the answer, whose body is this reason, is already written.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum BadRequest {
    /// A body longer than [`Config::max_body`](crate::Config::max_body): 413.
    BodyTooLong,
    /// A body in a request for a WebSocket, whose frames begin where the head ends (RFC 6455 §4.1).
    BodyUnexpected,
    /// No `Connection` line has the element `Upgrade` (RFC 6455 §4.2.1).
    ConnectionWithoutUpgrade,
    /// A `Sec-WebSocket-Extensions` that is not a list of extensions (RFC 6455 §9.1).
    ExtensionsInvalid,
    /// The head is none: 431 if it is too large, 505 for another version of HTTP.
    Head(HeadError),
    /// A `Host` that is no host with an optional port (RFC 9112 §3.2).
    HostInvalid,
    /// No `Host` in HTTP/1.1 (RFC 9112 §3.2).
    HostMissing,
    /// More than one `Host` (RFC 9112 §3.2).
    HostRepeated,
    /// A request for a WebSocket in HTTP/1.0, which knows no Upgrade (RFC 6455 §4.2.1, RFC 9110 §7.8).
    HttpTooOld,
    /// A `Sec-WebSocket-Key` that is not the base64 of 16 bytes (RFC 6455 §4.2.1).
    KeyInvalid,
    /// No `Sec-WebSocket-Key` (RFC 6455 §4.2.1).
    KeyMissing,
    /// More than one `Sec-WebSocket-Key` (RFC 6455 §11.3.1).
    KeyRepeated,
    /// A `Content-Length` that is no number, or two that differ (RFC 9112 §6.3).
    LengthInvalid,
    /// `Content-Length` and `Transfer-Encoding` together (RFC 9112 §6.3).
    LengthWithEncoding,
    /// A request for a WebSocket with another method than GET (RFC 6455 §4.2.1): 405.
    MethodNotGet,
    /// An `Origin` that is not visible ASCII (RFC 6454 §6.2).
    OriginInvalid,
    /// More than one `Origin` (RFC 6454 §7.3).
    OriginRepeated,
    /// A `Sec-WebSocket-Protocol` that is not a list of tokens (RFC 6455 §4.3).
    ProtocolInvalid,
    /// A target that names nothing here: no path, no `http` or `ws` URI, not `*` (RFC 9112 §3.2).
    TargetInvalid,
    /// A `Transfer-Encoding`, of which none is understood here (RFC 9112 §6.1): 501.
    TransferEncoding,
    /// No `Upgrade` line names `websocket`, though other headers ask for one (RFC 6455 §4.2.1).
    UpgradeMissing,
    /// More than one `Sec-WebSocket-Version` (RFC 6455 §11.3.5).
    VersionRepeated,
    /// A `Sec-WebSocket-Version` other than 13, or none (RFC 6455 §4.2.2, §4.4): 426, which names 13.
    VersionUnsupported,
}

impl BadRequest {
    /// The status of the answer.
    pub const fn status(self) -> u16 {
        match self {
            Self::MethodNotGet => 405,
            Self::BodyTooLong => 413,
            Self::VersionUnsupported => 426,
            Self::Head(HeadError::TooLong | HeadError::TooManyHeaders) => 431,
            Self::TransferEncoding => 501,
            Self::Head(HeadError::UnsupportedVersion) => 505,
            _ => 400,
        }
    }

    /// One line for people, which is also the body of the answer.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::BodyTooLong => "body too long",
            Self::BodyUnexpected => "a WebSocket request has no body",
            Self::ConnectionWithoutUpgrade => "Connection does not contain Upgrade",
            Self::Head(error) => error.reason(),
            Self::HostInvalid => "invalid Host",
            Self::HostMissing => "Host is missing",
            Self::HostRepeated => "more than one Host",
            Self::HttpTooOld => "a WebSocket needs HTTP/1.1",
            Self::KeyInvalid => "Sec-WebSocket-Key is not the base64 of 16 bytes",
            Self::KeyMissing => "Sec-WebSocket-Key is missing",
            Self::KeyRepeated => "more than one Sec-WebSocket-Key",
            Self::LengthInvalid => "invalid Content-Length",
            Self::LengthWithEncoding => "Content-Length with Transfer-Encoding",
            Self::MethodNotGet => "a WebSocket is asked for with GET",
            Self::OriginInvalid => "invalid Origin",
            Self::OriginRepeated => "more than one Origin",
            Self::ExtensionsInvalid => "Sec-WebSocket-Extensions is not a list of extensions",
            Self::ProtocolInvalid => "Sec-WebSocket-Protocol is not a list of tokens",
            Self::TargetInvalid => "invalid request target",
            Self::TransferEncoding => "Transfer-Encoding is not supported",
            Self::UpgradeMissing => "Upgrade does not name websocket",
            Self::VersionRepeated => "more than one Sec-WebSocket-Version",
            Self::VersionUnsupported => "the WebSocket version is 13",
        }
    }

    /// Appends the answer; without its body where that answers HEAD.
    pub(super) fn answer(self, for_head: bool, out: &mut Vec<u8>) {
        let more: &[_] = match self {
            Self::MethodNotGet => &[("Allow", "GET")],
            // RFC 9110 §15.5.22 wants Upgrade in a 426, and §7.8 has Connection name it.
            Self::VersionUnsupported => &[
                ("Sec-WebSocket-Version", "13"),
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
            ],
            _ => &[],
        };
        let headers = [("Content-Type", "text/plain")].iter().chain(more).copied();
        write::answer(
            out,
            self.status(),
            headers,
            self.reason().as_bytes(),
            for_head,
        );
    }
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl core::error::Error for BadRequest {}

impl From<HeadError> for BadRequest {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}
