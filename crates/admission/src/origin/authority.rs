//! [`Authority`]: a host and its port, so that two ways to write one host are the same. Used by `origin`.

use std::net::Ipv6Addr;

use crate::Scheme;

/// A host with the port that is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Authority {
    pub(super) host: Host,
    pub(super) port: Option<u16>,
}

/// A host in the one form that is compared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Host {
    /// In lower case, without the dot of the root: `example.com.` is `example.com` (RFC 3986 §3.2.2).
    Name(Box<str>),
    /// RFC 5952 §4: the same address can be written in many ways.
    V6(Ipv6Addr),
}

impl Authority {
    /// Reads `host[:port]` without user information; an empty port counts as none (RFC 3986 §3.2.3).
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = split_port(text)?;
        let port = match port {
            None | Some("") => None,
            Some(digits) => Some(port_number(digits)?),
        };
        Some(Self {
            host: Host::parse(host)?,
            port,
        })
    }

    /// The port that counts where `scheme` is spoken.
    pub(super) fn port_with(&self, scheme: Scheme) -> u16 {
        self.port.unwrap_or_else(|| scheme.default_port())
    }
}

/// A port of digits only.
pub(super) fn port_number(digits: &str) -> Option<u16> {
    let valid = digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| digits.parse().ok())?
}

/// The host and what stands behind its colon, if there is one.
pub(super) fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if text.starts_with('[') {
        let (host, behind) = text.split_at(text.find(']')? + 1);
        return match behind {
            "" => Some((host, None)),
            behind => Some((host, Some(behind.strip_prefix(':')?))),
        };
    }
    match text.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((text, None)),
    }
}

impl Host {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(address) = text.strip_prefix('[') {
            return address.strip_suffix(']')?.parse().ok().map(Self::V6);
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let labels = name.split('.').all(is_label);
        (labels && name.len() <= 253).then(|| Self::Name(name.to_ascii_lowercase().into()))
    }

    /// Whether it is an IP address, which has no subdomains.
    pub(super) fn is_address(&self) -> bool {
        match self {
            Self::V6(_) => true,
            // What a URL standard reads as an IPv4 address ends in a number.
            Self::Name(name) => name
                .rsplit('.')
                .next()
                .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())),
        }
    }
}

/// A label of letters, digits, hyphens, and the underscores that some names have. Others come as `xn--` (RFC 5891 §4.4).
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
