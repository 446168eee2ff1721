//! Deploys and lifetimes: connections leave over a window, nobody comes in, and the exit code tells how it went.
#![cfg(unix)]

mod common;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use common::{Received, Wirefan};
use wirefan_protocol::CloseCode;

#[test]
fn a_deploy_lets_connections_go_over_a_window() {
    let args = [
        "broadcast",
        "--shutdown-spread",
        "2s",
        "--shutdown-code",
        "1012",
    ];
    let mut server = Wirefan::start(&[&args[..], &["--workers", "2"]].concat());
    let mut clients: Vec<_> = (0..40).map(|_| server.connect("/")).collect();
    server.await_members("/", 40);
    server.signal("TERM");
    let line = server.line_with("SIGTERM");
    assert!(
        line.contains("1012") && line.contains("over 2s, for at most 12s"),
        "{line}"
    );
    let begin = Instant::now();
    let refused = |error: std::io::Error| error.kind() == ErrorKind::ConnectionRefused;
    while !TcpStream::connect(server.addr).is_err_and(refused) {
        assert!(begin.elapsed() < common::PATIENCE, "it still listens");
    }
    let mut ends: Vec<Duration> = thread::scope(|scope| {
        let ends: Vec<_> = (clients.iter_mut())
            .map(|client| {
                scope.spawn(move || {
                    assert_eq!(
                        client.next(),
                        Received::Close(Some(CloseCode::SERVICE_RESTART))
                    );
                    begin.elapsed()
                })
            })
            .collect();
        ends.into_iter().map(|end| end.join().unwrap()).collect()
    });
    ends.sort_unstable();
    assert!(ends[39] - ends[0] > Duration::from_millis(500), "{ends:?}");
    drop(clients);
    assert_eq!(server.wait().code(), Some(0));
    let line = server.line_with("ended");
    assert!(line.contains("left=40"), "{line}");
}

#[test]
#[cfg(target_os = "linux")]
fn the_next_server_may_have_the_port_already() {
    let args = ["echo", "--reuse-port", "--workers", "1"];
    let mut old = Wirefan::start(&args);
    let mut client = old.connect("/");
    let listen = old.addr.to_string();
    let new = Wirefan::start_on(&listen, &args);
    assert_eq!(new.addr, old.addr);
    old.signal("TERM");
    assert_eq!(client.next(), Received::Close(Some(CloseCode::GOING_AWAY)));
    drop(client);
    assert_eq!(old.wait().code(), Some(0));
    for _ in 0..10 {
        let mut client = new.connect("/");
        client.send_text("hello");
        assert_eq!(client.next(), common::text("hello"));
    }
}

#[test]
fn a_connection_ends_with_its_lifetime() {
    let args = [
        "echo",
        "--max-lifetime",
        "500ms",
        "--jitter",
        "0",
        "--shutdown-code",
        "1012",
    ];
    let server = Wirefan::start(&args);
    let begin = Instant::now();
    let mut client = server.connect("/");
    assert_eq!(
        client.next(),
        Received::Close(Some(CloseCode::SERVICE_RESTART))
    );
    assert!(begin.elapsed() >= Duration::from_millis(500));
    assert!(server.line_with("disconnected").contains("lifetime_over"));
}
