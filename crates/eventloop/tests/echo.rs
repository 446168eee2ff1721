//! Messages of every shape go to the handler and come back unchanged, over a real socket.

mod common;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use common::client::{Client, Received, dial, frame, request, upgrade};
use common::noise;
use common::server::{App, Seen, TestServer};
use wirefan_eventloop::CloseCause;
use wirefan_protocol::{CloseCode, Config};

const SIZES: [usize; 12] = [
    0, 1, 2, 125, 126, 127, 65_535, 65_536, 65_537, 524_288, 1_000_000, 1_048_576,
];

#[test]
fn every_size_comes_back_as_it_went_text_and_binary() {
    let server = TestServer::echo();
    let mut client = server.client("/");
    for size in SIZES {
        let data = noise(size);
        client.send_binary(&data);
        assert!(
            client.next() == Received::Binary(data),
            "{size} bytes changed"
        );
        // Characters of one to four bytes, so that reads cut some of them.
        let text: String = "aß€😀".chars().cycle().take(size * 2 / 5).collect();
        client.send_text(&text);
        assert!(
            client.next() == Received::Text(text),
            "{size} bytes of text changed"
        );
    }
    client.close(CloseCode::NORMAL, "done");
    client.expect_close(CloseCode::NORMAL);
    let cause = server.closed().cause;
    assert_eq!(
        cause,
        CloseCause::PeerClosed {
            code: Some(CloseCode::NORMAL),
            reason: "done".into()
        }
    );
}

#[test]
fn large_messages_come_back_between_small_ones_however_they_follow_each_other() {
    let server = TestServer::echo();
    let mut client = server.client("/");
    let sizes = [
        700_000, 700_000, 3, 900_000, 20_000, 300_000, 5_000, 1_048_576, 0, 600_000,
    ];
    // All of it, a frame and a bit at a time: what is read often ends a message and begins another one.
    let mut bytes: Vec<u8> = Vec::new();
    for (i, size) in sizes.iter().enumerate() {
        let data = noise(*size);
        if i % 4 == 3 {
            let (first, last) = data.split_at(size / 3);
            bytes.extend(frame(0x02, first));
            bytes.extend(frame(0x89, b"still there?"));
            bytes.extend(frame(0x80, last));
        } else {
            bytes.extend(frame(0x82, &data));
        }
    }
    let mut sender = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        for piece in bytes.chunks(330_001) {
            sender.write_all(piece).unwrap();
        }
    });
    for size in sizes {
        let received = loop {
            match client.next() {
                Received::Pong(_) => {}
                received => break received,
            }
        };
        assert!(
            received == Received::Binary(noise(size)),
            "{size} bytes changed"
        );
    }
    sending.join().unwrap();
}

#[test]
fn fragments_come_back_as_one_message_and_pings_between_them_are_answered() {
    let server = TestServer::echo();
    let mut client = server.client("/");
    client.send_raw(&frame(0x01, "ein B".as_bytes()));
    client.send_raw(&frame(0x00, &"ä".as_bytes()[..1]));
    client.send_raw(&frame(0x89, b"are you there?"));
    client.send_raw(&frame(0x00, &"ä".as_bytes()[1..]));
    client.send_raw(&frame(0x80, b"r"));
    assert_eq!(client.next(), Received::Pong(b"are you there?".into()));
    assert_eq!(client.next(), Received::Text("ein Bär".into()));
}

#[test]
fn a_message_in_single_bytes_comes_back() {
    let server = TestServer::echo();
    let mut client = server.client("/");
    let bytes = frame(0x82, &noise(300));
    for byte in &bytes {
        client.send_raw(&[*byte]);
    }
    assert_eq!(client.next(), Received::Binary(noise(300)));
}

#[test]
fn a_hundred_messages_in_one_segment_come_back_in_order() {
    let server = TestServer::echo();
    let mut client = server.client("/");
    let burst: Vec<u8> = (0..100)
        .flat_map(|i| frame(0x81, format!("message {i}").as_bytes()))
        .collect();
    client.send_raw(&burst);
    for i in 0..100 {
        assert_eq!(client.next_text(), format!("message {i}"));
    }
}

#[test]
fn what_stands_right_behind_the_request_is_heard() {
    let server = TestServer::echo();
    let mut stream = dial(server.addr);
    let mut bytes = request("/").into_bytes();
    bytes.extend(frame(0x81, b"early"));
    bytes.extend(frame(0x88, &1000_u16.to_be_bytes()));
    stream.write_all(&bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let (answer, end) = common::client::read_all(&mut stream);
    end.unwrap();
    assert!(
        answer.ends_with(b"\r\n\r\n\x81\x05early\x88\x02\x03\xe8"),
        "{}",
        answer.escape_ascii()
    );
}

#[test]
fn a_request_in_single_bytes_is_accepted() {
    let server = TestServer::echo();
    let mut stream = dial(server.addr);
    let request = request("/");
    let (most, last) = request.as_bytes().split_at(request.len() - 2);
    for byte in most {
        stream.write_all(&[*byte]).unwrap();
    }
    stream.write_all(last).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
}

#[test]
fn a_message_may_have_the_limit_and_not_a_byte_more() {
    let mut config = Config::default();
    config.max_message = 1000;
    let server = TestServer::start(App::echo(), |builder| builder.protocol(config));
    let mut client = server.client("/");
    client.send_binary(&noise(1000));
    assert_eq!(client.next(), Received::Binary(noise(1000)));
    client.send_binary(&noise(1001));
    client.expect_close(CloseCode::TOO_BIG);
    drop(client);
    assert_eq!(server.closed().cause.name(), "protocol_error");
}

#[test]
fn many_clients_at_once_each_get_their_own() {
    let server = TestServer::start(App::echo(), |builder| builder.workers(2));
    let mut clients: Vec<Client> = (0..200).map(|_| server.client("/")).collect();
    for round in 0..5 {
        for (i, client) in clients.iter_mut().enumerate() {
            client.send_text(&format!("client {i} round {round}"));
        }
        for (i, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.next_text(), format!("client {i} round {round}"));
        }
    }
    drop(clients);
    for _ in 0..200 {
        assert_eq!(server.closed().cause, CloseCause::Lost);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn every_connection_is_opened_once_and_closed_once() {
    let server = TestServer::echo();
    for i in 0..20 {
        let mut client = server.client("/");
        client.echo("hello");
        if i % 2 == 0 {
            client.close(CloseCode(4000 + i), "");
            client.expect_close(CloseCode(4000 + i));
        }
    }
    let mut raw = dial(server.addr);
    upgrade(&mut raw, "/");
    // The last one ends with the server.
    let (mut opened, mut closed) = (BTreeSet::new(), BTreeSet::new());
    for seen in server.shut_down(Duration::ZERO) {
        match seen {
            Seen::Open(id) => assert!(opened.insert(id), "{id} was opened twice"),
            Seen::Closed(end) => assert!(closed.insert(end.id), "{} was closed twice", end.id),
            _ => {}
        }
    }
    assert_eq!((opened.len(), &opened), (21, &closed));
}
