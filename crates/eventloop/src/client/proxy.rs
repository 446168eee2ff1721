//! [`Proxy`]: who connects for us, by HTTP CONNECT (RFC 9110 §9.3.6) or SOCKS5 (RFC 1928, 1929), and [`Talk`], what is said
//! to it until there is a way to the server.

use core::fmt;
use std::net::IpAddr;

use super::dial::{basic, decoded};
use super::target::{Target, host_and_port};

/// The longest head of an answer to CONNECT.
const MAX_HEAD: usize = 16 * 1024;

/// Who connects for us. Names of servers are looked up by it, and not here.
///
/// ```
/// use wirefan_eventloop::Dial;
/// use wirefan_eventloop::client::Proxy;
///
/// let proxy = Proxy::new("http://ann:secret@proxy.example:3128")?;
/// let dial = Dial::new("wss://chat.example/")?.proxy(proxy);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Proxy {
    kind: Kind,
    pub(super) host: Box<str>,
    pub(super) port: u16,
    user: Option<Box<str>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Http,
    Socks5,
}

/// Why a proxy did not connect us.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ProxyError {
    /// The URL of a proxy begins with `http://`, `socks5://` or `socks5h://` and names a host.
    Url,
    /// It answered CONNECT with this status: 407 demands a password, or another one.
    Refused(u16),
    /// It refused with this reply of SOCKS5 (RFC 1928 §6), or demands a kind of password that we have not (255).
    Socks(u8),
    /// It did not take the user and the password.
    Password,
    /// What it said is not its protocol.
    Protocol,
}

impl Proxy {
    /// From `http://[user:password@]host[:port]`, or `socks5://` and `socks5h://` (which are the same here) and the same.
    /// The ports are 80 and 1080 if none is given; user and password are percent-encoded.
    ///
    /// # Errors
    ///
    /// [`ProxyError::Url`].
    pub fn new(url: &str) -> Result<Self, ProxyError> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let (kind, default) = match &*scheme.to_ascii_lowercase() {
            "http" => (Kind::Http, 80),
            "socks5" | "socks5h" => (Kind::Socks5, 1080),
            _ => return Err(ProxyError::Url),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user.into()), authority),
            None => (None, authority),
        };
        let (host, port) = host_and_port(authority).map_err(|_| ProxyError::Url)?;
        Ok(Self {
            kind,
            host: host.into(),
            port: port.unwrap_or(default),
            user,
        })
    }

    /// What the environment says about a target, as curl has it: `http_proxy` is for `ws://`, `https_proxy` or
    /// `HTTPS_PROXY` for `wss://`, `all_proxy` or `ALL_PROXY` for either, and `no_proxy` or `NO_PROXY` lists who is connected
    /// to directly.
    pub(super) fn of_environment(
        target: &Target,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ProxyError> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let either = |name: &str| get(&name.to_ascii_lowercase()).or_else(|| get(name));
        if either("NO_PROXY").is_some_and(|list| is_exempt(target, &list)) {
            return Ok(None);
        }
        let own = if target.secure {
            either("HTTPS_PROXY")
        } else if get("REQUEST_METHOD").is_some() {
            // A CGI program is handed a header of its client as HTTP_PROXY.
            get("http_proxy")
        } else {
            either("HTTP_PROXY")
        };
        own.or_else(|| either("ALL_PROXY"))
            .map(|url| Self::new(&url))
            .transpose()
    }

    /// The user and the password.
    fn credentials(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let user = self.user.as_deref()?;
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        Some((decoded(user), decoded(password)))
    }
}

// The user and the password stay out of logs.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("kind", &self.kind)
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Whether a list like `localhost, .example.com, 10.0.0.0/8, a.example:8080` names a target.
fn is_exempt(target: &Target, list: &str) -> bool {
    let host = target.host.to_ascii_lowercase();
    let host = host.trim_end_matches('.');
    list.split([',', ' ']).any(|entry| {
        let entry = entry.trim().to_ascii_lowercase();
        if entry.is_empty() {
            return false;
        }
        if entry == "*" {
            return true;
        }
        if let Some(ip) = target.ip() {
            return in_network(ip, &entry) || entry == target.host_and_port();
        }
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) => (name, port.parse().ok()),
            None => (&*entry, Some(target.port)),
        };
        let name = name.trim_start_matches("*.").trim_start_matches('.');
        let covers = |host: &str| {
            host.strip_suffix(name)
                .is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        !name.is_empty() && port == Some(target.port) && covers(host)
    })
}

/// Whether an address is this one, or in this network.
fn in_network(ip: IpAddr, entry: &str) -> bool {
    let (network, bits) = match entry.split_once('/') {
        Some((network, bits)) => (network, bits.parse::<u32>().ok()),
        None => (entry, Some(128)),
    };
    let network = network.trim_start_matches('[').trim_end_matches(']');
    let (Ok(network), Some(bits)) = (network.parse::<IpAddr>(), bits) else {
        return false;
    };
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
            (u32::from(ip) ^ u32::from(network)) & mask == 0
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
            (u128::from(ip) ^ u128::from(network)) & mask == 0
        }
        _ => false,
    }
}

/// What is said to a proxy until there is a way to the server.
#[derive(Debug)]
pub(crate) struct Talk {
    stage: Stage,
    /// An answer that is not whole.
    answer: Vec<u8>,
    /// For SOCKS5: what is said next, if that is asked for.
    password: Option<Vec<u8>>,
    request: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The head of an answer to CONNECT.
    Head,
    Method,
    Password,
    Reply,
}

/// What follows from bytes of a proxy.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// More has to come.
    Wait,
    Say(Vec<u8>),
    /// There is a way to the server.
    Through,
}

impl Talk {
    /// Begins, with what is to be said first.
    pub(super) fn begin(proxy: &Proxy, target: &Target) -> Result<(Self, Vec<u8>), ProxyError> {
        let talk = |stage, password, request| Self {
            stage,
            answer: Vec::new(),
            password,
            request,
        };
        if proxy.kind == Kind::Http {
            let server = target.host_and_port();
            let mut head = format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n");
            if let Some(user) = &proxy.user {
                head.push_str(&format!("Proxy-Authorization: {}\r\n", basic(user)));
            }
            head.push_str("\r\n");
            return Ok((talk(Stage::Head, None, Vec::new()), head.into_bytes()));
        }
        let password = match proxy.credentials() {
            None => None,
            Some((user, password)) => Some(user_and_password(&user, &password)?),
        };
        let first = if password.is_some() {
            vec![5, 2, 0, 2]
        } else {
            vec![5, 1, 0]
        };
        let mut request = vec![5, 1, 0];
        match target.ip() {
            Some(IpAddr::V4(ip)) => {
                request.push(1);
                request.extend(ip.octets());
            }
            Some(IpAddr::V6(ip)) => {
                request.push(4);
                request.extend(ip.octets());
            }
            None => {
                let len = u8::try_from(target.host.len()).map_err(|_| ProxyError::Protocol)?;
                request.extend([3, len]);
                request.extend(target.host.bytes());
            }
        }
        request.extend(target.port.to_be_bytes());
        Ok((talk(Stage::Method, password, request), first))
    }

    /// Takes in what the proxy says.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<Next, ProxyError> {
        self.answer.extend_from_slice(bytes);
        let answer = &self.answer[..];
        // It speaks only when it is spoken to: nothing may come behind an answer.
        let (used, next) = match self.stage {
            Stage::Head => {
                let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
                let Some(end) = end else {
                    return if answer.len() > MAX_HEAD {
                        Err(ProxyError::Protocol)
                    } else {
                        Ok(Next::Wait)
                    };
                };
                match status(answer).ok_or(ProxyError::Protocol)? {
                    200..300 => (end + 4, Next::Through),
                    status => return Err(ProxyError::Refused(status)),
                }
            }
            Stage::Method => match answer {
                [5, 0, ..] => {
                    self.stage = Stage::Reply;
                    (2, Next::Say(core::mem::take(&mut self.request)))
                }
                [5, 2, ..] => match self.password.take() {
                    Some(password) => {
                        self.stage = Stage::Password;
                        (2, Next::Say(password))
                    }
                    None => return Err(ProxyError::Protocol),
                },
                [5, method, ..] => return Err(ProxyError::Socks(*method)),
                [5] => return Ok(Next::Wait),
                _ => return Err(ProxyError::Protocol),
            },
            Stage::Password => match answer {
                [1, 0, ..] => {
                    self.stage = Stage::Reply;
                    (2, Next::Say(core::mem::take(&mut self.request)))
                }
                [1, _, ..] => return Err(ProxyError::Password),
                [1] => return Ok(Next::Wait),
                _ => return Err(ProxyError::Protocol),
            },
            Stage::Reply => {
                let len = match answer {
                    [5, 0, 0, 1, ..] => 10,
                    [5, 0, 0, 4, ..] => 22,
                    [5, 0, 0, 3, len, ..] => 7 + usize::from(*len),
                    [5, reply, ..] if *reply != 0 => return Err(ProxyError::Socks(*reply)),
                    [5] | [5, 0] | [5, 0, 0] | [5, 0, 0, 3] => return Ok(Next::Wait),
                    _ => return Err(ProxyError::Protocol),
                };
                if answer.len() < len {
                    return Ok(Next::Wait);
                }
                (len, Next::Through)
            }
        };
        if used != answer.len() {
            return Err(ProxyError::Protocol);
        }
        self.answer.clear();
        Ok(next)
    }
}

/// RFC 1929 §2.
fn user_and_password(user: &[u8], password: &[u8]) -> Result<Vec<u8>, ProxyError> {
    let mut bytes = vec![1];
    for part in [user, password] {
        bytes.push(u8::try_from(part.len()).map_err(|_| ProxyError::Password)?);
        bytes.extend_from_slice(part);
    }
    Ok(bytes)
}

fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let line = str::from_utf8(line).ok()?;
    let rest = line
        .strip_prefix("HTTP/1.1 ")
        .or_else(|| line.strip_prefix("HTTP/1.0 "))?;
    let digits = rest.get(..3)?;
    let ends = rest.as_bytes().get(3).is_none_or(|byte| *byte == b' ');
    let valid = ends && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .parse()
        .ok()
        .filter(|status| valid && (200..600).contains(status))
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("the proxy's URL is none of http://, socks5:// or socks5h://"),
            Self::Refused(407) => f.write_str("the proxy demands a password (407)"),
            Self::Refused(status) => write!(f, "the proxy answered with {status}"),
            Self::Socks(255) => f.write_str("the proxy demands a password"),
            Self::Socks(reply) => write!(f, "the proxy refused: {}", reply_name(*reply)),
            Self::Password => f.write_str("the proxy does not take the password"),
            Self::Protocol => f.write_str("the proxy does not keep to its protocol"),
        }
    }
}

impl core::error::Error for ProxyError {}

/// RFC 1928 §6.
fn reply_name(reply: u8) -> &'static str {
    match reply {
        1 => "general failure",
        2 => "not allowed",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "it took too long",
        7 => "command not supported",
        8 => "kind of address not supported",
        _ => "for a reason of its own",
    }
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
