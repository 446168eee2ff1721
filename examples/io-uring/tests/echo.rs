//! The server as a process: connections that come and go, and one that does not read. Where io_uring is not to be had,
//! this says so.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);
const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// Code 1000, masked with zeros, and as the server sends it.
const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";
const CLOSED: &[u8] = b"\x88\x02\x03\xe8";

struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// `None`: io_uring is not to be had here.
    fn start(arguments: &[&str]) -> Option<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_io-uring-echo"))
            .args(["127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        if line.is_empty() {
            let status = child.wait().unwrap();
            assert_eq!(status.code(), Some(3), "{status}");
            eprintln!("skipped: io_uring is not to be had here");
            return None;
        }
        let (_, rest) = line.split_once("ws://").unwrap();
        let (address, _) = rest.split_once('/').unwrap();
        Some(Self {
            child,
            address: address.into(),
        })
    }

    fn connect(&self) -> TcpStream {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.set_write_timeout(Some(LIMIT)).unwrap();
        socket.write_all(REQUEST).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        socket
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn expect(socket: &mut TcpStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    socket.read_exact(&mut read).unwrap();
    assert_eq!(read, bytes);
}

fn come_and_go(arguments: &[&str]) {
    let Some(server) = Server::start(arguments) else {
        return;
    };
    // The second half of each round gets the numbers that the first has left.
    for round in 0..6_u8 {
        let mut sockets: Vec<_> = (0..20).map(|_| server.connect()).collect();
        for (number, socket) in sockets.iter_mut().enumerate() {
            let text = format!("round {round}, {number:02}");
            let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
            frame.extend(text.bytes());
            socket.write_all(&frame).unwrap();
        }
        for (number, socket) in sockets.iter_mut().enumerate() {
            let text = format!("round {round}, {number:02}");
            expect(
                socket,
                &[&[0x81, text.len() as u8], text.as_bytes()].concat(),
            );
            if number % 2 == 0 {
                socket.write_all(CLOSE).unwrap();
                expect(socket, CLOSED);
                assert_eq!(socket.read(&mut [0]).unwrap(), 0, "the server ends it");
            }
        }
    }
}

fn slow_reader(arguments: &[&str]) {
    const MESSAGES: usize = 64;
    const LEN: usize = 1024 * 1024;
    let Some(server) = Server::start(arguments) else {
        return;
    };
    let mut socket = server.connect();
    let mut writer = socket.try_clone().unwrap();
    let written = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut frame = vec![0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0];
            frame.resize(14 + LEN, 7);
            for _ in 0..MESSAGES {
                writer.write_all(&frame).unwrap();
                written.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Until nothing more is taken. A server that takes everything is found out, unless this thread is very lucky.
        let mut before = usize::MAX;
        while before != written.load(Ordering::Relaxed) {
            before = written.load(Ordering::Relaxed);
            thread::sleep(Duration::from_millis(300));
        }
        assert!(before < MESSAGES, "it has read {before} MiB and sent none");
        let mut frame = vec![0; 10 + LEN];
        for _ in 0..MESSAGES {
            socket.read_exact(&mut frame).unwrap();
            assert_eq!(frame[..10], [0x82, 127, 0, 0, 0, 0, 0, 0x10, 0, 0]);
            assert!(frame[10..].iter().all(|&byte| byte == 7));
        }
    });
    socket.write_all(CLOSE).unwrap();
    expect(&mut socket, CLOSED);
}

#[test]
fn connections_come_and_go() {
    come_and_go(&[]);
}

#[test]
fn connections_come_and_go_without_multishot() {
    come_and_go(&["--plain"]);
}

#[test]
fn who_does_not_read_is_not_read_from() {
    slow_reader(&[]);
}

#[test]
fn who_does_not_read_is_not_read_from_without_multishot() {
    slow_reader(&["--plain"]);
}
