//! Each time limit, with a real clock. Nothing here is asserted about lateness but that it happens at all: a busy
//! machine may be late as it likes.

mod common;

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::client::{Received, dial, dial_narrow, exchange, frame, read_all, request, upgrade};
use common::server::{App, Seen, TestServer};
use wirefan_eventloop::{CloseCause, Decision, Message, Timeouts};
use wirefan_protocol::handshake::Reply;
use wirefan_protocol::{CloseCode, Overdue};

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(300);

fn timeouts(set: impl FnOnce(&mut Timeouts)) -> Timeouts {
    let mut timeouts = Timeouts::default();
    timeouts.handshake = NEVER;
    timeouts.ping = None;
    timeouts.pong = NEVER;
    timeouts.close = NEVER;
    set(&mut timeouts);
    timeouts
}

fn start(app: App, timeouts: Timeouts) -> TestServer {
    TestServer::start(app, |builder| builder.timeouts(timeouts))
}

#[test]
fn a_half_open_peer_is_found_by_ping_and_one_that_answers_stays() {
    let server = start(
        App::echo(),
        timeouts(|timeouts| {
            timeouts.ping = Some(SHORT);
            timeouts.pong = 6 * SHORT;
        }),
    );
    let begin = Instant::now();
    let mut alive = server.client("/");
    let id = server.opened();
    let mut silent = dial(server.addr);
    upgrade(&mut silent, "/");
    let silent_id = server.opened();
    // As long as this one reads it answers: while the silent one is found, and beyond.
    let end = loop {
        assert!(matches!(alive.next(), Received::Ping(_)));
        let closed = server.rest().into_iter().find_map(|seen| match seen {
            Seen::Closed(end) => Some(end),
            _ => None,
        });
        if let Some(end) = closed {
            break end;
        }
    };
    assert_eq!(
        (end.id, end.cause),
        (silent_id, CloseCause::Timeout(Overdue::Pong))
    );
    assert!(end.when - begin >= 6 * SHORT, "given up too early");
    assert!(matches!(alive.next(), Received::Ping(_)));
    alive.echo("still here");
    // The peer, were it there, would be told: a ping, and a Close with 1008.
    let (bytes, _) = read_all(&mut silent);
    assert!(
        bytes.starts_with(b"\x89\x08")
            && bytes[10] == 0x88
            && bytes[12..].starts_with(&[0x03, 0xf0]),
        "{}",
        bytes.escape_ascii()
    );
    assert_ne!(id, silent_id);
}

#[test]
fn a_connection_without_messages_is_idle_though_it_answers_pings() {
    let server = start(
        App::echo(),
        timeouts(|timeouts| {
            timeouts.ping = Some(SHORT / 3);
            timeouts.idle = Some(3 * SHORT);
        }),
    );
    let mut client = server.client("/");
    let opened = Instant::now();
    let mut pings = 0;
    loop {
        match client.next() {
            Received::Ping(_) => pings += 1,
            Received::Close(code, _) => {
                assert_eq!(code, Some(CloseCode::GOING_AWAY));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(pings > 0);
    let end = server.closed();
    assert_eq!(end.cause, CloseCause::Timeout(Overdue::Idle));
    assert!(end.when - opened >= 2 * SHORT, "closed too early");
}

/// A message counts whoever sends it: `/silent` never answers, `/talking` talks by itself.
#[test]
fn idleness_is_counted_from_the_last_message_either_way() {
    let idle = 2 * SHORT;
    for path in ["/silent", "/talking"] {
        let begin = Instant::now();
        let last = Arc::new(Mutex::new(begin));
        let (heard, said) = (Arc::clone(&last), Arc::clone(&last));
        let app = App::echo()
            .on_open(|conn| {
                if conn.peer() == "/talking" {
                    conn.set_timer(Duration::ZERO);
                }
            })
            .on_message(move |_, _| *heard.lock().unwrap() = Instant::now())
            .on_timer(move |conn| {
                *said.lock().unwrap() = Instant::now();
                let _ = conn.send_text("busy");
                if begin.elapsed() < 2 * idle {
                    conn.set_timer(idle / 10);
                }
            });
        let server = start(app, timeouts(|timeouts| timeouts.idle = Some(idle)));
        let mut client = server.client(path);
        let mut writer = client.stream.try_clone().unwrap();
        let sending = thread::spawn(move || {
            while path == "/silent" && begin.elapsed() < 2 * idle {
                let _ = writer.write_all(&frame(0x81, b"busy"));
                thread::sleep(idle / 10);
            }
        });
        while client.next() == Received::Text("busy".into()) {}
        let closed = Instant::now();
        // It may be sooner than expected, if the machine is so busy that a message was too late. And the clock of a
        // turn is a little older than this one.
        let quiet = closed - *last.lock().unwrap();
        assert!(quiet >= idle / 2, "closed after {quiet:?} of {path}");
        sending.join().unwrap();
        drop(client);
        let cause = server.closed().cause;
        assert_eq!(cause, CloseCause::Timeout(Overdue::Idle));
    }
}

#[test]
fn a_handshake_that_dribbles_is_cut_off_however_lively_it_is() {
    let limit = 2 * SHORT;
    let server = start(
        App::echo(),
        timeouts(|timeouts| {
            timeouts.handshake = limit;
            timeouts.close = SHORT;
        }),
    );
    let begin = Instant::now();
    let mut stream = dial(server.addr);
    let head = format!("{}X-Slow: {}", request("/").trim_end(), "z".repeat(10_000));
    for byte in head.as_bytes() {
        // It fails when the server has gone.
        if stream.write_all(&[*byte]).is_err() || begin.elapsed() > 10 * limit {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let (answer, _) = read_all(&mut stream);
    // What was sent meanwhile may have had the answer thrown away by a reset.
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408 "));
    drop(stream);
    let end = server.closed();
    assert_eq!(
        (end.opened, end.cause),
        (false, CloseCause::Timeout(Overdue::Handshake))
    );
    assert!(end.when - begin >= limit, "cut off too early");
}

#[test]
fn who_says_nothing_is_told_408() {
    let server = start(App::echo(), timeouts(|timeouts| timeouts.handshake = SHORT));
    let answer = exchange(server.addr, b"", false);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let cause = server.closed().cause;
    assert_eq!(cause, CloseCause::Timeout(Overdue::Handshake));
}

#[test]
fn a_decision_that_does_not_come_is_waited_for_as_long_as_a_handshake() {
    let app = App::echo().on_request(|_, _| Decision::Later);
    let server = start(app, timeouts(|timeouts| timeouts.handshake = SHORT));
    let answer = exchange(server.addr, request("/").as_bytes(), false);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let cause = server.closed().cause;
    assert_eq!(cause, CloseCause::Timeout(Overdue::Handshake));
}

#[test]
fn a_close_that_is_not_answered_is_not_waited_for_for_ever() {
    let app = App::echo().on_message(|conn, _| conn.close(CloseCode(4001), "bye").unwrap());
    let server = start(app, timeouts(|timeouts| timeouts.close = SHORT));
    let mut stream = dial(server.addr);
    upgrade(&mut stream, "/");
    stream.write_all(b"\x81\x80\0\0\0\0").unwrap();
    let mut close = [0; 7];
    stream.read_exact(&mut close).unwrap();
    assert_eq!(&close, b"\x88\x05\x0f\xa1bye");
    let told = Instant::now();
    // It goes on sending, but a Close is not among it.
    while stream.write_all(b"\x82\x80\0\0\0\0").is_ok() {
        assert!(told.elapsed() < common::PATIENCE, "it is never cut off");
        thread::sleep(Duration::from_millis(5));
    }
    let end = server.closed();
    assert_eq!(
        end.cause,
        CloseCause::WeClosed {
            code: CloseCode(4001)
        }
    );
    assert!(end.when - told >= SHORT / 2, "cut off too early");
}

#[test]
fn an_end_of_the_transport_that_does_not_come_is_not_waited_for_for_ever() {
    let server = start(App::echo(), timeouts(|timeouts| timeouts.close = SHORT));
    let mut client = server.client("/");
    client.send_raw(b"\x83\x80\0\0\0\0");
    match client.next() {
        Received::Close(code, _) => assert_eq!(code, Some(CloseCode::PROTOCOL_ERROR)),
        other => panic!("{other:?}"),
    }
    // The client keeps its side open.
    assert_eq!(server.closed().cause.name(), "protocol_error");
}

/// Whoever asks for a page and does not read it is not waited for either, nor written to beyond it.
#[test]
fn an_http_answer_that_is_not_read_ends_too() {
    const LEN: usize = 32 * 1024 * 1024;
    let app =
        App::echo().on_request(|_, _| Decision::Answer(Reply::new(200).body(vec![b'x'; LEN])));
    let server = start(
        app,
        timeouts(|timeouts| {
            timeouts.handshake = SHORT;
            timeouts.close = SHORT;
        }),
    );
    let mut stream = dial_narrow(server.addr);
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert_eq!(server.closed().cause, CloseCause::Answered(200));
    let (answer, _) = read_all(&mut stream);
    assert!(answer.len() < LEN);
    let nothing_else = |byte: &u8| *byte == b'x';
    let body = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    assert!(answer[body.unwrap() + 4..].iter().all(nothing_else));
}

#[test]
fn a_timer_comes_once_and_can_be_moved_and_forgotten() {
    let app = App::echo()
        .on_message(|conn, message| {
            if let Message::Text(text) = message {
                match text.parse() {
                    Ok(millis) => conn.set_timer(Duration::from_millis(millis)),
                    Err(_) => conn.clear_timer(),
                }
            }
        })
        .on_timer(|conn| {
            let _ = conn.send_text("timer");
        });
    let server = start(app, timeouts(|_| {}));
    let mut client = server.client("/");
    let begin = Instant::now();
    client.send_text("600000");
    client.send_text("300");
    assert_eq!(client.next_text(), "timer");
    assert!(begin.elapsed() >= Duration::from_millis(290));
    client.send_text("0");
    assert_eq!(client.next_text(), "timer");
    client.send_text("100");
    client.send_text("forget");
    client.send_ping(b"");
    assert_eq!(client.next(), Received::Pong(Vec::new()));
    thread::sleep(Duration::from_millis(300));
    client.send_ping(b"again");
    assert_eq!(client.next(), Received::Pong(b"again".into()));
}
