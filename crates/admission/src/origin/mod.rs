//! [`OriginPolicy`]: which pages may open a connection. Asked once for each request, by whatever decides on it.

mod authority;
mod pattern;

use std::error;
use std::fmt;
use std::str::FromStr;

use crate::Scheme;
use authority::Authority;
pub use pattern::OriginPatternError;
use pattern::{Pattern, Serialized};

/// Which origins may come in (RFC 6454, RFC 6455 §10.2).
///
/// Browsers do not ask before they open a WebSocket to another site, and send its cookies along: the server has to look at
/// `Origin` itself. By default the page has to come from the host and port that it connects to, and requests without the
/// header, which no browser makes, may come in: they are not what this protects from.
///
/// ```
/// use wirefan_admission::{OriginPolicy, OriginRefused};
///
/// let policy = OriginPolicy::default();
/// assert!(policy.check(Some("https://example.com"), Some("example.com"), None).is_ok());
/// let other = policy.check(Some("https://evil.example"), Some("example.com"), None);
/// assert_eq!(other, Err(OriginRefused::NotAllowed));
///
/// let policy: OriginPolicy = "same, https://*.example.org, http://localhost:*".parse()?;
/// assert!(policy.check(Some("https://app.example.org"), Some("example.com"), None).is_ok());
/// # Ok::<(), wirefan_admission::OriginPolicyError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OriginPolicy {
    allowed: Allowed,
    missing: MissingOrigin,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Allowed {
    Any,
    These {
        same: bool,
        null: bool,
        patterns: Vec<Pattern>,
    },
}

/// What becomes of requests without `Origin`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MissingOrigin {
    /// They may come in.
    #[default]
    Allow,
    /// They may not: only browsers are wanted.
    Refuse,
}

impl Default for OriginPolicy {
    fn default() -> Self {
        Self {
            allowed: Allowed::These {
                same: true,
                null: false,
                patterns: Vec::new(),
            },
            missing: MissingOrigin::default(),
        }
    }
}

impl OriginPolicy {
    /// Lets every origin in. Not for servers whose cookies mean something.
    pub fn any() -> Self {
        Self {
            allowed: Allowed::Any,
            ..Self::default()
        }
    }

    /// The same, with this for requests without `Origin`.
    #[must_use]
    pub fn with_missing(mut self, missing: MissingOrigin) -> Self {
        self.missing = missing;
        self
    }

    /// Whether every origin may come in: then a cookie proves nothing.
    pub fn is_any(&self) -> bool {
        self.allowed == Allowed::Any
    }

    /// Whether a request may come in.
    ///
    /// `origin` and `host` are the values of the two headers. `scheme` is how the client reached the server, where that is
    /// known for sure: then a page without TLS is not of the same origin as a server with it. Where it is not, as behind
    /// a proxy that does not tell, hosts and ports alone are compared, and a `Host` without a port has the default port of
    /// the page's scheme.
    ///
    /// # Errors
    ///
    /// Why it may not, to be answered with 403.
    pub fn check(
        &self,
        origin: Option<&str>,
        host: Option<&str>,
        scheme: Option<Scheme>,
    ) -> Result<(), OriginRefused> {
        let Some(origin) = origin else {
            return match self.missing {
                MissingOrigin::Allow => Ok(()),
                MissingOrigin::Refuse => Err(OriginRefused::Missing),
            };
        };
        let Allowed::These {
            same,
            null,
            patterns,
        } = &self.allowed
        else {
            return Ok(());
        };
        // RFC 6454 §7.3: what a page has that may not tell its origin, or has none, as a file or a sandbox.
        if origin == "null" {
            return if *null {
                Ok(())
            } else {
                Err(OriginRefused::Null)
            };
        }
        let origin = Serialized::parse(origin).ok_or(OriginRefused::Invalid)?;
        if *same && is_same(&origin, host, scheme) {
            return Ok(());
        }
        if patterns.iter().any(|pattern| pattern.matches(&origin)) {
            return Ok(());
        }
        Err(OriginRefused::NotAllowed)
    }
}

/// RFC 6454 §5, as far as the server can know: its own scheme is often the secret of a proxy.
fn is_same(origin: &Serialized, host: Option<&str>, scheme: Option<Scheme>) -> bool {
    let (Some(page), Some(asked)) = (origin.web_scheme(), host.and_then(Authority::parse)) else {
        return false;
    };
    let reached = scheme.unwrap_or(page);
    page == reached
        && origin.authority.host == asked.host
        && origin.authority.port_with(page) == asked.port_with(reached)
}

impl FromStr for OriginPolicy {
    type Err = OriginPolicyError;

    /// Reads `any`, or a list with commas or spaces between its entries:
    ///
    /// | entry | who may come in |
    /// |---|---|
    /// | `same` | pages of the host and port that is asked |
    /// | `https://example.com` | that origin; the port is the scheme's default, or the one written |
    /// | `https://*.example.com` | its subdomains, however deep, and not `example.com` itself |
    /// | `http://localhost:*` | that host on any port |
    /// | `null` | pages without an origin: files, sandboxes |
    fn from_str(text: &str) -> Result<Self, OriginPolicyError> {
        let (mut any, mut same, mut null, mut patterns) = (false, false, false, Vec::new());
        let words = text
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|word| !word.is_empty());
        let mut count = 0;
        for word in words {
            count += 1;
            match word {
                "any" | "*" => any = true,
                "same" => same = true,
                "null" => null = true,
                _ => patterns.push(Pattern::parse(word).map_err(|why| {
                    OriginPolicyError::Pattern {
                        word: word.into(),
                        why,
                    }
                })?),
            }
        }
        let allowed = match (any, count) {
            (_, 0) => return Err(OriginPolicyError::Empty),
            (true, 1) => Allowed::Any,
            (true, _) => return Err(OriginPolicyError::AnyAndMore),
            (false, _) => Allowed::These {
                same,
                null,
                patterns,
            },
        };
        Ok(Self {
            allowed,
            missing: MissingOrigin::default(),
        })
    }
}

/// Why a request may not come in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum OriginRefused {
    /// It has no `Origin`, and the policy wants one.
    Missing,
    /// Its origin is `null`, which has to be allowed by name.
    Null,
    /// Its `Origin` is none.
    Invalid,
    /// Its origin is neither the server's own nor on the list.
    NotAllowed,
}

impl OriginRefused {
    /// One line for the answer. It does not repeat what the client sent.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Missing => "a request without Origin is not allowed here",
            Self::Null => "a page without an origin is not allowed here",
            Self::Invalid => "the Origin header is not valid",
            Self::NotAllowed => "pages of this origin are not allowed here",
        }
    }
}

impl fmt::Display for OriginRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl error::Error for OriginRefused {}

/// Why a text is no [`OriginPolicy`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OriginPolicyError {
    /// Nothing is allowed.
    Empty,
    /// `any` beside something else.
    AnyAndMore,
    /// An entry is none.
    Pattern {
        /// The entry.
        word: Box<str>,
        /// What is wrong with it.
        why: OriginPatternError,
    },
}

impl fmt::Display for OriginPolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no origin is named: same, any, or https://example.com"),
            Self::AnyAndMore => f.write_str("any stands alone: it allows all the others already"),
            Self::Pattern { word, why } => write!(f, "{word:?} is no origin: {why}"),
        }
    }
}

impl error::Error for OriginPolicyError {}

#[cfg(test)]
mod tests;
