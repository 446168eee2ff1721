//! Every program in `examples/` does what its head says, each in a process of its own and with a client for a moment.
//! `cargo test` builds them; with `--test examples` alone those are run that were built last.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use common::PATIENCE;
use common::client::{Client, Received, exchange};
use wirefan_protocol::CloseCode;

/// A running example. It is gone when this is dropped.
struct Example {
    process: Child,
    lines: Receiver<String>,
    addr: SocketAddr,
}

impl Example {
    fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    /// Starts it on a free port, with these arguments behind the address.
    fn start_with(name: &str, arguments: &[&str]) -> Self {
        let mut example = Self::run(name, &[&["127.0.0.1:0"], arguments].concat());
        let line = example.line();
        let (_, url) = line.split_once("://").expect("a URL in the first line");
        let (authority, _) = url.split_once('/').expect("a path in the URL");
        example.addr = authority.parse().expect("the address in the first line");
        example
    }

    /// Starts one that connects to the first argument.
    #[cfg(feature = "client")]
    fn start_as_client(name: &str, arguments: &[&str]) -> Self {
        Self::run(name, arguments)
    }

    fn run(name: &str, arguments: &[&str]) -> Self {
        let program = program(name);
        let mut process = Command::new(&program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{} (`cargo test` builds it): {error}", program.display())
            });
        let output = process.stdout.take().expect("its output");
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        Self {
            process,
            lines,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }

    /// What it says next, waited for.
    fn line(&self) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .expect("the example says nothing more")
    }

    fn client(&self, target: &str) -> Client {
        Client::connect(self.addr, target)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where Cargo puts an example: beside the folder of the test binaries.
fn program(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("this binary");
    let profile = this.ancestors().nth(2).expect("the folder of the profile");
    profile
        .join("examples")
        .join(name)
        .with_extension(std::env::consts::EXE_EXTENSION)
}

fn get(addr: SocketAddr, path: &str) -> String {
    exchange(
        addr,
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes(),
        false,
    )
}

/// A new example has to have a test here, too.
#[test]
fn every_example_is_run() {
    let tests = include_str!("examples.rs");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for entry in fs::read_dir(folder).expect("the examples") {
        let path = entry.expect("an example").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().and_then(|name| name.to_str());
            let name = name.expect("a name");
            let run =
                ["", "_with", "_as_client"].map(|form| format!("Example::start{form}(\"{name}\""));
            assert!(run.iter().any(|run| tests.contains(run)), "{name}");
        }
    }
}

#[test]
fn echo_sends_every_message_back() {
    let echo = Example::start("echo");
    let mut client = echo.client("/");
    client.echo("hello");
    client.send_binary(&[0, 255]);
    assert_eq!(client.next(), Received::Binary(vec![0, 255]));
}

#[test]
fn welcome_greets_and_tells_the_others() {
    let welcome = Example::start("welcome");
    let mut ann = welcome.client("/ann");
    assert_eq!(ann.next_text(), "welcome, ann: 1 here");
    let mut bob = welcome.client("/bob");
    assert_eq!(bob.next_text(), "welcome, bob: 2 here");
    assert_eq!(ann.next_text(), "bob has come");
    bob.echo("hello");
    bob.close(CloseCode::NORMAL, "bye");
    assert_eq!(ann.next_text(), "bob has gone");
    let line = welcome.line();
    assert!(
        line.starts_with("bob: ") && line.ends_with(": bye"),
        "{line}"
    );
}

#[test]
fn broadcast_reaches_the_others_in_the_room() {
    let broadcast = Example::start("broadcast");
    let mut ann = broadcast.client("/tea");
    assert_eq!(ann.next_text(), "0 others in /tea");
    let mut bob = broadcast.client("/tea");
    assert_eq!(bob.next_text(), "1 others in /tea");
    let mut eve = broadcast.client("/coffee");
    assert_eq!(eve.next_text(), "0 others in /coffee");
    ann.send_text("milk?");
    assert_eq!(bob.next_text(), "milk?");
    bob.send_text("no");
    // The answer is the next that comes: neither was sent back what it said.
    assert_eq!(ann.next_text(), "no");
    eve.send_text("sugar?");
    eve.send_ping(b"said");
    assert_eq!(eve.next_but_pings(), Received::Pong(b"said".into()));
    bob.send_text("thanks");
    assert_eq!(ann.next_text(), "thanks");
}

#[test]
fn origins_lets_in_pages_of_its_own_and_of_the_list() {
    let server = Example::start("origins");
    let own = format!("http://{}", server.addr);
    for (origin, status) in [
        (Some(&*own), "101"),
        (Some("https://app.example.org"), "101"),
        (Some("https://example.org"), "403"),
        (Some("https://evil.example"), "403"),
        (Some("null"), "403"),
        (None, "101"),
    ] {
        let line = origin.map(|origin| format!("Origin: {origin}\r\n"));
        let host = format!("Host: {}\r\n{}", server.addr, line.unwrap_or_default());
        let request = common::client::request("/");
        let (before, rest) = request.split_once("Host: ").expect("a host");
        let (_, after) = rest.split_once("\r\n").expect("its end");
        let close = common::client::frame(0x88, &1000_u16.to_be_bytes());
        let request = format!("{before}{host}{after}").into_bytes();
        let answer = exchange_bytes(server.addr, &[request, close].concat());
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{origin:?}: {answer}"
        );
    }
}

#[test]
fn token_in_handshake_lets_in_who_has_one() {
    let server = Example::start("token_in_handshake");
    let refused = get(server.addr, "/");
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    assert!(
        refused.contains("WWW-Authenticate: Bearer\r\n"),
        "{refused}"
    );
    let wrong = get(server.addr, "/?token=bob-0123456789abcdee");
    assert!(wrong.starts_with("HTTP/1.1 401 "), "{wrong}");
    let twice = get(server.addr, "/?token=a&token=b");
    assert!(twice.starts_with("HTTP/1.1 400 "), "{twice}");

    let mut bob = server.client("/?token=bob-0123456789abcdef");
    assert_eq!(bob.next_text(), "hello bob");
    bob.echo("it is me");

    let request = common::client::request("/").replace(
        "\r\n\r\n",
        "\r\nAuthorization: Bearer ann-0123456789abcdef\r\n\r\n",
    );
    let close = common::client::frame(0x88, &1000_u16.to_be_bytes());
    let answer = exchange_bytes(server.addr, &[request.as_bytes(), &close].concat());
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    assert!(answer.ends_with(b"\x81\x09hello ann\x88\x02\x03\xe8"));
}

#[test]
fn decide_later_asks_elsewhere() {
    let server = Example::start("decide_later");
    let with = |token: &str| {
        let request = common::client::request("/").replace(
            "\r\n\r\n",
            &format!("\r\nAuthorization: Bearer {token}\r\n\r\n"),
        );
        let close = common::client::frame(0x88, &1000_u16.to_be_bytes());
        exchange_bytes(server.addr, &[request.as_bytes(), &close].concat())
    };
    let answer = with("ann-0123456789abcdef");
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    assert!(answer.ends_with(b"\x81\x09hello ann\x88\x02\x03\xe8"));
    assert!(with("bob-0123456789abcdef").starts_with(b"HTTP/1.1 401 "));
    assert!(get(server.addr, "/").starts_with("HTTP/1.1 401 "));
}

/// Sends bytes and returns all that comes back.
fn exchange_bytes(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = common::client::dial(addr);
    std::io::Write::write_all(&mut stream, bytes).expect("send");
    let (answer, end) = common::client::read_all(&mut stream);
    end.expect("an orderly end");
    answer
}

#[test]
fn token_in_first_message_is_waited_for_and_checked() {
    // Time enough for those who speak.
    let server = Example::start_with("token_in_first_message", &["30000"]);
    let mut ann = server.client("/");
    ann.send_text("ann-0123456789abcdef");
    assert_eq!(ann.next_text(), "hello ann");
    ann.echo("it is me");
    let mut eve = server.client("/");
    eve.send_text("ann-0123456789abcdeg");
    eve.expect_close(CloseCode(4401));

    let hasty = Example::start_with("token_in_first_message", &["50"]);
    let mut silent = hasty.client("/");
    silent.expect_close(CloseCode(4401));
}

#[test]
fn heartbeat_measures_round_trips_and_tells_the_end() {
    let server = Example::start_with("heartbeat", &["100"]);
    let mut client = server.client("/");
    let start = Instant::now();
    // A beat that is answered too late is not the last one any more.
    let trip = loop {
        let text = client.next_text();
        assert!(start.elapsed() < PATIENCE, "nothing but beats came");
        if text.starts_with("beat ") {
            client.send_text(&text);
        } else {
            break text;
        }
    };
    assert!(trip.starts_with("round trip "), "{trip}");
    client.close(CloseCode::NORMAL, "");
    let line = server.line();
    assert!(line.contains(": peer_closed ("), "{line}");
}

#[cfg(unix)]
#[test]
fn graceful_shutdown_says_a_last_word_and_closes_everyone() {
    use rustix::process::{Pid, Signal, kill_process};
    let mut server = Example::start("graceful_shutdown");
    let mut clients = [server.client("/"), server.client("/")];
    for client in &mut clients {
        client.echo("hello");
    }
    let pid = i32::try_from(server.process.id()).expect("a pid");
    kill_process(Pid::from_raw(pid).expect("a pid"), Signal::TERM).expect("a signal");
    for client in &mut clients {
        assert_eq!(client.next_text(), "back in a minute");
        client.expect_close(CloseCode::GOING_AWAY);
    }
    assert_eq!(server.line(), "closing");
    for _ in &clients {
        let line = server.line();
        assert!(line.ends_with(": server shuts down"), "{line}");
    }
    assert_eq!(server.line(), "closed");
    common::until("the program has ended", || {
        let ended = server.process.try_wait().expect("the process");
        ended.is_some_and(|status| {
            assert!(status.success(), "{status}");
            true
        })
    });
}

#[cfg(not(unix))]
#[test]
fn graceful_shutdown_runs() {
    Example::start("graceful_shutdown")
        .client("/")
        .echo("hello");
}

#[test]
fn http_routes_answer_beside_the_websocket() {
    let server = Example::start("http_routes");
    let page = get(server.addr, "/");
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    assert!(page.ends_with("</script>"), "{page}");
    let mut reader = server.client("/ws");
    common::until("the reader is a member", || {
        get(server.addr, "/health").ends_with("\r\n\r\n1 read the news\n")
    });
    let post = b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nrun";
    let posted = exchange(server.addr, post, false);
    assert!(posted.starts_with("HTTP/1.1 204 "), "{posted}");
    assert_eq!(reader.next_text(), "run");
    for (path, status) in [("/nothing", 404), ("/publish", 405), ("/ws", 426)] {
        let answer = get(server.addr, path);
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{path}: {answer}");
    }
}

#[cfg(feature = "client")]
#[test]
fn client_dials_each_url_and_tells_what_came() {
    let echo = Example::start("echo");
    let urls = ["one", "two"].map(|path| format!("ws://{}/{path}", echo.addr));
    let mut client = Example::start_as_client("client", &[&urls[0], &urls[1]]);
    let mut lines: Vec<String> = (0..4).map(|_| client.line()).collect();
    lines.sort_unstable();
    let [one, two] = urls;
    let expected = [
        format!("{one}: Text(\"hello, {one}\")"),
        format!("{one}: closed with 1000 (normal closure)"),
        format!("{two}: Text(\"hello, {two}\")"),
        format!("{two}: closed with 1000 (normal closure)"),
    ];
    assert_eq!(lines, expected);
    assert!(client.process.wait().expect("its end").success());
}

#[cfg(feature = "client")]
#[test]
fn blocking_client_prints_an_answer_for_each_message() {
    let echo = Example::start("echo");
    let url = format!("ws://{}/", echo.addr);
    let arguments = [&*url, "hello", "again"];
    let mut client = Example::start_as_client("blocking_client", &arguments);
    assert_eq!(client.line(), "Text(\"hello\")");
    assert_eq!(client.line(), "Text(\"again\")");
    assert_eq!(client.line(), "closed with 1000 (normal closure)");
    assert!(client.process.wait().expect("its end").success());
}

#[cfg(feature = "tls")]
#[test]
fn secure_echoes_over_tls() {
    use common::tls::{Authority, Trust, client};
    let authority = Authority::new();
    let (certificate, key) = authority.sign(&["localhost"]).pem();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let files = ["secure-cert.pem", "secure-key.pem"].map(|name| folder.join(name));
    fs::write(&files[0], certificate).expect("the certificate");
    fs::write(&files[1], key).expect("the key");
    let paths = files.each_ref().map(|file| file.to_str().expect("a path"));
    let server = Example::start_with("secure", &paths);
    let mut client = client(&Trust::of(&authority).config(), "localhost", server.addr);
    assert_eq!(client.next_text(), "encrypted with TLSv1_3");
    client.echo("hello");
}
