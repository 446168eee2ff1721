//! Leaving well, on real sockets: over a window, what was sent first, counted, and with another server in the place.

mod common;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use common::client::{Client, Received, dial, upgrade};
use common::server::{App, TestServer};
use common::{noise, until};
use wirefan_eventloop::{Server, Shutdown};
use wirefan_protocol::CloseCode;

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(600);

fn spread(spread: Duration) -> Shutdown {
    let mut how = Shutdown::from(NEVER);
    how.spread = spread;
    how.code = CloseCode::SERVICE_RESTART;
    how.reason = "a new version comes".into();
    how
}

#[test]
fn connections_leave_over_the_window_and_nobody_comes_in_meanwhile() {
    const CLIENTS: usize = 60;
    const WINDOW: Duration = Duration::from_secs(3);
    let server = TestServer::start(App::echo(), |builder| builder.workers(2));
    let clients: Vec<Client> = (0..CLIENTS).map(|_| server.client("/")).collect();
    for _ in 0..CLIENTS {
        server.opened();
    }
    let begin = Instant::now();
    let ends: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            thread::spawn(move || {
                let expected = Received::Close(
                    Some(CloseCode::SERVICE_RESTART),
                    "a new version comes".into(),
                );
                assert_eq!(client.next(), expected);
                let left = begin.elapsed();
                assert_eq!(client.next(), Received::End);
                left
            })
        })
        .collect();
    let remote = server.remote.clone();
    remote.shutdown(spread(WINDOW));
    assert!(remote.is_draining());
    until("the port is closed", || {
        TcpStream::connect(server.addr)
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
    let mut ends: Vec<Duration> = ends.into_iter().map(|end| end.join().unwrap()).collect();
    ends.sort_unstable();
    assert!(ends[CLIENTS - 1] - ends[0] > WINDOW / 4, "{ends:?}");
    server.shut_down(NEVER);
    let departures = remote.departures();
    assert_eq!(
        (departures.left, departures.lost, departures.cut),
        (60, 0, 0)
    );
}

#[test]
fn what_was_sent_arrives_before_the_close() {
    let app = App::echo().on_message(|conn, _| {
        for number in 0..200 {
            let mut data = noise(10_000);
            data[0] = number;
            let _ = conn.send_binary(&data);
        }
    });
    let server = TestServer::start(app, |builder| builder);
    let mut client = server.client("/");
    client.send_text("go");
    until("it is sent", || {
        server.on_worker(0, |server| server.connections()) == 1
    });
    let remote = server.remote.clone();
    let ending = thread::spawn(move || server.shut_down(NEVER));
    // The two megabytes do not fit into what the system keeps: most of them waits.
    for number in 0..200 {
        match client.next() {
            Received::Binary(data) => assert_eq!((data.len(), data[0]), (10_000, number)),
            other => panic!("{other:?}"),
        }
    }
    client.expect_close(CloseCode::GOING_AWAY);
    drop(client);
    ending.join().unwrap();
    assert!(remote.departures().is_clean());
}

#[test]
fn who_has_to_be_cut_is_told_of() {
    let server = TestServer::start(App::echo(), |builder| builder.workers(2));
    let mut good = server.client("/");
    let mut mute = dial(server.addr);
    upgrade(&mut mute, "/");
    let mut gone = dial(server.addr);
    upgrade(&mut gone, "/");
    for _ in 0..3 {
        server.opened();
    }
    let mut how = Shutdown::from(Duration::from_millis(500));
    how.spread = Duration::from_millis(100);
    let remote = server.remote.clone();
    remote.shutdown(how);
    drop(gone);
    good.expect_close(CloseCode::GOING_AWAY);
    until("all are gone", || {
        let departures = remote.departures();
        departures.left + departures.lost + departures.cut == 3
    });
    let departures = remote.departures();
    assert_eq!((departures.left, departures.cut), (1, 1));
    assert!(!departures.is_clean());
}

/// The old server lets go of its connections, and the new one has the port already.
#[test]
#[cfg(target_os = "linux")]
fn a_new_server_takes_over_the_port_where_both_want_it() {
    let start = |addr, reuse| {
        Server::builder()
            .listen(addr)
            .unwrap()
            .workers(2)
            .reuse_port(reuse)
            .start(|_| Echo)
    };
    let old = start(([127, 0, 0, 1], 0).into(), true).unwrap();
    let addr: std::net::SocketAddr = old.addrs()[0];
    // Who does not say that it shares does not get it.
    assert_eq!(start(addr, false).unwrap_err().kind(), ErrorKind::AddrInUse);
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(addr, "/")).collect();
    let new = start(addr, true).unwrap();
    let remote = old.remote();
    remote.shutdown(spread(Duration::from_secs(1)));
    until("the old one does not listen any more", || {
        listens(addr) == 2
    });
    let mut fresh: Vec<Client> = (0..20).map(|_| Client::connect(addr, "/")).collect();
    fresh.iter_mut().for_each(|client| client.echo("hello"));
    for client in &mut clients {
        client.expect_close(CloseCode::SERVICE_RESTART);
    }
    drop(clients);
    old.join().unwrap();
    assert_eq!(remote.departures().left, 20);
    fresh
        .iter_mut()
        .for_each(|client| client.echo("still here"));
    drop(fresh);
    new.shutdown(Duration::ZERO).unwrap();
}

/// How many sockets listen on a port.
#[cfg(target_os = "linux")]
fn listens(addr: std::net::SocketAddr) -> usize {
    let port = format!(":{:04X}", addr.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let lines = table.lines().skip(1).filter(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next().is_some_and(|local| local.ends_with(&port)) && words.nth(1) == Some("0A")
    });
    lines.count()
}

struct Echo;

impl wirefan_eventloop::Handler for Echo {
    type Peer = ();
    type Note = ();

    fn request(
        &mut self,
        _: &wirefan_protocol::handshake::Request<'_>,
        _: wirefan_eventloop::Caller,
        _: &mut wirefan_eventloop::Ctx<'_, ()>,
    ) -> wirefan_eventloop::Decision<()> {
        wirefan_eventloop::Decision::accept(())
    }

    fn message(
        &mut self,
        conn: &mut wirefan_eventloop::Conn<'_, ()>,
        message: wirefan_eventloop::Message<'_>,
    ) {
        let _ = conn.send(message);
    }
}
