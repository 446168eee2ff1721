//! What compression costs and saves: `cargo run --release -p wirefan-benches --example compression` prints the tables
//! of docs/compression.md.

use std::alloc::System;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use wirefan_protocol::handshake::negotiate;
use wirefan_protocol::{
    Agreed, Cohort, Config, Connection, DeflateConfig, Frame, Input, Kind, MaskKeys, Scratch,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MESSAGES: u32 = 2_000;
/// Peers with a compressor each, of which a few are enough to measure one.
const PEERS: usize = 20;
const CONNECTIONS: usize = 200;

fn main() {
    println!(
        "Broadcast to 1,000 peers, level 3, window 15, {MESSAGES} messages; compression only, without any sending\n"
    );
    for (name, message) in [
        ("JSON ticks of ~100 bytes", tick as fn(u32) -> Vec<u8>),
        ("JSON of ~1 KiB", record),
    ] {
        let messages: Vec<Vec<u8>> = (0..MESSAGES).map(message).collect();
        println!("### {name}\n");
        println!("| form | ratio | µs of CPU a broadcast |");
        println!("|---|--:|--:|");
        row("none", &messages, 1.0, |_, payload| payload.len());
        let mut scratch = Scratch::default();
        row(
            "each message on its own, once for all",
            &messages,
            1.0,
            |_, payload| {
                let frame = Frame::binary(payload);
                frame
                    .compressed(3, &mut scratch.send)
                    .map_or(payload.len(), |bytes| bytes.len())
            },
        );
        for keyframe in [16, 64, 256, 1024] {
            let mut cohort = Cohort::new(3, keyframe);
            let mut out = Vec::new();
            row(
                &format!("shared history, keyframe every {keyframe}"),
                &messages,
                1.0,
                |_, payload| {
                    out.clear();
                    cohort.begin();
                    match cohort.compress(Kind::Binary, payload, &mut out) {
                        Some(_) => out.len(),
                        None => payload.len(),
                    }
                },
            );
        }
        let config = config(true);
        let mut peers: Vec<Connection> = (0..PEERS).map(|_| server(&config)).collect();
        let mut out = Vec::new();
        let one = 1000.0 / PEERS as f64;
        row(
            "one compressor for each peer",
            &messages,
            one,
            |_, payload| {
                let mut len = 0;
                for peer in &mut peers {
                    out.clear();
                    let sent = peer.send(Kind::Binary, payload, &mut scratch.send, &mut out);
                    assert!(sent.is_ok(), "the connection is open");
                    len = out.len();
                }
                len
            },
        );
        println!();
    }
    memory();
}

/// Runs `compress` over all messages; `factor` makes the time of what was run that for 1,000 peers.
fn row(
    name: &str,
    messages: &[Vec<u8>],
    factor: f64,
    mut compress: impl FnMut(usize, &[u8]) -> usize,
) {
    let plain: usize = messages.iter().map(Vec::len).sum();
    let start = Instant::now();
    let len: usize = messages
        .iter()
        .enumerate()
        .map(|(i, message)| black_box(compress(i, message)))
        .sum();
    let time = start.elapsed().as_secs_f64() * 1e6 * factor / messages.len() as f64;
    println!("| {name} | {:.2} | {time:.1} |", plain as f64 / len as f64);
}

/// Bytes that a connection owns, beside what its thread shares.
fn memory() {
    println!("### Memory of a connection in bytes, of {CONNECTIONS}\n");
    println!(
        "| setting | open, quiet | after one compressed message each way | after giving its compressor back |"
    );
    println!("|---|--:|--:|--:|");
    for (name, takeover) in [
        ("off", None),
        ("shared", Some(false)),
        ("per-connection", Some(true)),
    ] {
        let config = match takeover {
            None => Arc::new(Config::default()),
            Some(takeover) => config(takeover),
        };
        let mut scratch = Scratch::default();
        // What the thread shares is made before anything is counted.
        exchange(&mut server(&config), &mut scratch, &config);
        let region = Region::new(ALLOCATOR);
        let owned = || {
            let change = region.change();
            let bytes = change.bytes_allocated as f64 - change.bytes_deallocated as f64;
            bytes / CONNECTIONS as f64
        };
        let mut connections: Vec<Connection> = (0..CONNECTIONS).map(|_| server(&config)).collect();
        let quiet = owned();
        connections
            .iter_mut()
            .for_each(|connection| exchange(connection, &mut scratch, &config));
        let after = owned();
        connections
            .iter_mut()
            .for_each(Connection::release_compressor);
        println!("| {name} | {quiet:.0} | {after:.0} | {:.0} |", owned());
    }
}

fn exchange(connection: &mut Connection, scratch: &mut Scratch, config: &Arc<Config>) {
    let mut client = Connection::client(
        Arc::clone(config),
        agreed(config),
        MaskKeys::from_seed([7; 32]),
    );
    let (mut wire, mut out) = (Vec::with_capacity(16 * 1024), Vec::with_capacity(16 * 1024));
    let message = record(1);
    let sent = client.send(Kind::Binary, &message, &mut scratch.send, &mut wire);
    let mut input = Input::new(&mut wire);
    let received = connection
        .next_event(&mut input, &mut scratch.recv, &mut out)
        .is_some();
    let answered = connection.send(Kind::Binary, &message, &mut scratch.send, &mut out);
    let _ = input.into_rest();
    assert!(
        received && sent.is_ok() && answered.is_ok(),
        "both are open"
    );
    // What the last event was lent from is the thread's again.
    let mut nothing = [];
    let _ = connection.next_event(&mut Input::new(&mut nothing), &mut scratch.recv, &mut out);
}

fn config(takeover: bool) -> Arc<Config> {
    let mut deflate = DeflateConfig::default();
    deflate.takeover = takeover;
    deflate.min_len = 16;
    let mut config = Config::default();
    config.deflate = Some(deflate);
    Arc::new(config)
}

fn agreed(config: &Config) -> Agreed {
    negotiate([&b"permessage-deflate; client_max_window_bits"[..]], config)
        .unwrap_or_default()
        .0
}

fn server(config: &Arc<Config>) -> Connection {
    Connection::server(Arc::clone(config), agreed(config))
}

fn tick(i: u32) -> Vec<u8> {
    let noise = i.wrapping_mul(2_654_435_761);
    format!(
        "{{\"type\":\"tick\",\"symbol\":\"SYM{}\",\"bid\":{}.{:02},\"ask\":{}.{:02},\"volume\":{},\"time\":1700{:09}}}",
        noise % 30,
        100 + noise % 50,
        noise % 100,
        100 + noise % 51,
        noise % 97,
        noise % 10_000,
        i * 37
    )
    .into_bytes()
}

fn record(i: u32) -> Vec<u8> {
    let orders: Vec<String> = (0..10)
        .map(|level| String::from_utf8(tick(i * 10 + level)).unwrap_or_default())
        .collect();
    format!("{{\"book\":[{}]}}", orders.join(",")).into_bytes()
}
