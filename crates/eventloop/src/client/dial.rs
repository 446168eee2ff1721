//! [`Dial`]: where a connection is to lead and how it is opened. Built by applications, carried out by the loop.

use core::error::Error;
use core::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wirefan_protocol::Config;
use wirefan_protocol::handshake::{ClientHandshake, ClientRequest};

use super::target::Target;
use super::{DialError, Proxy};

/// Where a connection leads, and how it is opened. Everything has a default but the URL.
///
/// ```
/// use std::time::Duration;
/// use wirefan_eventloop::Dial;
///
/// let dial = Dial::new("ws://chat.example:8080/room?name=ann")?
///     .protocol("chat.v2")
///     .protocol("chat.v1")
///     .header("Authorization", "Bearer 0123456789abcdef")
///     .connect_timeout(Duration::from_secs(3));
/// # Ok::<(), wirefan_eventloop::DialError>(())
/// ```
///
/// Fields that a builder does not show are checked when the connection is dialled; what is wrong with them comes as
/// [`DialError::InvalidRequest`].
#[derive(Clone)]
pub struct Dial {
    pub(super) target: Target,
    pub(super) protocols: Vec<Box<str>>,
    pub(super) headers: Vec<(Box<str>, Box<str>)>,
    pub(super) origin: Option<Box<str>>,
    pub(super) config: Option<Arc<Config>>,
    pub(super) connect_timeout: Duration,
    pub(super) handshake_timeout: Duration,
    pub(super) max_body: usize,
    pub(super) delay: Duration,
    pub(super) redirects: u8,
    pub(super) route: Route,
    pub(super) prepare: Option<Arc<Prepare>>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<crate::ClientTls>,
}

/// Who connects for us.
#[derive(Clone)]
pub(super) enum Route {
    Direct,
    By(Proxy),
    Environment,
}

pub(super) type Prepare = dyn Fn(Dial) -> Result<Dial, Box<dyn Error + Send + Sync>> + Send + Sync;

impl Dial {
    /// To `ws://host[:port][/path][?query]`, or `wss://` and the same. A user and a password before the host
    /// (`ws://user:password@host/`) are sent as `Authorization: Basic` (RFC 7617).
    ///
    /// # Errors
    ///
    /// [`DialError::Url`]; [`DialError::NoTls`] for `wss` where the feature `tls` is off.
    pub fn new(url: &str) -> Result<Self, DialError> {
        let target = Target::parse(url)?;
        if target.secure && !cfg!(feature = "tls") {
            return Err(DialError::NoTls);
        }
        Ok(Self {
            target,
            protocols: Vec::new(),
            headers: Vec::new(),
            origin: None,
            config: None,
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            max_body: 64 * 1024,
            delay: Duration::ZERO,
            redirects: 0,
            route: Route::Direct,
            prepare: None,
            #[cfg(feature = "tls")]
            tls: None,
        })
    }

    /// Offers a subprotocol; the first one is the one liked best. What the server chose is in
    /// [`Conn::response`](crate::Conn::response).
    #[must_use]
    pub fn protocol(mut self, protocol: &str) -> Self {
        self.protocols.push(protocol.into());
        self
    }

    /// Adds a header line to the request. Those of the handshake itself (`Host`, `Origin`, `Connection`, `Upgrade`,
    /// `Sec-WebSocket-*`) are not the caller's.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Says where we come from, as browsers do (RFC 6454). Default: nothing.
    #[must_use]
    pub fn origin(mut self, origin: &str) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Limits of this connection, and compression, which is offered if it is set. Default: what the loop has.
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = Some(config.into());
        self
    }

    /// How long finding the address and connecting to it may take, all addresses together. Default: 10 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long TLS and the answer to the request may take. Default: 10 s.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// The most bytes that are kept of the body of an answer that opens no connection. Default: 64 KiB.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Whom to trust where the URL is `wss://`, and what to show. Default: whom the system trusts, and nothing.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: &crate::ClientTls) -> Self {
        self.tls = Some(tls.clone());
        self
    }

    /// Has a proxy connect us. Default: none.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.route = Route::By(proxy);
        self
    }

    /// Has the environment say whether there is a proxy: `HTTP_PROXY` for `ws://`, `HTTPS_PROXY` for `wss://`, `ALL_PROXY`
    /// for either, but for hosts in `NO_PROXY`; the same in lower case goes before.
    #[must_use]
    pub fn proxy_from_environment(mut self) -> Self {
        self.route = Route::Environment;
        self
    }

    /// Follows so many redirections (301, 302, 303, 307, 308), which RFC 6455 §4.1 leaves to the client. Never from
    /// `wss://` to `ws://`; to another server, headers and the user of the URL are not sent. Default: 0, and an answer
    /// like this is a [`DialError::Refused`].
    #[must_use]
    pub fn redirects(mut self, most: u8) -> Self {
        self.redirects = most;
        self
    }

    /// Starts that much later. Default: at once.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Has `prepare` change what is asked for right before each try, to put in a token that is fresh then. It runs on
    /// a thread of its own and may block; [`connect_timeout`](Self::connect_timeout) goes on meanwhile.
    ///
    /// ```
    /// use wirefan_eventloop::Dial;
    ///
    /// let dial = Dial::new("ws://chat.example/")?.prepare(|dial| {
    ///     let token = std::fs::read_to_string("token")?;
    ///     Ok(dial.header("Authorization", &format!("Bearer {}", token.trim())))
    /// });
    /// # Ok::<(), wirefan_eventloop::DialError>(())
    /// ```
    #[must_use]
    pub fn prepare(
        mut self,
        prepare: impl Fn(Self) -> Result<Self, Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
    ) -> Self {
        self.prepare = Some(Arc::new(prepare));
        self
    }

    /// Leads elsewhere, everything else being the same: for [`prepare`](Self::prepare), where the URL holds a token.
    ///
    /// # Errors
    ///
    /// As [`Dial::new`].
    pub fn url(mut self, url: &str) -> Result<Self, DialError> {
        self.target = Self::new(url)?.target;
        Ok(self)
    }

    /// The address of the first hop, and whether that is a proxy, where nothing needs looking up.
    pub(super) fn known_hop(&self) -> Result<Option<(SocketAddr, Option<Proxy>)>, DialError> {
        #[cfg(feature = "tls")]
        if self.target.secure && self.tls.is_none() {
            // Whom the system trusts has to be found out.
            return Ok(None);
        }
        if self.prepare.is_some() {
            return Ok(None);
        }
        let proxy = self.chosen_proxy()?;
        let (host, port) = self.first_hop(proxy.as_ref());
        let ip: Option<IpAddr> = host.parse().ok();
        Ok(ip.map(|ip| ((ip, port).into(), proxy)))
    }

    /// Who connects for us.
    pub(super) fn chosen_proxy(&self) -> Result<Option<Proxy>, DialError> {
        let get = |name: &str| std::env::var(name).ok();
        match &self.route {
            Route::Direct => Ok(None),
            Route::By(proxy) => Ok(Some(proxy.clone())),
            Route::Environment => {
                Proxy::of_environment(&self.target, get).map_err(DialError::Proxy)
            }
        }
    }

    pub(super) fn first_hop<'a>(&'a self, proxy: Option<&'a Proxy>) -> (&'a str, u16) {
        match proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&self.target.host, self.target.port),
        }
    }

    /// The handshake of this connection, and its request.
    pub(super) fn handshake(
        &self,
        default: &Arc<Config>,
    ) -> Result<(ClientHandshake, Vec<u8>), DialError> {
        let authority = self.target.authority();
        let protocols: Vec<&str> = self.protocols.iter().map(AsRef::as_ref).collect();
        let basic = self.target.user.as_deref().map(basic);
        let mut headers: Vec<(&str, &str)> = Vec::new();
        headers.extend(basic.as_deref().map(|basic| ("Authorization", basic)));
        headers.extend((self.headers.iter()).map(|(name, value)| (&**name, &**value)));
        let mut request = ClientRequest::new(&authority, &self.target.path);
        request.origin = self.origin.as_deref();
        request.protocols = &protocols;
        request.headers = &headers;
        let config = Arc::clone(self.config.as_ref().unwrap_or(default));
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|_| DialError::Io(std::io::ErrorKind::Other))?;
        let mut out = Vec::new();
        let handshake = ClientHandshake::start(config, request, seed, &mut out)
            .map_err(DialError::InvalidRequest)?;
        Ok((handshake, out))
    }
}

/// RFC 7617 §2, from the percent-encoded form that a URL has.
pub(super) fn basic(user: &str) -> String {
    let user = if user.contains(':') {
        decoded(user)
    } else {
        [&decoded(user)[..], b":"].concat()
    };
    format!("Basic {}", STANDARD.encode(user))
}

/// Takes percent-encoding back (RFC 3986 §2.1); what is none stays as it is.
pub(super) fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let [first, rest @ ..] = bytes {
        let hex = |digit: &u8| char::from(*digit).to_digit(16);
        match (first, rest) {
            (b'%', [high, low, behind @ ..]) if hex(high).is_some() && hex(low).is_some() => {
                let value = hex(high).unwrap_or(0) * 16 + hex(low).unwrap_or(0);
                out.push(value as u8);
                bytes = behind;
            }
            _ => {
                out.push(*first);
                bytes = rest;
            }
        }
    }
    out
}

impl core::str::FromStr for Dial {
    type Err = DialError;

    fn from_str(url: &str) -> Result<Self, DialError> {
        Self::new(url)
    }
}

// Headers, the query and the user may be secrets: they stay out of logs.
impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial")
            .field("secure", &self.target.secure)
            .field("host", &self.target.host)
            .field("port", &self.target.port)
            .field("protocols", &self.protocols)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(dial: &Dial) -> String {
        let (_, request) = dial.handshake(&Arc::new(Config::default())).unwrap();
        String::from_utf8(request).unwrap()
    }

    #[test]
    fn a_request_has_what_was_asked_for() {
        let dial = Dial::new("ws://a%62:c%40d@e.example:8080/f?g")
            .unwrap()
            .protocol("one")
            .protocol("two")
            .origin("https://e.example")
            .header("X-Own", "yes");
        let request = request(&dial);
        assert!(request.starts_with("GET /f?g HTTP/1.1\r\nHost: e.example:8080\r\n"));
        for line in [
            "Sec-WebSocket-Protocol: one, two",
            "Origin: https://e.example",
            "X-Own: yes",
            // ab:c@d
            "Authorization: Basic YWI6Y0Bk",
        ] {
            assert!(request.contains(&format!("\r\n{line}\r\n")), "{request}");
        }
    }

    #[test]
    fn nothing_can_be_smuggled_into_a_request() {
        for (name, value) in [
            ("X", "a\r\nY: b"),
            ("X: a\r\nY", "b"),
            ("Host", "b"),
            ("", "b"),
        ] {
            let dial = Dial::new("ws://a/").unwrap().header(name, value);
            let refused = dial.handshake(&Arc::new(Config::default()));
            assert!(
                matches!(refused, Err(DialError::InvalidRequest(_))),
                "{name}"
            );
        }
    }

    #[test]
    fn percent_encoding_is_taken_back_where_it_is_one() {
        assert_eq!(decoded("a%20b%c3%A4%zz%4"), b"a b\xc3\xa4%zz%4");
        assert_eq!(basic("a"), "Basic YTo=");
    }

    #[test]
    fn secrets_stay_out_of_logs() {
        let dial = Dial::new("ws://ann:secret@a/?token=secret").unwrap();
        let dial = dial.header("Authorization", "secret");
        assert!(!format!("{dial:?}").contains("secret"));
    }
}
