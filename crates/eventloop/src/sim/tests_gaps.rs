//! Readers that are closed for being slow: what they got before the Close has no gap, whatever else they were sent.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use wirefan_protocol::{CloseCode, DeflateConfig};

use super::chance::seeds;
use super::client::Seen;
use super::script::Script;
use super::tests_slow_readers::{limited, policies, setup};
use super::world::{Setup, World};
use crate::{AtLimit, Backpressure, CloseCause, Ctx, Message, Policy, Sent, WhenSlow};

const CLOSE: WhenSlow = WhenSlow::Close(CloseCode::TRY_AGAIN_LATER);

fn text(number: usize) -> String {
    format!("{number:0>100}")
}

fn numbers(world: &World<Script>, client: usize) -> Vec<usize> {
    let texts = world.clients[client].texts();
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn closing_when_old() -> Policy {
    let mut policy = Policy::new(CLOSE);
    policy.max_age = Some(Duration::from_millis(500));
    policy
}

fn assert_no_gap(world: &World<Script>, client: usize) {
    let got = numbers(world, client);
    assert_eq!(got, (0..got.len()).collect::<Vec<_>>());
}

/// A server with one client, `/slow`, that has stopped to read.
fn stopped(script: &Script, setup: Setup) -> World<Script> {
    let mut world = script.world(setup);
    world.connect(0, "/slow");
    world.run(10);
    world.clients[0].mood.reads = false;
    world
}

/// More than is offered at once, of a topic whose policy closes, then something for one of its members alone, and its end.
#[test]
fn a_direct_message_and_a_close_do_not_hide_what_was_lost_before_them() {
    for closes in [false, true] {
        let script = Script::new().open(|conn| conn.subscribe("room"));
        let mut world = stopped(&script, setup(limited(CLOSE, 500)));
        let id = script.id("/slow");
        let sent = world.with_ctx(0, |server| {
            for number in 0..1000 {
                server.publish("room", Message::Text(&text(number)));
            }
            let sent = server.send(id, Message::Text(&text(1000)));
            if closes {
                server.close(id, CloseCode::NORMAL, "");
            }
            sent
        });
        world.clients[0].mood.reads = true;
        world.run(1000);
        assert_no_gap(&world, 0);
        assert_eq!(sent, Sent::Dropped);
        assert_eq!(world.clients[0].ending(), (Some(1013), true));
        assert_eq!(script.cause("/slow"), CloseCause::SlowReader);
    }
}

/// A policy may name a code that nobody may send (RFC 6455 §7.4.1): who has lost messages is closed all the same.
#[test]
fn a_code_that_may_not_be_sent_keeps_nobody_behind_a_gap() {
    let script = Script::new().open(|conn| conn.subscribe("room"));
    let policy = limited(WhenSlow::Close(CloseCode::NO_STATUS), 500);
    let mut world = stopped(&script, setup(policy));
    world.with_ctx(0, |server| {
        for number in 0..1000 {
            server.publish("room", Message::Text(&text(number)));
        }
    });
    world.clients[0].mood.reads = true;
    world.run(1000);
    assert_no_gap(&world, 0);
    assert_eq!(world.clients[0].ending(), (Some(1008), true));
    assert_eq!(script.cause("/slow"), CloseCause::SlowReader);
}

/// The same where the member reads while the turn lasts, and its socket is told to be writable in it.
#[test]
fn a_reader_that_wakes_in_the_turn_that_closes_it_sees_no_gap() {
    let script = Script::new().open(|conn| {
        conn.subscribe("room");
        conn.subscribe("free");
    });
    let mut world = stopped(&script, setup(limited(CLOSE, 500)));
    let id = script.id("/slow");
    let core = &mut world.benches[0].worker.core;
    let mut server = Ctx { core };
    for number in 0..1000 {
        server.publish("room", Message::Text(&text(number)));
    }
    server.publish("free", Message::Text(&text(1000)));
    let _ = server.send(id, Message::Text(&text(1001)));
    world.clients[0].mood.reads = true;
    for _ in 0..10 {
        let now = world.now();
        world.clients[0].line.arrive();
        world.clients[0].step(now);
    }
    let token = world.token(0, 0);
    world.stale_edge(0, token);
    world.run(1000);
    assert_no_gap(&world, 0);
    assert_eq!(world.clients[0].ending().0, Some(1013));
}

/// What is too old closes it in the midst of a turn, while a newer message lies in the lane.
#[test]
fn what_is_published_in_the_turn_that_closes_a_reader_is_not_sent_behind_a_gap() {
    let script = Script::new().open(|conn| conn.subscribe("room"));
    let mut world = stopped(&script, setup(closing_when_old()));
    for number in 0..40 {
        world.with_ctx(0, |server| {
            server.publish("room", Message::Text(&text(number)));
        });
    }
    world.freeze(1000);
    world.clients[0].mood.reads = true;
    world.clients[0].mood.gulp = 500;
    let now = world.now();
    world.clients[0].line.arrive();
    world.clients[0].step(now);
    // The socket is told behind the publication, as one that publishes may come first among those that are ready.
    let core = &mut world.benches[0].worker.core;
    Ctx { core }.publish("room", Message::Text(&text(40)));
    world.run(1000);
    assert_no_gap(&world, 0);
    assert_eq!(world.clients[0].ending(), (Some(1013), true));
    assert_eq!(script.cause("/slow"), CloseCause::SlowReader);
}

/// What the timer of a connection sends it, which is called in the moment that closes it.
#[test]
fn what_a_timer_sends_to_a_reader_of_what_is_too_old_comes_before_the_close_or_never() {
    let script = Script::new()
        .open(|conn| {
            conn.subscribe("room");
            conn.set_timer(Duration::from_millis(600));
        })
        .timer(|conn| {
            let sent = conn.send_text(&text(20));
            assert_eq!(sent, Sent::Dropped);
        });
    let mut world = stopped(&script, setup(closing_when_old()));
    for number in 0..20 {
        world.with_ctx(0, |server| {
            server.publish("room", Message::Text(&text(number)));
        });
    }
    world.freeze(2000);
    world.run(1);
    world.clients[0].mood.reads = true;
    world.run(1000);
    assert_no_gap(&world, 0);
    assert_eq!(world.clients[0].ending(), (Some(1013), true));
    assert!(script.calls().len() > 2, "its timer was called");
}

/// A close is behind all that was sent, or says that not all of it was.
#[test]
fn a_close_by_the_handler_does_not_hide_what_another_topic_has_lost() {
    let script = Script::new().open(|conn| {
        conn.subscribe("room");
        conn.subscribe("free");
    });
    let mut setup = setup(limited(CLOSE, 500));
    setup.marks.limit = 10_000;
    let mut world = stopped(&script, setup);
    let id = script.id("/slow");
    world.with_ctx(0, |server| {
        for number in 0..220 {
            let topic = if number < 20 { "room" } else { "free" };
            server.publish(topic, Message::Text(&text(number)));
        }
        server.close(id, CloseCode::NORMAL, "");
    });
    world.clients[0].mood.reads = true;
    world.run(1000);
    assert_no_gap(&world, 0);
    assert!(numbers(&world, 0).len() < 20);
    assert_eq!(world.clients[0].ending(), (Some(1013), true));
}

/// A reader that is to be closed has read all that is kept for it before anybody comes to close it.
#[test]
fn a_reader_that_has_caught_up_with_what_was_kept_for_it_is_closed_all_the_same() {
    let script = Script::new()
        .open(|conn| {
            conn.subscribe("room");
            conn.set_timer(Duration::from_millis(100));
        })
        .timer(|conn| {
            let _ = conn.send_text(&text(21));
        });
    let mut policy = limited(CLOSE, 500);
    policy.max_age = Some(Duration::ZERO);
    let mut world = stopped(&script, setup(policy));
    let id = script.id("/slow");
    let core = &mut world.benches[0].worker.core;
    let mut server = Ctx { core };
    for number in 0..20 {
        server.publish("room", Message::Text(&text(number)));
    }
    // So much is offered at once.
    let _ = server.send(id, Message::Text(&"0".repeat(70_000)));
    world.clients[0].mood.reads = true;
    for _ in 0..10 {
        let now = world.now();
        world.clients[0].line.arrive();
        world.clients[0].step(now);
    }
    world.freeze(1000);
    // Its deadlines come before its socket is told to be writable.
    world.benches[0].worker.core.now = wirefan_protocol::Millis(world.now());
    world.benches[0].worker.turn(true);
    world.run(1000);
    assert_no_gap(&world, 0);
    assert!(numbers(&world, 0).len() < 20);
    assert_eq!(world.clients[0].ending(), (Some(1013), true));
    assert!(script.calls().len() > 2, "its timer was called");
}

/// The reader itself has closed before anybody comes to close it: what is kept for it still goes out.
#[test]
fn a_reader_that_closes_while_it_is_to_be_closed_sees_no_gap() {
    let script = Script::new()
        .open(|conn| {
            for topic in ["room", "free", "other"] {
                conn.subscribe(topic);
            }
        })
        .message(|conn, _| {
            for number in 0..220 {
                let topic = if number < 20 { "room" } else { "free" };
                conn.publish_all(topic, Message::Text(&text(number)));
            }
            conn.unsubscribe("other");
        });
    let mut setup = setup(limited(CLOSE, 500));
    setup.marks.limit = 10_000;
    let mut world = stopped(&script, setup);
    world.clients[0].send_text("go");
    world.clients[0].close(4000);
    world.run(10);
    world.clients[0].mood.reads = true;
    world.run(1000);
    assert_no_gap(&world, 0);
    assert!(numbers(&world, 0).len() < 20);
    assert_eq!(world.clients[0].ending(), (Some(4000), true));
}

/// What each member was sent, and how much of that when the handler closed it.
#[derive(Default)]
struct Book {
    sent: Vec<usize>,
    closed: Option<usize>,
}

const TOPICS: [&str; 3] = ["room", "room of the old", "free"];
const MEMBERS: [&str; 4] = ["/0", "/1", "/2", "/3"];

/// Members of three topics, two of which close slow readers; publications, direct messages and ends from within their
/// calls and from elsewhere, over a network that refuses in the midst of a turn and takes again. Returns how many were
/// closed for reading slowly, and how many of these had read something.
fn random_run(seed: u64) -> [usize; 3] {
    let books: Rc<RefCell<BTreeMap<String, Book>>> = Rc::default();
    let (script, book) = (Script::new(), Rc::clone(&books));
    let ids = script.clone();
    // `p1 7 40`: number 7 and 39 more to the second topic; `d2 47`: to a member; `c2 0`: the end of one.
    let act = move |server: &mut Ctx<'_, String>, acts: &str| {
        let mut books = book.borrow_mut();
        for act in acts.split(',') {
            let (what, numbers) = act.split_once(' ').unwrap();
            let place: usize = what[1..].parse().unwrap();
            let mut numbers = numbers.split(' ').map(|it| it.parse::<usize>().unwrap());
            let first = numbers.next().unwrap();
            match &what[..1] {
                "p" => {
                    for number in first..first + numbers.next().unwrap() {
                        server.publish(TOPICS[place], Message::Text(&text(number)));
                        books.values_mut().for_each(|book| book.sent.push(number));
                    }
                }
                "d" => {
                    let to = ids.id(MEMBERS[place]);
                    if server.send(to, Message::Text(&text(first))) != Sent::Dropped {
                        let book = books.get_mut(MEMBERS[place]).unwrap();
                        book.sent.push(first);
                    }
                }
                _ => {
                    server.close(ids.id(MEMBERS[place]), CloseCode::NORMAL, "");
                    let book = books.get_mut(MEMBERS[place]).unwrap();
                    book.closed.get_or_insert(book.sent.len());
                }
            }
        }
    };
    let act = Rc::new(act);
    let within = Rc::clone(&act);
    let script = script
        .open(|conn| TOPICS.iter().for_each(|topic| conn.subscribe(topic)))
        .message(move |conn, message| {
            if let Message::Text(acts) = message {
                within(&mut conn.server(), acts);
            }
        });
    let mut setup = setup(limited(CLOSE, 2000));
    setup.policies = policies(|topic| match topic {
        "room" => Some(limited(CLOSE, 2000)),
        "room of the old" => Some(Policy {
            limit: 4000,
            ..closing_when_old()
        }),
        _ => None,
    });
    setup.seed = seed;
    setup.conduct.cut = true;
    setup.conduct.room = 3000;
    setup.tls = seed % 8 == 7;
    setup.read_buffer = 128 * 1024;
    setup.marks = Backpressure {
        low: 1000,
        // Nobody stops being read from.
        high: 1_000_000,
        limit: [10_000, 500_000][seed as usize / 2 % 2],
        at_limit: AtLimit::Close(CloseCode::TRY_AGAIN_LATER),
    };
    if seed % 2 == 1 {
        let mut deflate = DeflateConfig::default();
        deflate.takeover = !seed.is_multiple_of(5);
        deflate.shared_history = (!seed.is_multiple_of(3)).then_some(16);
        deflate.min_len = 16;
        setup.client_deflate = Some(deflate.clone());
        setup.deflate = Some(deflate);
    }
    let mut world = script.world(setup);
    for name in MEMBERS {
        world.connect(0, name);
        world.run(50);
        assert!(
            books
                .borrow_mut()
                .insert(name.into(), Book::default())
                .is_none()
        );
    }
    let mut number = 0;
    for _ in 0..60 {
        let client = world.rng.below(MEMBERS.len());
        match world.rng.below(10) {
            0..2 => world.clients[client].mood.reads = false,
            2 => world.clients[client].mood.reads = true,
            3 => {
                world.clients[client].mood.gulp = 1 + world.rng.below(2000);
                world.clients[client].mood.pace = world.rng.below(50) as u64;
            }
            4 => {
                let millis = world.rng.below(300) as u64;
                world.run(millis);
            }
            5 if world.clients[client].is_open() && world.rng.percent(20) => {
                if world.rng.percent(50) {
                    world.clients[client].close(4000);
                } else {
                    world.clients[client].reset();
                }
            }
            _ => {
                let acts: Vec<String> = (0..1 + world.rng.below(4))
                    .map(|_| {
                        let first = number;
                        let place = world.rng.below(3);
                        match world.rng.below(20) {
                            0..10 => {
                                let most = [10, 10, 100][world.rng.below(3)];
                                let count = 1 + world.rng.below(most);
                                number += count;
                                format!("p{place} {first} {count}")
                            }
                            10..19 => {
                                number += 1;
                                format!("d{place} {first}")
                            }
                            _ => format!("c{place} 0"),
                        }
                    })
                    .collect();
                let acts = acts.join(",");
                if world.clients[client].is_open() && world.rng.percent(70) {
                    world.clients[client].send_text(&acts);
                } else {
                    let core = &mut world.benches[0].worker.core;
                    act(&mut Ctx { core }, &acts);
                }
                let steps = world.rng.below(20);
                world.steps(steps);
            }
        }
    }
    for client in &mut world.clients {
        client.mood.reads = true;
        client.mood.gulp = 100_000;
        client.mood.pace = 0;
    }
    world.run(20_000);
    let mut ends = [0; 3];
    for (client, name) in MEMBERS.iter().enumerate() {
        let failed = |seen: &Seen| matches!(seen, Seen::Failed(_));
        assert_eq!(world.clients[client].count(failed), 0, "{name}");
        let (books, got) = (books.borrow(), numbers(&world, client));
        let book = &books[*name];
        let same = got
            .iter()
            .zip(&book.sent)
            .take_while(|(one, other)| one == other);
        assert_eq!(same.count(), got.len(), "{name} has seen a gap");
        match world.clients[client].ending() {
            (Some(1013), _) => {
                ends[0] += 1;
                ends[1] += usize::from(!got.is_empty());
            }
            (Some(1000), _) => {
                ends[2] += 1;
                assert_eq!(Some(got.len()), book.closed, "{name}");
            }
            (None, _) if world.clients[client].is_open() => {
                assert_eq!(got.len(), book.sent.len(), "{name}");
            }
            (None | Some(4000), _) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
    ends
}

#[test]
fn whatever_happens_a_reader_that_is_closed_has_seen_no_gap() {
    let seeds = seeds(20);
    let mut all = [0; 3];
    for seed in seeds.clone() {
        // Shown if it fails.
        println!("WIREFAN_SIM_SEED={seed}");
        let ends = random_run(seed);
        all.iter_mut().zip(ends).for_each(|(all, end)| *all += end);
    }
    println!("slow, slow with messages, closed by the handler: {all:?}");
    assert!(
        seeds.count() < 100 || all.iter().all(|kind| *kind > 20),
        "{all:?}"
    );
}
