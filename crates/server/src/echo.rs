//! `wirefan echo`: every message goes back with its opcode.

use wirefan_eventloop::{Acceptance, Caller, CloseCause, Conn, Ctx, Decision, Handler, Message};
use wirefan_protocol::handshake::Request;

use crate::door::{Call, Doorkeeper, Entry, Guest, Heard, Knock, Verdict, Visitor};
use crate::static_files::StaticFiles;
use crate::visits::{Visit, Visits};
use crate::{page, visits};

#[derive(Clone, Debug)]
pub(crate) struct Echo {
    pub(crate) door: Doorkeeper,
    pub(crate) visits: Visits,
    pub(crate) files: Option<StaticFiles>,
}

/// Someone who hears themselves.
#[derive(Debug)]
pub(crate) struct Speaker {
    visit: Visit,
    guest: Guest,
}

impl Visitor for Speaker {
    fn guest(&self) -> &Guest {
        &self.guest
    }

    fn guest_mut(&mut self) -> &mut Guest {
        &mut self.guest
    }

    fn room(&self) -> Option<&str> {
        None
    }
}

impl Speaker {
    /// What is kept for any connection.
    pub(crate) fn visit(&self) -> &Visit {
        &self.visit
    }
}

impl Handler for Echo {
    type Peer = Speaker;
    type Note = Verdict;

    fn request(
        &mut self,
        request: &Request<'_>,
        caller: Caller,
        server: &mut Ctx<'_, Speaker>,
    ) -> Decision<Speaker> {
        let tls = server.tls(caller.id).is_some();
        if !request.is_websocket() {
            if let Some(files) = &mut self.files {
                return Decision::Answer(files.answer(request, caller));
            }
            return Decision::Answer(page::answer(request, || page::echo(request.host(), tls)));
        }
        let call = Call {
            room: None,
            members: false,
            tls,
        };
        match self.door.knock(request, caller, call) {
            Knock::Enter(entry) => Decision::Accept(admit(entry)),
            Knock::Refused(reply) => Decision::Answer(reply),
            Knock::Asked => Decision::Later,
        }
    }

    fn open(&mut self, conn: &mut Conn<'_, Speaker>) {
        let caller = visits::caller(conn);
        self.visits.begin(conn.peer().guest.caller(caller), None);
        self.door.look(conn);
    }

    fn message(&mut self, conn: &mut Conn<'_, Speaker>, message: Message<'_>) {
        if self.door.hear(conn, message) != Heard::Pass {
            return;
        }
        visits::trace(conn, message);
        conn.peer().visit.message();
        // Above the high mark the loop stops reading by itself, so that nothing is dropped here.
        let _ = conn.send(message);
    }

    fn timer(&mut self, conn: &mut Conn<'_, Speaker>) {
        self.door.look(conn);
    }

    fn note(&mut self, verdict: Verdict, server: &mut Ctx<'_, Speaker>) {
        let (id, outcome) = self.door.settle(verdict);
        match outcome {
            Ok(entry) => server.accept(id, admit(entry)),
            Err(reply) => server.answer(id, reply),
        };
    }

    fn closed(
        &mut self,
        speaker: Option<Speaker>,
        caller: Caller,
        cause: CloseCause,
        _: &mut Ctx<'_, Speaker>,
    ) {
        if let Some(files) = &mut self.files {
            files.closed(caller.id);
        }
        let who = speaker.as_ref().map(|speaker| speaker.guest.caller(caller));
        let visit = speaker.map(|speaker| speaker.visit);
        self.visits.end(visit, who.unwrap_or(caller), &cause);
    }
}

/// Opens the connection of somebody who may come in.
fn admit(entry: Entry) -> Acceptance<Speaker> {
    let mut acceptance = Acceptance::new(Speaker {
        visit: Visit::new(),
        guest: entry.guest,
    });
    acceptance.protocol = entry.protocol;
    acceptance
}
