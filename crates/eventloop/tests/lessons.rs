//! Ten lessons from what went wrong in other WebSocket servers, each as a test of a whole server. Memory is what the
//! allocator counts, clients included, which keep next to nothing.
//!
//! | lesson | also proven by |
//! |---|---|
//! | 1 limits hold for sums, and before the handshake is over | `http.rs` limits of head and body; protocol `limits.rs` |
//! | 2 lengths of 64 bits neither overflow nor reserve | protocol `limits.rs` a declared length allocates nothing |
//! | 3 the overhead of small units is counted | protocol `limits.rs` fragments, empty ones, answers to pings |
//! | 4 what goes out is bounded | `backpressure.rs`; `remote.rs` a mailbox that is full |
//! | 5 lists in headers are read in one go, whatever is in them | protocol `handshake_server/head.rs` long lists |
//! | 6 odd bytes are legal, or refused, and never a panic | `http.rs` garbage; protocol `chunking.rs`, `cuts.rs` |
//! | 7 what comes bit by bit is not worked through again | protocol `head.rs` a head that dribbles in, `limits.rs` joining fragments |
//! | 8 the origin is the handler's to check, as a whole | protocol `websocket.rs` origin |
//! | 9 refusals, closings and errors neither leak nor loop | `closing.rs`, `timeouts.rs`, `shutdown.rs` |
//! | 10 zero means zero, and every default is finite | protocol `limits.rs` limits of 0 |

mod common;

use std::alloc::System;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use common::client::{
    Client, Received, dial, dial_narrow, exchange, frame, read_all, request, upgrade,
};
use common::server::{App, TestServer};
use common::{PATIENCE, noise, until};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use wirefan_eventloop::{
    Acceptance, AtLimit, Backpressure, CloseCause, Decision, Message, Sent, Timeouts,
};
use wirefan_protocol::handshake::Reply;
use wirefan_protocol::{CloseCode, Config, Error};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// One test at a time, for they look at what the whole process has.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is allocated and not freed, in bytes.
fn live() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// A server with this configuration that has been at work, so that its buffers are there.
fn warm(app: App, config: Config) -> TestServer {
    let server = TestServer::start(app, |builder| builder.protocol(config));
    server.client("/").echo("hello");
    server.closed();
    server
}

fn open(server: &TestServer) -> TcpStream {
    let mut stream = dial(server.addr);
    upgrade(&mut stream, "/");
    stream
}

/// Waits until a connection has read all that was sent on it before.
fn is_heard(stream: &mut TcpStream) {
    stream.write_all(&frame(0x89, b"heard")).unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\x8a\x05heard") {
        let mut byte = [0];
        std::io::Read::read_exact(stream, &mut byte).expect("a pong");
        seen.push(byte[0]);
    }
}

#[test]
fn lesson_01_limits_hold_for_sums_and_before_the_handshake_is_over() {
    let _alone = alone();
    let mut config = Config::default();
    config.max_message = 1000;
    let server = warm(App::echo(), config);
    // Each fragment is within the limit, the sum is not.
    let mut client = server.client("/");
    client.send_raw(&frame(0x02, &noise(600)));
    client.send_raw(&frame(0x00, &noise(400)));
    client.send_raw(&frame(0x80, b""));
    assert_eq!(
        client.next(),
        Received::Binary([noise(600), noise(400)].concat())
    );
    client.send_raw(&frame(0x02, &noise(600)));
    client.send_raw(&frame(0x00, &noise(401)));
    client.expect_close(CloseCode::TOO_BIG);
    drop(client);
    assert_eq!(
        server.closed().cause,
        CloseCause::Protocol(Error::MessageTooLong)
    );
    // Many who have not shaken hands hold no more than a head each, however much they send.
    let before = live();
    let mut crowd: Vec<TcpStream> = (0..50).map(|_| dial(server.addr)).collect();
    for stream in &mut crowd {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
            .unwrap();
        let _ = stream.write_all(&[b'x'; 100 * KIB]);
        let (answer, _) = read_all(stream);
        assert!(answer.starts_with(b"HTTP/1.1 431 "));
    }
    let held = live().saturating_sub(before);
    assert!(held < 50 * 4 * KIB, "{held} bytes are held");
}

#[test]
fn lesson_02_lengths_of_64_bits_neither_overflow_nor_reserve() {
    let _alone = alone();
    let mut config = Config::default();
    config.max_message = 1 << 30;
    let server = warm(App::echo(), config);
    for (len, code) in [
        ((1 << 30) + 1, CloseCode::TOO_BIG),
        (i64::MAX as u64, CloseCode::TOO_BIG),
        (1 << 63, CloseCode::PROTOCOL_ERROR),
        (u64::MAX, CloseCode::PROTOCOL_ERROR),
        (65_535, CloseCode::PROTOCOL_ERROR),
        (0, CloseCode::PROTOCOL_ERROR),
    ] {
        let mut client = server.client("/");
        let mut bytes = b"\x82\xff".to_vec();
        bytes.extend(len.to_be_bytes());
        client.send_raw(&bytes);
        client.send_raw(&[0; 20]);
        client.expect_close(code);
    }
    // A hundred who announce a gigabyte that they may send, and send a little of it.
    let before = live();
    let mut crowd: Vec<TcpStream> = (0..100).map(|_| open(&server)).collect();
    for stream in &mut crowd {
        let mut bytes = b"\x02\xff".to_vec();
        bytes.extend((1_u64 << 30).to_be_bytes());
        bytes.extend([0; 4 + 1000]);
        stream.write_all(&bytes).unwrap();
    }
    server.client("/").echo("behind all of them");
    let held = live().saturating_sub(before);
    assert!(held < 100 * 4 * KIB, "{held} bytes are held");
}

#[test]
fn lesson_03_the_overhead_of_small_units_is_counted() {
    let _alone = alone();
    // Fragments of one byte cost a byte each.
    let server = warm(App::echo(), Config::default());
    let before = live();
    let mut stream = open(&server);
    stream.write_all(&frame(0x02, b"")).unwrap();
    stream
        .write_all(&frame(0x00, b"x").repeat(100_000))
        .unwrap();
    is_heard(&mut stream);
    let held = live().saturating_sub(before);
    assert!(held < 300 * KIB, "{held} bytes for 100,000 of one");
    // Empty ones cost nothing, and are counted all the same.
    let mut client = server.client("/");
    client.send_raw(&frame(0x02, b""));
    client.send_raw(&frame(0x00, b"").repeat(32));
    client.expect_close(CloseCode::POLICY);
    // Pings that nobody reads the answers to.
    let before = live();
    let mut narrow = dial_narrow(server.addr);
    upgrade(&mut narrow, "/");
    narrow
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let flood = frame(0x89, b"").repeat(10_000);
    let stuck = (0..1000).any(|_| narrow.write_all(&flood).is_err());
    assert!(stuck, "they were all taken");
    let held = live().saturating_sub(before);
    assert!(held < 2 * MIB, "{held} bytes for pongs");
    drop(narrow);
    // Messages of one byte that nobody reads: keeping one costs more than a byte, and is counted.
    let mut marks = Backpressure::default();
    marks.limit = MIB;
    marks.at_limit = AtLimit::Drop;
    let server = TestServer::start(App::echo(), |builder| builder.backpressure(marks));
    let mut narrow = dial_narrow(server.addr);
    upgrade(&mut narrow, "/");
    let id = server.opened();
    let before = live();
    let mut dropped = 0;
    let begin = Instant::now();
    while dropped < 1000 {
        assert!(begin.elapsed() < PATIENCE, "the limit is never reached");
        dropped = server.on_worker(0, move |server| {
            // More than the system takes for a socket, in the end.
            (0..20_000)
                .filter(|_| server.send(id, Message::Text("x")) == Sent::Dropped)
                .count()
        });
    }
    let held = live().saturating_sub(before);
    assert!(held < 3 * MIB, "{held} bytes for a limit of one MiB");
}

#[test]
fn lesson_04_what_goes_out_is_bounded() {
    let _alone = alone();
    const MEMBERS: usize = 20;
    let mut marks = Backpressure::default();
    marks.limit = 256 * KIB;
    marks.at_limit = AtLimit::Drop;
    let server = TestServer::start(App::rooms(), |builder| builder.backpressure(marks));
    let mut publisher = server.client("/room");
    let members: Vec<TcpStream> = (0..MEMBERS)
        .map(|_| {
            let mut stream = dial_narrow(server.addr);
            upgrade(&mut stream, "/room");
            stream
        })
        .collect();
    let before = live();
    // Sixteen mebibytes for each of them, none of whom reads.
    let bytes = frame(0x82, &noise(16 * KIB));
    for _ in 0..1000 {
        publisher.send_raw(&bytes);
    }
    publisher.send_ping(b"all of it");
    assert_eq!(publisher.next(), Received::Pong(b"all of it".into()));
    let held = live().saturating_sub(before);
    assert!(held < MEMBERS * 300 * KIB, "{held} bytes are held");
    drop(members);
    until("they are gone", || server.connections() == 1);
    let held = live().saturating_sub(before);
    assert!(held < 300 * KIB, "{held} bytes are left");
}

#[test]
fn lesson_05_lists_in_headers_are_read_in_one_go_whatever_is_in_them() {
    let _alone = alone();
    let app = App::echo().on_request(|request, _| {
        let mut acceptance = Acceptance::new(String::new());
        acceptance.protocol = request
            .protocols()
            .find(|protocol| *protocol == "chat")
            .map(Into::into);
        Decision::Accept(acceptance)
    });
    let server = warm(app, Config::default());
    let with = |lines: &str| {
        let plain = request("/");
        let bytes = format!("{}{lines}\r\n\r\n", &plain[..plain.len() - 2]);
        let answer = exchange(server.addr, bytes.as_bytes(), true);
        answer["HTTP/1.1 ".len()..][..3].to_owned()
    };
    let names = "constructor, __proto__, hasOwnProperty, toString, chat";
    let begin = Instant::now();
    for _ in 0..20 {
        let commas = ",".repeat(15_000);
        let spaces = " ".repeat(15_000);
        let words = "a, ".repeat(5000);
        for (lines, status) in [
            (format!("Sec-WebSocket-Protocol: {names}"), "101"),
            (format!("Sec-WebSocket-Extensions: {names}"), "101"),
            (
                format!("Sec-WebSocket-Extensions: a; b=\"{}", "\\\"".repeat(7000)),
                "400",
            ),
            (format!("Sec-WebSocket-Extensions: {words}"), "101"),
            (format!("Sec-WebSocket-Extensions: {commas}"), "400"),
            (format!("Connection: {words}"), "101"),
            (format!("Connection: {commas}"), "101"),
            (format!("Upgrade: a,{spaces},b"), "101"),
            ("Sec-WebSocket-Protocol: chat, \"chat\"".into(), "400"),
            (format!("Sec-WebSocket-Protocol: chat{spaces}x"), "400"),
        ] {
            assert_eq!(with(&lines), status, "{}", &lines[..30]);
        }
    }
    // 180 of them; read quadratically each took some hundred million steps.
    let took = begin.elapsed();
    assert!(took < PATIENCE / 2, "it took {took:?}");
}

#[test]
fn lesson_06_odd_bytes_are_legal_or_refused_and_never_a_panic() {
    let _alone = alone();
    let server = warm(App::echo(), Config::default());
    let right = request("/");
    let head = |from: &str, to: &[u8]| {
        let (before, after) = right.split_once(from).expect("a part of it");
        [before.as_bytes(), to, after.as_bytes()].concat()
    };
    for (bytes, status) in [
        (
            head("Host", b"User-Agent: \xfc\xff\x80 nobody\r\nHost"),
            "101",
        ),
        (head("Host", b"X-Empty:\r\nHost"), "101"),
        (head("Host: ", b"hOsT:\t "), "101"),
        (head("/ ", b"/%ff%00%zz? "), "101"),
        (
            head("Host", b"Sec-WebSocket-Protocol: caf\xc3\xa9\r\nHost"),
            "400",
        ),
        (head("Host", b"Origin: http://caf\xc3\xa9\r\nHost"), "400"),
        (head("/ ", b"/\xc3\xa9 "), "400"),
        (head("Host", b"X: a\0b\r\nHost"), "400"),
        (head("Host", b": no name\r\nHost"), "400"),
    ] {
        let mut stream = dial(server.addr);
        stream.write_all(&bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let (answer, _) = read_all(&mut stream);
        assert_eq!(
            &answer[9..12],
            status.as_bytes(),
            "{}",
            bytes.escape_ascii()
        );
    }
    let mut client = server.client("/");
    for text in [
        "",
        "\0",
        "\u{feff}bom",
        "\u{10ffff}\u{fffe}",
        "\u{7f}\u{80}",
    ] {
        client.echo(text);
    }
    client.send_ping(&[0xff; 125]);
    assert_eq!(client.next(), Received::Pong(vec![0xff; 125]));
    client.send_raw(&frame(0x8a, b"a pong that nobody asked for"));
    client.echo("still here");
}

#[test]
fn lesson_07_what_comes_bit_by_bit_is_not_worked_through_again() {
    let _alone = alone();
    let mut config = Config::default();
    config.max_head = 64 * KIB;
    let server = warm(App::echo(), config);
    let begin = Instant::now();
    let mut head = format!("{}X: ", &request("/")[..request("/").len() - 2]).into_bytes();
    head.resize(60 * KIB, b'x');
    head.extend(b"\r\n\r\n");
    let mut stream = dial(server.addr);
    for byte in head {
        stream.write_all(&[byte]).unwrap();
    }
    let mut message = frame(0x01, "ä".repeat(30_000).as_bytes());
    message.extend(frame(0x80, b""));
    for byte in message {
        stream.write_all(&[byte]).unwrap();
    }
    stream.write_all(&frame(0x88, b"")).unwrap();
    let (answer, end) = read_all(&mut stream);
    end.unwrap();
    assert!(answer.ends_with(b"\xc3\xa4\x88\x00"));
    // 120,000 reads; worked through from the start at each of them, it were billions of steps.
    let took = begin.elapsed();
    assert!(took < PATIENCE / 2, "it took {took:?}");
}

#[test]
fn lesson_08_the_origin_is_checked_as_a_whole() {
    let _alone = alone();
    let app = App::echo().on_request(|request, _| {
        if request.origin() == Some("https://example.com") {
            Decision::accept(String::new())
        } else {
            Decision::Answer(Reply::text(403, "not from there"))
        }
    });
    let server = TestServer::start(app, |builder| builder);
    for (origins, status) in [
        (&["https://example.com"][..], "101"),
        (&[], "403"),
        (&["http://example.com"], "403"),
        (&["https://example.com.evil.net"], "403"),
        (&["https://example.com:444"], "403"),
        (&["https://evil.net#https://example.com"], "403"),
        (&["null"], "403"),
        (&["https://example.com https://evil.net"], "403"),
        (&["https://example.com", "https://evil.net"], "400"),
    ] {
        let lines: String = origins
            .iter()
            .map(|origin| format!("Origin: {origin}\r\n"))
            .collect();
        let bytes = request("/").replace("Host", &format!("{lines}Host"));
        let answer = exchange(server.addr, bytes.as_bytes(), true);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{origins:?}: {answer}"
        );
        assert_eq!(server.closed().opened, status == "101");
    }
}

/// The open files of this process.
#[cfg(target_os = "linux")]
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc").count()
}

#[cfg(target_os = "linux")]
#[test]
fn lesson_09_refusals_closings_and_errors_neither_leak_nor_loop() {
    use rustix::time::{ClockId, clock_gettime};

    let _alone = alone();
    let app = App::echo()
        .on_request(|request, _| match request.path() {
            "/later" => Decision::Later,
            "/refused" => Decision::Answer(Reply::text(403, "no")),
            _ => Decision::accept(String::new()),
        })
        .on_message(|conn, message| match message {
            Message::Text("close") => conn.close(CloseCode(4000), "").unwrap(),
            message => {
                let _ = conn.send(message);
            }
        });
    let mut timeouts = Timeouts::default();
    timeouts.handshake = Duration::from_millis(200);
    timeouts.close = Duration::from_millis(200);
    timeouts.ping = Some(Duration::from_millis(100));
    timeouts.pong = Duration::from_millis(200);
    let server = TestServer::start(app, |builder| builder.timeouts(timeouts));
    let ways: [fn(&TestServer); 9] = [
        |server| drop(dial(server.addr)),
        |server| drop(exchange(server.addr, b"nonsense\r\n\r\n", true)),
        |server| drop(exchange(server.addr, request("/refused").as_bytes(), true)),
        |server| drop(exchange(server.addr, request("/later").as_bytes(), false)),
        |server| drop(open(server)),
        |server| {
            let mut client = server.client("/");
            client.close(CloseCode::NORMAL, "");
            client.expect_close(CloseCode::NORMAL);
        },
        |server| {
            let mut client = server.client("/");
            client.send_text("close");
            client.expect_close(CloseCode(4000));
        },
        |server| {
            let mut client = server.client("/");
            client.send_raw(&frame(0xff, b""));
            client.expect_close(CloseCode::PROTOCOL_ERROR);
        },
        |server| {
            // It closes and does not go, or says nothing at all.
            let mut stream = open(server);
            stream.write_all(&frame(0x81, b"close")).unwrap();
            let mut silent = open(server);
            let _ = read_all(&mut stream);
            let _ = read_all(&mut silent);
        },
    ];
    let connections = ways.len() + 1;
    let round = || {
        for way in ways {
            way(&server);
        }
        for _ in 0..connections {
            server.closed();
        }
        until("all are gone", || server.connections() == 0);
    };
    round();
    let (files, before) = (open_files(), live());
    for _ in 0..3 {
        round();
    }
    assert_eq!(open_files(), files);
    let left = live().saturating_sub(before);
    assert!(left < 64 * KIB, "{left} bytes are left");
    // And when all are gone, there is nothing to do.
    let spent = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    };
    let begin = spent();
    thread::sleep(Duration::from_millis(500));
    let spent = spent() - begin;
    assert!(spent < 200, "computed for {spent} ms of 500");
}

#[test]
fn lesson_10_zero_means_zero_and_every_default_is_finite() {
    let _alone = alone();
    let mut config = Config::default();
    config.max_message = 0;
    config.max_body = 0;
    let server = TestServer::start(App::echo(), |builder| builder.protocol(config));
    let mut client = server.client("/");
    client.echo("");
    client.send_text("x");
    client.expect_close(CloseCode::TOO_BIG);
    let bytes = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    assert!(exchange(server.addr, bytes, true).starts_with("HTTP/1.1 413 "));

    let server = TestServer::start(App::echo(), |builder| builder.max_connections(0));
    assert!(exchange(server.addr, b"", true).starts_with("HTTP/1.1 503 "));

    let mut timeouts = Timeouts::default();
    timeouts.handshake = Duration::ZERO;
    let server = TestServer::start(App::echo(), |builder| builder.timeouts(timeouts));
    assert!(exchange(server.addr, b"", false).starts_with("HTTP/1.1 408 "));

    // A backlog of nothing: what the socket does not take at once is all there is.
    let mut marks = Backpressure::default();
    (marks.low, marks.high, marks.limit) = (0, 0, 0);
    let app = App::echo().on_message(
        |conn, _| {
            while conn.send_binary(&[0; 64 * KIB]) != Sent::Dropped {}
        },
    );
    let server = TestServer::start(app, |builder| builder.backpressure(marks));
    let mut client = Client::over(dial_narrow(server.addr), "/");
    client.send_text("go");
    client.expect_close(CloseCode::TRY_AGAIN_LATER);

    let (config, timeouts, marks) = (
        Config::default(),
        Timeouts::default(),
        Backpressure::default(),
    );
    assert!((1..=16 * MIB).contains(&config.max_message));
    assert!((1..=64 * KIB).contains(&config.max_head));
    assert!((1..=MIB).contains(&config.max_body));
    assert!((1..=200).contains(&config.max_headers));
    assert!((1..=1 << 20).contains(&config.max_fragments));
    assert!((1..=16 * MIB).contains(&marks.limit));
    let minute = Duration::from_secs(60);
    assert!(timeouts.handshake < minute && timeouts.close < minute && timeouts.pong < minute);
    assert!(timeouts.ping.is_some_and(|ping| ping < minute));
}
