//! `wirefan echo`: every message goes back with its opcode.

use wirefan_eventloop::{Acceptance, Caller, CloseCause, Conn, Ctx, Decision, Handler, Message};
use wirefan_protocol::handshake::Request;

use crate::static_files::StaticFiles;
use crate::subprotocol::Subprotocols;
use crate::visits::{Visit, Visits};
use crate::{page, visits};

#[derive(Clone, Debug)]
pub(crate) struct Echo {
    pub(crate) subprotocols: Subprotocols,
    pub(crate) visits: Visits,
    pub(crate) files: Option<StaticFiles>,
}

impl Handler for Echo {
    type Peer = Visit;
    type Note = ();

    fn request(
        &mut self,
        request: &Request<'_>,
        caller: Caller,
        server: &mut Ctx<'_, Visit>,
    ) -> Decision<Visit> {
        if !request.is_websocket() {
            if let Some(files) = &mut self.files {
                return Decision::Answer(files.answer(request, caller));
            }
            let tls = server.tls(caller.id).is_some();
            return Decision::Answer(page::answer(request, || page::echo(request.host(), tls)));
        }
        let mut acceptance = Acceptance::new(Visit::new());
        acceptance.protocol = self.subprotocols.choose(request);
        Decision::Accept(acceptance)
    }

    fn open(&mut self, conn: &mut Conn<'_, Visit>) {
        self.visits.begin(visits::caller(conn), None);
    }

    fn message(&mut self, conn: &mut Conn<'_, Visit>, message: Message<'_>) {
        visits::trace(conn, message);
        conn.peer().message();
        // Above the high mark the loop stops reading by itself, so that nothing is dropped here.
        let _ = conn.send(message);
    }

    fn closed(
        &mut self,
        visit: Option<Visit>,
        caller: Caller,
        cause: CloseCause,
        _: &mut Ctx<'_, Visit>,
    ) {
        if let Some(files) = &mut self.files {
            files.closed(caller.id);
        }
        self.visits.end(visit, caller, &cause);
    }
}
