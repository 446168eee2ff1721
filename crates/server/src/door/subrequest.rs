//! `--auth-url`: an HTTP server that is asked whom to let in, by a few threads with a queue before them. What it does not
//! clearly allow is refused.

use core::fmt;
use core::num::NonZeroU16;
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use std::{fs, io, thread};

use clap::Args;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Response, Uri, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};
use wirefan_admission::{Client, Grant, MAX_SUBJECT, Rooms, Secret};
use wirefan_eventloop::rustls::crypto::ring;
use wirefan_eventloop::{ConnId, Remote};
use wirefan_protocol::handshake::Request;

use super::{Arrival, Refusal, Verdict, unix_seconds};
use crate::quantity;

/// Requests that wait for a thread.
const QUEUE: usize = 1024;
/// What is read of an answer's body, so that its connection can be used again.
const BODY: u64 = 16 * 1024;
/// Pause before a worker is told again whose mailbox was full.
const PAUSE: Duration = Duration::from_millis(5);
/// How long that is tried.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the answer may say beyond letting in.
const USER: &str = "wirefan-user";
const READ: &str = "wirefan-read";
const WRITE: &str = "wirefan-write";
const EXPIRES: &str = "wirefan-expires";

/// The options about the server that is asked.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Asking a server of yours")]
pub(crate) struct SubrequestOptions {
    /// URL that is asked with a GET whether a request may come in, unless a token is known already
    ///
    /// It gets Authorization and Cookie of the request (a token from elsewhere as Authorization: Bearer), Origin,
    /// User-Agent, X-Forwarded-For, -Host and -Proto, X-Original-URI and X-Original-Method. 2xx lets in, to the rooms in
    /// its headers Wirefan-Read and Wirefan-Write (without these: to all), as Wirefan-User, until Wirefan-Expires
    /// (seconds since the Unix epoch). 401 and 403 are passed on; with anything else, and in case of doubt, nobody
    /// comes in.
    #[arg(long, value_name = "URL", value_parser = url)]
    auth_url: Option<Uri>,

    /// Time for its answer
    ///
    /// Stay below --handshake-timeout.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = quantity::some_duration)]
    auth_timeout: Duration,

    /// Requests to it at a time; 1024 more wait, and others are answered with 503
    #[arg(long, value_name = "N", default_value = "8")]
    auth_threads: NonZeroU16,

    /// Authorities in a PEM file that its certificate may be from [default: those of the system]
    #[arg(long, value_name = "FILE", requires = "auth_url")]
    auth_ca: Option<PathBuf>,
}

impl SubrequestOptions {
    pub(super) fn url(&self) -> Option<&Uri> {
        self.auth_url.as_ref()
    }
}

fn url(text: &str) -> Result<Uri, &'static str> {
    const HOW: &str = "write http://HOST:PORT/PATH or https://HOST/PATH";
    let uri: Uri = text.parse().map_err(|_| HOW)?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(_)) => Ok(uri),
        _ => Err(HOW),
    }
}

/// Why nobody can be asked.
#[derive(Debug)]
pub(crate) enum SubrequestError {
    /// The file with the authorities cannot be read.
    Read(PathBuf, io::Error),
    /// It has none.
    NoCertificate(PathBuf),
    /// The system has none.
    NoSystemCertificates,
}

impl fmt::Display for SubrequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NoCertificate(path) => {
                write!(f, "{}: there is no certificate in PEM", path.display())
            }
            Self::NoSystemCertificates => f.write_str(
                "the system has no certificates to check that of --auth-url with: give --auth-ca FILE",
            ),
        }
    }
}

impl core::error::Error for SubrequestError {}

/// The way to the threads that ask.
#[derive(Clone, Debug)]
pub(super) struct Subrequests {
    queue: SyncSender<Question>,
    /// Whether what browsers send along by themselves is passed on: where every page may connect it proves nothing.
    ambient: bool,
    timeout: Duration,
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Question {
    id: ConnId,
    arrival: Arrival,
    remote: Remote<Verdict>,
    headers: HeaderMap,
    /// From then on nobody waits for the answer any more.
    until: Instant,
}

impl Subrequests {
    /// Starts the threads.
    pub(super) fn start(
        url: &Uri,
        options: &SubrequestOptions,
        ambient: bool,
    ) -> Result<Self, SubrequestError> {
        let agent = agent(url, options)?;
        let (queue, questions) = mpsc::sync_channel(QUEUE);
        let questions = Arc::new(Mutex::new(questions));
        for _ in 0..options.auth_threads.get() {
            let (url, agent, questions) = (url.clone(), agent.clone(), Arc::clone(&questions));
            thread::spawn(move || ask_all(&url, &agent, &questions));
        }
        let timeout = options.auth_timeout;
        Ok(Self {
            queue,
            ambient,
            timeout,
        })
    }

    /// Asks about a request; the answer comes as a note. Returns whether there was room for it.
    pub(super) fn ask(&self, asked: &Asked<'_>, arrival: Arrival, remote: Remote<Verdict>) -> bool {
        let question = Question {
            id: asked.id,
            arrival,
            remote,
            headers: asked.headers(self.ambient),
            // As long in the queue as on the way.
            until: Instant::now() + self.timeout,
        };
        self.queue.try_send(question).is_ok()
    }
}

/// What is told about a request.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) id: ConnId,
    pub(super) request: &'a Request<'a>,
    pub(super) client: Client,
    pub(super) host: Option<&'a str>,
    pub(super) tls: bool,
    pub(super) token: Option<Secret>,
}

impl Asked<'_> {
    fn headers(&self, ambient: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut add = |name: HeaderName, value: &[u8]| {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(name, value);
            }
        };
        for (name, value) in self.request.headers() {
            let is = |other: &HeaderName| name.eq_ignore_ascii_case(other.as_str());
            let passed = [
                header::AUTHORIZATION,
                header::COOKIE,
                header::ORIGIN,
                header::USER_AGENT,
            ];
            let Some(name) = passed.into_iter().find(is) else {
                continue;
            };
            // A browser remembers passwords, and no bearer token.
            let by_itself =
                name == header::COOKIE || (name == header::AUTHORIZATION && !is_bearer(value));
            if ambient || !by_itself {
                add(name, value);
            }
        }
        let own = HeaderName::from_static;
        add(
            own("x-forwarded-for"),
            self.client.address.to_string().as_bytes(),
        );
        let scheme = match self.client.scheme {
            Some(scheme) => scheme.to_string(),
            None if self.tls => "https".to_owned(),
            None => "http".to_owned(),
        };
        add(own("x-forwarded-proto"), scheme.as_bytes());
        if let Some(host) = self.host {
            add(own("x-forwarded-host"), host.as_bytes());
        }
        add(own("x-original-uri"), self.request.target().as_bytes());
        add(own("x-original-method"), self.request.method().as_bytes());
        if let Some(token) = &self.token
            && !headers.contains_key(header::AUTHORIZATION)
            && let Ok(mut value) = HeaderValue::try_from(format!("Bearer {}", token.expose()))
        {
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        headers
    }
}

fn is_bearer(credentials: &[u8]) -> bool {
    let scheme = credentials.get(.."bearer ".len());
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "))
}

fn agent(url: &Uri, options: &SubrequestOptions) -> Result<Agent, SubrequestError> {
    let mut tls =
        TlsConfig::builder().unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()));
    if url.scheme_str() == Some("https") {
        tls = tls.root_certs(match &options.auth_ca {
            Some(path) => authorities(path)?,
            None => system_authorities()?,
        });
    }
    let config = Agent::config_builder()
        .tls_config(tls.build())
        .timeout_global(Some(options.auth_timeout))
        .http_status_as_error(false)
        // A sign-in page is no permission.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections_per_host(options.auth_threads.get().into())
        // Whoever lets people in is asked directly, whatever the environment says.
        .proxy(None)
        .user_agent("")
        .accept("")
        .build();
    Ok(config.into())
}

fn authorities(path: &Path) -> Result<RootCerts, SubrequestError> {
    let pem = fs::read(path).map_err(|error| SubrequestError::Read(path.into(), error))?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(SubrequestError::NoCertificate(path.into()));
    }
    Ok(certificates.into())
}

fn system_authorities() -> Result<RootCerts, SubrequestError> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        return Err(SubrequestError::NoSystemCertificates);
    }
    let certificates = found.certs.iter();
    Ok(certificates
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect::<Vec<_>>()
        .into())
}

/// Answers questions for as long as any may come.
fn ask_all(url: &Uri, agent: &Agent, questions: &Mutex<Receiver<Question>>) {
    loop {
        let next = questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(question) = next else {
            return;
        };
        let (id, addr, until) = (question.id, question.arrival.addr, question.until);
        let answer = if Instant::now() < until {
            ask(url, agent, question.headers)
        } else {
            tracing::warn!(%addr, %id, "--auth-url was not asked: too many are before this one");
            Err(Refusal::Busy)
        };
        let verdict = Verdict {
            id,
            arrival: question.arrival,
            answer,
        };
        deliver(&question.remote, &verdict);
    }
}

/// A full mailbox is emptied soon, or its worker is about to end.
fn deliver(remote: &Remote<Verdict>, verdict: &Verdict) {
    let give_up = Instant::now() + PATIENCE;
    while remote.note(verdict.id.worker(), verdict.clone()).is_err() && Instant::now() < give_up {
        thread::sleep(PAUSE);
    }
}

fn ask(url: &Uri, agent: &Agent, headers: HeaderMap) -> Result<Grant, Refusal> {
    let mut request = agent.get(url);
    if let Some(own) = request.headers_mut() {
        own.extend(headers);
    }
    let mut answer = match request.call() {
        Ok(answer) => answer,
        Err(error) => {
            tracing::warn!("--auth-url: {error}");
            return Err(Refusal::Unchecked);
        }
    };
    // Read to its end, the connection can be used again; what it says is nobody's business.
    let _ = answer.body_mut().with_config().limit(BODY).read_to_vec();
    understood(&answer)
}

fn understood(answer: &Response<Body>) -> Result<Grant, Refusal> {
    let status = answer.status().as_u16();
    match status {
        200..=299 => grant(answer.headers()).ok_or_else(|| {
            tracing::warn!(
                status,
                "--auth-url: a Wirefan header of the answer is not valid"
            );
            Refusal::Unchecked
        }),
        401 | 403 => {
            let challenge = answer.headers().get(header::WWW_AUTHENTICATE);
            let challenge = challenge.and_then(|value| value.to_str().ok());
            let challenge = challenge.map(str::to_owned);
            Err(Refusal::Denied { status, challenge })
        }
        _ => {
            tracing::warn!(status, "--auth-url: neither 2xx nor 401 nor 403");
            Err(Refusal::Unchecked)
        }
    }
}

/// What the headers of a permission allow; `None` if one of them says what nobody understands.
fn grant(headers: &HeaderMap) -> Option<Grant> {
    let text = |name: &str| match headers.get(name) {
        None => Some(None),
        Some(value) => value.to_str().ok().map(Some),
    };
    let rooms = |name: &str| -> Option<Option<Rooms>> {
        match text(name)? {
            None => Some(None),
            Some(list) => list.parse().ok().map(Some),
        }
    };
    let subject = text(USER)?.unwrap_or_default();
    if subject.len() > MAX_SUBJECT {
        return None;
    }
    let mut grant = Grant::everything(subject);
    let (read, write) = (rooms(READ)?, rooms(WRITE)?);
    if read.is_some() || write.is_some() {
        grant.read = read.unwrap_or_default();
        grant.write = write.unwrap_or_default();
    }
    if let Some(seconds) = text(EXPIRES)? {
        grant.expires = Some(seconds.parse().ok()?);
    }
    grant.is_valid(unix_seconds()).then_some(grant)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(headers: &[(&'static str, &str)]) -> Option<Grant> {
        let headers = headers.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (HeaderName::from_static(name), value)
        });
        grant(&headers.collect())
    }

    #[test]
    fn headers_of_a_permission_say_how_far_it_goes() {
        assert_eq!(granted(&[]), Some(Grant::everything("")));
        let some = granted(&[(USER, "ann"), (READ, "/news, /team/*")]).unwrap();
        assert_eq!(some.subject, "ann");
        assert!(some.may_read("/team/a") && !some.may_write("/team/a"));
        let none = granted(&[(WRITE, "")]).unwrap();
        assert!(!none.may_read("/") && !none.may_write("/"));
        let later = granted(&[(EXPIRES, "99999999999")]).unwrap();
        assert_eq!(later.expires, Some(99_999_999_999));
    }

    #[test]
    fn what_is_not_understood_is_no_permission() {
        for header in [
            (READ, "/a*"),
            (WRITE, "**"),
            (EXPIRES, "soon"),
            (EXPIRES, "1"),
        ] {
            assert_eq!(granted(&[header]), None, "{header:?}");
        }
        let long = "a".repeat(MAX_SUBJECT + 1);
        assert_eq!(granted(&[(USER, &long)]), None);
    }

    #[test]
    fn urls_have_a_scheme_and_a_host() {
        for text in ["http://127.0.0.1:1/auth", "https://auth.example/"] {
            assert!(url(text).is_ok(), "{text}");
        }
        for text in ["", "127.0.0.1:1", "/auth", "ftp://a/", "http://", "ws://a/"] {
            assert!(url(text).is_err(), "{text}");
        }
    }
}
