//! SIGINT and SIGTERM: a graceful end, and an end at once.
#![cfg(unix)]

mod common;

use std::sync::mpsc;
use std::thread;

use common::{Received, Wirefan};
use wirefan_protocol::CloseCode;

#[test]
fn sigterm_under_load_gives_everyone_1001() {
    for command in [&["echo"][..], &["broadcast", "--to-sender"]] {
        let mut server = Wirefan::start(&[command, &["--workers", "2"]].concat());
        let (busy, all_busy) = mpsc::channel();
        let clients: Vec<_> = (0..60)
            .map(|number| {
                let mut client = server.connect(&format!("/{}", number % 6));
                let busy = busy.clone();
                thread::spawn(move || {
                    let own = format!("message of {number}");
                    for count in 0.. {
                        client.send_text(&own);
                        loop {
                            match client.next() {
                                Received::Text(text) if text == own => break,
                                Received::Text(_) => {}
                                Received::Close(code) => return (code, client.next()),
                                other => panic!("{other:?}"),
                            }
                        }
                        if count == 3 {
                            busy.send(()).unwrap();
                        }
                    }
                    unreachable!()
                })
            })
            .collect();
        for _ in &clients {
            all_busy.recv_timeout(common::PATIENCE).unwrap();
        }
        server.signal("TERM");
        for client in clients {
            let end = (Some(CloseCode::GOING_AWAY), Received::End);
            assert_eq!(client.join().unwrap(), end);
        }
        assert_eq!(server.wait().code(), Some(0));
        assert!(server.line_with("SIGTERM").contains("1001"));
        assert!(server.line_with("ended").contains("connections=60"));
    }
}

#[test]
fn one_who_never_answers_is_dropped_when_the_grace_is_over() {
    let args = ["echo", "--shutdown-grace", "200ms", "--close-timeout", "1h"];
    let mut server = Wirefan::start(&args);
    let _silent = server.connect("/");
    server.signal("INT");
    let line = server.line_with("ended");
    assert!(line.contains("cut=1"), "{line}");
    assert_eq!(server.wait().code(), Some(3));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second, code) in [("TERM", "INT", 130), ("INT", "TERM", 143)] {
        let args = ["echo", "--shutdown-grace", "1h", "--close-timeout", "1h"];
        let mut server = Wirefan::start(&args);
        let _silent = server.connect("/");
        server.signal(first);
        server.line_with(&format!("SIG{first}: closing all connections"));
        server.signal(second);
        assert_eq!(server.wait().code(), Some(code));
    }
}

#[test]
fn nobody_reads_the_log_any_more() {
    let mut server = Wirefan::start(&["echo"]);
    server.close_log();
    for _ in 0..3 {
        let mut client = server.connect("/");
        client.send_text("on");
        assert_eq!(client.next(), common::text("on"));
    }
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}
