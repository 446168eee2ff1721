//! [`Address`]: what a `ws://` URL names (RFC 6455 §3). Used by [`connect`](crate::connect).

use std::borrow::Cow;

#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Address<'a> {
    /// For `Host`: with the port, if the URL names one.
    pub(crate) authority: &'a str,
    /// For the resolver: a name, or an address without brackets.
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    /// Path and query.
    pub(crate) target: Cow<'a, str>,
}

impl<'a> Address<'a> {
    pub(crate) fn parse(url: &'a str) -> Option<Self> {
        let scheme = url.get(..5)?;
        if !scheme.eq_ignore_ascii_case("ws://") {
            return None;
        }
        let rest = url.get(5..)?;
        // RFC 6455 §3 has no fragments.
        if rest.contains('#') {
            return None;
        }
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let target = if target.starts_with('/') {
            target.into()
        } else {
            format!("/{target}").into()
        };
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some("") => 80,
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok()?,
            None if port.is_empty() => 80,
            _ => return None,
        };
        // RFC 6455 §3 has no user names either.
        (!host.is_empty() && !authority.contains('@')).then_some(Self {
            authority,
            host,
            port,
            target,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_6455_section_3_urls() {
        for (url, authority, host, port, target) in [
            ("ws://a", "a", "a", 80, "/"),
            ("WS://a:81?b=/c", "a:81", "a", 81, "/?b=/c"),
            (
                "ws://a.example:/b/c?d=e:f@g",
                "a.example:",
                "a.example",
                80,
                "/b/c?d=e:f@g",
            ),
            ("ws://[::1]:9001/", "[::1]:9001", "::1", 9001, "/"),
            ("ws://[::1]", "[::1]", "::1", 80, "/"),
        ] {
            let target = target.into();
            let expected = Address {
                authority,
                host,
                port,
                target,
            };
            assert_eq!(Address::parse(url), Some(expected), "{url}");
        }
        for url in [
            "",
            "a",
            "ws:/a",
            "wss://a",
            "http://a",
            "ws://",
            "ws://:80",
            "ws:///a",
            "ws://a:b",
            "ws://a:+1",
            "ws://a:65536",
            "ws://u@a",
            "ws://[::1",
            "ws://[::1]b",
            "ws://a/#b",
            "wsß://",
        ] {
            assert_eq!(Address::parse(url), None, "{url}");
        }
    }
}
