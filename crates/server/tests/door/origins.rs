//! Which pages may connect.

use std::io::{Read, Write};

use crate::common::{Wirefan, run};
use crate::knock::{knock, over_tls};

fn from(server: &Wirefan, host: &str, origin: &str) -> u16 {
    knock(server, "/tea", &[("Host", host), ("Origin", origin)]).status
}

#[test]
fn rfc_6455_section_10_2_pages_of_the_same_origin_by_default() {
    for mode in ["echo", "broadcast"] {
        let server = Wirefan::start(&[mode]);
        let host = server.addr.to_string();
        for (origin, status) in [
            (format!("http://{host}"), 101),
            // A proxy with TLS may stand in front.
            (format!("https://{host}"), 101),
            ("http://127.0.0.1".to_owned(), 403),
            (format!("http://localhost:{}", server.addr.port()), 403),
            (format!("http://{host}.evil.example"), 403),
            ("https://evil.example".to_owned(), 403),
            ("null".to_owned(), 403),
            ("file://".to_owned(), 403),
        ] {
            assert_eq!(from(&server, &host, &origin), status, "{origin}");
        }
        assert_eq!(from(&server, "Example.com", "https://example.com"), 101);
        assert_eq!(from(&server, "example.com:443", "https://example.com"), 101);
        // No browser.
        assert_eq!(knock(&server, "/tea", &[]).status, 101);
    }
}

#[test]
fn a_refusal_is_403_with_one_reason_in_the_answer_and_in_the_log() {
    let server = Wirefan::start(&["broadcast"]);
    let reply = knock(&server, "/tea", &[("Origin", "https://evil.example")]);
    assert_eq!(reply.status, 403);
    assert_eq!(reply.body, "pages of this origin are not allowed here\n");
    let line = server.line_with("refused");
    for part in [
        "refused: pages of this origin are not allowed here",
        "status=403",
        "origin=\"https://evil.example\"",
        "addr=127.0.0.1:",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    // Pages are for everybody: a browser shows them where they come from.
    let page = server.ask("GET", "/tea");
    assert_eq!(page.status, 200);
}

#[test]
fn origins_on_the_list_and_the_own_one() {
    let list = "https://*.example.org";
    let args = ["echo", "--allow-origin", list, "--allow-origin"];
    let server = Wirefan::start(&[&args[..], &["http://localhost:*"]].concat());
    for (origin, status) in [
        ("https://app.example.org", 101),
        ("https://a.b.example.org", 101),
        ("https://example.org", 403),
        ("http://app.example.org", 403),
        ("https://app.example.org.evil.example", 403),
        ("http://localhost:3000", 101),
        ("http://here.example", 101),
        ("null", 403),
    ] {
        assert_eq!(from(&server, "here.example", origin), status, "{origin}");
    }
}

#[test]
fn any_origin_and_only_requests_with_one() {
    let server = Wirefan::start(&["echo", "--allow-origin", "any"]);
    assert_eq!(from(&server, "a", "https://evil.example"), 101);
    assert_eq!(from(&server, "a", "null"), 101);
    let server = Wirefan::start(&["echo", "--require-origin"]);
    let reply = knock(&server, "/", &[]);
    assert_eq!(reply.status, 403);
    assert_eq!(reply.body, "a request without Origin is not allowed here\n");
    assert_eq!(from(&server, "a", "http://a"), 101);
}

#[test]
fn a_page_without_tls_is_another_origin_than_a_server_with_it() {
    let (server, certificate) = Wirefan::start_self_signed(&["echo"]);
    let ask = |origin: &str| {
        let mut client = over_tls(&server, &certificate);
        let head = format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        client.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).unwrap();
        String::from_utf8(answer.to_vec()).unwrap()
    };
    assert_eq!(ask("https://localhost"), "HTTP/1.1 101");
    assert_eq!(ask("http://localhost:443"), "HTTP/1.1 403");
    assert_eq!(ask("http://localhost"), "HTTP/1.1 403");
}

#[test]
fn options_that_make_no_sense_are_one_line_and_exit_code_2() {
    for (args, hint) in [
        (&["--allow-origin", "example.com"][..], "--allow-origin"),
        (&["--allow-origin", "https://example.com/path"], "origin"),
        (&["--allow-origin", "any", "--allow-origin", "null"], "any"),
        (&["--token-from", "cookie:a"], "--token-file"),
        (&["--token-from", "cookie"], "cookie:session"),
        (&["--token-from", "nowhere"], "message"),
        (&["--jwt-audience", "a"], "--jwks"),
        (&["--jwt-key", "k", "--jwt-algorithm", "none"], "EdDSA"),
        (&["--jwt-key", "k", "--jwt-rooms", "/a*"], "/team/*"),
        (&["--trusted-proxy", "10.0.0.1/8"], "10.0.0.0/8"),
        (&["--auth-url", "127.0.0.1:3000"], "http://HOST"),
        (&["--auth-ca", "a"], "--auth-url"),
        (
            &["--auth-url", "http://a/", "--token-from", "message"],
            "--token-from message",
        ),
        (
            &[
                "--token-file",
                "t",
                "--token-from",
                "cookie:a",
                "--allow-origin",
                "any",
            ],
            "every page",
        ),
    ] {
        let output = run(&[&["echo"], args].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(hint), "{said}");
    }
}
