//! The end of a server: 1001 to everybody, what waits to be accepted is answered, and it is over within the grace.

mod common;

use std::io::Write;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::client::{Client, Received, dial, dial_narrow, read_all, request, upgrade};
use common::server::{App, Closed, Seen, TestServer};
use common::{PATIENCE, noise, until};
use wirefan_eventloop::{
    Acceptance, Caller, CloseCause, Conn, Ctx, Decision, Handler, Message, Server, Timeouts,
};
use wirefan_protocol::CloseCode;
use wirefan_protocol::handshake::Request;

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(600);

/// Accepts, and when it is told to, waits.
struct Nothing;

impl Handler for Nothing {
    type Peer = ();
    type Note = Receiver<()>;

    fn request(&mut self, _: &Request<'_>, _: Caller, _: &mut Ctx<'_, ()>) -> Decision<()> {
        Decision::accept(())
    }

    fn message(&mut self, _: &mut Conn<'_, ()>, _: Message<'_>) {}

    fn note(&mut self, released: Receiver<()>, _: &mut Ctx<'_, ()>) {
        let _ = released.recv_timeout(PATIENCE);
    }
}

fn ends(seen: Vec<Seen>) -> Vec<Closed> {
    seen.into_iter()
        .filter_map(|seen| match seen {
            Seen::Closed(closed) => Some(closed),
            _ => None,
        })
        .collect()
}

#[test]
fn everyone_gets_1001_under_load_and_then_it_is_over() {
    const CLIENTS: usize = 60;
    let server = TestServer::start(App::echo(), |builder| builder.workers(2));
    let (tell, told) = mpsc::channel();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = server.client("/");
            let tell = tell.clone();
            // Ten messages are always on their way, until the server says that it goes.
            thread::spawn(move || {
                (0..10).for_each(|i| client.send_text(&i.to_string()));
                let mut next = 0;
                loop {
                    match client.next() {
                        Received::Text(text) => {
                            assert_eq!(text, next.to_string());
                            if client.is_open() {
                                client.send_text(&(next + 10).to_string());
                            }
                            next += 1;
                            if next == 20 {
                                tell.send(()).expect("the test");
                            }
                        }
                        Received::Close(code, _) => {
                            assert_eq!(code, Some(CloseCode::GOING_AWAY));
                            assert_eq!(client.next(), Received::End);
                            return;
                        }
                        other => panic!("{other:?}"),
                    }
                }
            })
        })
        .collect();
    for _ in 0..CLIENTS {
        told.recv_timeout(PATIENCE).expect("every client is busy");
    }
    let begin = Instant::now();
    let ends = ends(server.shut_down(NEVER));
    assert!(begin.elapsed() < PATIENCE, "it waits for nobody");
    for client in clients {
        client.join().expect("1001 and an orderly end");
    }
    assert_eq!(ends.len(), CLIENTS);
    assert!(ends.iter().all(|end| end.cause == CloseCause::Shutdown));
}

#[test]
fn who_does_not_answer_is_waited_for_no_longer_than_the_grace() {
    let grace = Duration::from_millis(700);
    let mut timeouts = Timeouts::default();
    timeouts.close = NEVER;
    timeouts.handshake = NEVER;
    let app = App::echo().on_open(|conn| {
        if conn.peer() == "/much" {
            let _ = conn.send_binary(&noise(16 * 1024 * 1024));
        }
    });
    let server = TestServer::start(app, |builder| builder.timeouts(timeouts));
    // One that does not answer, one that does not read, one that does not ask, one that asks half.
    let mut mute = dial(server.addr);
    upgrade(&mut mute, "/");
    server.opened();
    let mut slow = dial_narrow(server.addr);
    upgrade(&mut slow, "/much");
    server.opened();
    let _silent = dial(server.addr);
    let mut half = dial(server.addr);
    half.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    until("all are there", || server.connections() == 4);
    let begin = Instant::now();
    let ends = ends(server.shut_down(grace));
    assert!(begin.elapsed() >= grace, "nobody was waited for");
    assert!(begin.elapsed() < PATIENCE, "it waited for ever");
    assert_eq!(ends.len(), 4);
    assert!(ends.iter().all(|end| end.cause == CloseCause::Shutdown));
    let (bytes, _) = read_all(&mut mute);
    assert!(bytes.starts_with(b"\x88") && bytes[2..].starts_with(&[0x03, 0xe9]));
}

#[test]
fn without_grace_who_listens_is_told_all_the_same() {
    let server = TestServer::start(App::echo(), |builder| builder.workers(2));
    let mut clients: Vec<Client> = (0..20).map(|_| server.client("/")).collect();
    for _ in &clients {
        server.opened();
    }
    assert_eq!(ends(server.shut_down(Duration::ZERO)).len(), 20);
    for client in &mut clients {
        match client.next() {
            Received::Close(code, _) => assert_eq!(code, Some(CloseCode::GOING_AWAY)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn from_another_thread_it_ends_those_who_wait_in_join() {
    let server = Server::builder()
        .listen("127.0.0.1:0")
        .unwrap()
        .workers(2)
        .start(|_| Nothing)
        .unwrap();
    let (addr, remote) = (server.addrs()[0], server.remote());
    let mut client = Client::connect(addr, "/");
    let ending = thread::spawn(move || {
        remote.shutdown(NEVER);
        // The second time makes no difference but for the grace.
        remote.shutdown(NEVER);
    });
    client.expect_close(CloseCode::GOING_AWAY);
    server.join().unwrap();
    ending.join().unwrap();
}

/// The worker is busy while clients come and ask; the system has taken them in, and the shutdown comes before them.
#[test]
fn what_waits_to_be_accepted_is_answered_before_the_listener_closes() {
    for (workers, share) in [(1, true), (2, false)] {
        let server = TestServer::start(App::echo(), |builder| {
            builder.workers(workers).share_port(share)
        });
        // The first worker is the one that accepts.
        let busy = server.keep_busy(0);
        let mut clients: Vec<_> = (0..300)
            .map(|_| {
                let mut stream = dial(server.addr);
                stream.write_all(request("/").as_bytes()).unwrap();
                stream
            })
            .collect();
        server.remote.shutdown(NEVER);
        drop(busy);
        for client in &mut clients {
            let (answer, end) = read_all(client);
            end.unwrap();
            assert!(
                answer.starts_with(b"HTTP/1.1 503 "),
                "{}",
                answer.escape_ascii()
            );
        }
        drop(clients);
        let ends = ends(server.shut_down(NEVER));
        assert_eq!(ends.len(), 300);
        assert!(
            ends.iter()
                .all(|end| end.cause == CloseCause::Answered(503) && !end.opened)
        );
    }
}

/// The first worker accepts for both, and the other one has ended before it comes to that.
#[test]
fn a_worker_that_has_ended_is_handed_no_connection() {
    let (release, released) = mpsc::channel();
    let wait = Arc::new(Mutex::new(Some(released)));
    let server = Server::builder()
        .listen("127.0.0.1:0")
        .unwrap()
        .workers(2)
        .share_port(false)
        .start(move |worker| {
            if let Some(released) = wait.lock().unwrap().take_if(|_| worker.index == 0) {
                worker.remote.note(0, released).unwrap();
            }
            Nothing
        })
        .unwrap();
    let mut clients: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = dial(server.addrs()[0]);
            stream.write_all(request("/").as_bytes()).unwrap();
            stream
        })
        .collect();
    server.remote().shutdown(NEVER);
    // Time for the second worker to end.
    thread::sleep(Duration::from_millis(200));
    drop(release);
    for client in &mut clients {
        let (answer, end) = read_all(client);
        end.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 503 "));
    }
    drop(clients);
    server.join().unwrap();
}

#[test]
fn a_request_that_is_being_decided_is_answered_with_503() {
    let app = App::echo().on_request(|_, _| Decision::Later);
    let server = TestServer::start(app, |builder| builder);
    let mut stream = dial(server.addr);
    stream.write_all(request("/").as_bytes()).unwrap();
    until("the request is there", || server.connections() == 1);
    thread::scope(|scope| {
        scope.spawn(|| {
            let (answer, end) = read_all(&mut stream);
            end.unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 503 "));
            drop(stream);
        });
        let ends = ends(server.shut_down(NEVER));
        assert_eq!(ends.len(), 1);
        assert_eq!(ends[0].cause, CloseCause::Answered(503));
    });
}

/// The decision and the shutdown come to a busy worker at once, in this order.
#[test]
fn a_request_that_is_accepted_in_the_moment_of_the_shutdown_is_not_forgotten() {
    let (asked, ids) = mpsc::channel();
    let app = App::echo().on_request(move |_, caller| {
        let _ = asked.send(caller.id);
        Decision::Later
    });
    let server = TestServer::start(app, |builder| builder);
    let mut stream = dial(server.addr);
    stream.write_all(request("/").as_bytes()).unwrap();
    let id = ids.recv_timeout(PATIENCE).expect("the request");
    let busy = server.keep_busy(0);
    server.note(0, move |server| {
        server.accept(id, Acceptance::new(String::new()));
    });
    server.remote.shutdown(NEVER);
    drop(busy);
    let (answer, end) = read_all(&mut stream);
    end.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 503 "));
    drop(stream);
    assert_eq!(ends(server.shut_down(NEVER)).len(), 1);
}

#[test]
fn the_port_is_free_again_at_once() {
    let mut addr = "127.0.0.1:0".parse().unwrap();
    for workers in [2, 1, 2] {
        let server = Server::builder()
            .listen(addr)
            .unwrap()
            .workers(workers)
            .start(|_| Nothing)
            .unwrap();
        addr = server.addrs()[0];
        let mut clients: Vec<Client> = (0..10).map(|_| Client::connect(addr, "/")).collect();
        thread::scope(|scope| {
            scope.spawn(|| server.shutdown(NEVER).unwrap());
            for client in &mut clients {
                client.expect_close(CloseCode::GOING_AWAY);
            }
        });
    }
}
