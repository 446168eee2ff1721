//! A message for everyone who comes in, before they have said anything, and one for all when somebody goes.
//!
//! `cargo run --release -p wirefan-eventloop --example welcome`, then in two terminals `npx wscat -c ws://127.0.0.1:9001/ann`
//! and `npx wscat -c ws://127.0.0.1:9001/bob`: the path is the name. Another address is the first argument.

use std::{env, io};

use wirefan_eventloop::{Caller, CloseCause, Conn, Ctx, Decision, Handler, Message, Server};
use wirefan_protocol::handshake::{Reply, Request};

const ALL: &str = "all";

struct Welcome;

impl Handler for Welcome {
    /// The name.
    type Peer = String;
    type Note = ();

    fn request(
        &mut self,
        request: &Request<'_>,
        _: Caller,
        _: &mut Ctx<'_, String>,
    ) -> Decision<String> {
        match request.path().trim_start_matches('/') {
            "" => Decision::Answer(Reply::text(404, "the path is your name: /ann\n")),
            name => Decision::accept(name.to_owned()),
        }
    }

    // The first moment at which anything can be sent: the answer to the handshake leaves with it, in one write.
    fn open(&mut self, conn: &mut Conn<'_, String>) {
        conn.subscribe(ALL);
        let here = conn.server().members(ALL);
        let name = conn.peer().clone();
        let _ = conn.send_text(&format!("welcome, {name}: {here} here"));
        conn.publish(ALL, Message::Text(&format!("{name} has come")));
    }

    fn message(&mut self, conn: &mut Conn<'_, String>, message: Message<'_>) {
        let _ = conn.send(message);
    }

    // The last: whatever ended the connection, it is called once. There is no connection any more, so `server` it is.
    fn closed(
        &mut self,
        peer: Option<String>,
        _: Caller,
        cause: CloseCause,
        server: &mut Ctx<'_, String>,
    ) {
        if let Some(name) = peer {
            println!("{name}: {cause}");
            server.publish(ALL, Message::Text(&format!("{name} has gone")));
        }
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1);
    let server = Server::builder()
        .listen(address.as_deref().unwrap_or("127.0.0.1:9001"))?
        .start(|_| Welcome)?;
    println!("welcome on ws://{}/NAME", server.addrs()[0]);
    server.join()
}
