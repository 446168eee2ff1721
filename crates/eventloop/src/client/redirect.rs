//! Where a redirection leads (RFC 9110 §15.4), and what it must not lead to. Used where an application has asked to follow.

use core::fmt;

use super::target::Target;
use super::{Dial, Response};

/// Why a redirection was not followed, though that was asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RedirectError {
    /// There were more than are allowed.
    TooMany,
    /// From `wss://` to `ws://`.
    Insecure,
    /// To nowhere that a WebSocket could be.
    Location,
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany => "too many redirections",
            Self::Insecure => "a redirection from wss:// to ws://",
            Self::Location => "a redirection to nowhere",
        })
    }
}

impl core::error::Error for RedirectError {}

impl Dial {
    /// Follows an answer if it is a redirection and that is asked for: `None` if it is to be told as it is. `hops` have
    /// been followed already.
    pub(super) fn redirected(
        &self,
        response: &Response,
        hops: u8,
    ) -> Option<Result<Self, RedirectError>> {
        if self.redirects == 0 || !matches!(response.status(), 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let location = response.text("location")?;
        if hops >= self.redirects {
            return Some(Err(RedirectError::TooMany));
        }
        Some(self.target.join(location).map(|target| {
            let mut dial = self.clone();
            // It has done its work: what it has changed is in here.
            dial.prepare = None;
            if self.target.is_same_server(&target) {
                dial.target.path = target.path;
            } else {
                // Whatever they hold was meant for the other one.
                dial.headers.clear();
                dial.target = target;
                dial.target.user = None;
            }
            dial
        }))
    }
}

impl Target {
    /// RFC 3986 §5.2, as far as it is needed: a URL, or one without its scheme, its host or the beginning of its path.
    fn join(&self, location: &str) -> Result<Self, RedirectError> {
        let location = location.split('#').next().unwrap_or_default();
        let scheme = if self.secure { "wss" } else { "ws" };
        let authority = self.authority();
        let lower = location.get(..8).unwrap_or(location).to_ascii_lowercase();
        let url = if lower.starts_with("https://") {
            format!("wss{}", &location[5..])
        } else if lower.starts_with("http://") {
            format!("ws{}", &location[4..])
        } else if lower.starts_with("ws://") || lower.starts_with("wss://") {
            location.to_owned()
        } else if location.starts_with("//") {
            format!("{scheme}:{location}")
        } else if location.starts_with('/') {
            format!("{scheme}://{authority}{location}")
        } else if has_scheme(location) || location.is_empty() {
            return Err(RedirectError::Location);
        } else {
            let path = self.path.split('?').next().unwrap_or("/");
            let folder = if location.starts_with('?') {
                path
            } else {
                &path[..=path.rfind('/').unwrap_or(0)]
            };
            format!("{scheme}://{authority}{folder}{location}")
        };
        let mut target = Self::parse(&url).map_err(|_| RedirectError::Location)?;
        if self.secure && !target.secure {
            return Err(RedirectError::Insecure);
        }
        if target.secure && !cfg!(feature = "tls") {
            return Err(RedirectError::Location);
        }
        target.path = without_dots(&target.path).into();
        Ok(target)
    }
}

fn has_scheme(location: &str) -> bool {
    let end = location.find([':', '/', '?']).unwrap_or(location.len());
    location[end..].starts_with(':')
}

/// RFC 3986 §5.2.4.
fn without_dots(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut out: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    out.pop();
                }
                if last {
                    out.push("");
                }
            }
            segment => out.push(segment),
        }
    }
    format!("/{}{query}", out.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(dial: &Dial, location: &str) -> Result<Dial, RedirectError> {
        let response = Response::made(302, &[("Location", location)]);
        dial.redirected(&response, 0).unwrap()
    }

    #[cfg(feature = "tls")]
    #[test]
    fn rfc_3986_section_5_4() {
        let dial = Dial::new("wss://a.example:81/b/c?d").unwrap().redirects(1);
        for (location, expected) in [
            ("wss://x/y", "wss://x:443/y"),
            ("https://x/y", "wss://x:443/y"),
            ("HTTPS://x", "wss://x:443/"),
            ("//x:82/y", "wss://x:82/y"),
            ("/y?z", "wss://a.example:81/y?z"),
            ("y", "wss://a.example:81/b/y"),
            ("./y", "wss://a.example:81/b/y"),
            ("../y/./z", "wss://a.example:81/y/z"),
            ("../../../y", "wss://a.example:81/y"),
            ("..", "wss://a.example:81/"),
            ("?e", "wss://a.example:81/b/c?e"),
            ("/y#z", "wss://a.example:81/y"),
        ] {
            let target = to(&dial, location).unwrap().target;
            let url = format!("wss://{}{}", target.host_and_port(), target.path);
            assert_eq!(url, expected, "{location}");
        }
        for (location, why) in [
            ("ws://a.example:81/", RedirectError::Insecure),
            ("http://a.example:81/", RedirectError::Insecure),
            ("mailto:ann", RedirectError::Location),
            ("file:///etc", RedirectError::Location),
            ("", RedirectError::Location),
            ("/a b", RedirectError::Location),
            ("//", RedirectError::Location),
        ] {
            assert_eq!(to(&dial, location).unwrap_err(), why, "{location}");
        }
    }

    #[test]
    fn what_is_meant_for_one_server_is_not_told_another() {
        let dial = Dial::new("ws://ann:secret@a/").unwrap().redirects(2);
        let dial = dial
            .header("Authorization", "secret")
            .header("X-Key", "secret");
        let same = to(&dial, "/b").unwrap();
        assert_eq!((same.headers.len(), same.target.user.is_some()), (2, true));
        for other in ["ws://b/", "ws://a:81/", "//bob:password@b/"] {
            let dial = to(&dial, other).unwrap();
            assert_eq!((dial.headers.len(), dial.target.user), (0, None), "{other}");
        }
    }

    #[test]
    fn it_is_followed_only_if_that_was_asked_for_and_not_without_end() {
        let response = Response::made(302, &[("Location", "/b")]);
        let dial = Dial::new("ws://a/").unwrap();
        assert!(dial.redirected(&response, 0).is_none());
        let dial = dial.redirects(2);
        assert!(dial.redirected(&response, 1).unwrap().is_ok());
        let too_many = dial.redirected(&response, 2).unwrap();
        assert_eq!(too_many.unwrap_err(), RedirectError::TooMany);
        let plain = Response::made(401, &[("Location", "/b")]);
        assert!(dial.redirected(&plain, 0).is_none());
    }
}
