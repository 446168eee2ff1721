//! The server from other threads: sending, publishing, closing, notes, and a mailbox that is full.

mod common;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::client::{Client, Received, dial, exchange, frame, read_all, request};
use common::server::{App, TestServer};
use common::{PATIENCE, until};
use wirefan_eventloop::{
    Acceptance, CloseCause, Ctx, Decision, MailboxFull, Message, Sent, Timeouts,
};
use wirefan_protocol::handshake::Reply;
use wirefan_protocol::{CloseCode, Frame};

#[test]
fn several_threads_send_to_one_connection_each_in_its_own_order() {
    let server = TestServer::start(App::echo(), |builder| builder.workers(2));
    let mut client = server.client("/");
    let id = server.opened();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let remote = server.remote.clone();
            thread::spawn(move || {
                for i in 0..100 {
                    let frame = Frame::text(&format!("{thread} {i}"));
                    remote.send(id, &frame).expect("room in the mailbox");
                }
            })
        })
        .collect();
    let mut next = [0; 4];
    for _ in 0..400 {
        let text = client.next_text();
        let (thread, i) = text.split_once(' ').unwrap();
        let thread: usize = thread.parse().unwrap();
        assert_eq!(i, next[thread].to_string());
        next[thread] += 1;
    }
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    // A frame keeps its kind, and a large one its bytes.
    let large = vec![7; 300_000];
    server.remote.send(id, &Frame::binary(&large)).unwrap();
    assert!(client.next() == Received::Binary(large));
}

#[test]
fn a_publication_reaches_the_members_on_every_worker_and_nobody_else() {
    let server = TestServer::start(App::rooms(), |builder| builder.workers(3).share_port(false));
    let mut members: Vec<Client> = (0..9).map(|_| server.client("/room")).collect();
    let mut others: Vec<Client> = (0..3).map(|_| server.client("/other")).collect();
    for _ in 0..12 {
        server.opened();
    }
    for i in 0..50 {
        let frame = Frame::text(&i.to_string());
        server.remote.publish("/room", &frame).unwrap();
    }
    server
        .remote
        .publish("/nobody is here", &Frame::text("?"))
        .unwrap();
    server
        .remote
        .publish("/other", &Frame::text("end"))
        .unwrap();
    for client in &mut members {
        for i in 0..50 {
            assert_eq!(client.next_text(), i.to_string());
        }
    }
    for client in &mut others {
        assert_eq!(client.next_text(), "end");
    }
}

#[test]
fn a_close_from_elsewhere_comes_behind_what_was_sent() {
    let server = TestServer::echo();
    let mut client = server.client("/");
    let id = server.opened();
    server.remote.send(id, &Frame::text("last words")).unwrap();
    server.remote.close(id, CloseCode(4321), "enough").unwrap();
    server.remote.send(id, &Frame::text("too late")).unwrap();
    assert_eq!(client.next_text(), "last words");
    assert_eq!(
        client.next(),
        Received::Close(Some(CloseCode(4321)), "enough".into())
    );
    assert_eq!(client.next(), Received::End);
    let end = server.closed();
    let cause = CloseCause::WeClosed {
        code: CloseCode(4321),
    };
    assert_eq!((end.id, end.cause), (id, cause));
    // The place is used again, the name is not.
    let mut next = server.client("/");
    assert_ne!(server.opened(), id);
    server.remote.send(id, &Frame::text("who?")).unwrap();
    server.remote.close(id, CloseCode(4322), "").unwrap();
    next.echo("not me");
}

#[test]
fn a_code_that_may_not_travel_closes_nobody() {
    let server = TestServer::echo();
    let mut client = server.client("/");
    let id = server.opened();
    for code in [1006, 1015, 0, 999, 2999, 5000] {
        server.remote.close(id, CloseCode(code), "").unwrap();
    }
    server
        .remote
        .close(id, CloseCode::NORMAL, &"x".repeat(124))
        .unwrap();
    client.echo("still open");
}

#[test]
fn handlers_reach_connections_of_other_workers() {
    let server = TestServer::start(App::echo(), |builder| builder.workers(2).share_port(false));
    let mut clients = [server.client("/"), server.client("/")];
    let ids = [server.opened(), server.opened()];
    for from in [0, 1] {
        let sent = server.on_worker(from, move |server| {
            let frame = Frame::binary(b"frame");
            ids.map(|id| {
                let text = server.send(id, Message::Text("text"));
                (text, server.send_frame(id, &frame))
            })
        });
        assert_eq!(sent, [(Sent::Queued, Sent::Queued); 2]);
        for client in &mut clients {
            assert_eq!(client.next(), Received::Text("text".into()));
            assert_eq!(client.next(), Received::Binary(b"frame".into()));
        }
    }
    server.on_worker(0, move |server| {
        for id in ids {
            server.close(id, CloseCode(4000), "");
        }
    });
    for client in &mut clients {
        client.expect_close(CloseCode(4000));
    }
}

#[test]
fn a_worker_that_takes_nothing_has_a_mailbox_that_is_full_and_not_one_that_grows() {
    const LIMIT: usize = 100_000;
    let server = TestServer::start(App::echo(), |builder| builder.max_mail(LIMIT));
    let mut client = server.client("/");
    let id = server.opened();
    let busy = server.keep_busy(0);
    let frame = Frame::binary(&[7; 1000]);
    let mut taken = 0;
    while server.remote.send(id, &frame).is_ok() {
        taken += 1;
        assert!(taken <= LIMIT / 1000, "it never gets full");
    }
    // What was taken weighs what it weighs, with what it costs to keep it.
    assert!(taken >= LIMIT / 2 / 1000, "full with {taken} messages");
    assert_eq!(server.remote.note(0, Box::new(|_| {})), Err(MailboxFull));
    assert_eq!(
        server.remote.close(id, CloseCode::NORMAL, ""),
        Err(MailboxFull)
    );
    drop(busy);
    // Nothing that was taken is lost, and nothing else is there.
    for _ in 0..taken {
        assert_eq!(client.next(), Received::Binary(vec![7; 1000]));
    }
    server.remote.send(id, &Frame::text("room again")).unwrap();
    assert_eq!(client.next_text(), "room again");
}

#[test]
fn a_note_to_a_worker_that_is_not_there_is_told() {
    let server = TestServer::echo();
    assert_eq!(server.remote.workers(), 1);
    assert_eq!(server.remote.note(1, Box::new(|_| {})), Err(MailboxFull));
}

#[test]
fn notes_from_many_threads_all_arrive() {
    let server = TestServer::start(App::echo(), |builder| builder.workers(2));
    let count = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..4 {
            let (remote, count) = (server.remote.clone(), Arc::clone(&count));
            scope.spawn(move || {
                for i in 0..500 {
                    let count = Arc::clone(&count);
                    let note = move |_: &mut Ctx<'_, String>| {
                        count.fetch_add(1, Ordering::SeqCst);
                    };
                    remote.note((thread + i) % 2, Box::new(note)).unwrap();
                }
            });
        }
    });
    until("all have arrived", || count.load(Ordering::SeqCst) == 2000);
}

/// Requests are decided by another thread, in another order than they came.
#[test]
fn a_request_can_be_decided_later_from_elsewhere() {
    let (ask, asked) = mpsc::channel();
    let app = App::echo().on_request(move |request, caller| {
        let _ = ask.send((request.path().to_owned(), caller.id));
        Decision::Later
    });
    let server = TestServer::start(app, |builder| builder);
    let addr = server.addr;
    let refused = thread::spawn(move || exchange(addr, request("/refused").as_bytes(), false));
    let refused_id = asked.recv_timeout(PATIENCE).expect("a request").1;
    let accepted = thread::spawn(move || {
        let mut stream = dial(addr);
        // Frames that came with the request wait for the decision.
        let mut bytes = request("/accepted").into_bytes();
        bytes.extend(frame(0x81, b"early"));
        bytes.extend(frame(0x88, b""));
        stream.write_all(&bytes).unwrap();
        read_all(&mut stream).0
    });
    let (path, id) = asked.recv_timeout(PATIENCE).expect("a request");
    assert_eq!(path, "/accepted");
    let decided = server.on_worker(0, move |server| {
        let mut acceptance = Acceptance::new(String::new());
        acceptance.headers = vec![("X-Decided".into(), "later".into())];
        let accepted = server.accept(id, acceptance);
        // Once is enough.
        (
            accepted,
            server.answer(id, Reply::text(403, "no")),
            server.answer(refused_id, Reply::text(403, "no")),
        )
    });
    assert_eq!(decided, (true, false, true));
    let answer = refused.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let answer = accepted.join().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    let (head, frames) = answer.split_at(answer.len() - 9);
    assert!(
        head.ends_with(b"X-Decided: later\r\n\r\n"),
        "{}",
        answer.escape_ascii()
    );
    assert_eq!(frames, b"\x81\x05early\x88\x00");
    for _ in 0..2 {
        server.closed();
    }
    let late = server.on_worker(0, move |server| {
        server.accept(id, Acceptance::new(String::new()))
    });
    assert!(!late, "it is gone");
}

/// What waits for a decision is not read, so a patient client cannot have more kept of it than one buffer.
#[test]
fn a_request_that_waits_for_a_decision_is_not_read_from() {
    let (ask, asked) = mpsc::channel();
    let app = App::echo().on_request(move |_, caller| {
        let _ = ask.send(caller.id);
        Decision::Later
    });
    // On a busy machine the writing takes longer than the ten seconds that a request usually has.
    let mut timeouts = Timeouts::default();
    timeouts.handshake = 4 * PATIENCE;
    let server = TestServer::start(app, |builder| builder.timeouts(timeouts));
    let mut stream = dial(server.addr);
    stream.write_all(request("/").as_bytes()).unwrap();
    let id = asked.recv_timeout(PATIENCE).expect("a request");
    let messages: Vec<u8> = (0..1000)
        .flat_map(|i| frame(0x81, format!("{i}{}", " ".repeat(20_000)).as_bytes()))
        .collect();
    let total = messages.len();
    stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut sent = 0;
    while sent < total {
        match stream.write(&messages[sent..]) {
            Ok(more) => sent += more,
            Err(_) => break,
        }
    }
    assert!(sent < total, "{total} bytes were taken");
    let accepted = server.on_worker(0, move |server| {
        server.accept(id, Acceptance::new(String::new()))
    });
    assert!(accepted);
    drop(stream);
    assert_eq!(server.closed().id, id);
}
