//! New connections: who is let in, who is turned away and with which answer, and who is not even worth one.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use core::num::NonZeroU32;

use wirefan_admission::{AddressRefused, Bucket, Networks, Permit, Rate};
use wirefan_protocol::Millis;
use wirefan_protocol::handshake::ServerHandshake;

use crate::proxied::ProxyFailure;
use crate::slot::{Slot, Stage, Standing};
use crate::slots::SlotToken;
use crate::state::Core;
use crate::transport::Transport;
use crate::worker::Worker;
use crate::{CloseCause, Handler, jitter};

/// Connections over a limit that a worker keeps until they have read their answer.
const TURNED_AWAY: usize = 256;
/// How many a worker answers in a second, and at once.
const ANSWERS: Rate = match (NonZeroU32::new(256), NonZeroU32::new(512)) {
    (Some(per_second), Some(burst)) => Rate::new(per_second, burst),
    _ => panic!("not zero"),
};
/// How often the log tells of those who were not answered.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Why a connection is not let in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// There are too many in all.
    Connections,
    /// Too many are not open yet.
    Pending,
    /// Its address has had enough.
    Address(AddressRefused),
    /// It is none of the proxies that alone may come here.
    Untrusted,
}

impl Refusal {
    fn cause(self) -> CloseCause {
        match self {
            Self::Connections => CloseCause::TooManyConnections,
            Self::Pending => CloseCause::TooManyPending,
            Self::Address(AddressRefused::TooManyHandshakes { .. }) => {
                CloseCause::TooManyHandshakes
            }
            Self::Address(_) => CloseCause::TooManyFromAddress,
            Self::Untrusted => CloseCause::Proxy(ProxyFailure::Untrusted),
        }
    }

    /// What it is told, if anything.
    fn answer(self) -> Option<String> {
        let (status, after) = match self {
            Self::Connections => ("503 Service Unavailable", 5),
            Self::Pending => ("503 Service Unavailable", 1),
            // RFC 6585 §4.
            Self::Address(why) => ("429 Too Many Requests", why.retry_after_secs()),
            Self::Untrusted => return None,
        };
        Some(format!(
            "HTTP/1.1 {status}\r\nRetry-After: {after}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ))
    }
}

/// What a worker still does for those whom it does not let in.
#[derive(Debug)]
pub(crate) struct Refusals {
    /// Connections that wait for their answer to be read.
    waiting: usize,
    answers: Bucket,
    /// Closed without an answer, and not told yet; when that was last told.
    unanswered: usize,
    told: Option<Millis>,
}

impl Refusals {
    pub(crate) fn new(now: Millis) -> Self {
        Self {
            waiting: 0,
            answers: Bucket::new(ANSWERS, now),
            unanswered: 0,
            told: None,
        }
    }

    /// Whether there is time and room for one more answer, which counts then.
    fn may_answer(&mut self, now: Millis) -> bool {
        self.waiting < TURNED_AWAY && self.answers.take(1, ANSWERS, now).is_ok()
    }

    /// Notes one without an answer. The log is told of them together: it is no place to be flooded either.
    fn pass_over(&mut self, refusal: Refusal, now: Millis) {
        self.unanswered += 1;
        if self.told.is_none_or(|told| told.after(TOLD_EVERY) <= now) {
            let (connections, why) = (core::mem::take(&mut self.unanswered), refusal.cause());
            tracing::warn!(connections, "closed without an answer: {why}");
            self.told = Some(now);
        }
    }
}

impl<H: Handler> Worker<H> {
    /// Takes a new connection in, for which readiness is to be told with the token; `None`: there are far too many.
    /// `proxies`: who may tell whom it is from, and has to. Without an address it came on a Unix socket.
    pub(crate) fn admit(
        &mut self,
        socket: Transport,
        addr: Option<SocketAddr>,
        proxies: Option<&Networks>,
    ) -> Option<SlotToken> {
        let now = self.core.now;
        let (permit, refused) = match self.decide_on(addr, proxies) {
            Ok(permit) => (permit, None),
            Err(refusal) => (None, Some(refusal)),
        };
        if let Some(refusal) = refused
            && !self.refusals.may_answer(now)
        {
            self.refusals.pass_over(refusal, now);
            return None;
        }
        let stage = match proxies {
            Some(_) => Stage::Proxied(Box::default()),
            None => Stage::Handshake(ServerHandshake::new(Arc::clone(
                &self.core.settings.protocol,
            ))),
        };
        let shown = addr.unwrap_or_else(|| ([0, 0, 0, 0], 0).into());
        let (index, generation) = self.core.slots.insert(Slot::new(socket, shown, stage, now));
        let jitter = jitter::of(self.core.id(index));
        if let Some(slot) = self.core.slots.get_mut(index) {
            slot.liveness.set_jitter((jitter >> 16) as u16);
        }
        if permit.is_some() {
            self.core.guests.entry(index).permit = permit;
        }
        if let Some(refusal) = refused {
            self.turn_away_counted(index, refusal);
        }
        self.core.arm(index);
        Some(SlotToken::new(index, generation))
    }

    /// Counts a new connection, unless it may not come in; for its address too, if that is known and counts.
    fn decide_on(
        &self,
        addr: Option<SocketAddr>,
        proxies: Option<&Networks>,
    ) -> Result<Option<Permit>, Refusal> {
        let Some(addr) = addr.map(|addr| addr.ip()) else {
            return self.count().map(|()| None);
        };
        if proxies.is_some_and(|proxies| !proxies.contains(addr)) {
            return Err(Refusal::Untrusted);
        }
        self.count()?;
        let admission = &self.core.settings.admission;
        if let Some(addresses) = &admission.addresses
            && proxies.is_none()
            && !admission.limits.proxies.contains(addr)
        {
            let admitted = addresses.admit(addr, self.core.now);
            return admitted.map(Some).map_err(|why| {
                self.connections.fetch_sub(1, Ordering::SeqCst);
                admission.leave();
                Refusal::Address(why)
            });
        }
        Ok(None)
    }

    /// Counts one more connection, which is not open yet.
    fn count(&self) -> Result<(), Refusal> {
        let limit = self.core.settings.max_connections;
        self.connections
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |connections| {
                (connections < limit).then_some(connections + 1)
            })
            .map_err(|_| Refusal::Connections)?;
        if !self.core.settings.admission.enter() {
            self.connections.fetch_sub(1, Ordering::SeqCst);
            return Err(Refusal::Pending);
        }
        Ok(())
    }

    /// A connection is no longer among those where it was counted.
    pub(crate) fn uncount(&mut self, standing: Standing) {
        match standing {
            Standing::Pending => {
                self.connections.fetch_sub(1, Ordering::SeqCst);
                self.core.settings.admission.leave();
            }
            Standing::Open => {
                self.connections.fetch_sub(1, Ordering::SeqCst);
            }
            Standing::TurnedAway => self.refusals.waiting -= 1,
            Standing::Dialled => {}
        }
    }

    /// Turns a connection away that was let in, before it had said whom it is from.
    pub(crate) fn refuse(&mut self, index: u32, refusal: Refusal) {
        let now = self.core.now;
        let Some(slot) = self.core.slots.get_mut(index) else {
            return;
        };
        slot.set_cause(refusal.cause());
        if slot.socket.is_plain() && self.refusals.may_answer(now) {
            self.uncount(Standing::Pending);
            self.turn_away_counted(index, refusal);
        } else {
            self.core.end_as_known(index);
        }
    }

    fn turn_away_counted(&mut self, index: u32, refusal: Refusal) {
        if let Some(slot) = self.core.slots.get_mut(index) {
            slot.standing = Standing::TurnedAway;
            self.refusals.waiting += 1;
        }
        match refusal.answer() {
            Some(answer) => self.turn_away(index, answer.as_bytes(), refusal.cause()),
            None => self.core.end(index, refusal.cause()),
        }
    }

    /// A connection is open.
    pub(crate) fn count_open(&mut self, index: u32) {
        if let Some(slot) = self.core.slots.get_mut(index)
            && slot.standing == Standing::Pending
        {
            slot.standing = Standing::Open;
            self.core.settings.admission.leave();
        }
    }
}

impl<P> Core<P> {
    /// Counts a connection for another address from now on.
    pub(crate) fn count_as(&mut self, index: u32, addr: IpAddr) -> Result<(), AddressRefused> {
        let Some(addresses) = &self.settings.admission.addresses else {
            return Ok(());
        };
        let guest = self.guests.entry(index);
        // It does not count twice, whoever it was for.
        guest.permit = None;
        guest.permit = Some(addresses.admit(addr, self.now)?);
        Ok(())
    }
}
