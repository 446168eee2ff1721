//! Fairness: nobody who always has something to do keeps the others waiting.

use super::script::{Call, Script};
use super::world::{Setup, World};
use crate::Message;

/// Turns of the worker until a client has its echo.
fn turns_until_echo(script: &Script, setup: Setup, greedy: &str) -> u64 {
    let mut world = script.world(setup);
    let others: Vec<usize> = (0..3).map(|_| world.connect(0, greedy)).collect();
    let client = world.connect(0, "/modest");
    world.run(10);
    for other in &others {
        for _ in 0..2000 {
            world.clients[*other].send_binary(&[0; 1000]);
        }
    }
    world.steps(500);
    world.clients[client].send_text("echo");
    let now = world.now();
    world.clients[client].step(now);
    let before = world.benches[0].turns;
    while world.clients[client].texts().is_empty() {
        let now = world.now();
        world.turn(0);
        for client in &mut world.clients {
            client.line.arrive();
            client.step(now);
        }
        assert!(world.benches[0].turns - before < 1000, "it is starved");
    }
    let busy = others.iter().all(|other| !world.clients[*other].has_sent());
    assert!(busy, "the greedy ones had something to do all the time");
    world.benches[0].turns - before
}

fn echo() -> Script {
    Script::new().message(|conn, message| {
        if message == Message::Text("echo") {
            let _ = conn.send(message);
        }
    })
}

#[test]
fn a_connection_that_always_has_data_does_not_starve_the_others() {
    for drains in [true, false] {
        let mut setup = Setup {
            read_buffer: 1000,
            ..Setup::default()
        };
        setup.conduct.drains = drains;
        assert!(turns_until_echo(&echo(), setup, "/greedy") <= 2);
    }
}

/// A hundred who always have more than is read at once, and one who has not.
fn flood(script: &Script) -> World<Script> {
    let mut world = script.world(Setup::default());
    for number in 0..100 {
        world.connect(0, &format!("/{number}"));
    }
    world.connect(0, "/modest");
    world.run(10);
    for client in &mut world.clients[..100] {
        for _ in 0..600 {
            client.send_binary(&[0; 1000]);
        }
    }
    world
}

/// The worker's turn, for which everybody has done what there was to do; returns what it has read.
fn flooded_turn(world: &mut World<Script>) -> u64 {
    let now = world.now();
    for client in &mut world.clients {
        client.step(now);
        client.line.arrive();
    }
    let before = world.benches[0].worker.core.tally.read;
    world.turn(0);
    world.benches[0].worker.core.tally.read - before
}

#[test]
fn a_flood_lengthens_no_turn_and_a_small_message_waits_for_one() {
    let script = echo();
    let mut world = flood(&script);
    // Who sends much is not known before it has.
    for _ in 0..3 {
        flooded_turn(&mut world);
    }
    let mut read = 0;
    for turn in 1..=12 {
        world.clients[100].send_text("echo");
        let in_turn = flooded_turn(&mut world);
        // The worker's share and what one read brings.
        assert!(in_turn <= (2048 + 64 + 1) * 1024, "{in_turn} in one turn");
        read += in_turn;
        let now = world.now();
        world.clients[100].line.arrive();
        world.clients[100].step(now);
        assert_eq!(world.clients[100].texts().len(), turn);
    }
    assert!(read > 20 * 1024 * 1024, "there was more to read");
    let seen = |client: usize| script.messages(&format!("/{client}")).len();
    let seen: Vec<usize> = (0..100).map(seen).collect();
    let (least, most) = (seen.iter().min().unwrap(), seen.iter().max().unwrap());
    assert!(most - least <= 70, "each has its turn: {least} to {most}");
}

#[test]
fn who_waits_for_its_turn_in_a_flood_is_read_before_its_deadline_strikes() {
    let script = echo();
    let mut world = flood(&script);
    world.run(10);
    // The last that they were heard of was much at once, and a ping is under way now.
    for client in &mut world.clients {
        client.mood.answers = false;
        client.send_binary(&[0; 60_000]);
    }
    world.run(10);
    let ping = world.setup.timeouts.ping.unwrap();
    world.run(ping.as_millis() as u64 + 200);
    for client in &mut world.clients {
        client.send_binary(&[0; 60_000]);
    }
    world.freeze(60 * 60 * 1000);
    let read = flooded_turn(&mut world);
    let closed = |call: &Call| matches!(call, Call::Closed(..));
    assert!(!script.calls().iter().any(closed), "they had spoken");
    assert!(read > 4 * 1024 * 1024, "more than the share of a turn");
}

#[test]
fn a_handler_that_fills_whatever_drains_does_not_starve_the_others() {
    let fill = |conn: &mut crate::Conn<'_, String>| {
        if conn.peer() == "/greedy" {
            let _ = conn.send_binary(&[0; 300_000]);
        }
    };
    let script = echo().open(fill).drained(fill);
    let mut setup = Setup::default();
    setup.conduct.room = 1_000_000;
    let mut world = script.world(setup);
    let greedy = world.connect(0, "/greedy");
    let client = world.connect(0, "/modest");
    for _ in 0..1000 {
        world.steps(20);
        if world.clients[client].is_open() {
            break;
        }
    }
    world.clients[client].send_text("echo");
    for _ in 0..1000 {
        world.steps(20);
        if !world.clients[client].texts().is_empty() {
            break;
        }
    }
    assert_eq!(world.clients[client].texts(), ["echo"]);
    world.clients[greedy].reset();
    world.run(10);
    assert!(matches!(script.calls().last(), Some(Call::Closed(..))));
}

#[test]
fn a_server_at_rest_does_nothing() {
    let script = echo();
    let mut setup = Setup::default();
    setup.timeouts.ping = None;
    let mut world = script.world(setup);
    for i in 0..10 {
        let client = world.connect(0, "/one");
        world.run(10);
        world.clients[client].send_text("echo");
        world.clients[client].send_text(&format!("{i}"));
    }
    world.run(20_000);
    let before = world.benches[0].turns;
    world.run(10 * 60_000);
    assert_eq!(world.benches[0].turns, before);
    assert_eq!(world.benches[0].worker.next_turn(), None);
}
