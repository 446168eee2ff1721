//! Between threads: mailboxes that are full, publishers that wait, and workers that take turns.

use wirefan_protocol::{CloseCode, Frame};

use super::client::Seen;
use super::script::{Note, Script};
use super::world::{Setup, World};
use crate::{CloseCause, MailboxFull, Message};

/// A publisher on worker 0 and a member on worker 1, with mailboxes of ten kilobytes.
fn pair(script: &Script, seed: u64) -> (World<Script>, usize, usize) {
    let mut world = script.world(Setup {
        seed,
        workers: 2,
        max_mail: 10_000,
        read_buffer: 5000,
        ..Setup::default()
    });
    let clients = (world.connect(0, "/publisher"), world.connect(1, "/member"));
    world.run(10);
    (world, clients.0, clients.1)
}

fn publisher() -> Script {
    Script::new()
        .open(|conn| {
            if conn.peer() == "/member" {
                conn.subscribe("room");
            }
        })
        .message(|conn, message| conn.publish("room", message))
}

#[test]
fn a_full_mailbox_stalls_the_publisher_and_nothing_is_lost() {
    for seed in 0..10 {
        let script = publisher();
        let (mut world, publisher, member) = pair(&script, seed);
        world.benches[1].frozen = world.now() + 5000;
        for i in 0..200 {
            world.clients[publisher].send_text(&format!("{i:0>1000}"));
        }
        world.run(4000);
        let taken = script.messages("/publisher").len();
        assert!((9..20).contains(&taken), "{taken} kilobytes were taken");
        // At the limit, and what two reads brought.
        assert!(world.shared.mailboxes[1].bytes() < 10_000 + 2 * 6000);
        // The ping that falls due meanwhile does not hurt it.
        world.benches[1].frozen = world.now() + 90_000;
        world.run(80_000);
        assert!(world.clients[publisher].is_open());
        assert_eq!(script.messages("/publisher").len(), taken);
        world.run(11_000);
        let numbers: Vec<usize> = world.clients[member]
            .texts()
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    }
}

/// Mail that comes for the publisher's worker meanwhile says nothing of the mailbox that is full.
#[test]
fn a_stalled_publisher_is_not_resumed_by_other_mail() {
    let script = publisher();
    let (mut world, publisher, member) = pair(&script, 1);
    world.benches[1].frozen = world.now() + 5000;
    for i in 0..200 {
        world.clients[publisher].send_text(&format!("{i:0>1000}"));
    }
    for _ in 0..100 {
        let note: Note = Box::new(|_| {});
        world.remote.note(0, note).unwrap();
        world.run(10);
        let held = world.shared.mailboxes[1].bytes();
        assert!(held < 10_000 + 2 * 6000, "{held} bytes of mail");
    }
    world.run(5000);
    assert_eq!(world.clients[member].texts().len(), 200);
}

#[test]
fn a_stalled_publisher_does_not_stall_the_others() {
    let script = publisher().message(|conn, message| match message {
        Message::Text("echo") => {
            let _ = conn.send_text("echo");
        }
        _ => conn.publish("room", message),
    });
    let (mut world, publisher, _) = pair(&script, 1);
    let other = world.connect(0, "/other");
    world.run(10);
    world.benches[1].frozen = world.now() + 5000;
    world.clients[publisher].send_binary(&[0; 20_000]);
    world.run(100);
    world.clients[publisher].send_text("echo");
    world.clients[other].send_text("echo");
    world.run(100);
    assert_eq!(world.clients[other].texts(), ["echo"]);
    assert_eq!(world.clients[publisher].texts(), [""; 0]);
    world.run(6000);
    assert_eq!(world.clients[publisher].texts(), ["echo"]);
}

#[test]
fn a_stalled_connection_can_close_and_be_closed() {
    for ours in [true, false] {
        let script = publisher();
        let (mut world, publisher, _) = pair(&script, 1);
        world.benches[1].frozen = world.now() + 60_000;
        world.clients[publisher].send_binary(&[0; 20_000]);
        world.run(100);
        if ours {
            let id = script.id("/publisher");
            world.with_ctx(0, |server| server.close(id, CloseCode(4000), ""));
            world.run(100);
            let code = CloseCode(4000);
            assert_eq!(script.cause("/publisher"), CloseCause::WeClosed { code });
        } else {
            world.clients[publisher].close(4001);
            world.run(100);
            assert_eq!(world.clients[publisher].ending().0, None, "it is not read");
            world.run(61_000);
            assert!(matches!(
                script.cause("/publisher"),
                CloseCause::PeerClosed { .. }
            ));
        }
    }
}

#[test]
fn other_threads_are_told_that_a_mailbox_is_full() {
    let script = publisher();
    let (mut world, _, member) = pair(&script, 1);
    world.benches[1].frozen = world.now() + 1000;
    let (id, frame) = (script.id("/member"), Frame::binary(&[1; 1000]));
    let taken = (0..100)
        .take_while(|_| world.remote.send(id, &frame).is_ok())
        .count();
    assert!((8..=10).contains(&taken), "{taken}");
    assert_eq!(world.remote.publish("room", &frame), Err(MailboxFull));
    assert_eq!(
        world.remote.close(id, CloseCode::NORMAL, ""),
        Err(MailboxFull)
    );
    let note: Note = Box::new(|_| {});
    assert_eq!(world.remote.note(1, note).err(), Some(MailboxFull));
    let note: Note = Box::new(|_| {});
    assert!(world.remote.note(0, note).is_ok());
    let note: Note = Box::new(|_| {});
    assert_eq!(world.remote.note(2, note).err(), Some(MailboxFull));
    // A shutdown gets in always, behind what lies there.
    world.shut_down(3000);
    world.run(2000);
    assert_eq!(
        world.clients[member].count(|seen| matches!(seen, Seen::Binary(_))),
        taken
    );
    assert_eq!(world.clients[member].ending(), (Some(1001), true));
}

#[test]
fn mail_to_a_worker_that_has_ended_stalls_nobody() {
    let script = Script::new();
    let ids = std::rc::Rc::clone(&script.seen);
    let script = script.message(move |conn, message| {
        let to = ids.borrow().ids["/member"];
        let _ = conn.server().send(to, message);
    });
    let (mut world, sender, member) = pair(&script, 1);
    world.clients[sender].mood.answers = false;
    world.clients[member].close(1000);
    world.run(10);
    world.shut_down(4000);
    world.run(100);
    assert!(world.benches[1].done && !world.benches[0].done);
    let id = script.id("/member");
    for _ in 0..100 {
        let _ = world.with_ctx(0, |server| server.send(id, Message::Binary(&[0; 1000])));
    }
    assert!(
        world.shared.mailboxes[1].bytes() < 12_000,
        "{}",
        world.shared.mailboxes[1].bytes()
    );
    world.run(5000);
    assert!(world.benches[0].done);
    world.assert_empty();
}

#[test]
fn what_one_handler_does_arrives_on_another_worker_in_its_order() {
    let script = publisher();
    let ids = std::rc::Rc::clone(&script.seen);
    let script = script.message(move |conn, _| {
        let to = ids.borrow().ids["/member"];
        conn.publish("room", Message::Text("1"));
        let _ = conn.server().send(to, Message::Text("2"));
        conn.publish_all("room", Message::Text("3"));
        conn.server().close(to, CloseCode(4000), "");
        conn.publish("room", Message::Text("4"));
        let _ = conn.server().send(to, Message::Text("5"));
    });
    let (mut world, publisher, member) = pair(&script, 1);
    world.clients[publisher].send_text("go");
    world.run(10);
    assert_eq!(world.clients[member].texts(), ["1", "2", "3"]);
    assert_eq!(world.clients[member].ending(), (Some(4000), true));
}
