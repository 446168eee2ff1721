//! `Sec-WebSocket-Extensions` as text: elements, parameters, and the four of permessage-deflate
//! (RFC 6455 §9.1, RFC 7692 §7.1). All of it is linear in what it reads. Used by `negotiate.rs`.

use super::PERMESSAGE_DEFLATE;
use crate::handshake::grammar::{is_token, is_token_byte};

/// Whether a header value is a list of extensions. RFC 6455 §9.1: one that is not fails the handshake.
pub(crate) fn is_extension_list(value: &[u8]) -> bool {
    let mut elements = split(value, b',').peekable();
    elements.peek().is_some()
        && elements.all(|element| {
            let mut parts = split_all(element, b';');
            parts.next().is_some_and(is_token) && parts.all(|part| Parameter::parse(part).is_some())
        })
}

/// The parameters of one permessage-deflate, in an offer or in an answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Parameters {
    pub(super) server_no_context_takeover: bool,
    pub(super) client_no_context_takeover: bool,
    pub(super) server_max_window_bits: Option<u8>,
    pub(super) client_max_window_bits: Option<ClientBits>,
}

/// A `client_max_window_bits`, which needs no value in an offer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ClientBits {
    Any,
    AtMost(u8),
}

/// The extensions of a value that is a list of them: `None` for one that is not ours, or has an unknown, doubled or
/// invalid parameter (RFC 7692 §7.1).
pub(super) fn extensions(value: &[u8]) -> impl Iterator<Item = Option<Parameters>> {
    split(value, b',').map(|element| {
        let mut parts = split_all(element, b';');
        if !parts
            .next()?
            .eq_ignore_ascii_case(PERMESSAGE_DEFLATE.as_bytes())
        {
            return None;
        }
        let mut parameters = Parameters::default();
        for part in parts {
            parameters.add(Parameter::parse(part)?)?;
        }
        Some(parameters)
    })
}

impl Parameters {
    /// Adds one; `None` if it may not be there.
    fn add(&mut self, parameter: Parameter<'_>) -> Option<()> {
        let is = |name: &str| parameter.name.eq_ignore_ascii_case(name.as_bytes());
        let flag = |seen: &mut bool| {
            // RFC 7692 §7.1.1: no value, and at most once.
            let valid = !*seen && parameter.value.is_none();
            *seen = true;
            valid.then_some(())
        };
        if is("server_no_context_takeover") {
            flag(&mut self.server_no_context_takeover)
        } else if is("client_no_context_takeover") {
            flag(&mut self.client_no_context_takeover)
        } else if is("server_max_window_bits") {
            let bits = parameter.value?.window_bits()?;
            self.server_max_window_bits
                .replace(bits)
                .is_none()
                .then_some(())
        } else if is("client_max_window_bits") {
            let bits = match parameter.value {
                None => ClientBits::Any,
                Some(value) => ClientBits::AtMost(value.window_bits()?),
            };
            self.client_max_window_bits
                .replace(bits)
                .is_none()
                .then_some(())
        } else {
            None
        }
    }
}

/// `name`, `name=token` or `name="token"`.
struct Parameter<'a> {
    name: &'a [u8],
    value: Option<Value<'a>>,
}

/// A value without its quotes; a backslash in it makes the next byte stand for itself.
#[derive(Clone, Copy)]
struct Value<'a>(&'a [u8]);

impl<'a> Parameter<'a> {
    fn parse(part: &'a [u8]) -> Option<Self> {
        let Some(equals) = part.iter().position(|&byte| byte == b'=') else {
            return is_token(part).then_some(Self {
                name: part,
                value: None,
            });
        };
        let (name, value) = part.split_at(equals);
        let (name, value) = (name.trim_ascii_end(), value.get(1..)?.trim_ascii_start());
        let value = match value {
            // RFC 6455 §9.1: a quoted value is a token when its quotes are taken away.
            [b'"', quoted @ .., b'"'] => {
                let value = Value(quoted);
                (!ends_escaped(quoted)
                    && value.bytes().next().is_some()
                    && value.bytes().all(is_token_byte))
                .then_some(value)?
            }
            token => is_token(token).then_some(Value(token))?,
        };
        is_token(name).then_some(Self {
            name,
            value: Some(value),
        })
    }
}

impl Value<'_> {
    fn bytes(&self) -> impl Iterator<Item = u8> {
        let mut rest = self.0.iter();
        core::iter::from_fn(move || match rest.next()? {
            b'\\' => rest.next().copied(),
            byte => Some(*byte),
        })
    }

    /// 8 to 15 in decimal, without a sign or leading zeros (RFC 7692 §7.1.2).
    fn window_bits(&self) -> Option<u8> {
        let mut bytes = self.bytes();
        let bits = match (bytes.next()?, bytes.next(), bytes.next()) {
            (digit @ b'8'..=b'9', None, None) => digit - b'0',
            (b'1', Some(digit @ b'0'..=b'5'), None) => digit - b'0' + 10,
            _ => return None,
        };
        Some(bits)
    }
}

/// Whether the last byte is an escaped one's backslash.
fn ends_escaped(quoted: &[u8]) -> bool {
    quoted
        .iter()
        .rev()
        .take_while(|&&byte| byte == b'\\')
        .count()
        % 2
        == 1
}

/// The parts between separators that stand outside of quotes, trimmed; empty ones do not count.
fn split(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    split_all(value, separator).filter(|part| !part.is_empty())
}

/// The same, with the empty ones.
fn split_all(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value
        .split(move |&byte| {
            let ends = byte == separator && !quoted;
            if ends || escaped {
                escaped = false;
            } else {
                escaped = quoted && byte == b'\\';
                quoted ^= byte == b'"';
            }
            ends
        })
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn parse(value: &str) -> Vec<Option<Parameters>> {
        extensions(value.as_bytes()).collect()
    }

    #[test]
    fn rfc_6455_section_9_1_lists() {
        for valid in [
            "permessage-deflate",
            "a, b;c, d;e=f;g=\"h\"",
            " foo ; bar = baz ,",
            "foo; bar=\"b\\az\"",
            "foo;constructor;__proto__=x",
        ] {
            assert!(is_extension_list(valid.as_bytes()), "{valid}");
        }
        for invalid in [
            "",
            ",",
            ";",
            "a;",
            "a;;b",
            "a;b=",
            "a;=b",
            "a b",
            "a;b=\"",
            "a;b=\"c",
            "a;b=c\"",
            "a;b=\"c d\"",
            "a;b=\"c,d\"",
            "a;b=\"\"",
            "a;b=\"c\\\"",
            "\"a\"",
            "a;\"b\"",
            "a=b",
            "a;b=c=d",
            "ä",
            "a;b=\u{fc}",
            "a\0",
        ] {
            assert!(!is_extension_list(invalid.as_bytes()), "{invalid:?}");
        }
    }

    #[test]
    fn separators_inside_of_quotes_do_not_separate() {
        assert_eq!(split_all(b"a;b=\"c;,d\\\";\";e", b';').count(), 3);
        assert_eq!(parse("other;x=\"a,b\", permessage-deflate").len(), 2);
    }

    #[test]
    fn rfc_7692_section_7_1_parameters() {
        let all = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
            server_max_window_bits=10; client_max_window_bits=\"9\"";
        let expected = Parameters {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: Some(10),
            client_max_window_bits: Some(ClientBits::AtMost(9)),
        };
        assert_eq!(parse(all), [Some(expected)]);
        assert_eq!(parse("PERMESSAGE-DEFLATE"), [Some(Parameters::default())]);
        let any = Parameters {
            client_max_window_bits: Some(ClientBits::Any),
            ..Parameters::default()
        };
        assert_eq!(
            parse("x, permessage-deflate;client_max_window_bits"),
            [None, Some(any)]
        );
    }

    #[test]
    fn rfc_7692_section_7_1_what_declines_an_offer() {
        for parameters in [
            "unknown",
            "server_no_context_takeover=1",
            "client_no_context_takeover=true",
            "server_no_context_takeover; server_no_context_takeover",
            "client_no_context_takeover; client_no_context_takeover",
            "server_max_window_bits",
            "server_max_window_bits=10; server_max_window_bits=10",
            "client_max_window_bits; client_max_window_bits=10",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=09",
            "server_max_window_bits=+9",
            "server_max_window_bits=1",
            "server_max_window_bits=100",
            "server_max_window_bits=010",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits=\"08\"",
            "client_max_window_bits=1e1",
        ] {
            let offer = alloc::format!("permessage-deflate; {parameters}");
            assert!(is_extension_list(offer.as_bytes()), "{offer}");
            assert_eq!(parse(&offer), [None], "{offer}");
        }
    }

    #[test]
    fn every_window_size() {
        for bits in 8..=15 {
            let value = alloc::format!("permessage-deflate; server_max_window_bits={bits}");
            assert_eq!(parse(&value)[0].unwrap().server_max_window_bits, Some(bits));
        }
    }
}
