//! The door: who may come in, and what they may do inside. Handlers ask their [`Doorkeeper`] about requests, about messages,
//! and when a timer is due.

mod authorities;
mod guest;
pub(crate) mod issue;
mod keeper;
pub(crate) mod options;
mod refusal;
mod subrequest;

use core::fmt;
use core::net::SocketAddr;
use core::sync::atomic::AtomicUsize;
use core::time::Duration;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use wirefan_admission::{
    AddressLimits, Client, Grant, OriginPolicy, OriginPolicyError, PerAddress, Permit,
    TokenSources, TrustedProxies,
};
use wirefan_eventloop::ConnId;
use wirefan_protocol::Millis;
use wirefan_protocol::handshake::Reply;

use self::authorities::{Authorities, AuthorityError, AuthorityFiles};
pub(crate) use self::guest::Guest;
pub(crate) use self::keeper::Doorkeeper;
use self::options::DoorOptions;
use self::refusal::Refusal;
use self::subrequest::{SubrequestError, Subrequests};
use crate::reload::Renew;
use crate::tls::Contents;
use crate::trusted_proxies::TrustedProxyOptions;

/// What decides, for all workers.
#[derive(Debug)]
pub(crate) struct Door {
    origins: OriginPolicy,
    proxies: TrustedProxies,
    /// Whether `X-Forwarded-Host` of those counts.
    forwarded_host: bool,
    /// The clients behind those, where they are counted. Others the loop counts, before they have said a word.
    addresses: Option<PerAddress>,
    start: Instant,
    sources: TokenSources,
    /// How long a first message with the token is waited for, if one may be.
    in_message: Option<Duration>,
    waiting: Arc<AtomicUsize>,
    max_waiting: usize,
    /// `None`: nobody is asked who they are.
    authorities: Option<RwLock<Arc<Authorities>>>,
    subrequests: Option<Subrequests>,
}

/// Why there is no door.
#[derive(Debug)]
pub(crate) enum DoorError {
    Origins(OriginPolicyError),
    Authority(AuthorityError),
    Subrequests(SubrequestError),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The room, where there are rooms.
    pub(crate) room: Option<String>,
    /// Whether this is only about the number of its members.
    pub(crate) members: bool,
    pub(crate) tls: bool,
}

/// Somebody who has asked, before it is decided.
#[derive(Clone, Debug)]
struct Arrival {
    /// Where they are: behind trusted proxies, what those say.
    addr: SocketAddr,
    /// Where the connection comes from.
    peer: SocketAddr,
    permit: Option<Arc<Permit>>,
    call: Call,
    protocol: Option<String>,
}

/// Somebody who may come in.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) guest: Guest,
    pub(crate) call: Call,
    /// The subprotocol to agree on.
    pub(crate) protocol: Option<String>,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Knock {
    Enter(Entry),
    Refused(Reply<'static>),
    /// A [`Verdict`] will come as a note.
    Asked,
}

/// What the server of `--auth-url` has said about a request.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    id: ConnId,
    arrival: Arrival,
    answer: Result<Grant, Refusal>,
}

/// The peer of a connection, as far as the door is concerned.
pub(crate) trait Visitor {
    fn guest(&self) -> &Guest;
    fn guest_mut(&mut self) -> &mut Guest;
    /// Where they are, where there are rooms.
    fn room(&self) -> Option<&str>;
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Heard {
    /// It goes on.
    Pass,
    /// It was the token: whoever sent it is in now.
    LetIn,
    /// It is not for anybody; the connection is being closed.
    Kept,
}

impl Door {
    /// Reads the files that the options name, and starts the threads that they want.
    pub(crate) fn new(
        options: &DoorOptions,
        proxies: &TrustedProxyOptions,
        limits: AddressLimits,
    ) -> Result<Self, DoorError> {
        let origins = options.origins().map_err(DoorError::Origins)?;
        let files = options.files();
        let loaded = files.map(|files| files.load()).transpose();
        let loaded = loaded.map_err(DoorError::Authority)?;
        let subrequests = options
            .subrequest()
            .map(|(url, more)| Subrequests::start(url, more, !origins.is_any()))
            .transpose()
            .map_err(DoorError::Subrequests)?;
        let guarded = loaded.is_some() || subrequests.is_some();
        Ok(Self {
            origins,
            proxies: proxies.proxies(),
            forwarded_host: proxies.forwarded_host(),
            addresses: (limits != AddressLimits::default()).then(|| PerAddress::new(limits)),
            start: Instant::now(),
            sources: options.sources(),
            in_message: options.in_message(),
            waiting: Arc::default(),
            max_waiting: options.max_unauthenticated(),
            authorities: guarded.then(|| RwLock::new(Arc::new(loaded.unwrap_or_default()))),
            subrequests,
        })
    }

    /// Counts a client whom a trusted proxy has named.
    fn permit(&self, client: &Client) -> Result<Option<Arc<Permit>>, Refusal> {
        match &self.addresses {
            Some(addresses) if client.by_proxy && !self.proxies.trusts(client.address) => {
                let now = Millis(0).after(self.start.elapsed());
                let permit = addresses.admit(client.address, now);
                permit
                    .map(|it| Some(Arc::new(it)))
                    .map_err(Refusal::Address)
            }
            _ => Ok(None),
        }
    }

    /// What is worth something at the moment; `None`: nobody is asked who they are.
    fn authorities(&self) -> Option<Arc<Authorities>> {
        let lock = self.authorities.as_ref()?;
        Some(Arc::clone(
            &lock.read().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

impl fmt::Display for DoorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origins(error) => error.fmt(f),
            Self::Authority(error) => error.fmt(f),
            Self::Subrequests(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for DoorError {}

/// The files that say what tokens are worth, and the door that uses them.
impl Renew for (Arc<Door>, AuthorityFiles) {
    fn contents(&self) -> Contents {
        Contents::of(self.1.paths())
    }

    fn renew(&self, why: &str) {
        let (door, files) = self;
        let Some(lock) = &door.authorities else {
            return;
        };
        match files.load() {
            Ok(loaded) => {
                *lock.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
                tracing::info!("{why}: tokens and keys read again, for connections from now on");
            }
            Err(error) => tracing::error!("{why}: {error}; what was known before stays in use"),
        }
    }
}

/// The time that tokens are about.
fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        door: DoorOptions,
        #[command(flatten)]
        proxies: TrustedProxyOptions,
    }

    #[test]
    fn clients_behind_a_trusted_proxy_are_counted_and_others_are_not() {
        let options = Options::parse_from(["test", "--trusted-proxy", "10.0.0.0/8"]);
        let mut limits = AddressLimits::default();
        limits.connections = Some(1);
        let door = Door::new(&options.door, &options.proxies, limits).unwrap();
        let permit = |peer: &str, named: &str| {
            let headers = [("x-forwarded-for", named.as_bytes())];
            door.permit(&door.proxies.client(peer.parse().unwrap(), headers))
        };
        let first = permit("10.0.0.1", "192.0.2.7").unwrap();
        assert!(first.is_some());
        let second = permit("10.0.0.2", "192.0.2.7").unwrap_err();
        assert_eq!(second.status(), 429);
        assert!(permit("10.0.0.1", "192.0.2.8").unwrap().is_some());
        // The proxy itself, and those whom the loop has counted.
        assert!(permit("10.0.0.1", "").unwrap().is_none());
        assert!(permit("192.0.2.9", "192.0.2.7").unwrap().is_none());
        drop(first);
        assert!(permit("10.0.0.1", "192.0.2.7").is_ok());
    }
}
