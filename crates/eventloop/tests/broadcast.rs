//! Rooms over real sockets: nothing lost, doubled or out of order, with one worker and with several.

mod common;

use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;

use common::client::{Client, Received};
use common::process::raise_open_files;
use common::server::{App, TestServer};
use wirefan_eventloop::{Message, ServerBuilder};
use wirefan_protocol::Frame;

/// The crowds come one after the other, for the sake of the open files.
static CROWD: Mutex<()> = Mutex::new(());

/// `clients` in one room, of which the first `publishers` send `messages` each, at the same time.
fn crowd(
    clients: usize,
    publishers: usize,
    messages: usize,
    set: impl FnOnce(ServerBuilder) -> ServerBuilder,
) {
    let _one = CROWD.lock().unwrap_or_else(PoisonError::into_inner);
    raise_open_files();
    let server = TestServer::start(App::rooms(), set);
    let mut clients: Vec<Client> = (0..clients).map(|_| server.client("/room")).collect();
    for _ in &clients {
        server.opened();
    }
    for worker in 0..server.remote.workers() {
        let connections = server.on_worker(worker, |server| server.connections());
        assert_ne!(connections, 0, "worker {worker} has nobody");
    }
    let start = Barrier::new(publishers);
    thread::scope(|scope| {
        for (publisher, client) in clients[..publishers].iter_mut().enumerate() {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                for i in 0..messages {
                    client.send_text(&format!("{publisher} {i}"));
                }
            });
        }
    });
    for (number, client) in clients.iter_mut().enumerate() {
        let own = if number < publishers { messages } else { 0 };
        let mut next = vec![0; publishers];
        for _ in 0..publishers * messages - own {
            let text = client.next_text();
            let (publisher, i) = text.split_once(' ').expect("two numbers");
            let (publisher, i): (usize, usize) = (publisher.parse().unwrap(), i.parse().unwrap());
            assert_eq!(i, next[publisher], "client {number}, publisher {publisher}");
            next[publisher] += 1;
        }
        if number < publishers {
            assert_eq!(next[number], 0, "a publisher got its own");
        }
    }
    // What were doubled would lie before this.
    server.remote.publish("/room", &Frame::text("end")).unwrap();
    for client in &mut clients {
        assert_eq!(client.next(), Received::Text("end".into()));
    }
}

#[test]
fn a_thousand_clients_and_a_hundred_messages_in_one_room() {
    crowd(1000, 1, 100, |builder| builder);
}

#[test]
fn a_thousand_clients_on_two_workers_and_four_publishers() {
    crowd(1000, 4, 25, |builder| builder.workers(2));
}

#[test]
fn a_thousand_clients_handed_out_to_two_workers_and_four_publishers() {
    crowd(1000, 4, 25, |builder| builder.workers(2).share_port(false));
}

#[test]
fn everybody_publishes_on_three_workers() {
    crowd(60, 60, 20, |builder| builder.workers(3).share_port(false));
}

/// The mailbox between the workers is far too small for what goes through it: the publishers wait, the room loses nothing.
#[test]
fn a_full_mailbox_between_workers_makes_publishers_wait_and_loses_nothing() {
    const MESSAGES: usize = 300;
    let app = App::rooms().on_message(|conn, message| conn.publish("/room", message));
    let server = TestServer::start(app, |builder| {
        builder.workers(2).share_port(false).max_mail(20_000)
    });
    let mut members: Vec<Client> = (0..4).map(|_| server.client("/room")).collect();
    let mut publishers: Vec<Client> = (0..4).map(|_| server.client("/elsewhere")).collect();
    for _ in 0..8 {
        server.opened();
    }
    thread::scope(|scope| {
        for (number, client) in publishers.iter_mut().enumerate() {
            scope.spawn(move || {
                for i in 0..MESSAGES {
                    client.send_text(&format!("{number} {i} {}", "x".repeat(3000)));
                }
            });
        }
        for client in &mut members {
            scope.spawn(move || {
                let mut next = [0; 4];
                for _ in 0..4 * MESSAGES {
                    let text = client.next_text();
                    let mut words = text.split(' ');
                    let mut number = || words.next().unwrap().parse::<usize>().unwrap();
                    let (publisher, i) = (number(), number());
                    assert_eq!(i, next[publisher]);
                    next[publisher] += 1;
                }
            });
        }
    });
}

/// Alternately to the room and directly, from the same handler, to a member that is on another worker.
#[test]
fn direct_and_room_messages_keep_the_order_of_the_calls_across_workers() {
    let server = TestServer::start(App::rooms(), |builder| builder.workers(2).share_port(false));
    let mut members = [server.client("/room"), server.client("/room")];
    let ids = [server.opened(), server.opened()];
    let workers = [ids[0].worker(), ids[1].worker()];
    assert!(workers == [0, 1] || workers == [1, 0], "{workers:?}");
    for from in [0, 1] {
        server.on_worker(from, move |server| {
            for i in 0..100 {
                server.publish("/room", Message::Text(&format!("{} room", 2 * i)));
                for id in ids {
                    let _ = server.send(id, Message::Text(&format!("{} direct", 2 * i + 1)));
                }
            }
        });
        for client in &mut members {
            for i in 0..200 {
                let way = if i % 2 == 0 { "room" } else { "direct" };
                assert_eq!(client.next_text(), format!("{i} {way}"));
            }
        }
    }
}

#[test]
fn nothing_comes_before_subscribe_and_nothing_after_unsubscribe() {
    let app = App::echo().on_message(|conn, message| match message {
        Message::Text("join") => {
            conn.subscribe("room");
            let _ = conn.send_text("joined");
        }
        Message::Text("leave") => {
            assert!(conn.unsubscribe("room"));
            let _ = conn.send_text("left");
        }
        message => conn.publish("room", message),
    });
    let server = TestServer::start(app, |builder| builder);
    let mut publisher = server.client("/");
    let mut member = server.client("/");
    for round in 0..20 {
        member.send_text("join");
        assert_eq!(member.next_text(), "joined");
        // Without waiting for anything: some of these come before the member has left.
        for i in 0..50 {
            publisher.send_text(&format!("{round} {i}"));
            if i == 25 {
                member.send_text("leave");
            }
        }
        let mut next = None;
        loop {
            let text = member.next_text();
            if text == "left" {
                break;
            }
            let (of, i) = text.split_once(' ').expect("two numbers");
            assert_eq!(of, round.to_string(), "from before it joined");
            let i: usize = i.parse().unwrap();
            assert_eq!(i, next.unwrap_or(i), "one was lost");
            assert!(next.is_some() || i == 0, "the first was lost");
            next = Some(i + 1);
        }
        // All of this round has been published when this is back.
        publisher.send_text("join");
        assert_eq!(publisher.next_text(), "joined");
        publisher.send_text("leave");
        assert_eq!(publisher.next_text(), "left");
    }
    member.send_text("join");
    assert_eq!(member.next(), Received::Text("joined".into()));
}

#[test]
fn a_member_of_several_rooms_gets_all_in_the_order_published() {
    let app = App::echo().on_open(|conn| {
        for room in ["a", "b", "c"] {
            conn.subscribe(room);
        }
    });
    let server = TestServer::start(app, |builder| builder);
    let mut clients = [server.client("/"), server.client("/")];
    server.opened();
    server.opened();
    server.on_worker(0, |server| {
        for i in 0..300 {
            server.publish(["a", "b", "c"][i % 3], Message::Text(&i.to_string()));
        }
    });
    for client in &mut clients {
        for i in 0..300 {
            assert_eq!(client.next_text(), i.to_string());
        }
    }
}

#[test]
fn members_are_counted_over_all_workers_and_gone_when_they_are_gone() {
    let server = TestServer::start(App::rooms(), |builder| builder.workers(2).share_port(false));
    let clients: Vec<Client> = (0..10).map(|_| server.client("/room")).collect();
    for _ in &clients {
        server.opened();
    }
    for worker in [0, 1] {
        assert_eq!(
            server.on_worker(worker, |server| server.members("/room")),
            10
        );
    }
    drop(clients);
    for _ in 0..10 {
        server.closed();
    }
    for worker in [0, 1] {
        assert_eq!(
            server.on_worker(worker, |server| server.members("/room")),
            0
        );
    }
}
