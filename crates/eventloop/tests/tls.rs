//! `wss://` on real sockets, with rustls's own client: what is agreed, what is refused, and how it ends.
#![cfg(feature = "tls")]

mod common;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::client::{Client, Received, dial, dial_narrow, exchange, read_all, request};
use common::server::{App, TestServer};
use common::tls::{Authority, Identity, Trust, asks, begin, client, listen_too, secure};
use common::{PATIENCE, noise, until};
use wirefan_eventloop::rustls::{
    HandshakeKind, ProtocolVersion, SupportedProtocolVersion, version,
};
use wirefan_eventloop::{
    Acceptance, AtLimit, Backpressure, ClientAuth, CloseCause, Decision, Message, Sent, Timeouts,
    Tls, TlsFailure,
};
use wirefan_protocol::{CloseCode, Overdue};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

/// An authority, and a server with a certificate of it for localhost, on a second port beside the plain one.
fn server(app: App) -> (Authority, TestServer) {
    let authority = Authority::new();
    let tls = authority.sign(&["localhost"]).tls();
    let server = TestServer::start(app, listen_too(&tls));
    (authority, server)
}

#[test]
fn plain_and_tls_side_by_side_in_one_room() {
    let (authority, server) = server(App::rooms());
    for version in VERSIONS {
        let mut trust = Trust::of(&authority);
        let versions = [version];
        trust.versions = &versions;
        let mut plain = server.client("/");
        server.opened();
        let mut over_tls = client(&trust.config(), "localhost", server.addrs[1]);
        server.opened();
        for len in [0, 1, 125, 126, 16_383, 16_384, 16_385, 70_000, 1_000_000] {
            let data = noise(len);
            over_tls.send_binary(&data);
            assert_eq!(
                plain.next_but_pings(),
                Received::Binary(data.clone()),
                "{len}"
            );
            plain.send_binary(&data);
            assert_eq!(over_tls.next_but_pings(), Received::Binary(data), "{len}");
        }
        for number in 0..200 {
            plain.send_text(&number.to_string());
        }
        for number in 0..200 {
            assert_eq!(over_tls.next_text(), number.to_string());
        }
        over_tls.close(CloseCode::NORMAL, "");
        // `End` is a close_notify: without one it would be `Reset`.
        over_tls.expect_close(CloseCode::NORMAL);
        let closed = server.closed();
        assert!(
            matches!(closed.cause, CloseCause::PeerClosed { .. }),
            "{}",
            closed.cause
        );
        plain.close(CloseCode::NORMAL, "");
        plain.expect_close(CloseCode::NORMAL);
        server.closed();
    }
}

#[test]
fn a_handler_sees_what_was_agreed() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let app = App::echo().on_open(move |conn| {
        let tls = conn.tls().map(|tls| {
            (
                tls.version(),
                tls.server_name().map(str::to_owned),
                tls.alpn().map(<[u8]>::to_vec),
                tls.is_resumed(),
            )
        });
        told.lock().expect("whole").push(tls);
    });
    let (authority, server) = server(app);
    let mut trust = Trust::of(&authority);
    server.client("/").echo("plain");
    trust.alpn = &["h2", "http/1.1"];
    client(&trust.config(), "localhost", server.addrs[1]).echo("over TLS");
    let agreed = (
        Some(ProtocolVersion::TLSv1_3),
        Some("localhost".to_owned()),
        Some(b"http/1.1".to_vec()),
        false,
    );
    assert_eq!(*seen.lock().expect("whole"), [None, Some(agreed)]);
    // Who speaks only HTTP/2 is told that there is none.
    trust.alpn = &["h2"];
    let mut stream = begin(&trust.config(), "localhost", dial(server.addrs[1]));
    let error = stream.flush().expect_err("no common protocol");
    assert!(
        error.to_string().contains("NoApplicationProtocol"),
        "{error}"
    );
    let incompatible =
        |cause: &CloseCause| matches!(cause, CloseCause::Tls(TlsFailure::Incompatible(_)));
    until("it is reported", || incompatible(&server.closed().cause));
}

#[test]
fn the_name_chooses_the_certificate() {
    let authority = Authority::new();
    let names = ["first.example", "second.example", "*.wild.example"];
    let builder = names.iter().fold(Tls::builder(), |builder, name| {
        authority.sign(&[name]).add_to(builder)
    });
    let tls = Tls::new(builder.build().expect("a configuration"));
    let server = TestServer::start(App::echo(), listen_too(&tls));
    let config = Trust::of(&authority).config();
    for name in ["first.example", "second.example", "any.wild.example"] {
        client(&config, name, server.addrs[1]).echo(name);
    }
    // The first one is for others; their clients do not like it, and say so.
    let mut stream = begin(&config, "other.example", dial(server.addrs[1]));
    let error = stream.flush().expect_err("another name");
    assert!(error.to_string().contains("not valid for name"), "{error}");
    until("it is reported", || {
        matches!(
            server.closed().cause,
            CloseCause::Tls(TlsFailure::Alert { code: 42, .. })
        )
    });
}

#[test]
fn clients_show_their_certificates() {
    let (authority, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let identity = authority.sign(&["localhost"]);
    let (known, unknown) = (clients.sign(&["client"]), others.sign(&["client"]));
    for auth in [ClientAuth::Required, ClientAuth::Optional] {
        let tls = asks(&identity, &clients, auth);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&seen);
        let app = App::echo().on_open(move |conn| {
            let tls = conn.tls().expect("TLS");
            told.lock()
                .expect("whole")
                .push(tls.peer_certificates().to_vec());
        });
        let server = TestServer::start(app, listen_too(&tls));
        for version in VERSIONS {
            let versions = [version];
            let mut trust = Trust::of(&authority);
            trust.versions = &versions;
            trust.identity = Some(&known);
            let mut known_client = client(&trust.config(), "localhost", server.addrs[1]);
            known_client.echo("known");
            known_client.close(CloseCode::NORMAL, "");
            known_client.expect_close(CloseCode::NORMAL);
            server.closed();
            assert_eq!(
                seen.lock().expect("whole").pop(),
                Some(vec![known.certificate.clone()])
            );
            trust.identity = None;
            if auth == ClientAuth::Optional {
                client(&trust.config(), "localhost", server.addrs[1]).echo("nobody");
                assert_eq!(seen.lock().expect("whole").pop(), Some(Vec::new()));
                server.closed();
            } else {
                refused(&server, &trust);
            }
            trust.identity = Some(&unknown);
            refused(&server, &trust);
        }
    }
}

/// The client learns it by an alert, though it may have sent its request already.
fn refused(server: &TestServer, trust: &Trust<'_>) {
    let mut stream = begin(&trust.config(), "localhost", dial(server.addrs[1]));
    let sent = stream
        .write_all(request("/").as_bytes())
        .and_then(|()| stream.flush());
    let error = match sent.and_then(|()| stream.read(&mut [0; 100])) {
        Ok(len) => panic!("let in: {len} bytes"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("fatal alert"), "{error}");
    drop(stream);
    let cause = server.closed().cause;
    assert!(
        matches!(cause, CloseCause::Tls(TlsFailure::Certificate(_))),
        "{cause}"
    );
}

#[test]
fn a_new_certificate_is_for_new_connections() {
    let (old, new) = (Authority::new(), Authority::new());
    let tls = old.sign(&["localhost"]).tls();
    let server = TestServer::start(App::echo(), listen_too(&tls));
    let (trusts_old, trusts_new) = (Trust::of(&old).config(), Trust::of(&new).config());
    let mut before = client(&trusts_old, "localhost", server.addrs[1]);
    before.echo("before");
    let identity = new.sign(&["localhost"]);
    tls.replace(
        identity
            .add_to(Tls::builder())
            .build()
            .expect("a configuration"),
    );
    let mut after = client(&trusts_new, "localhost", server.addrs[1]);
    after.echo("after");
    before.echo("still here");
    let failed = begin(&trusts_old, "localhost", dial(server.addrs[1])).flush();
    assert!(failed.is_err(), "the old certificate is gone");
}

#[test]
fn sessions_are_resumed() {
    let (authority, server) = server(App::echo());
    for version in VERSIONS {
        let versions = [version];
        let mut trust = Trust::of(&authority);
        trust.versions = &versions;
        let config = trust.config();
        let kinds = [
            HandshakeKind::Full,
            HandshakeKind::Resumed,
            HandshakeKind::Resumed,
        ];
        for kind in kinds {
            let mut client = client(&config, "localhost", server.addrs[1]);
            // Tickets of TLS 1.3 come behind the handshake.
            client.echo("hello");
            let id = server.opened();
            assert_eq!(client.stream.conn.handshake_kind(), Some(kind));
            let resumed = server.on_worker(0, move |ctx| ctx.tls(id).map(|tls| tls.is_resumed()));
            assert_eq!(resumed, Some(kind == HandshakeKind::Resumed));
            let name = server.on_worker(0, move |ctx| {
                ctx.tls(id)
                    .and_then(|tls| tls.server_name().map(str::to_owned))
            });
            assert_eq!(name.as_deref(), Some("localhost"));
        }
    }
}

#[test]
fn a_handshake_has_one_time_limit_for_tls_and_http() {
    let authority = Authority::new();
    let tls = authority.sign(&["localhost"]).tls();
    let mut timeouts = Timeouts::default();
    timeouts.handshake = Duration::from_millis(400);
    let server = TestServer::start(App::echo(), |builder| {
        listen_too(&tls)(builder).timeouts(timeouts)
    });
    let config = Trust::of(&authority).config();
    // Nothing at all; half of a ClientHello; TLS and no request; TLS and half a request.
    let _silent = dial(server.addrs[1]);
    let mut half = dial(server.addrs[1]);
    half.write_all(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03")
        .expect("room");
    let mut no_request = secure(&config, "localhost", server.addrs[1]);
    let mut begun = secure(&config, "localhost", server.addrs[1]);
    begun.write_all(b"GET / HTTP/1.1\r\n").expect("room");
    for _ in 0..4 {
        assert_eq!(
            server.closed().cause,
            CloseCause::Timeout(Overdue::Handshake)
        );
    }
    // Where there is TLS there is an answer, with a close_notify behind it.
    for stream in [&mut no_request, &mut begun] {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an orderly end");
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    let (bytes, _) = read_all(&mut half);
    assert_eq!(bytes, b"");
}

#[test]
fn one_too_many_over_tls_is_ended_at_once_and_without_a_word() {
    let authority = Authority::new();
    let tls = authority.sign(&["localhost"]).tls();
    let mut timeouts = Timeouts::default();
    timeouts.handshake = 2 * PATIENCE;
    timeouts.close = 2 * PATIENCE;
    let server = TestServer::start(App::echo(), |builder| {
        let builder = listen_too(&tls)(builder).timeouts(timeouts);
        builder.max_connections(1)
    });
    let _first = client(
        &Trust::of(&authority).config(),
        "localhost",
        server.addrs[1],
    );
    server.opened();
    // An answer would need a handshake, which is dearer than what they are refused for.
    let (bytes, _) = read_all(&mut dial(server.addrs[1]));
    assert_eq!(bytes, b"");
    let answer = exchange(server.addrs[0], request("/").as_bytes(), false);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[test]
fn what_comes_to_the_wrong_port_costs_nothing_and_is_named() {
    let (authority, server) = server(App::echo());
    let answer = exchange(server.addrs[1], request("/").as_bytes(), false);
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("wss://"),
        "{answer}"
    );
    assert_eq!(
        server.closed().cause,
        CloseCause::Tls(TlsFailure::PlainHttp)
    );

    let config = Trust::of(&authority).config();
    let error = begin(&config, "localhost", dial(server.addrs[0])).flush();
    assert!(error.is_err(), "TLS on a plain port");
    assert_eq!(server.closed().cause, CloseCause::TlsOnPlainPort);

    for garbage in [
        &[0; 5000][..],
        &noise(100_000),
        b"\x16\x03\x01\0\x06\x7a\0\0\x02zz",
    ] {
        let mut stream = dial(server.addrs[1]);
        let _ = stream.write_all(garbage);
        let _ = read_all(&mut stream);
        drop(stream);
        let cause = server.closed().cause;
        assert!(
            matches!(cause, CloseCause::Tls(TlsFailure::Protocol(_))),
            "{cause}"
        );
    }
    // Nobody is in anybody's way.
    client(&config, "localhost", server.addrs[1]).echo("well");
    server.opened();
    assert!(server.closed().opened);
    until("they are gone", || server.connections() == 0);
}

#[test]
fn a_client_that_does_not_trust_us_says_so() {
    let (_, server) = server(App::echo());
    let config = Trust::of(&Authority::new()).config();
    let mut stream = begin(&config, "localhost", dial(server.addrs[1]));
    let _ = stream.flush();
    // Its alert is still to be sent.
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut stream.sock).expect("room");
    }
    // unknown_ca (RFC 8446 §6.2).
    let cause = server.closed().cause;
    let alert = TlsFailure::Alert {
        code: 48,
        name: "UnknownCA",
    };
    assert_eq!(cause, CloseCause::Tls(alert));
}

#[test]
fn an_end_without_a_word_is_a_truncation_unless_websocket_said_it() {
    let (authority, server) = server(App::echo());
    let config = Trust::of(&authority).config();
    let connect = || {
        let mut client = client(&config, "localhost", server.addrs[1]);
        client.echo("hello");
        client
    };
    let end = |client: &Client<common::tls::TlsStream>| {
        let _ = client.stream.sock.shutdown(Shutdown::Write);
    };
    // Cut off.
    let client = connect();
    end(&client);
    assert_eq!(
        server.closed().cause,
        CloseCause::Tls(TlsFailure::Truncated)
    );
    // An end in TLS and none in WebSocket.
    let mut client = connect();
    client.stream.conn.send_close_notify();
    client.stream.flush().expect("room");
    end(&client);
    assert_eq!(server.closed().cause, CloseCause::Lost);
    // An end in WebSocket and none in TLS, as from many a client.
    let mut client = connect();
    client.close(CloseCode::NORMAL, "");
    client.expect_close(CloseCode::NORMAL);
    end(&client);
    let cause = server.closed().cause;
    assert!(matches!(cause, CloseCause::PeerClosed { .. }), "{cause}");
}

#[test]
fn a_slow_reader_is_bounded_and_one_who_reads_on_gets_all() {
    let authority = Authority::new();
    let tls = authority.sign(&["localhost"]).tls();
    for (limit, reads) in [(1 << 20, false), (64 << 20, true)] {
        let mut marks = Backpressure::default();
        marks.limit = limit;
        marks.at_limit = AtLimit::Close(CloseCode::TRY_AGAIN_LATER);
        let app = App::rooms();
        let server = TestServer::start(app, |builder| {
            listen_too(&tls)(builder).backpressure(marks.clone())
        });
        let config = Trust::of(&authority).config();
        let socket = dial_narrow(server.addrs[1]);
        let mut slow = Client::over(begin(&config, "localhost", socket), "/");
        let id = server.opened();
        let mut sender = server.client("/");
        server.opened();
        let message = noise(100_000);
        for _ in 0..200 {
            sender.send_binary(&message);
        }
        sender.send_text("the last");
        if reads {
            let mut count = 0;
            loop {
                match slow.next_but_pings() {
                    Received::Binary(data) => {
                        assert_eq!(data, message);
                        count += 1;
                    }
                    Received::Text(_) => break,
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(count, 200);
        } else {
            // It reads only when the limit has struck, and is told why.
            until("the limit strikes", || {
                !server.on_worker(0, move |ctx| {
                    ctx.send(id, Message::Text("")) != Sent::Dropped
                })
            });
            while let Received::Binary(_) = slow.next_but_pings() {}
            let closed = server.closed();
            assert_eq!((closed.id, closed.cause), (id, CloseCause::SlowReader));
        }
    }
}

#[test]
fn several_workers_share_one_tls_port() {
    let authority = Authority::new();
    let tls = authority.sign(&["localhost"]).tls();
    for share in [true, false] {
        let server = TestServer::start(App::rooms(), |builder| {
            listen_too(&tls)(builder).workers(3).share_port(share)
        });
        let config = Trust::of(&authority).config();
        let mut clients: Vec<_> = (0..20)
            .map(|_| client(&config, "localhost", server.addrs[1]))
            .collect();
        let workers: std::collections::BTreeSet<_> =
            clients.iter().map(|_| server.opened().worker()).collect();
        assert!(share || workers.len() == 3, "{workers:?}");
        clients[0].send_text("to all");
        for client in &mut clients[1..] {
            assert_eq!(client.next_text(), "to all");
        }
    }
}

#[test]
fn a_request_may_be_decided_later_and_a_shutdown_is_orderly() {
    let (tell, asked) = std::sync::mpsc::channel();
    let app = App::echo().on_request(move |_, caller| {
        let _ = tell.send(caller.id);
        Decision::Later
    });
    let (authority, server) = server(app);
    let config = Trust::of(&authority).config();
    let addr = server.addrs[1];
    let (echoed, heard) = std::sync::mpsc::channel();
    let asking = thread::spawn(move || {
        let mut client = client(&config, "localhost", addr);
        client.echo("decided");
        let _ = echoed.send(());
        client.expect_close(CloseCode::GOING_AWAY);
    });
    let id = asked.recv_timeout(PATIENCE).expect("a request");
    server.note(0, move |ctx| {
        assert!(ctx.accept(id, Acceptance::new("/".into())));
    });
    heard.recv_timeout(PATIENCE).expect("an echo");
    server.shut_down(Duration::from_secs(20));
    asking.join().expect("the client");
}

#[test]
fn a_plain_request_over_tls_is_answered_and_closed() {
    let reply = || wirefan_protocol::handshake::Reply::text(200, "x".repeat(300_000));
    let app = App::echo().on_request(move |_, _| Decision::Answer(reply()));
    let (authority, server) = server(app);
    let config = Trust::of(&authority).config();
    let mut stream = secure(&config, "localhost", server.addrs[1]);
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("room");
    // A client may end its side behind a request.
    stream.conn.send_close_notify();
    stream.flush().expect("room");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("a close_notify behind it");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&"x".repeat(300_000)));
    assert_eq!(server.closed().cause, CloseCause::Answered(200));
}

#[test]
fn what_is_wrong_with_a_file_is_told() {
    let (authority, other) = (Authority::new(), Authority::new());
    let one: Identity = authority.sign(&["one"]);
    let two = other.sign(&["two"]);
    let ((certificate, key), (_, other_key)) = (one.pem(), two.pem());
    let why = |certificate: &str, key: &str| {
        let result = Tls::builder().identity_pem(certificate.as_bytes(), key.as_bytes());
        result.expect_err("unusable").to_string()
    };
    assert_eq!(
        why(&certificate, &other_key),
        "the key in the PEM is not that of the certificate"
    );
    assert_eq!(why("", &key), "there is no certificate in the PEM");
    assert_eq!(why(&certificate, ""), "there is no private key in the PEM");
    assert!(why(&certificate, &key.replace("MI", "!!")).contains("is not PEM"));
    let none = Tls::builder().build().expect_err("no identity").to_string();
    assert_eq!(none, "TLS needs a certificate and its key");
    let missing = Tls::from_files("/nowhere/cert.pem", "/nowhere/key.pem").expect_err("no file");
    assert!(
        missing
            .to_string()
            .starts_with("cannot read /nowhere/cert.pem: "),
        "{missing}"
    );
}
