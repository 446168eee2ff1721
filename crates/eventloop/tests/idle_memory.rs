//! What an open connection costs while it is quiet: its slot and everything on the heap, counted by the allocator. The
//! clients are another process, so that nothing of theirs is counted.

mod common;

use std::alloc::System;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use common::client::{Client, Received, frame};
use common::process::{Child, obey, raise_open_files, role};
use common::until;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use wirefan_eventloop::{Caller, Conn, Ctx, Decision, Handler, Message, Server};
use wirefan_protocol::handshake::Request;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TEST: &str = "a_quiet_connection_costs_at_most_256_bytes";
const CONNECTIONS: usize = 4000;
const LIMIT: usize = 256;

struct Echo;

impl Handler for Echo {
    type Peer = ();
    type Note = Sender<usize>;

    fn request(&mut self, _: &Request<'_>, _: Caller, _: &mut Ctx<'_, ()>) -> Decision<()> {
        Decision::accept(())
    }

    fn message(&mut self, conn: &mut Conn<'_, ()>, message: Message<'_>) {
        let _ = conn.send(message);
    }

    fn note(&mut self, connections: Self::Note, server: &mut Ctx<'_, ()>) {
        let _ = connections.send(server.connections());
    }
}

/// What is allocated and not freed, in bytes.
fn live() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// An echo of a text, of a fragmented message with a ping inside, in several reads.
fn be_busy(client: &mut Client) {
    client.echo("a text");
    client.send_raw(&frame(0x02, &[1; 3000]));
    client.send_raw(&frame(0x89, b"ping"));
    assert_eq!(client.next(), Received::Pong(b"ping".into()));
    client.send_raw(&frame(0x80, &[2; 3000]));
    match client.next() {
        Received::Binary(data) => assert_eq!(data.len(), 6000),
        other => panic!("{other:?}"),
    }
}

/// The clients: to a number they answer when they have as many connections, each of which has been busy.
fn clients(addr: &str) {
    raise_open_files();
    let addr = addr.parse().expect("an address");
    let mut clients: Vec<Client> = Vec::new();
    obey(|line| {
        let count = line.parse().expect("a number");
        clients.truncate(count);
        while clients.len() < count {
            let mut client = Client::connect(addr, "/");
            be_busy(&mut client);
            clients.push(client);
        }
        String::new()
    });
}

#[test]
fn a_quiet_connection_costs_at_most_256_bytes() {
    if let Some(addr) = role() {
        return clients(&addr);
    }
    raise_open_files();
    let server = Server::builder()
        .listen("127.0.0.1:0")
        .unwrap()
        .workers(1)
        .start(|_| Echo)
        .unwrap();
    let remote = server.remote();
    let connections = move || {
        let (tell, told) = mpsc::channel();
        remote.note(0, tell).expect("room in the mailbox");
        told.recv().expect("the worker")
    };
    let mut child = Child::start(TEST, &server.addrs()[0].to_string());
    // What the worker keeps for all connections together is there before.
    child.ask("3");
    child.ask("0");
    until("they are gone", || connections() == 0);
    let before = live();
    // The second crowd takes the place of the first, of which deadlines are left that are not due yet.
    for (crowd, limit) in [("first", LIMIT), ("second", LIMIT + 32)] {
        child.ask(&CONNECTIONS.to_string());
        assert_eq!(connections(), CONNECTIONS);
        thread::sleep(Duration::from_secs(1));
        let each = (live() - before) / CONNECTIONS;
        println!("{each} bytes for each of {CONNECTIONS} quiet connections of the {crowd} crowd");
        assert!(each <= limit, "{each} bytes");
        child.ask("0");
        until("they are gone", || connections() == 0);
    }
    drop(child);
    server.shutdown(Duration::ZERO).unwrap();
}
