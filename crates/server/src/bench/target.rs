//! [`Target`]: the URL of a server, taken apart and looked up. Made by the options, used by whoever connects.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};

use wirefan_eventloop::rustls::pki_types::ServerName;

/// Where a server is, and how it is spoken to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Target {
    /// Behind `tcp://`: it gives back bytes.
    pub(crate) raw: bool,
    /// Behind `wss://`.
    pub(crate) tls: bool,
    /// Host and port as they stand in the URL, for the `Host` header.
    pub(crate) authority: String,
    host: String,
    port: u16,
    /// Path and query.
    pub(crate) path: String,
}

/// Why a text is no such URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TargetError {
    Scheme,
    Host,
    Port,
    Path,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "write ws://HOST:PORT/PATH or wss://HOST:PORT/PATH, or tcp://HOST:PORT for a raw echo",
            Self::Host => "there is no host, as in ws://127.0.0.1:9001/ or ws://[::1]:9001/",
            Self::Port => "the port has to be a number from 1 to 65535; tcp:// always needs one",
            Self::Path => "the path has to be visible ASCII without #",
        })
    }
}

impl core::error::Error for TargetError {}

impl Target {
    /// Reads a URL.
    pub(crate) fn parse(url: &str) -> Result<Self, TargetError> {
        let (raw, tls, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ws") => (false, false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("wss") => (false, true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("tcp") => (true, false, rest),
            _ => return Err(TargetError::Scheme),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // RFC 6455 §3: an empty path is sent as /, and there is no fragment.
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        if !path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#')
        {
            return Err(TargetError::Path);
        }
        let (host, port) = match authority
            .strip_prefix('[')
            .and_then(|it| it.split_once(']'))
        {
            Some((host, port)) => (
                host,
                port.strip_prefix(':')
                    .or_else(|| port.is_empty().then_some("")),
            ),
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, Some("")),
            },
        };
        let port = match port.ok_or(TargetError::Port)? {
            "" if raw => return Err(TargetError::Port),
            "" if tls => 443,
            "" => 80,
            port => u16::from_str(port)
                .ok()
                .filter(|&port| port > 0)
                .ok_or(TargetError::Port)?,
        };
        if host.is_empty()
            || !host
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'@')
        {
            return Err(TargetError::Host);
        }
        Ok(Self {
            raw,
            tls,
            authority: authority.trim_end_matches(':').to_owned(),
            host: host.to_owned(),
            port,
            path,
        })
    }

    /// What the certificate has to be for.
    pub(crate) fn server_name(&self) -> io::Result<ServerName<'static>> {
        ServerName::try_from(self.host.clone()).map_err(io::Error::other)
    }

    /// Looks the host up; of several addresses the first one counts that answers in time. Where we are to come from an
    /// IPv6 or IPv4 address, others of the host are left out, if it has such a one.
    pub(crate) fn resolve(&self, patience: Duration, sources: &[IpAddr]) -> io::Result<SocketAddr> {
        let mut addrs: Vec<_> = (&*self.host, self.port).to_socket_addrs()?.collect();
        let suits = |addr: &SocketAddr| sources.iter().all(|ip| ip.is_ipv4() == addr.is_ipv4());
        if addrs.iter().any(suits) {
            addrs.retain(suits);
        }
        reachable(&addrs, patience).ok_or_else(|| io::Error::other("it has no address"))
    }
}

/// `localhost` may be `::1` first, and the server on 127.0.0.1. A single address needs no try, and where none answers the
/// first one is as good as any: the run tells what is wrong.
fn reachable(addrs: &[SocketAddr], patience: Duration) -> Option<SocketAddr> {
    let (first, others) = addrs.split_first()?;
    let answers = |addr: &&SocketAddr| TcpStream::connect_timeout(addr, patience).is_ok();
    if others.is_empty() {
        return Some(*first);
    }
    Some(*addrs.iter().find(answers).unwrap_or(first))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.raw {
            write!(f, "tcp://{}", self.authority)
        } else {
            let scheme = if self.tls { "wss" } else { "ws" };
            write!(f, "{scheme}://{}{}", self.authority, self.path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, raw, authority, host, port, path) in [
            (
                "ws://127.0.0.1:9001/",
                false,
                "127.0.0.1:9001",
                "127.0.0.1",
                9001,
                "/",
            ),
            ("ws://localhost", false, "localhost", "localhost", 80, "/"),
            ("WS://a:1?x=y", false, "a:1", "a", 1, "/?x=y"),
            (
                "ws://[::1]:9001/tea",
                false,
                "[::1]:9001",
                "::1",
                9001,
                "/tea",
            ),
            ("ws://[::1]/", false, "[::1]", "::1", 80, "/"),
            (
                "tcp://127.0.0.1:7",
                true,
                "127.0.0.1:7",
                "127.0.0.1",
                7,
                "/",
            ),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!(
                (target.raw, &*target.authority, &*target.path),
                (raw, authority, path)
            );
            assert_eq!((&*target.host, target.port), (host, port), "{url}");
        }
        let target = Target::parse("wss://[::1]/tea").unwrap();
        assert_eq!((target.tls, target.port), (true, 443));
        assert_eq!(target.to_string(), "wss://[::1]/tea");
        assert!(target.server_name().is_ok());
    }

    #[test]
    fn of_several_addresses_the_first_counts_that_answers() {
        use socket2::{Domain, Socket, Type};

        let bound = |listens: bool| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            socket.bind(&any.into()).unwrap();
            if listens {
                socket.listen(16).unwrap();
            }
            let addr = socket.local_addr().unwrap().as_socket().unwrap();
            (socket, addr)
        };
        let ((_none, refuses), (_one, one), (_two, two)) = (bound(false), bound(true), bound(true));
        let patience = Duration::from_secs(20);
        for (addrs, counts) in [
            (&[][..], None),
            (&[refuses], Some(refuses)),
            (&[refuses, refuses], Some(refuses)),
            (&[refuses, one, two], Some(one)),
            (&[two, one], Some(two)),
        ] {
            assert_eq!(reachable(addrs, patience), counts, "{addrs:?}");
        }
    }

    #[test]
    fn what_is_no_url_is_told_apart() {
        for (url, error) in [
            ("127.0.0.1:9001", TargetError::Scheme),
            ("http://127.0.0.1/", TargetError::Scheme),
            ("ws:///", TargetError::Host),
            ("ws://:80/", TargetError::Host),
            ("ws://user@host/", TargetError::Host),
            ("ws://a:0/", TargetError::Port),
            ("ws://a:65536/", TargetError::Port),
            ("ws://[::1]9001/", TargetError::Port),
            ("tcp://a", TargetError::Port),
            ("ws://a/ b", TargetError::Path),
            ("ws://a/#b", TargetError::Path),
            ("ws://a/ü", TargetError::Path),
        ] {
            assert_eq!(Target::parse(url), Err(error), "{url}");
        }
    }
}
