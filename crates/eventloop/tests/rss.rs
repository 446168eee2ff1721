//! What large messages leave behind: nothing. The server is a process of its own, and what the system says of it counts.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use common::client::{Client, dial, upgrade};
use common::process::{Child, obey, role, say};
use common::server::{App, TestServer};
use wirefan_eventloop::Message;
use wirefan_protocol::Config;

const LEN: usize = 16 * 1024 * 1024;
const MESSAGES: usize = 1000;
/// Clients that send at the same time.
const CLIENTS: usize = 4;
/// Every so many messages one is sent back, of the others only the length.
const ECHO_EACH: usize = 25;
const LIMIT: usize = 32 * 1024 * 1024;

/// The memory that this process has, in bytes.
fn rss() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("VmRSS");
    let kib = line.trim().trim_end_matches(" kB");
    kib.parse::<usize>().expect("a number") * 1024
}

fn server() {
    let mut config = Config::default();
    config.max_message = LEN;
    let app = App::echo().on_message(|conn, message| match message {
        Message::Binary(data) if data.first() != Some(&b'e') => {
            let _ = conn.send_text(&data.len().to_string());
        }
        message => {
            let _ = conn.send(message);
        }
    });
    let server = TestServer::start(app, |builder| builder.protocol(config));
    say(&server.addr.to_string());
    obey(|_| rss().to_string());
}

#[test]
fn a_thousand_large_messages_leave_nothing_behind() {
    if role().is_some() {
        return server();
    }
    let mut child = Child::start("a_thousand_large_messages_leave_nothing_behind", "server");
    let addr = child.line().parse().expect("an address");
    Client::connect(addr, "/").echo("hello");
    let before: usize = child.ask("rss").parse().unwrap();
    let begin = Instant::now();
    // A masking key of zeros changes nothing, so the same bytes serve all.
    let message = |first: u8| {
        let mut bytes = b"\x82\xff".to_vec();
        bytes.extend((LEN as u64).to_be_bytes());
        bytes.extend([0; 4]);
        bytes.resize(bytes.len() + LEN, first);
        bytes
    };
    let (length, echo) = (message(b'l'), message(b'e'));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut stream = dial(addr);
                upgrade(&mut stream, "/");
                let mut reader = stream.try_clone().unwrap();
                scope.spawn(move || {
                    let mut answer = vec![0; 10 + LEN];
                    for i in 0..MESSAGES / CLIENTS {
                        if i % ECHO_EACH == 0 {
                            reader.read_exact(&mut answer).unwrap();
                            assert!(answer[10] == b'e' && answer.ends_with(b"e"));
                        } else {
                            let answer = &mut answer[..10];
                            reader.read_exact(answer).unwrap();
                            assert_eq!(answer, b"\x81\x0816777216");
                        }
                    }
                });
                for i in 0..MESSAGES / CLIENTS {
                    let message = if i % ECHO_EACH == 0 { &echo } else { &length };
                    stream.write_all(message).unwrap();
                }
            });
        }
    });
    let took = begin.elapsed();
    let mut after: usize = child.ask("rss").parse().unwrap();
    // What is given back to the system need not be so in the same moment.
    for _ in 0..20 {
        if after <= before + LIMIT {
            break;
        }
        thread::sleep(Duration::from_millis(100));
        after = child.ask("rss").parse().unwrap();
    }
    println!("{before} bytes before, {after} after {MESSAGES} messages in {took:?}");
    assert!(
        after <= before + LIMIT,
        "{before} bytes before, {after} after"
    );
}
