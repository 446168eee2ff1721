//! The smallest server on the event loop: every message goes back to its sender.
//!
//! `cargo run --release -p wirefan-eventloop --example echo`, then `npx wscat -c ws://127.0.0.1:9001/` or
//! `python -m websockets ws://127.0.0.1:9001/`. Another address is the first argument.

use std::{env, io};

use wirefan_eventloop::{Caller, Conn, Ctx, Decision, Handler, Message, Server};
use wirefan_protocol::handshake::Request;

struct Echo;

impl Handler for Echo {
    type Peer = ();
    type Note = ();

    fn request(&mut self, _: &Request<'_>, _: Caller, _: &mut Ctx<'_, ()>) -> Decision<()> {
        Decision::accept(())
    }

    fn message(&mut self, conn: &mut Conn<'_, ()>, message: Message<'_>) {
        let _ = conn.send(message);
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1);
    let server = Server::builder()
        .listen(address.as_deref().unwrap_or("127.0.0.1:9001"))?
        .start(|_| Echo)?;
    println!("echo on ws://{}/", server.addrs()[0]);
    server.join()
}
