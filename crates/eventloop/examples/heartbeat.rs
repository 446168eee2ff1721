//! Peers that are gone without a word are found, and round trips are measured.
//!
//! The loop does the first by itself: whoever has not been heard of for `Timeouts::ping` is sent a ping, and given up when
//! nothing comes for `Timeouts::pong`. Every client answers pings, browsers too, and `Conn::rtt` tells how long that took.
//! What a page in a browser cannot do is send pings or see them, so for the page it is done with messages: once a second
//! this server sends `beat N`, and a client that sends it back is told how long that took.
//!
//! `cargo run --release -p wirefan-eventloop --example heartbeat`, then `npx wscat --show-ping-pong -c ws://127.0.0.1:9001/`
//! shows the pings; stop it with Ctrl+Z, and the server gives it up after a while. Another address is the first
//! argument, the time between two beats in milliseconds the second.

use std::env;
use std::error::Error;
use std::time::{Duration, Instant};

use wirefan_eventloop::{
    Caller, CloseCause, Conn, Ctx, Decision, Handler, Message, Server, Timeouts,
};
use wirefan_protocol::handshake::Request;

#[derive(Clone, Copy)]
struct Heartbeat {
    every: Duration,
}

/// The last beat.
struct Beat {
    number: u64,
    sent: Instant,
}

impl Handler for Heartbeat {
    type Peer = Beat;
    type Note = ();

    fn request(&mut self, _: &Request<'_>, _: Caller, _: &mut Ctx<'_, Beat>) -> Decision<Beat> {
        let sent = Instant::now();
        Decision::accept(Beat { number: 0, sent })
    }

    fn open(&mut self, conn: &mut Conn<'_, Beat>) {
        conn.set_timer(self.every);
    }

    fn timer(&mut self, conn: &mut Conn<'_, Beat>) {
        let beat = conn.peer();
        *beat = Beat {
            number: beat.number + 1,
            sent: Instant::now(),
        };
        let text = format!("beat {}", beat.number);
        let _ = conn.send_text(&text);
        // A timer is for once.
        conn.set_timer(self.every);
    }

    fn message(&mut self, conn: &mut Conn<'_, Beat>, message: Message<'_>) {
        let beat = conn.peer();
        if message == Message::Text(&format!("beat {}", beat.number)) {
            let text = format!("round trip {:.3?}", beat.sent.elapsed());
            let _ = conn.send_text(&text);
        }
    }

    fn closed(
        &mut self,
        _: Option<Beat>,
        caller: Caller,
        cause: CloseCause,
        _: &mut Ctx<'_, Beat>,
    ) {
        // `pong_timeout` for those that were given up.
        println!("{}: {} ({cause})", caller.addr, cause.name());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next();
    let every = arguments.next().map_or(Ok(1000), |millis| millis.parse())?;
    let heartbeat = Heartbeat {
        every: Duration::from_millis(every),
    };

    let mut timeouts = Timeouts::default();
    // 25 s and 10 s unless you say something: below the 30 or 60 s at which proxies tend to cut idle connections.
    timeouts.ping = Some(Duration::from_secs(5));
    timeouts.pong = Duration::from_secs(5);
    let server = Server::builder()
        .listen(address.as_deref().unwrap_or("127.0.0.1:9001"))?
        .timeouts(timeouts)
        .start(move |_| heartbeat)?;
    println!("heartbeat on ws://{}/", server.addrs()[0]);
    Ok(server.join()?)
}
