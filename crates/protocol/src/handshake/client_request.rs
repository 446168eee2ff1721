//! [`ClientRequest`]: what a client asks for, and its request on the wire (RFC 6455 §4.1).

use core::fmt;

use alloc::vec::Vec;

use super::{grammar, write};

/// What a client asks for.
///
/// ```
/// use wirefan_protocol::handshake::ClientRequest;
///
/// let mut request = ClientRequest::new("example.com:8080", "/chat?room=1");
/// request.protocols = &["superchat", "chat"];
/// request.headers = &[("Authorization", "Basic YTpi")];
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct ClientRequest<'a> {
    /// The server's host, with its port unless that is the default.
    pub host: &'a str,
    /// The path, with its query: `/chat?room=1`.
    pub target: &'a str,
    /// The `Origin`, which only browsers need to send.
    pub origin: Option<&'a str>,
    /// The subprotocols on offer, the best one first.
    pub protocols: &'a [&'a str],
    /// More header lines.
    pub headers: &'a [(&'a str, &'a str)],
}

impl<'a> ClientRequest<'a> {
    /// A request without anything optional.
    pub const fn new(host: &'a str, target: &'a str) -> Self {
        Self {
            host,
            target,
            origin: None,
            protocols: &[],
            headers: &[],
        }
    }

    /// Appends the request, or nothing if anything is wrong with it.
    pub(super) fn write(
        &self,
        key: &[u8; 24],
        extension: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<(), InvalidRequest> {
        self.check()?;
        for piece in ["GET ", self.target, " HTTP/1.1\r\nHost: ", self.host] {
            out.extend_from_slice(piece.as_bytes());
        }
        out.extend_from_slice(
            b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ",
        );
        out.extend_from_slice(key);
        out.extend_from_slice(b"\r\n");
        if let Some(origin) = self.origin {
            write::header(out, "Origin", origin);
        }
        if let [first, rest @ ..] = self.protocols {
            out.extend_from_slice(b"Sec-WebSocket-Protocol: ");
            out.extend_from_slice(first.as_bytes());
            for protocol in rest {
                out.extend_from_slice(b", ");
                out.extend_from_slice(protocol.as_bytes());
            }
            out.extend_from_slice(b"\r\n");
        }
        if let Some(extension) = extension {
            write::header(out, "Sec-WebSocket-Extensions", extension);
        }
        for (name, value) in self.headers {
            write::header(out, name, value);
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn check(&self) -> Result<(), InvalidRequest> {
        if !grammar::is_authority(self.host.as_bytes()) {
            return Err(InvalidRequest::Host);
        }
        if !grammar::is_path(self.target.as_bytes()) {
            return Err(InvalidRequest::Target);
        }
        if self
            .origin
            .is_some_and(|origin| !grammar::is_origin(origin.as_bytes()))
        {
            return Err(InvalidRequest::Origin);
        }
        for (at, protocol) in self.protocols.iter().enumerate() {
            if !grammar::is_token(protocol.as_bytes()) {
                return Err(InvalidRequest::Protocol);
            }
            if self.protocols[..at].contains(protocol) {
                return Err(InvalidRequest::RepeatedProtocol);
            }
        }
        for (name, value) in self.headers {
            if !write::is_header(name, value) {
                return Err(InvalidRequest::Header);
            }
            let own = ["Host", "Origin"]
                .iter()
                .any(|own| own.eq_ignore_ascii_case(name));
            if own || write::is_reserved(name) {
                return Err(InvalidRequest::ReservedHeader);
            }
        }
        Ok(())
    }
}

// Headers and query may hold credentials: they stay out of logs.
impl fmt::Debug for ClientRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientRequest")
            .field("host", &self.host)
            .field("origin", &self.origin)
            .field("protocols", &self.protocols)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a [`ClientRequest`]. Nothing was written.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// A header whose name is no token, or whose value holds CR, LF, NUL or another control byte.
    Header,
    /// The host is none, or its port is no number.
    Host,
    /// The origin is not visible ASCII (RFC 6454 §6.2).
    Origin,
    /// A subprotocol is no token (RFC 6455 §4.1).
    Protocol,
    /// A subprotocol is there twice (RFC 6455 §4.1).
    RepeatedProtocol,
    /// A header that is written here: `Host`, `Origin`, `Connection`, `Upgrade`, `Content-Length`,
    /// `Transfer-Encoding`, `Sec-WebSocket-*`.
    ReservedHeader,
    /// The target does not start with `/`, has a fragment, or is not all visible ASCII (RFC 6455 §3).
    Target,
}

impl fmt::Display for InvalidRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "a header would not be one line of HTTP",
            Self::Host => "the host is invalid",
            Self::Origin => "the origin is not visible ASCII",
            Self::Protocol => "a subprotocol is not a token",
            Self::RepeatedProtocol => "a subprotocol is offered twice",
            Self::ReservedHeader => "a header is not the caller's to write",
            Self::Target => "the target is not a path of visible ASCII",
        })
    }
}

impl core::error::Error for InvalidRequest {}
