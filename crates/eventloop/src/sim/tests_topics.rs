//! Topics: who gets what in which order, also with several topics, several workers, and changes in mid-turn.

use core::time::Duration;

use wirefan_protocol::{CloseCode, DeflateConfig, Frame};

use super::script::Script;
use super::world::{Setup, World};
use crate::{AtLimit, CloseCause, Message};

fn with(script: &Script, workers: u16, names: &[&str]) -> (World<Script>, Vec<usize>) {
    let mut world = script.world(Setup {
        workers,
        ..Setup::default()
    });
    let mut clients = Vec::new();
    for (i, name) in names.iter().enumerate() {
        clients.push(world.connect(i % usize::from(workers), name));
        world.run(10);
    }
    (world, clients)
}

/// The path tells the topics: `/ab` is a member of `a` and `b`.
fn members() -> Script {
    Script::new().open(|conn| {
        for topic in conn.peer().clone()[1..].chars() {
            conn.subscribe(&topic.to_string());
        }
    })
}

#[test]
fn members_of_several_topics_get_all_in_the_order_of_the_calls() {
    for workers in [1, 2, 3] {
        let script = members().message(|conn, _| {
            let me = conn.id();
            for (i, topic) in ["a", "b", "c", "b", "a", "a", "c", "b"].iter().enumerate() {
                let text = format!("{topic}{i}");
                match i % 3 {
                    0 => conn.publish(topic, Message::Text(&text)),
                    1 => conn.publish_all(topic, Message::Text(&text)),
                    _ => conn.server().publish(topic, Message::Text(&text)),
                }
                if i == 4 {
                    let _ = conn.send_text("direct");
                    let _ = conn.server().send(me, Message::Text("direct too"));
                }
            }
        });
        let names = ["/abc", "/a", "/b", "/c", "/ab", "/bc", "/ca", "/abc"];
        let (mut world, clients) = with(&script, workers, &names);
        world.clients[clients[0]].send_text("go");
        world.run(10);
        let all = ["a0", "b1", "c2", "b3", "a4", "a5", "c6", "b7"];
        for (client, name) in clients.iter().zip(names).skip(1) {
            let mine: Vec<_> = all
                .into_iter()
                .filter(|text| name.contains(&text[..1]))
                .collect();
            assert_eq!(world.clients[*client].texts(), mine, "{name} of {workers}");
        }
        // The publisher does not get what it published to others; `publish` were the first, fourth and seventh.
        let own = ["b1", "c2", "a4", "direct", "direct too", "a5", "b7"];
        assert_eq!(world.clients[clients[0]].texts(), own);
    }
}

#[test]
fn direct_and_room_messages_to_others_keep_the_order_of_the_calls() {
    for workers in [1, 2] {
        let script = members();
        let ids = std::rc::Rc::clone(&script.seen);
        let script = script.message(move |conn, _| {
            let targets: Vec<_> = ids.borrow().ids.values().copied().collect();
            for i in 0..10 {
                conn.publish("a", Message::Text(&format!("{i}")));
                for to in &targets {
                    let frame = Frame::text(&format!("{i}!"));
                    let _ = match i % 2 {
                        0 => conn.server().send(*to, Message::Text(&format!("{i}!"))),
                        _ => conn.server().send_frame(*to, &frame),
                    };
                }
            }
        });
        let (mut world, clients) = with(&script, workers, &["/a", "/ab", "/abc"]);
        world.clients[clients[0]].send_text("go");
        world.run(10);
        let expected: Vec<String> = (0..10)
            .flat_map(|i| [format!("{i}"), format!("{i}!")])
            .collect();
        for client in &clients[1..] {
            assert_eq!(world.clients[*client].texts(), expected);
        }
        assert_eq!(world.clients[clients[0]].texts().len(), 10);
    }
}

#[test]
fn membership_begins_and_ends_where_the_call_stands() {
    let script = Script::new().message(|conn, _| {
        conn.publish_all("room", Message::Text("before"));
        conn.subscribe("room");
        conn.subscribe("room");
        conn.publish_all("room", Message::Text("1"));
        assert!(conn.unsubscribe("room"));
        assert!(!conn.unsubscribe("room"));
        conn.publish_all("room", Message::Text("between"));
        conn.subscribe("room");
        conn.publish_all("room", Message::Text("2"));
        conn.publish("room", Message::Text("not to myself"));
        conn.unsubscribe("room");
        conn.publish("room", Message::Text("after"));
        assert_eq!(conn.server().members("room"), 0);
    });
    let (mut world, clients) = with(&script, 2, &["/one"]);
    for _ in 0..3 {
        world.clients[clients[0]].send_text("go");
    }
    world.run(10);
    assert_eq!(world.clients[clients[0]].texts(), ["1", "2"].repeat(3));
    assert!(world.shared.directory.is_empty() && world.benches[0].worker.core.topics.is_empty());
}

#[test]
fn members_that_come_and_go_in_one_turn_do_not_disturb_each_other() {
    // Each message has its sender leave and come back; a member moves into the gap each time.
    let script = Script::new()
        .open(|conn| conn.subscribe("room"))
        .message(|conn, message| {
            conn.unsubscribe("room");
            conn.publish("room", message);
            conn.subscribe("room");
        });
    let names = ["/0", "/1", "/2", "/3", "/4"];
    let (mut world, clients) = with(&script, 1, &names);
    for client in &clients {
        world.clients[*client].send_text(&format!("{client}"));
    }
    world.run(10);
    for client in &clients {
        let mut got = world.clients[*client].texts();
        got.sort_unstable();
        let mut others: Vec<String> = clients.iter().map(|other| format!("{other}")).collect();
        others.remove(*client);
        // A message that was published while its reader was between two memberships is not for it.
        assert_eq!(got, others);
    }
}

/// RFC 7692 §7.1.1: what is compressed refers to what was compressed before, wherever it came from.
#[test]
fn a_member_that_enters_a_second_topic_leaves_the_shared_history_of_the_first() {
    let script = Script::new()
        .open(|conn| conn.subscribe("a"))
        .message(|conn, message| match message {
            Message::Text("enter") => conn.subscribe("b"),
            Message::Text("leave") => _ = conn.unsubscribe("b"),
            message => {
                conn.publish_all("a", message);
                conn.server().publish("b", message);
            }
        });
    let mut deflate = DeflateConfig::default();
    (deflate.takeover, deflate.shared_history, deflate.min_len) = (true, Some(100), 0);
    let mut world = script.world(Setup {
        deflate: Some(deflate.clone()),
        client_deflate: Some(deflate),
        ..Setup::default()
    });
    let clients = ["/0", "/1", "/2", "/3", "/4"].map(|name| world.connect(0, name));
    world.run(10);
    let mut expected = vec![Vec::new(); clients.len()];
    for round in 0..12 {
        let text =
            format!("{{\"round\":{round},\"bids\":[101.25,101.50,101.75],\"round\":{round}}}");
        match round {
            3 => world.clients[clients[1]].send_text("enter"),
            5 => world.clients[clients[2]].send_text("enter"),
            9 => world.clients[clients[1]].send_text("leave"),
            _ => {}
        }
        world.run(10);
        world.clients[clients[0]].send_text(&text);
        world.run(10);
        for (i, expected) in expected.iter_mut().enumerate() {
            let twice = (i == 1 && (3..9).contains(&round)) || (i == 2 && round >= 5);
            expected.extend(vec![text.clone(); 1 + usize::from(twice)]);
        }
    }
    for (client, expected) in clients.iter().zip(expected) {
        assert_eq!(world.clients[*client].texts(), expected, "{client}");
    }
    assert!(world.benches[0].worker.core.topics.compressions > 0);
}

#[test]
fn counts_of_members_are_right_on_all_workers() {
    let script = members();
    let (mut world, clients) = with(&script, 3, &["/a", "/a", "/ab", "/b", "/ab", "/c"]);
    let counts = |world: &mut World<Script>| {
        let mut counts = Vec::new();
        for worker in 0..3 {
            let count = world.with_ctx(worker, |server| {
                ["a", "b", "c", "d"].map(|t| server.members(t))
            });
            counts.push(count);
        }
        assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
        counts[0]
    };
    assert_eq!(counts(&mut world), [4, 3, 1, 0]);
    world.clients[clients[0]].close(1000);
    world.clients[clients[2]].reset();
    world.run(100);
    assert_eq!(counts(&mut world), [2, 2, 1, 0]);
    let id = script.id("/c");
    world.remote.close(id, CloseCode::NORMAL, "").unwrap();
    world.run(10);
    assert_eq!(counts(&mut world), [2, 2, 0, 0]);
}

#[test]
fn a_handler_may_publish_and_send_from_every_call() {
    let watch = |conn: &mut crate::Conn<'_, String>, text: &str| {
        conn.publish_all("room", Message::Text(text));
    };
    let script = Script::new()
        .open(move |conn| match &**conn.peer() {
            "/watcher" => conn.subscribe("room"),
            _ => watch(conn, "open"),
        })
        .message(move |conn, _| {
            watch(conn, "message");
            let _ = conn.send_binary(&[0; 400_000]);
            conn.set_timer(Duration::from_millis(200));
        })
        .drained(move |conn| watch(conn, "drained"))
        .timer(move |conn| watch(conn, "timer"))
        .closed(|_, server| server.publish("room", Message::Text("closed")));
    for workers in [1, 2] {
        let (mut world, clients) = with(&script, workers, &["/watcher", "/one"]);
        world.clients[clients[1]].mood.reads = false;
        world.clients[clients[1]].send_text("go");
        world.run(50);
        world.clients[clients[1]].mood.reads = true;
        world.run(50);
        let id = script.id("/watcher");
        let note = move |server: &mut crate::Ctx<'_, String>| {
            server.publish("room", Message::Text("note"));
            let _ = server.send(id, Message::Text("note, direct"));
        };
        world
            .remote
            .note(usize::from(workers - 1), Box::new(note))
            .unwrap();
        world.run(200);
        world.clients[clients[1]].close(1000);
        world.run(50);
        world
            .remote
            .publish("room", &Frame::text("remote"))
            .unwrap();
        world
            .remote
            .send(id, &Frame::text("remote, direct"))
            .unwrap();
        world.run(50);
        let all = [
            "open",
            "message",
            "drained",
            "note",
            "note, direct",
            "timer",
            "closed",
            "remote",
            "remote, direct",
        ];
        assert_eq!(world.clients[clients[0]].texts(), all);
        script.seen.borrow_mut().calls.clear();
    }
}

/// Leaving a topic brings what was published before; if that is too much the connection is closed in the middle of it.
#[test]
fn leaving_a_topic_with_too_much_in_its_lane_closes_cleanly() {
    let script = Script::new()
        .open(|conn| {
            conn.subscribe("a");
            conn.subscribe("b");
        })
        .message(|conn, _| {
            for _ in 0..100 {
                conn.publish_all("a", Message::Binary(&[0; 1000]));
            }
            assert!(conn.unsubscribe("a"));
            conn.publish_all("b", Message::Text("x"));
            conn.unsubscribe("b");
        });
    let mut setup = Setup::default();
    setup.marks.limit = 10_000;
    setup.marks.at_limit = AtLimit::Close(CloseCode::POLICY);
    setup.conduct.room = 1000;
    let mut world = script.world(setup);
    let one = world.connect(0, "/one");
    world.setup.conduct.room = 1_000_000;
    world.connect(0, "/two");
    world.run(10);
    world.clients[one].mood.reads = false;
    world.clients[one].send_text("go");
    world.run(10);
    world.clients[one].mood.reads = true;
    world.run(10);
    assert_eq!(world.clients[one].ending(), (Some(1008), true));
    assert_eq!(script.cause("/one"), CloseCause::SlowReader);
    assert_eq!(
        world.with_ctx(0, |server| (server.members("a"), server.members("b"))),
        (1, 1)
    );
}

#[test]
fn a_lane_that_grows_in_one_read_is_brought_out_before_the_turn_ends() {
    let script = Script::new()
        .open(|conn| conn.subscribe("room"))
        .message(|conn, message| {
            for _ in 0..40 {
                conn.publish("room", message);
            }
        });
    let mut world = script.world(Setup {
        read_buffer: 512 * 1024,
        ..Setup::default()
    });
    let clients = ["/reader", "/one", "/two"].map(|name| world.connect(0, name));
    world.run(10);
    for client in &clients[1..] {
        world.clients[*client].send_binary(&vec![0; 60_000]);
    }
    world.run(1000);
    assert_eq!(world.clients[clients[0]].seen.len(), 81);
}
