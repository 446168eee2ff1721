//! Peers that read slowly or not at all: the others do not wait for them, and what is kept for them is bounded.

mod common;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::client::{Client, Received, dial_narrow, frame};
use common::server::{App, TestServer};
use common::until;
use wirefan_eventloop::{AtLimit, Backpressure, CloseCause, Conn, Message, Sent, Timeouts};
use wirefan_protocol::CloseCode;

/// What the room is sent: far more than the system keeps for a socket.
const MESSAGES: usize = 1000;
const LEN: usize = 16 * 1024;
/// The limit of the backlog.
const LIMIT: usize = 256 * 1024;

fn marks(at_limit: AtLimit) -> Backpressure {
    let mut marks = Backpressure::default();
    marks.low = LIMIT / 4;
    marks.high = LIMIT / 2;
    marks.limit = LIMIT;
    marks.at_limit = at_limit;
    marks
}

/// A room in which `/slow` tells its backlog every few milliseconds and the most of it is kept.
fn room(at_limit: AtLimit) -> (TestServer, Arc<AtomicUsize>) {
    room_with(at_limit, |_| {})
}

/// The same, with something to do where the backlog has fallen to the low mark.
fn room_with(
    at_limit: AtLimit,
    on_drained: impl Fn(&mut Conn<'_, String>) + Send + Sync + 'static,
) -> (TestServer, Arc<AtomicUsize>) {
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    let app = App::echo()
        .on_open(|conn| {
            conn.subscribe("room");
            if conn.peer() == "/slow" {
                conn.set_timer(Duration::ZERO);
            }
        })
        .on_timer(move |conn| {
            seen.fetch_max(conn.backlog(), Ordering::SeqCst);
            conn.set_timer(Duration::from_millis(5));
        })
        .on_message(|conn, message| conn.publish("room", message))
        .on_drained(on_drained);
    let mut timeouts = Timeouts::default();
    timeouts.close = Duration::from_secs(25);
    let server = TestServer::start(app, |builder| {
        builder.backpressure(marks(at_limit)).timeouts(timeouts)
    });
    (server, most)
}

fn numbered(i: usize) -> String {
    format!("{i:06}{}", "x".repeat(LEN - 6))
}

fn number(text: &str) -> usize {
    text[..6].parse().expect("a number")
}

/// Publishes everything, at the pace of some members that read it. Returns after how many messages the room first had
/// a member less.
fn publish_past_the_slow_one(server: &TestServer) -> Option<usize> {
    let mut publisher = server.client("/");
    let mut fast: Vec<Client> = (0..3).map(|_| server.client("/")).collect();
    let mut cut = None;
    for i in 0..MESSAGES {
        publisher.send_text(&numbered(i));
        for client in &mut fast {
            assert_eq!(number(&client.next_text()), i);
        }
        let members = server.on_worker(0, |server| server.members("room"));
        if members < fast.len() + 2 && cut.is_none() {
            cut = Some(i + 1);
        }
    }
    cut
}

#[test]
fn a_slow_reader_is_closed_at_the_limit_and_stalls_nobody() {
    let (server, most) = room(AtLimit::Close(CloseCode::TRY_AGAIN_LATER));
    let mut slow = Client::over(dial_narrow(server.addr), "/slow");
    let id = server.opened();
    let cut = publish_past_the_slow_one(&server).expect("it is closed");
    // It gets the beginning without a gap, the frame that was begun whole, and why it is cut off.
    let mut next = 0;
    loop {
        match slow.next() {
            Received::Text(text) => {
                assert_eq!(number(&text), next);
                next += 1;
            }
            Received::Close(code, reason) => {
                assert_eq!(code, Some(CloseCode::TRY_AGAIN_LATER), "{reason}");
                break;
            }
            other => panic!("{other:?} after {next} messages"),
        }
    }
    // What waited for it, most of the limit, was discarded.
    assert!(next > 0, "it got nothing");
    assert!(
        next + LIMIT / LEN / 2 < cut,
        "{next} of {cut} messages came"
    );
    assert_eq!(slow.next(), Received::End);
    let end = loop {
        let end = server.closed();
        if end.id == id {
            break end;
        }
    };
    assert_eq!(end.cause, CloseCause::SlowReader);
    let most = most.load(Ordering::SeqCst);
    assert!(most <= LIMIT + LEN + 100, "{most} bytes were kept");
}

#[test]
fn a_slow_reader_misses_messages_where_they_are_dropped_and_then_goes_on() {
    let all_published = Arc::new(AtomicBool::new(false));
    let there_is_room = Arc::clone(&all_published);
    let (server, most) = room_with(AtLimit::Drop, move |conn| {
        if there_is_room.load(Ordering::SeqCst) {
            assert_eq!(conn.send_text(&numbered(MESSAGES)), Sent::Queued);
        }
    });
    let mut slow = Client::over(dial_narrow(server.addr), "/slow");
    assert_eq!(publish_past_the_slow_one(&server), None);
    until("the limit is reached", || {
        most.load(Ordering::SeqCst) >= LIMIT
    });
    let most = most.load(Ordering::SeqCst);
    assert!(most <= LIMIT + LEN + 100, "{most} bytes were kept");
    all_published.store(true, Ordering::SeqCst);
    // Read until the message comes that was sent when there was room again.
    let (mut next, mut missed) = (0, 0);
    while next <= MESSAGES {
        let i = number(&slow.next_text());
        assert!(i >= next, "{i} came behind {next}");
        missed += i - next;
        next = i + 1;
    }
    assert!(missed > 0);
}

#[test]
fn who_sends_and_does_not_read_is_not_read_from_and_loses_nothing() {
    const ECHOES: usize = 3000;
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    let app = App::echo().on_message(move |conn, message| {
        assert_ne!(conn.send(message), Sent::Dropped);
        seen.fetch_max(conn.backlog(), Ordering::SeqCst);
    });
    let server = TestServer::start(app, |builder| builder);
    let mut client = Client::over(dial_narrow(server.addr), "/");
    let mut writer = client.stream.try_clone().expect("the same socket");
    let written = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..ECHOES {
                let bytes = frame(0x81, numbered(i).as_bytes());
                writer.write_all(&bytes).expect("send");
                written.store(i + 1, Ordering::SeqCst);
            }
        });
        // The others are served meanwhile, until nothing more can be written.
        let mut other = server.client("/");
        let mut before = usize::MAX;
        while before != written.load(Ordering::SeqCst) {
            before = written.load(Ordering::SeqCst);
            for _ in 0..50 {
                other.echo("hello");
                thread::sleep(Duration::from_millis(2));
            }
        }
        for i in 0..ECHOES {
            assert_eq!(number(&client.next_text()), i);
        }
    });
    let most = most.load(Ordering::SeqCst);
    // The high mark, and the echo of one read.
    let bound = Backpressure::default().high + 2 * 512 * 1024;
    assert!(most <= bound, "{most} bytes were kept");
}

#[test]
fn sending_tells_what_has_become_of_a_message() {
    let app = App::echo().on_message(|conn, message| {
        let Message::Text(text) = message else { return };
        if text == "fill" {
            let mut said = Vec::new();
            let mut kept = 0;
            loop {
                let sent = conn.send_text(&numbered(said.len()));
                if said.last() != Some(&sent) {
                    said.push(sent);
                }
                if sent == Sent::Dropped {
                    break;
                }
                kept += 1;
            }
            assert_eq!(said, [Sent::Queued, Sent::Full, Sent::Dropped]);
            assert!(kept >= LIMIT / (LEN + 100));
        }
    });
    let app = app.on_drained(|conn| {
        assert!(conn.backlog() <= LIMIT / 4);
        assert_eq!(conn.send_text("drained"), Sent::Queued);
    });
    let server = TestServer::start(app, |builder| builder.backpressure(marks(AtLimit::Drop)));
    let mut client = Client::over(dial_narrow(server.addr), "/");
    client.send_text("fill");
    while client.next_text() != "drained" {}
}

/// Reading is paused for much longer than a peer may be silent; the peer answers pings and is not to blame.
#[test]
fn a_paused_connection_is_not_heard_and_not_given_up() {
    let resumed = Arc::new(AtomicBool::new(false));
    let (resuming, hearing) = (Arc::clone(&resumed), Arc::clone(&resumed));
    let app = App::echo()
        .on_message(move |conn, message| match message {
            Message::Text("pause") => {
                conn.pause_reading();
                conn.set_timer(Duration::from_millis(2500));
                let _ = conn.send_text("paused");
            }
            message => {
                assert!(hearing.load(Ordering::SeqCst), "heard while paused");
                let _ = conn.send(message);
            }
        })
        .on_timer(move |conn| {
            resuming.store(true, Ordering::SeqCst);
            conn.resume_reading();
        });
    let mut timeouts = Timeouts::default();
    timeouts.ping = Some(Duration::from_millis(100));
    timeouts.pong = Duration::from_secs(1);
    let server = TestServer::start(app, |builder| builder.timeouts(timeouts));
    let mut client = server.client("/");
    client.send_text("pause");
    assert_eq!(client.next_text(), "paused");
    for _ in 0..2 {
        assert!(matches!(client.next(), Received::Ping(_)));
    }
    for i in 0..100 {
        client.send_text(&i.to_string());
    }
    for i in 0..100 {
        assert_eq!(client.next_text(), i.to_string());
    }
}
