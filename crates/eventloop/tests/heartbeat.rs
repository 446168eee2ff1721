//! Round-trip times, jitter, lifetimes, on real sockets.

mod common;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::PATIENCE;
use common::client::{Client, Received, frame};
use common::server::{App, Seen, TestServer};
use wirefan_eventloop::{CloseCause, Conn, Timeouts};
use wirefan_protocol::{CloseCode, Overdue};

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(600);

fn quiet() -> Timeouts {
    let mut timeouts = Timeouts::default();
    timeouts.ping = None;
    timeouts.pong = NEVER;
    timeouts.close = NEVER;
    timeouts
}

/// The next pong that the handler is told of.
fn pong(server: &TestServer) -> (Vec<u8>, Option<Duration>) {
    loop {
        if let Seen::Pong(_, payload, rtt) = server.seen() {
            return (payload, rtt);
        }
    }
}

#[test]
fn the_loop_s_own_pings_are_measured_and_nothing_else_counts() {
    let mut timeouts = quiet();
    timeouts.ping = Some(Duration::from_millis(300));
    timeouts.pong = Duration::from_secs(3);
    timeouts.jitter = 0;
    let app = App::echo().on_message(|conn, _| assert_eq!(conn.rtt(), None));
    let server = TestServer::start(app, |builder| builder.timeouts(timeouts));
    let mut client = server.client("/");
    for payload in [&b""[..], b"12345678", b"nobody asked"] {
        client.send_raw(&frame(0x8a, payload));
        assert_eq!(pong(&server), (payload.to_vec(), None));
    }
    client.send_text("not yet");
    let begin = Instant::now();
    let Received::Ping(first) = client.next() else {
        panic!("a ping");
    };
    assert_eq!(first.len(), 8);
    let (payload, rtt) = pong(&server);
    assert_eq!(payload, first);
    let rtt = rtt.expect("a round-trip time");
    assert!(rtt > Duration::ZERO && rtt <= begin.elapsed(), "{rtt:?}");
    // The same answer again is none.
    client.send_raw(&frame(0x8a, &first));
    assert_eq!(pong(&server), (first.clone(), None));
    let Received::Ping(second) = client.next() else {
        panic!("a ping");
    };
    assert_ne!(second, first);
}

#[test]
fn an_answer_that_is_late_shows_it() {
    const LATE: Duration = Duration::from_millis(400);
    let (tell, told) = mpsc::channel();
    let app = App::echo().on_message(move |conn, _| {
        conn.ping().expect("a ping");
        conn.send_ping(b"mine").expect("a ping");
        tell.send(()).expect("the test");
    });
    let server = TestServer::start(app, |builder| builder.timeouts(quiet()));
    let mut client = server.client("/");
    client.send_text("go");
    told.recv_timeout(PATIENCE).expect("the ping");
    // The client answers where it reads.
    thread::sleep(LATE);
    assert!(matches!(client.next(), Received::Ping(_)));
    let (_, rtt) = pong(&server);
    assert!(rtt.expect("a round-trip time") >= LATE);
    assert_eq!(client.next(), Received::Ping(b"mine".into()));
    assert_eq!(pong(&server), (b"mine".to_vec(), None));
}

/// All have come at once and are quiet: their pings come over the last half of the interval.
#[test]
fn connections_that_came_together_are_not_pinged_together() {
    // A machine that stands still for a second brings them together, but hardly each time.
    assert!((0..5).any(|_| spread_of_pings() >= Duration::from_millis(200)));
}

/// How long after the first of them the last of many connections has its first ping.
fn spread_of_pings() -> Duration {
    const CLIENTS: usize = 40;
    let mut timeouts = quiet();
    timeouts.ping = Some(Duration::from_secs(2));
    timeouts.jitter = 50;
    let app = App::echo().on_open(|conn| conn.set_timer(Duration::ZERO));
    let server = TestServer::start(app, |builder| builder.timeouts(timeouts));
    let waits: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = server.client("/");
            let begin = Instant::now();
            thread::spawn(move || {
                assert!(matches!(client.next(), Received::Ping(_)));
                begin.elapsed()
            })
        })
        .collect();
    let mut waits: Vec<Duration> = waits.into_iter().map(|wait| wait.join().unwrap()).collect();
    waits.sort_unstable();
    waits[CLIENTS - 1] - waits[0]
}

fn busy(client: &mut Client) -> (Option<CloseCode>, String) {
    for number in 0.. {
        if client.is_open() {
            client.send_text(&number.to_string());
        }
        match client.next() {
            Received::Text(text) => assert_eq!(text, number.to_string()),
            Received::Close(code, reason) => return (code, reason),
            other => panic!("{other:?}"),
        }
    }
    unreachable!()
}

#[test]
fn a_busy_connection_ends_with_its_lifetime_behind_what_it_was_sent() {
    for code in [None, Some(CloseCode::SERVICE_RESTART)] {
        let mut timeouts = quiet();
        timeouts.lifetime = Some(Duration::from_millis(700));
        timeouts.jitter = 0;
        let server = TestServer::start(App::echo(), |builder| {
            let builder = builder.timeouts(timeouts);
            match code {
                Some(code) => builder.lifetime_code(code),
                None => builder,
            }
        });
        let begin = Instant::now();
        let mut client = server.client("/");
        let (got, reason) = busy(&mut client);
        assert_eq!(got, Some(code.unwrap_or(CloseCode::GOING_AWAY)));
        assert_eq!(reason, "time for a new connection");
        assert!(begin.elapsed() >= Duration::from_millis(700));
        assert_eq!(client.next(), Received::End);
        let cause = server.closed().cause;
        assert_eq!(cause, CloseCause::Timeout(Overdue::Lifetime));
        assert_eq!(cause.name(), "lifetime_over");
    }
}

#[test]
fn the_application_may_ping_and_be_told_in_the_same_handler() {
    fn note(conn: &mut Conn<'_, String>) {
        let text = match conn.rtt() {
            Some(rtt) => format!("{} us", rtt.as_micros()),
            None => "unknown".into(),
        };
        let _ = conn.send_text(&text);
    }
    let app = App::echo().on_message(|conn, _| {
        note(conn);
        conn.ping().expect("a ping");
    });
    let server = TestServer::start(app, |builder| builder.timeouts(quiet()));
    let mut client = server.client("/");
    client.send_text("go");
    assert_eq!(client.next_text(), "unknown");
    assert!(matches!(client.next(), Received::Ping(_)));
    pong(&server);
    client.send_text("go");
    assert!(client.next_text().ends_with(" us"));
}
