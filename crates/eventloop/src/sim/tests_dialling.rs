//! Dialling in virtual time: which address is tried when, what takes too long, and that nothing is left of what did not
//! win, however bytes are cut.

use core::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use wirefan_protocol::{CloseCode, Millis};

use super::far::{END, Far, Server};
use super::world::{Setup, World};
use crate::client::DialPhase;
use crate::worker::Ready;
use crate::{Caller, CloseCause, Conn, ConnId, Ctx, Dial, DialError, Handler, Message};

/// How coarse deadlines are, twice: one entry may be put off once.
const COARSE: u64 = 64;

#[derive(Clone, Debug, PartialEq)]
enum Told {
    Dialling,
    Open(SocketAddr),
    Message(String),
    Closed(CloseCause),
}

#[derive(Clone, Default)]
struct Probe(Rc<RefCell<Vec<(String, u64, Told)>>>);

impl Probe {
    fn tell(&self, peer: &str, now: Millis, told: Told) {
        self.0.borrow_mut().push((peer.to_owned(), now.0, told));
    }

    /// What was told of a connection, and when.
    fn of(&self, peer: &str) -> Vec<(u64, Told)> {
        let told = self.0.borrow();
        let own = told.iter().filter(|(other, ..)| other == peer);
        own.map(|(_, when, told)| (*when, told.clone())).collect()
    }
}

impl Handler for Probe {
    type Peer = String;
    type Note = ();

    fn dialling(&mut self, peer: &mut String) {
        self.tell(peer, Millis(0), Told::Dialling);
    }

    fn open(&mut self, conn: &mut Conn<'_, String>) {
        let (now, addr) = (conn.core.now, conn.remote_addr());
        self.tell(&conn.peer().clone(), now, Told::Open(addr));
    }

    fn message(&mut self, conn: &mut Conn<'_, String>, message: Message<'_>) {
        let (now, peer) = (conn.core.now, conn.peer().clone());
        let Message::Text(text) = message else {
            panic!("{message:?}");
        };
        self.tell(&peer, now, Told::Message(text.into()));
        conn.close(CloseCode::NORMAL, "").unwrap();
    }

    fn closed(
        &mut self,
        peer: Option<String>,
        _: Caller,
        cause: CloseCause,
        ctx: &mut Ctx<'_, String>,
    ) {
        let now = ctx.core.now;
        self.tell(&peer.unwrap(), now, Told::Closed(cause));
    }
}

struct Table {
    world: World<Probe>,
    far: Far,
    probe: Probe,
}

impl Table {
    fn new(seed: u64) -> Self {
        let probe = Probe::default();
        let handler = probe.clone();
        Self {
            world: World::new(Setup::default(), Box::new(()), move |_| handler.clone()),
            far: Far::new(seed),
            probe,
        }
    }

    fn name(&mut self, name: &str, after: u64, servers: &[(&str, Server)]) {
        let addrs: Vec<SocketAddr> = (servers.iter())
            .map(|(addr, _)| addr.parse().unwrap())
            .collect();
        for (addr, (_, server)) in addrs.iter().zip(servers) {
            self.far.servers.insert(*addr, *server);
        }
        self.far.names.insert(name.into(), (after, addrs));
    }

    fn dial(&mut self, dial: Dial, peer: &str) -> ConnId {
        let core = &mut self.world.benches[0].worker.core;
        Ctx { core }.dial(dial, peer.into())
    }

    /// Goes on for this long.
    fn run(&mut self, millis: u64) {
        let end = self.far.now + millis;
        let worker = &mut self.world.benches[0].worker;
        for steps in 0.. {
            assert!(steps < 100_000, "this goes on for ever");
            worker.core.now = Millis(self.far.now);
            for token in self.far.step() {
                worker.ready(Ready {
                    token,
                    readable: true,
                    writable: true,
                    read_closed: false,
                });
            }
            for letter in self.far.letters() {
                worker.open_letter(letter);
            }
            worker.drive_dials(&mut self.far);
            worker.turn(true);
            let own = worker.next_turn().map(|next| next.0);
            let Some(next) = own.into_iter().chain(self.far.next()).min() else {
                break;
            };
            if next > end {
                break;
            }
            self.far.now = next.max(self.far.now);
        }
        self.far.now = end;
    }

    fn tried(&self) -> Vec<(u64, String)> {
        let tried = self.far.tried.iter();
        tried
            .map(|(when, addr)| (*when, addr.to_string()))
            .collect()
    }

    /// The only thing that was told of a connection beside that it was dialled.
    fn outcome(&self, peer: &str) -> (u64, Told) {
        let told = self.probe.of(peer);
        assert_eq!(
            (told[0].1.clone(), told.len()),
            (Told::Dialling, 2),
            "{told:?}"
        );
        told[1].clone()
    }

    fn assert_empty(&mut self) {
        assert_eq!(self.far.sockets(), 0, "sockets are left");
        let dialled = &self.world.benches[0].worker.core.dialled;
        assert!(dialled.wanted.is_empty() && dialled.responses.is_empty());
        self.world.assert_empty();
    }
}

fn dial(url: &str) -> Dial {
    Dial::new(url).unwrap()
}

fn is_about(when: u64, expected: u64) -> bool {
    (expected..=expected + COARSE).contains(&when)
}

#[test]
fn rfc_8305_section_5_a_silent_address_costs_a_quarter_of_a_second() {
    let mut table = Table::new(1);
    let servers = [
        ("[::1]:80", Server::Silent),
        ("1.1.1.1:80", Server::Accepts(10)),
    ];
    table.name("dual", 5, &servers);
    table.dial(dial("ws://dual/"), "it");
    table.run(400);
    let tried = table.tried();
    assert_eq!((tried[0].0, &*tried[0].1), (5, "[::1]:80"));
    assert!(
        is_about(tried[1].0, 255) && tried[1].1 == "1.1.1.1:80",
        "{tried:?}"
    );
    let told = table.probe.of("it");
    assert_eq!(
        told[1],
        (tried[1].0 + 10, Told::Open("1.1.1.1:80".parse().unwrap()))
    );
    assert_eq!(told[2].1, Told::Message("hello".into()));
    table.run(100);
    let code = CloseCode::NORMAL;
    let closed = Told::Closed(CloseCause::WeClosed { code });
    // RFC 6455 §7.1.1: it is the server that ends the transport.
    let end = tried[1].0 + 10 + END;
    assert_eq!(table.probe.of("it")[3], (end, closed));
    table.assert_empty();
}

#[test]
fn a_refusal_is_not_waited_for_and_the_last_one_is_told() {
    let mut table = Table::new(1);
    let servers = [
        ("[::1]:80", Server::Refuses(0)),
        ("1.1.1.1:80", Server::Refuses(3)),
        ("[::2]:80", Server::Refuses(20)),
    ];
    table.name("down", 0, &servers);
    table.dial(dial("ws://down/"), "it");
    table.run(1000);
    let expected = [(0, "[::1]:80"), (0, "1.1.1.1:80"), (3, "[::2]:80")];
    let expected: Vec<(u64, String)> = expected.map(|(when, addr)| (when, addr.into())).into();
    assert_eq!(table.tried(), expected);
    let why = DialError::Connect {
        addr: "[::2]:80".parse().unwrap(),
        kind: std::io::ErrorKind::ConnectionRefused,
    };
    assert_eq!(
        table.outcome("it"),
        (23, Told::Closed(CloseCause::Dial(why)))
    );
    table.assert_empty();
}

#[test]
fn connecting_has_its_time_names_and_addresses_together() {
    let mut table = Table::new(1);
    table.name(
        "silent",
        4000,
        &[("[::1]:80", Server::Silent), ("1.1.1.1:80", Server::Silent)],
    );
    table.name("slow", 20_000, &[("2.2.2.2:80", Server::Accepts(0))]);
    table.dial(dial("ws://silent/"), "silent");
    table.dial(dial("ws://slow/"), "slow");
    table.dial(dial("ws://nobody/"), "nobody");
    let short = dial("ws://silent/").connect_timeout(Duration::from_secs(1));
    table.dial(short, "short");
    table.run(30_000);
    for (peer, expected) in [("silent", 10_000), ("slow", 10_000), ("short", 1000)] {
        let (when, told) = table.outcome(peer);
        let why = DialError::Timeout(DialPhase::Connect);
        assert_eq!(told, Told::Closed(CloseCause::Dial(why)), "{peer}");
        assert!(is_about(when, expected), "{peer}: {when}");
    }
    let why = DialError::Resolve("nobody".into());
    assert_eq!(
        table.outcome("nobody"),
        (0, Told::Closed(CloseCause::Dial(why)))
    );
    // The answer that came too late has led to nothing.
    assert!(table.tried().iter().all(|(_, addr)| addr != "2.2.2.2:80"));
    table.assert_empty();
}

#[test]
fn what_is_put_off_or_given_up_does_not_begin() {
    let mut table = Table::new(1);
    table.name("up", 10, &[("1.1.1.1:80", Server::Accepts(10))]);
    table.dial(dial("ws://up/").after(Duration::from_secs(60)), "late");
    let gone = table.dial(dial("ws://up/").after(Duration::from_secs(60)), "gone");
    let found = table.dial(dial("ws://up/"), "found");
    table.run(5);
    let core = &mut table.world.benches[0].worker.core;
    for id in [gone, found] {
        Ctx { core }.close(id, CloseCode(4000), "never mind");
    }
    table.run(50_000);
    assert!(table.far.tried.is_empty());
    let closed = Told::Closed(CloseCause::WeClosed {
        code: CloseCode(4000),
    });
    assert_eq!(table.probe.of("gone"), [(5, closed.clone())]);
    assert_eq!(table.outcome("found"), (5, closed));
    table.run(20_000);
    let told = table.probe.of("late");
    assert!(
        matches!(told[1], (when, Told::Open(_)) if is_about(when, 60_020)),
        "{told:?}"
    );
    table.assert_empty();
}

/// Any addresses, any delays, any cuts: each dial opens if it can in time, fails otherwise, and is told of once.
#[test]
fn every_dial_has_one_outcome_and_leaves_nothing() {
    for seed in 0..300 {
        let mut table = Table::new(seed);
        table.far.cuts = true;
        let mut rng = table.far.rng.clone();
        let mut able = Vec::new();
        for number in 0..8 {
            let mut servers = Vec::new();
            for host in 0..rng.below(5) {
                let addr = if rng.percent(50) {
                    format!("[::{number}:{host}]:80")
                } else {
                    format!("10.0.{number}.{host}:80")
                };
                let after = rng.below(3000) as u64;
                servers.push((
                    addr,
                    match rng.below(3) {
                        0 => Server::Accepts(after),
                        1 => Server::Refuses(after),
                        _ => Server::Silent,
                    },
                ));
            }
            let servers: Vec<_> = servers.iter().map(|(addr, it)| (&**addr, *it)).collect();
            // They have ten seconds: the slowest of these takes less than eight.
            able.push(
                servers
                    .iter()
                    .any(|(_, server)| matches!(server, Server::Accepts(_))),
            );
            let name = format!("host{number}");
            table.name(&name, rng.below(4000) as u64, &servers);
            table.dial(dial(&format!("ws://{name}/")), &name);
        }
        table.run(40_000);
        for (number, able) in able.into_iter().enumerate() {
            let told = table.probe.of(&format!("host{number}"));
            let told: Vec<&Told> = told.iter().map(|(_, told)| told).collect();
            match (able, &told[..]) {
                (
                    true,
                    [
                        Told::Dialling,
                        Told::Open(_),
                        Told::Message(text),
                        Told::Closed(cause),
                    ],
                ) => {
                    let code = CloseCode::NORMAL;
                    let expected = CloseCause::WeClosed { code };
                    assert_eq!((&**text, cause), ("hello", &expected), "seed {seed}");
                }
                (false, [Told::Dialling, Told::Closed(CloseCause::Dial(_))]) => {}
                other => panic!("seed {seed}, {number}: {other:?}"),
            }
        }
        table.assert_empty();
    }
}
