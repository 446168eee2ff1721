//! [`Access`]: who may do what on the admin listener. Asked for every request of it.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use wirefan_admission::{OriginPolicy, Secret};
use wirefan_protocol::handshake::{Reply, Request};

use super::AdminError;

/// A token that is shorter could be guessed.
const SHORTEST: usize = 16;

/// What a request wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wish {
    /// What anybody may: the health checks, and the page, in which nothing is.
    Nothing,
    /// The metrics.
    Metrics,
    /// To see who is there.
    Look,
    /// To publish, or to close a connection.
    Act,
}

#[derive(Clone, Debug)]
pub(super) struct Access {
    token: Option<Secret>,
    open_metrics: bool,
}

impl Access {
    /// Reads the token, if there is to be one.
    pub(super) fn new(token_file: Option<&Path>, open_metrics: bool) -> Result<Self, AdminError> {
        let token = match token_file {
            None => None,
            Some(path) => Some(read_token(path)?),
        };
        Ok(Self {
            token,
            open_metrics,
        })
    }

    /// Whether there is a token.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether this is the token; nothing is if there is none.
    pub(super) fn is_token(&self, text: &str) -> bool {
        self.token.as_ref() == Some(&Secret::new(text))
    }

    /// Lets a request through, or says why not.
    pub(super) fn check(&self, request: &Request<'_>, wish: Wish) -> Result<(), Reply<'static>> {
        let refuse = |status, why: &'static str| Err(Reply::text(status, why));
        if wish == Wish::Nothing || (wish == Wish::Metrics && self.open_metrics) {
            return Ok(());
        }
        if self.has_token() {
            return match bearer(request) {
                Some(token) if self.is_token(token) => Ok(()),
                Some(_) => refuse(401, "this is not the token\n").map_err(challenge),
                None => refuse(
                    401,
                    "write Authorization: Bearer and the token of --admin-token-file\n",
                )
                .map_err(challenge),
            };
        }
        // Every page that a browser of this machine shows can send requests here: under another name for this address,
        // which would make them its own, and without asking. They may not read, nor do anything.
        if !request.host().is_none_or(is_loopback) {
            return refuse(
                403,
                "without --admin-token-file only 127.0.0.1, [::1] and localhost are answered\n",
            );
        }
        if !is_same_origin(request) {
            return refuse(403, "this page is from elsewhere\n");
        }
        match wish {
            Wish::Act => refuse(403, "this takes a token: start with --admin-token-file\n"),
            _ => Ok(()),
        }
    }

    /// Whether a feed may be opened; what it may see is decided when it has shown its token.
    pub(super) fn check_feed(&self, request: &Request<'_>) -> Result<(), Reply<'static>> {
        if !is_same_origin(request) {
            return Err(Reply::text(403, "this page is from elsewhere\n"));
        }
        match self.has_token() {
            true => Ok(()),
            false => self.check(request, Wish::Look),
        }
    }
}

fn challenge(reply: Reply<'static>) -> Reply<'static> {
    reply.header("WWW-Authenticate", "Bearer realm=\"wirefan\"")
}

fn is_same_origin(request: &Request<'_>) -> bool {
    OriginPolicy::default()
        .check(request.origin(), request.host(), None)
        .is_ok()
}

fn bearer<'a>(request: &Request<'a>) -> Option<&'a str> {
    let value = str::from_utf8(request.header("authorization")?).ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_matches(' '))
}

/// Whether a Host names this machine by itself, whatever a name server says.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((name, _)) => name,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn read_token(path: &Path) -> Result<Secret, AdminError> {
    let text = fs::read_to_string(path).map_err(|error| AdminError::TokenFile {
        path: path.to_owned(),
        error,
    })?;
    let token = text.lines().next().unwrap_or_default().trim();
    let fits = token.len() >= SHORTEST && token.bytes().all(|byte| byte.is_ascii_graphic());
    match fits {
        true => Ok(Secret::new(token)),
        false => Err(AdminError::Token(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wirefan_protocol::handshake::{Asked, ServerHandshake};
    use wirefan_protocol::{Config, Input};

    const TOKEN: &str = "0123456789abcdef";

    /// The status that a request with these header lines gets; 200 where it may go on.
    fn asked(access: &Access, headers: &str, wish: Wish) -> u16 {
        let mut read = format!("GET / HTTP/1.1\r\n{headers}\r\n").into_bytes();
        let mut handshake = ServerHandshake::new(Config::default().into());
        match handshake.next_request(&mut Input::new(&mut read), &mut Vec::new()) {
            Some(Asked::Request(request)) => access
                .check(&request, wish)
                .map_or_else(|reply| reply.status(), |()| 200),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn with_a_token_it_takes_the_token_and_nothing_else() {
        let access = |open_metrics| Access {
            token: Some(Secret::new(TOKEN)),
            open_metrics,
        };
        let host = "Host: anywhere.example\r\n";
        for (authorization, status) in [
            (format!("Authorization: Bearer {TOKEN}\r\n"), 200),
            (format!("Authorization: bearer   {TOKEN}\r\n"), 200),
            (format!("Authorization: Bearer {TOKEN}0\r\n"), 401),
            (format!("Authorization: Basic {TOKEN}\r\n"), 401),
            (format!("Authorization: {TOKEN}\r\n"), 401),
            ("Authorization: Bearer \r\n".into(), 401),
            (String::new(), 401),
        ] {
            let headers = format!("{host}{authorization}");
            for wish in [Wish::Metrics, Wish::Look, Wish::Act] {
                assert_eq!(asked(&access(false), &headers, wish), status, "{headers}");
            }
            assert_eq!(asked(&access(false), &headers, Wish::Nothing), 200);
            assert_eq!(asked(&access(true), &headers, Wish::Metrics), 200);
            assert_eq!(asked(&access(true), &headers, Wish::Look), status);
        }
    }

    #[test]
    fn without_a_token_one_can_look_from_here_and_no_page_from_elsewhere_can() {
        let access = Access::new(None, false).unwrap();
        for (headers, status) in [
            ("Host: 127.0.0.1:9002\r\n", 200),
            ("Host: [::1]:9002\r\n", 200),
            ("Host: localhost\r\n", 200),
            ("Host: rebound.example:9002\r\n", 403),
            ("Host: 127.0.0.1.example\r\n", 403),
            ("Host: 192.0.2.1\r\n", 403),
            ("Host: localhost:1\r\nOrigin: http://localhost:1\r\n", 200),
            ("Host: localhost:1\r\nOrigin: http://evil.example\r\n", 403),
            ("Host: localhost:1\r\nOrigin: null\r\n", 403),
        ] {
            assert_eq!(asked(&access, headers, Wish::Look), status, "{headers}");
            assert_eq!(asked(&access, headers, Wish::Metrics), status, "{headers}");
            assert_eq!(asked(&access, headers, Wish::Act), 403, "{headers}");
        }
        assert!(!access.is_token(""));
    }
}
