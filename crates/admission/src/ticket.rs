//! [`TicketKeys`]: short-lived signed tickets, for the query of a WebSocket's URL. Issued by whoever knows the user, checked for each
//! request.

use std::error;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::grant::MAX_SUBJECT;
use crate::{Grant, Rooms, Secret};

/// Longest ticket in bytes: it has to fit into a URL.
pub const MAX_TICKET: usize = 2048;
/// Shortest key in bytes (RFC 2104 §3: not below the length of the hash).
pub const MIN_KEY: usize = 32;
/// Most keys at a time.
pub const MAX_KEYS: usize = 8;
/// Longest nonce in bytes.
pub const MAX_NONCE: usize = 64;

/// What every ticket begins with: the version of its format.
const VERSION: &str = "t1.";

/// The keys that tickets are signed with: the first one signs, all of them are accepted.
///
/// A browser cannot set headers, and a lasting token does not belong into a URL, which ends up in logs. So a page asks its own back
/// end, which knows the user, for a ticket that is good for a minute, and opens `wss://host/room?ticket=TICKET`.
///
/// To change keys put the new one behind the old one everywhere, then before it, and drop the old one when its last ticket has
/// expired.
///
/// # Format
///
/// ```text
/// ticket  = "t1." payload "." mac
/// payload = base64url(expires LF subject LF read LF write LF nonce)
/// mac     = base64url(HMAC-SHA-256(key, "t1." payload))
/// ```
///
/// Base64url is that of RFC 4648 §5 without padding; `expires` is in decimal seconds since the Unix epoch; `subject` and `nonce`
/// have no control characters, and may be empty; `read` and `write` are [`Rooms`] with commas between them. In Python:
///
/// ```python
/// b64 = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
/// fields = f"{int(time.time()) + 60}\nalice\n/news,/team/*\n\n"
/// head = b"t1." + b64(fields.encode())
/// ticket = head + b"." + b64(hmac.digest(key, head, "sha256"))
/// ```
///
/// # Example
///
/// ```
/// use wirefan_admission::{Grant, Rooms, Secret, TicketError, TicketKeys};
///
/// let keys = TicketKeys::parse("0f7c1d...: 32 bytes at least, from openssl rand -hex 32")?;
/// let mut grant = Grant::new("alice");
/// grant.read = "/news".parse()?;
/// grant.expires = Some(1060);
/// let ticket = keys.issue(&grant, None)?;
///
/// assert_eq!(keys.verify(&ticket, 1000)?.grant, grant);
/// assert_eq!(keys.verify(&ticket, 1060), Err(TicketError::Expired));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TicketKeys(Vec<Hmac<Sha256>>);

/// What a ticket says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ticket {
    /// What its holder may do.
    pub grant: Grant,
    /// What makes it one of its kind, if it has that. Whoever wants a ticket to be good only once remembers the nonces until
    /// [`Grant::expires`].
    pub nonce: Option<String>,
}

impl TicketKeys {
    /// Takes keys, the one that signs first.
    ///
    /// # Errors
    ///
    /// [`KeyTooShort`](TicketKeysError::KeyTooShort), [`NoKey`](TicketKeysError::NoKey) and
    /// [`TooManyKeys`](TicketKeysError::TooManyKeys).
    pub fn new<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Result<Self, TicketKeysError> {
        let mut macs = Vec::new();
        for key in keys {
            let key = key.as_ref();
            if key.len() < MIN_KEY {
                return Err(TicketKeysError::KeyTooShort);
            }
            if macs.len() == MAX_KEYS {
                return Err(TicketKeysError::TooManyKeys);
            }
            macs.push(Hmac::new_from_slice(key).map_err(|_| TicketKeysError::KeyTooShort)?);
        }
        if macs.is_empty() {
            return Err(TicketKeysError::NoKey);
        }
        Ok(Self(macs))
    }

    /// Reads the text of a key file: a key in each line, whose bytes are used as they stand. `#` begins a comment line.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn parse(text: &str) -> Result<Self, TicketKeysError> {
        let lines = text.lines().map(str::trim);
        Self::new(lines.filter(|line| !line.is_empty() && !line.starts_with('#')))
    }

    /// Makes a ticket of `grant`, which has to [expire](Grant::expires): soon, if it goes into a URL.
    ///
    /// # Errors
    ///
    /// What cannot be written into a ticket.
    pub fn issue(&self, grant: &Grant, nonce: Option<&str>) -> Result<Secret, TicketIssueError> {
        let expires = grant.expires.ok_or(TicketIssueError::NeverExpires)?;
        if !is_subject(&grant.subject) {
            return Err(TicketIssueError::Subject);
        }
        if !grant.read.fit_a_list() || !grant.write.fit_a_list() {
            return Err(TicketIssueError::Rooms);
        }
        let nonce = nonce.unwrap_or_default();
        if !is_nonce(nonce) {
            return Err(TicketIssueError::Nonce);
        }
        let (subject, read, write) = (&grant.subject, &grant.read, &grant.write);
        let fields = format!("{expires}\n{subject}\n{read}\n{write}\n{nonce}");
        let head = format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(fields));
        let mac = self.0.first().ok_or(TicketIssueError::Key)?.clone();
        let mac = mac.chain_update(&head).finalize().into_bytes();
        let ticket = format!("{head}.{}", URL_SAFE_NO_PAD.encode(mac));
        if ticket.len() > MAX_TICKET {
            return Err(TicketIssueError::TooLong);
        }
        Ok(Secret::new(ticket))
    }

    /// What `ticket` says, if one of the keys has signed it and it has not expired at `now`, in seconds since the Unix epoch.
    ///
    /// # Errors
    ///
    /// Why it is worth nothing. Nothing inside of it is looked at before the signature is right.
    pub fn verify(&self, ticket: &Secret, now: u64) -> Result<Ticket, TicketError> {
        let ticket = ticket.expose();
        if ticket.len() > MAX_TICKET {
            return Err(TicketError::Malformed);
        }
        let (head, mac) = ticket.rsplit_once('.').ok_or(TicketError::Malformed)?;
        let payload = head.strip_prefix(VERSION).ok_or(TicketError::Malformed)?;
        let mac = decoded(mac)?;
        // The comparison takes the same time wherever they differ; which key it was is no secret.
        let is_signed = self.0.iter().any(|key| {
            let key = key.clone().chain_update(head);
            key.verify_slice(&mac).is_ok()
        });
        if !is_signed {
            return Err(TicketError::Signature);
        }
        let fields = String::from_utf8(decoded(payload)?).map_err(|_| TicketError::Malformed)?;
        let ticket = parse_fields(&fields).ok_or(TicketError::Malformed)?;
        if ticket.grant.is_valid(now) {
            Ok(ticket)
        } else {
            Err(TicketError::Expired)
        }
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketKeys({})", self.0.len())
    }
}

/// RFC 4648 §3.5: what encodes the same bytes another way is refused, so that there is one text for one ticket.
fn decoded(text: &str) -> Result<Vec<u8>, TicketError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| TicketError::Malformed)
}

fn parse_fields(fields: &str) -> Option<Ticket> {
    let mut lines = fields.split('\n');
    let mut next = || lines.next();
    let (expires, subject) = (next()?, next()?);
    let (read, write): (Rooms, Rooms) = (next()?.parse().ok()?, next()?.parse().ok()?);
    let nonce = next()?;
    let digits = !expires.is_empty() && expires.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || !is_subject(subject) || !is_nonce(nonce) || lines.next().is_some() {
        return None;
    }
    let mut grant = Grant::new(subject);
    (grant.read, grant.write) = (read, write);
    grant.expires = Some(expires.parse().ok()?);
    let nonce = (!nonce.is_empty()).then(|| nonce.to_owned());
    Some(Ticket { grant, nonce })
}

fn is_subject(text: &str) -> bool {
    text.len() <= MAX_SUBJECT && !text.contains(char::is_control)
}

fn is_nonce(text: &str) -> bool {
    text.len() <= MAX_NONCE && !text.contains(char::is_control)
}

/// Why a ticket is worth nothing. To be answered with 401, without saying which.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TicketError {
    /// It is none.
    Malformed,
    /// No key has signed it.
    Signature,
    /// It was one.
    Expired,
}

impl fmt::Display for TicketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the ticket is not valid",
            Self::Signature => "the ticket is not signed by a known key",
            Self::Expired => "the ticket has expired",
        })
    }
}

impl error::Error for TicketError {}

/// What cannot be made a ticket.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TicketIssueError {
    /// The grant does not expire.
    NeverExpires,
    /// The subject is too long or has control characters.
    Subject,
    /// A room has a comma or space in its name.
    Rooms,
    /// The nonce is longer than [`MAX_NONCE`] or has control characters.
    Nonce,
    /// All of it is longer than [`MAX_TICKET`].
    TooLong,
    /// There is no key.
    Key,
}

impl fmt::Display for TicketIssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeverExpires => "a ticket has to expire",
            Self::Subject => "the subject is too long or has a control character",
            Self::Rooms => "a room has a comma or space in its name",
            Self::Nonce => "the nonce is too long or has a control character",
            Self::TooLong => "the ticket is longer than 2048 bytes",
            Self::Key => "there is no key",
        })
    }
}

impl error::Error for TicketIssueError {}

/// What is wrong with keys.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TicketKeysError {
    /// There is none.
    NoKey,
    /// One is shorter than [`MIN_KEY`].
    KeyTooShort,
    /// There are more than [`MAX_KEYS`].
    TooManyKeys,
}

impl fmt::Display for TicketKeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => f.write_str("there is no key for tickets"),
            Self::KeyTooShort => write!(
                f,
                "a key for tickets has {MIN_KEY} bytes at least: openssl rand -hex 32 makes one"
            ),
            Self::TooManyKeys => write!(f, "there are more than {MAX_KEYS} keys for tickets"),
        }
    }
}

impl error::Error for TicketKeysError {}

#[cfg(test)]
mod tests;
