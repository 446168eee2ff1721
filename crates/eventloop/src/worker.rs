//! [`Worker`]: one turn of the loop, without any operating system in it. Sockets, readiness, wake-ups and the time come
//! from outside, so that a test can be all of them.

use core::mem;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use wirefan_protocol::{CloseCode, Due, Millis, Overdue, RecvScratch};

use crate::admit::Refusals;
use crate::directory::Directory;
use crate::lane::Compression;
use crate::leaving::Leaving;
use crate::listener::Arrival;
use crate::mailbox::{Look, Mail, Mailbox, Post};
use crate::settings::Settings;
use crate::shutdown::Draining;
use crate::slot::{Holds, Inbound, Slot, Stage};
use crate::slots::SlotToken;
use crate::state::Core;
use crate::tally::{Board, Now, Tally};
use crate::topics::Topics;
use crate::wheel::Deadline;
use crate::{CloseCause, Ctx, Deflated, Handler, View};

/// The buffer that all connections of a worker are read into. Fewer and larger reads win at large messages.
const READ_BUFFER: usize = 512 * 1024;
/// For how many turns deadlines wait for sockets that are ready and have not been told: on a busy server there are always
/// some, but by then each has had its turn.
const PUT_OFF: u32 = 1000;

const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[derive(Debug)]
pub(crate) struct Worker<H: Handler> {
    pub(crate) handler: H,
    pub(crate) core: Core<H::Peer>,
    pub(crate) read_buffer: Vec<u8>,
    pub(crate) scratch: RecvScratch,
    /// A shutdown, once it has begun.
    pub(crate) leaving: Option<Leaving>,
    pub(crate) draining: Arc<Draining>,
    pub(crate) mailboxes: Arc<[Arc<Mailbox<H::Note>>]>,
    mail: Vec<Mail<H::Note>>,
    /// Connections that wait for another worker's mailbox.
    stalled: Vec<u32>,
    /// Connections that another worker accepted for this one.
    pub(crate) arrivals: Vec<Arrival>,
    expired: Vec<u32>,
    /// When other threads were last shown what was counted, and whether there was more since.
    tally_shown: Millis,
    tally_owed: bool,
    /// For how many turns deadlines have waited for sockets that may show a sign of life.
    put_off: u32,
    /// Connections on all workers.
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) refusals: Refusals,
}

/// What a worker shares with the others.
#[derive(Debug)]
pub(crate) struct Shared<N> {
    pub(crate) settings: Arc<Settings>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) mailboxes: Arc<[Arc<Mailbox<N>>]>,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) boards: Arc<[Board]>,
    pub(crate) draining: Arc<Draining>,
}

impl<N> Clone for Shared<N> {
    fn clone(&self) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            directory: Arc::clone(&self.directory),
            mailboxes: Arc::clone(&self.mailboxes),
            connections: Arc::clone(&self.connections),
            boards: Arc::clone(&self.boards),
            draining: Arc::clone(&self.draining),
        }
    }
}

/// What a socket is ready for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) token: SlotToken,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer has ended its side.
    pub(crate) read_closed: bool,
}

impl<H: Handler> Worker<H> {
    pub(crate) fn new(index: u16, handler: H, shared: Shared<H::Note>, now: Millis) -> Self {
        let compression = Compression::of(&shared.settings.protocol);
        let policies = shared.settings.policies.clone();
        let topics = Topics::new(index, shared.directory, compression, policies);
        let workers = shared.mailboxes.len();
        let tally = Tally::new(index, shared.boards);
        Self {
            handler,
            core: Core::new(index, workers, shared.settings, topics, tally, now),
            read_buffer: vec![0; READ_BUFFER],
            scratch: RecvScratch::default(),
            leaving: None,
            draining: shared.draining,
            mailboxes: shared.mailboxes,
            mail: Vec::new(),
            stalled: Vec::new(),
            arrivals: Vec::new(),
            expired: Vec::new(),
            tally_shown: Millis(u64::MAX),
            tally_owed: false,
            put_off: 0,
            connections: shared.connections,
            refusals: Refusals::new(now),
        }
    }

    /// A socket is ready.
    pub(crate) fn ready(&mut self, ready: Ready) {
        let Some(index) = self.core.slots.resolve(ready.token) else {
            return;
        };
        let Some(slot) = self.core.slots.get_mut(index) else {
            return;
        };
        slot.flags.readable |= ready.readable || ready.read_closed;
        if ready.read_closed && slot.flags.inbound == Inbound::Open {
            slot.flags.inbound = Inbound::Closed;
        }
        #[cfg(feature = "client")]
        if let Stage::Dialling(_) = slot.stage {
            if self.dial_ready(index) {
                self.core.write_backlog(index);
                self.read(index);
            }
            return;
        }
        let bulk = slot.flags.bulk;
        if ready.writable && (slot.waits_to_write() || slot.flags.owed_drained) {
            self.core.write_backlog(index);
            // What is sent to it from now on would come behind a gap.
            self.core.close_slow_readers();
        }
        if bulk {
            self.core.read_again(index);
        } else {
            self.read(index);
        }
    }

    /// All that a turn does behind the sockets that are ready. `deadlines`: no other socket is ready that could still
    /// show a sign of life.
    pub(crate) fn turn(&mut self, deadlines: bool) {
        if self.core.guests.next().is_some() {
            self.release_throttled();
        }
        self.read_on();
        self.core.write_deferred();
        if deadlines || self.put_off >= PUT_OFF {
            self.put_off = 0;
            self.expire();
        } else {
            self.put_off += 1;
        }
        // Once a turn: a handler that fills a fast socket again and again does not keep the others waiting.
        for index in mem::take(&mut self.core.drained) {
            if self.core.is_drained(index) {
                self.call(index, |handler, conn| handler.drained(conn));
            }
        }
        self.settle();
        self.post();
        // A busy worker has many turns a millisecond; what they count is shown with the first of the next one.
        self.tally_owed = self.tally_shown == self.core.now;
        if !self.tally_owed {
            self.tally_shown = self.core.now;
            self.publish_tally();
        }
    }

    /// Shows other threads what has been counted.
    fn publish_tally(&self) {
        let inflated = self.scratch.inflated();
        let drops = self.core.topics.tally.drops();
        self.core.tally.publish(Now {
            sockets: self.core.slots.len(),
            topics: self.core.topics.len(),
            backlog: self.core.spares.held(),
            dropped: [drops.newest, drops.oldest, drops.conflated, drops.expired],
            deflated: self.core.topics.deflated,
            inflated: Deflated {
                plain: inflated.plain,
                compressed: inflated.compressed,
            },
        });
    }

    /// Takes the mail out. To be called when the mailbox has woken the worker.
    pub(crate) fn open_mail(&mut self) {
        // It may hold much, and much to do.
        self.core.write_deferred();
        let mut mail = mem::take(&mut self.mail);
        let waiting = self.mailboxes[usize::from(self.core.worker)].take(&mut mail);
        for worker in waiting {
            self.mailboxes[usize::from(worker)].wake();
        }
        self.resume_stalled();
        for mail in mail.drain(..) {
            match mail {
                Mail::Post(Post::Publish { topic, frame, key }) => {
                    self.core.publish_here(&topic, &frame, key);
                }
                Mail::Post(Post::Send { to, frame }) => {
                    if let Some(index) = self.core.slots.find(to) {
                        let _ = self.core.send_frame(index, &frame);
                    }
                }
                Mail::Post(Post::Close { conn, code, reason }) => {
                    if let Some(index) = self.core.slots.find(conn) {
                        let cause = CloseCause::WeClosed { code };
                        let _ = self.core.close(index, code, &reason, cause);
                    }
                }
                Mail::Note(note) => self.handler.note(
                    note,
                    &mut Ctx {
                        core: &mut self.core,
                    },
                ),
                Mail::Inspect(Look(look)) => look(&View::of(&self.core)),
                Mail::Accepted(arrival) => self.arrivals.push(arrival),
                #[cfg(feature = "client")]
                Mail::Client(letter) => self.open_letter(letter),
                Mail::Shutdown(how) => self.shut_down(*how),
            }
        }
        self.mail = mail;
    }

    /// Reads again from connections that waited for a mailbox. Any mail may have woken us: that it has room is not said.
    fn resume_stalled(&mut self) {
        let worker = self.core.worker;
        if self.stalled.is_empty() || !self.mailboxes.iter().all(|mail| mail.has_room(worker)) {
            return;
        }
        for index in mem::take(&mut self.stalled) {
            if let Some(slot) = self.core.slots.get_mut(index) {
                slot.flags.holds.remove(Holds::STALLED);
            }
            self.core.read_again(index);
        }
    }

    /// When the next turn is due if nothing becomes ready; `None`: whenever that may be.
    pub(crate) fn next_turn(&self) -> Option<Millis> {
        if !self.core.again.is_empty() || !self.core.drained.is_empty() {
            return Some(self.core.now);
        }
        #[cfg(feature = "client")]
        if !self.core.dialled.wanted.is_empty() {
            return Some(self.core.now);
        }
        let leaving = self.leaving.as_ref().map(Leaving::next);
        let tally = self.tally_owed.then_some(Millis(self.core.now.0 + 1));
        let next = self.core.wheel.next().into_iter();
        let next = next.chain(leaving).chain(tally).min();
        match self.core.guests.next() {
            None => next,
            throttled => next.into_iter().chain(throttled).min(),
        }
    }

    /// Whether a shutdown is complete.
    pub(crate) fn is_done(&self) -> bool {
        self.leaving.is_some()
            && self.core.slots.len() == 0
            && self.mailboxes[usize::from(self.core.worker)].end()
    }

    /// Brings everything that was said and done to its end: topics, sockets, closings, and what follows from these.
    fn settle(&mut self) {
        loop {
            for (index, decision) in mem::take(&mut self.core.decided) {
                self.decide(index, decision);
            }
            self.core.fan_out();
            self.core.close_slow_readers();
            for index in mem::take(&mut self.core.dirty) {
                self.core.write_backlog(index);
            }
            self.core.close_slow_readers();
            for index in mem::take(&mut self.core.ended) {
                self.take_down(index);
            }
            let core = &self.core;
            let idle = core.decided.is_empty()
                && core.topics.busy.is_empty()
                && core.dirty.is_empty()
                && core.slow.is_empty()
                && core.ended.is_empty();
            if idle {
                return;
            }
        }
    }

    /// Hands the other workers what is for them.
    fn post(&mut self) {
        let mut over = false;
        for (mailbox, posts) in self.mailboxes.iter().zip(&mut self.core.posts) {
            if !posts.is_empty() {
                over |= !mailbox.deliver(self.core.worker, posts);
            }
        }
        for index in mem::take(&mut self.core.posters) {
            if over && let Some(slot) = self.core.slots.get_mut(index) {
                slot.flags.holds.add(Holds::STALLED);
                self.stalled.push(index);
            }
        }
    }

    fn expire(&mut self) {
        let now = self.core.now;
        let mut expired = mem::take(&mut self.expired);
        self.core.wheel.expired(now, &mut expired);
        for index in expired.drain(..) {
            self.expire_slot(index);
        }
        self.expired = expired;
        self.leave_in_time();
    }

    fn expire_slot(&mut self, index: u32) {
        let now = self.core.now;
        let Some(slot) = self.core.slots.get_mut(index) else {
            return;
        };
        if slot.armed.get() > now || slot.flags.ended {
            // An entry that a nearer deadline, or the end, has made void.
            return;
        }
        if slot.flags.again {
            // It waits for its turn: what it has sent may be the sign of life.
            self.read(index);
            self.core.write_deferred();
        }
        let slot = self.core.slots.get_mut(index);
        let Some(slot) = slot.filter(|slot| !slot.flags.ended) else {
            return;
        };
        slot.armed = Deadline::NEVER;
        #[cfg(feature = "client")]
        if let Stage::Dialling(_) = slot.stage {
            self.dial_due(index);
            return self.core.arm(index);
        }
        let timer = slot.timer.get() <= now;
        if timer {
            slot.timer = Deadline::NEVER;
        }
        if slot.aged().is_some_and(|aged| aged <= now) {
            self.core.write_backlog(index);
        }
        let Some(slot) = self.core.slots.get_mut(index) else {
            return;
        };
        // What we chose not to read may hold the sign of life.
        if slot.flags.readable && slot.flags.holds.any_but(Holds::CHOKED) {
            slot.liveness.heard(now);
        }
        let due = slot
            .liveness
            .handle_timeout(now, &self.core.settings.timeouts);
        if timer && slot.open().is_some() {
            self.call(index, |handler, conn| handler.timer(conn));
        }
        match due {
            Some(Due::Ping) => {
                // Quiet for so long, it can do without a compressor of its own.
                if let Some(connection) = self.core.slots.get_mut(index).and_then(Slot::open) {
                    connection.release_compressor();
                }
                let _ = self.core.measure(index);
            }
            Some(Due::GiveUp(overdue)) => self.give_up(index, overdue),
            None => {}
        }
        self.core.arm(index);
    }

    fn give_up(&mut self, index: u32, overdue: Overdue) {
        let cause = CloseCause::Timeout(overdue);
        let stage = self.core.slots.get(index).map(|slot| &slot.stage);
        match overdue {
            // It has its answer and does not read it: one more would only lie behind.
            Overdue::Handshake if matches!(stage, Some(Stage::Draining)) => {
                self.core.end(index, cause);
            }
            // Who has not told whom it is from speaks no HTTP yet.
            Overdue::Handshake if matches!(stage, Some(Stage::Proxied(_))) => {
                self.core.end(index, cause);
            }
            Overdue::Handshake => self.turn_away(index, REQUEST_TIMEOUT, cause),
            Overdue::Idle => {
                let _ = self.core.close(
                    index,
                    CloseCode::GOING_AWAY,
                    "no message for too long",
                    cause,
                );
            }
            Overdue::Lifetime => {
                let code = self.core.settings.lifetime_code;
                let _ = self
                    .core
                    .close(index, code, "time for a new connection", cause);
            }
            Overdue::Pong => {
                let reason = "no sign of life after a ping";
                let _ = self.core.close(index, CloseCode::POLICY, reason, cause);
                self.core.write_backlog(index);
                self.core.end_as_known(index);
            }
            Overdue::Close if self.waits_to_leave(index) => {}
            Overdue::Close => {
                if let Some(slot) = self.core.slots.get_mut(index) {
                    slot.flags.cut_off();
                }
                self.core.end(index, cause);
            }
        }
    }

    /// Answers a connection that has no request with a few bytes of HTTP.
    pub(crate) fn turn_away(&mut self, index: u32, answer: &[u8], cause: CloseCause) {
        let Some(slot) = self.core.slots.get_mut(index) else {
            return;
        };
        slot.stage = Stage::Draining;
        slot.set_cause(cause);
        self.core.turn_to(Some(index));
        self.core.out.extend_from_slice(answer);
        self.core.out_head = answer.len();
        self.leave_call(index);
    }

    /// A call with a connection in hand, outside of any read.
    fn call(&mut self, index: u32, call: impl FnOnce(&mut H, &mut crate::Conn<'_, H::Peer>)) {
        self.core.turn_to(Some(index));
        self.with_conn(index, call);
        self.leave_call(index);
    }

    /// The end of a connection: the only place where one is forgotten, and where the handler is told.
    fn take_down(&mut self, index: u32) {
        let caller = self.core.caller(index);
        self.core.leave_all(index);
        let Some(slot) = self.core.slots.remove(index) else {
            return;
        };
        self.count_departure(&slot);
        slot.socket.leave();
        let cause = slot.cause.map_or(CloseCause::Lost, |cause| *cause);
        #[cfg(feature = "client")]
        let cause = match slot.stage {
            Stage::Dialling(_) => crate::client::cause_of_dial(cause),
            _ => cause,
        };
        let was_open = slot.peer.is_some();
        #[cfg(feature = "client")]
        let was_open = match slot.standing {
            crate::slot::Standing::Dialled => self.core.dialled.responses.remove(&index).is_some(),
            _ => was_open,
        };
        self.core.tally.ended(was_open, &cause);
        self.core.guests.remove(index);
        self.uncount(slot.standing);
        self.handler.closed(
            slot.peer,
            caller,
            cause,
            &mut Ctx {
                core: &mut self.core,
            },
        );
    }
}
