//! [`Target`]: what a `ws://` or `wss://` URL names (RFC 6455 §3). Used by [`Dial`](super::Dial) and by redirections.

use std::net::{IpAddr, Ipv6Addr};

use super::UrlError;

/// A server and what is asked of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Target {
    /// `wss` and not `ws`.
    pub(crate) secure: bool,
    /// A name, or an address without brackets.
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
    /// Path and query.
    pub(crate) path: Box<str>,
    /// What stands before the host: `user:password`, percent-encoded.
    pub(crate) user: Option<Box<str>>,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
        let secure = match scheme {
            scheme if scheme.eq_ignore_ascii_case("ws") => false,
            scheme if scheme.eq_ignore_ascii_case("wss") => true,
            _ => return Err(UrlError::Scheme),
        };
        // RFC 6455 §3 has no fragments.
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::NotAscii);
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let path = if path.starts_with('/') {
            path.into()
        } else {
            format!("/{path}").into()
        };
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user.into()), authority),
            None => (None, authority),
        };
        let (host, port) = host_and_port(authority)?;
        Ok(Self {
            secure,
            host: host.into(),
            port: port.unwrap_or(if secure { 443 } else { 80 }),
            path,
            user,
        })
    }

    /// The address, where the host is one.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// For `Host`: with the port, unless it is the scheme's own.
    pub(crate) fn authority(&self) -> String {
        let default = if self.secure { 443 } else { 80 };
        let host = bracketed(&self.host);
        if self.port == default {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// The same with the port in any case.
    pub(crate) fn host_and_port(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.port)
    }

    /// Whether the two name the same server, so that what is a secret between us and the one may be told the other.
    pub(crate) fn is_same_server(&self, other: &Self) -> bool {
        self.host.eq_ignore_ascii_case(&other.host)
            && self.port == other.port
            && self.secure == other.secure
    }
}

fn bracketed(host: &str) -> String {
    if host.parse::<Ipv6Addr>().is_ok() {
        format!("[{host}]")
    } else {
        host.into()
    }
}

/// Splits `host[:port]`, brackets taken off.
pub(super) fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), UrlError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(UrlError::Host)?;
            host.parse::<Ipv6Addr>().map_err(|_| UrlError::Host)?;
            (host, port)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:!$&'()*+,;=%".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_part) {
        return Err(UrlError::Host);
    }
    let port = match port.strip_prefix(':') {
        Some("") => None,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(port.parse().map_err(|_| UrlError::Port)?)
        }
        None if port.is_empty() => None,
        Some(_) => return Err(UrlError::Port),
        None => return Err(UrlError::Host),
    };
    if port == Some(0) {
        return Err(UrlError::Port);
    }
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_6455_section_3_urls() {
        for (url, secure, host, port, path, authority) in [
            ("ws://a", false, "a", 80, "/", "a"),
            ("WSS://a:80?b=/c", true, "a", 80, "/?b=/c", "a:80"),
            (
                "wss://a.example:/b/c?d=e:f@g",
                true,
                "a.example",
                443,
                "/b/c?d=e:f@g",
                "a.example",
            ),
            ("ws://[::1]:9001/", false, "::1", 9001, "/", "[::1]:9001"),
            ("ws://[::1]", false, "::1", 80, "/", "[::1]"),
            ("ws://1.2.3.4:80/", false, "1.2.3.4", 80, "/", "1.2.3.4"),
        ] {
            let target = Target::parse(url).unwrap();
            let parts = (target.secure, &*target.host, target.port, &*target.path);
            assert_eq!(parts, (secure, host, port, path), "{url}");
            assert_eq!(target.authority(), authority, "{url}");
            assert_eq!(target.user, None);
        }
        let target = Target::parse("ws://a:b%40c@d/").unwrap();
        assert_eq!(
            (target.user.as_deref(), &*target.host),
            (Some("a:b%40c"), "d")
        );
    }

    #[test]
    fn what_is_no_url_of_a_websocket() {
        for (url, error) in [
            ("", UrlError::Scheme),
            ("a", UrlError::Scheme),
            ("ws:/a", UrlError::Scheme),
            ("http://a", UrlError::Scheme),
            ("ws://", UrlError::Host),
            ("ws://:80", UrlError::Host),
            ("ws:///a", UrlError::Host),
            ("ws://a:b", UrlError::Port),
            ("ws://a:+1", UrlError::Port),
            ("ws://a:0", UrlError::Port),
            ("ws://a:65536", UrlError::Port),
            ("ws://[::1", UrlError::Host),
            ("ws://[::1]b", UrlError::Host),
            ("ws://[a]", UrlError::Host),
            ("ws://a\\b", UrlError::Host),
            ("ws://a/#b", UrlError::Fragment),
            ("ws://a/b c", UrlError::NotAscii),
            ("ws://\u{e4}/", UrlError::NotAscii),
            ("ws://a\r\n/", UrlError::NotAscii),
        ] {
            assert_eq!(Target::parse(url), Err(error), "{url}");
        }
    }
}
