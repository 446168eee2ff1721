//! [`DialError`]: why a dialled connection did not open, as the handler and the caller of `Dial::new` are told.

use core::fmt;
use std::io;
use std::net::SocketAddr;

use wirefan_protocol::handshake::{BadResponse, InvalidRequest};

use super::{ProxyError, RedirectError, Response};
use crate::TlsFailure;

/// Why a dialled connection did not open.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DialError {
    /// The URL is none of a WebSocket.
    Url(UrlError),
    /// `wss://` in a build without the feature `tls`.
    NoTls,
    /// A subprotocol or a header of the caller's cannot be sent.
    InvalidRequest(InvalidRequest),
    /// What was to prepare this try has failed, and said so.
    Prepare(Box<str>),
    /// The name has no address, as the system's resolver tells it.
    Resolve(Box<str>),
    /// No address of the server could be connected to; this is what the last one said.
    Connect {
        /// The address.
        addr: SocketAddr,
        /// The error.
        kind: io::ErrorKind,
    },
    /// The time for this part was over.
    Timeout(DialPhase),
    /// The proxy did not connect us.
    Proxy(ProxyError),
    /// A redirection was not followed, though that was asked for.
    Redirect(RedirectError),
    /// TLS failed: the certificate is not trusted or not for this name, for instance.
    Tls(TlsFailure),
    /// The server answered, but not with 101: a redirection, a demand for a password, an error.
    Refused(Box<Response>),
    /// The server broke the protocol of the handshake.
    BadResponse(BadResponse),
    /// The server ended the connection before it had answered.
    Ended,
    /// The transport failed before the server had answered.
    Io(io::ErrorKind),
}

/// What took too long.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DialPhase {
    /// Finding the address and connecting to it.
    Connect,
    /// What is said to a proxy, TLS, and the answer to the request.
    Handshake,
}

/// What is wrong with a URL.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum UrlError {
    /// It does not begin with `ws://` or `wss://`.
    Scheme,
    /// There is no host in it, or one that is none.
    Host,
    /// The port is no number from 1 to 65535.
    Port,
    /// It has a fragment (`#`), which URLs of WebSockets do not have (RFC 6455 §3).
    Fragment,
    /// It has spaces, control bytes or bytes that are not ASCII: they have to be percent-encoded, and names of hosts
    /// written in their ASCII form (`xn--`).
    NotAscii,
}

impl DialError {
    /// The same word in every log and count.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Url(_) | Self::NoTls | Self::InvalidRequest(_) => "dial_invalid",
            Self::Prepare(_) => "dial_prepare",
            Self::Resolve(_) => "dial_resolve",
            Self::Connect { .. } => "dial_connect",
            Self::Timeout(_) => "dial_timeout",
            Self::Proxy(_) => "dial_proxy",
            Self::Redirect(_) => "dial_redirect",
            Self::Tls(_) => "dial_tls",
            Self::Refused(_) => "dial_refused",
            Self::BadResponse(_) => "dial_bad_response",
            Self::Ended | Self::Io(_) => "dial_lost",
        }
    }

    /// The server's answer, where there was one.
    pub fn response(&self) -> Option<&Response> {
        match self {
            Self::Refused(response) => Some(response),
            _ => None,
        }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => why.fmt(f),
            Self::NoTls => f.write_str("wss:// needs the feature tls"),
            Self::InvalidRequest(why) => write!(f, "invalid request: {why}"),
            Self::Prepare(why) => write!(f, "cannot prepare the request: {}", why.escape_debug()),
            Self::Resolve(why) => write!(f, "no address: {why}"),
            Self::Connect { addr, kind } => write!(f, "cannot connect to {addr}: {kind}"),
            Self::Timeout(DialPhase::Connect) => f.write_str("connecting took too long"),
            Self::Timeout(DialPhase::Handshake) => f.write_str("the handshake took too long"),
            Self::Tls(TlsFailure::Certificate(why)) => {
                write!(f, "the server's certificate is refused: {why}")
            }
            Self::Tls(why) => why.fmt(f),
            Self::Proxy(why) => why.fmt(f),
            Self::Redirect(why) => why.fmt(f),
            Self::Refused(response) => write!(f, "the server answered with {}", response.status()),
            Self::BadResponse(why) => write!(f, "bad response: {why}"),
            Self::Ended => f.write_str("the server hung up without an answer"),
            Self::Io(kind) => write!(f, "transport failed: {kind}"),
        }
    }
}

impl core::error::Error for DialError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Url(why) => Some(why),
            Self::InvalidRequest(why) => Some(why),
            Self::Tls(why) => Some(why),
            Self::Proxy(why) => Some(why),
            Self::Redirect(why) => Some(why),
            Self::BadResponse(why) => Some(why),
            _ => None,
        }
    }
}

impl From<UrlError> for DialError {
    fn from(why: UrlError) -> Self {
        Self::Url(why)
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the URL does not begin with ws:// or wss://",
            Self::Host => "the URL has no valid host",
            Self::Port => "the URL's port is no number from 1 to 65535",
            Self::Fragment => "the URL has a fragment (#)",
            Self::NotAscii => "the URL is not all visible ASCII",
        })
    }
}

impl core::error::Error for UrlError {}
