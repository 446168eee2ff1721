//! What stands in front of the server: proxies, Unix sockets, systemd, and limits for each client, through the real binary.
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.
#![cfg(unix)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use common::{Client, PATIENCE, Received, Wirefan, command, run, text};
use wirefan_protocol::CloseCode;
use wirefan_protocol::handshake::ClientRequest;

const PAGE: &str = "GET /tea?members HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Sends a header and a request, and returns all that comes back.
fn exchange(mut stream: impl Read + Write, header: &str) -> String {
    stream.write_all(header.as_bytes()).unwrap();
    // Who is refused is not read.
    let _ = stream.write_all(PAGE.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn dial(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn dial_unix(path: &PathBuf) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A path for a socket, short enough for one.
fn socket_path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("wf-{name}-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    path
}

#[test]
fn behind_a_proxy_the_log_tells_of_clients() {
    let args = ["broadcast", "--log", "debug", "--proxy-protocol"];
    let server = Wirefan::start(&[&args[..], &["--trusted-proxy", "loopback"]].concat());
    let header = "PROXY TCP4 198.51.100.7 192.0.2.1 4711 80\r\n";
    assert!(exchange(dial(server.addr), header).starts_with("HTTP/1.1 200 "));
    let line = server.line_with("not opened: answered with 200");
    assert!(line.contains("addr=198.51.100.7:4711"), "{line}");
    assert_eq!(exchange(dial(server.addr), ""), "");
    let line = server.line_with(r#"cause="bad_proxy_header""#);
    assert!(
        line.contains("does not begin with a PROXY header"),
        "{line}"
    );

    let server = Wirefan::start(&[&args[..], &["--trusted-proxy", "192.0.2.0/24"]].concat());
    assert_eq!(exchange(dial(server.addr), header), "");
    server.line_with(r#"cause="proxy_untrusted""#);
}

#[test]
fn the_proxy_protocol_takes_a_proxy_to_trust() {
    let output = run(&["echo", "--proxy-protocol"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("--trusted-proxy") && said.lines().count() == 1,
        "{said}"
    );
    let output = run(&["echo", "--proxy-protocol", "--trusted-proxy", "10.0.0.1/8"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("10.0.0.0/8 perhaps") && said.lines().count() == 1,
        "{said}"
    );
}

#[test]
fn a_unix_socket_has_its_permissions_and_goes_with_the_server() {
    let path = socket_path("own");
    let listen = format!("unix:{},mode=0600", path.display());
    // What a killed server leaves behind is in nobody's way.
    drop(UnixListener::bind(&path).unwrap());
    let mut server = Wirefan::start(&["broadcast", "--listen", &listen]);
    server.line_with("listening on unix:");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(exchange(dial_unix(&path), "").ends_with("\"members\":0}\n"));
    let output = run(&["echo", "--listen", &listen]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("another server listens there"), "{said}");
    assert!(exchange(dial_unix(&path), "").starts_with("HTTP/1.1 200 "));
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn a_proxy_on_a_unix_socket_is_believed_where_the_loopback_is_trusted() {
    for (trusted, expected) in [
        ("loopback", "addr=192.0.2.7:0"),
        ("10.0.0.0/8", "addr=0.0.0.0:0"),
    ] {
        let path = socket_path("forwarded");
        let listen = format!("unix:{}", path.display());
        let args = ["broadcast", "--listen", &listen, "--trusted-proxy", trusted];
        let server = Wirefan::start(&args);
        server.line_with("listening on unix:");
        // Told or not, a client is let in, and the log has the same of its coming and of its refusal.
        for (origin, status) in [("http://localhost", 101), ("https://evil.example", 403)] {
            let request = format!(
                "GET /tea HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 X-Forwarded-For: 192.0.2.7\r\nOrigin: {origin}\r\n\r\n"
            );
            let mut stream = dial_unix(&path);
            stream.write_all(request.as_bytes()).unwrap();
            let mut begin = [0; 12];
            stream.read_exact(&mut begin).unwrap();
            assert_eq!(begin, *format!("HTTP/1.1 {status}").as_bytes());
            let line = server.line_with(if status == 101 {
                "connected"
            } else {
                "refused"
            });
            assert!(line.contains(expected), "{line}");
        }
    }
}

/// The server as systemd starts it, with a socket that is open.
struct Activated {
    child: Child,
    lines: BufReader<std::process::ChildStderr>,
}

impl Activated {
    fn start(socket: OwnedFd, args: &[&str]) -> Self {
        // The process has the number that systemd would have put into LISTEN_PID, and the socket is its third file.
        let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
        let mut child = Command::new("sh")
            .args(["-c", script, "sh", env!("CARGO_BIN_EXE_wirefan")])
            .args(args)
            .env_remove("WIREFAN_LOG")
            .stdin(Stdio::from(socket))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines }
    }

    fn line_with(&mut self, what: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "{what}");
            if line.contains(what) {
                return line;
            }
        }
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn sockets_of_systemd_are_listened_on_instead_of_the_default() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    // It waits in the queue until there is a server.
    let early = thread::spawn(move || exchange(dial(addr), ""));
    let mut server = Activated::start(socket.into(), &["broadcast", "--workers", "2"]);
    let line = server.line_with("listening on ");
    assert!(
        line.contains(&format!("listening on {addr} — open http://")),
        "{line}"
    );
    assert!(early.join().unwrap().starts_with("HTTP/1.1 200 "));
    let mut client = Client::connect(addr, ClientRequest::new("localhost", "/")).unwrap();
    client.close(CloseCode::NORMAL, "");
    assert_eq!(client.next(), Received::Close(Some(CloseCode::NORMAL)));
    drop(server);

    let path = socket_path("systemd");
    let socket = UnixListener::bind(&path).unwrap();
    let mut server = Activated::start(socket.into(), &["broadcast"]);
    server.line_with("listening on unix:");
    assert!(exchange(dial_unix(&path), "").starts_with("HTTP/1.1 200 "));
    drop(server);
    let _ = fs::remove_file(&path);

    // With a certificate it is for TLS.
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    let mut server = Activated::start(socket.into(), &["broadcast", "--tls-self-signed"]);
    server.line_with(" — open https://");
    server.line_with("curl --cacert");
    assert!(exchange(dial(addr), "").starts_with("HTTP/1.1 400 "));
}

#[test]
fn sockets_of_somebody_else_are_left_alone() {
    let mut command = command(&["broadcast", "--listen", "127.0.0.1:0"]);
    command.env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains("listening on 127.0.0.1:"), "{line}");
}

#[test]
fn a_client_has_so_many_connections() {
    let server = Wirefan::start(&["echo", "--max-connections-per-ip", "2"]);
    let mut clients = [server.connect("/"), server.connect("/")];
    let answer = exchange(dial(server.addr), "");
    assert!(
        answer.starts_with("HTTP/1.1 429 ") && answer.contains("Retry-After: 10\r\n"),
        "{answer}"
    );
    server.line_with(r#"cause="too_many_from_address""#);
    for client in &mut clients {
        client.send_text("still here");
        assert_eq!(client.next(), text("still here"));
    }
}

#[test]
fn a_client_makes_so_many_handshakes() {
    let server = Wirefan::start(&["echo", "--max-handshakes-per-ip", "1"]);
    // Ten at once are allowed, and one in a second.
    let answers: Vec<String> = (0..60).map(|_| exchange(dial(server.addr), "")).collect();
    let welcome = answers
        .iter()
        .filter(|answer| answer.starts_with("HTTP/1.1 200 "));
    let welcome = welcome.count();
    assert!((10..50).contains(&welcome), "{welcome}");
    server.line_with(r#"cause="too_many_handshakes""#);
}

#[test]
fn those_that_say_nothing_have_a_limit_of_their_own() {
    // One worker: several accept in any order.
    let server = Wirefan::start(&["echo", "--max-pending", "3", "--workers", "1"]);
    let mut open = server.connect("/");
    let silent: Vec<TcpStream> = (0..3).map(|_| dial(server.addr)).collect();
    for mut socket in &silent {
        // Without a byte the system would keep them to itself for a second.
        socket.write_all(b"G").unwrap();
    }
    let answer = exchange(dial(server.addr), "");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    server.line_with(r#"cause="too_many_pending""#);
    drop(silent);
    let start = Instant::now();
    while !exchange(dial(server.addr), "").starts_with("HTTP/1.1 200 ") {
        assert!(start.elapsed() < PATIENCE);
    }
    open.send_text("still here");
    assert_eq!(open.next(), text("still here"));
}

#[test]
fn who_sends_too_much_is_delayed_or_dropped_or_closed() {
    let rate = ["echo", "--max-messages-per-second", "20", "--over-rate"];
    let burst = |over: &str| {
        let server = Wirefan::start(&[&rate[..], &[over]].concat());
        let mut client = server.connect("/");
        for i in 0..40 {
            client.send_text(&i.to_string());
        }
        (server, client)
    };
    let start = Instant::now();
    let (_server, mut client) = burst("delay");
    for i in 0..40 {
        assert_eq!(client.next(), text(&i.to_string()));
    }
    assert!(start.elapsed().as_millis() >= 900);

    let (_server, mut client) = burst("drop");
    client.close(CloseCode::NORMAL, "");
    let mut received = 0;
    while client.next() != Received::Close(Some(CloseCode::NORMAL)) {
        received += 1;
    }
    assert!((20..40).contains(&received), "{received}");

    let (server, mut client) = burst("close");
    let closed = Received::Close(Some(CloseCode::POLICY));
    while client.next() != closed {}
    server.line_with(r#"cause="too_fast""#);

    let server = Wirefan::start(&[
        "echo",
        "--max-bytes-per-second",
        "1k",
        "--over-rate",
        "close",
    ]);
    let mut client = server.connect("/");
    client.send_binary(&[7; 1024]);
    assert_eq!(client.next(), Received::Binary(vec![7; 1024]));
    client.send_binary(&[7; 1024]);
    assert_eq!(client.next(), closed);
}
