//! `wirefan connect` as scripts and people meet it: pipes, JSON, exit codes, TLS, reconnection, and a terminal.
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, mpsc::Sender};
use std::time::{Duration, Instant};
use std::{fs, thread};

use common::{PATIENCE, Wirefan, command, run};
use serde_json::{Value, json};
use wirefan_eventloop::{Caller, Conn, Ctx, Decision, Handler, Message, Server};
use wirefan_protocol::CloseCode;
use wirefan_protocol::handshake::{Reply, Request};

/// A client that runs. It is killed when it is dropped.
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
}

/// One that has ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let mut child = command(&["connect"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take(),
            stdout: pieces(child.stdout.take().unwrap()),
            stderr: pieces(child.stderr.take().unwrap()),
            child,
        }
    }

    fn line(&self) -> String {
        let line = self.stdout.recv_timeout(PATIENCE).expect("a line");
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }

    /// The next line that is such an event.
    fn event(&self, name: &str) -> Value {
        loop {
            let event: Value = serde_json::from_str(&self.line()).unwrap();
            if event["event"] == name {
                return event;
            }
        }
    }

    fn send(&mut self, input: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(input).unwrap();
    }

    /// Ends stdin, and waits for the end.
    fn end(mut self) -> Ended {
        self.stdin = None;
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(5));
        };
        let all = |from: &Receiver<Vec<u8>>| {
            let mut all = Vec::new();
            while let Ok(piece) = from.recv_timeout(PATIENCE) {
                all.extend(piece);
            }
            all
        };
        Ended {
            code: status.code(),
            stdout: all(&self.stdout),
            stderr: String::from_utf8(all(&self.stderr)).unwrap(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines as they come.
fn pieces(from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        loop {
            let mut line = Vec::new();
            match from.read_until(b'\n', &mut line) {
                Ok(len) if len > 0 && sender.send(line).is_ok() => {}
                _ => return,
            }
        }
    });
    receiver
}

/// With this on stdin, to its end.
fn connect(args: &[&str], input: &[u8]) -> Ended {
    let mut client = Running::start(args);
    client.send(input);
    client.end()
}

impl Ended {
    fn text(&self) -> &str {
        str::from_utf8(&self.stdout).unwrap()
    }

    fn events(&self) -> Vec<Value> {
        let lines = self.text().lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn is(&self, code: i32, stdout: &str, said: &str) {
        assert_eq!((self.code, self.text()), (Some(code), stdout), "{self:?}");
        assert!(self.stderr.contains(said), "{said} in {}", self.stderr);
    }
}

fn echo() -> (Wirefan, String) {
    let server = Wirefan::start(&["echo"]);
    let url = format!("ws://{}/", server.addr);
    (server, url)
}

/// Does what the path says: `/4000` closes with 4000, `/who` sends what the request had, `/once` closes the first
/// connection with 1012, `/quiet` says nothing; a message is sent back.
struct Odd {
    connections: Arc<AtomicUsize>,
    closed: Sender<()>,
}

impl Handler for Odd {
    type Peer = (String, String);
    type Note = ();

    fn request(
        &mut self,
        request: &Request<'_>,
        _: Caller,
        _: &mut Ctx<'_, Self::Peer>,
    ) -> Decision<Self::Peer> {
        let path = request.target().to_owned();
        if path == "/refused" {
            return Decision::Answer(Reply::text(401, "who are \x1b[31myou?"));
        }
        let who = ["x-who", "origin", "authorization"]
            .map(|name| request.header(name).unwrap_or_default())
            .map(String::from_utf8_lossy);
        Decision::accept((path, who.join("|")))
    }

    fn open(&mut self, conn: &mut Conn<'_, Self::Peer>) {
        let (path, who) = conn.peer().clone();
        let number = self.connections.fetch_add(1, Ordering::SeqCst);
        if let Ok(code) = path[1..].parse() {
            conn.close(CloseCode(code), "so\x1b[2J").unwrap();
        } else if path == "/once" && number == 0 {
            conn.close(CloseCode::SERVICE_RESTART, "").unwrap();
        } else if path == "/who" {
            let _ = conn.send_text(&who);
        }
    }

    fn message(&mut self, conn: &mut Conn<'_, Self::Peer>, message: Message<'_>) {
        if conn.peer().0 != "/quiet" {
            let _ = conn.send(message);
        }
    }

    fn closed(
        &mut self,
        peer: Option<Self::Peer>,
        _: Caller,
        cause: wirefan_eventloop::CloseCause,
        _: &mut Ctx<'_, Self::Peer>,
    ) {
        let code = Some(CloseCode::GOING_AWAY);
        let reason = "".into();
        if peer.is_some() && cause == (wirefan_eventloop::CloseCause::PeerClosed { code, reason }) {
            let _ = self.closed.send(());
        }
    }
}

/// Where it listens, and what tells that a client has closed with 1001.
fn odd() -> (String, Receiver<()>) {
    let (closed, seen) = mpsc::channel();
    let connections = Arc::new(AtomicUsize::new(0));
    let server = Server::builder()
        .listen("127.0.0.1:0")
        .unwrap()
        .workers(1)
        .start(move |_| Odd {
            connections: Arc::clone(&connections),
            closed: closed.clone(),
        })
        .unwrap();
    // Dropped, it goes on.
    (format!("ws://{}", server.addrs()[0]), seen)
}

#[test]
fn help_teaches_with_examples() {
    let output = run(&["connect", "--help"]);
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for text in [
        "Examples:",
        "Exit codes:",
        "--execute <TEXT>",
        "--count <N>",
        "--wait <TIME>",
        "--json",
        "--header <NAME: VALUE>",
        "--subprotocol <NAME>",
        "--tls-ca <FILE>",
        "--insecure",
        "--compress",
        "--reconnect",
        "--ping-interval <TIME>",
        "--proxy <URL>",
    ] {
        assert!(help.contains(text), "{text}");
    }
}

#[test]
fn a_line_is_a_message_both_ways() {
    let (_server, url) = echo();
    let client = connect(&[&url, "--count", "3"], "one\n\nlast: grün".as_bytes());
    client.is(0, "one\n\nlast: grün\n", "closed with 1000");
    // Without a number it ends by itself; what has come by then depends on the machine.
    assert_eq!(connect(&[&url], b"one\ntwo\n").code, Some(0));
    let quiet = connect(&[&url, "-q", "--count", "1"], b"a\n");
    assert_eq!((quiet.text(), &*quiet.stderr), ("a\n", ""));
    // Nobody says `ws://`.
    let bare = url.strip_prefix("ws://").unwrap();
    connect(&[bare, "--count", "1"], b"a\n").is(0, "a\n", "connected to ws://");
}

#[test]
fn much_is_sent_and_comes_back_in_order() {
    let (_server, url) = echo();
    let lines: String = (0..5000)
        .map(|n| format!("{n} {}\n", "x".repeat(2000)))
        .collect();
    let mut client = Running::start(&[&url, "-q", "--compress", "--count", "5000"]);
    let mut stdin = client.stdin.take().unwrap();
    let input = lines.clone();
    // Neither side waits for the other to be done.
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let client = client.end();
    writer.join().unwrap();
    assert_eq!(client.code, Some(0));
    assert!(client.text() == lines);
}

#[test]
fn bytes_and_nul_are_messages_too() {
    let (_server, url) = echo();
    let client = connect(&[&url, "--binary-lines", "--count", "2"], b"\xff\0\r\nb\n");
    assert_eq!(
        (client.code, &*client.stdout),
        (Some(0), &b"\xff\0\r\nb\n"[..])
    );
    let client = connect(&[&url, "-0", "--count", "2"], b"one\ntwo\0three");
    client.is(0, "one\ntwo\0three\0", "");
    let client = connect(&[&url, "--wait", "forever"], b"a\n\xff\n");
    assert_eq!(client.code, Some(1));
    assert!(client.stderr.contains("message 2 on stdin is not UTF-8"));
}

#[test]
fn json_is_one_object_for_each_event() {
    let server = Wirefan::start(&["echo", "--subprotocol", "chat.v1"]);
    let url = format!("ws://{}/", server.addr);
    let args = [
        &url,
        "--json",
        "--compress",
        "-s",
        "chat.v1",
        "--ping-interval",
        "50ms",
    ];
    let mut client = Running::start(&args);
    let open = client.event("open");
    assert_eq!(open["subprotocol"], "chat.v1");
    let extensions = open["extensions"].as_str().unwrap();
    assert!(extensions.starts_with("permessage-deflate"), "{extensions}");
    client.send(b"a\x1b\"\n");
    let message = json!({"event": "message", "type": "text", "text": "a\u{1b}\""});
    assert_eq!(client.event("message"), message);
    assert!(client.event("pong")["rtt_ms"].as_f64().unwrap() > 0.0);
    let ended = client.end();
    let close =
        json!({"event": "close", "cause": "we_closed", "by": "us", "code": 1000, "reason": ""});
    assert_eq!((ended.code, ended.events().last()), (Some(0), Some(&close)));
    let args = [
        &url,
        "--json",
        "--binary-lines",
        "--count",
        "1",
        "--timestamps",
    ];
    let events = connect(&args, b"\xff\n").events();
    let message = events
        .iter()
        .find(|event| event["event"] == "message")
        .unwrap();
    assert_eq!(
        (&message["type"], &message["base64"]),
        (&json!("binary"), &json!("/w=="))
    );
    assert!(message["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn one_message_and_its_answer() {
    let (_server, url) = echo();
    connect(&[&url, "-x", "ask", "-q"], b"").is(0, "ask\n", "");
    connect(&[&url, "-x", "a", "-x", "b"], b"").is(0, "a\nb\n", "closed with 1000");
    connect(&[&url, "-x", r#"{"a":[1]}"#, "--pretty"], b"").is(
        0,
        "{\n  \"a\": [\n    1\n  ]\n}\n",
        "",
    );
    // Sent, and not waited for.
    connect(&[&url, "-x", "a", "--count", "0"], b"").is(0, "", "closed with 1000");
    let (odd, _) = odd();
    let silent = [&format!("{odd}/quiet"), "-x", "a", "--wait", "100ms"];
    connect(&silent, b"").is(5, "", "0 of 1 messages");
}

#[test]
fn what_does_not_open_is_told_with_advice() {
    let (url, _) = odd();
    let refused = connect(&[&format!("{url}/refused"), "-x", "a"], b"");
    refused.is(3, "", "answered with 401 (--bearer-token-file");
    assert!(
        refused.stderr.contains("who are \\u{1b}[31myou?"),
        "{refused:?}"
    );
    let events = connect(&[&format!("{url}/refused"), "-x", "a", "--json"], b"").events();
    let last = events.last().unwrap();
    assert_eq!(
        (&last["event"], &last["status"]),
        (&json!("error"), &json!(401))
    );
    assert_eq!(last["cause"], "dial_refused");
    // Nobody listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    connect(&[&gone.to_string()], b"").is(3, "", "is the server running");
    // Somebody listens, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = silent.local_addr().unwrap().to_string();
    connect(&[&addr, "--connect-timeout", "100ms"], b"").is(5, "", "too long");
}

#[test]
fn a_mistake_is_one_line_and_exit_code_2() {
    for (args, hint) in [
        (&["ftp://a/"][..], "wss://"),
        (&["ws://a/", "-H", "nothing"], "'Name: value'"),
        (&["ws://a/", "--insecure"], "wss://"),
        (&["ws://a/", "--tls-cert", "a"], "--tls-key"),
        (&["ws://a/", "--proxy", "gopher://a"], "socks5://"),
        (&["ws://a/", "--wait", "long"], "25s"),
        (&["ws://a/", "--max-retries", "3"], "--reconnect"),
    ] {
        let client = connect(args, b"");
        assert_eq!(client.code, Some(2), "{client:?}");
        assert_eq!(client.stderr.lines().count(), 1, "{client:?}");
        assert!(client.stderr.contains(hint), "{hint} in {client:?}");
    }
}

#[test]
fn the_servers_close_is_told_and_decides_the_exit_code() {
    let (url, _) = odd();
    for (code, exit) in [("1000", 0), ("1001", 4), ("4000", 4)] {
        let client = connect(&[&format!("{url}/{code}"), "--wait", "forever"], b"");
        client.is(exit, "", &format!("peer closed with {code}"));
        assert!(client.stderr.contains(r"so\u{1b}[2J"), "{client:?}");
    }
    // Closed well, but before what was waited for.
    let client = connect(
        &[&format!("{url}/1000"), "--count", "1", "--wait", "forever"],
        b"",
    );
    client.is(4, "", "before all messages came");
    let (mut server, url) = echo();
    let client = Running::start(&[&url, "--json"]);
    client.event("open");
    server.child.kill().unwrap();
    server.wait();
    assert_eq!(client.event("error")["event"], "error");
    assert_eq!(client.end().code, Some(4));
}

#[test]
fn the_request_is_what_was_asked_for() {
    let (url, _) = odd();
    let token = format!("{}/connect-token", env!("CARGO_TARGET_TMPDIR"));
    fs::write(&token, "s3cret\n").unwrap();
    let who = format!("{url}/who");
    let args = [
        &who,
        "-H",
        "X-Who: me: too",
        "-o",
        "https://a.example",
        "--count",
        "1",
    ];
    let client = connect(&[&args[..], &["--bearer-token-file", &token]].concat(), b"");
    client.is(0, "me: too|https://a.example|Bearer s3cret\n", "");
    // Nobody is asked without it, let alone again and again.
    for missing in [env!("CARGO_TARGET_TMPDIR"), "/there/is/none"] {
        let token = ["--bearer-token-file", missing, "--reconnect"];
        let client = connect(&[&args[..], &token].concat(), b"");
        client.is(1, "", missing);
        assert_eq!(client.stderr.lines().count(), 1, "{client:?}");
    }
    let user = who.replace("ws://", "ws://ann:pass@");
    let client = connect(&[&user, "--count", "1"], b"");
    client.is(0, "||Basic YW5uOnBhc3M=\n", "connected");
    assert!(!client.stderr.contains("pass"), "{client:?}");
}

#[test]
fn it_comes_back_if_it_is_to() {
    let (url, _) = odd();
    let mut client = Running::start(&[&format!("{url}/once"), "--json", "--reconnect"]);
    client.event("open");
    let lost = client.event("lost");
    assert_eq!(lost["cause"], "peer_closed");
    assert_eq!(client.event("connecting")["failures"], 1);
    client.event("open");
    client.send(b"again\n");
    assert_eq!(client.event("message")["text"], "again");
    assert_eq!(client.end().code, Some(0));
    // Where it is told to stay away, it does.
    let args = [&format!("{url}/1008"), "--reconnect", "--wait", "forever"];
    connect(&args, b"").is(4, "", "peer closed with 1008");
}

#[test]
fn tls_with_an_authority_of_ones_own_or_none() {
    let (server, certificate) = Wirefan::start_self_signed(&["echo"]);
    let url = format!("wss://{}/", server.addr);
    let ca = certificate.to_str().unwrap();
    connect(&[&url, "--tls-ca", ca, "-x", "a"], b"").is(0, "a\n", "closed with 1000");
    connect(&[&url, "-x", "a"], b"").is(3, "", "--tls-ca FILE");
    connect(&[&url, "-x", "a", "--insecure"], b"").is(0, "a\n", "--insecure: the server may");
    let missing = connect(&[&url, "--tls-ca", "/no/such/file"], b"");
    missing.is(1, "", "/no/such/file");
}

#[test]
fn who_has_read_enough_ends_it() {
    let (_server, url) = echo();
    let mut client = command(&["connect", &url, "-q", "--wait", "forever"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(b"one\n").unwrap();
    let mut stdout = BufReader::new(client.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "one\n");
    drop(stdout);
    stdin.write_all(b"two\n").unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = client.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > PATIENCE {
            client.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(status.code(), Some(0));
}

#[cfg(unix)]
#[test]
fn a_signal_closes_with_1001() {
    let (url, closed) = odd();
    let client = Running::start(&[&format!("{url}/quiet"), "--json"]);
    client.event("open");
    let kill = format!("kill -s INT {}", client.child.id());
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(client.event("close")["code"], 1001);
    closed.recv_timeout(PATIENCE).expect("a Close with 1001");
    assert_eq!(client.end().code, Some(130));
}

/// Typed at a pseudo-terminal, which Python has in its library.
#[cfg(unix)]
#[test]
fn lines_and_commands_at_a_terminal() {
    if !Command::new("python3")
        .arg("-c")
        .arg("import pty")
        .status()
        .is_ok_and(|it| it.success())
    {
        eprintln!("SKIPPED: python3 is missing");
        return;
    }
    let (_server, url) = echo();
    let (odd, _) = odd();
    let state = format!("{}/connect-state", env!("CARGO_TARGET_TMPDIR"));
    let _ = fs::remove_dir_all(&state);
    let output = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/terminal.py"))
        .args([env!("CARGO_BIN_EXE_wirefan"), &url, &odd])
        .env("XDG_STATE_HOME", &state)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let history = fs::read_to_string(format!("{state}/wirefan/connect_history")).unwrap();
    assert!(
        history.starts_with("hello\n") && !history.contains("secret"),
        "{history}"
    );
}
