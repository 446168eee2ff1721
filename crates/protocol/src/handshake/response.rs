//! [`Response`]: what a server answered, and the checks of that answer (RFC 6455 §4.1).

use core::fmt;

use super::grammar::{list, list_has};
use super::head::{HeaderLines, HeaderRoom};
use super::{BadResponse, HeadError};
use crate::deflate;
use crate::{Agreed, Config};

/// What a server answered: status, headers, and what came along of a body.
#[derive(Clone)]
pub struct Response<'a> {
    status: u16,
    start_line: &'a [u8],
    lines: HeaderLines<'a>,
    body: &'a [u8],
}

impl<'a> Response<'a> {
    /// A response whose head has been checked.
    pub(super) fn new(status: u16, head: &'a [u8], body: &'a [u8]) -> Self {
        let (start_line, lines) = HeaderLines::split(head);
        Self {
            status,
            start_line,
            lines,
            body,
        }
    }

    /// The status: 101 if the connection is open.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The words behind the status; empty if there are none, or if they are no text.
    pub fn reason(&self) -> &'a str {
        let words = self
            .start_line
            .get(b"HTTP/1.1 101 ".len()..)
            .unwrap_or_default();
        str::from_utf8(words).unwrap_or_default()
    }

    /// The subprotocol that the server chose among those offered.
    pub fn protocol(&self) -> Option<&'a str> {
        self.header("sec-websocket-protocol")
            .and_then(|value| str::from_utf8(value).ok())
    }

    /// The value of the first header line with this name, in any case.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.lines.values(name).next()
    }

    /// The header lines in their order, without the space around their values.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.lines
    }

    /// What arrived of the body together with the end of the head, as it was sent; empty where the connection
    /// is open.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }
}

// Headers may hold cookies: they stay out of logs.
impl fmt::Debug for Response<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("reason", &self.reason())
            .finish_non_exhaustive()
    }
}

/// An answer that has been checked.
pub(super) enum Checked {
    /// A 101, with what it agrees on.
    Switching(Agreed),
    /// Any other status.
    Status(u16),
}

/// What an answer has to fit.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) accept: [u8; 28],
    /// The subprotocols on offer, as a list.
    pub(super) protocols: alloc::string::String,
}

impl Expected {
    /// Parses a whole head; a 101 has passed all checks.
    pub(super) fn check(&self, head: &[u8], config: &Config) -> Result<Checked, BadResponse> {
        let mut room = HeaderRoom::new();
        let mut parsed = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let whole =
            parser.parse_response_with_uninit_headers(&mut parsed, head, room.within(config));
        if let Err(error) = whole {
            return Err(BadResponse::Head(match error {
                httparse::Error::Version if !head.starts_with(b"HTTP/") => {
                    HeadError::InvalidStartLine
                }
                error => error.into(),
            }));
        }
        let (Some(status), Some(minor)) = (parsed.code, parsed.version) else {
            return Err(BadResponse::Head(HeadError::InvalidStartLine));
        };
        if status == 101 {
            if minor == 0 {
                return Err(BadResponse::HttpTooOld);
            }
            return self
                .check_switch(parsed.headers, config)
                .map(Checked::Switching);
        }
        Ok(Checked::Status(status))
    }

    /// RFC 6455 §4.1, the checks of a 101 by number: 2 Upgrade, 3 Connection, 4 Accept, 5 extensions, 6 subprotocol.
    fn check_switch(
        &self,
        headers: &[httparse::Header<'_>],
        config: &Config,
    ) -> Result<Agreed, BadResponse> {
        let values = |name: &'static str| {
            let named =
                move |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case(name);
            headers.iter().filter(named).map(|header| header.value)
        };
        let mut upgrades = values("upgrade").peekable();
        let is_websocket = |value: &[u8]| value.eq_ignore_ascii_case(b"websocket");
        if upgrades.peek().is_none() || !upgrades.all(is_websocket) {
            return Err(BadResponse::UpgradeMissing);
        }
        if !values("connection").any(|value| list_has(value, "upgrade")) {
            return Err(BadResponse::ConnectionWithoutUpgrade);
        }
        let mut accepts = values("sec-websocket-accept");
        match (accepts.next(), accepts.next()) {
            (None, _) => return Err(BadResponse::AcceptMissing),
            (Some(_), Some(_)) => return Err(BadResponse::AcceptRepeated),
            (Some(accept), None) if accept != self.accept => return Err(BadResponse::AcceptWrong),
            _ => {}
        }
        let mut extensions = values("sec-websocket-extensions").peekable();
        let agreed = match &config.deflate {
            _ if extensions.peek().is_none() => Agreed::default(),
            Some(deflate) if cfg!(feature = "deflate") => {
                deflate::check(extensions, deflate).ok_or(BadResponse::ExtensionInvalid)?
            }
            _ => return Err(BadResponse::ExtensionNotOffered),
        };
        let mut protocols = values("sec-websocket-protocol");
        match (protocols.next(), protocols.next()) {
            (Some(_), Some(_)) => Err(BadResponse::ProtocolRepeated),
            (Some(protocol), None) if !list(self.protocols.as_bytes()).any(|it| it == protocol) => {
                Err(BadResponse::ProtocolNotOffered)
            }
            _ => Ok(agreed),
        }
    }
}
