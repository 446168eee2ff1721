//! The command line as people meet it: help, mistakes, busy ports, the log, closed pipes.
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

mod common;

use std::process::{Output, Stdio};

use common::{Client, Received, Wirefan, command, run, text};
use wirefan_protocol::CloseCode;
use wirefan_protocol::handshake::ClientRequest;

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).unwrap()
}

fn only_line(output: &Output) -> &str {
    assert_eq!(stdout(output), "");
    let text = str::from_utf8(&output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text.trim_end()
}

#[test]
fn help_teaches_every_option() {
    let top = run(&["--help"]);
    assert!(top.status.success());
    for text in [
        "Examples:",
        "wirefan broadcast\n",
        "wirefan bench ws:",
        "500ms",
        "Exit codes",
        "--log",
    ] {
        assert!(stdout(&top).contains(text), "{text}");
    }
    for command in ["echo", "broadcast"] {
        let help = run(&[command, "--help"]);
        assert!(help.status.success());
        for option in [
            "--listen",
            "--workers",
            "--subprotocol",
            "--max-connections",
            "--max-message",
            "--handshake-timeout",
            "--ping-interval",
            "--pong-timeout",
            "--idle-timeout",
            "--close-timeout",
            "--shutdown-grace",
            "--backlog-low",
            "--backlog-high",
            "--backlog-limit",
            "--at-limit",
            "--allow-origin",
            "--token-file",
            "--ticket-key",
            "--jwt-key",
            "--jwks",
            "--token-from",
            "--auth-url",
            "--max-connections-per-ip",
            "--max-handshakes-per-ip",
            "--max-pending",
            "--max-messages-per-second",
            "--max-bytes-per-second",
            "--over-rate",
            "--trusted-proxy",
            "--log",
        ] {
            assert!(stdout(&help).contains(&format!("{option} <")), "{option}");
        }
        assert_eq!(
            stdout(&help).contains("--to-sender"),
            command == "broadcast"
        );
    }
}

#[test]
fn version() {
    let output = run(&["--version"]);
    assert!(output.status.success());
    let version = concat!("wirefan ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(stdout(&output), version);
}

#[test]
fn a_mistake_is_one_line_and_exit_code_2() {
    for (args, hint) in [
        (&["echo", "--lisen", "127.0.0.1:1"][..], "'--listen'"),
        (&["echo", "--max-message", "big"], "64k"),
        (&["shout"], "shout"),
        (&["echo", "--backlog-low", "9m"], "--backlog-high"),
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2));
        let line = only_line(&output);
        assert!(
            line.starts_with("wirefan: ") && line.contains(hint),
            "{line}"
        );
    }
}

#[test]
fn a_name_that_cannot_be_resolved_is_one_line_and_exit_code_1() {
    let output = run(&["echo", "--listen", "no.such.host.invalid:9001"]);
    assert_eq!(output.status.code(), Some(1));
    let line = only_line(&output);
    assert!(
        line.contains("no.such.host.invalid:9001") && line.contains("--listen"),
        "{line}"
    );
}

#[test]
fn a_busy_port_is_one_line_and_its_owner_keeps_every_connection() {
    for workers in ["1", "2"] {
        let owner = Wirefan::start(&["echo", "--workers", workers]);
        let addr = owner.addr.to_string();
        for other in ["1", "2"] {
            let free = "127.0.0.1:0";
            let args = [
                "broadcast",
                "--workers",
                other,
                "--listen",
                free,
                "--listen",
                &addr,
            ];
            let output = run(&args);
            assert_eq!(output.status.code(), Some(1));
            let line = only_line(&output);
            let mended = format!("wirefan: {addr} is already in use; stop the other server");
            assert!(line.starts_with(&mended), "{line}");
            assert!(line.contains("--listen 127.0.0.1:"), "{line}");
        }
        for _ in 0..20 {
            let mut client = owner.connect("/");
            client.send_text("still here");
            assert_eq!(client.next(), text("still here"));
        }
    }
}

#[test]
fn several_addresses_are_one_server() {
    let server = Wirefan::start(&["broadcast", "--listen", "127.0.0.1:0"]);
    let line = server.line_with("listening on ");
    let (_, rest) = line.split_once("open http://").unwrap();
    let second = rest.trim_end_matches('/').parse().unwrap();
    assert_ne!(second, server.addr);
    let mut one = server.connect("/");
    let mut other = Client::connect(second, ClientRequest::new("localhost", "/")).unwrap();
    other.send_text("from the other door");
    assert_eq!(one.next(), text("from the other door"));
}

#[test]
fn echo_sends_back_what_it_gets() {
    let server = Wirefan::start(&["echo"]);
    let mut client = server.connect("/any/path?with=query");
    client.send_text("grün");
    client.send_binary(&[0, 255, 13, 10]);
    client.send_text("");
    assert_eq!(client.next(), text("grün"));
    assert_eq!(client.next(), Received::Binary(vec![0, 255, 13, 10]));
    assert_eq!(client.next(), text(""));
    let page = server.ask("GET", "/");
    assert_eq!(page.status, 200);
    assert!(
        page.body.contains("npx wscat -c ws://localhost/\n"),
        "{page:?}"
    );
}

#[test]
fn limits_hold() {
    let server = Wirefan::start(&["echo", "--max-message", "1k", "--max-connections", "2"]);
    let mut one = server.connect("/");
    one.send_binary(&[7; 1024]);
    assert_eq!(one.next(), Received::Binary(vec![7; 1024]));
    let _two = server.connect("/");
    let three = Client::connect(server.addr, ClientRequest::new("localhost", "/"));
    assert_eq!(three.err(), Some(503));
    one.send_binary(&[7; 1025]);
    assert_eq!(one.next(), Received::Close(Some(CloseCode::TOO_BIG)));
}

#[test]
fn the_first_offer_that_is_known_is_agreed_on() {
    let args = [
        "echo",
        "--subprotocol",
        "chat.v1",
        "--subprotocol",
        "chat.v2",
    ];
    let server = Wirefan::start(&args);
    for (offers, agreed) in [
        (&["x", "chat.v2", "chat.v1"][..], Some("chat.v2")),
        (&["chat.v1"], Some("chat.v1")),
        (&["CHAT.V1"], None),
        (&[], None),
    ] {
        let mut request = ClientRequest::new("localhost", "/");
        request.protocols = offers;
        let client = Client::connect(server.addr, request).unwrap();
        assert_eq!(client.protocol.as_deref(), agreed);
    }
}

#[test]
fn the_log_tells_who_came_and_why_they_went_in_whole_lines() {
    let server = Wirefan::start(&["broadcast"]);
    let mut client = server.connect("/%22tea%22");
    let line = server.line_with("connected");
    assert!(
        line.contains(r#"room="/\"tea\"""#) && line.contains("connections=1"),
        "{line}"
    );
    client.send_text("hello");
    client.close(CloseCode(4000), "bye\n\x1b[31mred");
    let line = server.line_with("disconnected");
    for part in [
        "disconnected: peer closed with 4000",
        r"bye\n\u{1b}[31mred",
        r#"cause="peer_closed""#,
        "messages=1",
        "connections=0",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(!line.contains('\x1b'), "no colours where no terminal is");
}

#[test]
fn the_log_is_as_quiet_as_it_is_told_to_be() {
    let output = command(&["echo", "--listen", "127.0.0.1:0", "--log", "loud"])
        .env("WIREFAN_LOG", "info")
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(2),
        "the flag goes before the variable"
    );
    let server = Wirefan::start(&["echo", "--log", "trace"]);
    server.connect("/").send_text("four");
    assert!(server.line_with("text").contains("len=4"));
}

#[test]
fn help_for_someone_who_has_stopped_reading() {
    let mut child = command(&["echo", "--help"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}
