//! Anyone may connect, but the first message has to be a token, and soon: otherwise the connection is closed with 4401.
//!
//! `cargo run --release -p wirefan-eventloop --example token_in_first_message`, then `npx wscat -c ws://127.0.0.1:9001/`
//! and type `ann-0123456789abcdef` within five seconds. Another address is the first argument, another time limit in
//! milliseconds the second.

use std::env;
use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wirefan_admission::{Secret, TokenFile};
use wirefan_eventloop::{Caller, Conn, Ctx, Decision, Handler, Message, Server};
use wirefan_protocol::CloseCode;
use wirefan_protocol::handshake::Request;

/// In earnest this is a file, and the tokens are random: `openssl rand -hex 24`.
const TOKENS: &str = "ann-0123456789abcdef ann\nbob-0123456789abcdef bob\n";

/// 4000 to 4999 are the application's own (RFC 6455 §7.4.2); this one is like the 401 of HTTP. Clients that reconnect by
/// themselves should not after this one.
const UNAUTHORIZED: CloseCode = CloseCode(4401);

#[derive(Clone)]
struct Doorkeeper {
    tokens: TokenFile,
    patience: Duration,
}

enum Peer {
    Unknown,
    Known { name: String },
}

impl Handler for Doorkeeper {
    type Peer = Peer;
    type Note = ();

    fn request(&mut self, _: &Request<'_>, _: Caller, _: &mut Ctx<'_, Peer>) -> Decision<Peer> {
        Decision::accept(Peer::Unknown)
    }

    fn open(&mut self, conn: &mut Conn<'_, Peer>) {
        conn.set_timer(self.patience);
    }

    fn message(&mut self, conn: &mut Conn<'_, Peer>, message: Message<'_>) {
        if let Peer::Known { name } = conn.peer() {
            println!("{name} says something");
            let _ = conn.send(message);
            return;
        }
        let grant = match message {
            Message::Text(token) => self.tokens.grant(&Secret::new(token), unix_seconds()),
            Message::Binary(_) => None,
        };
        if let Some(grant) = grant {
            let name = grant.subject.clone();
            conn.clear_timer();
            let _ = conn.send_text(&format!("hello {name}"));
            *conn.peer() = Peer::Known { name };
        } else {
            // It can only fail where the connection is being closed already.
            let _ = conn.close(UNAUTHORIZED, "that is no token");
        }
    }

    fn timer(&mut self, conn: &mut Conn<'_, Peer>) {
        let _ = conn.close(UNAUTHORIZED, "no token came in time");
    }
}

/// Tokens may have an end.
fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next();
    let patience = arguments.next().map_or(Ok(5000), |millis| millis.parse())?;
    let doorkeeper = Doorkeeper {
        tokens: TokenFile::parse(TOKENS)?,
        patience: Duration::from_millis(patience),
    };
    let server = Server::builder()
        .listen(address.as_deref().unwrap_or("127.0.0.1:9001"))?
        .start(move |_| doorkeeper.clone())?;
    println!("say your token to ws://{}/", server.addrs()[0]);
    Ok(server.join()?)
}
