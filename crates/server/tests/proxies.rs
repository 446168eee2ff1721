//! Behind nginx, HAProxy and Caddy, with the configurations of contrib/: upgrades, pings that keep a connection, what the
//! server is told of a client. Debian's packages are needed; without one its tests say that they were skipped.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

mod common;

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Client, PATIENCE, Received, Wirefan, run, text};
use socket2::{Domain, Socket, Type};
use wirefan_protocol::CloseCode;
use wirefan_protocol::handshake::ClientRequest;

/// Where clients come from, so that they are not taken for the proxy.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Nginx,
    Haproxy,
    Caddy,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Caddy => "caddy",
        }
    }

    /// The file of contrib/, with what it has to be for a test in place of what it is for users. Each is to be in it.
    fn configuration(self, port: u16, backend: &str, timeout: &str, folder: &Path) -> String {
        let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib");
        let (name, changes) = match self {
            Self::Nginx => (
                "nginx.conf",
                vec![
                    ("listen 80;", format!("listen 127.0.0.1:{port};")),
                    ("server 127.0.0.1:9001;", format!("server {backend};")),
                    (
                        "proxy_read_timeout 60s;",
                        format!("proxy_read_timeout {timeout};"),
                    ),
                ],
            ),
            Self::Haproxy => (
                "haproxy.cfg",
                vec![
                    ("bind :80", format!("bind 127.0.0.1:{port}")),
                    ("127.0.0.1:9001 check inter 5s", backend.to_owned()),
                    ("maxconn 20000", "maxconn 100".to_owned()),
                    ("timeout tunnel 60s", format!("timeout tunnel {timeout}")),
                ],
            ),
            Self::Caddy => (
                "Caddyfile",
                vec![
                    (
                        "example.com {",
                        format!("{{\n\tadmin off\n}}\nhttp://:{port} {{\n\tbind 127.0.0.1"),
                    ),
                    ("127.0.0.1:9001 {", format!("{backend} {{")),
                ],
            ),
        };
        let mut text = fs::read_to_string(contrib.join(name)).unwrap();
        for (from, to) in changes {
            assert!(text.contains(from), "{name} has no {from}");
            text = text.replace(from, &to);
        }
        if self == Self::Nginx {
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|name| format!("{name}_temp_path {}/{name};\n", folder.display()))
                .concat();
            // One process, so that nothing is left when it is killed.
            text = format!(
                "daemon off; master_process off; pid {}/pid;\nevents {{ worker_connections 100; }}\n\
                 http {{\naccess_log off;\n{temporary}{text}\n}}\n",
                folder.display()
            );
        }
        text
    }
}

/// A running proxy, with a folder of its own. Both are gone when it is dropped.
struct Proxy {
    child: Child,
    addr: SocketAddr,
    folder: PathBuf,
}

impl Proxy {
    /// `None`: it is not installed.
    fn start(kind: Kind, test: &str, backend: &str, timeout: &str) -> Option<Self> {
        let program = program(kind.program())?;
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{test}", kind.program()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        // A port that is free now may be another's when the proxy comes.
        for _ in 0..5 {
            let addr = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap();
            let file = folder.join("configuration");
            fs::write(
                &file,
                kind.configuration(addr.port(), backend, timeout, &folder),
            )
            .unwrap();
            let mut command = Command::new(&program);
            match kind {
                Kind::Nginx => command.args(["-e", "stderr", "-p"]).arg(&folder).arg("-c"),
                Kind::Haproxy => command.args(["-db", "-f"]),
                Kind::Caddy => command
                    .env("HOME", &folder)
                    .env("XDG_CONFIG_HOME", &folder)
                    .env("XDG_DATA_HOME", &folder)
                    .args(["run", "--adapter", "caddyfile", "--config"]),
            };
            let child = command.arg(&file).stdin(Stdio::null()).spawn().unwrap();
            let folder = folder.clone();
            let mut proxy = Self {
                child,
                addr,
                folder,
            };
            if proxy.listens() {
                return Some(proxy);
            }
        }
        panic!("{} does not start: see above", program.display());
    }

    fn listens(&mut self) -> bool {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            if TcpStream::connect(self.addr).is_ok() {
                return true;
            }
            assert!(start.elapsed() < PATIENCE, "it does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Opens a connection from [`CLIENT`], and what it says there.
    fn dial(&self, request: &str) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((CLIENT, 0)).into()).unwrap();
        socket.connect(&self.addr.into()).unwrap();
        let mut socket = TcpStream::from(socket);
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        socket
    }

    fn connect(&self, path: &str) -> Client {
        let socket = self.dial("");
        Client::over(socket, ClientRequest::new("example.com", path)).unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Where a program is. Under CI only what it installs has to be there.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        let _ = writeln!(
            io::stderr(),
            "SKIPPED: there is no {name} (on Debian: apt-get install {name})"
        );
    }
    found
}

/// Behind any of them: messages both ways, plain requests, the server's own end.
fn serves(kind: Kind) {
    let server = Wirefan::start(&["broadcast"]);
    let Some(proxy) = Proxy::start(kind, "serves", &server.addr.to_string(), "60s") else {
        return;
    };
    let (mut one, mut other) = (proxy.connect("/tea%20room"), proxy.connect("/tea%20room"));
    server.await_members("/tea%20room", 2);
    let long = "grün ".repeat(40_000);
    for message in ["short", "", &long] {
        one.send_text(message);
        assert_eq!(other.next(), text(message));
        other.send_text(message);
        assert_eq!(one.next(), text(message));
    }
    let mut plain =
        proxy.dial("GET /?members HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("\"members\":0"),
        "{answer}"
    );

    server.signal("TERM");
    for client in [&mut one, &mut other] {
        let going = Received::Close(Some(CloseCode::GOING_AWAY));
        assert_eq!(client.next(), going);
    }
}

/// Pings keep a connection for far longer than the proxy keeps a silent one; without them it cuts it.
fn lives_by_pings(kind: Kind) {
    let args = ["echo", "--ping-interval", "1s", "--pong-timeout", "2s"];
    let server = Wirefan::start(&args);
    let Some(proxy) = Proxy::start(kind, "pings", &server.addr.to_string(), "5s") else {
        return;
    };
    let mut client = proxy.connect("/");
    client.await_pings(Duration::from_secs(12));
    client.send_text("still here");
    assert_eq!(client.next(), text("still here"));

    let silent = Wirefan::start(&["echo", "--ping-interval", "0"]);
    let proxy = Proxy::start(kind, "silent", &silent.addr.to_string(), "1s").unwrap();
    let mut client = proxy.connect("/");
    client.send_text("here");
    assert_eq!(client.next(), text("here"));
    assert_eq!(client.next(), Received::End);
}

/// The server is told who the client is, whatever the client says itself.
fn tells_of_the_client(kind: Kind) {
    let backend = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = backend.local_addr().unwrap();
    let Some(proxy) = Proxy::start(kind, "client", &addr.to_string(), "60s") else {
        return;
    };
    let _client = proxy.dial(
        "GET / HTTP/1.1\r\nHost: example.com:81\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com:81\r\n\
         X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n\
         Forwarded: for=192.0.2.7\r\n\r\n",
    );
    let (socket, _) = backend.accept().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head: Vec<String> = Vec::new();
    for line in BufReader::new(socket).lines() {
        let line = line.unwrap().to_lowercase();
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    for line in [
        "upgrade: websocket",
        "connection: upgrade",
        "host: example.com:81",
        "origin: http://example.com:81",
        "x-forwarded-for: 127.0.0.2",
        "x-forwarded-proto: http",
        "x-forwarded-host: example.com:81",
    ] {
        let name = line.split_inclusive(':').next().unwrap();
        let found: Vec<&String> = head
            .iter()
            .filter(|other| other.starts_with(name))
            .collect();
        assert_eq!(found, [line], "{head:?}");
    }
    assert!(
        !head.iter().any(|line| line.starts_with("forwarded:")),
        "{head:?}"
    );
    assert!(
        !head.iter().any(|line| line.contains("192.0.2.7")),
        "{head:?}"
    );
}

/// Whether there is such an option; if not, that is said.
fn has(option: &str) -> bool {
    let help = run(&["broadcast", "--help"]);
    let found = String::from_utf8_lossy(&help.stdout).contains(option);
    if !found {
        let _ = writeln!(io::stderr(), "SKIPPED: this wirefan has no {option}");
    }
    found
}

/// The log has the client's address and not the proxy's.
fn logs_the_client(kind: Kind) {
    if !has("--forwarded-header") {
        return;
    }
    let server = Wirefan::start(&["broadcast", "--trusted-proxy", "127.0.0.1"]);
    let Some(proxy) = Proxy::start(kind, "log", &server.addr.to_string(), "60s") else {
        return;
    };
    let _client = proxy.connect("/");
    let line = server.line_with("connected");
    assert!(line.contains(&CLIENT.to_string()), "{line}");
    // Whoever is no proxy is not believed.
    let liar = SocketAddr::from(([127, 0, 0, 3], 0));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&liar.into()).unwrap();
    socket.connect(&server.addr.into()).unwrap();
    let mut request = ClientRequest::new("example.com", "/");
    request.headers = &[("X-Forwarded-For", "192.0.2.7")];
    let socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let _liar = Client::over(socket, request).unwrap();
    let line = server.line_with("connected");
    assert!(
        line.contains("127.0.0.3") && !line.contains("192.0.2.7"),
        "{line}"
    );
}

#[test]
fn nginx_passes_both_ways() {
    serves(Kind::Nginx);
}

#[test]
fn nginx_keeps_what_is_pinged() {
    lives_by_pings(Kind::Nginx);
}

#[test]
fn nginx_tells_of_the_client() {
    tells_of_the_client(Kind::Nginx);
    logs_the_client(Kind::Nginx);
}

#[test]
fn haproxy_passes_both_ways() {
    serves(Kind::Haproxy);
}

#[test]
fn haproxy_keeps_what_is_pinged() {
    lives_by_pings(Kind::Haproxy);
}

#[test]
fn haproxy_tells_of_the_client() {
    tells_of_the_client(Kind::Haproxy);
    logs_the_client(Kind::Haproxy);
}

/// The client's address in front of its bytes, in place of a header.
#[test]
fn haproxy_tells_of_the_client_by_the_proxy_protocol() {
    if !has("--proxy-protocol") {
        return;
    }
    for (version, test) in [("send-proxy", "v1"), ("send-proxy-v2", "v2")] {
        let args = [
            "broadcast",
            "--proxy-protocol",
            "--trusted-proxy",
            "127.0.0.1",
        ];
        let server = Wirefan::start(&args);
        let backend = format!("{} {version}", server.addr);
        let Some(proxy) = Proxy::start(Kind::Haproxy, test, &backend, "60s") else {
            return;
        };
        let mut client = proxy.connect("/");
        let line = server.line_with("connected");
        assert!(line.contains(&CLIENT.to_string()), "{line}");
        server.signal("TERM");
        let going = Received::Close(Some(CloseCode::GOING_AWAY));
        assert_eq!(client.next(), going);
    }
}

/// It has no time limit for silent connections.
#[test]
fn caddy_passes_both_ways() {
    serves(Kind::Caddy);
}

#[test]
fn caddy_tells_of_the_client() {
    tells_of_the_client(Kind::Caddy);
    logs_the_client(Kind::Caddy);
}
