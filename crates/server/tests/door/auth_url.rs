//! `--auth-url`: what the server that is asked gets to know, and what follows from its answers, late ones and none included.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use wirefan_protocol::CloseCode;

use crate::common::{PATIENCE, Received, Wirefan, text};
use crate::folder::{ANN, Folder, TOKENS};
use crate::knock::{bearer, enter, enter_with, get, knock, knock_at};

/// A server that answers as it is told. `None`: not at all, for as long as the asker waits.
pub(crate) struct Judge {
    addr: SocketAddr,
    heads: Receiver<String>,
    connections: Arc<AtomicUsize>,
}

impl Judge {
    pub(crate) fn start(answer: fn(&str) -> Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (told, heads) = mpsc::channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        thread::spawn(move || {
            for socket in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
                let told = told.clone();
                thread::spawn(move || hear(socket.unwrap(), &told, answer));
            }
        });
        Self {
            addr,
            heads,
            connections,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/auth?from=wirefan", self.addr)
    }

    fn head(&self) -> String {
        self.heads.recv_timeout(PATIENCE).unwrap()
    }
}

fn hear(
    mut socket: TcpStream,
    told: &mpsc::Sender<String>,
    answer: fn(&str) -> Option<&'static str>,
) {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = socket.read(&mut buffer) {
        head.extend_from_slice(&buffer[..len]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
        let answer = answer(&text);
        let _ = told.send(text);
        if let Some(answer) = answer {
            let length = "\r\nContent-Length: 2\r\n\r\nok";
            let _ = socket.write_all(format!("HTTP/1.1 {answer}{length}").as_bytes());
        }
    }
}

fn lines(head: &str) -> Vec<String> {
    head.to_ascii_lowercase()
        .split("\r\n")
        .map(str::to_owned)
        .collect()
}

#[test]
fn it_is_told_who_asks_for_what() {
    let judge = Judge::start(|_| Some("204 No Content\r\nWirefan-User: ann"));
    let args = ["echo", "--trusted-proxy", "loopback", "--auth-url"];
    let server = Wirefan::start(&[&args[..], &[&judge.url()]].concat());
    let headers = [
        ("Authorization", "Basic Zm9vOmJhcg=="),
        ("Cookie", "session=1234"),
        ("X-Forwarded-For", "198.51.100.9, 192.0.2.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "app.example"),
        ("X-Original-URI", "/elsewhere"),
        ("X-Secret", "not for others"),
        ("Origin", "https://app.example"),
    ];
    let mut client = enter(&server, "/tea?a=b", &headers[..2]).ok().unwrap();
    client.send_text("in");
    assert_eq!(client.next(), text("in"));
    let head = lines(&judge.head());
    assert_eq!(head[0], "get /auth?from=wirefan http/1.1");
    assert!(
        head.contains(&"x-forwarded-for: 127.0.0.1".to_owned()),
        "{head:?}"
    );

    assert_eq!(knock(&server, "/tea?a=b", &headers).status, 101);
    let head = lines(&judge.head());
    for line in [
        "authorization: basic zm9vomjhcg==",
        "cookie: session=1234",
        "origin: https://app.example",
        "x-forwarded-for: 192.0.2.7",
        "x-forwarded-proto: https",
        "x-forwarded-host: app.example",
        "x-original-uri: /tea?a=b",
        "x-original-method: get",
    ] {
        let found = head.iter().filter(|it| *it == line).count();
        assert_eq!(found, 1, "{line} in {head:?}");
    }
    for name in ["x-secret", "upgrade", "sec-websocket-key"] {
        assert!(!head.iter().any(|line| line.starts_with(name)), "{head:?}");
    }
    let line = server.line_with("let in");
    assert!(line.contains("subject=\"ann\""), "{line}");
}

#[test]
fn a_token_from_elsewhere_comes_as_a_bearer_token() {
    let judge = Judge::start(|head| {
        let known = head
            .to_ascii_lowercase()
            .contains("authorization: bearer from-a-page\r\n");
        Some(if known { "200 OK" } else { "401 Unauthorized" })
    });
    let args = ["echo", "--subprotocol", "chat", "--auth-url", &judge.url()];
    let server = Wirefan::start(&args);
    let offers = [("Sec-WebSocket-Protocol", "chat, bearer.from-a-page")];
    let reply = knock(&server, "/", &offers);
    assert_eq!(reply.status, 101);
    assert!(reply.has("Sec-WebSocket-Protocol: chat"), "{reply:?}");
    assert_eq!(enter(&server, "/", &[]).err(), Some(401));
}

#[test]
fn its_headers_say_which_rooms_and_for_how_long() {
    let judge = Judge::start(|head| {
        let head = head.to_ascii_lowercase();
        Some(match () {
            () if head.contains("bearer reader") => "200 OK\r\nWirefan-Read: /news",
            () if head.contains("bearer writer") => "200 OK\r\nWirefan-Write: /news",
            () if head.contains("bearer past") => "200 OK\r\nWirefan-Expires: 1",
            () if head.contains("bearer odd") => "200 OK\r\nWirefan-Read: /a*",
            () => "200 OK",
        })
    });
    let server = Wirefan::start(&["broadcast", "--auth-url", &judge.url(), "--workers", "2"]);
    let mut reader = enter_with(&server, "/news", "reader").ok().unwrap();
    let mut writer = enter_with(&server, "/news", "writer").ok().unwrap();
    let mut both = enter_with(&server, "/news", "both").ok().unwrap();
    writer.send_text("one");
    assert_eq!(reader.next(), text("one"));
    assert_eq!(both.next(), text("one"));
    both.send_text("two");
    assert_eq!(reader.next(), text("two"));
    reader.send_text("three");
    assert_eq!(reader.next(), Received::Close(Some(CloseCode::POLICY)));
    assert_eq!(enter_with(&server, "/tea", "reader").err(), Some(403));
    // In doubt, nobody comes in.
    assert_eq!(enter_with(&server, "/news", "past").err(), Some(503));
    assert_eq!(enter_with(&server, "/news", "odd").err(), Some(503));
    // It decides on the number of members too.
    for (token, status) in [("reader", 200), ("writer", 403)] {
        let (name, value) = bearer(token);
        let reply = get(&server, "/news?members", &[(name, &value)]);
        assert_eq!(reply.status, status, "{reply:?}");
    }
}

#[test]
fn refusals_are_passed_on_and_everything_else_is_one() {
    let judge = Judge::start(|head| {
        let target = |name: &str| head.contains(&format!("/{name}\r\n"));
        Some(match () {
            () if target("401") => "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"",
            () if target("403") => "403 Forbidden",
            () if target("302") => "302 Found\r\nLocation: /login",
            () if target("404") => "404 Not Found",
            () if target("500") => "500 Internal Server Error",
            () => "200 OK",
        })
    });
    let server = Wirefan::start(&["echo", "--auth-url", &judge.url()]);
    for (target, status) in [
        ("/401", 401),
        ("/403", 403),
        ("/302", 503),
        ("/404", 503),
        ("/500", 503),
        ("/", 101),
    ] {
        let reply = knock(&server, target, &[]);
        assert_eq!(reply.status, status, "{target}");
        if status == 401 {
            assert!(
                reply.has("WWW-Authenticate: Basic realm=\"x\""),
                "{reply:?}"
            );
        }
        if status == 503 {
            assert!(reply.has("Retry-After: 1"), "{reply:?}");
        }
    }
}

#[test]
fn a_page_of_others_is_refused_before_anybody_is_asked() {
    let judge = Judge::start(|_| Some("200 OK"));
    let server = Wirefan::start(&["echo", "--auth-url", &judge.url()]);
    let headers = [("Origin", "https://evil.example"), ("Cookie", "session=1")];
    assert_eq!(knock(&server, "/evil", &headers).status, 403);
    assert_eq!(knock(&server, "/good", &headers[1..]).status, 101);
    assert!(judge.head().contains("/good"));

    // Where every page may connect, what browsers send along by themselves is not passed on.
    let args = ["echo", "--auth-url", &judge.url(), "--allow-origin", "any"];
    let server = Wirefan::start(&args);
    for (credentials, passed) in [("Basic c2Vzc2lvbg==", false), ("bearer session", true)] {
        let headers = [&headers[..], &[("Authorization", credentials)]].concat();
        assert_eq!(knock(&server, "/any", &headers).status, 101);
        let head = judge.head();
        assert!(
            head.contains("/any") && !head.contains("session=1"),
            "{head}"
        );
        assert_eq!(head.contains(credentials), passed, "{head}");
    }
}

#[test]
fn tokens_that_are_known_here_need_no_asking() {
    let folder = Folder::new("known");
    let file = folder.file("tokens", TOKENS);
    let judge = Judge::start(|_| Some("403 Forbidden"));
    let args = ["echo", "--token-file", &file, "--auth-url", &judge.url()];
    let server = Wirefan::start(&args);
    assert!(enter_with(&server, "/", ANN).is_ok());
    assert_eq!(enter_with(&server, "/other", "unknown").err(), Some(403));
    assert!(judge.head().contains("/other"));
}

#[test]
fn who_does_not_answer_in_time_lets_nobody_in_and_holds_nobody_up() {
    let judge = Judge::start(|head| (!head.contains("/slow")).then_some("200 OK"));
    let args = ["echo", "--auth-url", &judge.url(), "--auth-timeout"];
    let server = Wirefan::start(&[&args[..], &["500ms", "--workers", "1"]].concat());
    let mut open = enter(&server, "/", &[]).ok().unwrap();
    thread::scope(|scope| {
        let addr = server.addr;
        let slow = scope.spawn(move || knock_at(addr, "/slow", &[]));
        judge.head();
        assert!(judge.head().contains("/slow"));
        // The worker goes on meanwhile, with those who are in and with new ones.
        open.send_text("on");
        assert_eq!(open.next(), text("on"));
        assert!(enter(&server, "/", &[]).is_ok());
        assert_eq!(slow.join().unwrap().status, 503);
    });
    server.line_with("--auth-url: timeout");
}

#[test]
fn a_queue_that_is_full_is_503_at_once() {
    // This process has a socket for each of them too.
    rlimit::increase_nofile_limit(4096).unwrap();
    let judge = Judge::start(|_| None);
    let args = ["echo", "--auth-threads", "1", "--auth-timeout", "1h"];
    let more = ["--handshake-timeout", "1h", "--auth-url", &judge.url()];
    let server = Wirefan::start(&[&args[..], &more].concat());
    let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // One is asked about, and 1024 wait.
    let ask = || {
        let mut socket = TcpStream::connect(server.addr).unwrap();
        socket.write_all(head.as_bytes()).unwrap();
        socket
    };
    let first = ask();
    judge.head();
    let waiting: Vec<TcpStream> = (0..1024).map(|_| ask()).collect();
    // Those before it may still be on their way to the queue.
    let begin = std::time::Instant::now();
    let mut more = Vec::new();
    let reason = loop {
        let mut socket = ask();
        let pause = std::time::Duration::from_millis(100);
        socket.set_read_timeout(Some(pause)).unwrap();
        let mut answer = String::new();
        match socket.read_to_string(&mut answer) {
            Ok(_) => break answer,
            Err(_) => more.push(socket),
        }
        assert!(begin.elapsed() < PATIENCE);
    };
    assert!(reason.starts_with("HTTP/1.1 503 "), "{reason}");
    assert!(reason.ends_with("too many wait to be let in\n"), "{reason}");
    drop((first, waiting, more));
}

#[test]
fn connections_to_it_are_used_again() {
    let judge = Judge::start(|_| Some("200 OK"));
    let server = Wirefan::start(&["echo", "--auth-url", &judge.url()]);
    for _ in 0..20 {
        assert!(enter(&server, "/", &[]).is_ok());
    }
    assert_eq!(judge.connections.load(Ordering::Relaxed), 1);
}

#[test]
fn a_server_that_ends_does_not_wait_for_answers() {
    let judge = Judge::start(|_| None);
    let args = ["echo", "--auth-timeout", "1h", "--handshake-timeout", "1h"];
    let mut server = Wirefan::start(&[&args[..], &["--auth-url", &judge.url()]].concat());
    let addr = server.addr;
    let waiting = thread::spawn(move || knock_at(addr, "/", &[]));
    judge.head();
    server.signal("TERM");
    assert_eq!(waiting.join().unwrap().status, 503);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn nobody_there_and_a_certificate_of_ones_own() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let url = format!("http://{}/", free.unwrap());
    let server = Wirefan::start(&["echo", "--auth-url", &url]);
    assert_eq!(enter(&server, "/", &[]).err(), Some(503));

    // Another wirefan shows its page to everybody.
    let (judge, certificate) = Wirefan::start_self_signed(&["echo"]);
    let url = format!("https://{}/", judge.addr);
    let certificate = certificate.to_str().unwrap();
    let server = Wirefan::start(&["echo", "--auth-url", &url, "--auth-ca", certificate]);
    assert!(enter(&server, "/", &[]).is_ok());
    let (_other, certificate) = Wirefan::start_self_signed(&["echo"]);
    let certificate = certificate.to_str().unwrap();
    let server = Wirefan::start(&["echo", "--auth-url", &url, "--auth-ca", certificate]);
    assert_eq!(enter(&server, "/", &[]).err(), Some(503));
}
