//! Masked text frames out of memory, without a kernel: wirefan, the bare loop, tungstenite and fastwebsockets. Prints a
//! table. `RUSTFLAGS="-C target-cpu=native" cargo run --release --manifest-path benches/peers/Cargo.toml -p peer-micro`

#[path = "../../../src/bare.rs"]
mod bare;
#[path = "../../../src/input.rs"]
#[expect(dead_code, reason = "other benchmarks need the rest of it")]
mod input;
mod memory;

use std::hint::black_box;
use std::time::{Duration, Instant};

use fastwebsockets::{FragmentCollector, OpCode};
use tungstenite::Message;
use wirefan_protocol::RecvScratch;

use crate::input::{READ, Reads, SIZES, client_frame, receive, server, text};
use crate::memory::{Memory, now};

/// Rounds in which the candidates stand next to each other.
const ROUNDS: usize = 15;
/// What one measurement takes.
const SPAN: Duration = Duration::from_millis(20);

/// Decodes so many reads, each of as many messages as were agreed on.
type Decode = Box<dyn FnMut(usize)>;

fn main() {
    println!(
        "Nanoseconds for a masked text frame, and how often the time of the bare loop that is;"
    );
    println!("median of {ROUNDS} rounds, the copy into the read buffer included.\n");
    println!("| |{}", SIZES.map(|len| format!(" {len} B |")).concat());
    println!("|---|{}", SIZES.map(|_| "--:|").concat());
    let columns = SIZES.map(column);
    for (row, (name, _)) in columns[0].iter().enumerate() {
        let cells = columns.each_ref().map(|column| {
            let (nanos, bare) = (column[row].1, column[0].1);
            format!(" {nanos:.1} · {:.2} |", nanos / bare)
        });
        println!("| {name} |{}", cells.concat());
    }
}

/// The median time of each candidate with messages of this length, the bare loop first.
fn column(len: usize) -> Vec<(&'static str, f64)> {
    let count = (READ / len).max(1);
    let mut candidates = candidates(len, count);
    let mut times = vec![Vec::new(); candidates.len()];
    for _ in 0..ROUNDS {
        for ((_, decode), times) in candidates.iter_mut().zip(&mut times) {
            // It also fills the caches with what this one needs.
            let once = timed(decode, 1).max(Duration::from_nanos(100));
            let reads = SPAN.div_duration_f64(once).ceil() as usize;
            let time = timed(decode, reads).as_nanos() as f64;
            times.push(time / (reads * count) as f64);
        }
    }
    candidates
        .iter()
        .zip(&mut times)
        .map(|((name, _), times)| {
            times.sort_by(f64::total_cmp);
            (*name, times[ROUNDS / 2])
        })
        .collect()
}

fn timed(decode: &mut Decode, reads: usize) -> Duration {
    let start = Instant::now();
    decode(reads);
    start.elapsed()
}

fn candidates(len: usize, count: usize) -> [(&'static str, Decode); 5] {
    let (reads, _) = Reads::of_texts(len);
    [
        ("bare loop", bare_loop(reads.clone(), count)),
        ("wirefan", wirefan(reads.clone(), count)),
        ("tungstenite", tungstenite(memory(len, count), count)),
        ("fastwebsockets", fastwebsockets(memory(len, count), count)),
        ("the copy alone", copy(reads)),
    ]
}

fn memory(len: usize, count: usize) -> Memory {
    let frame = client_frame(wirefan_protocol::Opcode::Text, text(len).as_bytes());
    Memory::new(frame.repeat(count))
}

fn bare_loop(mut reads: Reads, count: usize) -> Decode {
    Box::new(move |times| {
        for _ in 0..times {
            let mut messages = 0;
            let whole = bare::texts(reads.refill(), |text| {
                messages += 1;
                black_box(text);
            });
            assert!(whole && messages == count);
        }
    })
}

fn wirefan(mut reads: Reads, count: usize) -> Decode {
    let mut connection = server();
    let (mut scratch, mut out) = (RecvScratch::default(), Vec::new());
    Box::new(move |times| {
        for _ in 0..times {
            let messages = receive(&mut connection, reads.refill(), &mut scratch, &mut out);
            assert_eq!(messages, count);
        }
    })
}

/// Default settings: a read buffer of 128 KiB.
fn tungstenite(memory: Memory, count: usize) -> Decode {
    let role = tungstenite::protocol::Role::Server;
    let mut socket = tungstenite::WebSocket::from_raw_socket(memory, role, None);
    Box::new(move |times| {
        for _ in 0..times * count {
            match black_box(socket.read()) {
                Ok(Message::Text(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    })
}

/// As its echo example reads.
fn fastwebsockets(memory: Memory, count: usize) -> Decode {
    let role = fastwebsockets::Role::Server;
    let mut socket =
        FragmentCollector::new(fastwebsockets::WebSocket::after_handshake(memory, role));
    Box::new(move |times| {
        now(async {
            for _ in 0..times * count {
                match black_box(socket.read_frame().await) {
                    Ok(frame) if frame.opcode == OpCode::Text => {}
                    Ok(_) => panic!("another frame"),
                    Err(error) => panic!("{error}"),
                }
            }
        });
    })
}

fn copy(mut reads: Reads) -> Decode {
    Box::new(move |times| {
        for _ in 0..times {
            black_box(reads.refill());
        }
    })
}
