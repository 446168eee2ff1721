//! The options of the door: which pages may connect, where tokens are, and what they are worth.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::path::PathBuf;

use clap::Args;
use ureq::http::Uri;
use wirefan_admission::{
    JwtAlgorithm, JwtPolicy, MissingOrigin, OriginPolicy, OriginPolicyError, Rooms, TokenSource,
    TokenSourceError, TokenSources,
};

use super::authorities::AuthorityFiles;
use super::subrequest::SubrequestOptions;
use crate::quantity;

/// Who may come in.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Who may come in")]
pub(crate) struct DoorOptions {
    /// Origin whose pages may connect, besides the server's own; give it again for more
    ///
    /// `https://example.com`, `https://*.example.com` for its subdomains, `http://localhost:*` for any port, `null` for
    /// pages without an origin, `any` for all. Browsers let every page on the web connect and send cookies along: others than
    /// those named are answered with 403. Clients that are no browsers send no Origin: see --require-origin.
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    allow_origin: Vec<String>,

    /// Let in only requests with an Origin, which is to say browsers
    #[arg(long)]
    require_origin: bool,

    /// File with static tokens, and which rooms each may read and write
    ///
    /// A line for each: TOKEN NAME read=/news,/team/* write=/team/*. `wirefan token` makes one. With this or any other
    /// source of tokens, nobody comes in without one. All these files are read again on SIGHUP and when they change.
    #[arg(long, value_name = "FILE", help_heading = "Tokens")]
    token_file: Option<PathBuf>,

    /// File with the keys of tickets, one of 32 characters or more in each line; the first one signs
    ///
    /// A ticket is short-lived and stands in the URL: wss://HOST/room?ticket=TICKET. Your back end makes them, and so
    /// does `wirefan ticket`.
    #[arg(long, value_name = "FILE", help_heading = "Tokens")]
    ticket_key: Option<PathBuf>,

    /// File with a key of JSON Web Tokens: public keys in PEM, or a shared secret for HS256; give it again for more
    ///
    /// RS256, ES256, EdDSA and HS256. The claims `read` and `write` say which rooms; a connection ends with its token.
    #[arg(long, value_name = "FILE", help_heading = "Tokens")]
    jwt_key: Vec<PathBuf>,

    /// File with a JWK set; give it again for more
    #[arg(long, value_name = "FILE", help_heading = "Tokens")]
    jwks: Vec<PathBuf>,

    /// Who we are in `aud` of a JWT; give it again for more
    ///
    /// Without it, tokens with an audience are for somebody else.
    #[arg(long, value_name = "NAME", help_heading = "Tokens")]
    jwt_audience: Vec<String>,

    /// Who may issue a JWT, in `iss`; give it again for more [default: whoever has a key]
    #[arg(long, value_name = "NAME", help_heading = "Tokens")]
    jwt_issuer: Vec<String>,

    /// Algorithm of JWT that is taken; give it again for more [default: those of the keys]
    #[arg(long, value_name = "NAME", help_heading = "Tokens")]
    jwt_algorithm: Vec<JwtAlgorithm>,

    /// Rooms for a JWT with neither of the claims `read` and `write`, as /news,/team/* [default: none]
    #[arg(long, value_name = "ROOMS", help_heading = "Tokens")]
    jwt_rooms: Option<Rooms>,

    /// Where tokens may be; give it again for more [default: bearer, subprotocol, and query:ticket with --ticket-key]
    ///
    /// bearer: Authorization: Bearer TOKEN. cookie:NAME. subprotocol: chat, bearer.TOKEN in Sec-WebSocket-Protocol.
    /// subprotocol-pair: chat, TOKEN. query:NAME. message: the first message is the token, for those who bring none
    /// with the request.
    #[arg(long, value_name = "WHERE", help_heading = "Tokens")]
    token_from: Vec<TokenFrom>,

    /// Time for the first message, where that is the token
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = quantity::some_duration)]
    #[arg(help_heading = "Tokens")]
    token_timeout: Duration,

    /// Most connections that wait for their first message at a time; more are answered with 503
    #[arg(
        long,
        value_name = "N",
        default_value = "1000",
        help_heading = "Tokens"
    )]
    max_unauthenticated: usize,

    #[command(flatten)]
    subrequest: SubrequestOptions,
}

/// One value of `--token-from`.
#[derive(Clone, Debug, Eq, PartialEq)]
enum TokenFrom {
    Request(TokenSource),
    Message,
}

impl FromStr for TokenFrom {
    type Err = TokenFromError;

    fn from_str(text: &str) -> Result<Self, TokenFromError> {
        match text {
            "message" => Ok(Self::Message),
            text => text.parse().map(Self::Request).map_err(TokenFromError),
        }
    }
}

/// What is no value of `--token-from`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct TokenFromError(TokenSourceError);

impl fmt::Display for TokenFromError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            TokenSourceError::Unknown => f.write_str(
                "write bearer, cookie:NAME, subprotocol, subprotocol-pair, query:NAME or message",
            ),
            error => error.fmt(f),
        }
    }
}

impl core::error::Error for TokenFromError {}

/// Options of the door that cannot hold together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DoorContradiction {
    /// Every origin, and others.
    AnyAndMore,
    /// Cookies count, and every page may use them.
    CookieFromAnywhere,
    /// There are places for tokens, and nothing says what these are worth.
    NobodyChecks,
    /// Something is said of JWT, and there is no key for any.
    NoJwtKey,
    /// The first message is to be the token, and an HTTP server the judge, who sees requests only.
    MessageForUrl,
}

impl fmt::Display for DoorContradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AnyAndMore => "--allow-origin any allows all others already: leave those out",
            Self::CookieFromAnywhere => {
                "--token-from cookie: proves nothing with --allow-origin any: every page on the web could use it"
            }
            Self::NobodyChecks => {
                "--token-from needs something that knows tokens: --token-file, --jwt-key, --jwks, --ticket-key or --auth-url"
            }
            Self::NoJwtKey => "--jwt-… needs the keys of tokens: give --jwt-key or --jwks",
            Self::MessageForUrl => {
                "--token-from message does not go with --auth-url, which is asked about requests"
            }
        })
    }
}

impl core::error::Error for DoorContradiction {}

impl DoorOptions {
    /// Which options cannot hold together, if any.
    pub(crate) fn contradiction(&self) -> Option<DoorContradiction> {
        let Ok(origins) = self.origins() else {
            return Some(DoorContradiction::AnyAndMore);
        };
        let jwt_keys = !self.jwt_key.is_empty() || !self.jwks.is_empty();
        let of_jwt = self.jwt_rooms.is_some()
            || !self.jwt_audience.is_empty()
            || !self.jwt_issuer.is_empty()
            || !self.jwt_algorithm.is_empty();
        let asks = self.subrequest.url().is_some();
        if origins.is_any() && self.sources().iter().any(TokenSource::is_ambient) {
            Some(DoorContradiction::CookieFromAnywhere)
        } else if of_jwt && !jwt_keys {
            Some(DoorContradiction::NoJwtKey)
        } else if !self.token_from.is_empty() && !asks && self.files().is_none() {
            Some(DoorContradiction::NobodyChecks)
        } else if asks && self.in_message().is_some() {
            Some(DoorContradiction::MessageForUrl)
        } else {
            None
        }
    }

    /// Which pages may connect.
    pub(crate) fn origins(&self) -> Result<OriginPolicy, OriginPolicyError> {
        let policy = match &self.allow_origin[..] {
            [] => OriginPolicy::default(),
            [any] if any == "any" => OriginPolicy::any(),
            named => format!("same,{}", named.join(",")).parse()?,
        };
        Ok(policy.with_missing(match self.require_origin {
            true => MissingOrigin::Refuse,
            false => MissingOrigin::Allow,
        }))
    }

    /// Where in a request tokens may be.
    pub(crate) fn sources(&self) -> TokenSources {
        if self.token_from.is_empty() {
            let ticket = self.ticket_key.is_some();
            let ticket = ticket.then(|| TokenSource::Query("ticket".into()));
            return [TokenSource::Bearer, TokenSource::Subprotocol]
                .into_iter()
                .chain(ticket)
                .collect();
        }
        let in_requests = self.token_from.iter().filter_map(|from| match from {
            TokenFrom::Request(source) => Some(source.clone()),
            TokenFrom::Message => None,
        });
        in_requests.collect()
    }

    /// How long a first message with the token is waited for, if one may be.
    pub(crate) fn in_message(&self) -> Option<Duration> {
        let wanted = self.token_from.contains(&TokenFrom::Message);
        wanted.then_some(self.token_timeout)
    }

    pub(crate) fn max_unauthenticated(&self) -> usize {
        self.max_unauthenticated
    }

    pub(crate) fn subrequest(&self) -> Option<(&Uri, &SubrequestOptions)> {
        self.subrequest.url().map(|url| (url, &self.subrequest))
    }

    /// The files that say what tokens are worth, if there are any.
    pub(crate) fn files(&self) -> Option<AuthorityFiles> {
        let mut policy = JwtPolicy::default();
        policy.audience.clone_from(&self.jwt_audience);
        policy.issuers.clone_from(&self.jwt_issuer);
        let rooms = self.jwt_rooms.clone().unwrap_or_default();
        (policy.default_read, policy.default_write) = (rooms.clone(), rooms);
        let files = AuthorityFiles {
            tokens: self.token_file.clone(),
            tickets: self.ticket_key.clone(),
            jwt_keys: self.jwt_key.clone(),
            jwks: self.jwks.clone(),
            algorithms: self.jwt_algorithm.clone(),
            policy,
        };
        let any = files.paths().next().is_some();
        any.then_some(files)
    }
}

/// Checks one origin by itself; whether they hold together is seen with all of them.
fn origin(text: &str) -> Result<String, OriginPolicyError> {
    text.parse::<OriginPolicy>()?;
    Ok(match text {
        "*" => "any".to_owned(),
        text => text.to_owned(),
    })
}
