//! [`Scheme`]: whether something goes through TLS, which decides the default port. Used by `origin` and `forwarded`.

use std::fmt;

/// Whether a client speaks through TLS.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scheme {
    /// `http` and `ws`: port 80 by default.
    Plain,
    /// `https` and `wss`: port 443 by default.
    Tls,
}

impl Scheme {
    /// The scheme with this name, in any case: `http`, `https`, `ws` or `wss`.
    ///
    /// ```
    /// use wirefan_admission::Scheme;
    ///
    /// assert_eq!(Scheme::named("WSS"), Some(Scheme::Tls));
    /// assert_eq!(Scheme::named("ftp"), None);
    /// ```
    pub fn named(name: &str) -> Option<Self> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("https") || is("wss") {
            Some(Self::Tls)
        } else if is("http") || is("ws") {
            Some(Self::Plain)
        } else {
            None
        }
    }

    /// RFC 6455 §3, RFC 9110 §4.2: the port where none is written.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Plain => 80,
            Self::Tls => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "http",
            Self::Tls => "https",
        })
    }
}
