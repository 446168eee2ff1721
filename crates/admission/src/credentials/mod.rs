//! [`TokenSources`]: where in a request a token may be, and taking it out. Asked once for each request.

mod source;

use std::error;
use std::fmt;

use crate::Secret;
pub use source::{TokenSource, TokenSourceError, TokenSources};

/// Longest token in bytes.
pub const MAX_TOKEN: usize = 8 * 1024;

/// A token that came with a request. What it is worth is for others to say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Presented<'s> {
    /// The token.
    pub token: Secret,
    /// Where it was.
    pub source: &'s TokenSource,
}

/// A part of a request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TokenPlace {
    /// The `Authorization` header.
    Authorization,
    /// The `Cookie` header.
    Cookie,
    /// The `Sec-WebSocket-Protocol` header.
    Subprotocol,
    /// The query of the target.
    Query,
}

impl fmt::Display for TokenPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authorization => "the Authorization header",
            Self::Cookie => "the Cookie header",
            Self::Subprotocol => "the Sec-WebSocket-Protocol header",
            Self::Query => "the query",
        })
    }
}

/// Why there is no telling which token is meant. To be answered with 400 (RFC 6750 §3.1); it does not repeat the token.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CredentialError {
    /// More than one.
    Repeated(TokenPlace),
    /// One with characters that no token has: it takes letters, digits and `-._~+/`, and `=` at the end.
    Invalid(TokenPlace),
    /// One longer than [`MAX_TOKEN`].
    TooLong(TokenPlace),
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repeated(place) => write!(f, "more than one token in {place}"),
            Self::Invalid(place) => write!(f, "the token in {place} is not valid"),
            Self::TooLong(place) => write!(f, "the token in {place} is too long"),
        }
    }
}

impl error::Error for CredentialError {}

/// What a request has in the places where tokens are looked for.
#[derive(Default)]
struct Carried<'h> {
    authorization: Vec<&'h [u8]>,
    cookie: Vec<&'h [u8]>,
    subprotocol: Vec<&'h [u8]>,
    query: &'h str,
}

impl<'h> Carried<'h> {
    fn gather(
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        query: Option<&'h str>,
    ) -> Self {
        let mut carried = Self {
            query: query.unwrap_or_default(),
            ..Self::default()
        };
        for (name, value) in headers {
            if name.eq_ignore_ascii_case("authorization") {
                carried.authorization.push(value);
            } else if name.eq_ignore_ascii_case("cookie") {
                carried.cookie.push(value);
            } else if name.eq_ignore_ascii_case("sec-websocket-protocol") {
                carried.subprotocol.push(value);
            }
        }
        carried
    }

    /// RFC 6750 §2.1: `Bearer` and a token. Other schemes (RFC 9110 §11.1) are nobody's business here.
    fn bearer(&self) -> Result<Option<Secret>, CredentialError> {
        let place = TokenPlace::Authorization;
        let value = match self.authorization[..] {
            [] => return Ok(None),
            [value] => value,
            _ => return Err(CredentialError::Repeated(place)),
        };
        let scheme = value.split(|&byte| byte == b' ').next().unwrap_or_default();
        if !scheme.eq_ignore_ascii_case(b"bearer") {
            return Ok(None);
        }
        let behind = value.get(scheme.len()..).unwrap_or_default();
        token(behind.trim_ascii_start(), place).map(Some)
    }

    /// RFC 6265 §4.2.1: `name=value` with `; ` between them; names are compared as they are.
    ///
    /// A second one with the same name may have been set by a neighbour for the whole domain, and nothing tells which is which.
    fn cookie(&self, wanted: &str) -> Result<Option<Secret>, CredentialError> {
        let place = TokenPlace::Cookie;
        let pairs = self
            .cookie
            .iter()
            .flat_map(|line| line.split(|&byte| byte == b';'));
        let mut found = None;
        for pair in pairs {
            let Some(value) = pair
                .trim_ascii()
                .strip_prefix(wanted.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"="))
            else {
                continue;
            };
            if found.is_some() {
                return Err(CredentialError::Repeated(place));
            }
            let quoted = value
                .strip_prefix(b"\"")
                .and_then(|value| value.strip_suffix(b"\""));
            found = Some(token(quoted.unwrap_or(value), place)?);
        }
        Ok(found)
    }

    /// What is offered in `Sec-WebSocket-Protocol`, in its order (RFC 6455 §11.3.4).
    fn offers(&self) -> impl Iterator<Item = &'h [u8]> {
        self.subprotocol
            .iter()
            .flat_map(|line| line.split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|offer| !offer.is_empty())
    }

    /// An offer that begins with `prefix`.
    fn prefixed(&self, prefix: &str) -> Result<Option<Secret>, CredentialError> {
        let place = TokenPlace::Subprotocol;
        let mut tokens = self
            .offers()
            .filter_map(|offer| offer.strip_prefix(prefix.as_bytes()));
        match (tokens.next(), tokens.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => token(value, place).map(Some),
            (Some(_), Some(_)) => Err(CredentialError::Repeated(place)),
        }
    }

    /// The second of exactly two offers.
    fn second_offer(&self) -> Result<Option<Secret>, CredentialError> {
        let mut offers = self.offers().skip(1);
        match (offers.next(), offers.next()) {
            (Some(value), None) => token(value, TokenPlace::Subprotocol).map(Some),
            _ => Ok(None),
        }
    }

    /// A parameter of the query, percent-decoded (RFC 3986 §2.1). A plus stays one: no token has a space in it.
    fn parameter(&self, wanted: &str) -> Result<Option<Secret>, CredentialError> {
        let place = TokenPlace::Query;
        let mut values = self
            .query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .filter(|(name, _)| *name == wanted)
            .map(|(_, value)| value);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => {
                let decoded = percent_decoded(value).ok_or(CredentialError::Invalid(place))?;
                token(&decoded, place).map(Some)
            }
            (Some(_), Some(_)) => Err(CredentialError::Repeated(place)),
        }
    }
}

/// RFC 6750 §2.1, `b64token`: what can be a token anywhere.
pub(crate) fn is_token_text(text: &[u8]) -> bool {
    let end = text
        .iter()
        .rposition(|&byte| byte != b'=')
        .map_or(0, |last| last + 1);
    let body = text.get(..end).unwrap_or_default();
    let valid = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    !body.is_empty() && body.iter().all(valid)
}

fn token(text: &[u8], place: TokenPlace) -> Result<Secret, CredentialError> {
    if text.len() > MAX_TOKEN {
        return Err(CredentialError::TooLong(place));
    }
    str::from_utf8(text)
        .ok()
        .filter(|text| is_token_text(text.as_bytes()))
        .map(Secret::from)
        .ok_or(CredentialError::Invalid(place))
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: Option<u8>| {
        let digit = char::from(byte?).to_digit(16)?;
        u8::try_from(digit).ok()
    };
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => digit(bytes.next())? << 4 | digit(bytes.next())?,
            byte => byte,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests;
