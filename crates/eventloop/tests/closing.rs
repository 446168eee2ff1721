//! The end of a connection on the wire: no Close is lost to a reset, the server ends TCP first, HTTP answers are whole.

mod common;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use common::client::{
    Client, Received, dial, dial_narrow, exchange, frame, read_all, request, upgrade,
};
use common::server::{App, TestServer};
use common::{PATIENCE, noise, until};
use socket2::SockRef;
use wirefan_eventloop::{CloseCause, Decision, Message, Timeouts};
use wirefan_protocol::handshake::Reply;
use wirefan_protocol::{CloseCode, Config, Error};

/// Echoes, but for commands.
fn app() -> App {
    App::echo().on_message(|conn, message| match message {
        Message::Text("close") => conn.close(CloseCode(4000), "as you wish").unwrap(),
        Message::Text("say and close") => {
            let _ = conn.send_text("said");
            conn.close(CloseCode(4000), "as you wish").unwrap();
        }
        message => {
            let _ = conn.send(message);
        }
    })
}

/// A server that waits for the other side's end far longer than any test.
fn patient_server() -> TestServer {
    let mut timeouts = Timeouts::default();
    timeouts.close = Duration::from_secs(600);
    TestServer::start(app(), |builder| builder.timeouts(timeouts))
}

/// What makes the server close, and what it says then.
fn reasons() -> Vec<(&'static str, Vec<u8>, CloseCode)> {
    vec![
        ("we close", frame(0x81, b"close"), CloseCode(4000)),
        (
            "we close behind a message",
            frame(0x81, b"say and close"),
            CloseCode(4000),
        ),
        (
            "a reserved bit",
            frame(0xc1, b"x"),
            CloseCode::PROTOCOL_ERROR,
        ),
        ("no mask", b"\x81\x01x".to_vec(), CloseCode::PROTOCOL_ERROR),
        ("not UTF-8", frame(0x81, b"\xff"), CloseCode::INVALID_DATA),
        (
            "too long",
            b"\x82\xff\0\0\0\0\x7f\xff\xff\xff\0\0\0\0".to_vec(),
            CloseCode::TOO_BIG,
        ),
    ]
}

/// Closing a socket with unread input resets it, and a reset throws away what the peer has not read yet.
#[test]
fn our_close_is_not_lost_to_a_reset_when_the_peer_has_much_in_flight() {
    let server = patient_server();
    let junk = frame(0x82, &noise(3_000_000));
    for (what, bytes, code) in reasons() {
        let mut client = server.client("/");
        let mut writer = client.stream.try_clone().unwrap();
        let bytes = [&bytes[..], &junk].concat();
        // Nothing is read before all of this is on its way, and the server has long said what it has to say.
        let sent = thread::spawn(move || writer.write_all(&bytes));
        sent.join().unwrap().unwrap();
        client.expect_close(code);
        drop(client);
        let cause = server.closed().cause;
        assert!(
            matches!(cause, CloseCause::Protocol(_) | CloseCause::WeClosed { .. }),
            "{what}: {cause}"
        );
    }
    until("nothing is left", || server.connections() == 0);
}

/// The same where the peer breaks a rule or a limit behind our Close, and only bit by bit.
#[test]
fn our_close_is_not_lost_when_the_protocol_is_broken_behind_it() {
    let server = patient_server();
    let too_long = [&b"\x82\xff\0\0\0\0\x7f\xff\xff\xff\0\0\0\0"[..], &noise(10)].concat();
    for broken in [frame(0xf1, b""), too_long] {
        let mut stream = dial(server.addr);
        upgrade(&mut stream, "/");
        let bytes = [frame(0x81, b"close"), broken].concat();
        stream.write_all(&bytes).unwrap();
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(5));
            stream.write_all(&noise(1000)).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        let (bytes, end) = read_all(&mut stream);
        end.unwrap();
        assert_eq!(bytes, b"\x88\x0d\x0f\xa0as you wish");
        assert_eq!(server.closed().cause.name(), "we_closed");
    }
}

#[test]
fn behind_both_closes_the_server_ends_tcp_at_once_and_first() {
    let server = patient_server();
    // The client closes, and then only waits.
    let mut client = server.client("/");
    client.close(CloseCode(3000), "bye");
    client.expect_close(CloseCode(3000));
    let cause = server.closed().cause;
    let expected = CloseCause::PeerClosed {
        code: Some(CloseCode(3000)),
        reason: "bye".into(),
    };
    assert_eq!(cause, expected);
    // The server closes, the client answers, and then only waits.
    let mut client = server.client("/");
    client.send_text("close");
    client.expect_close(CloseCode(4000));
    let expected = CloseCause::WeClosed {
        code: CloseCode(4000),
    };
    assert_eq!(server.closed().cause, expected);
    // A Close without a code is answered with one without a code.
    let mut stream = dial(server.addr);
    upgrade(&mut stream, "/");
    stream.write_all(&frame(0x88, b"")).unwrap();
    let (bytes, end) = read_all(&mut stream);
    end.unwrap();
    assert_eq!(bytes, b"\x88\x00");
    let cause = server.closed().cause;
    assert_eq!(cause.name(), "peer_closed");
    until("nothing is left", || server.connections() == 0);
}

/// A Close may be held back to travel with the end of the stream. What the peer sends meanwhile, a Pong for instance, resets
/// the connection when it is closed.
#[test]
fn our_answer_to_a_close_is_not_lost_to_what_comes_in_before_the_socket_is_closed() {
    let (entered, has_entered) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let may_go_on = Mutex::new(may_go_on);
    let app = App::echo().on_message(move |_, _| {
        entered.send(()).unwrap();
        let _ = may_go_on.lock().unwrap().recv_timeout(PATIENCE);
    });
    let server = TestServer::start(app, |builder| builder);
    let mut busy = server.client("/");
    let mut stream = dial(server.addr);
    upgrade(&mut stream, "/");
    // The Close and the second message are read in one turn.
    busy.send_text("one");
    has_entered.recv_timeout(PATIENCE).unwrap();
    stream.write_all(&frame(0x88, b"\x03\xe8bye")).unwrap();
    busy.send_text("two");
    go_on.send(()).unwrap();
    has_entered.recv_timeout(PATIENCE).unwrap();
    stream.write_all(&frame(0x8a, b"late")).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(read_all(&mut stream).0, b"\x88\x02\x03\xe8");
    assert_eq!(server.closed().cause.name(), "peer_closed");
}

#[test]
fn a_close_right_behind_messages_does_not_overtake_their_answers() {
    let server = patient_server();
    let mut client = server.client("/");
    let mut bytes = Vec::new();
    for i in 0..10 {
        bytes.extend(frame(0x82, &noise(20_000 + i)));
    }
    bytes.extend(frame(0x88, b"\x03\xe8done"));
    client.send_raw(&bytes);
    for i in 0..10 {
        assert!(client.next() == Received::Binary(noise(20_000 + i)));
    }
    client.expect_close(CloseCode::NORMAL);
}

#[test]
fn what_was_sent_before_our_close_arrives_before_it_however_slowly_it_is_read() {
    const LEN: usize = 3_000_000;
    let app = App::echo().on_message(|conn, _| {
        let _ = conn.send_binary(&noise(LEN));
        conn.close(CloseCode(4000), "").unwrap();
        assert!(conn.send_text("too late") == wirefan_eventloop::Sent::Dropped);
        assert!(conn.close(CloseCode(4000), "").is_err());
    });
    let server = TestServer::start(app, |builder| builder);
    let mut client = Client::over(dial_narrow(server.addr), "/");
    client.send_text("go");
    client.send_text("this one is not heard any more");
    assert!(client.next() == Received::Binary(noise(LEN)));
    client.expect_close(CloseCode(4000));
}

#[test]
fn nothing_is_heard_behind_our_close_or_theirs() {
    let server = patient_server();
    for (first, answer) in [
        (frame(0x81, b"close"), &b"\x88\x0d\x0f\xa0as you wish"[..]),
        (frame(0x88, b"\x0b\xb8bye"), b"\x88\x02\x0b\xb8"),
    ] {
        let mut stream = dial(server.addr);
        upgrade(&mut stream, "/");
        let behind = [frame(0x81, b"hello?"), frame(0x89, b"hello?")].concat();
        stream.write_all(&[first, behind].concat()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let (bytes, end) = read_all(&mut stream);
        end.unwrap();
        assert_eq!(bytes, answer);
    }
}

/// Both ends still have TCP, but nothing is published to it any more.
#[test]
fn who_is_closing_is_no_member_of_anything() {
    let app = App::rooms().on_message(|conn, message| match message {
        Message::Text("close") => conn.close(CloseCode(4000), "").unwrap(),
        message => conn.publish("/room", message),
    });
    let mut timeouts = Timeouts::default();
    timeouts.close = Duration::from_secs(600);
    let server = TestServer::start(app, |builder| builder.timeouts(timeouts));
    let mut publisher = server.client("/elsewhere");
    for (bytes, close) in [
        (frame(0x81, b"close"), &b"\x88\x02\x0f\xa0"[..]),
        (frame(0x83, b""), b"\x88\x10\x03\xeaunknown opcode"),
    ] {
        let mut member = dial(server.addr);
        upgrade(&mut member, "/room");
        assert_eq!(server.on_worker(0, |server| server.members("/room")), 1);
        member.write_all(&bytes).unwrap();
        let mut answer = vec![0; close.len()];
        member.read_exact(&mut answer).unwrap();
        assert_eq!(answer, close);
        assert_eq!(server.on_worker(0, |server| server.members("/room")), 0);
        publisher.send_text("is there anybody?");
        publisher.send_ping(b"published");
        assert_eq!(publisher.next(), Received::Pong(b"published".into()));
        member.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut member).0, b"");
        server.closed();
    }
}

#[test]
fn a_transport_that_just_ends_is_lost_and_one_that_fails_is_reset() {
    let server = patient_server();
    let mut client = server.client("/");
    client.echo("hello");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.closed().cause, CloseCause::Lost);
    assert_eq!(client.next(), Received::End);

    let mut client = server.client("/");
    client.echo("hello");
    SockRef::from(&client.stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(client);
    assert_eq!(server.closed().cause.name(), "reset");

    // Half a frame, half a message, half a request.
    for bytes in [&frame(0x81, b"hello")[..4], &frame(0x01, b"hello")] {
        let mut client = server.client("/");
        client.send_raw(bytes);
        drop(client);
        assert_eq!(server.closed().cause, CloseCause::Lost);
    }
    dial(server.addr)
        .write_all(&request("/").as_bytes()[..50])
        .unwrap();
    let end = server.closed();
    assert_eq!((end.opened, end.cause), (false, CloseCause::Lost));
}

#[test]
fn a_broken_protocol_is_reported_as_what_it_was() {
    let mut config = Config::default();
    config.max_fragments = 3;
    let server = TestServer::start(app(), |builder| builder.protocol(config));
    let fragment = frame(0x00, b"x");
    let begin = frame(0x01, b"x");
    for (bytes, error) in [
        (frame(0xb1, b""), Error::ReservedBits),
        (frame(0x83, b""), Error::UnknownOpcode(3)),
        (frame(0x09, b""), Error::FragmentedControl),
        (frame(0x80, b""), Error::UnexpectedContinuation),
        (frame(0x88, b"x"), Error::InvalidClose),
        (frame(0x88, &1005_u16.to_be_bytes()), Error::InvalidClose),
        (
            [&begin[..], &fragment, &fragment, &fragment].concat(),
            Error::TooManyFragments,
        ),
        ([&begin[..], &begin].concat(), Error::ExpectedContinuation),
    ] {
        let mut client = server.client("/");
        client.send_raw(&bytes);
        client.expect_close(error.close_code());
        drop(client);
        assert_eq!(server.closed().cause, CloseCause::Protocol(error));
    }
}

#[test]
fn an_http_answer_is_whole_though_more_was_sent_than_is_read() {
    const LEN: usize = 4_000_000;
    let app = App::echo().on_request(|_, _| Decision::Answer(Reply::new(200).body(noise(LEN))));
    let server = TestServer::start(app, |builder| builder);
    let mut stream = dial_narrow(server.addr);
    let mut writer = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let _ = writer.write_all(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n");
            // Nobody wants this.
            let _ = writer.write_all(&noise(1_000_000));
        });
        let (answer, end) = read_all(&mut stream);
        end.unwrap();
        let body = answer.len() - LEN;
        assert!(answer[body..] == noise(LEN));
        assert!(answer[..body].ends_with(b"Connection: close\r\n\r\n"));
    });
    drop(stream);
    assert_eq!(server.closed().cause, CloseCause::Answered(200));
}

#[test]
fn an_http_answer_reaches_a_client_that_has_ended_its_side() {
    let app = App::echo().on_request(|_, _| Decision::Answer(Reply::text(200, "hello")));
    let server = TestServer::start(app, |builder| builder);
    let answer = exchange(server.addr, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true);
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    assert_eq!(server.closed().cause, CloseCause::Answered(200));
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_refusal_is_read_though_the_rest_of_the_request_is_still_coming() {
    let server = patient_server();
    let mut stream = dial(server.addr);
    let mut writer = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let _ =
                writer.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n");
            let _ = writer.write_all(&noise(5_000_000));
            let _ = writer.shutdown(Shutdown::Write);
        });
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    });
    assert_eq!(server.closed().cause.name(), "bad_request");
}
