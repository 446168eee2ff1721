//! The hot paths whose instructions are counted: each runs a number of times on a fixed input. Run by `instructions.rs`
//! in a process of its own, `wirefan-benches hot NAME RUNS`.

use core::hint::black_box;
use std::sync::Arc;

use wirefan_benches::input::{Reads, client_frame, mixed, receive, server, text};
use wirefan_benches::opening;
use wirefan_protocol::handshake::negotiate;
use wirefan_protocol::{
    Agreed, Config, Connection, DeflateConfig, Kind, MaskKeys, Opcode, RecvScratch, Scratch,
    SendScratch, apply_mask,
};

/// A path through the protocol crate.
pub(crate) struct Path {
    /// Its name in the baseline.
    pub(crate) name: &'static str,
    /// How often it is run for one count.
    pub(crate) runs: u64,
    /// How many messages a run has.
    pub(crate) messages: usize,
    /// Runs it: how often, and with how many messages each time.
    run: fn(u64, usize),
}

/// All of them. A run of small messages is a read of as many as 32 in flight bring.
pub(crate) static PATHS: [Path; 13] = [
    path("decode-text-16", 500, 32, |runs, messages| {
        decode(Opcode::Text, &text(16), runs, messages);
    }),
    path("decode-text-125", 500, 32, |runs, messages| {
        decode(Opcode::Text, &text(125), runs, messages);
    }),
    path("decode-text-1024", 500, 8, |runs, messages| {
        decode(Opcode::Text, &text(1024), runs, messages);
    }),
    path("decode-text-65536", 50, 1, |runs, messages| {
        decode(Opcode::Text, &text(65_536), runs, messages);
    }),
    path("decode-mixed-16384", 100, 1, |runs, messages| {
        decode(Opcode::Text, &mixed(16_384), runs, messages);
    }),
    path("decode-ping-16", 500, 16, |runs, messages| {
        decode(Opcode::Ping, &text(16), runs, messages);
    }),
    path("decode-fragments", 500, 4, fragments),
    path("encode-server-16", 500, 32, |runs, messages| {
        encode(server(), &text(16), runs, messages);
    }),
    path("encode-server-1024", 500, 8, |runs, messages| {
        encode(server(), &text(1024), runs, messages);
    }),
    path("encode-client-1024", 500, 10, |runs, messages| {
        encode(
            client(Config::default(), Agreed::default()),
            &text(1024),
            runs,
            messages,
        );
    }),
    path("mask-1024", 5000, 1, |runs, _| mask(runs)),
    path("handshake", 500, 1, |runs, _| handshake(runs)),
    path("deflate-1024", 50, 1, |runs, _| deflate(runs)),
];

const fn path(name: &'static str, runs: u64, messages: usize, run: fn(u64, usize)) -> Path {
    Path {
        name,
        runs,
        messages,
        run,
    }
}

/// Runs a path; `false`: there is none of that name.
pub(crate) fn run(name: &str, runs: u64) -> bool {
    let path = PATHS.iter().find(|path| path.name == name);
    if let Some(path) = path {
        (path.run)(runs, path.messages);
    }
    path.is_some()
}

fn client(config: Config, agreed: Agreed) -> Connection {
    Connection::client(Arc::new(config), agreed, MaskKeys::from_seed([7; 32]))
}

/// Frames of one kind, as a server receives them.
fn decode(opcode: Opcode, payload: &str, runs: u64, messages: usize) {
    let frame = client_frame(opcode, payload.as_bytes());
    receive_all(Reads::new(&frame, messages), runs, messages);
}

/// Messages of 1 KiB, each in four frames that come in one read.
fn fragments(runs: u64, messages: usize) {
    let mut client = client(Config::default(), Agreed::default());
    let (piece, mut frames) = (text(256), Vec::new());
    for i in 1..=4 {
        client
            .send_text_fragment(&piece, i == 4, &mut frames)
            .expect("it is open");
    }
    receive_all(Reads::new(&frames, messages), runs, messages);
}

fn receive_all(mut reads: Reads, runs: u64, messages: usize) {
    let mut connection = server();
    let (mut scratch, mut out) = (RecvScratch::default(), Vec::new());
    for _ in 0..runs {
        let events = receive(&mut connection, reads.refill(), &mut scratch, &mut out);
        assert_eq!(events, messages);
        out.clear();
    }
}

/// Messages behind each other, as answers to one read are.
fn encode(mut connection: Connection, payload: &str, runs: u64, messages: usize) {
    let (mut scratch, mut out) = (SendScratch::default(), Vec::new());
    for _ in 0..runs {
        out.clear();
        for _ in 0..messages {
            connection
                .send_text(black_box(payload), &mut scratch, &mut out)
                .expect("it is open");
        }
        black_box(&out);
    }
}

/// A payload that begins anywhere, as behind a header.
fn mask(runs: u64) {
    let mut buffer = vec![0x5a; 6 + 1024];
    for _ in 0..runs {
        apply_mask(black_box(&mut buffer[6..]), black_box([1, 2, 3, 4]), 0);
    }
}

fn handshake(runs: u64) {
    let config = Arc::new(Config::default());
    let (mut request, mut out) = (opening::REQUEST.to_vec(), Vec::new());
    for _ in 0..runs {
        out.clear();
        black_box(opening::accept(&config, &mut request, &mut out));
    }
}

/// JSON compressed by a client and inflated by a server, each message without what came before.
fn deflate(runs: u64) {
    let mut deflate = DeflateConfig::default();
    deflate.takeover = false;
    let mut config = Config::default();
    config.deflate = Some(deflate);
    let offer = b"permessage-deflate; client_no_context_takeover; server_no_context_takeover";
    let (agreed, _) = negotiate([&offer[..]], &config).expect("an offer that can be taken");
    let mut client = client(config.clone(), agreed);
    let mut server = Connection::server(Arc::new(config), agreed);
    let (mut scratch, mut wire, mut out) = (Scratch::default(), Vec::new(), Vec::new());
    let json = json();
    for _ in 0..runs {
        wire.clear();
        client
            .send(Kind::Text, json.as_bytes(), &mut scratch.send, &mut wire)
            .expect("it is open");
        assert!(wire.len() < json.len(), "it is compressed");
        let events = receive(&mut server, &mut wire, &mut scratch.recv, &mut out);
        assert_eq!(events, 1);
    }
}

/// 1 KiB of prices.
fn json() -> String {
    let mut json = String::new();
    for i in 1_u32.. {
        let noise = i.wrapping_mul(2_654_435_761);
        json.push_str(&format!(
            "{{\"symbol\":\"SYM{}\",\"bid\":{}.{:02},\"volume\":{}}},",
            noise % 30,
            100 + noise % 50,
            noise % 100,
            noise % 10_000
        ));
        if json.len() >= 1024 {
            break;
        }
    }
    json.truncate(1024);
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_a_name_of_its_own_and_runs() {
        for (i, path) in PATHS.iter().enumerate() {
            let named = PATHS.iter().position(|other| other.name == path.name);
            assert_eq!(named, Some(i));
            assert!(run(path.name, 2), "{}", path.name);
        }
        assert!(!run("no-such-path", 1));
    }
}
