//! The small grammars inside of a head: tokens, lists, field values, hosts, targets (RFC 9110, 9112, 3986).
//! All of them are linear in what they read.

/// A token, as the names of headers, methods and subprotocols are (RFC 9110 §5.6.2).
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    static TOKEN: [bool; 256] = alphanumeric_or(b"!#$%&'*+-.^_`|~");
    TOKEN[usize::from(byte)]
}

/// For each byte, whether it is a letter, a digit or one of these.
pub(super) const fn alphanumeric_or(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}

/// A field value that ends neither its line nor its text: no control bytes but tabs (RFC 9110 §5.5).
pub(super) fn is_field_value(text: &[u8]) -> bool {
    !text
        .iter()
        .any(|&byte| byte.is_ascii_control() && byte != b'\t')
}

/// The elements of a list; empty ones do not count (RFC 9110 §5.6.1).
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// Whether a list has this element, in any case.
pub(super) fn list_has(value: &[u8], element: &str) -> bool {
    list(value).any(|other| other.eq_ignore_ascii_case(element.as_bytes()))
}

/// One token or more, and nothing else.
pub(super) fn is_token_list(value: &[u8]) -> bool {
    list(value).next().is_some() && list(value).all(is_token)
}

/// Visible ASCII and single spaces: the serialization of an origin (RFC 6454 §6.2).
pub(super) fn is_origin(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A host with an optional port (RFC 9110 §7.2, RFC 3986 §3.2.2).
pub(super) fn is_authority(value: &[u8]) -> bool {
    let (host_is_valid, port) = match value {
        [b'[', rest @ ..] => {
            let end = rest
                .iter()
                .position(|&byte| byte == b']')
                .unwrap_or(rest.len());
            let (address, rest) = rest.split_at(end);
            let is_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            match rest {
                [b']', port @ ..] => (!address.is_empty() && address.iter().all(is_address), port),
                _ => (false, rest),
            }
        }
        _ => {
            let end = value
                .iter()
                .position(|&byte| byte == b':')
                .unwrap_or(value.len());
            let (host, port) = value.split_at(end);
            (
                !host.is_empty() && host.iter().all(|&byte| is_host_byte(byte)),
                port,
            )
        }
    };
    let port_is_valid = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    host_is_valid && port_is_valid
}

fn is_host_byte(byte: u8) -> bool {
    static HOST: [bool; 256] = alphanumeric_or(b"-._~%!$&'()*+,;=");
    HOST[usize::from(byte)]
}

/// A path with an optional query, as a `ws` URI has it: no fragment, all of it visible ASCII (RFC 6455 §3).
pub(super) fn is_path(target: &[u8]) -> bool {
    target.first() == Some(&b'/') && is_target_text(target)
}

/// A request target that names a resource here: a path, the whole URI, or `*` (RFC 9112 §3.2).
pub(super) fn is_target(target: &str) -> bool {
    match split_absolute(target) {
        Some((authority, path)) => {
            is_authority(authority.as_bytes()) && is_target_text(path.as_bytes())
        }
        None => target == "*" || is_path(target.as_bytes()),
    }
}

fn is_target_text(text: &[u8]) -> bool {
    text.iter()
        .all(|&byte| byte.is_ascii_graphic() && byte != b'#')
}

/// The authority and what follows it, if `target` is a whole URI (RFC 9112 §3.2.2, RFC 6455 §4.2.1).
pub(super) fn split_absolute(target: &str) -> Option<(&str, &str)> {
    if target.starts_with('/') {
        return None;
    }
    let (scheme, rest) = target.split_once("://")?;
    let known = ["http", "https", "ws", "wss"];
    if !known.iter().any(|other| scheme.eq_ignore_ascii_case(other)) {
        return None;
    }
    Some(rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn rfc_9110_section_5_6_2_tokens() {
        for token in [
            "a",
            "Sec-WebSocket-Key",
            "v1.b~64|x",
            "!#$%&'*+-.^_`|~09azAZ",
        ] {
            assert!(is_token(token.as_bytes()), "{token}");
        }
        for other in [
            "", "a b", "a,b", "a\"b", "a/b", "a:b", "a=b", "a\0", "ä", "(a)", "a\r",
        ] {
            assert!(!is_token(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn rfc_9110_section_5_6_1_lists() {
        let elements: Vec<_> = list(b" keep-alive ,, \tUpgrade,").collect();
        assert_eq!(elements, [&b"keep-alive"[..], b"Upgrade"]);
        assert!(list_has(b"keep-alive, UPGRADE", "upgrade"));
        assert!(!list_has(b"keep-alive, no-upgrade", "upgrade"));
        assert!(!list_has(b"keep-alive upgrade", "upgrade"));
        assert!(is_token_list(b"chat, superchat,"));
        for invalid in [
            &b""[..],
            b" , ",
            b"chat, super chat",
            b"chat, \xc3\xa4",
            b"chat;q=1",
        ] {
            assert!(!is_token_list(invalid), "{}", invalid.escape_ascii());
        }
    }

    #[test]
    fn rfc_9110_section_7_2_hosts() {
        for host in [
            "localhost",
            "example.com:80",
            "127.0.0.1:9001",
            "[::1]",
            "[::ffff:1.2.3.4]:443",
            "a_b",
            "x:",
            "%41",
        ] {
            assert!(is_authority(host.as_bytes()), "{host}");
        }
        for other in [
            "", ":80", "a b", "user@a", "a/b", "a:b", "a:123456", "a:80:80", "[::1", "[]", "[g]",
            "[::1]x", "::1", "a,b:x", "ä", "a?", "a#",
        ] {
            assert!(!is_authority(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn rfc_9112_section_3_2_targets() {
        for target in [
            "/",
            "/a?b=c",
            "*",
            "http://a/b",
            "WS://a:1?b",
            "https://[::1]",
            "/a://b",
        ] {
            assert!(is_target(target), "{target}");
        }
        for other in [
            "",
            "a",
            "a:80",
            "/a#b",
            "/ä",
            "ftp://a/",
            "http://",
            "http://u@a/",
            "**",
        ] {
            assert!(!is_target(other), "{other}");
        }
        assert_eq!(split_absolute("wss://a:1/b?c"), Some(("a:1", "/b?c")));
        assert_eq!(split_absolute("ws://a?c"), Some(("a", "?c")));
    }

    #[test]
    fn rfc_6454_section_6_2_origins() {
        assert!(is_origin(b"null") && is_origin(b"https://example.com:8443"));
        assert!(!is_origin(b"") && !is_origin(b"http://\xc3\xa4") && !is_origin(b"a\tb"));
    }
}
