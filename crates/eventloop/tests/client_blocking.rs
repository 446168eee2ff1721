//! The blocking form of the client: each call waits until it is done, several threads may use one connection, and neither
//! side runs ahead of the other without bound.
#![cfg(feature = "client")]

mod common;

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use common::server::{App, TestServer};
use common::{PATIENCE, noise, until};
use wirefan_eventloop::client::OwnedMessage;
use wirefan_eventloop::client::blocking::{WebSocket, connect, connect_with};
use wirefan_eventloop::{Acceptance, CloseCause, Decision, Dial, DialError, Sent};
use wirefan_protocol::{CloseCode, SendError};

fn url(server: &TestServer) -> String {
    format!("ws://{}/", server.addr)
}

/// The next message, waited for with patience.
fn next(socket: &WebSocket) -> OwnedMessage {
    let message = socket.recv_timeout(PATIENCE).expect("it is open");
    message.expect("nothing came")
}

#[test]
fn a_script_connects_sends_receives_and_closes() {
    let app = App::echo().on_request(|request, _| {
        let mut acceptance = Acceptance::new("/".into());
        acceptance.protocol = request.protocols().next().map(Into::into);
        Decision::Accept(acceptance)
    });
    let server = TestServer::start(app, |builder| builder);
    let dial = Dial::new(&url(&server)).expect("a URL").protocol("chat");
    let socket = connect_with(dial).expect("a connection");
    assert_eq!(socket.response().protocol(), Some("chat"));
    socket.send("hello").expect("it is open");
    assert_eq!(next(&socket), OwnedMessage::Text("hello".into()));
    socket.send(noise(300_000)).expect("it is open");
    assert_eq!(next(&socket).as_bytes(), noise(300_000));
    assert_eq!(socket.recv_timeout(Duration::from_millis(20)), Ok(None));
    // All of it arrives, though nothing is waited for.
    for number in 0..100 {
        socket.send(number.to_string()).expect("it is open");
    }
    let refused = socket.close_with(CloseCode(1005), "");
    assert_eq!(refused, Err(SendError::InvalidCloseCode));
    assert_eq!(socket.closed(), None);
    let ended = socket.close_with(CloseCode(4000), "enough");
    let code = CloseCode(4000);
    assert_eq!(ended, Ok(CloseCause::WeClosed { code }));
    let expected = CloseCause::PeerClosed {
        code: Some(code),
        reason: "enough".into(),
    };
    assert_eq!(server.closed().cause, expected);
    let error = socket.send("late").expect_err("it is closed");
    assert_eq!(error.0, CloseCause::WeClosed { code });
    assert_eq!(socket.close(), CloseCause::WeClosed { code });
}

#[test]
fn the_iterator_ends_with_the_connection_and_nothing_is_lost_before() {
    let app = App::echo().on_open(|conn| {
        for number in 0..1000 {
            let _ = conn.send_text(&number.to_string());
        }
        conn.close(CloseCode(4001), "done").expect("a Close");
    });
    let server = TestServer::start(app, |builder| builder);
    let socket = connect(&url(&server)).expect("a connection");
    until("it is closed", || socket.closed().is_some());
    let messages: Vec<OwnedMessage> = socket.messages().collect();
    assert_eq!(messages.len(), 1000);
    assert!(
        messages
            .iter()
            .zip(0..)
            .all(|(message, number)| message.as_text() == Some(&format!("{number}")))
    );
    let expected = CloseCause::PeerClosed {
        code: Some(CloseCode(4001)),
        reason: "done".into(),
    };
    assert_eq!(socket.closed(), Some(expected.clone()));
    assert_eq!(socket.recv().expect_err("it is closed").0, expected);
    assert_eq!((&socket).into_iter().count(), 0);
}

#[test]
fn several_threads_send_and_receive_on_one_connection() {
    let server = TestServer::echo();
    let socket = connect(&url(&server)).expect("a connection");
    let (threads, each) = (4, 500);
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        for thread in 0..threads {
            let socket = socket.clone();
            scope.spawn(move || {
                for number in 0..each {
                    socket
                        .send(format!("{thread} {number}"))
                        .expect("it is open");
                }
            });
        }
        for _ in 0..threads {
            let (socket, tell) = (&socket, tell.clone());
            scope.spawn(move || {
                for _ in 0..each {
                    tell.send(next(socket)).expect("who counts");
                }
            });
        }
    });
    drop(tell);
    let seen: HashSet<String> = told
        .iter()
        .map(|message| message.as_text().expect("text").to_owned())
        .collect();
    assert_eq!(seen.len(), threads * each);
}

#[test]
fn dropping_the_last_clone_closes() {
    let server = TestServer::echo();
    let socket = connect(&url(&server)).expect("a connection");
    let clone = socket.clone();
    drop(socket);
    clone.send("still there").expect("it is open");
    assert_eq!(next(&clone).as_text(), Some("still there"));
    clone.send("the last").expect("it is open");
    drop(clone);
    let expected = CloseCause::PeerClosed {
        code: Some(CloseCode::NORMAL),
        reason: "".into(),
    };
    assert_eq!(server.closed().cause, expected);
}

#[test]
fn why_there_is_no_connection() {
    assert!(matches!(connect("http://a/"), Err(DialError::Url(_))));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    drop(listener);
    let why = connect(&format!("ws://{addr}/")).expect_err("nobody is there");
    assert_eq!(why.name(), "dial_connect");
    let dial = Dial::new(&format!("ws://{addr}/")).expect("a URL");
    let why = connect_with(dial.header("a b", "")).expect_err("it cannot be sent");
    assert!(matches!(why, DialError::InvalidRequest(_)));
}

/// A server that always has more to say is read from only as fast as somebody receives.
#[test]
fn what_nobody_receives_is_not_read_without_end() {
    const MESSAGES: usize = 400;
    const LEN: usize = 64 * 1024;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let more = move |conn: &mut wirefan_eventloop::Conn<'_, String>| {
        while count.load(Ordering::SeqCst) < MESSAGES {
            count.fetch_add(1, Ordering::SeqCst);
            if conn.send_binary(&noise(LEN)) == Sent::Full {
                return;
            }
        }
    };
    let app = App::echo().on_open(more.clone()).on_drained(more);
    let server = TestServer::start(app, |builder| builder);
    let socket = connect(&url(&server)).expect("a connection");
    assert_eq!(next(&socket).len(), LEN);
    // The rest fills what may be kept here, and the buffers of the system and of the server.
    let mut last = 0;
    until("the server waits", || {
        thread::sleep(Duration::from_millis(100));
        let now = sent.load(Ordering::SeqCst);
        std::mem::replace(&mut last, now) == now
    });
    assert!(last < MESSAGES, "all of it was taken in");
    for _ in 1..MESSAGES {
        assert_eq!(next(&socket).len(), LEN);
    }
}

/// A server that does not read makes senders wait, and the backlog never comes to the limit at which it would be given up.
#[test]
fn sending_waits_for_a_server_that_does_not_read() {
    const MESSAGES: usize = 400;
    let app = App::echo()
        .on_open(|conn| conn.pause_reading())
        .on_message(|_, _| {});
    let server = TestServer::start(app, |builder| builder);
    let socket = connect(&url(&server)).expect("a connection");
    let id = server.opened();
    let sent = Arc::new(AtomicUsize::new(0));
    let (sender, count) = (socket.clone(), Arc::clone(&sent));
    let sending = thread::spawn(move || {
        for _ in 0..MESSAGES {
            if sender.send(noise(64 * 1024)).is_err() {
                break;
            }
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut last = 0;
    until("the sender waits", || {
        thread::sleep(Duration::from_millis(100));
        let now = sent.load(Ordering::SeqCst);
        std::mem::replace(&mut last, now) == now
    });
    assert!(last < MESSAGES, "all of it was sent");
    // Whoever closes does not wait behind it for ever.
    server
        .remote
        .close(id, CloseCode(4002), "enough")
        .expect("room");
    sending.join().expect("the sender");
    until("it is closed", || socket.closed().is_some());
}

/// And when the server reads again, they go on.
#[test]
fn sending_goes_on_when_the_server_reads_again() {
    const MESSAGES: usize = 100;
    let received = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&received);
    let app = App::echo()
        .on_open(|conn| {
            conn.pause_reading();
            conn.set_timer(Duration::from_millis(300));
        })
        .on_timer(|conn| conn.resume_reading())
        .on_message(move |_, message| {
            assert!(
                matches!(message, wirefan_eventloop::Message::Binary(data) if data.len() == 200_000)
            );
            count.fetch_add(1, Ordering::SeqCst);
        });
    let server = TestServer::start(app, |builder| builder);
    let socket = connect(&url(&server)).expect("a connection");
    for _ in 0..MESSAGES {
        socket.send(noise(200_000)).expect("it is open");
    }
    let code = CloseCode::NORMAL;
    assert_eq!(socket.close(), CloseCause::WeClosed { code });
    server.closed();
    assert_eq!(received.load(Ordering::SeqCst), MESSAGES);
}
