//! In the steady state nothing is allocated: not for an echo, not for a broadcast. The handler looks at the allocator's
//! count, on the worker's thread; the clients are another process.

mod common;

use std::alloc::System;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use common::PATIENCE;
use common::client::Client;
use common::process::{Child, obey, role};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use wirefan_eventloop::{Caller, Conn, Ctx, Decision, Handler, Message, Server, Timeouts};
use wirefan_protocol::handshake::Request;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TEST: &str = "a_small_message_allocates_nothing";
/// Clients that are sent to and send in turn.
const CLIENTS: usize = 10;
/// Messages until everything has grown to its size, and messages that are counted.
const WARM: usize = 1000;
const COUNTED: usize = 10_000;

/// Counts the allocations from one message to a later one.
struct Counting {
    room: bool,
    messages: usize,
    before: usize,
    tell: Sender<usize>,
}

impl Handler for Counting {
    type Peer = ();
    type Note = ();

    fn request(&mut self, _: &Request<'_>, _: Caller, _: &mut Ctx<'_, ()>) -> Decision<()> {
        Decision::accept(())
    }

    fn open(&mut self, conn: &mut Conn<'_, ()>) {
        if self.room {
            conn.subscribe("room");
        }
    }

    fn message(&mut self, conn: &mut Conn<'_, ()>, message: Message<'_>) {
        if self.room {
            conn.publish_all("room", message);
        } else {
            let _ = conn.send(message);
        }
        self.messages += 1;
        if self.messages == 1 {
            // The others have sent by then: as much as ever comes together comes now.
            thread::sleep(Duration::from_millis(200));
        }
        let allocations = ALLOCATOR.stats().allocations + ALLOCATOR.stats().reallocations;
        if self.messages == WARM {
            self.before = allocations;
        } else if self.messages == WARM + COUNTED {
            let _ = self.tell.send(allocations - self.before);
        }
    }
}

/// What clients do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Load {
    /// One message after the other, each back before the next.
    OneByOne,
    /// All clients send some, and then all read: what many reads led to is written together.
    Together,
    /// A message goes to all clients.
    Room,
}

/// What the allocator is asked meanwhile.
fn allocations(load: Load) -> usize {
    let (tell, told) = mpsc::channel();
    // Deadlines that strike are no messages: none does while these are counted.
    let mut timeouts = Timeouts::default();
    timeouts.handshake = Duration::from_secs(600);
    timeouts.ping = None;
    let server = Server::builder()
        .listen("127.0.0.1:0")
        .unwrap()
        .workers(1)
        .timeouts(timeouts)
        .start(move |_| Counting {
            room: load == Load::Room,
            messages: 0,
            before: 0,
            tell: tell.clone(),
        })
        .unwrap();
    let role = format!("{} {load:?}", server.addrs()[0]);
    let _child = Child::start(TEST, &role);
    told.recv_timeout(PATIENCE).expect("a count")
}

fn clients(role: &str) {
    let (addr, load) = role.split_once(' ').expect("two words");
    let addr = addr.parse().expect("an address");
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::connect(addr, "/")).collect();
    let is = |other: Load| load == format!("{other:?}");
    let at_once = if is(Load::Together) { 5 * CLIENTS } else { 1 };
    let members = if is(Load::Room) { CLIENTS } else { 1 };
    for first in (0..WARM + COUNTED).step_by(at_once) {
        for i in first..first + at_once {
            clients[i % CLIENTS].send_text("a small message, as they are");
        }
        for i in first..first + at_once {
            for member in 0..members {
                clients[(i + member) % CLIENTS].next_text();
            }
        }
    }
    obey(|line| line.into());
}

#[test]
fn a_small_message_allocates_nothing() {
    if let Some(role) = role() {
        return clients(&role);
    }
    for load in [Load::OneByOne, Load::Together, Load::Room] {
        let allocations = allocations(load);
        println!("{allocations} allocations for {COUNTED} messages ({load:?})");
        assert_eq!(allocations, 0);
    }
}
