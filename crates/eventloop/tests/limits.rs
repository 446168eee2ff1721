//! The limits of the whole server: connections over all workers, open files, and ports that someone else has.

mod common;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use common::client::{Client, dial, read_all, request};
use common::process::{Child, obey, role, say};
use common::server::{App, TestServer};
use common::until;
use wirefan_eventloop::{
    Caller, CloseCause, Conn, Ctx, Decision, Handler, Message, Server, Timeouts,
};
use wirefan_protocol::handshake::Request;

/// The handler of a server that does not start.
struct Unreachable;

impl Handler for Unreachable {
    type Peer = ();
    type Note = ();

    fn request(&mut self, _: &Request<'_>, _: Caller, _: &mut Ctx<'_, ()>) -> Decision<()> {
        unreachable!()
    }

    fn message(&mut self, _: &mut Conn<'_, ()>, _: Message<'_>) {
        unreachable!()
    }
}

/// Asks for a WebSocket on a connection that is turned away.
fn is_turned_away(server: &TestServer) {
    let mut stream = dial(server.addr);
    let (answer, end) = read_all(&mut stream);
    end.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\nRetry-After: "), "{answer}");
}

#[test]
fn max_connections_is_one_count_over_all_workers() {
    for (workers, share) in [(1, true), (3, true), (3, false)] {
        let server = TestServer::start(App::echo(), |builder| {
            builder
                .workers(workers)
                .share_port(share)
                .max_connections(20)
        });
        let mut clients: Vec<Client> = (0..20).map(|_| server.client("/")).collect();
        for round in 0..5 {
            is_turned_away(&server);
            let end = server.closed();
            assert_eq!(
                (end.opened, end.cause),
                (false, CloseCause::TooManyConnections)
            );
            // One goes, one may come.
            drop(clients.remove(round));
            assert_eq!(server.closed().cause, CloseCause::Lost);
            until("there is room", || server.connections() == 19);
            clients.push(server.client("/"));
        }
        for client in &mut clients {
            client.echo("still here");
        }
    }
}

#[test]
fn who_is_turned_away_does_not_take_the_place_of_others() {
    let server = TestServer::start(App::echo(), |builder| builder.max_connections(1));
    let first = server.client("/");
    server.opened();
    let _stays = dial(server.addr);
    until("it is turned away", || server.connections() == 2);
    drop(first);
    assert_eq!(server.closed().cause, CloseCause::Lost);
    server.client("/").echo("hello");
}

#[test]
fn who_is_turned_away_and_stays_is_dropped_and_far_too_many_are_at_once() {
    let mut timeouts = Timeouts::default();
    timeouts.close = Duration::from_millis(300);
    let server = TestServer::start(App::echo(), |builder| {
        builder.max_connections(0).timeouts(timeouts)
    });
    let mut crowd: Vec<TcpStream> = (0..400).map(|_| dial(server.addr)).collect();
    let mut told = 0;
    for stream in &mut crowd {
        let (answer, _) = read_all(stream);
        told += usize::from(answer.starts_with(b"HTTP/1.1 503 "));
    }
    assert!(told >= 256, "{told} were told");
    until("nobody is left", || server.connections() == 0);
}

#[test]
fn a_port_that_another_process_has_is_an_error_at_once() {
    let test = "a_port_that_another_process_has_is_an_error_at_once";
    if let Some(role) = role() {
        // One worker or two, who would let others share their port.
        let workers = role.parse().unwrap();
        let server = TestServer::start(App::echo(), |builder| builder.workers(workers));
        say(&server.addr.to_string());
        obey(|line| line.into());
        return;
    }
    for theirs in ["1", "2"] {
        let child = Child::start(test, theirs);
        let addr = child.line();
        for (workers, share) in [(1, true), (2, true), (2, false)] {
            let error = Server::builder()
                .listen(&addr)
                .unwrap()
                .workers(workers)
                .share_port(share)
                .start(|_| Unreachable)
                .expect_err("the port is taken");
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        // All of the connections still go there.
        let addr = addr.parse().unwrap();
        for _ in 0..20 {
            Client::connect(addr, "/").echo("hello");
        }
    }
}

/// The server's process may have few open files; more clients come than it can take.
#[cfg(unix)]
#[test]
fn too_many_open_files_neither_end_nor_spin_the_loop() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    use rustix::time::{ClockId, clock_gettime};

    const OPEN_FILES: u64 = 60;
    let test = "too_many_open_files_neither_end_nor_spin_the_loop";
    if let Some(role) = role() {
        let workers = role.parse().unwrap();
        let maximum = getrlimit(Resource::Nofile).maximum;
        let limit = Rlimit {
            current: Some(OPEN_FILES),
            maximum,
        };
        setrlimit(Resource::Nofile, limit).unwrap();
        let server = TestServer::start(App::echo(), |builder| builder.workers(workers));
        say(&server.addr.to_string());
        // To anything it answers with the time that this process has been computing.
        obey(|_| {
            let time = clock_gettime(ClockId::ProcessCPUTime);
            (time.tv_sec * 1000 + time.tv_nsec / 1_000_000).to_string()
        });
        return;
    }
    for workers in ["1", "2"] {
        let mut child = Child::start(test, workers);
        let addr = child.line().parse().unwrap();
        let mut first: Vec<Client> = (0..10).map(|_| Client::connect(addr, "/")).collect();
        // The system takes their connections and requests, the server cannot accept all of them.
        let crowd: Vec<TcpStream> = (0..100)
            .map(|_| {
                let mut stream = dial(addr);
                stream.write_all(request("/").as_bytes()).unwrap();
                stream
            })
            .collect();
        let before: u64 = child.ask("cpu").parse().unwrap();
        let begin = Instant::now();
        let mut rounds = 0;
        while begin.elapsed() < Duration::from_millis(1500) {
            for client in &mut first {
                client.echo("served all the while");
            }
            rounds += 1;
            thread::sleep(Duration::from_millis(100));
        }
        let spent = child.ask("cpu").parse::<u64>().unwrap() - before;
        assert!(rounds > 0 && spent < 700, "computed for {spent} ms of 1500");
        // Files come free: everybody else gets in.
        drop(first);
        // In whatever order: with two workers the one may take all that come free, as long as the other waits.
        thread::scope(|scope| {
            for mut stream in crowd {
                scope.spawn(move || stream.read_exact(&mut [0]).expect("the answer"));
            }
        });
    }
}
