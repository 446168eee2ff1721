//! Topics with policies: what a slow reader gets, what it loses, and that both together are all there was.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use wirefan_protocol::{CloseCode, DeflateConfig};

use super::client::Seen;
use super::net::Conduct;
use super::script::{Call, Script};
use super::world::{Setup, World};
use crate::policy::Policies;
use crate::{AtLimit, Backpressure, CloseCause, Drops, Message, Policy, WhenSlow};

const CLOSE: WhenSlow = WhenSlow::Close(CloseCode::TRY_AGAIN_LATER);

fn policies(choose: impl Fn(&str) -> Option<Policy> + Send + Sync + 'static) -> Policies {
    Policies(Some(Arc::new(choose)))
}

fn limited(when_slow: WhenSlow, limit: usize) -> Policy {
    Policy {
        limit,
        ..Policy::new(when_slow)
    }
}

fn setup(policy: Policy) -> Setup {
    Setup {
        conduct: Conduct {
            room: 1000,
            ..Conduct::PLAIN
        },
        policies: policies(move |topic| topic.starts_with("room").then_some(policy)),
        ..Setup::default()
    }
}

/// `/slow` and `/fast` in a room, the first of which does not read any more.
fn room(setup: Setup) -> (Script, World<Script>) {
    let script = Script::new().open(|conn| conn.subscribe("room"));
    let mut world = script.world(setup);
    world.connect(0, "/slow");
    world.connect(0, "/fast");
    world.run(10);
    world.clients[0].mood.reads = false;
    (script, world)
}

/// Publishes numbers of a hundred digits, each in a turn of its own.
fn publish(world: &mut World<Script>, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let text = format!("{number:0>100}");
        world.with_ctx(0, |server| server.publish("room", Message::Text(&text)));
        world.run(1);
    }
}

fn numbers(world: &World<Script>, client: usize) -> Vec<usize> {
    let texts = world.clients[client].texts();
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn drops(world: &mut World<Script>) -> Drops {
    let drops = world.with_ctx(0, |server| (server.topic_drops("room"), server.drops()));
    assert_eq!(drops.0, Some(drops.1), "there is no other topic");
    drops.1
}

/// How many messages each open connection has lost, by what it asked for.
fn dropped(world: &mut World<Script>) -> BTreeMap<String, u64> {
    let mut dropped = BTreeMap::new();
    for bench in &mut world.benches {
        let slots = &mut bench.worker.core.slots;
        for index in slots.indices() {
            let slot = slots.get(index).unwrap();
            let name = slot.peer.clone().expect("an open connection");
            dropped.insert(name, u64::from(slot.dropped));
        }
    }
    dropped
}

/// What the slow one got of a hundred messages, with ten of them waiting at most.
fn hundred(when_slow: WhenSlow) -> (Vec<usize>, Drops) {
    let (script, mut world) = room(setup(limited(when_slow, 10 * (102 + 64))));
    publish(&mut world, 0..100);
    assert_eq!(numbers(&world, 1), (0..100).collect::<Vec<_>>());
    world.clients[0].mood.reads = true;
    world.run(1000);
    let (got, drops) = (numbers(&world, 0), drops(&mut world));
    assert!(got.is_sorted(), "{got:?}");
    let lost = dropped(&mut world);
    assert_eq!((lost["/slow"], lost["/fast"]), (drops.messages(), 0));
    assert_eq!(got.len() as u64 + drops.messages(), 100);
    assert_eq!(script.count(&Call::Drained("/slow".into())), 1);
    // It is as before for whoever keeps up again.
    publish(&mut world, 100..110);
    assert_eq!(
        numbers(&world, 0)[got.len()..],
        (100..110).collect::<Vec<_>>()
    );
    (got, drops)
}

#[test]
fn drop_new_keeps_what_came_first() {
    let (got, drops) = hundred(WhenSlow::DropNew);
    assert_eq!(got, (0..got.len()).collect::<Vec<_>>());
    // Nine and a bit that the network took, one begun, ten that waited.
    assert!((19..22).contains(&got.len()), "{got:?}");
    assert_eq!(drops.newest, 100 - got.len() as u64);
}

#[test]
fn drop_oldest_keeps_what_came_last() {
    let (got, drops) = hundred(WhenSlow::DropOldest);
    assert!((19..22).contains(&got.len()), "{got:?}");
    assert_eq!(got[got.len() - 10..], (90..100).collect::<Vec<_>>());
    assert_eq!(drops.oldest, 100 - got.len() as u64);
}

#[test]
fn conflate_keeps_the_newest() {
    let (got, drops) = hundred(WhenSlow::Conflate);
    assert!((10..12).contains(&got.len()), "{got:?}");
    assert_eq!(got.last(), Some(&99));
    assert_eq!(drops.conflated, 100 - got.len() as u64);
}

#[test]
fn conflate_keeps_the_newest_of_each_key_and_they_come_in_the_order_of_publication() {
    let (_, mut world) = room(setup(Policy::new(WhenSlow::Conflate)));
    let mut newest = BTreeMap::new();
    for number in 0..500 {
        let text = format!("{number:0>100}");
        let key = number * number % 7;
        newest.insert(key, number);
        world.with_ctx(0, |server| {
            server.publish_keyed("room", &key.to_string(), Message::Text(&text));
        });
        world.run(1);
    }
    world.clients[0].mood.reads = true;
    world.run(1000);
    let got = numbers(&world, 0);
    assert!(got.is_sorted());
    let mut last: Vec<usize> = newest.into_values().collect();
    last.sort_unstable();
    assert_eq!(got[got.len() - last.len()..], last);
    assert_eq!(drops(&mut world).conflated + got.len() as u64, 500);
    assert_eq!(numbers(&world, 1).len(), 500);
}

#[test]
fn close_closes_with_its_code_at_the_limit_of_the_topic_and_is_counted_once() {
    let (script, mut world) = room(setup(limited(CLOSE, 10 * (102 + 64))));
    publish(&mut world, 0..100);
    world.clients[0].mood.reads = true;
    world.run(1000);
    assert_eq!(world.clients[0].ending(), (Some(1013), true));
    assert_eq!(script.cause("/slow"), CloseCause::SlowReader);
    let got = numbers(&world, 0);
    assert_eq!(got, (0..got.len()).collect::<Vec<_>>());
    assert_eq!(numbers(&world, 1).len(), 100);
    let drops = drops(&mut world);
    assert_eq!((drops.closed, drops.messages()), (1, 0));
}

#[test]
fn what_is_too_old_is_dropped_while_nothing_else_happens() {
    let mut policy = Policy::new(WhenSlow::DropOldest);
    policy.max_age = Some(Duration::from_millis(500));
    let (script, mut world) = room(setup(policy));
    publish(&mut world, 0..100);
    world.run(380);
    assert_eq!(drops(&mut world).messages(), 0);
    world.run(300);
    let expired = drops(&mut world).expired;
    assert!((88..91).contains(&expired), "{expired}");
    assert!(
        world.benches[0].backlogs()[0] < 300,
        "a frame that is begun"
    );
    world.clients[0].mood.reads = true;
    world.run(1000);
    assert_eq!(numbers(&world, 0).len() as u64 + expired, 100);
    assert_eq!(script.count(&Call::Drained("/slow".into())), 1);
}

#[test]
fn a_reader_of_what_is_too_old_is_closed_while_nothing_else_happens() {
    let mut policy = Policy::new(CLOSE);
    policy.max_age = Some(Duration::from_millis(500));
    let (script, mut world) = room(setup(policy));
    publish(&mut world, 0..20);
    world.run(450);
    assert_eq!(drops(&mut world).closed, 0);
    world.run(200);
    assert_eq!(drops(&mut world).closed, 1);
    world.clients[0].mood.reads = true;
    world.run(1000);
    assert_eq!(world.clients[0].ending(), (Some(1013), true));
    assert_eq!(script.cause("/slow"), CloseCause::SlowReader);
}

/// An age of nothing at all is only for what had to wait.
#[test]
fn a_busy_turn_is_nobodys_fault() {
    for when_slow in [
        CLOSE,
        WhenSlow::DropNew,
        WhenSlow::DropOldest,
        WhenSlow::Conflate,
    ] {
        let script = Script::new()
            .open(|conn| {
                conn.subscribe("room");
                if conn.peer() != "/one" {
                    conn.subscribe("room too");
                }
            })
            .message(|conn, _| {
                for number in 0..200 {
                    let text = format!("{number:0>1000}");
                    conn.publish(["room", "room too"][number % 2], Message::Text(&text));
                    if number % 50 == 0 {
                        let _ = conn.send_text(&text);
                    }
                }
            });
        let mut policy = limited(when_slow, 1);
        policy.max_age = Some(Duration::ZERO);
        let mut setup = setup(policy);
        setup.conduct.room = 10_000_000;
        let mut world = script.world(setup);
        for name in ["/one", "/both", "/speaker"] {
            world.connect(0, name);
        }
        world.run(10);
        world.clients[2].send_text("go");
        world.run(1000);
        let even: Vec<usize> = (0..200).step_by(2).collect();
        assert_eq!(numbers(&world, 0), even, "{when_slow:?}");
        assert_eq!(
            numbers(&world, 1),
            (0..200).collect::<Vec<_>>(),
            "{when_slow:?}"
        );
        assert_eq!(numbers(&world, 2), [0, 50, 100, 150], "{when_slow:?}");
    }
}

/// What a member of this run is sent, in order: by topic, or to it alone.
#[derive(Default)]
struct Sent {
    /// Number, topic, key.
    all: Vec<(usize, Option<usize>, usize)>,
}

/// Members that read now and then, in one or two of four topics with different policies or none, over a network that cuts
/// frames, with compression or without, over TLS or without; publications from their own messages and from elsewhere, and
/// direct messages between them.
fn random_run(seed: u64) -> [Drops; 3] {
    const NAMES: [&str; 6] = ["/0", "/1", "/2", "/3", "/4", "/5"];
    let sent: Rc<RefCell<BTreeMap<String, Sent>>> = Rc::default();
    let topics_of = |name: &str| {
        let number: usize = name[1..].parse().unwrap();
        match number {
            4 => vec![0, 2],
            5 => vec![1, 2, 3],
            number => vec![number % 3],
        }
    };
    let book = Rc::clone(&sent);
    let publish = move |conn: &mut crate::Conn<'_, String>, message: &str| {
        // A number, a topic, a key, how many.
        let mut words = message
            .split(' ')
            .map(|word| word.parse::<usize>().unwrap());
        let mut next = || words.next().unwrap();
        let (first, topic, key, count) = (next(), next(), next(), next());
        for number in first..first + count {
            let text = format!("{number} {}", "x".repeat(number * 37 % 400));
            let name = format!("room {topic}");
            if number % 5 == 0 {
                let _ = conn.send_text(&text);
                let own = conn.peer().clone();
                let mut book = book.borrow_mut();
                book.get_mut(&own).unwrap().all.push((number, None, 0));
                continue;
            }
            conn.publish_keyed(&name, &key.to_string(), Message::Text(&text));
            let own = conn.peer().clone();
            for (peer, sent) in &mut *book.borrow_mut() {
                if *peer != own && topics_of(peer).contains(&topic) {
                    sent.all.push((number, Some(topic), key));
                }
            }
        }
    };
    let script = Script::new()
        .open(move |conn| {
            for topic in topics_of(&conn.peer().clone()) {
                conn.subscribe(&format!("room {topic}"));
            }
        })
        .message(move |conn, message| {
            let Message::Text(text) = message else {
                panic!("{message:?}");
            };
            publish(conn, text);
        });
    let mut setup = setup(Policy::new(WhenSlow::DropNew));
    setup.seed = seed;
    setup.conduct.cut = true;
    setup.conduct.room = 3000;
    setup.tls = seed % 4 == 3;
    setup.read_buffer = 128 * 1024;
    if seed % 2 == 1 {
        let mut deflate = DeflateConfig::default();
        deflate.shared_history = (!seed.is_multiple_of(3)).then_some(16);
        deflate.min_len = 16;
        setup.client_deflate = Some(DeflateConfig::default());
        setup.deflate = Some(deflate);
    }
    setup.marks = Backpressure {
        low: 1000,
        // Nobody stops being read from.
        high: 1_000_000,
        limit: 2_000_000,
        at_limit: AtLimit::Drop,
    };
    setup.policies = policies(|topic| match topic {
        "room 0" => Some(limited(WhenSlow::DropOldest, 3000)),
        "room 1" => Some(limited(WhenSlow::Conflate, 3000)),
        "room 2" => Some(Policy {
            max_age: Some(Duration::from_millis(400)),
            ..limited(WhenSlow::DropNew, 3000)
        }),
        _ => None,
    });
    let mut world = script.world(setup);
    for name in NAMES {
        sent.borrow_mut().insert(name.into(), Sent::default());
        world.connect(0, name);
        world.run(50);
    }
    let mut number = 1;
    for _ in 0..150 {
        let client = world.rng.below(NAMES.len());
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
            _ => {
                let (topic, key, count) = (
                    world.rng.below(4),
                    world.rng.below(5),
                    1 + world.rng.below(12),
                );
                world.clients[client].send_text(&format!("{number} {topic} {key} {count}"));
                number += count;
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
    let lost = dropped(&mut world);
    let totals = world.with_ctx(0, |server| {
        let of = |topic: &str| server.topic_drops(topic).unwrap();
        let each = [of("room 0"), of("room 1"), of("room 2")];
        let sum = each.iter().map(Drops::messages).sum::<u64>();
        assert_eq!(sum, server.drops().messages());
        assert_eq!(server.topic_drops("room 3"), None);
        each
    });
    assert_eq!(
        lost.values().sum::<u64>(),
        totals.iter().map(Drops::messages).sum::<u64>()
    );
    let mut missing = [0; 3];
    for (client, name) in NAMES.iter().enumerate() {
        assert!(
            world.clients[client].is_open(),
            "{name}: {:?}",
            world.clients[client].seen.last()
        );
        assert!(
            !world.clients[client]
                .seen
                .iter()
                .any(|seen| matches!(seen, Seen::Failed(_)))
        );
        let got: Vec<usize> = (world.clients[client].texts().iter())
            .map(|text| {
                let (number, rest) = text.split_once(' ').unwrap();
                let number = number.parse().unwrap();
                assert_eq!(rest.len(), number * 37 % 400, "a message has been changed");
                number
            })
            .collect();
        let sent = &sent.borrow()[*name].all;
        // Nothing else, nothing twice, and in order.
        let mut rest = got.iter().peekable();
        for (number, topic, _) in sent {
            if rest.peek() == Some(&number) {
                rest.next();
            } else {
                match topic {
                    Some(topic @ 0..3) => missing[*topic] += 1,
                    other => panic!("{number} of {other:?} has not come to {name}"),
                }
            }
        }
        assert_eq!(
            rest.next(),
            None,
            "it comes to {name} out of order, or twice, or not at all"
        );
        assert_eq!(lost[*name], (sent.len() - got.len()) as u64, "{name}");
        // The newest of each key has come, and the newest of all where the oldest make room.
        for (topic, key) in (0..5).map(|key| (1, Some(key))).chain([(0, None)]) {
            let newest = sent
                .iter()
                .rfind(|(_, of, k)| *of == Some(topic) && key.is_none_or(|key| key == *k));
            assert!(
                newest.is_none_or(|(number, ..)| got.contains(number)),
                "{newest:?}"
            );
        }
    }
    assert_eq!(missing, totals.map(|drops| drops.messages() as usize));
    assert!((totals[0].newest, totals[0].conflated, totals[0].expired) == (0, 0, 0));
    assert!((totals[1].newest, totals[1].expired) == (0, 0));
    assert!((totals[2].oldest, totals[2].conflated) == (0, 0));
    totals
}

#[test]
fn whatever_happens_all_is_either_delivered_in_order_or_counted() {
    let number = |name| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    let seeds = match number("WIREFAN_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WIREFAN_SIM_RUNS").unwrap_or(2500) / 25,
    };
    let mut all = [0; 4];
    for seed in seeds.clone() {
        // Shown if it fails.
        println!("WIREFAN_SIM_SEED={seed}");
        let [oldest, conflated, newest] = random_run(seed);
        let kinds = [
            oldest.oldest,
            conflated.conflated,
            newest.newest,
            newest.expired,
        ];
        all.iter_mut()
            .zip(kinds)
            .for_each(|(all, kind)| *all += kind);
    }
    println!("oldest, conflated, newest, expired: {all:?}");
    assert!(
        seeds.count() < 10 || all.iter().all(|kind| *kind > 1000),
        "{all:?}"
    );
}
