//! [`TokenSource`]: one place for a token, and [`TokenSources`]: those that count, in order. Used by `credentials`.

use std::error;
use std::fmt;
use std::str::FromStr;

use super::{Carried, CredentialError, Presented};

/// The beginning of a subprotocol that is a token and not a subprotocol.
const PREFIX: &str = "bearer.";

/// Where a token may be.
///
/// | written | in a request | from a browser |
/// |---|---|---|
/// | `bearer` | `Authorization: Bearer TOKEN` | no, only from other clients |
/// | `cookie:NAME` | `Cookie: NAME=TOKEN` | `new WebSocket(url)`, and the cookie comes along |
/// | `subprotocol` | `Sec-WebSocket-Protocol: chat, bearer.TOKEN` | `new WebSocket(url, ["chat", "bearer." + token])` |
/// | `subprotocol-pair` | `Sec-WebSocket-Protocol: chat, TOKEN` | `new WebSocket(url, ["chat", token])` |
/// | `query:NAME` | `GET /?NAME=TOKEN` | `new WebSocket(url + "?NAME=" + token)` |
///
/// * A cookie comes along whoever's page it is: it means something only together with an
///   [`OriginPolicy`](crate::OriginPolicy) that is not `any`. [`is_ambient`](Self::is_ambient) tells.
/// * In a subprotocol, the client offers a real one too, and the server answers with that:
///   [`TokenSources::protocols`] are the offers to choose from, without tokens. A browser that offers something and gets
///   nothing in return fails the connection, and what is answered may be in logs. Not every token can be a subprotocol: `/`
///   and `=` cannot. With the pair, the second of exactly two offers is always the token, so clients cannot offer two real
///   ones; it is for clients that know nothing else.
/// * A query stands in the logs of proxies: only for tickets that end soon.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TokenSource {
    /// `Authorization: Bearer` (RFC 6750 §2.1).
    Bearer,
    /// The cookie of this name (RFC 6265).
    Cookie(Box<str>),
    /// The subprotocol that begins with `bearer.`.
    Subprotocol,
    /// The second of two subprotocols.
    SubprotocolPair,
    /// The parameter of this name in the query (RFC 6750 §2.3).
    Query(Box<str>),
}

impl TokenSource {
    /// Whether browsers send it along by themselves, from pages of anybody.
    pub fn is_ambient(&self) -> bool {
        matches!(self, Self::Cookie(_))
    }
}

impl FromStr for TokenSource {
    type Err = TokenSourceError;

    fn from_str(text: &str) -> Result<Self, TokenSourceError> {
        let named = |name: &str| {
            // RFC 6265 §4.1.1: the name of a cookie is a token; that of a parameter needs no decoding here.
            let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            if !name.is_empty() && name.bytes().all(valid) {
                Ok(name.into())
            } else {
                Err(TokenSourceError::InvalidName)
            }
        };
        match text.split_once(':') {
            None if text == "bearer" => Ok(Self::Bearer),
            None if text == "subprotocol" => Ok(Self::Subprotocol),
            None if text == "subprotocol-pair" => Ok(Self::SubprotocolPair),
            None if text == "cookie" || text == "query" => Err(TokenSourceError::NameMissing),
            Some(("cookie", name)) => named(name).map(Self::Cookie),
            Some(("query", name)) => named(name).map(Self::Query),
            _ => Err(TokenSourceError::Unknown),
        }
    }
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bearer => f.write_str("bearer"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Subprotocol => f.write_str("subprotocol"),
            Self::SubprotocolPair => f.write_str("subprotocol-pair"),
            Self::Query(name) => write!(f, "query:{name}"),
        }
    }
}

/// Why a text is no [`TokenSource`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TokenSourceError {
    /// It is none of them.
    Unknown,
    /// A cookie or parameter without its name.
    NameMissing,
    /// A name with characters other than letters, digits and `-._~`.
    InvalidName,
}

impl fmt::Display for TokenSourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => {
                "a token is in one of bearer, cookie:NAME, subprotocol, subprotocol-pair and query:NAME"
            }
            Self::NameMissing => "the name is missing, as in cookie:session or query:ticket",
            Self::InvalidName => "the name has characters other than letters, digits and -._~",
        })
    }
}

impl error::Error for TokenSourceError {}

/// The places where tokens are looked for, the first one that has any counts.
///
/// ```
/// use wirefan_admission::TokenSources;
///
/// let sources: TokenSources = "bearer, subprotocol".parse()?;
/// let headers: [(&str, &[u8]); 1] = [("Sec-WebSocket-Protocol", b"chat, bearer.s3cr3t")];
/// let presented = sources.find(headers, None)?.expect("there is one");
/// assert_eq!(presented.token.expose(), "s3cr3t");
/// assert_eq!(sources.protocols(["chat", "bearer.s3cr3t"]), ["chat"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TokenSources(Vec<TokenSource>);

impl TokenSources {
    /// The token of a request with these headers and this query, if it has one.
    ///
    /// # Errors
    ///
    /// That it has one which is none, or two of them, in the first place that has any.
    pub fn find<'h>(
        &self,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        query: Option<&'h str>,
    ) -> Result<Option<Presented<'_>>, CredentialError> {
        let carried = Carried::gather(headers, query);
        for source in &self.0 {
            let found = match source {
                TokenSource::Bearer => carried.bearer(),
                TokenSource::Cookie(name) => carried.cookie(name),
                TokenSource::Subprotocol => carried.prefixed(PREFIX),
                TokenSource::SubprotocolPair => carried.second_offer(),
                TokenSource::Query(name) => carried.parameter(name),
            };
            if let Some(token) = found? {
                return Ok(Some(Presented { token, source }));
            }
        }
        Ok(None)
    }

    /// The subprotocols among `offered` that one may choose and answer with: never a token.
    pub fn protocols<'a>(&self, offered: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let mut protocols: Vec<_> = offered.into_iter().collect();
        if self.0.contains(&TokenSource::SubprotocolPair) && protocols.len() == 2 {
            protocols.pop();
        }
        // Even where it is not looked for, nobody means such a one as a subprotocol.
        protocols.retain(|protocol| !protocol.starts_with(PREFIX));
        protocols
    }

    /// The places, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &TokenSource> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<TokenSource> for TokenSources {
    fn from_iter<I: IntoIterator<Item = TokenSource>>(sources: I) -> Self {
        Self(sources.into_iter().collect())
    }
}

impl FromStr for TokenSources {
    type Err = TokenSourceError;

    /// Reads sources with commas or spaces between them.
    fn from_str(text: &str) -> Result<Self, TokenSourceError> {
        text.split([',', ' '])
            .filter(|word| !word.is_empty())
            .map(str::parse)
            .collect()
    }
}
