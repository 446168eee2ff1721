//! The steps of a dialled connection from its name to its first message, as part of a worker's turn. What the system has
//! to do is behind [`Outside`], so that a test can be that too.

use core::mem;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use wirefan_protocol::handshake::Answer;
use wirefan_protocol::{Connection, Input, Millis};

use super::body::Body;
use super::dialling::{Attempt, Connecting, Phase};
use super::errand::{Errand, Found, Letter, Outside};
use super::race::Race;
use super::{Dial, DialError, Dialling, Proxy, Response};
use crate::mailbox::Mailbox;
use crate::slot::{Slot, Stage, Standing};
use crate::slots::SlotToken;
use crate::state::Core;
use crate::transport::Transport;
use crate::worker::Worker;
use crate::{CloseCause, ConnId, Handler};

impl<P> Core<P> {
    /// Opens a connection, or begins to.
    pub(crate) fn dial(&mut self, dial: Dial, peer: P) -> ConnId {
        if self.leaving {
            // A handler that dials whenever something has ended would never come to its own end.
            return ConnId {
                worker: self.worker,
                slot: u32::MAX,
                generation: 0,
            };
        }
        let at_once = dial.delay.is_zero();
        let stage = Stage::Dialling(Box::new(Dialling::new(dial, self.now)));
        let unspecified = ([0, 0, 0, 0], 0).into();
        let mut slot = Slot::new(Transport::Unconnected, unspecified, stage, self.now);
        slot.standing = Standing::Dialled;
        slot.peer = Some(peer);
        let (index, _) = self.slots.insert(slot);
        if at_once {
            self.dialled.wanted.push(index);
        }
        self.arm(index);
        self.id(index)
    }

    /// What the handler keeps for a connection of this worker.
    pub(super) fn peer(&mut self, id: ConnId) -> Option<&mut P> {
        let index = self.slots.find(id)?;
        self.slots.get_mut(index)?.peer.as_mut()
    }

    pub(super) fn dialling(&mut self, index: u32) -> Option<&mut Dialling> {
        match &mut self.slots.get_mut(index)?.stage {
            Stage::Dialling(dialling) => Some(dialling),
            _ => None,
        }
    }

    /// There will be no connection.
    pub(super) fn fail_dial(&mut self, index: u32, why: DialError) {
        self.end(index, CloseCause::Dial(why));
    }

    /// The rest of a refusal is not waited for any longer.
    fn finish_refusal(&mut self, index: u32, refused: (Response, Body)) {
        let (mut response, body) = refused;
        response.set_body(body.into_bytes());
        self.fail_dial(index, DialError::Refused(Box::new(response)));
    }
}

impl<H: Handler> Worker<H> {
    /// The way back for what is done outside.
    pub(crate) fn mailbox(&self) -> Arc<Mailbox<H::Note>> {
        Arc::clone(&self.mailboxes[usize::from(self.core.worker)])
    }

    /// Does what dials want of the world.
    pub(crate) fn drive_dials(&mut self, outside: &mut impl Outside) {
        for index in mem::take(&mut self.core.dialled.wanted) {
            self.advance(index, outside);
            self.core.arm(index);
        }
    }

    fn advance(&mut self, index: u32, outside: &mut impl Outside) {
        self.tell_start(index);
        let (now, id) = (self.core.now, self.core.id(index));
        let shuts_down = self.leaving.is_some();
        let Some(slot) = self.core.slots.get_mut(index) else {
            return;
        };
        let Stage::Dialling(dialling) = &mut slot.stage else {
            return;
        };
        if slot.flags.ended {
            return;
        }
        if shuts_down {
            return self.core.end(index, CloseCause::Shutdown);
        }
        if let Phase::Delayed = dialling.phase
            && dialling.deadline <= now
        {
            dialling.deadline = now.after(dialling.dial.connect_timeout);
            match dialling.dial.known_hop() {
                Ok(Some((addr, proxy))) => self.connect_to(index, &[addr], proxy),
                Err(why) => return self.core.fail_dial(index, why),
                Ok(None) => {
                    dialling.phase = Phase::LookUp;
                    let dial = dialling.dial.clone();
                    return outside.look_up(id, Errand { dial });
                }
            }
        }
        let Some(Phase::Connecting(connecting)) = self.core.dialling(index).map(|it| &mut it.phase)
        else {
            return;
        };
        while let Some(addr) = connecting.race.start(now) {
            match outside.connect(addr, SlotToken::new(index, id.generation)) {
                Ok(socket) => connecting.attempts.push(Attempt { socket, addr }),
                Err(error) => connecting.failed(addr, error.kind(), now),
            }
        }
        if connecting.race.is_lost() {
            let why = connecting.failure.clone();
            self.core.fail_dial(index, why);
        }
    }

    /// The addresses are known. What cannot be asked for fails before anybody is.
    fn connect_to(&mut self, index: u32, addrs: &[SocketAddr], proxy: Option<Proxy>) {
        let (now, config) = (self.core.now, Arc::clone(&self.core.settings.protocol));
        let Some(dialling) = self.core.dialling(index) else {
            return;
        };
        dialling.proxy = proxy;
        match dialling.dial.handshake(&config) {
            Ok(_) => dialling.phase = Phase::Connecting(Connecting::new(addrs, now)),
            Err(why) => self.core.fail_dial(index, why),
        }
    }

    /// Tells the handler of a dial whose time has come.
    fn tell_start(&mut self, index: u32) {
        let now = self.core.now;
        if let Some(slot) = self.core.slots.get_mut(index)
            && !slot.flags.ended
            && self.leaving.is_none()
            && let Stage::Dialling(dialling) = &slot.stage
            && let Phase::Delayed = dialling.phase
            && dialling.deadline <= now
            && dialling.hops == 0
            && let Some(mut peer) = slot.peer.take()
        {
            self.handler.dialling(&mut peer);
            if let Some(slot) = self.core.slots.get_mut(index) {
                slot.peer = Some(peer);
            }
        }
    }

    /// Mail about dialling has come.
    pub(crate) fn open_letter(&mut self, letter: Letter) {
        let (id, found) = match letter {
            Letter::Dial(dial) => return dial(&mut self.core),
            Letter::Found(id, found) => (id, *found),
        };
        let Some(index) = self.core.slots.find(id) else {
            return;
        };
        let Some(dialling) = self.core.dialling(index) else {
            return;
        };
        if !matches!(dialling.phase, Phase::LookUp) {
            return;
        }
        match found {
            Ok(Found { dial, proxy, addrs }) => {
                dialling.dial = dial;
                self.connect_to(index, &addrs, proxy);
                self.core.dialled.wanted.push(index);
            }
            Err(why) => self.core.fail_dial(index, why),
        }
    }

    /// One of a dial's sockets is ready. Returns whether there is one to read from.
    pub(crate) fn dial_ready(&mut self, index: u32) -> bool {
        let now = self.core.now;
        let Some(dialling) = self.core.dialling(index) else {
            return false;
        };
        let Phase::Connecting(connecting) = &mut dialling.phase else {
            return !matches!(dialling.phase, Phase::Delayed | Phase::LookUp);
        };
        let Some(Attempt { socket, addr }) = connecting.winner(now) else {
            if connecting.race.is_lost() {
                let why = connecting.failure.clone();
                self.core.fail_dial(index, why);
            } else {
                self.core.dialled.wanted.push(index);
            }
            return false;
        };
        dialling.deadline = now.after(dialling.dial.handshake_timeout);
        if let Some(slot) = self.core.slots.get_mut(index) {
            slot.socket = socket;
            slot.addr = addr.into();
            slot.flags.readable = true;
        }
        self.begin(index);
        self.core.arm(index);
        true
    }

    /// Bytes have come on a connection that we open.
    pub(crate) fn dial_input(&mut self, index: u32, input: &mut Input<'_>) {
        let Some(dialling) = self.core.dialling(index) else {
            return;
        };
        let why = match &mut dialling.phase {
            Phase::Proxy(_) => return self.hear_proxy(index, input),
            Phase::Asking(handshake) => match handshake.next_response(input) {
                None => return,
                Some(Answer::Accepted(connection, response)) => {
                    let response = Response::of(&response);
                    return self.dial_opens(index, connection, response);
                }
                Some(Answer::Refused(refusal)) => {
                    let response = Response::of(&refusal);
                    let followed = dialling.dial.redirected(&response, dialling.hops);
                    if let Some(followed) = followed {
                        return self.follow(index, followed);
                    }
                    let mut body = Body::of(&response, dialling.dial.max_body);
                    body.add(refusal.body());
                    dialling.phase = Phase::Refused(Box::new((response, body)));
                    return self.end_refusal(index, false);
                }
                Some(Answer::Failed(why)) => DialError::BadResponse(why),
            },
            Phase::Refused(refused) => {
                refused
                    .1
                    .add(mem::replace(input, Input::new(&mut [])).into_rest());
                return self.end_refusal(index, false);
            }
            // Nobody has been asked yet.
            _ => DialError::BadResponse(
                wirefan_protocol::handshake::HeadError::InvalidStartLine.into(),
            ),
        };
        self.core.fail_dial(index, why);
    }

    /// Ends a dial whose refusal is complete, or as complete as it gets.
    fn end_refusal(&mut self, index: u32, anyway: bool) {
        if let Some(dialling) = self.core.dialling(index)
            && let Phase::Refused(refused) = &dialling.phase
            && (anyway || refused.1.is_complete())
            && let Phase::Refused(refused) = mem::replace(&mut dialling.phase, Phase::LookUp)
        {
            self.core.finish_refusal(index, *refused);
        }
    }

    fn dial_opens(&mut self, index: u32, connection: Connection, response: Response) {
        let now = self.core.now;
        let Some(slot) = self.core.slots.get_mut(index) else {
            return;
        };
        slot.stage = Stage::Open(connection);
        slot.liveness.opened(now);
        self.core.tally.dialled();
        self.core
            .dialled
            .responses
            .insert(index, Box::new(response));
        self.core.arm(index);
        self.with_conn(index, |handler, conn| handler.open(conn));
    }

    /// The server has ended its side of a connection that is not open.
    pub(crate) fn dial_at_end(&mut self, index: u32) {
        self.end_refusal(index, true);
        // The first cause counts.
        self.core.fail_dial(index, DialError::Ended);
    }

    /// A dial's time has come, or is over.
    pub(crate) fn dial_due(&mut self, index: u32) {
        let now = self.core.now;
        let Some(dialling) = self.core.dialling(index) else {
            return;
        };
        if dialling.deadline > now || matches!(dialling.phase, Phase::Delayed) {
            return self.core.dialled.wanted.push(index);
        }
        let overdue = dialling.overdue();
        self.end_refusal(index, true);
        self.core.fail_dial(index, DialError::Timeout(overdue));
    }
}

impl Connecting {
    fn new(addrs: &[SocketAddr], now: Millis) -> Self {
        Self {
            race: Race::new(addrs, now),
            attempts: Vec::new(),
            failure: DialError::Resolve("the name has none".into()),
        }
    }

    fn failed(&mut self, addr: SocketAddr, kind: io::ErrorKind, now: Millis) {
        self.failure = DialError::Connect { addr, kind };
        self.race.failed(now);
    }

    /// The first attempt that has connected; those that have failed are forgotten.
    fn winner(&mut self, now: Millis) -> Option<Attempt> {
        let mut place = 0;
        while let Some(attempt) = self.attempts.get_mut(place) {
            match attempt.socket.is_connected() {
                Ok(true) => return Some(self.attempts.swap_remove(place)),
                Ok(false) => place += 1,
                Err(error) => {
                    let attempt = self.attempts.remove(place);
                    self.failed(attempt.addr, error.kind(), now);
                }
            }
        }
        None
    }
}

/// What ended a dial that did not say so itself.
pub(crate) fn cause_of_dial(cause: CloseCause) -> CloseCause {
    match cause {
        CloseCause::Lost => CloseCause::Dial(DialError::Ended),
        CloseCause::Reset(kind) => CloseCause::Dial(DialError::Io(kind)),
        cause => cause,
    }
}
