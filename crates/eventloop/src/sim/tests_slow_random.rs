//! Topics with policies under random traffic: all that was sent is either delivered, in order and as it was, or counted.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use wirefan_protocol::DeflateConfig;

use super::chance::seeds;
use super::client::Seen;
use super::script::Script;
use super::tests_slow_readers::{dropped, limited, policies, setup};
use crate::{AtLimit, Backpressure, Conn, Drops, Message, Policy, WhenSlow};

/// A room with a history, which whoever keeps up is sent; what waits does not depend on it.
#[test]
fn what_is_dropped_from_the_midst_breaks_no_compressed_room() {
    let mut lost = 0;
    for seed in 0..40 {
        let when_slow = [WhenSlow::DropOldest, WhenSlow::Conflate, WhenSlow::DropNew][seed % 3];
        let mut setup = setup(limited(when_slow, 2000));
        setup.seed = seed as u64;
        setup.conduct.cut = seed % 2 == 0;
        let mut deflate = DeflateConfig::default();
        (deflate.takeover, deflate.shared_history, deflate.min_len) = (true, Some(8), 16);
        setup.client_deflate = Some(deflate.clone());
        setup.deflate = Some(deflate);
        let script = Script::new().open(|conn| conn.subscribe("room"));
        let mut world = script.world(setup);
        for number in 0..5 {
            world.connect(0, &format!("/{number}"));
        }
        world.run(50);
        let text = |number: usize| {
            let words = ["room", "history", "tea", "window", "frame"];
            let word = |place: usize| words[(number * 7 + place * place) % words.len()];
            let text: Vec<&str> = (0..40).map(word).collect();
            format!("{number} {}", text.join(" "))
        };
        let mut number = 0;
        for _ in 0..100 {
            let client = world.rng.below(5);
            world.clients[client].mood.reads = world.rng.percent(50);
            let count = 1 + world.rng.below(6);
            let direct = world
                .rng
                .percent(20)
                .then(|| script.id(&format!("/{client}")));
            world.with_ctx(0, |server| {
                for number in number..number + count {
                    let key = (number % 4).to_string();
                    server.publish_keyed("room", &key, Message::Text(&text(number)));
                }
                if let Some(to) = direct {
                    let _ = server.send(to, Message::Text(&"only for you ".repeat(10)));
                }
            });
            number += count;
            let steps = world.rng.below(30);
            world.steps(steps);
        }
        for client in &mut world.clients {
            client.mood.reads = true;
        }
        world.run(1000);
        let dropped = dropped(&mut world);
        for client in 0..5 {
            let failed = |seen: &Seen| matches!(seen, Seen::Failed(_));
            assert_eq!(world.clients[client].count(failed), 0, "seed {seed}");
            let texts = world.clients[client].texts();
            let texts = texts.into_iter().filter(|text| !text.starts_with("only"));
            let got: Vec<usize> = texts
                .map(|got| {
                    let number = got.split(' ').next().unwrap().parse().unwrap();
                    assert_eq!(got, text(number), "seed {seed}");
                    number
                })
                .collect();
            assert!(got.is_sorted_by(|one, next| one < next), "seed {seed}");
            let missing = (number - got.len()) as u64;
            assert_eq!(dropped[&format!("/{client}")], missing, "seed {seed}");
            lost += missing;
        }
        let cohort = world.benches[0].worker.core.topics.compressions;
        assert!(cohort > 0);
    }
    assert!(lost > 1000, "{lost}");
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
    let publish = move |conn: &mut Conn<'_, String>, message: &str| {
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
        deflate.takeover = !seed.is_multiple_of(5);
        deflate.shared_history = (!seed.is_multiple_of(3)).then_some(16);
        deflate.min_len = 16;
        setup.client_deflate = Some(deflate.clone());
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
    let seeds = seeds(50);
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
        seeds.count() < 10 || all.iter().all(|kind| *kind > 300),
        "{all:?}"
    );
}
