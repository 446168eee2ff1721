//! Topics with policies: what a slow reader gets, what it loses, and that both together are all there was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use wirefan_protocol::CloseCode;

use super::net::Conduct;
use super::script::{Call, Script};
use super::world::{Setup, World};
use crate::policy::Policies;
use crate::{CloseCause, Drops, Message, Policy, WhenSlow};

const CLOSE: WhenSlow = WhenSlow::Close(CloseCode::TRY_AGAIN_LATER);

pub(super) fn policies(
    choose: impl Fn(&str) -> Option<Policy> + Send + Sync + 'static,
) -> Policies {
    Policies(Some(Arc::new(choose)))
}

pub(super) fn limited(when_slow: WhenSlow, limit: usize) -> Policy {
    Policy {
        limit,
        ..Policy::new(when_slow)
    }
}

pub(super) fn setup(policy: Policy) -> Setup {
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
pub(super) fn dropped(world: &mut World<Script>) -> BTreeMap<String, u64> {
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

/// What was sent before our Close goes before it, and nothing of either is lost to a policy any more.
#[test]
fn behind_our_own_close_policies_do_not_hold() {
    for when_slow in [CLOSE, WhenSlow::DropOldest] {
        let mut policy = Policy::new(when_slow);
        policy.max_age = Some(Duration::from_millis(500));
        let mut setup = setup(policy);
        setup.timeouts.close = Duration::from_secs(60);
        let (script, mut world) = room(setup);
        publish(&mut world, 0..20);
        let id = script.id("/slow");
        world.with_ctx(0, |server| server.close(id, CloseCode::NORMAL, ""));
        let turns = world.benches[0].turns;
        world.run(5000);
        assert!(
            world.benches[0].turns < turns + 20,
            "it is looked at again and again"
        );
        world.clients[0].mood.reads = true;
        world.run(1000);
        assert_eq!(numbers(&world, 0), (0..20).collect::<Vec<_>>());
        assert_eq!(world.clients[0].ending(), (Some(1000), true));
        assert_eq!(drops(&mut world), Drops::default());
    }
}

/// The same where the socket refuses for the first time with our Close among what it is offered.
#[test]
fn a_close_is_not_lost_with_what_waits_before_it() {
    let script = Script::new()
        .open(|conn| {
            conn.subscribe("room");
            conn.subscribe("room too");
        })
        .message(|conn, _| {
            for number in 0..50 {
                let text = format!("{number:0>100}");
                conn.publish_all("room", Message::Text(&text));
            }
            let _ = conn.close(CloseCode::NORMAL, "");
        });
    let mut world = script.world(setup(limited(CLOSE, 500)));
    world.connect(0, "/speaker");
    world.run(10);
    world.clients[0].mood.reads = false;
    world.clients[0].send_text("go");
    world.run(10);
    world.clients[0].mood.reads = true;
    world.run(1000);
    let (code, ended) = world.clients[0].ending();
    let got = numbers(&world, 0);
    assert_eq!(got, (0..got.len()).collect::<Vec<_>>());
    assert!(ended && matches!(code, Some(1000 | 1013)), "{code:?}");
    assert_eq!(got.len() == 50, code == Some(1000));
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

/// Keys are the same on all workers, and what waits outlives its topic.
#[test]
fn messages_of_other_workers_are_conflated_and_outlive_the_topic() {
    let script = Script::new()
        .open(|conn| conn.subscribe("room"))
        .message(|conn, _| {
            conn.unsubscribe("room");
        });
    let mut setup = setup(Policy::new(WhenSlow::Conflate));
    setup.workers = 2;
    let mut world = script.world(setup);
    world.connect(1, "/slow");
    world.run(10);
    world.clients[0].mood.reads = false;
    let publish = |world: &mut World<Script>, number: usize| {
        let (text, key) = (format!("{number:0>100}"), (number % 3).to_string());
        if number.is_multiple_of(2) {
            world.with_ctx(0, |server| {
                server.publish_keyed("room", &key, Message::Text(&text));
            });
        } else {
            let frame = wirefan_protocol::Frame::text(&text);
            world.remote.publish_keyed("room", &key, &frame).unwrap();
        }
        world.run(5);
    };
    for number in 0..300 {
        publish(&mut world, number);
    }
    world.clients[0].send_text("leave");
    world.run(10);
    assert_eq!(world.with_ctx(1, |server| server.members("room")), 0);
    // Another topic takes its place, without a policy.
    let drops = world.with_ctx(1, |server| server.drops());
    let (dropped, id) = (dropped(&mut world), script.id("/slow"));
    assert_eq!(drops.conflated, dropped["/slow"]);
    let _ = world.with_ctx(1, |server| server.send(id, Message::Text("300")));
    world.clients[0].mood.reads = true;
    world.run(1000);
    let got = numbers(&world, 0);
    assert!(got.ends_with(&[297, 298, 299, 300]), "{got:?}");
    assert_eq!(got.len() as u64 + drops.conflated, 301);
}
