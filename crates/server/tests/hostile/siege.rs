//! A server with its citizens, before, during and after an attack: what has to hold whatever the attack is.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use wirefan_eventloop::ClientTls;
use wirefan_eventloop::rustls::ClientConfig;

use crate::citizens::{Citizens, ROOMS, SEATS, room};
use crate::common::{self, PATIENCE, Wirefan};
use crate::swarm::{Plan, Swarm, Then};
use crate::vitals::Vitals;

pub(crate) const MIB: u64 = 1024 * 1024;

/// Connections over a limit that wait for their answer at a time, 256 for each of two workers.
pub(crate) const TURNED_AWAY: usize = 2 * 256;

/// Those that have just been accepted and are closed at once, and the questions of the test itself.
const PASSING: usize = 16;

/// How long most attacks last.
pub(crate) const SIEGE: Duration = Duration::from_secs(3);

/// What a server in production has, with times that a test can wait for and limits that it can reach.
const OPTIONS: [(&str, &str); 13] = [
    ("--workers", "2"),
    ("--listen", "127.0.0.1:0"),
    ("--admin", "127.0.0.1:0"),
    ("--max-connections", "1500"),
    ("--max-pending", "500"),
    ("--max-connections-per-ip", "150"),
    ("--max-handshakes-per-ip", "100"),
    ("--handshake-timeout", "2s"),
    ("--close-timeout", "1s"),
    ("--max-message", "64k"),
    ("--max-messages-per-second", "200"),
    ("--max-bytes-per-second", "1m"),
    ("--backlog-limit", "512k"),
];

/// More sockets than these, beside those of the citizens, it never has.
pub(crate) const MOST: usize = 1500 + TURNED_AWAY;

/// The latency that 99 of 100 messages are to be within, and what server and citizens had to wait for a processor: others
/// may have much to do on this machine. A hang is longer.
const HUMANE: Duration = Duration::from_secs(2);

pub(crate) struct Siege {
    pub(crate) server: Wirefan,
    pub(crate) addr: SocketAddr,
    admin: SocketAddr,
    citizens: Citizens,
    vitals: Vitals,
    memory: u64,
    sockets: usize,
    waited: Duration,
}

impl Siege {
    /// A server with these options beside the usual ones, and a hundred citizens who talk.
    pub(crate) fn lay(options: &str) -> Self {
        let server = serve(|command| ask(command, options));
        let (addr, admin) = (server.addr, admin(&server));
        Self::with(server, addr, admin, None)
    }

    /// The same with a limit of open files.
    pub(crate) fn lay_with_files(files: usize, options: &str) -> Self {
        let server = serve(|command| {
            let wirefan = command.get_program().to_owned();
            *command = Command::new("sh");
            let script = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
            command.args(["-c", &script]).arg(wirefan);
            command.env_remove("WIREFAN_LOG");
            ask(command, options);
        });
        let (addr, admin) = (server.addr, admin(&server));
        Self::with(server, addr, admin, None)
    }

    /// The same where citizens and attackers come over TLS; beside it is a plain listener.
    pub(crate) fn lay_over_tls() -> Self {
        let server = serve(|command| {
            ask(command, "--tls-self-signed");
            command.args(["--listen", "wss://127.0.0.1:0"]);
        });
        let addr = addr_in(&server.line_with("listening on "), "listening on ");
        let admin = admin(&server);
        let line = server.line_with("certificate: ");
        let (_, rest) = line.split_once("certificate: ").unwrap();
        let certificate = rest.split(',').next().unwrap();
        let trust = ClientTls::builder().server_ca_file(certificate).unwrap();
        let tls = trust.build().unwrap();
        Self::with(server, addr, admin, Some(tls.config()))
    }

    fn with(
        server: Wirefan,
        addr: SocketAddr,
        admin: SocketAddr,
        tls: Option<Arc<ClientConfig>>,
    ) -> Self {
        let vitals = Vitals::of(server.child.id());
        let citizens = Citizens::settle(addr, tls);
        for number in 0..ROOMS {
            server.await_members(&room(number), SEATS);
        }
        citizens.speak();
        vitals.forget_peak();
        Self {
            memory: vitals.memory(),
            sockets: vitals.sockets(),
            waited: vitals.waited(),
            server,
            addr,
            admin,
            citizens,
            vitals,
        }
    }

    /// So many who come from so many addresses, send this first, and read nothing of what is answered.
    pub(crate) fn plan(
        &self,
        connections: usize,
        addresses: u8,
        opening: fn(usize) -> Vec<u8>,
        then: Then,
    ) -> Plan {
        Plan {
            target: self.addr,
            connections,
            addresses,
            opening,
            then,
            reads: false,
            returns: false,
        }
    }

    /// The attack goes on for a while. The server never has more sockets than `most`, and a few that come and go, beside those
    /// that it had.
    pub(crate) fn watch(&self, time: Duration, most: usize) {
        let start = Instant::now();
        while start.elapsed() < time {
            let sockets = self.vitals.sockets().saturating_sub(self.sockets);
            assert!(
                sockets <= most + PASSING,
                "{sockets} sockets more, and not {most}"
            );
            thread::sleep(Duration::from_millis(20));
        }
        // However busy the machine is: the attack has met citizens who talk.
        self.citizens.await_delivered(2);
    }

    /// Waits until the server has no more sockets than `more` beside those that it had.
    pub(crate) fn await_sockets(&self, more: usize) {
        self.until(|| {
            let sockets = self.vitals.sockets().saturating_sub(self.sockets);
            (sockets <= more)
                .then_some(())
                .ok_or_else(|| format!("{sockets} sockets more"))
        });
    }

    /// Waits until the samples of a metric with these words in them are `least` together. As `NAME WORD WORD`.
    pub(crate) fn await_metric(&self, sample: &str, least: usize) {
        self.until(|| {
            let sum = self.metric(sample);
            let enough = (sum >= least as f64).then_some(());
            enough.ok_or_else(|| format!("{sample}: {sum}\n{}", self.ends()))
        });
    }

    fn metric(&self, sample: &str) -> f64 {
        let (name, words) = sample.split_once(' ').unwrap_or((sample, ""));
        self.metrics()
            .lines()
            .filter_map(|line| line.rsplit_once(' '))
            .filter(|(labels, _)| labels.split('{').next() == Some(name))
            .filter(|(labels, _)| words.split(' ').all(|word| labels.contains(word)))
            .map(|(_, value)| value.parse::<f64>().unwrap())
            .sum()
    }

    fn metrics(&self) -> String {
        let mut socket = TcpStream::connect(self.admin).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
        socket.write_all(head).unwrap();
        let mut page = String::new();
        socket.read_to_string(&mut page).unwrap();
        page
    }

    /// What has ended and how, for the message of a test that fails.
    fn ends(&self) -> String {
        let lines = self.metrics();
        let lines = lines.lines().filter(|line| {
            let name = line.split('{').next().unwrap();
            let counts = [
                "wirefan_handshakes_total",
                "wirefan_connections_closed_total",
            ];
            counts.contains(&name) && !line.ends_with(" 0")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn until<T>(&self, mut what: impl FnMut() -> Result<T, String>) -> T {
        let start = Instant::now();
        loop {
            match what() {
                Ok(done) => return done,
                Err(why) => assert!(start.elapsed() < PATIENCE * 3, "{why}"),
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// How much of one processor the server uses, over a second.
    pub(crate) fn load(&self) -> f64 {
        let (start, before) = (Instant::now(), self.vitals.cpu());
        thread::sleep(Duration::from_secs(1));
        (self.vitals.cpu() - before).as_secs_f64() / start.elapsed().as_secs_f64()
    }

    /// Two who come now are let in and hear each other.
    pub(crate) fn newcomers_are_welcome(&self) {
        let mut two = [0, 1].map(|_| self.server.connect("/newcomers"));
        self.server.await_members("/newcomers", 2);
        two[0].send_text("is anybody here?");
        assert_eq!(two[1].next(), common::text("is anybody here?"));
    }

    /// Ends the server while its attackers hold on. The citizens get all that was said and go as they are told, the others
    /// are cut off when the grace is over, and the exit code says so.
    pub(crate) fn end_under_attack(mut self, attackers: Vec<Swarm>) {
        self.citizens.hush();
        let server = &self.server;
        let report = self.citizens.leave(|| server.signal("TERM"));
        let told = report.codes.iter().filter(|code| **code == Some(1001));
        assert_eq!(told.count(), ROOMS * SEATS);
        assert_eq!(report.delivered, report.published * (SEATS as u64 - 1));
        assert_eq!(self.server.wait().code(), Some(3));
        drop(attackers);
    }

    /// Ends it all: the attackers are gone and have left nothing behind, the citizens have missed nothing, and the server has
    /// never held more than `growth` bytes beyond what it had.
    pub(crate) fn lift(mut self, attackers: Swarm, growth: u64) {
        let ends = self.ends();
        let seen = format!("{attackers:?}");
        drop(attackers);
        self.await_sockets(0);
        self.newcomers_are_welcome();
        self.citizens.hush();
        self.await_sockets(0);
        let grown = self.vitals.peak().saturating_sub(self.memory);
        self.until(|| {
            let load = self.load();
            (load < 0.05)
                .then_some(())
                .ok_or_else(|| format!("no rest: {load}"))
        });
        let waited = self.vitals.waited().saturating_sub(self.waited);
        let server = &self.server;
        let report = self.citizens.leave(|| server.signal("TERM"));
        println!(
            "{} published, {} delivered, 99 % within {:?}, waited for a processor: {waited:?} and {:?}; memory {} KiB and {} more\n{seen}\n{ends}",
            report.published,
            report.delivered,
            report.p99(),
            report.waited,
            self.memory / 1024,
            grown / 1024,
        );
        assert_eq!(report.delivered, report.published * (SEATS as u64 - 1));
        assert!(
            report.codes.iter().all(|code| *code == Some(1001)),
            "{:?}",
            report.codes
        );
        let humane = HUMANE + waited + report.waited;
        assert!(report.p99() < humane, "{:?} > {humane:?}", report.p99());
        assert!(grown < growth, "{grown} bytes more, and not {growth}");
        assert_eq!(self.server.wait().code(), Some(0));
    }
}

fn serve(ask: impl FnOnce(&mut Command)) -> Wirefan {
    // The attackers are many, and all of them are here.
    rlimit::increase_nofile_limit(20_000).unwrap();
    Wirefan::start_with(ask)
}

/// Options that are given hold in place of the usual ones.
fn ask(command: &mut Command, options: &str) {
    command.arg("broadcast");
    for (name, value) in OPTIONS {
        if !options.split_whitespace().any(|option| option == name) {
            command.args([name, value]);
        }
    }
    command.args(options.split_whitespace());
}

fn admin(server: &Wirefan) -> SocketAddr {
    addr_in(&server.line_with("admin on "), "admin on ")
}

/// The address that stands behind these words.
fn addr_in(line: &str, words: &str) -> SocketAddr {
    let (_, rest) = line.split_once(words).unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}
