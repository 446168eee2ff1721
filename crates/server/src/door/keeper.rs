//! [`Doorkeeper`]: the door in the hand of a worker's handler.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use wirefan_admission::{Client, Grant, MAX_TOKEN, Scheme, Secret};
use wirefan_eventloop::{Caller, Conn, ConnId, Message, Remote, Via};
use wirefan_protocol::handshake::{Reply, Request};

use super::guest::{Behind, Guest, Place};
use super::refusal::{Ending, Refusal};
use super::subrequest::Asked;
use super::{Arrival, Call, Door, Entry, Heard, Knock, Verdict, Visitor, unix_seconds};
use crate::subprotocol::Subprotocols;
use crate::visits;

/// Longest origin in the log.
const MAX_SHOWN: usize = 128;

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
        let peer = self.peer(caller);
        let client = self.door.proxies.client(peer, request.headers());
        let addr = match client.address == peer.to_canonical() {
            true => caller.addr,
            false => SocketAddr::new(client.address, client.port.unwrap_or(0)),
        };
        let id = caller.id;
        match self.decide(request, caller, (client, addr), call) {
            Ok(Some(entry)) => Knock::Enter(entry),
            Ok(None) => Knock::Asked,
            Err((refusal, detail)) => {
                let status = refusal.status();
                // It is ASCII, and as long as its sender likes.
                let origin = request.origin();
                let origin = origin.map(|it| it.get(..MAX_SHOWN).unwrap_or(it));
                tracing::info!(%addr, %id, status, origin, detail, "refused: {refusal}");
                Knock::Refused(refusal.reply())
            }
        }
    }

    /// Who may come in; `None` where another server is asked. A refusal may have a detail for the log.
    fn decide(
        &self,
        request: &Request<'_>,
        caller: Caller,
        (client, addr): (Client, SocketAddr),
        call: Call,
    ) -> Result<Option<Entry>, (Refusal, Option<String>)> {
        let door = &*self.door;
        let plainly = |refusal| (refusal, None);
        let host = self.host(request, &client);
        let (id, tls) = (caller.id, call.tls);
        let mut permit = None;
        if request.is_websocket() {
            permit = door.permit(&client).map_err(plainly)?;
            let scheme = match (client.by_proxy, tls) {
                (true, _) => client.scheme,
                (false, true) => Some(Scheme::Tls),
                // There may be a proxy with TLS that is not known.
                (false, false) => None,
            };
            let origin = door.origins.check(request.origin(), host, scheme);
            origin.map_err(|why| plainly(Refusal::Origin(why)))?;
        }
        let offered = door.sources.protocols(request.protocols());
        let arrival = Arrival {
            addr,
            peer: caller.addr,
            permit,
            call,
            protocol: self.subprotocols.choose(offered),
        };
        let Some(authorities) = door.authorities() else {
            return Ok(Some(arrival.enter_as(Guest::anyone)));
        };
        let found = door.sources.find(request.headers(), request.query());
        let token = found
            .map_err(|why| plainly(Refusal::Credential(why)))?
            .map(|presented| presented.token);
        let granted = token
            .as_ref()
            .map(|token| authorities.grant(token, unix_seconds()));
        if let Some(Ok(grant)) = &granted {
            return arrival.enter(id, grant).map(Some).map_err(plainly);
        }
        if let Some(subrequests) = &door.subrequests {
            let asked = Asked {
                id,
                request,
                client,
                host,
                tls,
                token,
            };
            return match subrequests.ask(&asked, arrival, self.remote.clone()) {
                true => Ok(None),
                false => Err(plainly(Refusal::Busy)),
            };
        }
        if let Some(Err(why)) = granted {
            return Err((Refusal::BadToken, Some(why.to_string())));
        }
        match door.in_message {
            Some(patience) if request.is_websocket() => {
                let place = Place::take(&door.waiting, door.max_waiting)
                    .ok_or_else(|| plainly(Refusal::TooManyUnauthenticated))?;
                let guest = |behind| Guest::waiting(behind, patience, place);
                Ok(Some(arrival.enter_as(guest)))
            }
            _ => Err(plainly(Refusal::NoToken)),
        }
    }

    /// What has become of a request that another server was asked about.
    pub(crate) fn settle(&self, verdict: Verdict) -> (ConnId, Result<Entry, Reply<'static>>) {
        let Verdict {
            id,
            arrival,
            answer,
        } = verdict;
        let addr = arrival.addr;
        let entry = answer.and_then(|grant| arrival.enter(id, &grant));
        let entry = entry.map_err(|refusal| {
            let status = refusal.status();
            tracing::info!(%addr, %id, status, "refused: {refusal}");
            refusal.reply()
        });
        (id, entry)
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
        let caller = visits::caller(conn);
        let peer = conn.peer();
        let Caller { id, addr, .. } = peer.guest().caller(caller);
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
        let Some(grant) = grant else {
            Ending::BadToken.close(conn, addr);
            return Heard::Kept;
        };
        let room = peer.room().map(str::to_owned);
        if !peer.guest_mut().be_granted(&grant, room.as_deref()) {
            Ending::Room.close(conn, addr);
            return Heard::Kept;
        }
        tell(id, addr, &grant);
        conn.clear_timer();
        self.look(conn);
        Heard::LetIn
    }

    /// A connection is open, or a timer is due: sets the next one, or closes the connection of somebody whose time is over.
    pub(crate) fn look<P: Visitor>(&self, conn: &mut Conn<'_, P>) {
        let caller = visits::caller(conn);
        let guest = conn.peer().guest();
        let addr = guest.caller(caller).addr;
        match guest.look(unix_seconds()) {
            Ok(None) => {}
            Ok(Some(after)) => conn.set_timer(after),
            Err(ending) => ending.close(conn, addr),
        }
    }

    /// Where the other end of the socket is. Who comes by a Unix socket is on this machine: that is as good as the loopback,
    /// if that is trusted.
    fn peer(&self, caller: Caller) -> IpAddr {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        match caller.via {
            Via::Unix if self.door.proxies.trusts(loopback) => loopback,
            _ => caller.addr.ip(),
        }
    }

    /// The host that the client has asked for: the last one that trusted proxies name, else the request's own.
    fn host<'a>(&self, request: &Request<'a>, client: &Client) -> Option<&'a str> {
        if !client.by_proxy || !self.door.forwarded_host {
            return request.host();
        }
        let named = request
            .headers()
            .filter(|(name, _)| name.eq_ignore_ascii_case("x-forwarded-host"))
            .last()
            .and_then(|(_, value)| str::from_utf8(value).ok())
            .and_then(|list| list.rsplit(',').next())
            .map(str::trim);
        named.or_else(|| request.host())
    }
}

impl Arrival {
    /// Lets somebody in with a grant, if the room is for them.
    fn enter(self, id: ConnId, grant: &Grant) -> Result<Entry, Refusal> {
        let (addr, members) = (self.addr, self.call.members);
        let room = self.call.room.clone();
        let mut entry = self.enter_as(Guest::anyone);
        let fits = entry.guest.be_granted(grant, room.as_deref());
        if !fits || (members && !entry.guest.reads()) {
            return Err(Refusal::Room);
        }
        if !members {
            tell(id, addr, grant);
        }
        Ok(entry)
    }

    fn enter_as(self, guest: impl FnOnce(Option<Behind>) -> Guest) -> Entry {
        Entry {
            guest: guest(Behind::a_proxy(self.addr, self.peer, self.permit)),
            call: self.call,
            protocol: self.protocol,
        }
    }
}

/// A line about somebody whose token is good.
fn tell(id: ConnId, addr: SocketAddr, grant: &Grant) {
    tracing::info!(%addr, %id, subject = grant.subject, expires = grant.expires, "let in");
}
