//! Policies of topics for members that read slowly, on real sockets: who keeps up gets everything, who does not gets what
//! the policy says, and what is lost is counted.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::client::{Client, Received, dial_narrow};
use common::server::{App, TestServer};
use common::until;
use wirefan_eventloop::{Conn, Message, Policy, Timeouts, WhenSlow};
use wirefan_protocol::CloseCode;

/// Far more than the system keeps for a socket.
const MESSAGES: usize = 1000;
const LEN: usize = 16 * 1024;

/// Numbers and what they were published with, in a room under this policy; `/slow` notes how many it has lost.
fn room(policy: Policy) -> (TestServer, Arc<AtomicU32>) {
    let lost = Arc::new(AtomicU32::new(0));
    let noted = Arc::clone(&lost);
    let note = move |conn: &mut Conn<'_, String>| {
        noted.store(conn.dropped(), Ordering::SeqCst);
    };
    let app = App::echo()
        .on_open(|conn| {
            conn.subscribe("room");
            if conn.peer() == "/slow" {
                conn.set_timer(Duration::ZERO);
            }
        })
        .on_timer(move |conn| {
            note(conn);
            conn.set_timer(Duration::from_millis(5));
        })
        .on_message(|conn, message| {
            let Message::Text(text) = message else { return };
            let key = text[5..6].to_owned();
            conn.publish_keyed("room", &key, message);
        });
    let mut timeouts = Timeouts::default();
    timeouts.ping = None;
    let server = TestServer::start(app, |builder| {
        builder
            .timeouts(timeouts)
            .topic_policy(move |topic| (topic == "room").then_some(policy))
    });
    (server, lost)
}

fn number(text: &str) -> usize {
    text[..6].parse().expect("a number")
}

/// Publishes everything to one that keeps up and to one that does not read meanwhile, and returns this one.
fn publish(server: &TestServer) -> Client {
    let stream = dial_narrow(server.addr);
    let slow = Client::over(stream, "/slow");
    let mut fast = server.client("/fast");
    let mut publisher = server.client("/publisher");
    until("all are there", || {
        server.on_worker(0, |server| server.members("room")) == 3
    });
    for i in 0..MESSAGES {
        publisher.send_text(&format!("{i:06}{}", "x".repeat(LEN - 6)));
        assert_eq!(number(&fast.next_text()), i);
    }
    slow
}

/// What the slow one still gets, in order, until nothing is missing that was not lost.
fn read_all(slow: &mut Client, lost: usize) -> Vec<usize> {
    let mut got = Vec::new();
    while got.len() + lost < MESSAGES {
        match slow.next() {
            Received::Text(text) => {
                assert_eq!(text.len(), LEN);
                got.push(number(&text));
            }
            other => panic!("{other:?} after {} with {lost} lost", got.len()),
        }
    }
    assert!(got.is_sorted());
    got
}

fn policy(when_slow: WhenSlow) -> Policy {
    let mut policy = Policy::new(when_slow);
    policy.limit = 20 * LEN;
    policy
}

#[test]
fn drop_new_drop_oldest_and_conflate_lose_what_they_say_and_count_it() {
    for when_slow in [WhenSlow::DropNew, WhenSlow::DropOldest, WhenSlow::Conflate] {
        let (server, dropped) = room(policy(when_slow));
        let mut slow = publish(&server);
        let drops = server.on_worker(0, |server| {
            assert_eq!(server.topic_drops("elsewhere"), None);
            assert_eq!(server.topic_drops("room"), Some(server.drops()));
            server.drops()
        });
        let lost = drops.messages() as usize;
        assert!(lost > MESSAGES / 3, "{drops:?}");
        until("the connection knows it too", || {
            dropped.load(Ordering::SeqCst) as usize == lost
        });
        let got = read_all(&mut slow, lost);
        match when_slow {
            WhenSlow::DropNew => {
                // The system may take a little more later on.
                assert_eq!(got[..20], (0..20).collect::<Vec<_>>());
                assert_eq!(drops.newest as usize, lost);
            }
            WhenSlow::DropOldest => {
                let newest: Vec<usize> = (MESSAGES - 18..MESSAGES).collect();
                assert!(got.ends_with(&newest), "{got:?}");
                assert_eq!(drops.oldest as usize, lost);
            }
            _ => {
                // A key for each last digit.
                let newest: Vec<usize> = (MESSAGES - 10..MESSAGES).collect();
                assert!(got.ends_with(&newest), "{got:?}");
                assert_eq!(drops.conflated as usize, lost);
            }
        }
        // It has read everything, and is as good as the others again.
        server.on_worker(0, |server| {
            server.publish("room", Message::Text("welcome back"));
        });
        assert_eq!(slow.next_text(), "welcome back");
    }
}

#[test]
fn close_closes_at_the_limit_of_the_room() {
    let (server, _) = room(policy(WhenSlow::Close(CloseCode::TRY_AGAIN_LATER)));
    let mut slow = publish(&server);
    let drops = server.on_worker(0, |server| server.drops());
    assert_eq!((drops.closed, drops.messages()), (1, 0));
    let mut next = 0;
    loop {
        match slow.next() {
            Received::Text(text) => assert_eq!(number(&text), next),
            Received::Close(code, _) => break assert_eq!(code, Some(CloseCode::TRY_AGAIN_LATER)),
            other => panic!("{other:?}"),
        }
        next += 1;
    }
    assert!(next < MESSAGES);
}

#[test]
fn what_is_too_old_is_dropped_though_nothing_else_happens() {
    let mut policy = Policy::new(WhenSlow::DropOldest);
    policy.limit = usize::MAX;
    policy.max_age = Some(Duration::from_millis(300));
    let (server, _) = room(policy);
    let mut slow = publish(&server);
    until("all that waits has been dropped", || {
        let drops = server.on_worker(0, |server| server.drops());
        drops.expired > 0
            && drops.expired as usize == {
                std::thread::sleep(Duration::from_millis(400));
                server.on_worker(0, |server| server.drops().expired as usize)
            }
    });
    let drops = server.on_worker(0, |server| server.drops());
    // The limit of the whole backlog holds too.
    assert_eq!(drops.messages(), drops.expired + drops.oldest);
    read_all(&mut slow, drops.messages() as usize);
}
