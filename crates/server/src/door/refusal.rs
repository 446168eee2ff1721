//! [`Refusal`]: why somebody stays outside, as an HTTP answer; and [`Ending`]: why somebody has to go, as a Close. Each is
//! one reason for the client and one line of the log.

use core::fmt;
use core::net::SocketAddr;

use wirefan_admission::{AddressRefused, CredentialError, OriginRefused};
use wirefan_eventloop::Conn;
use wirefan_protocol::CloseCode;
use wirefan_protocol::handshake::Reply;

/// Like the 401 and the 403 of HTTP, in the range that is the application's own (RFC 6455 §7.4.2).
const UNAUTHORIZED: CloseCode = CloseCode(4401);
const FORBIDDEN: CloseCode = CloseCode(4403);

/// Why a request is not let in. What it says repeats nothing of what the client has sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    /// The client's address, as a trusted proxy told it, has had enough.
    Address(AddressRefused),
    Origin(OriginRefused),
    /// There is no telling which token is meant.
    Credential(CredentialError),
    NoToken,
    BadToken,
    Room,
    /// Too many wait for their first message.
    TooManyUnauthenticated,
    /// Too many wait for the server of `--auth-url`.
    Busy,
    /// The server of `--auth-url` says nothing that could be understood.
    Unchecked,
    /// It says no.
    Denied {
        status: u16,
        challenge: Option<String>,
    },
}

impl Refusal {
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Address(_) => 429,
            Self::Origin(_) | Self::Room => 403,
            Self::Credential(_) => 400,
            Self::NoToken | Self::BadToken => 401,
            Self::TooManyUnauthenticated | Self::Busy | Self::Unchecked => 503,
            Self::Denied { status, .. } => *status,
        }
    }

    /// The answer: the status, and the reason as its body.
    pub(crate) fn reply(&self) -> Reply<'static> {
        let status = self.status();
        let reply = Reply::text(status, format!("{self}\n")).header("Cache-Control", "no-store");
        match (status, self) {
            (
                _,
                Self::Denied {
                    challenge: Some(challenge),
                    ..
                },
            ) => reply.header("WWW-Authenticate", challenge.clone()),
            (_, Self::Address(why)) => {
                reply.header("Retry-After", why.retry_after_secs().to_string())
            }
            // RFC 9110 §15.5.2: a 401 says how it could be done.
            (401, _) => reply.header("WWW-Authenticate", "Bearer"),
            (503, _) => reply.header("Retry-After", "1"),
            _ => reply,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(why) => why.fmt(f),
            Self::Origin(why) => why.fmt(f),
            Self::Credential(why) => why.fmt(f),
            Self::NoToken => f.write_str("a token is needed here"),
            Self::BadToken => f.write_str("the token is not good here"),
            Self::Room => f.write_str("this room is not for you"),
            Self::TooManyUnauthenticated => f.write_str("too many wait to say who they are"),
            Self::Busy => f.write_str("too many wait to be let in"),
            Self::Unchecked => f.write_str("nobody can be let in at the moment"),
            Self::Denied { status: 403, .. } => f.write_str("you may not come in here"),
            Self::Denied { .. } => f.write_str("it takes credentials to come in here"),
        }
    }
}

/// Why a connection that is open is closed by the door.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// The first message did not come in time.
    NoToken,
    /// The first message is no token, or one that is worth nothing.
    BadToken,
    /// The token was good, and for other rooms.
    Room,
    /// The token's time is over.
    Expired,
    /// Something was sent to a room that may only be read.
    ReadOnly,
}

impl Ending {
    pub(crate) const fn code(self) -> CloseCode {
        match self {
            Self::NoToken | Self::BadToken | Self::Expired => UNAUTHORIZED,
            Self::Room => FORBIDDEN,
            Self::ReadOnly => CloseCode::POLICY,
        }
    }

    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::NoToken => "no token came in time",
            Self::BadToken => "the token is not good here",
            Self::Room => "this room is not for you",
            Self::Expired => "the token has expired",
            Self::ReadOnly => "you may not send to this room",
        }
    }

    /// Closes the connection of somebody at this address.
    pub(crate) fn close<P>(self, conn: &mut Conn<'_, P>, addr: SocketAddr) {
        let (code, reason) = (self.code(), self.reason());
        tracing::info!(%addr, id = %conn.id(), code = code.0, "shown out: {reason}");
        // It can only fail where the connection is being closed already.
        let _ = conn.close(code, reason);
    }
}
