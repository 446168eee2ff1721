//! `wirefan broadcast`: every message goes to the others in its room, unchanged. Nothing else ever enters a room.

use std::rc::Rc;

use wirefan_eventloop::{Acceptance, Caller, CloseCause, Conn, Ctx, Decision, Handler, Message};
use wirefan_protocol::handshake::{Reply, Request};

use crate::subprotocol::Subprotocols;
use crate::visits::{Visit, Visits};
use crate::{page, room, visits};

#[derive(Clone, Debug)]
pub(crate) struct Broadcast {
    pub(crate) to_sender: bool,
    pub(crate) subprotocols: Subprotocols,
    pub(crate) visits: Visits,
}

/// Someone in a room.
#[derive(Debug)]
pub(crate) struct Member {
    room: Rc<str>,
    visit: Visit,
}

impl Member {
    /// What is kept for any connection.
    pub(crate) fn visit(&self) -> &Visit {
        &self.visit
    }
}

impl Handler for Broadcast {
    type Peer = Member;
    type Note = ();

    fn request(
        &mut self,
        request: &Request<'_>,
        _: Caller,
        server: &mut Ctx<'_, Member>,
    ) -> Decision<Member> {
        let room = match room::of(request.path()) {
            Ok(room) => room,
            Err(why) => return Decision::Answer(Reply::text(why.status(), why.to_string())),
        };
        if !request.is_websocket() {
            return Decision::Answer(page::answer(request, || {
                if page::asks_for_members(request) {
                    page::members(&room, server.members(&room))
                } else if room == page::ICON {
                    page::no_icon()
                } else {
                    page::chat(self.to_sender)
                }
            }));
        }
        let mut acceptance = Acceptance::new(Member {
            room: room.into(),
            visit: Visit::new(),
        });
        acceptance.protocol = self.subprotocols.choose(request);
        Decision::Accept(acceptance)
    }

    fn open(&mut self, conn: &mut Conn<'_, Member>) {
        let room = Rc::clone(&conn.peer().room);
        self.visits.begin(visits::caller(conn), Some(&room));
        conn.subscribe(&room);
    }

    fn message(&mut self, conn: &mut Conn<'_, Member>, message: Message<'_>) {
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

    fn closed(
        &mut self,
        member: Option<Member>,
        caller: Caller,
        cause: CloseCause,
        _: &mut Ctx<'_, Member>,
    ) {
        self.visits
            .end(member.map(|member| member.visit), caller, &cause);
    }
}
