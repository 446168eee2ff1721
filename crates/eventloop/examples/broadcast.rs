//! Every message goes to all others in the same room, and not back to its sender. The path is the room.
//!
//! `cargo run --release -p wirefan-eventloop --example broadcast`, then in two terminals
//! `npx wscat -c ws://127.0.0.1:9001/tea`. Another address is the first argument.

use std::{env, io};

use wirefan_eventloop::{Caller, Conn, Ctx, Decision, Handler, Message, Sent, Server};
use wirefan_protocol::handshake::Request;

struct Broadcast;

impl Handler for Broadcast {
    /// The room.
    type Peer = String;
    type Note = ();

    fn request(
        &mut self,
        request: &Request<'_>,
        _: Caller,
        _: &mut Ctx<'_, String>,
    ) -> Decision<String> {
        Decision::accept(request.path().to_owned())
    }

    fn open(&mut self, conn: &mut Conn<'_, String>) {
        let room = conn.peer().clone();
        conn.subscribe(&room);
        // A room is there as long as somebody is in it, and on all workers the same.
        let others = conn.server().members(&room) - 1;
        if conn.send_text(&format!("{others} others in {room}")) == Sent::Dropped {
            println!("{} was gone at once", conn.remote_addr());
        }
    }

    fn message(&mut self, conn: &mut Conn<'_, String>, message: Message<'_>) {
        let room = conn.peer().clone();
        // `publish_all` would send it back, too.
        conn.publish(&room, message);
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1);
    let server = Server::builder()
        .listen(address.as_deref().unwrap_or("127.0.0.1:9001"))?
        .start(|_| Broadcast)?;
    println!("broadcast on ws://{}/ROOM", server.addrs()[0]);
    server.join()
}
