//! A connection that has agreed on compression in the shared mode, used it and gone quiet costs what a plain one costs.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails a test")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use common::{PATIENCE, Wirefan};

/// Connections, if the process may have so many files open.
const CONNECTIONS: u64 = 10_000;

/// "Hello" compressed and masked by zeros, longer than it need be so that the server does compress its echo.
fn message(compressed: bool) -> Vec<u8> {
    let text = [b'a'; 200];
    if !compressed {
        return [&[0x81, 0x80 | 126, 0, 200, 0, 0, 0, 0][..], &text].concat();
    }
    // RFC 7692 §7.2.3.3: a block without compression.
    let block = [&[0x00, 200, 0, !200, 0xff][..], &text, &[0x00]].concat();
    [
        &[0xc1, 0x80 | 126, 0, block.len() as u8, 0, 0, 0, 0][..],
        &block,
    ]
    .concat()
}

fn resident(server: &Wirefan) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

/// The memory of a server when so many connections have echoed a message and are quiet.
fn with_connections(count: u64, args: &[&str], compressed: bool) -> u64 {
    let args = [
        &["echo", "--workers", "1", "--log", "warn,wirefan=info"],
        args,
    ]
    .concat();
    let mut server = Wirefan::start(&args);
    server.close_log();
    let message = message(compressed);
    let open: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut socket = TcpStream::connect(server.addr).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
                .write_all(
                    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
                )
                .unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            let head = String::from_utf8(head).unwrap();
            assert_eq!(head.contains("permessage-deflate"), compressed, "{head}");
            socket.write_all(&message).unwrap();
            let mut start = [0; 2];
            socket.read_exact(&mut start).unwrap();
            assert_eq!(start[0], if compressed { 0xc1 } else { 0x81 });
            let rest = if start[1] == 126 {
                202
            } else {
                start[1].into()
            };
            socket.read_exact(&mut vec![0; rest]).unwrap();
            socket
        })
        .collect();
    thread::sleep(Duration::from_millis(200));
    let bytes = resident(&server);
    drop(open);
    bytes
}

#[test]
fn quiet_compressed_connections_cost_what_plain_ones_cost() {
    let files = rlimit::increase_nofile_limit(20_000).unwrap();
    let count = CONNECTIONS.min(files.saturating_sub(500));
    let plain = with_connections(count, &["--compression", "off"], false);
    let shared = with_connections(count, &["--compression", "shared"], true);
    let of_one = |bytes: u64| bytes / count;
    println!(
        "{count} connections: {plain} bytes plain, {shared} compressed; {} and {} each",
        of_one(plain),
        of_one(shared)
    );
    // What the worker shares is there once: a compressor, a decompressor and their buffers.
    let once = 1024 * 1024;
    assert!(
        shared <= plain + plain / 10 + once,
        "{plain} bytes plain, {shared} compressed"
    );
}
