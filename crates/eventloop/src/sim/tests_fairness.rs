//! Fairness: nobody who always has something to do keeps the others waiting.

use super::script::{Call, Script};
use super::world::Setup;
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
