//! Whether somebody may come in is asked elsewhere, on a thread that may wait for its answer: a database, an HTTP server. The
//! worker goes on meanwhile, and decides when a note comes back.
//!
//! `cargo run --release -p wirefan-eventloop --example decide_later`, then
//! `npx wscat -c ws://127.0.0.1:9001/ -H 'Authorization: Bearer ann-0123456789abcdef'`. Another address is the first argument.

use std::env;
use std::error::Error;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use wirefan_admission::{Secret, TokenSources};
use wirefan_eventloop::{
    Acceptance, Caller, Conn, ConnId, Ctx, Decision, Handler, Message, Remote, Server,
};
use wirefan_protocol::handshake::{Reply, Request};

/// More than these wait for nobody: whoever comes then is told to come back.
const QUEUE: usize = 1000;

/// Who asks, and with what.
struct Question {
    id: ConnId,
    token: Secret,
}

/// Who it is, if anybody knows.
struct Answer {
    id: ConnId,
    name: Option<String>,
}

#[derive(Clone)]
struct Doorkeeper {
    sources: TokenSources,
    questions: SyncSender<Question>,
}

impl Handler for Doorkeeper {
    /// Who it is.
    type Peer = String;
    type Note = Answer;

    fn request(
        &mut self,
        request: &Request<'_>,
        caller: Caller,
        _: &mut Ctx<'_, String>,
    ) -> Decision<String> {
        let Ok(Some(found)) = self.sources.find(request.headers(), request.query()) else {
            return Decision::Answer(stranger());
        };
        let (id, token) = (caller.id, found.token);
        match self.questions.try_send(Question { id, token }) {
            // The time limit of the handshake goes on.
            Ok(()) => Decision::Later,
            Err(_) => {
                let reply = Reply::text(503, "too many wait to be let in\n");
                Decision::Answer(reply.header("Retry-After", "1"))
            }
        }
    }

    fn note(&mut self, answer: Answer, server: &mut Ctx<'_, String>) {
        // Nothing happens where nobody waits any more.
        match answer.name {
            Some(name) => server.accept(answer.id, Acceptance::new(name)),
            None => server.answer(answer.id, stranger()),
        };
    }

    fn open(&mut self, conn: &mut Conn<'_, String>) {
        let greeting = format!("hello {}", conn.peer());
        let _ = conn.send_text(&greeting);
    }

    fn message(&mut self, conn: &mut Conn<'_, String>, message: Message<'_>) {
        let _ = conn.send(message);
    }
}

fn stranger() -> Reply<'static> {
    let reply = Reply::text(401, "a token is needed here\n");
    reply.header("WWW-Authenticate", "Bearer")
}

/// In earnest there are several of these, each with a connection to whatever knows the answer, and with time limits.
fn answer(questions: &Receiver<Question>, remote: &Remote<Answer>) {
    for Question { id, token } in questions {
        let known = token == Secret::new("ann-0123456789abcdef");
        let name = known.then(|| "ann".to_owned());
        // The note goes to the worker that has asked. If its mailbox is full, the request runs into its time limit.
        let _ = remote.note(id.worker(), Answer { id, name });
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (ask, questions) = mpsc::sync_channel(QUEUE);
    let doorkeeper = Doorkeeper {
        sources: "bearer".parse()?,
        questions: ask,
    };
    let address = env::args().nth(1);
    let server = Server::builder()
        .listen(address.as_deref().unwrap_or("127.0.0.1:9001"))?
        .start(move |_| doorkeeper.clone())?;
    let remote = server.remote();
    thread::spawn(move || answer(&questions, &remote));
    println!("for those who are known: ws://{}/", server.addrs()[0]);
    Ok(server.join()?)
}
