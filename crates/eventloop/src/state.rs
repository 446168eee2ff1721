//! [`Core`]: what a worker has beside its handler, and what can be done with it from inside a call: sending, closing.
//! Topics are in `membership.rs`. Nothing here calls the handler.

use std::sync::Arc;

use wirefan_protocol::{CloseCode, Frame, Header, Kind, Millis, Role, SendError, SendScratch};

use crate::deferred::Deferred;
use crate::fan_out::FanOut;
use crate::guests::{Guests, Proxy};
use crate::mailbox::Post;
use crate::outbox::Spares;
use crate::peer_addr::PeerAddr;
use crate::round_trip::PingKey;
use crate::settings::{AtLimit, Settings};
use crate::slot::{Slot, Stage};
use crate::slots::Slots;
use crate::tally::Tally;
use crate::topics::Topics;
use crate::wheel::Wheel;
use crate::{Caller, CloseCause, ConnId, Decision, Sent, Via};

/// An output that passes this inside a call is written at once.
pub(crate) const OUT_HIGH: usize = 64 * 1024;
/// A payload from here on leaves from where it lies instead of being copied behind the others.
const DIRECT: usize = 16 * 1024;

/// No slot has this number: there is no memory for as many.
pub(crate) const NOBODY: u32 = u32::MAX;

#[derive(Debug)]
pub(crate) struct Core<P> {
    pub(crate) worker: u16,
    pub(crate) settings: Arc<Settings>,
    pub(crate) now: Millis,
    /// The microseconds of `now`, for round-trip times.
    pub(crate) micros: u16,
    pub(crate) ping_key: PingKey,
    pub(crate) slots: Slots<Slot<P>>,
    pub(crate) guests: Guests,
    pub(crate) topics: Topics,
    pub(crate) wheel: Wheel,
    /// The connection whose call or read this is; what it is sent is collected in `out`.
    pub(crate) current: Option<u32>,
    /// The same connection, if it was sent something and can be sent more without another look at it: it is open and
    /// without a backlog, and nothing is compressed for it. Whatever might change that sets this to [`NOBODY`].
    pub(crate) at_ease: u32,
    pub(crate) out: Vec<u8>,
    /// Where in `out` begins what the current connection is sent; before it stands what was put off.
    pub(crate) own: usize,
    pub(crate) deferred: Deferred,
    pub(crate) scratch: SendScratch,
    /// Bytes at the front of what the current connection is sent that are an HTTP answer and not frames.
    pub(crate) out_head: usize,
    /// To be written at the end of the turn.
    pub(crate) dirty: Vec<u32>,
    /// To be read again without being told.
    pub(crate) again: Vec<u32>,
    /// To be told that the backlog is low.
    pub(crate) drained: Vec<u32>,
    /// To be taken down.
    pub(crate) ended: Vec<u32>,
    /// A shutdown has begun: whoever takes what is sent before our Close has time for that until its last moment.
    pub(crate) leaving: bool,
    /// To be closed for what waits for them.
    pub(crate) slow: Vec<(u32, CloseCode)>,
    /// For the other workers, by worker.
    pub(crate) posts: Vec<Vec<Post>>,
    /// Connections that published to other workers in this turn.
    pub(crate) posters: Vec<u32>,
    /// Requests that were held and are decided now.
    pub(crate) decided: Vec<(u32, Decision<P>)>,
    pub(crate) tally: Tally,
    pub(crate) fan_out: FanOut,
    pub(crate) spares: Spares,
    #[cfg(feature = "client")]
    pub(crate) dialled: crate::client::Dialled,
}

impl<P> Core<P> {
    pub(crate) fn new(
        worker: u16,
        workers: usize,
        settings: Arc<Settings>,
        topics: Topics,
        tally: Tally,
        now: Millis,
    ) -> Self {
        Self {
            worker,
            settings,
            now,
            micros: 0,
            ping_key: PingKey::default(),
            slots: Slots::new(),
            guests: Guests::default(),
            topics,
            wheel: Wheel::new(now),
            current: None,
            at_ease: NOBODY,
            out: Vec::new(),
            own: 0,
            deferred: Deferred::default(),
            scratch: SendScratch::default(),
            out_head: 0,
            dirty: Vec::new(),
            again: Vec::new(),
            drained: Vec::new(),
            ended: Vec::new(),
            leaving: false,
            slow: Vec::new(),
            posts: (0..workers).map(|_| Vec::new()).collect(),
            posters: Vec::new(),
            decided: Vec::new(),
            tally,
            fan_out: FanOut::default(),
            spares: Spares::default(),
            #[cfg(feature = "client")]
            dialled: crate::client::Dialled::default(),
        }
    }

    /// A call or a read of a connection begins, or one ends.
    pub(crate) fn turn_to(&mut self, current: Option<u32>) {
        self.current = current;
        self.own = self.out.len();
        self.at_ease = NOBODY;
    }

    pub(crate) fn id(&self, slot: u32) -> ConnId {
        ConnId {
            worker: self.worker,
            slot,
            generation: self.slots.generation(slot),
        }
    }

    /// Who is at the other end of a connection.
    pub(crate) fn caller(&self, slot: u32) -> Caller {
        let unspecified = || ([0, 0, 0, 0], 0).into();
        let (id, known) = (self.id(slot), self.slots.get(slot));
        let via = match self.guests.get(slot).and_then(|guest| guest.proxy) {
            Some(Proxy(proxy)) => Via::Proxy(proxy.map(PeerAddr::get)),
            None if known.is_some_and(|slot| slot.socket.is_unix()) => Via::Unix,
            None => Via::Tcp,
        };
        let addr = known.map_or_else(unspecified, |slot| slot.addr.get());
        Caller { id, addr, via }
    }

    /// Sends a message to a connection.
    #[inline(always)]
    pub(crate) fn send(&mut self, index: u32, kind: Kind, payload: &[u8]) -> Sent {
        // The way of nearly every answer: it goes behind the others of this read, and nothing has to go before.
        if self.at_ease == index
            && self.topics.pending == 0
            && payload.len() < DIRECT
            && self.out.len() < OUT_HIGH
        {
            Header::of_message(kind, payload.len()).append_to(&mut self.out);
            self.out.extend_from_slice(payload);
            self.tally.sent = self.tally.sent.wrapping_add(1);
            return Sent::Queued;
        }
        self.send_first(index, kind, payload)
    }

    /// The same for the first answer to a read.
    #[inline(never)]
    fn send_first(&mut self, index: u32, kind: Kind, payload: &[u8]) -> Sent {
        if self.current == Some(index)
            && self.topics.pending == 0
            && payload.len() < DIRECT
            && let Some(slot) = self.slots.get_mut(index)
            && slot.outbox.is_none()
            && !slot.flags.ended
            && let Stage::Open(connection) = &mut slot.stage
            && !connection.compresses(payload.len())
        {
            if connection
                .send(kind, payload, &mut self.scratch, &mut self.out)
                .is_err()
            {
                return Sent::Dropped;
            }
            slot.liveness.active(self.now);
            if connection.agreed().deflate().is_none() && connection.role() == Role::Server {
                self.at_ease = index;
            }
            if self.out.len() < OUT_HIGH {
                self.tally.sent += 1;
                return Sent::Queued;
            }
            self.flush_current();
            return self.sent(index);
        }
        self.send_aside(index, kind, payload)
    }

    /// The same, whatever the circumstances.
    #[inline(never)]
    fn send_aside(&mut self, index: u32, kind: Kind, payload: &[u8]) -> Sent {
        if !self.has_room(index) {
            return Sent::Dropped;
        }
        let Some(slot) = self.slots.get_mut(index) else {
            return Sent::Dropped;
        };
        slot.liveness.active(self.now);
        let masks = slot.is_dialled();
        let Stage::Open(connection) = &mut slot.stage else {
            return Sent::Dropped;
        };
        let compresses =
            connection.compresses(payload.len()) && !self.topics.is_in_step(&slot.memberships);
        if masks || compresses {
            return self.send_changed(index, kind, payload);
        }
        let Ok(header) = connection.send_header(kind, payload.len()) else {
            return Sent::Dropped;
        };
        if self.current == Some(index) {
            if payload.len() >= DIRECT && slot.outbox.is_none() {
                self.write_through(index, &header, payload);
            } else {
                self.out.extend_from_slice(&header);
                self.out.extend_from_slice(payload);
                if self.out.len() >= OUT_HIGH {
                    self.flush_current();
                }
            }
        } else {
            self.queue(index, [&header[..], payload].concat().into());
        }
        self.sent(index)
    }

    /// Sends a message that the connection compresses or masks.
    fn send_changed(&mut self, index: u32, kind: Kind, payload: &[u8]) -> Sent {
        let Some(slot) = self.slots.get_mut(index) else {
            return Sent::Dropped;
        };
        let Some(connection) = slot.open() else {
            return Sent::Dropped;
        };
        let mut aside = Vec::new();
        let current = self.current == Some(index);
        let out = if current { &mut self.out } else { &mut aside };
        let before = out.len();
        if connection
            .send(kind, payload, &mut self.scratch, out)
            .is_err()
        {
            return Sent::Dropped;
        }
        self.tally.deflated.plain += payload.len() as u64;
        self.tally.deflated.compressed += (out.len() - before) as u64;
        if !current {
            self.queue(index, aside.into());
        } else if self.out.len() >= OUT_HIGH {
            self.flush_current();
        }
        self.sent(index)
    }

    /// Sends an encoded message, sharing its bytes.
    pub(crate) fn send_frame(&mut self, index: u32, frame: &Frame) -> Sent {
        if self.current == Some(index) {
            return self.send(index, frame.kind(), frame.payload());
        }
        if !self.has_room(index) {
            return Sent::Dropped;
        }
        let Some(slot) = self.slots.get_mut(index) else {
            return Sent::Dropped;
        };
        let in_step = self.topics.is_in_step(&slot.memberships);
        let bytes = match slot.open() {
            // A cohort's member is sent nothing else compressed.
            Some(_) if in_step => Ok(frame.bytes().clone()),
            Some(connection) => connection.send_frame(frame, &mut self.scratch),
            None => return Sent::Dropped,
        };
        let Ok(bytes) = bytes else {
            return Sent::Dropped;
        };
        slot.liveness.active(self.now);
        self.queue(index, bytes);
        self.sent(index)
    }

    /// Sends a ping.
    pub(crate) fn ping(&mut self, index: u32, payload: &[u8]) -> Result<(), SendError> {
        let mut frame = Vec::new();
        self.slots
            .get_mut(index)
            .and_then(Slot::open)
            .ok_or(SendError::AfterClose)?
            .send_ping(payload, &mut frame)?;
        self.emit(index, frame);
        Ok(())
    }

    /// Starts the closing handshake, behind all that was sent.
    pub(crate) fn close(
        &mut self,
        index: u32,
        code: CloseCode,
        reason: &str,
        cause: CloseCause,
    ) -> Result<(), SendError> {
        self.settle(index);
        if let Some(code) = self.doomed(index) {
            self.close_slow(index, code);
            return Err(SendError::AfterClose);
        }
        let mut frame = Vec::new();
        let slot = self.slots.get_mut(index).ok_or(SendError::AfterClose)?;
        #[cfg(feature = "client")]
        if let Stage::Dialling(_) = slot.stage {
            self.end(index, cause);
            return Ok(());
        }
        slot.open()
            .ok_or(SendError::AfterClose)?
            .close(code, reason, &mut frame)?;
        slot.set_cause(cause);
        slot.liveness.closing(self.now);
        self.at_ease = NOBODY;
        self.leave_all(index);
        self.emit(index, frame);
        // The peer's Close is awaited even if nothing else is.
        self.read_again(index);
        self.arm(index);
        Ok(())
    }

    /// Whether a message may be sent: the connection is open and its backlog below the limit. What was published to it
    /// before goes first.
    #[inline]
    fn has_room(&mut self, index: u32) -> bool {
        if self.topics.pending > 0 {
            self.settle(index);
        }
        let Some(slot) = self.slots.get_mut(index) else {
            return false;
        };
        if slot.flags.ended || slot.open().is_none() {
            return false;
        }
        let Some(outbox) = &slot.outbox else {
            return true;
        };
        if let Some(code) = outbox.doomed() {
            self.close_slow(index, code);
            return false;
        }
        let mut backlog = slot.backlog();
        if backlog > 0 && self.current == Some(index) {
            backlog += self.own().len();
        }
        if backlog >= self.settings.backpressure.limit.max(1) {
            self.count_lost(index, 1);
            self.refuse(index);
            return false;
        }
        true
    }

    /// What the backlog means after sending.
    #[inline]
    fn sent(&mut self, index: u32) -> Sent {
        self.tally.sent += 1;
        let queued = self
            .slots
            .get(index)
            .is_none_or(|slot| slot.outbox.is_none());
        if !queued && self.weigh(index) {
            Sent::Full
        } else {
            Sent::Queued
        }
    }

    /// Nothing more is sent to or expected from a connection.
    pub(crate) fn over(&mut self, index: u32) {
        self.at_ease = NOBODY;
        self.leave_all(index);
        if let Some(slot) = self.slots.get_mut(index) {
            slot.liveness.closing(self.now);
        }
        self.arm(index);
    }

    /// A message does not fit into the backlog any more.
    pub(crate) fn refuse(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        slot.flags.owed_drained = true;
        let AtLimit::Close(code) = self.settings.backpressure.at_limit else {
            return;
        };
        if let Some(code) = self.doomed(index) {
            // It has been counted.
            return self.close_slow(index, code);
        }
        self.topics.tally.count(|drops| drops.closed += 1);
        self.close_slow(index, code);
    }
}
