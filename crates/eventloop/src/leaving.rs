//! The end of a worker: every connection is closed at its moment, what it was sent goes first, and a last moment bounds it
//! all. Called by the worker's turn.

use std::time::Duration;

use wirefan_protocol::handshake::Reply;
use wirefan_protocol::{CloseCode, Millis};

use crate::shutdown::{Departure, Shutdown};
use crate::slot::{Farewell, Slot, Stage};
use crate::worker::Worker;
use crate::{CloseCause, ConnId, Decision, Handler, jitter};

/// How long a shutdown waits for requests that have not come yet.
const LAST_REQUESTS: Duration = Duration::from_secs(1);

/// A shutdown that is under way.
#[derive(Debug)]
pub(crate) struct Leaving {
    how: Shutdown,
    /// The last moment of all.
    last: Millis,
    /// The last moment for requests that are still to come, until it is over.
    last_requests: Option<Millis>,
    /// Who is to be closed when, the next one last.
    moments: Vec<(Millis, ConnId)>,
}

impl Leaving {
    /// When there is something to do.
    pub(crate) fn next(&self) -> Millis {
        let moment = self.moments.last().map(|(moment, _)| *moment);
        moment
            .into_iter()
            .chain(self.last_requests)
            .fold(self.last, Millis::min)
    }
}

impl<H: Handler> Worker<H> {
    /// Begins a shutdown; another one takes the place of the first.
    pub(crate) fn shut_down(&mut self, how: Shutdown) {
        let now = self.core.now;
        self.core.leaving = true;
        // Nothing is opened any more, not even what has been accepted in this turn.
        let accepts = |decision: &Decision<H::Peer>| matches!(decision, Decision::Accept(_));
        self.core.decided.retain(|(_, decision)| !accepts(decision));
        let (mut moments, first) = (Vec::new(), self.leaving.is_none());
        for index in self.core.slots.indices() {
            let id = self.core.id(index);
            match self.core.slots.get(index).map(|slot| &slot.stage) {
                Some(Stage::Open(_)) => {
                    let part = (how.spread.as_millis() * u128::from(jitter::of(id))) >> u32::BITS;
                    let part = Duration::from_millis(u64::try_from(part).unwrap_or(u64::MAX));
                    moments.push((now.after(part), id));
                }
                Some(Stage::Held(_)) => {
                    let reply = Reply::text(503, "the server shuts down");
                    self.core.decided.push((index, Decision::Answer(reply)));
                }
                #[cfg(feature = "client")]
                Some(Stage::Dialling(_)) => self.core.end(index, CloseCause::Shutdown),
                Some(Stage::Draining) if first => {
                    if let Some(slot) = self.core.slots.get_mut(index) {
                        slot.flags.farewell = Farewell::Before;
                    }
                }
                _ => {}
            }
        }
        moments.sort_unstable_by(|one, other| other.cmp(one));
        self.leaving = Some(Leaving {
            last: now.after(how.spread.saturating_add(how.grace)),
            last_requests: Some(now.after(how.grace.min(LAST_REQUESTS))),
            moments,
            how,
        });
        self.close_due();
    }

    /// Closes those whose moment has come.
    fn close_due(&mut self) {
        let now = self.core.now;
        let Some(leaving) = &mut self.leaving else {
            return;
        };
        while let Some((_, id)) = leaving.moments.pop_if(|(moment, _)| *moment <= now) {
            let Some(index) = self.core.slots.find(id) else {
                continue;
            };
            let (code, reason) = (leaving.how.code, &*leaving.how.reason);
            let closed = self.core.close(index, code, reason, CloseCause::Shutdown);
            if closed.is_err() {
                // It has been closed already, or this code or reason may not be sent.
                let code = CloseCode::GOING_AWAY;
                let _ = self.core.close(index, code, "", CloseCause::Shutdown);
            }
        }
    }

    /// Does what is due of a shutdown.
    pub(crate) fn leave_in_time(&mut self) {
        self.close_due();
        let now = self.core.now;
        let Some(leaving) = &mut self.leaving else {
            return;
        };
        let (last, requests) = (leaving.last, leaving.last_requests);
        if requests.is_some_and(|last| last <= now) {
            leaving.last_requests = None;
            self.end_all(|stage| {
                matches!(
                    stage,
                    Stage::Proxied(_) | Stage::Handshake(_) | Stage::Held(_)
                )
            });
        }
        if last <= now {
            self.end_all(|_| true);
        }
    }

    /// Whether a connection that has not answered our Close in time is waited for nevertheless: it has not been sent it,
    /// for it still takes what lies before that. The last moment of the shutdown bounds it.
    pub(crate) fn waits_to_leave(&mut self, index: u32) -> bool {
        let (now, shuts) = (self.core.now, self.leaving.is_some());
        self.core.slots.get_mut(index).is_some_and(|slot| {
            let waits = shuts && slot.waits_to_write() && matches!(slot.stage, Stage::Open(_));
            if waits {
                slot.liveness.still_closing(now);
            }
            waits
        })
    }

    fn end_all(&mut self, which: impl Fn(&Stage) -> bool) {
        for index in self.core.slots.indices() {
            if let Some(slot) = self.core.slots.get_mut(index)
                && which(&slot.stage)
            {
                slot.flags.cut_off();
                self.core.end(index, CloseCause::Shutdown);
            }
        }
    }

    /// Counts how a connection went.
    pub(crate) fn count_departure(&self, slot: &Slot<H::Peer>) {
        if self.leaving.is_none() || slot.peer.is_none() {
            return;
        }
        self.draining.count(match slot.flags.farewell {
            Farewell::Before => return,
            Farewell::PeerClosed => Departure::Left,
            Farewell::Cut => Departure::Cut,
            Farewell::None => Departure::Lost,
        });
    }
}
