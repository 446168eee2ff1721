//! On Ctrl+C or SIGTERM nobody new is let in, everyone is told and closed with 1001, and the program ends when all have
//! answered, or after five seconds.
//!
//! `cargo run --release -p wirefan-eventloop --example graceful_shutdown`, then `npx wscat -c ws://127.0.0.1:9001/`, and
//! Ctrl+C in the first terminal. Another address is the first argument.

use std::time::Duration;
use std::{env, io};

use wirefan_eventloop::{Caller, CloseCause, Conn, Ctx, Decision, Handler, Message, Server};
use wirefan_protocol::Frame;
use wirefan_protocol::handshake::Request;

const ALL: &str = "all";

struct Echo;

impl Handler for Echo {
    type Peer = ();
    type Note = ();

    fn request(&mut self, _: &Request<'_>, _: Caller, _: &mut Ctx<'_, ()>) -> Decision<()> {
        Decision::accept(())
    }

    fn open(&mut self, conn: &mut Conn<'_, ()>) {
        conn.subscribe(ALL);
    }

    fn message(&mut self, conn: &mut Conn<'_, ()>, message: Message<'_>) {
        let _ = conn.send(message);
    }

    fn closed(&mut self, _: Option<()>, caller: Caller, cause: CloseCause, _: &mut Ctx<'_, ()>) {
        println!("{}: {cause}", caller.addr);
    }
}

/// Waits for whatever is to end the program. Signals are caught before anyone can connect.
#[cfg(unix)]
fn stop() -> io::Result<impl FnOnce()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    Ok(move || {
        signals.forever().next();
    })
}

/// Without signals it is a line on the standard input.
#[cfg(not(unix))]
fn stop() -> io::Result<impl FnOnce()> {
    Ok(|| {
        let _ = io::stdin().read_line(&mut String::new());
    })
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1);
    let stop = stop()?;
    let server = Server::builder()
        .listen(address.as_deref().unwrap_or("127.0.0.1:9001"))?
        .start(|_| Echo)?;
    println!("echo on ws://{}/ until Ctrl+C", server.addrs()[0]);

    stop();
    println!("closing");
    // A last word, before the Close: what one thread asks of the loop happens in that order.
    if let Err(full) = server
        .remote()
        .publish(ALL, &Frame::text("back in a minute"))
    {
        eprintln!("{full}");
    }
    server.shutdown(Duration::from_secs(5))?;
    println!("closed");
    Ok(())
}
