//! What a connection may send: messages counted against the rates of [`Limits`](crate::Limits), and those that have to wait
//! brought back when their time has come.

use core::mem;
use core::time::Duration;

use wirefan_admission::Traffic;
use wirefan_protocol::{CloseCode, Input};

use crate::limits::OverRate;
use crate::slot::{Holds, Slot};
use crate::state::Core;
use crate::worker::Worker;
use crate::{CloseCause, Handler};

/// The shortest wait: several messages at a time cost a turn, not each one.
const SHORTEST: Duration = Duration::from_millis(16);
/// The longest wait: then one message is read, whatever is owed, or it is noticed that the peer is gone.
const LONGEST: Duration = Duration::from_secs(30);
/// Most bytes read at once from a connection that may have to wait, for the rest of them waits in memory.
const AT_ONCE: usize = 16 * 1024;
/// TLS cannot hand out less than its records hold.
const AT_ONCE_TLS: usize = 128 * 1024;

/// What becomes of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict {
    /// The handler sees it.
    Pass,
    /// The handler sees it, and what stands behind it waits.
    Last,
    /// The handler does not see it.
    Gone,
}

impl<P> Core<P> {
    /// Whether a connection may have one more topic, or has this one already.
    pub(crate) fn may_subscribe(&self, index: u32, name: &str) -> bool {
        let Some(limit) = self.settings.admission.limits.topics else {
            return true;
        };
        let topics = self
            .slots
            .get(index)
            .map_or(0, |slot| slot.memberships.len());
        let known = || self.membership(index, self.topics.find(name)?);
        topics < limit || known().is_some()
    }

    /// How much may be read at once from a connection whose messages are counted.
    pub(crate) fn metered_room(&self, index: u32, room: usize) -> usize {
        if self.settings.admission.limits.over_rate != OverRate::Delay {
            return room;
        }
        let plain = (self.slots.get(index)).is_none_or(|slot| slot.socket.is_plain());
        room.min(if plain { AT_ONCE } else { AT_ONCE_TLS })
    }

    /// Counts a message of this length.
    #[inline(never)]
    pub(crate) fn count_message(&mut self, index: u32, len: usize) -> Verdict {
        let limits = &self.settings.admission.limits;
        let (now, over_rate, len) = (self.now, limits.over_rate, len as u64);
        let guest = self.guests.entry(index);
        let traffic = guest
            .traffic
            .get_or_insert_with(|| Traffic::new(&limits.traffic, now));
        match over_rate {
            OverRate::Drop if traffic.try_message(len, &limits.traffic, now) => Verdict::Pass,
            OverRate::Drop => Verdict::Gone,
            OverRate::Delay => match traffic.message(len, &limits.traffic, now) {
                Some(until) => {
                    guest.until = until.clamp(now.after(SHORTEST), now.after(LONGEST));
                    self.throttle(index);
                    Verdict::Last
                }
                None => Verdict::Pass,
            },
            OverRate::Close => {
                if traffic.message(len, &limits.traffic, now).is_none() {
                    return Verdict::Pass;
                }
                let reason = "more messages or bytes than allowed";
                let _ = self.close(index, CloseCode::POLICY, reason, CloseCause::TooFast);
                Verdict::Gone
            }
        }
    }

    fn throttle(&mut self, index: u32) {
        let generation = self.slots.generation(index);
        if let (Some(slot), Some(guest)) = (self.slots.get_mut(index), self.guests.get(index))
            && slot.flags.holds.add(Holds::THROTTLED)
        {
            self.guests.wait(guest.until, index, generation);
        }
    }

    /// Keeps what a connection that has to wait has sent beyond.
    pub(crate) fn hold_rest(&mut self, index: u32, input: &mut Input<'_>) {
        let rest = mem::replace(input, Input::new(&mut [])).into_rest();
        if let Some(slot) = self.slots.get_mut(index)
            && !rest.is_empty()
        {
            // There is something to read, whatever the socket says.
            slot.flags.readable = true;
            self.guests.entry(index).rest = rest.to_vec();
        }
    }
}

impl<H: Handler> Worker<H> {
    /// Lets those go on that have waited long enough.
    #[inline(never)]
    pub(crate) fn release_throttled(&mut self) {
        let now = self.core.now;
        while let Some((index, generation)) = self.core.guests.due(now) {
            let core = &mut self.core;
            if core.slots.generation(index) != generation {
                continue;
            }
            let until = core.guests.get(index).map_or(now, |guest| guest.until);
            if until > now {
                // More had come in the same read.
                core.guests.wait(until, index, generation);
                continue;
            }
            let Some(slot) = core.slots.get_mut(index) else {
                continue;
            };
            slot.flags.holds.remove(Holds::THROTTLED);
            core.read_again(index);
        }
    }

    /// Hands out what had to wait, before anything new is read; returns whether there was something.
    pub(crate) fn take_up(&mut self, index: u32) -> bool {
        if !(self.core.slots.get(index)).is_some_and(Slot::wants_read) {
            return false;
        }
        let guest = self.core.guests.get_mut(index);
        let Some(mut rest) = guest.map(|guest| mem::take(&mut guest.rest)) else {
            return false;
        };
        if rest.is_empty() {
            return false;
        }
        self.core.turn_to(Some(index));
        self.drive_aside(index, Input::new(&mut rest));
        self.leave_call(index);
        self.core.read_again(index);
        true
    }
}
