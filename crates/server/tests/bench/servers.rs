//! Servers to be measured: one without WebSocket, one that passes on, and those that lose, change or refuse what they get.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use wirefan_protocol::handshake::accept_key;
use wirefan_protocol::{
    Agreed, Config, Connection, Event, Header, Input, Kind, Scratch, SendError,
};

use crate::common::PATIENCE;

/// Answers the handshake with a constant, and gives back what it gets.
pub(super) fn raw_echo() -> SocketAddr {
    serve(|mut socket| {
        let key = read_head(&mut socket).unwrap_or_default();
        if key != "dGhlIHNhbXBsZSBub25jZQ==" {
            return;
        }
        let _ = socket.write_all(switching(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=").as_bytes());
        let mut buffer = vec![0; 65_536];
        while let Ok(len @ 1..) = socket.read(&mut buffer) {
            if socket.write_all(&buffer[..len]).is_err() {
                return;
            }
        }
    })
}

type Members = Arc<Mutex<Vec<(SocketAddr, TcpStream)>>>;

/// Writes what a connection sends to all others: bytes, or messages, each as often as `times` says for its number and
/// the place of the other one.
pub(super) fn hub(raw: bool, times: fn(u64, usize) -> usize) -> SocketAddr {
    let members = Members::default();
    serve(move |mut socket| {
        let Some(key) = read_head(&mut socket) else {
            return;
        };
        let this = socket.peer_addr().unwrap();
        let other = socket.try_clone().unwrap();
        members.lock().unwrap().push((this, other));
        let _ = socket.write_all(switching(&accept_key(key.as_bytes())).as_bytes());
        let send = |bytes: &[u8], number| {
            let mut members = members.lock().unwrap();
            let others = members.iter_mut().filter(|(addr, _)| *addr != this);
            for (place, (_, member)) in others.enumerate() {
                for _ in 0..times(number, place) {
                    let _ = member.write_all(bytes);
                }
            }
        };
        let mut connection = Connection::server(Arc::new(Config::default()), Agreed::default());
        let (mut scratch, mut buffer, mut number) = (Scratch::default(), vec![0; 65_536], 0);
        while let Ok(len @ 1..) = socket.read(&mut buffer) {
            if raw {
                send(&buffer[..len], 0);
                continue;
            }
            let (mut input, mut out) = (Input::new(&mut buffer[..len]), Vec::new());
            while let Some(event) = connection.next_event(&mut input, &mut scratch.recv, &mut out) {
                if let Event::Text(text) = event {
                    number += 1;
                    let header = Header::of_message(Kind::Text, text.len()).encode();
                    send(&[&*header, text.as_bytes()].concat(), number);
                }
            }
            // Only Closes are answered, and whoever wants more is not served here.
            let _ = socket.write_all(&out);
        }
    })
}

/// A thread for each connection, for as long as the test runs.
pub(super) fn serve(each: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let (Ok(socket), each) = (socket, each.clone()) else {
                return;
            };
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            thread::spawn(move || each(socket));
        }
    });
    addr
}

/// The key of the request.
pub(super) fn read_head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let (_, rest) = head.split_once("Sec-WebSocket-Key: ")?;
    Some(rest.lines().next()?.to_owned())
}

pub(super) fn switching(accept: &[u8]) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        str::from_utf8(accept).unwrap()
    )
}

/// What a server does with the messages of a connection, which it is given by number.
pub(super) type Habit = fn(u64, Kind, &[u8], &mut Answers<'_>) -> Result<(), SendError>;

pub(super) struct Answers<'a> {
    pub(super) connection: &'a mut Connection,
    scratch: &'a mut Scratch,
    pub(super) out: &'a mut Vec<u8>,
    pub(super) kept: &'a mut Vec<u8>,
}

impl Answers<'_> {
    pub(super) fn send(&mut self, kind: Kind, payload: &[u8]) -> Result<(), SendError> {
        let scratch = &mut self.scratch.send;
        match kind {
            Kind::Text => {
                let text = str::from_utf8(payload).unwrap();
                self.connection.send_text(text, scratch, self.out)
            }
            Kind::Binary => self.connection.send_binary(payload, scratch, self.out),
        }
    }
}

/// A server with this habit.
pub(super) fn server_that(habit: Habit, pongs: &Arc<AtomicU64>) -> SocketAddr {
    let pongs = Arc::clone(pongs);
    serve(move |mut socket| {
        let Some(key) = read_head(&mut socket) else {
            return;
        };
        let _ = socket.write_all(switching(&accept_key(key.as_bytes())).as_bytes());
        let mut connection = Connection::server(Arc::new(Config::default()), Agreed::default());
        let (mut recv, mut buffer) = (Scratch::default(), vec![0; 65_536]);
        let (mut scratch, mut kept, mut number) = (Scratch::default(), Vec::new(), 0);
        while let Ok(len @ 1..) = socket.read(&mut buffer) {
            let (mut input, mut out) = (Input::new(&mut buffer[..len]), Vec::new());
            let mut done = Ok(());
            while let Some(event) = connection.next_event(&mut input, &mut recv.recv, &mut out) {
                let (kind, payload) = match event {
                    Event::Text(text) => (Kind::Text, text.as_bytes()),
                    Event::Binary(data) => (Kind::Binary, data),
                    Event::Pong(b"hello?") => {
                        pongs.fetch_add(1, Ordering::SeqCst);
                        continue;
                    }
                    _ => continue,
                };
                number += 1;
                let mut answers = Answers {
                    connection: &mut connection,
                    scratch: &mut scratch,
                    out: &mut out,
                    kept: &mut kept,
                };
                if done.is_ok() {
                    done = habit(number, kind, payload, &mut answers);
                }
            }
            if socket.write_all(&out).is_err() || done.is_err() {
                return;
            }
        }
    })
}

/// Says nothing.
pub(super) fn read_on(mut socket: TcpStream) -> std::io::Result<u64> {
    std::io::copy(&mut socket, &mut std::io::sink())
}

/// Answers every request with this.
pub(super) fn refusing(answer: &str) -> SocketAddr {
    let answer = answer.to_owned();
    serve(move |mut socket| {
        read_head(&mut socket);
        let _ = socket.write_all(answer.as_bytes());
    })
}
