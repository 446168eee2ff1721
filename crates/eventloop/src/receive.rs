//! From a socket to the handler: one read, the requests or messages in it, and what is answered to them.

use core::mem;
use std::io;

use wirefan_protocol::handshake::{
    Accept, AnswerError, Asked, BadRequest, HeadError, Reply, Request, ServerHandshake,
};
use wirefan_protocol::{Event, Input, State};

use crate::bulk::BULK;
use crate::slot::{Farewell, Held, Inbound, Stage};
use crate::state::{Core, OUT_HIGH};
use crate::traffic::Verdict;
use crate::worker::Worker;
use crate::{Acceptance, CloseCause, Conn, Ctx, Decision, Handler, Message, TlsFailure};

/// Lanes that pass this are brought to their members before the end of the turn.
const LANES_HIGH: usize = 1024 * 1024;

/// The answer where a plain request is accepted. RFC 9110 §15.5.22 wants Upgrade in it, and §7.8 has Connection name it.
const UPGRADE_REQUIRED: &[u8] = b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\nConnection: Upgrade, close\r\n\r\n";

impl<H: Handler> Worker<H> {
    /// Reads once from a connection, and has the handler see all of it.
    pub(crate) fn read(&mut self, index: u32) {
        self.read_once(index);
        self.core.age_deferred();
    }

    fn read_once(&mut self, index: u32) {
        let mut room = self.read_buffer.len();
        if self.core.settings.admission.metered {
            if self.take_up(index) {
                return;
            }
            room = self.core.metered_room(index, room);
        }
        let Some(slot) = self.core.slots.get_mut(index) else {
            return;
        };
        if !slot.wants_read() {
            return;
        }
        if (slot.flags.large || slot.lends()) && slot.socket.reads_in_pieces() {
            self.core.write_deferred();
            return self.read_large(index, room);
        }
        if let Stage::Proxied(_) = slot.stage {
            return self.read_proxy_header(index);
        }
        let result = slot.socket.read(&mut self.read_buffer[..room]);
        if let Some(len) = self.heard(index, result, room) {
            self.process(index, len);
            self.core.read_again(index);
        }
    }

    /// What a read of at most `room` bytes has brought; `None`: nothing for the handler.
    pub(crate) fn heard(
        &mut self,
        index: u32,
        result: io::Result<usize>,
        room: usize,
    ) -> Option<usize> {
        let slot = self.core.slots.get_mut(index)?;
        match result {
            Ok(0) => {
                slot.flags.inbound = Inbound::AtEnd;
                slot.flags.readable = false;
                self.end_of_input(index);
            }
            Ok(len) => {
                // Where a short read has emptied the socket, the next look would only cost a system call.
                let emptied = len < room
                    && slot.socket.short_read_drains()
                    && slot.flags.inbound == Inbound::Open;
                slot.flags.readable = !emptied;
                slot.flags.bulk = len >= BULK;
                slot.liveness.heard(self.core.now);
                self.core.tally.read += len as u64;
                return Some(len);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                slot.flags.readable = false;
                if slot.socket.take_heard() {
                    slot.liveness.heard(self.core.now);
                }
                #[cfg(all(feature = "client", feature = "tls"))]
                self.dial_waits(index);
            }
            Err(error) => match TlsFailure::of(&error) {
                Some(failure) => self.give_up_tls(index, failure.clone()),
                None => self.core.end(index, CloseCause::Reset(error.kind())),
            },
        }
        None
    }

    /// TLS has failed, and told the peer so. A reset behind that would overtake it: what still comes is read away.
    fn give_up_tls(&mut self, index: u32, failure: TlsFailure) {
        let Some(slot) = self.core.slots.get_mut(index) else {
            return;
        };
        slot.set_cause(match slot.stage {
            #[cfg(feature = "client")]
            Stage::Dialling(_) => CloseCause::Dial(crate::DialError::Tls(failure)),
            _ => CloseCause::Tls(failure),
        });
        slot.stage = Stage::Draining;
        slot.outbox = None;
        self.core.over(index);
        self.core.finish_if_done(index);
        self.core.read_again(index);
    }

    /// What follows from `len` bytes in the read buffer.
    pub(crate) fn process(&mut self, index: u32, len: usize) {
        let mut buffer = mem::take(&mut self.read_buffer);
        self.core.turn_to(Some(index));
        self.drive(index, Input::new(&mut buffer[..len]));
        self.read_buffer = buffer;
        if self.core.defer(index) {
            self.leave();
        } else {
            self.leave_call(index);
        }
    }

    /// Writes what a call or a read led to.
    pub(crate) fn leave_call(&mut self, index: u32) {
        self.core.flush_current();
        self.core.finish_if_done(index);
        self.leave();
    }

    fn leave(&mut self) {
        self.core.turn_to(None);
        if self.core.topics.pending >= LANES_HIGH {
            self.core.fan_out();
        }
    }

    /// Hands bytes that were kept, or that stood behind something else, to whatever the connection is by now.
    #[inline(never)]
    pub(crate) fn drive_aside(&mut self, index: u32, input: Input<'_>) {
        self.drive(index, input);
    }

    /// Hands `input` to whatever the connection is by now.
    #[inline(always)]
    fn drive(&mut self, index: u32, mut input: Input<'_>) {
        if let Some(slot) = self.core.slots.get_mut(index)
            && let Stage::Handshake(_) = slot.stage
            && let Stage::Handshake(handshake) = mem::replace(&mut slot.stage, Stage::Draining)
        {
            self.shake_hands(index, handshake, &mut input);
            self.core.out_head = self.core.own().len();
        }
        #[cfg(feature = "client")]
        if let Some(Stage::Dialling(_)) = self.core.slots.get(index).map(|slot| &slot.stage) {
            self.dial_input(index, &mut input);
        }
        self.open_and_receive(index, input);
    }

    /// Lets the messages of an open connection through; for others, keeps or discards the input.
    fn open_and_receive(&mut self, index: u32, input: Input<'_>) {
        match self.core.slots.get_mut(index).map(|slot| &mut slot.stage) {
            Some(Stage::Open(_)) => self.receive(index, input),
            Some(Stage::Held(held)) => held.rest.extend_from_slice(input.into_rest()),
            _ => {
                let _ = input.into_rest();
            }
        }
    }

    fn shake_hands(&mut self, index: u32, mut handshake: ServerHandshake, input: &mut Input<'_>) {
        let caller = self.core.caller(index);
        let Some(asked) = handshake.next_request(input, &mut self.core.out) else {
            if let Some(slot) = self.core.slots.get_mut(index) {
                slot.stage = Stage::Handshake(handshake);
            }
            return;
        };
        match asked {
            Asked::Failed(why) => {
                if let Some(slot) = self.core.slots.get_mut(index) {
                    slot.set_cause(match why {
                        BadRequest::Head(HeadError::Tls) => CloseCause::TlsOnPlainPort,
                        why => CloseCause::BadRequest(why),
                    });
                }
            }
            Asked::Request(request) => {
                let decision = if self.leaving.is_some() {
                    Decision::Answer(Reply::text(503, "the server shuts down"))
                } else {
                    self.handler.request(
                        &request,
                        caller,
                        &mut Ctx {
                            core: &mut self.core,
                        },
                    )
                };
                match decision {
                    Decision::Later => {
                        if let Some(slot) = self.core.slots.get_mut(index) {
                            let request = request.hold();
                            slot.stage = Stage::Held(Box::new(Held {
                                request,
                                rest: Vec::new(),
                            }));
                        }
                    }
                    Decision::Accept(acceptance) => self.accept(index, request, acceptance),
                    Decision::Answer(reply) => self.answer(index, request, &reply),
                }
            }
        }
    }

    /// Carries out a decision that was made later.
    pub(crate) fn decide(&mut self, index: u32, decision: Decision<H::Peer>) {
        let Some(slot) = self.core.slots.get_mut(index) else {
            return;
        };
        let mut held = match mem::replace(&mut slot.stage, Stage::Draining) {
            Stage::Held(held) => held,
            stage => {
                slot.stage = stage;
                return;
            }
        };
        self.core.turn_to(Some(index));
        let request = held.request.request();
        match decision {
            Decision::Accept(acceptance) => self.accept(index, request, acceptance),
            Decision::Answer(reply) => self.answer(index, request, &reply),
            Decision::Later => {}
        }
        self.core.out_head = self.core.own().len();
        self.open_and_receive(index, Input::new(&mut held.rest));
        self.leave_call(index);
        self.core.read_again(index);
    }

    fn accept(&mut self, index: u32, request: Request<'_>, acceptance: Acceptance<H::Peer>) {
        let headers: Vec<(&str, &str)> = acceptance
            .headers
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let accept = Accept {
            protocol: acceptance.protocol.as_deref(),
            headers: &headers,
        };
        match request.clone().accept(accept, &mut self.core.out) {
            Ok(connection) => {
                let Some(slot) = self.core.slots.get_mut(index) else {
                    return;
                };
                slot.stage = Stage::Open(connection);
                slot.peer = Some(acceptance.peer);
                slot.liveness.opened(self.core.now);
                self.core.tally.opened();
                self.count_open(index);
                self.core.arm(index);
                self.core.out_head = self.core.own().len();
                self.with_conn(index, |handler, conn| handler.open(conn));
            }
            Err(AnswerError::NotWebSocket) => {
                self.core.out.extend_from_slice(UPGRADE_REQUIRED);
                self.answered(index, 426);
            }
            Err(error) => {
                tracing::error!(id = %self.core.id(index), %error, "the handler's acceptance cannot be written");
                self.answer(index, request, &Reply::text(500, "internal error"));
            }
        }
    }

    fn answer(&mut self, index: u32, request: Request<'_>, reply: &Reply<'_>) {
        let mut status = reply.status();
        if let Err(error) = request.clone().respond(reply, &mut self.core.out) {
            tracing::error!(id = %self.core.id(index), %error, "the handler's answer cannot be written");
            status = 500;
            let _ = request.respond(&Reply::text(500, "internal error"), &mut self.core.out);
        }
        self.answered(index, status);
    }

    fn answered(&mut self, index: u32, status: u16) {
        if let Some(slot) = self.core.slots.get_mut(index) {
            slot.stage = Stage::Draining;
            slot.set_cause(CloseCause::Answered(status));
        }
    }

    /// Messages of an open connection.
    fn receive(&mut self, index: u32, mut input: Input<'_>) {
        let slot = self.core.slots.get_mut(index);
        let Some(mut peer) = slot.and_then(|slot| slot.peer.take()) else {
            let _ = input.into_rest();
            return;
        };
        let metered = self.core.settings.admission.metered;
        let (mut high, mut whole) = (OUT_HIGH, true);
        while let Some(slot) = self.core.slots.get_mut(index) {
            let Stage::Open(connection) = &mut slot.stage else {
                break;
            };
            let message = match connection.next_whole(&mut input) {
                // Nearly all messages lie whole in the read: nothing else has to be looked at.
                Some(Event::Text(text)) => Message::Text(text),
                Some(Event::Binary(data)) => Message::Binary(data),
                _ => {
                    whole = false;
                    let out = &mut self.core.out;
                    let Some(event) = connection.next_event(&mut input, &mut self.scratch, out)
                    else {
                        break;
                    };
                    match event {
                        Event::Text(text) => Message::Text(text),
                        Event::Binary(data) => Message::Binary(data),
                        other => {
                            aside(&mut self.handler, &mut self.core, index, &mut peer, other);
                            continue;
                        }
                    }
                }
            };
            // What comes behind our own Close is not for the handler.
            if connection.state() != State::Open || slot.flags.ended {
                continue;
            }
            slot.liveness.active(self.core.now);
            if metered {
                match self.core.count_message(index, message.parts().1.len()) {
                    Verdict::Pass => {}
                    Verdict::Last => high = 0,
                    Verdict::Gone => continue,
                }
            }
            self.core.tally.received = self.core.tally.received.wrapping_add(1);
            let mut conn = Conn {
                core: &mut self.core,
                slot: index,
                peer: &mut peer,
            };
            self.handler.message(&mut conn, message);
            if self.core.out.len() >= high {
                self.core.flush_current();
                // One look for both: most servers have no such limits.
                if high == 0 {
                    self.core.hold_rest(index, &mut input);
                    break;
                }
            }
            // Where all were whole there is nothing without input; otherwise the memory of another is to be given back.
            if whole && input.is_empty() {
                break;
            }
        }
        let _ = input.into_rest();
        if let Some(slot) = self.core.slots.get_mut(index) {
            slot.peer = Some(peer);
        }
    }

    /// The peer has ended its side of the transport.
    fn end_of_input(&mut self, index: u32) {
        let Some(slot) = self.core.slots.get_mut(index) else {
            return;
        };
        let lost = match &mut slot.stage {
            Stage::Open(connection) => {
                let lost = connection.end_of_input().is_some();
                if lost && slot.socket.was_cut() {
                    slot.set_cause(CloseCause::Tls(TlsFailure::Truncated));
                }
                lost
            }
            Stage::Proxied(_) | Stage::Handshake(_) | Stage::Held(_) => true,
            #[cfg(feature = "client")]
            Stage::Dialling(_) => return self.dial_at_end(index),
            // A client may end its side behind a request and still read the answer.
            Stage::Draining => slot.flags.shut,
        };
        if lost {
            self.core.end(index, CloseCause::Lost);
        } else {
            self.core.finish_if_done(index);
        }
    }

    /// Calls the handler with a connection in hand, from inside a call or a read of that connection.
    pub(crate) fn with_conn(
        &mut self,
        index: u32,
        call: impl FnOnce(&mut H, &mut Conn<'_, H::Peer>),
    ) {
        let slot = self.core.slots.get_mut(index);
        let Some(mut peer) = slot.and_then(|slot| slot.peer.take()) else {
            return;
        };
        let mut conn = Conn {
            core: &mut self.core,
            slot: index,
            peer: &mut peer,
        };
        call(&mut self.handler, &mut conn);
        if let Some(slot) = self.core.slots.get_mut(index) {
            slot.peer = Some(peer);
        }
    }
}

/// What follows from an event that is no message.
#[inline(never)]
fn aside<H: Handler>(
    handler: &mut H,
    core: &mut Core<H::Peer>,
    index: u32,
    peer: &mut H::Peer,
    event: Event<'_>,
) {
    let Some(slot) = core.slots.get_mut(index) else {
        return;
    };
    match event {
        Event::Pong(payload) => {
            if slot.open().is_some() && !slot.flags.ended {
                let rtt = core.measured(index, payload);
                let mut conn = Conn {
                    core: &mut *core,
                    slot: index,
                    peer,
                };
                handler.pong(&mut conn, payload, rtt);
            }
            // The next ping may be due before this answer would have been overdue.
            core.arm(index);
        }
        Event::Close(frame) => {
            slot.flags.farewell = Farewell::PeerClosed;
            slot.set_cause(CloseCause::PeerClosed {
                code: frame.map(|frame| frame.code),
                reason: frame.map_or("", |frame| frame.reason).into(),
            });
            core.over(index);
        }
        Event::Failed(error) => {
            slot.set_cause(CloseCause::Protocol(error));
            core.over(index);
        }
        Event::Ping(_) | Event::Text(_) | Event::Binary(_) => {}
    }
}
