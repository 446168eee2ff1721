//! Requests with headers of every kind, and what becomes of them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use wirefan_eventloop::ClientTls;
use wirefan_eventloop::rustls::pki_types::ServerName;
use wirefan_eventloop::rustls::{ClientConnection, StreamOwned};
use wirefan_protocol::handshake::ClientRequest;

use crate::common::{Client, PATIENCE, Reply, Wirefan};

/// Asks for a WebSocket, and returns the answer: the reason for a refusal is its body.
pub(crate) fn knock(server: &Wirefan, target: &str, headers: &[(&str, &str)]) -> Reply {
    knock_at(server.addr, target, headers)
}

/// The same, on another thread.
pub(crate) fn knock_at(addr: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Reply {
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    ask(addr, target, &[&upgrade, headers].concat())
}

/// A plain request with these headers.
pub(crate) fn get(server: &Wirefan, target: &str, headers: &[(&str, &str)]) -> Reply {
    ask(server.addr, target, headers)
}

fn ask(addr: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Reply {
    let mut socket = TcpStream::connect(addr).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = format!("GET {target} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        head += "Host: localhost\r\n";
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    socket.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    let begin = Instant::now();
    loop {
        let len = socket.read(&mut buffer).unwrap();
        answer.extend_from_slice(&buffer[..len]);
        let text = str::from_utf8(&answer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        if len == 0 || (head.starts_with("HTTP/1.1 101 ") && head != text) {
            return Reply {
                status: head.split(' ').nth(1).unwrap().parse().unwrap(),
                head: head.to_owned(),
                body: body.to_owned(),
            };
        }
        assert!(begin.elapsed() < PATIENCE, "{text}");
    }
}

/// A connection to a server with this certificate.
pub(crate) fn over_tls(
    server: &Wirefan,
    certificate: &Path,
) -> StreamOwned<ClientConnection, TcpStream> {
    let trust = ClientTls::builder().server_ca_file(certificate).unwrap();
    let tls = trust.build().unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let socket = TcpStream::connect(server.addr).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let connection = ClientConnection::new(tls.config(), name).unwrap();
    StreamOwned::new(connection, socket)
}

/// Comes in, or is told the status of the refusal.
pub(crate) fn enter(
    server: &Wirefan,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<Client, u16> {
    let mut request = ClientRequest::new("localhost", target);
    request.headers = headers;
    Client::connect(server.addr, request)
}

/// The header for a bearer token.
pub(crate) fn bearer(token: &str) -> (&'static str, String) {
    ("Authorization", format!("Bearer {token}"))
}

/// Comes in with a bearer token, or is told the status of the refusal.
pub(crate) fn enter_with(server: &Wirefan, target: &str, token: &str) -> Result<Client, u16> {
    let (name, value) = bearer(token);
    enter(server, target, &[(name, &value)])
}

/// Waits until the number of members, asked with this token, is so many.
pub(crate) fn await_members(server: &Wirefan, room: &str, token: &str, members: usize) {
    let (name, value) = bearer(token);
    let wanted = format!("\"members\":{members}}}\n");
    let begin = Instant::now();
    loop {
        let reply = get(server, &format!("{room}?members"), &[(name, &value)]);
        if reply.body.ends_with(&wanted) {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{reply:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
