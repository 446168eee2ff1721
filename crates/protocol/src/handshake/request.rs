//! [`Request`]: what a client asks for, to be accepted, answered or held. Made by the server's handshake.

use core::fmt;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::head::HeaderLines;
use super::reply::{AnswerError, Reply, check_header};
use super::{accept_key, grammar, write};
use crate::deflate::negotiate;
use crate::{Agreed, Config, Connection};

/// The whole of a 101 but for the key, which stands in its middle.
const SWITCHING: [u8; 129] = *b"HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: ............................\r\n\r\n";
const BEFORE_KEY: usize = SWITCHING.len() - "............................\r\n\r\n".len();

/// A request that has been checked: for a WebSocket, or a plain one to be answered and no more.
///
/// It lends what it gives from the bytes that were read.
#[derive(Clone)]
pub struct Request<'a> {
    pub(super) config: &'a Arc<Config>,
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) lines: HeaderLines<'a>,
    pub(super) noted: Noted<'a>,
    pub(super) body: &'a [u8],
    /// The key in a request for a WebSocket.
    pub(super) key: Option<[u8; 24]>,
}

/// What nearly every server asks of a request: noted when it is checked, so that its lines are not looked through again. Of
/// one that was held, they are.
#[derive(Clone, Copy)]
pub(super) struct Noted<'a> {
    pub(super) host: Option<&'a str>,
    pub(super) origin: Option<&'a str>,
    /// There are lines that offer subprotocols.
    pub(super) offers_protocols: bool,
}

impl<'a> Noted<'a> {
    fn of(lines: HeaderLines<'a>) -> Self {
        let value = |name| lines.values(name).next();
        let text = |name| value(name).and_then(|value| str::from_utf8(value).ok());
        Self {
            host: text("host"),
            origin: text("origin"),
            offers_protocols: value("sec-websocket-protocol").is_some(),
        }
    }
}

impl<'a> Request<'a> {
    /// Writes the 101 and opens the connection.
    ///
    /// The frames that may already stand behind the request are left in the input that it came with. Compression is
    /// agreed on if [`Config::deflate`] wants it and the client offers what can be honoured.
    ///
    /// # Errors
    ///
    /// [`NotWebSocket`](AnswerError::NotWebSocket), [`ProtocolNotOffered`](AnswerError::ProtocolNotOffered) and those
    /// of the headers. Nothing is written then: answer a clone of the request with something else.
    pub fn accept(self, accept: Accept<'_>, out: &mut Vec<u8>) -> Result<Connection, AnswerError> {
        let key = self.key.ok_or(AnswerError::NotWebSocket)?;
        if let Some(protocol) = accept.protocol
            && !self.protocols().any(|offered| offered == protocol)
        {
            return Err(AnswerError::ProtocolNotOffered);
        }
        accept
            .headers
            .iter()
            .try_for_each(|(name, value)| check_header(name, value))?;

        let (agreed, extension) = self.negotiate();
        let mut answer = SWITCHING;
        if let Some((place, _)) = answer[BEFORE_KEY..].split_first_chunk_mut() {
            *place = accept_key(&key);
        }
        if accept.protocol.is_none() && accept.headers.is_empty() && extension.is_none() {
            out.extend_from_slice(&answer);
        } else {
            let (head, blank_line) = answer.split_at(answer.len() - 2);
            out.extend_from_slice(head);
            if let Some(protocol) = accept.protocol {
                write::header(out, "Sec-WebSocket-Protocol", protocol);
            }
            if let Some(extension) = extension {
                write::header(out, "Sec-WebSocket-Extensions", &extension);
            }
            for (name, value) in accept.headers {
                write::header(out, name, value);
            }
            out.extend_from_slice(blank_line);
        }
        Ok(Connection::server(Arc::clone(self.config), agreed))
    }

    /// What is agreed about extensions, and the line that says so.
    fn negotiate(&self) -> (Agreed, Option<String>) {
        if self.config.deflate.is_none() {
            return (Agreed::default(), None);
        }
        let lines = self
            .headers()
            .filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-extensions"));
        // Lists that are none have been refused with the request.
        negotiate(lines.map(|(_, value)| value), self.config).unwrap_or_default()
    }

    /// Writes a plain HTTP answer. Write it out, then end the transport.
    ///
    /// # Errors
    ///
    /// Those of the status and the headers. Nothing is written then.
    pub fn respond(self, reply: &Reply<'_>, out: &mut Vec<u8>) -> Result<(), AnswerError> {
        reply.write(self.method == "HEAD", out)
    }

    /// The request, owned, to be answered later.
    pub fn hold(self) -> HeldRequest {
        HeldRequest {
            config: Arc::clone(self.config),
            method: self.method.into(),
            target: self.target.into(),
            lines: self.lines.as_bytes().into(),
            body: self.body.into(),
            key: self.key,
        }
    }

    /// The method, `GET` in a request for a WebSocket.
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// The target as it was sent: a path with its query, a whole URI, or `*` (RFC 9112 §3.2).
    pub fn target(&self) -> &'a str {
        self.target
    }

    /// The path of the target, not decoded, without the query; `*` where that is the target.
    pub fn path(&self) -> &'a str {
        let path = match grammar::split_absolute(self.target) {
            Some((_, path)) => path,
            None => self.target,
        };
        match path.split_once('?').map_or(path, |(path, _)| path) {
            "" => "/",
            path => path,
        }
    }

    /// What follows the first `?` of the target, not decoded.
    pub fn query(&self) -> Option<&'a str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The host that is asked, with its port if that was named.
    ///
    /// It comes from a target that is a whole URI (RFC 9112 §3.2.2), else from `Host`. A request for a WebSocket
    /// always has one.
    pub fn host(&self) -> Option<&'a str> {
        match grammar::split_absolute(self.target) {
            Some((authority, _)) => Some(authority),
            None => self.noted.host,
        }
    }

    /// The origin of the page that asks; `None` if the header is missing, as it is where no browser asks.
    ///
    /// Compare it as a whole. There is one at most: more of them, and bytes that are not ASCII, have been refused.
    pub fn origin(&self) -> Option<&'a str> {
        self.noted.origin
    }

    /// The value of the first header line with this name, in any case.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.lines.values(name).next()
    }

    /// The header lines in their order, without the space around their values.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.lines
    }

    /// The subprotocols that are offered, the best one for the client first (RFC 6455 §4.2.1).
    pub fn protocols(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let lines = self.noted.offers_protocols.then_some(self.lines);
        lines
            .into_iter()
            .flat_map(|lines| lines.values("sec-websocket-protocol"))
            .flat_map(grammar::list)
            .filter_map(|protocol| str::from_utf8(protocol).ok())
    }

    /// The body of a plain request.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Whether this asks for a WebSocket; if not, it can only be answered with [`respond`](Self::respond).
    pub fn is_websocket(&self) -> bool {
        self.key.is_some()
    }
}

// Headers and query may hold credentials: they stay out of logs.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path())
            .field("is_websocket", &self.is_websocket())
            .finish_non_exhaustive()
    }
}

/// What is for the caller to choose in a 101.
///
/// ```
/// use wirefan_protocol::handshake::Accept;
///
/// let accept = Accept { protocol: Some("chat"), ..Accept::default() };
/// assert!(accept.headers.is_empty());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Accept<'a> {
    /// One of the subprotocols that the client [offers](Request::protocols), or none.
    pub protocol: Option<&'a str>,
    /// More header lines, for example `Set-Cookie`.
    pub headers: &'a [(&'a str, &'a str)],
}

/// A [`Request`] that owns what an answer needs, for decisions that take longer than this turn.
pub struct HeldRequest {
    config: Arc<Config>,
    method: Box<str>,
    target: Box<str>,
    lines: Box<[u8]>,
    /// Grows with what arrives, never by what was announced.
    pub(super) body: Vec<u8>,
    key: Option<[u8; 24]>,
}

impl HeldRequest {
    /// The request, to be accepted or answered.
    pub fn request(&self) -> Request<'_> {
        Request {
            config: &self.config,
            method: &self.method,
            target: &self.target,
            lines: HeaderLines::new(&self.lines),
            noted: Noted::of(HeaderLines::new(&self.lines)),
            body: &self.body,
            key: self.key,
        }
    }
}

impl fmt::Debug for HeldRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request().fmt(f)
    }
}
