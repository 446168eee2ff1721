//! `wirefan broadcast`: every message goes to the others in its room, unchanged. Nothing else ever enters a room.

use std::rc::Rc;

use wirefan_eventloop::{Acceptance, Caller, CloseCause, Conn, Ctx, Decision, Handler, Message};
use wirefan_protocol::handshake::{Reply, Request};

use crate::door::{Call, Doorkeeper, Entry, Guest, Heard, Knock, Verdict, Visitor};
use crate::static_files::StaticFiles;
use crate::visits::{Visit, Visits};
use crate::{page, room, visits};

#[derive(Clone, Debug)]
pub(crate) struct Broadcast {
    pub(crate) to_sender: bool,
    pub(crate) door: Doorkeeper,
    pub(crate) visits: Visits,
    pub(crate) files: Option<StaticFiles>,
}

/// Someone in a room, or before its door.
#[derive(Debug)]
pub(crate) struct Member {
    room: Rc<str>,
    visit: Visit,
    guest: Guest,
}

impl Visitor for Member {
    fn guest(&self) -> &Guest {
        &self.guest
    }

    fn guest_mut(&mut self) -> &mut Guest {
        &mut self.guest
    }

    fn room(&self) -> Option<&str> {
        Some(&self.room)
    }
}

impl Member {
    /// What is kept for any connection.
    pub(crate) fn visit(&self) -> &Visit {
        &self.visit
    }
}

impl Handler for Broadcast {
    type Peer = Member;
    type Note = Verdict;

    fn request(
        &mut self,
        request: &Request<'_>,
        caller: Caller,
        server: &mut Ctx<'_, Member>,
    ) -> Decision<Member> {
        if !request.is_websocket()
            && !page::asks_for_members(request)
            && let Some(files) = &mut self.files
        {
            return Decision::Answer(files.answer(request, caller));
        }
        let room = match room::of(request.path()) {
            Ok(room) => room,
            Err(why) => return Decision::Answer(Reply::text(why.status(), why.to_string())),
        };
        let members = !request.is_websocket() && page::asks_for_members(request);
        if !request.is_websocket() && !members {
            return Decision::Answer(page::answer(request, || {
                if room == page::ICON {
                    page::no_icon()
                } else {
                    page::chat(self.to_sender)
                }
            }));
        }
        let call = Call {
            room: Some(room),
            members,
            tls: server.tls(caller.id).is_some(),
        };
        match self.door.knock(request, caller, call) {
            Knock::Enter(entry) => admit(entry, server),
            Knock::Refused(reply) => Decision::Answer(reply),
            Knock::Asked => Decision::Later,
        }
    }

    fn open(&mut self, conn: &mut Conn<'_, Member>) {
        let caller = visits::caller(conn);
        let member = conn.peer();
        self.visits
            .begin(member.guest.caller(caller), Some(&member.room));
        self.door.look(conn);
        join(conn);
    }

    fn message(&mut self, conn: &mut Conn<'_, Member>, message: Message<'_>) {
        match self.door.hear(conn, message) {
            Heard::Pass => {}
            Heard::LetIn => return join(conn),
            Heard::Kept => return,
        }
        visits::trace(conn, message);
        let member = conn.peer();
        member.visit.message();
        let room = Rc::clone(&member.room);
        if self.to_sender {
            conn.publish_all(&room, message);
        } else {
            conn.publish(&room, message);
        }
    }

    fn timer(&mut self, conn: &mut Conn<'_, Member>) {
        self.door.look(conn);
    }

    fn note(&mut self, verdict: Verdict, server: &mut Ctx<'_, Member>) {
        let (id, outcome) = self.door.settle(verdict);
        match outcome.map_or_else(Decision::Answer, |entry| admit(entry, server)) {
            Decision::Accept(acceptance) => server.accept(id, acceptance),
            Decision::Answer(reply) => server.answer(id, reply),
            Decision::Later => false,
        };
    }

    fn closed(
        &mut self,
        member: Option<Member>,
        caller: Caller,
        cause: CloseCause,
        _: &mut Ctx<'_, Member>,
    ) {
        if let Some(files) = &mut self.files {
            files.closed(caller.id);
        }
        let who = member.as_ref().map(|member| member.guest.caller(caller));
        let visit = member.map(|member| member.visit);
        self.visits.end(visit, who.unwrap_or(caller), &cause);
    }
}

/// Opens the connection of somebody who may come in, or tells them how many there are.
fn admit(entry: Entry, server: &Ctx<'_, Member>) -> Decision<Member> {
    let room = entry.call.room.unwrap_or_default();
    if entry.call.members {
        return Decision::Answer(page::members(&room, server.members(&room)));
    }
    let mut acceptance = Acceptance::new(Member {
        room: room.into(),
        visit: Visit::new(),
        guest: entry.guest,
    });
    acceptance.protocol = entry.protocol;
    Decision::Accept(acceptance)
}

/// From now on what others say in the room is heard, by those who may.
fn join(conn: &mut Conn<'_, Member>) {
    let member = conn.peer();
    if member.guest.reads() {
        let room = Rc::clone(&member.room);
        conn.subscribe(&room);
    }
}
