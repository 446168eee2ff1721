//! Dialled connections against our own server: they open, say and hear the same as accepted ones, and end in order.
#![cfg(feature = "client")]

mod common;

use std::time::Duration;

use common::caller::{TestClient, Told, to};
use common::server::{App, TestServer};
use common::{noise, until};
use wirefan_eventloop::{Acceptance, CloseCause, Decision, Dial, Message, Policy, Sent, WhenSlow};
use wirefan_protocol::handshake::Reply;
use wirefan_protocol::{CloseCode, Config, DeflateConfig, Frame};

#[test]
fn a_dialled_connection_echoes_and_is_closed_by_us() {
    let server = TestServer::echo();
    let client = TestClient::start();
    let id = client.open(to(server.addr, "/"));
    for len in [0, 1, 125, 126, 65_535, 65_536, 300_000] {
        let data = noise(len);
        let sent = data.clone();
        let sent = client.on_worker(move |ctx| ctx.send(id, Message::Binary(&sent)));
        assert_eq!(sent, Sent::Queued, "{len}");
        assert_eq!(client.binary(), data);
    }
    let _ = client.on_worker(move |ctx| ctx.send_frame(id, &Frame::text("a frame")));
    assert_eq!(client.text(), "a frame");
    client.on_worker(move |ctx| ctx.close(id, CloseCode(4000), "enough"));
    let code = CloseCode(4000);
    assert_eq!(client.closed(), CloseCause::WeClosed { code });
    let closed = server.closed();
    let expected = (
        true,
        CloseCause::PeerClosed {
            code: Some(code),
            reason: "enough".into(),
        },
    );
    assert_eq!((closed.opened, closed.cause), expected);
    assert_eq!(client.on_worker(|ctx| ctx.connections()), 0);
}

#[test]
fn a_name_is_looked_up_and_a_server_may_close() {
    let app = App::echo().on_message(|conn, _| {
        conn.close(CloseCode::NORMAL, "bye").expect("a Close");
    });
    let server = TestServer::start(app, |builder| builder);
    let client = TestClient::start();
    let url = format!("ws://localhost:{}/", server.addr.port());
    let id = client.open(Dial::new(&url).unwrap());
    let _ = client.on_worker(move |ctx| ctx.send(id, Message::Text("hello")));
    let expected = CloseCause::PeerClosed {
        code: Some(CloseCode::NORMAL),
        reason: "bye".into(),
    };
    assert_eq!(client.closed(), expected);
    assert_eq!(
        server.closed().cause,
        CloseCause::WeClosed {
            code: CloseCode::NORMAL
        }
    );
}

#[test]
fn the_request_carries_what_was_asked_for_and_the_answer_is_told() {
    let app = App::echo().on_request(|request, _| {
        let text = |name| {
            request
                .header(name)
                .map(|it| String::from_utf8_lossy(it).into_owned())
        };
        let mut acceptance = Acceptance::new(format!(
            "{} {:?} {:?} {:?}",
            request.target(),
            text("origin"),
            text("x-own"),
            text("authorization"),
        ));
        acceptance.protocol = request.protocols().nth(1).map(Into::into);
        acceptance.headers.push(("X-Server".into(), "here".into()));
        Decision::Accept(acceptance)
    });
    let app = app.on_open(|conn| {
        let peer = conn.peer().clone();
        let _ = conn.send_text(&peer);
    });
    let server = TestServer::start(app, |builder| builder);
    let client = TestClient::start();
    let url = format!("ws://ann:secret@{}/a?b=c", server.addr);
    let dial = Dial::new(&url).unwrap().protocol("v2").protocol("v1");
    client.dial(dial.origin("http://here").header("X-Own", "1"), "it");
    match client.told() {
        Told::Open(_, _, protocol) => assert_eq!(protocol.as_deref(), Some("v1")),
        other => panic!("{other:?}"),
    }
    let expected = "/a?b=c Some(\"http://here\") Some(\"1\") Some(\"Basic YW5uOnNlY3JldA==\")";
    assert_eq!(client.text(), expected);
}

#[test]
fn a_refusal_comes_with_status_headers_and_body() {
    let app = App::echo().on_request(|_, _| {
        let reply = Reply::text(401, "a token, please").header("WWW-Authenticate", "Bearer");
        Decision::Answer(reply)
    });
    let server = TestServer::start(app, |builder| builder);
    let client = TestClient::start();
    let why = client.fail(to(server.addr, "/"));
    let response = why.response().expect("a response");
    assert_eq!(response.status(), 401);
    assert_eq!(response.text("www-authenticate"), Some("Bearer"));
    assert_eq!(response.body(), b"a token, please");
    assert_eq!(why.name(), "dial_refused");
    let why = client.fail(to(server.addr, "/").max_body(7));
    assert_eq!(why.response().expect("a response").body(), b"a token");
}

#[test]
fn many_dials_on_one_loop_and_a_message_for_each() {
    let server = TestServer::echo();
    let client = TestClient::start();
    for number in 0..200 {
        client.dial(to(server.addr, "/"), &number.to_string());
    }
    let mut open = 0;
    let mut echoed = 0;
    while echoed < 200 {
        match client.told() {
            Told::Open(name, id, _) => {
                open += 1;
                let _ = client.on_worker(move |ctx| ctx.send(id, Message::Text(&name)));
            }
            Told::Text(name, text) => {
                assert_eq!(name, text);
                echoed += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(open, 200);
    client.shutdown();
    for _ in 0..200 {
        let code = Some(CloseCode::GOING_AWAY);
        let reason = "the server shuts down".into();
        assert_eq!(
            server.closed().cause,
            CloseCause::PeerClosed { code, reason }
        );
    }
}

/// A server that is a client too: what comes from upstream goes to the room, and the other way round.
#[test]
fn a_running_server_dials_and_its_dialled_connections_are_members_of_topics() {
    for deflate in [None, Some(DeflateConfig::default()), Some(with_takeover())] {
        for workers in [1, 2] {
            for topics in [1, 2] {
                for policy in [None, Some(Policy::new(WhenSlow::DropOldest))] {
                    bridge(deflate.clone(), workers, topics, policy);
                }
            }
        }
    }
}

fn with_takeover() -> DeflateConfig {
    let mut deflate = DeflateConfig::default();
    deflate.takeover = true;
    deflate.min_len = 1;
    deflate
}

fn bridge(deflate: Option<DeflateConfig>, workers: usize, topics: usize, policy: Option<Policy>) {
    let mut config = Config::default();
    config.deflate = deflate;
    let upstream = TestServer::start(App::rooms(), |builder| builder.protocol(config.clone()));
    let app = App::rooms().on_open(move |conn| {
        let peer = conn.peer().clone();
        conn.subscribe(&peer);
        // Two topics are another way through the fan-out than one.
        if conn.response().is_some() && topics == 2 {
            conn.subscribe("all");
        }
    });
    let server = TestServer::start(app, |builder| {
        let builder = builder.protocol(config.clone()).workers(workers);
        builder.topic_policy(move |_| policy)
    });
    let remote = server.remote.clone();
    let dial = to(upstream.addr, "/room");
    remote.dial(0, dial, String::from("/room")).expect("room");
    let bridge = server.opened();
    assert_eq!(bridge.worker(), 0);
    upstream.opened();
    let mut far = upstream.client("/room");
    upstream.opened();
    let mut near = server.client("/room");
    server.opened();
    until("both are members", || {
        server.on_worker(0, |ctx| ctx.members("/room")) == 2
            && upstream.on_worker(0, |ctx| ctx.members("/room")) == 2
    });
    for number in 0..50 {
        let text = format!("{number} {}", "abc ".repeat(number * 7));
        near.send_text(&text);
        assert_eq!(far.next_text(), text);
        far.send_text(&text);
        assert_eq!(near.next_text(), text);
    }
    // All that goes to it in one turn, from here and there, in one order.
    server.on_worker(0, move |ctx| {
        for number in 0..10 {
            ctx.publish("/room", Message::Text(&format!("room {number}")));
            let topic = if topics == 2 { "all" } else { "/room" };
            ctx.publish(topic, Message::Binary(&noise(number * 3000)));
            let _ = ctx.send(bridge, Message::Text(&format!("direct {number}")));
        }
    });
    for number in 0..10 {
        assert_eq!(far.next_text(), format!("room {number}"));
        assert_eq!(
            far.next_but_pings(),
            common::client::Received::Binary(noise(number * 3000))
        );
        assert_eq!(far.next_text(), format!("direct {number}"));
    }
    server.on_worker(0, move |ctx| ctx.close(bridge, CloseCode::NORMAL, "over"));
    let expected = CloseCause::WeClosed {
        code: CloseCode::NORMAL,
    };
    assert_eq!(server.closed().cause, expected);
}

/// A dialled connection does not take the place of one that comes.
#[test]
fn dialled_connections_do_not_count_against_the_limit() {
    let upstream = TestServer::echo();
    let server = TestServer::start(App::echo(), |builder| builder.max_connections(1));
    for _ in 0..3 {
        let dial = to(upstream.addr, "/");
        server.remote.dial(0, dial, String::new()).expect("room");
        server.opened();
    }
    let mut guest = server.client("/");
    guest.echo("there is room");
    drop(guest);
    server.closed();
    server.client("/").echo("and again");
}

#[test]
fn compression_is_offered_if_it_is_set_and_used_if_it_is_agreed_on() {
    let mut config = Config::default();
    config.deflate = Some(with_takeover());
    let server = TestServer::start(App::echo(), |builder| builder.protocol(config.clone()));
    let client = TestClient::start();
    let id = client.open(to(server.addr, "/").config(config));
    client.on_worker(move |ctx| {
        let _ = ctx.send(id, Message::Text(&"a".repeat(10_000)));
        let _ = ctx.send(id, Message::Text("short"));
    });
    assert_eq!(client.text(), "a".repeat(10_000));
    assert_eq!(client.text(), "short");
}

#[test]
fn a_dial_can_be_put_off_and_be_given_up() {
    let server = TestServer::echo();
    let client = TestClient::start();
    let later = to(server.addr, "/").after(Duration::from_secs(3600));
    let id = client.on_worker(move |ctx| ctx.dial(later, "it".into()));
    client.on_worker(move |ctx| ctx.close(id, CloseCode::NORMAL, ""));
    let code = CloseCode::NORMAL;
    assert_eq!(client.closed(), CloseCause::WeClosed { code });
    client.open(to(server.addr, "/").after(Duration::from_millis(50)));
    // Those that are not open do not hold a shutdown up.
    client.dial(
        to(server.addr, "/").after(Duration::from_secs(3600)),
        "late",
    );
    client.shutdown();
}

/// Its handler dials again whenever something has ended.
struct Again(std::sync::mpsc::Sender<&'static str>);

impl wirefan_eventloop::Handler for Again {
    type Peer = Dial;
    type Note = ();

    fn dialling(&mut self, _: &mut Dial) {
        let _ = self.0.send("dialling");
    }

    fn message(&mut self, _: &mut wirefan_eventloop::Conn<'_, Dial>, _: Message<'_>) {}

    fn closed(
        &mut self,
        dial: Option<Dial>,
        _: wirefan_eventloop::Caller,
        _: CloseCause,
        ctx: &mut wirefan_eventloop::Ctx<'_, Dial>,
    ) {
        let dial = dial.expect("what was dialled");
        ctx.dial(dial.clone(), dial);
    }
}

#[test]
fn a_handler_that_always_dials_again_does_not_hold_a_shutdown_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    drop(listener);
    let (tell, told) = std::sync::mpsc::channel();
    let client = wirefan_eventloop::Client::builder().start(move |_| Again(tell.clone()));
    let client = client.expect("a client");
    let dial = to(addr, "/");
    client.dial(dial.clone(), dial).expect("room");
    for _ in 0..10 {
        told.recv_timeout(common::PATIENCE).expect("it dials again");
    }
    client.shutdown(common::PATIENCE).expect("an orderly end");
}

#[test]
fn a_request_is_prepared_before_each_try_and_off_the_loop() {
    let app = App::echo().on_request(|request, _| match request.header("authorization") {
        Some(b"Bearer 3") => Decision::accept("/".into()),
        _ => Decision::Answer(Reply::new(401)),
    });
    let server = TestServer::start(app, |builder| builder);
    let client = TestClient::start();
    let tries = std::sync::atomic::AtomicUsize::new(1);
    let dial = to(server.addr, "/").prepare(move |dial| {
        assert_eq!(std::thread::current().name(), Some("wirefan-resolver"));
        let token = tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(dial.header("Authorization", &format!("Bearer {token}")))
    });
    for _ in 0..2 {
        assert_eq!(client.fail(dial.clone()).name(), "dial_refused");
    }
    client.open(dial);
    let dial = to(server.addr, "/").prepare(|_| Err("no token".into()));
    let why = client.fail(dial);
    assert_eq!(why.to_string(), "cannot prepare the request: no token");
    let dial = to(server.addr, "/").prepare(|_| panic!("on purpose"));
    assert_eq!(client.fail(dial).name(), "dial_prepare");
}
