//! Only those with a token come in: it is in the `Authorization` header or, for browsers, which can set no headers, in the
//! query. Everyone else is answered with 401 before there is a connection.
//!
//! `cargo run --release -p wirefan-eventloop --example token_in_handshake`, then
//! `npx wscat -c ws://127.0.0.1:9001/ -H 'Authorization: Bearer ann-0123456789abcdef'`,
//! `python -m websockets 'ws://127.0.0.1:9001/?token=bob-0123456789abcdef'`, and for the answer to the others
//! `curl -i http://127.0.0.1:9001/`. Another address is the first argument.

use std::env;
use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use wirefan_admission::{TokenFile, TokenSources};
use wirefan_eventloop::{Caller, Conn, Ctx, Decision, Handler, Message, Server};
use wirefan_protocol::handshake::{Reply, Request};

/// In earnest this is a file, and the tokens are random: `openssl rand -hex 24`.
const TOKENS: &str = "ann-0123456789abcdef ann\nbob-0123456789abcdef bob\n";

#[derive(Clone)]
struct Doorkeeper {
    sources: TokenSources,
    tokens: TokenFile,
}

impl Handler for Doorkeeper {
    /// Who it is.
    type Peer = String;
    type Note = ();

    fn request(
        &mut self,
        request: &Request<'_>,
        _: Caller,
        _: &mut Ctx<'_, String>,
    ) -> Decision<String> {
        let found = match self.sources.find(request.headers(), request.query()) {
            Ok(found) => found,
            // Two tokens, for instance: there is no telling which is meant.
            Err(why) => return Decision::Answer(Reply::text(400, format!("{why}\n"))),
        };
        // Hashes are compared, in a time that tells nothing about the tokens.
        let grant = found.and_then(|found| self.tokens.grant(&found.token, unix_seconds()));
        match grant {
            Some(grant) => Decision::accept(grant.subject.clone()),
            None => {
                let reply = Reply::text(401, "a token is needed here\n");
                Decision::Answer(reply.header("WWW-Authenticate", "Bearer"))
            }
        }
    }

    fn open(&mut self, conn: &mut Conn<'_, String>) {
        let greeting = format!("hello {}", conn.peer());
        let _ = conn.send_text(&greeting);
    }

    fn message(&mut self, conn: &mut Conn<'_, String>, message: Message<'_>) {
        let _ = conn.send(message);
    }
}

/// Tokens may have an end.
fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

fn main() -> Result<(), Box<dyn Error>> {
    let doorkeeper = Doorkeeper {
        // What stands in a query is in the logs of proxies too: in earnest, a ticket that ends soon (`TicketKeys`).
        sources: "bearer, query:token".parse()?,
        tokens: TokenFile::parse(TOKENS)?,
    };
    let address = env::args().nth(1);
    let server = Server::builder()
        .listen(address.as_deref().unwrap_or("127.0.0.1:9001"))?
        .start(move |_| doorkeeper.clone())?;
    println!("for those with a token: ws://{}/", server.addrs()[0]);
    Ok(server.join()?)
}
