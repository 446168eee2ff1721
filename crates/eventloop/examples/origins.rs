//! Only pages of this server, and those of origins on a list, may connect: browsers let every page on the web try, and send
//! cookies along. Others are answered with 403. Programs that are no browsers send no `Origin`, and come in.
//!
//! `cargo run --release -p wirefan-eventloop --example origins`, then
//! `npx wscat -c ws://127.0.0.1:9001/ -o http://127.0.0.1:9001` and `-o https://app.example.org` come in, and
//! `-o https://evil.example` does not. Another address is the first argument.

use std::env;
use std::error::Error;

use wirefan_admission::{OriginPolicy, Scheme};
use wirefan_eventloop::{Caller, Conn, Ctx, Decision, Handler, Message, Server};
use wirefan_protocol::handshake::{Reply, Request};

#[derive(Clone)]
struct Doorkeeper {
    /// `OriginPolicy::default()` is `same` alone.
    origins: OriginPolicy,
}

impl Handler for Doorkeeper {
    type Peer = ();
    type Note = ();

    fn request(
        &mut self,
        request: &Request<'_>,
        caller: Caller,
        server: &mut Ctx<'_, ()>,
    ) -> Decision<()> {
        // Where TLS is spoken here, a page without it is of another origin. On a plain port a proxy with TLS may stand in front.
        let scheme = server.tls(caller.id).map(|_| Scheme::Tls);
        let (origin, host) = (request.origin(), request.host());
        match self.origins.check(origin, host, scheme) {
            Ok(()) => Decision::accept(()),
            Err(why) => Decision::Answer(Reply::text(403, format!("{why}\n"))),
        }
    }

    fn message(&mut self, conn: &mut Conn<'_, ()>, message: Message<'_>) {
        let _ = conn.send(message);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let doorkeeper = Doorkeeper {
        origins: "same, https://*.example.org".parse()?,
    };
    let address = env::args().nth(1);
    let server = Server::builder()
        .listen(address.as_deref().unwrap_or("127.0.0.1:9001"))?
        .start(move |_| doorkeeper.clone())?;
    println!("for pages of this server: ws://{}/", server.addrs()[0]);
    Ok(server.join()?)
}
