//! `--slow-readers`: what someone who does not read for a while gets of a room, and that the others do not wait.

mod common;

use common::{Received, Wirefan};
use wirefan_protocol::CloseCode;

/// More than the system keeps for a socket.
const MESSAGES: usize = 1500;
const LEN: usize = 16 * 1024;

/// What a client gets, to the last message or its end, who begins to read when all has been published.
fn read_late(args: &[&str]) -> (Vec<usize>, Option<Received>) {
    let args = [
        &["broadcast", "--workers", "1", "--ping-interval", "0"][..],
        // Who is closed has to be told, however long it takes to publish all of it.
        &["--close-timeout", "5m"],
        args,
    ]
    .concat();
    let server = Wirefan::start(&args);
    let mut late = server.connect("/");
    let mut reader = server.connect("/");
    let mut publisher = server.connect("/");
    server.await_members("/", 3);
    let number = |received: &Received| match received {
        Received::Text(text) => text.trim_start_matches('.').parse().ok(),
        _ => None,
    };
    for i in 0..MESSAGES {
        publisher.send_text(&format!("{i:.>LEN$}"));
        assert_eq!(number(&reader.next()), Some(i));
    }
    publisher.send_text("that is all");
    let mut got = Vec::new();
    loop {
        let received = late.next();
        match number(&received) {
            Some(number) => got.push(number),
            None if received == common::text("that is all") => return (got, None),
            None => return (got, Some(received)),
        }
    }
}

#[test]
fn conflate_gives_a_late_reader_the_newest() {
    let (got, end) = read_late(&["--slow-readers", "conflate"]);
    assert!(got.is_sorted() && got.len() < MESSAGES * 2 / 3, "{got:?}");
    assert_eq!(end, None);
}

#[test]
fn drop_oldest_gives_a_late_reader_the_last_ones() {
    let (got, end) = read_late(&["--slow-readers", "drop-oldest", "--room-backlog", "256k"]);
    assert!(got.is_sorted() && got.len() < MESSAGES, "{got:?}");
    assert!(got.ends_with(&(MESSAGES - 10..MESSAGES).collect::<Vec<_>>()));
    assert_eq!(end, None);
}

#[test]
fn close_closes_a_late_reader() {
    for args in [&["--slow-readers", "close"][..], &["--max-age", "10ms"]] {
        let (got, end) = read_late(args);
        assert_eq!(got, (0..got.len()).collect::<Vec<_>>());
        assert_eq!(end, Some(Received::Close(Some(CloseCode::TRY_AGAIN_LATER))));
    }
}

#[test]
fn drop_new_gives_a_late_reader_the_first_ones_and_then_goes_on() {
    let args =
        "broadcast --workers 1 --ping-interval 0 --slow-readers drop-new --room-backlog 256k";
    let server = Wirefan::start(&args.split(' ').collect::<Vec<_>>());
    let mut late = server.connect("/");
    let mut reader = server.connect("/");
    let mut publisher = server.connect("/");
    server.await_members("/", 3);
    for i in 0..MESSAGES {
        publisher.send_text(&format!("{i:.>LEN$}"));
        assert!(matches!(reader.next(), Received::Text(_)));
    }
    let mut got: Vec<usize> = Vec::new();
    loop {
        // Dropped as long as the first ones wait, and heard as soon as there is room.
        publisher.send_text("it goes on");
        match late.next() {
            Received::Text(text) if text == "it goes on" => break,
            Received::Text(text) => got.push(text.trim_start_matches('.').parse().unwrap()),
            other => panic!("{other:?} after {got:?}"),
        }
    }
    assert!(got.is_sorted() && got.len() < MESSAGES, "{got:?}");
    assert!(got.starts_with(&(0..10).collect::<Vec<_>>()), "{got:?}");
}
