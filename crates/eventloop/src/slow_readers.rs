//! What is done where a socket refuses the messages of topics that have a policy: each waits by itself in the outbox, in a
//! form that nothing else depends on, and whoever is to be closed for that is. Called by the fan-out and by writing.

use std::rc::Rc;

use bytes::Bytes;
use wirefan_protocol::{CloseCode, SendError};

use crate::CloseCause;
use crate::outbox::Outbox;
use crate::policy::Rules;
use crate::slot::Slot;
use crate::state::{Core, NOBODY, OUT_HIGH};

impl<P> Core<P> {
    /// Has messages of a topic wait for a connection, as its policy allows. Returns the code with which the connection
    /// is to be closed, if it is.
    pub(crate) fn wait(
        &mut self,
        index: u32,
        rules: &Rc<Rules>,
        messages: impl Iterator<Item = (Bytes, u64)>,
    ) -> Option<CloseCode> {
        self.at_ease = NOBODY;
        self.write_deferred();
        let (limit, now) = (self.settings.backpressure.limit, self.now);
        let mut close = None;
        for (message, key) in messages {
            // A policy is for what the socket refuses: what might reach it is offered first.
            let outbox = self.slots.get(index)?.outbox.as_deref();
            let unoffered = outbox.map_or(Some(0), Outbox::unoffered);
            if unoffered.is_some_and(|waiting| waiting + message.len() > limit.min(OUT_HIGH)) {
                self.write_backlog(index);
            }
            let slot = self.slots.get_mut(index)?;
            let spares = &mut self.spares;
            let outbox = slot.outbox.get_or_insert_with(|| spares.take());
            if let Err(code) = outbox.push_of_topic(message, key, rules, now, limit) {
                close = Some(code);
                break;
            }
        }
        if let Some(slot) = self.slots.get_mut(index) {
            note_drops(slot);
        }
        self.queue(index, Bytes::new());
        self.weigh(index);
        if rules.policy.max_age.is_some() {
            self.arm(index);
        }
        close
    }

    /// Before a connection's backlog is written: what has waited for too long is not.
    pub(crate) fn expire_backlog(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index)
            && slot.open().is_some()
            && let Some(outbox) = &mut slot.outbox
        {
            if let Err(code) = outbox.expire(self.now) {
                self.slow.push((index, code));
            }
            note_drops(slot);
        }
    }

    /// Behind that: what the socket has refused falls under the policies.
    pub(crate) fn hold_backlog(&mut self, index: u32) {
        let limit = self.settings.backpressure.limit;
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        // Behind our Close nothing is added, and what was sent before it is not taken away.
        if slot.open().is_none() {
            return;
        }
        let Some(outbox) = &mut slot.outbox else {
            return;
        };
        if let Err(code) = outbox.hold_to_policies(limit) {
            self.slow.push((index, code));
        }
        note_drops(slot);
        if slot.aged().is_some() {
            self.arm(index);
        }
    }

    /// Closes those who are to be closed for what waits for them.
    pub(crate) fn close_slow_readers(&mut self) {
        for (index, code) in core::mem::take(&mut self.slow) {
            self.close_slow(index, code);
        }
    }

    /// With what a connection is to be closed that is about to be, but has not been yet. Until then nothing is written to
    /// it and nothing put behind what waits: that would come behind a gap.
    pub(crate) fn doomed(&mut self, index: u32) -> Option<CloseCode> {
        let slot = self.slots.get_mut(index)?;
        let code = slot.outbox.as_ref()?.doomed()?;
        slot.open().map(|_| code)
    }

    /// Closes a connection that reads too slowly. What waits for it and is not begun is discarded.
    pub(crate) fn close_slow(&mut self, index: u32, code: CloseCode) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        // It may have been closed meanwhile, and a Close wait for it.
        if slot.open().is_none() {
            return;
        }
        if let Some(outbox) = &mut slot.outbox {
            outbox.discard_unbegun();
        }
        if self.current == Some(index) {
            // With a backlog this is whole frames, none of them begun.
            self.out.truncate(self.own);
        }
        // What lanes hold for it comes behind that.
        self.leave_all(index);
        let reason = "reads too slowly";
        if let Err(SendError::InvalidCloseCode) =
            self.close(index, code, reason, CloseCause::SlowReader)
        {
            // It has lost messages: it may not stay for a code that nobody may send.
            let code = CloseCode::POLICY;
            let _ = self.close(index, code, reason, CloseCause::SlowReader);
        }
    }

    /// Messages for a connection are lost at the limit of its backlog.
    pub(crate) fn count_lost(&mut self, index: u32, messages: usize) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.dropped = slot.dropped.saturating_add(messages as u32);
        }
        self.topics
            .tally
            .count(|drops| drops.newest += messages as u64);
    }
}

fn note_drops<P>(slot: &mut Slot<P>) {
    let dropped = slot
        .outbox
        .as_mut()
        .map_or(0, |outbox| outbox.take_dropped());
    if dropped > 0 {
        slot.dropped = slot.dropped.saturating_add(dropped);
        slot.flags.owed_drained = true;
    }
}
