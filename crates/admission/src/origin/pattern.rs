//! [`Serialized`], an origin as a browser sends it, and [`Pattern`], an entry of the list. Used by `origin`.

use std::error;
use std::fmt;

use super::authority::{Authority, Host, port_number, split_port};
use crate::Scheme;

/// An origin with a scheme, host and port (RFC 6454 §6.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Serialized {
    /// In lower case.
    scheme: Box<str>,
    pub(super) authority: Authority,
}

impl Serialized {
    /// Reads one origin; RFC 6454 §7.1 has a list too, which no browser sends and nothing here would know how to take.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        Some(Self {
            scheme: scheme_of(scheme)?,
            authority: Authority::parse(authority)?,
        })
    }

    /// The scheme, if it is one that WebSockets go with.
    pub(super) fn web_scheme(&self) -> Option<Scheme> {
        Scheme::named(&self.scheme)
    }
}

/// An entry of the list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Pattern {
    scheme: Box<str>,
    host: HostPattern,
    port: PortPattern,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum HostPattern {
    Exact(Host),
    /// Names that end in this, which begins with a dot.
    Below(Box<str>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum PortPattern {
    Any,
    /// The port that counts: the default one where none is written, if the scheme has one.
    Only(Option<u16>),
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, OriginPatternError> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or(OriginPatternError::SchemeMissing)?;
        let scheme = scheme_of(scheme).ok_or(OriginPatternError::SchemeInvalid)?;
        if rest.contains(['/', '?', '#']) {
            return Err(OriginPatternError::Path);
        }
        let (host, port) = split_port(rest).ok_or(OriginPatternError::HostInvalid)?;
        let port = match port {
            Some("*") => PortPattern::Any,
            None => PortPattern::Only(default_port(&scheme)),
            Some(digits) => PortPattern::Only(Some(
                port_number(digits).ok_or(OriginPatternError::PortInvalid)?,
            )),
        };
        let host = match host.strip_prefix("*.") {
            Some(base) => match Host::parse(base) {
                Some(base) if base.is_address() => return Err(OriginPatternError::Wildcard),
                // All of .com is nobody's to trust; names below localhost never leave the machine (RFC 6761 §6.3).
                Some(Host::Name(base)) if base.contains('.') || &*base == "localhost" => {
                    HostPattern::Below(format!(".{base}").into())
                }
                Some(_) => return Err(OriginPatternError::Wildcard),
                None => return Err(OriginPatternError::HostInvalid),
            },
            None if host.contains('*') => return Err(OriginPatternError::Wildcard),
            None => HostPattern::Exact(Host::parse(host).ok_or(OriginPatternError::HostInvalid)?),
        };
        Ok(Self { scheme, host, port })
    }

    pub(super) fn matches(&self, origin: &Serialized) -> bool {
        let port = origin
            .authority
            .port
            .or_else(|| default_port(&origin.scheme));
        let host = match (&self.host, &origin.authority.host) {
            (HostPattern::Exact(host), other) => host == other,
            (HostPattern::Below(suffix), Host::Name(name)) => {
                name.len() > suffix.len() && name.ends_with(&**suffix)
            }
            (HostPattern::Below(_), Host::V6(_)) => false,
        };
        let port_fits = match self.port {
            PortPattern::Any => true,
            PortPattern::Only(only) => only == port,
        };
        self.scheme == origin.scheme && host && port_fits
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    Scheme::named(scheme).map(Scheme::default_port)
}

/// RFC 3986 §3.1: a letter, then letters, digits, `+`, `-` and `.`; in lower case here, as browsers send it.
fn scheme_of(text: &str) -> Option<Box<str>> {
    let letter = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let rest = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (letter && rest && text.len() <= 63).then(|| text.to_ascii_lowercase().into())
}

/// What is wrong with an entry of an origin list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OriginPatternError {
    /// There is no scheme.
    SchemeMissing,
    /// The scheme is none.
    SchemeInvalid,
    /// The host is none.
    HostInvalid,
    /// The port is none.
    PortInvalid,
    /// Something stands behind host and port.
    Path,
    /// A star where it means nothing, or too much.
    Wildcard,
}

impl fmt::Display for OriginPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SchemeMissing => "it begins with a scheme, as in https://example.com",
            Self::SchemeInvalid => "its scheme is not valid",
            Self::HostInvalid => "its host is not valid (names beyond ASCII are written as xn--...)",
            Self::PortInvalid => "its port is neither a number up to 65535 nor *",
            Self::Path => "it ends with the host or port: no slash, path or query",
            Self::Wildcard => {
                "a * stands for subdomains of a name with a dot in it, as in https://*.example.com, or for any port"
            }
        })
    }
}

impl error::Error for OriginPatternError {}
