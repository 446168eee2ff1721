//! The checks of a request: one parse, one pass over the header lines, then the rules in their order
//! (RFC 6455 §4.2.1, RFC 9112). Called by the server's handshake.

use alloc::sync::Arc;

use super::grammar::{is_authority, is_origin, is_target, is_token_list, list_has};
use super::head::{HeaderLines, HeaderRoom};
use super::key::parse_key;
use super::request::Noted;
use super::{BadRequest, HeadError, Request};
use crate::Config;
use crate::deflate::is_extension_list;

/// A request whose head has been checked.
pub(super) struct Checked<'a> {
    pub(super) request: Request<'a>,
    /// How many bytes of body follow the head.
    pub(super) body_len: usize,
    /// The client waits for a 100 before it sends the body.
    pub(super) expects_continue: bool,
}

/// Parses and checks a whole head.
pub(super) fn check<'a>(
    head: &'a [u8],
    config: &'a Arc<Config>,
) -> Result<Checked<'a>, BadRequest> {
    let (start_line, lines) = HeaderLines::split(head);
    let mut room = HeaderRoom::new();
    let mut parsed = httparse::Request::new(&mut []);
    if let Err(error) = parsed.parse_with_uninit_headers(head, room.within(config)) {
        return Err(BadRequest::Head(match error {
            httparse::Error::Version if !names_a_version(start_line) => HeadError::InvalidStartLine,
            error => error.into(),
        }));
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(BadRequest::Head(HeadError::InvalidStartLine));
    };
    let is_http_1_1 = minor == 1;
    let fields = Fields::gather(parsed.headers);
    if !is_target(target) {
        return Err(BadRequest::TargetInvalid);
    }
    fields.check_host_and_origin(is_http_1_1)?;
    let body_len = fields.check_length()?;
    let key = if fields.asks_for_websocket() {
        Some(fields.check_websocket(method, is_http_1_1, body_len)?)
    } else if body_len > config.max_body {
        return Err(BadRequest::BodyTooLong);
    } else {
        None
    };
    Ok(Checked {
        request: Request {
            config,
            method,
            target,
            lines,
            noted: Noted {
                host: fields.host.text(),
                origin: fields.origin.text(),
                offers_protocols: fields.names_protocols,
            },
            body: &[],
            key,
        },
        body_len,
        expects_continue: fields.expects_continue && is_http_1_1,
    })
}

/// Whether the third word of a request line is some version of HTTP.
fn names_a_version(start_line: &[u8]) -> bool {
    start_line
        .splitn(3, |&byte| byte == b' ')
        .nth(2)
        .is_some_and(|word| word.starts_with(b"HTTP/"))
}

/// The value of a header that may come once.
#[derive(Clone, Copy, Default)]
enum Single<'h> {
    #[default]
    Missing,
    Once(&'h [u8]),
    Repeated,
}

impl<'h> Single<'h> {
    fn add(&mut self, value: &'h [u8]) {
        *self = match self {
            Self::Missing => Self::Once(value),
            Self::Once(_) | Self::Repeated => Self::Repeated,
        };
    }

    fn text(self) -> Option<&'h str> {
        match self {
            Self::Once(value) => str::from_utf8(value).ok(),
            Self::Missing | Self::Repeated => None,
        }
    }
}

/// What the checks need of the headers.
struct Fields<'h> {
    host: Single<'h>,
    origin: Single<'h>,
    key: Single<'h>,
    version: Single<'h>,
    names_protocols: bool,
    protocols_are_valid: bool,
    extensions_are_valid: bool,
    names_websocket: bool,
    names_upgrade: bool,
    length: Result<Option<usize>, BadRequest>,
    has_encoding: bool,
    expects_continue: bool,
}

impl<'h> Fields<'h> {
    fn gather(headers: &[httparse::Header<'h>]) -> Self {
        let mut fields = Self {
            host: Single::Missing,
            origin: Single::Missing,
            key: Single::Missing,
            version: Single::Missing,
            names_protocols: false,
            protocols_are_valid: true,
            extensions_are_valid: true,
            names_websocket: false,
            names_upgrade: false,
            length: Ok(None),
            has_encoding: false,
            expects_continue: false,
        };
        for header in headers {
            fields.add(header.name, header.value);
        }
        fields
    }

    fn add(&mut self, name: &str, value: &'h [u8]) {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("host") {
            self.host.add(value);
        } else if is("origin") {
            self.origin.add(value);
        } else if is("upgrade") {
            self.names_websocket |= list_has(value, "websocket");
        } else if is("connection") {
            self.names_upgrade |= list_has(value, "upgrade");
        } else if is("sec-websocket-key") {
            self.key.add(value);
        } else if is("sec-websocket-version") {
            self.version.add(value);
        } else if is("sec-websocket-protocol") {
            self.names_protocols = true;
            self.protocols_are_valid &= is_token_list(value);
        } else if is("sec-websocket-extensions") {
            self.extensions_are_valid &= is_extension_list(value);
        } else if is("content-length") {
            self.add_length(value);
        } else if is("transfer-encoding") {
            self.has_encoding = true;
        } else if is("expect") {
            self.expects_continue |= list_has(value, "100-continue");
        }
    }

    /// RFC 9112 §6.3: only digits, and the same number if it comes again.
    fn add_length(&mut self, value: &[u8]) {
        self.length = match (self.length, parse_length(value)) {
            (Ok(None), Some(length)) => Ok(Some(length)),
            (Ok(Some(first)), Some(length)) if first == length => Ok(Some(length)),
            _ => Err(BadRequest::LengthInvalid),
        };
    }

    fn check_host_and_origin(&self, is_http_1_1: bool) -> Result<(), BadRequest> {
        match self.host {
            Single::Repeated => return Err(BadRequest::HostRepeated),
            Single::Missing if is_http_1_1 => return Err(BadRequest::HostMissing),
            // RFC 9110 §7.2 has it empty where the target has no authority; §3 of RFC 6455 always has a host.
            Single::Once(b"") if !self.asks_for_websocket() => {}
            Single::Once(host) if !is_authority(host) => return Err(BadRequest::HostInvalid),
            _ => {}
        }
        match self.origin {
            Single::Repeated => Err(BadRequest::OriginRepeated),
            // One that could not be shown as text would look like none: like a client that is no browser.
            Single::Once(origin) if !is_origin(origin) => Err(BadRequest::OriginInvalid),
            _ => Ok(()),
        }
    }

    fn check_length(&self) -> Result<usize, BadRequest> {
        match self.length {
            Ok(Some(_)) | Err(_) if self.has_encoding => Err(BadRequest::LengthWithEncoding),
            _ if self.has_encoding => Err(BadRequest::TransferEncoding),
            length => length.map(Option::unwrap_or_default),
        }
    }

    /// Whether anything in the request makes sense for a WebSocket only.
    fn asks_for_websocket(&self) -> bool {
        self.names_websocket
            || !matches!((self.key, self.version), (Single::Missing, Single::Missing))
    }

    /// RFC 6455 §4.2.1, by number: 1 method and version of HTTP, 3 Upgrade, 4 Connection, 6 version, 5 key,
    /// 8 protocols. The version comes before the key, because those of other versions look different.
    fn check_websocket(
        &self,
        method: &str,
        is_http_1_1: bool,
        body_len: usize,
    ) -> Result<[u8; 24], BadRequest> {
        if method != "GET" {
            return Err(BadRequest::MethodNotGet);
        }
        if !is_http_1_1 {
            return Err(BadRequest::HttpTooOld);
        }
        if !self.names_websocket {
            return Err(BadRequest::UpgradeMissing);
        }
        if !self.names_upgrade {
            return Err(BadRequest::ConnectionWithoutUpgrade);
        }
        match self.version {
            Single::Once(b"13") => {}
            Single::Repeated => return Err(BadRequest::VersionRepeated),
            _ => return Err(BadRequest::VersionUnsupported),
        }
        let key = match self.key {
            Single::Once(key) => parse_key(key).ok_or(BadRequest::KeyInvalid)?,
            Single::Missing => return Err(BadRequest::KeyMissing),
            Single::Repeated => return Err(BadRequest::KeyRepeated),
        };
        if !self.protocols_are_valid {
            return Err(BadRequest::ProtocolInvalid);
        }
        // RFC 6455 §9.1.
        if !self.extensions_are_valid {
            return Err(BadRequest::ExtensionsInvalid);
        }
        if body_len > 0 {
            return Err(BadRequest::BodyUnexpected);
        }
        Ok(key)
    }
}

/// A length of digits only; one that is too large to count is as large as can be.
fn parse_length(value: &[u8]) -> Option<usize> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0_usize, |length, &digit| {
        length
            .saturating_mul(10)
            .saturating_add(usize::from(digit - b'0'))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9110_section_8_6_lengths() {
        assert_eq!(parse_length(b"0"), Some(0));
        assert_eq!(parse_length(b"0065536"), Some(65536));
        assert_eq!(
            parse_length(b"99999999999999999999999999"),
            Some(usize::MAX)
        );
        for other in [
            &b""[..],
            b"+1",
            b"-1",
            b"1 ",
            b"1,1",
            b"0x1",
            b"1.0",
            b"\xb2",
        ] {
            assert_eq!(parse_length(other), None, "{}", other.escape_ascii());
        }
    }

    #[test]
    fn tells_another_version_of_http_from_none() {
        assert!(names_a_version(b"PRI * HTTP/2.0"));
        assert!(!names_a_version(b"GET /a b HTTP/1.1"));
        assert!(!names_a_version(b"GET / FTP/1.0"));
        assert!(!names_a_version(b"GET /"));
    }
}
