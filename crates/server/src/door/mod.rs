//! The door: who may come in, and what they may do inside. Handlers ask their [`Doorkeeper`] about requests, about messages,
//! and when a timer is due.

mod authorities;
mod guest;
pub(crate) mod issue;
pub(crate) mod options;
mod refusal;
mod subrequest;

use core::fmt;
use core::net::SocketAddr;
use core::sync::atomic::AtomicUsize;
use core::time::Duration;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use wirefan_admission::{
    Client, Grant, MAX_TOKEN, OriginPolicy, OriginPolicyError, Scheme, Secret, TokenSources,
    TrustedProxies,
};
use wirefan_eventloop::{Caller, Conn, ConnId, Message, Remote};
use wirefan_protocol::handshake::{Reply, Request};

use self::authorities::{Authorities, AuthorityError, AuthorityFiles};
pub(crate) use self::guest::Guest;
use self::guest::Place;
use self::options::DoorOptions;
use self::refusal::{Ending, Refusal};
use self::subrequest::{Asked, SubrequestError, Subrequests};
use crate::reload::Renew;
use crate::subprotocol::Subprotocols;
use crate::tls::Contents;
use crate::trusted_proxies::TrustedProxyOptions;

/// What decides, for all workers.
#[derive(Debug)]
pub(crate) struct Door {
    origins: OriginPolicy,
    proxies: TrustedProxies,
    /// Whether `X-Forwarded-Host` of those counts.
    forwarded_host: bool,
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
    addr: SocketAddr,
    call: Call,
    protocol: Option<String>,
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
            sources: options.sources(),
            in_message: options.in_message(),
            waiting: Arc::default(),
            max_waiting: options.max_unauthenticated(),
            authorities: guarded.then(|| RwLock::new(Arc::new(loaded.unwrap_or_default()))),
            subrequests,
        })
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

/// The door, as the handler of one worker has it.
#[derive(Clone, Debug)]
pub(crate) struct Doorkeeper {
    door: Arc<Door>,
    subprotocols: Subprotocols,
    /// The way back for decisions that take longer.
    remote: Remote<Verdict>,
}

impl Doorkeeper {
    pub(crate) fn new(
        door: Arc<Door>,
        subprotocols: Subprotocols,
        remote: Remote<Verdict>,
    ) -> Self {
        Self {
            door,
            subprotocols,
            remote,
        }
    }

    /// Decides on a request.
    pub(crate) fn knock(&self, request: &Request<'_>, caller: Caller, call: Call) -> Knock {
        let client = self.client(request, caller);
        let addr = match client.address == caller.addr.ip().to_canonical() {
            true => caller.addr,
            false => SocketAddr::new(client.address, client.port.unwrap_or(0)),
        };
        match self.decide(request, caller.id, (client, addr), call) {
            Ok(Some(entry)) => Knock::Enter(entry),
            Ok(None) => Knock::Asked,
            Err((refusal, detail)) => {
                let (status, origin) = (refusal.status(), request.origin());
                let id = caller.id;
                tracing::info!(%addr, %id, status, origin, detail, "refused: {refusal}");
                Knock::Refused(refusal.reply())
            }
        }
    }

    /// Who may come in; `None` where another server is asked. A refusal may have a detail for the log.
    fn decide(
        &self,
        request: &Request<'_>,
        id: ConnId,
        (client, addr): (Client, SocketAddr),
        call: Call,
    ) -> Result<Option<Entry>, (Refusal, Option<String>)> {
        let door = &*self.door;
        let host = self.host(request, &client);
        if request.is_websocket() {
            let scheme = match (client.by_proxy, call.tls) {
                (true, _) => client.scheme,
                (false, true) => Some(Scheme::Tls),
                // There may be a proxy with TLS that is not known.
                (false, false) => None,
            };
            let origin = door.origins.check(request.origin(), host, scheme);
            origin.map_err(|why| (Refusal::Origin(why), None))?;
        }
        let protocol = self
            .subprotocols
            .choose(door.sources.protocols(request.protocols()));
        let Some(authorities) = door.authorities() else {
            let guest = Guest::anyone(addr);
            return Ok(Some(Entry {
                guest,
                call,
                protocol,
            }));
        };
        let found = door.sources.find(request.headers(), request.query());
        let token = found
            .map_err(|why| (Refusal::Credential(why), None))?
            .map(|presented| presented.token);
        let granted = token
            .as_ref()
            .map(|token| authorities.grant(token, unix_seconds()));
        if let Some(Ok(grant)) = &granted {
            let entry = enter(id, addr, grant, call, protocol);
            return entry.map(Some).map_err(|refusal| (refusal, None));
        }
        if let Some(subrequests) = &door.subrequests {
            let asked = Asked {
                id,
                addr,
                request,
                client,
                host,
                tls: call.tls,
                token,
            };
            return match subrequests.ask(&asked, call, protocol, self.remote.clone()) {
                true => Ok(None),
                false => Err((Refusal::Busy, None)),
            };
        }
        if let Some(Err(why)) = granted {
            return Err((Refusal::BadToken, Some(why.to_string())));
        }
        match door.in_message {
            Some(patience) if request.is_websocket() => {
                let place = Place::take(&door.waiting, door.max_waiting)
                    .ok_or((Refusal::TooManyUnauthenticated, None))?;
                let guest = Guest::waiting(addr, patience, place);
                Ok(Some(Entry {
                    guest,
                    call,
                    protocol,
                }))
            }
            _ => Err((Refusal::NoToken, None)),
        }
    }

    /// What has become of a request that another server was asked about.
    pub(crate) fn settle(&self, verdict: Verdict) -> (ConnId, Result<Entry, Reply<'static>>) {
        let Verdict {
            id,
            addr,
            call,
            protocol,
            answer,
        } = verdict;
        let entry = answer.and_then(|grant| enter(id, addr, &grant, call, protocol));
        let entry = entry.map_err(|refusal| {
            let status = refusal.status();
            tracing::info!(%addr, %id, status, "refused: {refusal}");
            refusal.reply()
        });
        (id, entry)
    }

    /// A connection is open. Returns whether its peer is in, and does not have to say who they are.
    pub(crate) fn opened<P: Visitor>(&self, conn: &mut Conn<'_, P>) -> bool {
        self.look(conn);
        !conn.peer().guest().is_waiting()
    }

    /// Decides on a message.
    #[inline]
    pub(crate) fn hear<P: Visitor>(&self, conn: &mut Conn<'_, P>, message: Message<'_>) -> Heard {
        if conn.peer().guest().writes() {
            return Heard::Pass;
        }
        self.hear_doubtful(conn, message)
    }

    /// The message of somebody who may not send any, or not yet.
    #[cold]
    fn hear_doubtful<P: Visitor>(&self, conn: &mut Conn<'_, P>, message: Message<'_>) -> Heard {
        let id = conn.id();
        let peer = conn.peer();
        let addr = peer.guest().addr();
        if !peer.guest().is_waiting() {
            Ending::ReadOnly.close(conn, addr);
            return Heard::Kept;
        }
        let token = match message {
            Message::Text(text) if text.len() <= MAX_TOKEN => Some(Secret::new(text.trim())),
            _ => None,
        };
        let authorities = self.door.authorities();
        let grant = token
            .zip(authorities)
            .and_then(|(token, authorities)| authorities.grant(&token, unix_seconds()).ok());
        let guest = match &grant {
            None => Err(Ending::BadToken),
            Some(grant) => Guest::granted(addr, grant, peer.room()).ok_or(Ending::Room),
        };
        match (guest, grant) {
            (Ok(guest), Some(grant)) => {
                *peer.guest_mut() = guest;
                tell(id, addr, &grant);
                conn.clear_timer();
                self.look(conn);
                Heard::LetIn
            }
            (Err(ending), _) => {
                ending.close(conn, addr);
                Heard::Kept
            }
            (Ok(_), None) => Heard::Kept,
        }
    }

    /// A timer is due, or has to be set: closes the connection of somebody whose time is over.
    pub(crate) fn look<P: Visitor>(&self, conn: &mut Conn<'_, P>) {
        let guest = conn.peer().guest();
        let addr = guest.addr();
        match guest.look(unix_seconds()) {
            Ok(None) => {}
            Ok(Some(after)) => conn.set_timer(after),
            Err(ending) => ending.close(conn, addr),
        }
    }

    fn client(&self, request: &Request<'_>, caller: Caller) -> Client {
        let proxies = &self.door.proxies;
        proxies.client(caller.addr.ip(), request.headers())
    }

    /// The host that the client has asked for: the last one that trusted proxies name, else the request's own.
    fn host<'a>(&self, request: &Request<'a>, client: &Client) -> Option<&'a str> {
        let named = request
            .headers()
            .filter(|(name, _)| name.eq_ignore_ascii_case("x-forwarded-host"))
            .last()
            .filter(|_| client.by_proxy && self.door.forwarded_host)
            .and_then(|(_, value)| str::from_utf8(value).ok())
            .and_then(|list| list.rsplit(',').next())
            .map(str::trim);
        named.or_else(|| request.host())
    }
}

/// Lets somebody in with a grant, if the room is for them.
fn enter(
    id: ConnId,
    addr: SocketAddr,
    grant: &Grant,
    call: Call,
    protocol: Option<String>,
) -> Result<Entry, Refusal> {
    let room = call.room.as_deref();
    let guest = Guest::granted(addr, grant, room)
        .filter(|guest| guest.reads() || !call.members)
        .ok_or(Refusal::Room)?;
    if !call.members {
        tell(id, addr, grant);
    }
    Ok(Entry {
        guest,
        call,
        protocol,
    })
}

/// A line about somebody whose token is good.
fn tell(id: ConnId, addr: SocketAddr, grant: &Grant) {
    tracing::info!(%addr, %id, subject = grant.subject, expires = grant.expires, "let in");
}

/// The time that tokens are about.
fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}
