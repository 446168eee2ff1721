//! Whose word about a client's address counts.

use crate::common::Wirefan;
use crate::knock::{enter, knock};

#[test]
fn trusted_proxies_tell_the_address_that_the_log_has() {
    let server = Wirefan::start(&["broadcast", "--trusted-proxy", "loopback, 10.0.0.0/8"]);
    let told = [("X-Forwarded-For", "198.51.100.1, 192.0.2.7:4711, 10.0.0.9")];
    let client = enter(&server, "/tea", &told).unwrap();
    let line = server.line_with("connected");
    assert!(line.contains("addr=192.0.2.7:4711"), "{line}");
    drop(client);
    let line = server.line_with("disconnected");
    assert!(line.contains("addr=192.0.2.7:4711"), "{line}");

    let refused = [told[0], ("Origin", "https://evil.example")];
    assert_eq!(knock(&server, "/tea", &refused).status, 403);
    let line = server.line_with("refused");
    assert!(line.contains("addr=192.0.2.7:4711"), "{line}");
}

#[test]
fn the_word_of_others_does_not_count() {
    for args in [&["echo"][..], &["echo", "--trusted-proxy", "10.0.0.0/8"]] {
        let server = Wirefan::start(args);
        let _client = enter(&server, "/", &[("X-Forwarded-For", "192.0.2.7")]).unwrap();
        let line = server.line_with("connected");
        assert!(line.contains("addr=127.0.0.1:"), "{line}");
        let told = [
            ("X-Forwarded-Host", "evil.example"),
            ("Origin", "https://evil.example"),
        ];
        assert_eq!(knock(&server, "/", &told).status, 403);
    }
}

#[test]
fn the_header_of_rfc_7239_and_only_that_one() {
    let args = ["echo", "--trusted-proxy", "127.0.0.1", "--forwarded-header"];
    let server = Wirefan::start(&[&args[..], &["forwarded"]].concat());
    let told = [
        ("Forwarded", "for=\"[2001:db8::7]:4711\";proto=https"),
        ("X-Forwarded-For", "192.0.2.7"),
    ];
    let _client = enter(&server, "/", &told).unwrap();
    let line = server.line_with("connected");
    assert!(line.contains("addr=[2001:db8::7]:4711"), "{line}");
}

#[test]
fn the_origin_is_held_against_the_host_and_scheme_that_the_client_has_asked_for() {
    let server = Wirefan::start(&["echo", "--trusted-proxy", "loopback"]);
    for (host, proto, origin, status) in [
        ("app.example.com", "https", "https://app.example.com", 101),
        ("app.example.com", "https", "http://app.example.com", 403),
        ("app.example.com", "http", "http://app.example.com", 101),
        ("app.example.com", "https", "https://localhost", 403),
        (
            "x, app.example.com",
            "https",
            "https://app.example.com",
            101,
        ),
    ] {
        let told = [
            ("X-Forwarded-For", "192.0.2.7"),
            ("X-Forwarded-Host", host),
            ("X-Forwarded-Proto", proto),
            ("Origin", origin),
        ];
        let reply = knock(&server, "/", &told);
        assert_eq!(reply.status, status, "{host} {proto} {origin}");
    }
}
