//! The binary against clients that others wrote: `ws` of npm, `websockets` of PyPI, and a browser. They are installed
//! by the tests themselves; where Node, Python or Chromium is missing a test says that it was skipped, and why.

#[path = "../common/mod.rs"]
mod common;
mod install;
mod watched;

use std::path::Path;
use std::process::{self, Command};
use std::{fs, thread};

use common::Wirefan;
use install::{chromium, node, or_skip, python, script, succeeds};

/// Clients of each kind in a room, and messages of each client.
const CLIENTS: usize = 4;
const MESSAGES: usize = 100;

/// Whom each of them trusts by this variable of its environment.
const TRUST: [&str; 2] = ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"];

fn echo_over_tls(mut client: Command, name: &str) {
    let (server, certificate) = Wirefan::start_self_signed(&["echo", "--workers", "2"]);
    client.envs(TRUST.map(|variable| (variable, &certificate)));
    client.arg(script(name));
    client.args([&format!("wss://{}/", server.addr), "shared"]);
    succeeds(client);
}

#[test]
fn echo_over_tls_with_ws_of_npm() {
    if let Some(node) = or_skip(node()) {
        echo_over_tls(node, "echo.cjs");
    }
}

#[test]
fn echo_over_tls_with_websockets_of_pypi() {
    if let Some(python) = or_skip(python()) {
        echo_over_tls(python, "echo.py");
    }
}

const TOKEN: &str = "ann-0123456789abcdef";

/// A server that wants tokens, wherever they are. The folder has its file.
fn with_tokens(name: &str, more: &[&str]) -> Wirefan {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", process::id()));
    fs::write(&file, format!("{TOKEN} ann\n")).unwrap();
    let args = ["echo", "--subprotocol", "chat", "--token-file"];
    let places = [
        "bearer",
        "cookie:session",
        "subprotocol",
        "query:ticket",
        "message",
    ];
    let places = places.map(|place| ["--token-from", place]).concat();
    let server = Wirefan::start(&[&args[..], &[file.to_str().unwrap()], &places, more].concat());
    // It has been read.
    fs::remove_file(file).unwrap();
    server
}

fn door(mut client: Command, name: &str) {
    let server = with_tokens(name, &[]);
    client.arg(script(name));
    client.args([&format!("ws://{}/", server.addr), TOKEN]);
    succeeds(client);
}

#[test]
fn tokens_from_ws_of_npm() {
    if let Some(node) = or_skip(node()) {
        door(node, "door.cjs");
    }
}

#[test]
fn tokens_from_websockets_of_pypi() {
    if let Some(python) = or_skip(python()) {
        door(python, "door.py");
    }
}

#[test]
fn tokens_from_pages_of_a_browser() {
    let (Some(mut node), Some(chromium)) = (or_skip(node()), or_skip(chromium())) else {
        return;
    };
    let own = with_tokens("own", &[]);
    let open = with_tokens("open", &["--allow-origin", "http://127.0.0.1:*"]);
    node.arg(script("door_page.cjs"));
    node.args([own.addr.to_string(), open.addr.to_string()]);
    node.arg(TOKEN).arg(chromium);
    succeeds(node);
}

fn echo(client: impl Fn() -> Command, name: &str) {
    for mode in ["off", "shared", "per-connection"] {
        let server = Wirefan::start(&["echo", "--workers", "2", "--compression", mode]);
        let mut client = client();
        client.arg(script(name));
        client.args([&format!("ws://{}/", server.addr), mode]);
        succeeds(client);
    }
}

#[test]
fn echo_with_ws_of_npm() {
    if or_skip(node()).is_some() {
        echo(|| node().unwrap(), "echo.cjs");
    }
}

#[test]
fn echo_with_websockets_of_pypi() {
    if or_skip(python()).is_some() {
        echo(|| python().unwrap(), "echo.py");
    }
}

#[test]
fn a_room_with_clients_of_both_kinds_at_once() {
    let (Some(node), Some(python)) = (or_skip(node()), or_skip(python())) else {
        return;
    };
    let server = Wirefan::start(&["broadcast", "--workers", "2"]);
    let url = format!("ws://{}/room", server.addr);
    thread::scope(|scope| {
        for (mut command, name, kind) in [(node, "room.cjs", "node"), (python, "room.py", "python")]
        {
            command.arg(script(name)).args([&url, kind]);
            command.args([CLIENTS, 2 * CLIENTS, MESSAGES].map(|number| number.to_string()));
            scope.spawn(move || succeeds(command));
        }
    });
    server.await_members("/room", 0);
}

/// The same in ticks.cjs and ticks.py.
fn tick(i: u32) -> String {
    format!(
        "{{\"symbol\":\"SYM{}\",\"bid\":{}.25,\"ask\":{}.5,\"time\":{}}}",
        i % 7,
        100 + i % 50,
        101 + i % 50,
        1_700_000_000 + i * 37
    )
}

#[test]
fn a_history_shared_with_ws_websockets_and_a_browser() {
    let (Some(mut node), Some(mut python), Some(chromium)) =
        (or_skip(node()), or_skip(python()), or_skip(chromium()))
    else {
        return;
    };
    let server = Wirefan::start(&["broadcast", "--workers", "1", "--compression-history", "64"]);
    let url = format!("ws://{}/ticks", server.addr);
    let (clients, ticks) = (5, 2000);
    node.arg(script("ticks.cjs")).arg(&url);
    node.args([clients.to_string(), ticks.to_string()])
        .arg(chromium);
    python.arg(script("ticks.py")).arg(&url);
    python.args([clients.to_string(), ticks.to_string()]);
    thread::scope(|scope| {
        scope.spawn(move || succeeds(node));
        scope.spawn(move || succeeds(python));
        let mut publisher = server.connect("/ticks");
        // Both kinds, the browser, and the publisher.
        server.await_members("/ticks", 2 * clients + 2);
        for i in 0..ticks {
            publisher.send_text(&tick(i as u32));
        }
        server.await_members("/ticks", 1);
    });
}

#[test]
fn two_tabs_of_a_browser_talk_over_tls() {
    let (Some(mut node), Some(chromium)) = (or_skip(node()), or_skip(chromium())) else {
        return;
    };
    let (server, _) = Wirefan::start_self_signed(&["broadcast"]);
    node.arg(script("chat.cjs"))
        .arg(format!("https://{}", server.addr))
        .arg(chromium);
    succeeds(node);
}

#[test]
fn two_tabs_of_a_browser_talk() {
    let (Some(mut node), Some(chromium)) = (or_skip(node()), or_skip(chromium())) else {
        return;
    };
    let server = Wirefan::start(&["broadcast"]);
    node.arg(script("chat.cjs"))
        .arg(format!("http://{}", server.addr))
        .arg(chromium);
    succeeds(node);
}
