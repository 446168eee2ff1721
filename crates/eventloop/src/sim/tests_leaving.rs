//! Shutdowns that take their time: who is closed when, what goes before, who is cut, and that all are counted.

use std::time::Duration;

use wirefan_protocol::CloseCode;

use super::client::Seen;
use super::net::Conduct;
use super::script::Script;
use super::world::{Setup, World};
use crate::{CloseCause, Message, Shutdown};

fn spread(spread: u64, grace: u64) -> Shutdown {
    Shutdown {
        spread: Duration::from_millis(spread),
        grace: Duration::from_millis(grace),
        code: CloseCode::SERVICE_RESTART,
        ..Shutdown::default()
    }
}

fn closed(world: &World<Script>) -> usize {
    let clients = world.clients.iter();
    clients.filter(|client| client.ending().0.is_some()).count()
}

#[test]
fn connections_leave_one_by_one_and_go_on_until_then() {
    let script = Script::new()
        .open(|conn| conn.subscribe("room"))
        .message(|conn, message| conn.publish_all("room", message));
    let mut world = script.world(Setup {
        workers: 2,
        ..Setup::default()
    });
    for number in 0..200 {
        world.connect(number % 2, &format!("/{number}"));
    }
    world.run(10);
    assert!(!world.remote.is_draining());
    world.remote.shutdown(spread(10_000, 1000));
    assert!(world.remote.is_draining());
    let mut last = 0;
    for tenth in 1..10 {
        world.run(1000);
        let left = closed(&world);
        assert!(
            (left as i64 - tenth * 20).abs() < 20,
            "{left} after {tenth} s"
        );
        assert!(left > last);
        last = left;
        // Who is still there still talks.
        let open = world
            .clients
            .iter()
            .position(|client| client.is_open())
            .unwrap();
        world.clients[open].send_text("still here");
        world.run(10);
        assert_eq!(world.clients[open].texts().last(), Some(&"still here"));
    }
    // Nobody else comes in.
    let late = world.connect(0, "/late");
    world.run(2000);
    assert!(!world.clients[late].seen.contains(&Seen::Open));
    assert!(world.clients[late].answer.starts_with(b"503"));
    for client in &world.clients[..200] {
        assert_eq!(client.ending(), (Some(1012), true));
    }
    assert!(world.benches.iter().all(|bench| bench.done));
    let departures = world.remote.departures();
    assert_eq!(
        (departures.left, departures.lost, departures.cut),
        (200, 0, 0)
    );
    assert!(departures.is_clean());
    world.assert_empty();
}

#[test]
fn who_was_closed_before_does_not_count_however_late_the_transport_ends() {
    let script = Script::new();
    let mut world = script.world(Setup::default());
    for name in ["/stays", "/violates"] {
        world.connect(0, name);
    }
    world.run(10);
    // It breaks the protocol, reads our Close, and keeps its socket.
    world.clients[1].mood.leaves = false;
    world.clients[1].send_raw(b"\xff\xff\xff\xff\xff\xff");
    world.run(10);
    assert!(world.clients[1].ending().0.is_some());
    world.shut_down(20_000);
    world.run(30_000);
    assert!(world.benches.iter().all(|bench| bench.done));
    let departures = world.remote.departures();
    assert_eq!(
        (departures.left, departures.lost, departures.cut),
        (1, 0, 0)
    );
}

#[test]
fn what_was_sent_goes_first_however_slowly_it_is_read() {
    let script = Script::new().message(|conn, _| {
        for number in 0..100 {
            let _ = conn.send_text(&format!("{number:0>1000}"));
        }
    });
    let mut world = script.world(Setup {
        conduct: Conduct {
            room: 1000,
            ..Conduct::PLAIN
        },
        ..Setup::default()
    });
    world.connect(0, "/slow");
    world.run(10);
    // A kilobyte in 200 ms: twenty seconds in all, where a Close alone has five to be answered.
    world.clients[0].mood.gulp = 1000;
    world.clients[0].mood.pace = 200;
    world.clients[0].send_text("go");
    world.run(50);
    world.remote.shutdown(spread(0, 60_000));
    world.run(30_000);
    assert_eq!(world.clients[0].texts().len(), 100);
    assert_eq!(world.clients[0].ending(), (Some(1012), true));
    assert_eq!(world.remote.departures().left, 1);
    world.assert_empty();
}

#[test]
fn the_last_moment_holds_for_everybody_and_tells_who_was_cut() {
    let script = Script::new().message(|conn, _| {
        let _ = conn.send_binary(&[7; 100_000]);
    });
    let mut world = script.world(Setup {
        conduct: Conduct {
            room: 1000,
            ..Conduct::PLAIN
        },
        ..Setup::default()
    });
    for name in ["/good", "/mute", "/deaf", "/gone"] {
        world.connect(0, name);
    }
    world.run(10);
    world.clients[1].mood.answers = false;
    world.clients[2].send_text("go");
    world.clients[2].mood.reads = false;
    world.run(10);
    let begin = world.now();
    world.remote.shutdown(spread(2000, 7000));
    world.run(10);
    world.clients[3].line.reset();
    while !world.benches[0].done {
        world.run(50);
        assert!(world.now() - begin < 20_000, "it takes for ever");
    }
    let took = world.now() - begin;
    assert!((9000..9200).contains(&took), "{took} ms");
    let departures = world.remote.departures();
    assert_eq!(
        (departures.left, departures.lost, departures.cut),
        (1, 1, 2)
    );
    assert!(!departures.is_clean());
    assert_eq!(script.cause("/deaf"), CloseCause::Shutdown);
}

#[test]
fn a_second_shutdown_takes_the_place_of_the_first() {
    let mut world = Script::new().world(Setup::default());
    for number in 0..20 {
        world.connect(0, &format!("/{number}"));
    }
    world.run(10);
    world.remote.shutdown(spread(3_600_000, 3_600_000));
    world.run(1000);
    assert!(closed(&world) < 3);
    world.shut_down(100);
    world.run(200);
    assert_eq!(closed(&world), 20);
    assert!(world.benches[0].done);
    assert_eq!(world.remote.departures().left, 20);
}

#[test]
fn a_code_that_may_not_be_sent_ends_nobody_s_shutdown() {
    let mut world = Script::new().world(Setup::default());
    world.connect(0, "/");
    world.run(10);
    let mut how = spread(0, 1000);
    how.code = CloseCode::ABNORMAL;
    world.remote.shutdown(how);
    world.run(100);
    assert_eq!(world.clients[0].ending(), (Some(1001), true));
}

#[test]
fn messages_from_elsewhere_reach_those_who_wait_for_their_moment() {
    let script = Script::new().open(|conn| conn.subscribe("room"));
    let mut world = script.world(Setup::default());
    for number in 0..50 {
        world.connect(0, &format!("/{number}"));
    }
    world.run(10);
    world.remote.shutdown(spread(10_000, 1000));
    world.run(5000);
    world.with_ctx(0, |server| {
        server.publish("room", Message::Text("half time"));
    });
    world.run(6000);
    let heard = world
        .clients
        .iter()
        .filter(|client| client.texts() == ["half time"]);
    let heard = heard.count();
    assert!((10..40).contains(&heard), "{heard}");
    assert_eq!(world.remote.departures().left, 50);
}
