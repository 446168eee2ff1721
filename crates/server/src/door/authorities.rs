//! [`Authorities`]: what tokens are worth, by the files that the options name. Asked for each token that is presented.

use core::fmt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use wirefan_admission::{
    Grant, JwtAlgorithm, JwtError, JwtKeys, JwtKeysError, JwtPolicy, JwtVerifier, Secret,
    TicketError, TicketKeys, TicketKeysError, TokenFile, TokenFileError,
};

/// Where the authorities come from.
#[derive(Clone, Debug)]
pub(crate) struct AuthorityFiles {
    pub(super) tokens: Option<PathBuf>,
    pub(super) tickets: Option<PathBuf>,
    pub(super) jwt_keys: Vec<PathBuf>,
    pub(super) jwks: Vec<PathBuf>,
    pub(super) algorithms: Vec<JwtAlgorithm>,
    pub(super) policy: JwtPolicy,
}

/// What says what a token is worth. Without any it says that of none.
#[derive(Debug, Default)]
pub(crate) struct Authorities {
    tokens: Option<TokenFile>,
    tickets: Option<TicketKeys>,
    jwt: Option<JwtVerifier>,
}

/// Why a token is worth nothing: for the log, never for the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Worthless {
    Unknown,
    Ticket(TicketError),
    Jwt(JwtError),
}

/// A file that is no authority.
#[derive(Debug)]
pub(crate) struct AuthorityError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Read(io::Error),
    Tokens(TokenFileError),
    Tickets(TicketKeysError),
    Jwt(JwtKeysError),
}

impl AuthorityFiles {
    /// Reads the files.
    pub(crate) fn load(&self) -> Result<Authorities, AuthorityError> {
        let tokens = self.tokens.as_deref();
        let tokens =
            tokens.map(|path| read(path, |text| TokenFile::parse(text).map_err(Why::Tokens)));
        Ok(Authorities {
            tokens: tokens.transpose()?,
            tickets: self.tickets.as_deref().map(ticket_keys).transpose()?,
            jwt: self.load_jwt()?,
        })
    }

    fn load_jwt(&self) -> Result<Option<JwtVerifier>, AuthorityError> {
        let mut all = None;
        let files = self.jwt_keys.iter().map(|path| (path, false));
        for (path, is_set) in files.chain(self.jwks.iter().map(|path| (path, true))) {
            let keys = read(path, |text| jwt_keys(text, is_set).map_err(Why::Jwt))?;
            let keys = match all.take() {
                None => Ok(keys),
                Some((others, _)) => JwtKeys::and(others, keys),
            };
            let keys = keys.map_err(|why| AuthorityError::new(path, Why::Jwt(why)))?;
            all = Some((keys, path));
        }
        let Some((mut keys, last)) = all else {
            return Ok(None);
        };
        if !self.algorithms.is_empty() {
            let some = keys.only(&self.algorithms);
            keys = some.map_err(|why| AuthorityError::new(last, Why::Jwt(why)))?;
        }
        Ok(Some(JwtVerifier::new(keys, self.policy.clone())))
    }

    /// The files.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        let files = self.tokens.iter().chain(&self.tickets);
        files
            .chain(&self.jwt_keys)
            .chain(&self.jwks)
            .map(PathBuf::as_path)
    }
}

/// Reads the keys of tickets.
pub(super) fn ticket_keys(path: &Path) -> Result<TicketKeys, AuthorityError> {
    read(path, |text| TicketKeys::parse(text).map_err(Why::Tickets))
}

/// A PEM file says that it is one; what else there is, is a secret, and its line's end no part of that.
fn jwt_keys(text: &str, is_set: bool) -> Result<JwtKeys, JwtKeysError> {
    if is_set {
        JwtKeys::from_jwks(text)
    } else if text.contains("-----BEGIN ") {
        JwtKeys::from_pem(text)
    } else {
        JwtKeys::hs256(text.trim_end_matches(['\r', '\n']).as_bytes())
    }
}

fn read<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T, Why>) -> Result<T, AuthorityError> {
    let text = fs::read_to_string(path).map_err(Why::Read);
    text.and_then(|text| parse(&text))
        .map_err(|why| AuthorityError::new(path, why))
}

impl Authorities {
    /// What `token` allows at `now`, in seconds since the Unix epoch.
    pub(crate) fn grant(&self, token: &Secret, now: u64) -> Result<Grant, Worthless> {
        if let Some(grant) = self.tokens.as_ref().and_then(|it| it.grant(token, now)) {
            return Ok(grant.clone());
        }
        let mut worthless = Worthless::Unknown;
        if let Some(tickets) = &self.tickets {
            match tickets.verify(token, now) {
                Ok(ticket) => return Ok(ticket.grant),
                // It is none, but perhaps something else.
                Err(TicketError::Malformed) => {}
                Err(why) => worthless = Worthless::Ticket(why),
            }
        }
        if let Some(jwt) = &self.jwt {
            match jwt.verify(token, now) {
                Ok(grant) => return Ok(grant),
                Err(JwtError::Malformed) => {}
                Err(why) => worthless = Worthless::Jwt(why),
            }
        }
        Err(worthless)
    }
}

impl fmt::Display for Worthless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("the token is unknown"),
            Self::Ticket(why) => why.fmt(f),
            Self::Jwt(why) => why.fmt(f),
        }
    }
}

impl AuthorityError {
    fn new(path: &Path, why: Why) -> Self {
        let path = path.to_owned();
        Self { path, why }
    }
}

impl fmt::Display for AuthorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.why {
            Why::Read(error) => error.fmt(f),
            Why::Tokens(error) => error.fmt(f),
            Why::Tickets(error) => error.fmt(f),
            Why::Jwt(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for AuthorityError {}
