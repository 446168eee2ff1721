//! A connection that always has data does not keep the others waiting, whatever it sends.

mod common;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::client::{dial, frame, upgrade};
use common::server::{App, TestServer};
use common::{PATIENCE, noise, until};
use wirefan_eventloop::Message;

/// Runs echoes of one client while others send `flood` without a pause.
fn served_beside(app: App, flood: &[u8], floods: usize, echoes: usize) {
    let server = TestServer::start(app, |builder| builder);
    let over = AtomicBool::new(false);
    let flooding = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..floods {
            let mut stream = dial(server.addr);
            upgrade(&mut stream, "/flood");
            let mut reader = stream.try_clone().unwrap();
            let (over, flooding) = (&over, &flooding);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) && stream.write_all(flood).is_ok() {
                    flooding.fetch_add(1, Ordering::SeqCst);
                }
                // The reader ends with it.
                let _ = stream.shutdown(Shutdown::Both);
            });
            scope.spawn(move || {
                let mut buffer = vec![0; 64 * 1024];
                while matches!(reader.read(&mut buffer), Ok(len) if len > 0) {}
            });
        }
        until("the floods have begun", || {
            flooding.load(Ordering::SeqCst) >= 2 * floods
        });
        let mut client = server.client("/");
        for i in 0..echoes {
            client.echo(&i.to_string());
        }
        // They have been going on all the while, and go on.
        let now = flooding.load(Ordering::SeqCst);
        until("the floods go on", || {
            flooding.load(Ordering::SeqCst) > now + floods
        });
        over.store(true, Ordering::SeqCst);
    });
}

#[test]
fn beside_floods_of_tiny_messages() {
    let flood = frame(0x82, b"").repeat(20_000);
    let app = App::echo().on_message(|conn, message| {
        if conn.peer() != "/flood" {
            let _ = conn.send(message);
        }
    });
    served_beside(app, &flood, 2, 8);
}

#[test]
fn beside_floods_of_large_messages_that_are_echoed() {
    served_beside(App::echo(), &frame(0x82, &noise(1_000_000)), 2, 50);
}

#[test]
fn beside_floods_of_pings() {
    let flood = frame(0x89, &[7; 125]).repeat(2000);
    served_beside(App::echo(), &flood, 2, 50);
}

#[test]
fn beside_floods_of_fragments() {
    let most = frame(0x00, &noise(1000)).repeat(900);
    let flood = [frame(0x02, b""), most, frame(0x80, b"")].concat();
    served_beside(App::echo(), &flood, 2, 50);
}

#[test]
fn beside_a_room_that_is_flooded() {
    let app = App::echo()
        .on_open(|conn| {
            if conn.peer() == "/flood" {
                conn.subscribe("room");
            }
        })
        .on_message(|conn, message| match (conn.peer().as_str(), message) {
            ("/flood", message) => conn.publish_all("room", message),
            (_, Message::Text(text)) => {
                let _ = conn.send_text(text);
            }
            _ => {}
        });
    served_beside(app, &frame(0x82, &noise(10_000)).repeat(10), 3, 50);
}

#[test]
fn an_answer_does_not_wait_for_the_mail_behind_it() {
    let server = TestServer::echo();
    let mut client = server.client("/");
    let busy = server.keep_busy(0);
    // Both are there when the worker looks up again, the message first.
    client.send_text("hello");
    thread::sleep(Duration::from_millis(50));
    let (release, released) = mpsc::channel::<()>();
    server.note(0, move |_| {
        let _ = released.recv_timeout(2 * PATIENCE);
    });
    drop(busy);
    assert_eq!(client.next_text(), "hello");
    drop(release);
}
