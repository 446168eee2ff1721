//! The limits of each address and connection on real sockets: who is refused and how, and that nobody else notices.

mod common;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use common::client::{Client, Received, dial, frame, read_all, request, upgrade};
use common::server::{App, TestServer};
use common::{PATIENCE, until};
use socket2::{Domain, Socket, Type};
use wirefan_eventloop::admission::Rate;
use wirefan_eventloop::{
    Caller, CloseCause, Conn, Ctx, Decision, Endpoint, Handler, Limits, Message, OverRate, Server,
};
use wirefan_protocol::CloseCode;
use wirefan_protocol::handshake::{Reply, Request};

fn rate(per_second: u32, burst: u32) -> Option<Rate> {
    Some(Rate::new(
        NonZeroU32::new(per_second)?,
        NonZeroU32::new(burst)?,
    ))
}

fn start(limits: &Limits, workers: usize, app: App) -> TestServer {
    TestServer::start(app, |builder| {
        builder.workers(workers).limits(limits.clone())
    })
}

/// Connects from another address of this machine: 127.0.0.`last`.
fn dial_from(last: u8, addr: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
    socket
        .bind(&own.into())
        .expect("an address of this machine");
    socket.connect(&addr.into()).expect("connect");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Connects and says a byte, without which the system would keep the connection to itself for a second.
fn knock(addr: SocketAddr) -> TcpStream {
    let mut stream = dial(addr);
    stream.write_all(b"G").expect("a byte");
    stream
}

/// What somebody is told who is not let in: the status, and the seconds to wait.
fn refusal(mut stream: TcpStream) -> (u16, u64) {
    let (answer, end) = read_all(&mut stream);
    end.expect("an orderly end");
    let answer = String::from_utf8(answer).expect("ASCII");
    let status = answer.split(' ').nth(1).expect("a status");
    let (_, after) = answer.split_once("Retry-After: ").expect("Retry-After");
    let after = after.split('\r').next().expect("a number");
    (
        status.parse().expect("a status"),
        after.parse().expect("seconds"),
    )
}

#[cfg(target_os = "linux")]
#[test]
fn an_address_has_so_many_connections_over_all_workers_and_others_have_theirs() {
    for workers in [1, 3] {
        let mut limits = Limits::default();
        limits.per_address.connections = Some(3);
        let server = start(&limits, workers, App::echo());
        let mut clients: Vec<Client> = (0..3).map(|_| server.client("/")).collect();
        let others: Vec<Client> = (0..3)
            .map(|_| Client::over(dial_from(2, server.addr), "/"))
            .collect();
        for _ in 0..3 {
            assert_eq!(refusal(knock(server.addr)), (429, 10));
            let closed = server.closed();
            let cause = CloseCause::TooManyFromAddress;
            assert_eq!((closed.opened, &closed.cause), (false, &cause));
            assert_eq!(cause.name(), "too_many_from_address");
            drop(clients.pop());
            assert_eq!(server.closed().cause, CloseCause::Lost);
            clients.push(server.client("/"));
        }
        for mut client in clients.into_iter().chain(others) {
            client.echo("still here");
        }
    }
}

#[test]
fn an_address_makes_so_many_handshakes_in_a_second() {
    let mut limits = Limits::default();
    // So few that a slow machine cannot get another one for free.
    limits.per_address.handshakes =
        NonZeroU32::new(5).and_then(|burst| Some(Rate::new(NonZeroU32::new(1)?, burst)));
    let server = start(&limits, 1, App::echo());
    let begin = Instant::now();
    let mut clients: Vec<Client> = (0..5).map(|_| server.client("/")).collect();
    let refused = refusal(knock(server.addr));
    if begin.elapsed() < Duration::from_millis(900) {
        assert_eq!(refused, (429, 1));
        assert_eq!(server.closed().cause, CloseCause::TooManyHandshakes);
    }
    until("there is another one", || {
        let mut stream = dial(server.addr);
        stream
            .write_all(request("/").as_bytes())
            .expect("a request");
        let mut status = [0; 12];
        stream.read_exact(&mut status).is_ok() && status.ends_with(b"101")
    });
    for client in &mut clients {
        client.echo("still here");
    }
}

#[test]
fn behind_a_proxy_the_clients_are_counted_and_not_the_proxy() {
    let mut limits = Limits::default();
    limits.per_address.connections = Some(2);
    let server = TestServer::start(App::echo(), |builder| {
        let endpoint = Endpoint::tcp(([127, 0, 0, 1], 0).into());
        let endpoint = endpoint.proxy_protocol("loopback".parse().expect("it"));
        builder.listen_on(endpoint).limits(limits)
    });
    let by_proxy = |source: &str| {
        let mut stream = dial(server.addrs[1]);
        write!(stream, "PROXY TCP6 {source} 2001:db8::1 1 80\r\n").expect("a header");
        stream
    };
    let mut clients: Vec<_> = (0..10)
        .map(|i| Client::over(by_proxy(&format!("2001:db8:0:{}::1", i % 5)), "/"))
        .collect();
    // Another address of the same network of 64 bits.
    let mut one_more = by_proxy("2001:db8:0:3::9");
    one_more
        .write_all(request("/").as_bytes())
        .expect("a request");
    assert_eq!(refusal(one_more), (429, 10));
    assert_eq!(server.closed().cause, CloseCause::TooManyFromAddress);
    drop(clients.remove(3));
    assert_eq!(server.closed().cause, CloseCause::Lost);
    clients.push(Client::over(by_proxy("2001:db8:0:3::9"), "/"));
    for client in &mut clients {
        client.echo("still here");
    }
    // Those that come without the proxy are counted apart, and checks of the proxy itself not at all.
    let _direct = [server.client("/"), server.client("/")];
    for _ in 0..5 {
        let mut stream = dial(server.addrs[1]);
        stream.write_all(b"PROXY UNKNOWN\r\n").expect("a header");
        Client::over(stream, "/").echo("alive");
    }
}

/// Behind HTTP proxies, whose clients only the handler knows.
struct Forwarded;

impl Handler for Forwarded {
    type Peer = ();
    type Note = ();

    fn request(
        &mut self,
        request: &Request<'_>,
        caller: Caller,
        server: &mut Ctx<'_, ()>,
    ) -> Decision<()> {
        let client = request.path().trim_start_matches('/').parse();
        match server.count_as(caller.id, client.expect("an address")) {
            Ok(()) => Decision::accept(()),
            Err(why) => Decision::Answer(Reply::text(429, why.reason())),
        }
    }

    fn message(&mut self, conn: &mut Conn<'_, ()>, message: Message<'_>) {
        let _ = conn.send(message);
    }
}

#[test]
fn behind_an_http_proxy_the_handler_says_who_is_counted() {
    let mut limits = Limits::default();
    limits.per_address.connections = Some(2);
    limits.proxies = "loopback".parse().expect("it");
    let builder = Server::builder().workers(1).listen("127.0.0.1:0");
    let server = builder.expect("it").limits(limits).start(|_| Forwarded);
    let server = server.expect("a server");
    let addr = server.addrs()[0];
    let mut clients: Vec<_> = (0..10)
        .map(|i| Client::connect(addr, &format!("/192.0.2.{}", i % 5)))
        .collect();
    let refused = |client: &str| {
        let mut stream = dial(addr);
        let request = request(&format!("/{client}"));
        stream.write_all(request.as_bytes()).expect("a request");
        let mut status = [0; 12];
        stream.read_exact(&mut status).expect("an answer");
        status.ends_with(b"429")
    };
    assert!(refused("192.0.2.3"));
    drop(clients.remove(3));
    until("there is room", || !refused("192.0.2.3"));
    server.shutdown(Duration::ZERO).expect("an end");
}

#[test]
fn those_that_are_not_open_yet_have_a_limit_of_their_own() {
    for workers in [1, 3] {
        let mut limits = Limits::default();
        limits.pending = 4;
        let app = App::echo().on_request(|request, _| match request.path() {
            "/later" => Decision::Later,
            path => Decision::accept(path.into()),
        });
        let server = start(&limits, workers, app);
        // Many that are open are none of them.
        let mut open: Vec<Client> = (0..20)
            .map(|_| {
                let client = server.client("/");
                server.opened();
                client
            })
            .collect();
        let mut silent: Vec<TcpStream> = (0..2).map(|_| dial(server.addr)).collect();
        for _ in 0..2 {
            let mut stream = dial(server.addr);
            stream.write_all(request("/later").as_bytes()).expect("it");
            silent.push(stream);
        }
        until("they are there", || server.connections() == 24);
        assert_eq!(refusal(knock(server.addr)), (503, 1));
        assert_eq!(server.closed().cause, CloseCause::TooManyPending);
        upgrade(&mut silent[0], "/");
        server.opened();
        open.push(server.client("/"));
        server.opened();
        drop(silent.remove(1));
        assert_eq!(server.closed().cause, CloseCause::Lost);
        for client in &mut open {
            client.echo("still here");
        }
        let more: Vec<Client> = (0..10)
            .map(|_| {
                let client = server.client("/");
                server.opened();
                client
            })
            .collect();
        drop(more);
    }
}

/// An address storms in, far over its limit: few of it are answered, and those who are there notice nothing.
#[cfg(target_os = "linux")]
#[test]
fn a_storm_is_answered_in_part_and_disturbs_nobody() {
    let mut limits = Limits::default();
    limits.per_address.connections = Some(10);
    let server = start(&limits, 1, App::echo());
    let addr = server.addr;
    let mut well: Vec<Client> = (0..10).map(|_| server.client("/")).collect();
    let storm = std::thread::spawn(move || {
        let (mut answered, mut dropped) = (0, 0);
        for _ in 0..10 {
            let crowd: Vec<TcpStream> = (0..200).map(|_| knock(addr)).collect();
            for mut stream in crowd {
                match read_all(&mut stream).0.starts_with(b"HTTP/1.1 429 ") {
                    true => answered += 1,
                    false => dropped += 1,
                }
            }
        }
        (answered, dropped)
    });
    while !storm.is_finished() {
        for client in &mut well {
            client.echo("in the storm");
        }
        let mut other = Client::over(dial_from(3, addr), "/");
        other.echo("and newcomers from elsewhere too");
    }
    let (answered, dropped) = storm.join().expect("the storm");
    assert_eq!(answered + dropped, 2000);
    assert!(answered >= 256, "{answered} were answered");
    let mut told = 0;
    while told < answered {
        told += usize::from(server.closed().cause == CloseCause::TooManyFromAddress);
    }
    drop(well);
    until("nobody is left", || server.connections() == 0);
}

#[test]
fn too_many_topics_close_with_1008() {
    let mut limits = Limits::default();
    limits.topics = Some(2);
    let app = App::echo().on_message(|conn, message| {
        let Message::Text(topic) = message else {
            return;
        };
        if let Some(topic) = topic.strip_prefix('-') {
            conn.unsubscribe(topic);
        } else {
            conn.subscribe(topic);
        }
        let count = conn.topics().to_string();
        let _ = conn.send_text(&count);
    });
    let server = start(&limits, 1, app);
    let mut client = server.client("/");
    for (topic, count) in [("a", "1"), ("b", "2"), ("b", "2"), ("-a", "1"), ("c", "2")] {
        client.send_text(topic);
        assert_eq!(client.next_text(), count, "after {topic}");
    }
    client.send_text("d");
    client.expect_close(CloseCode::POLICY);
    let cause = server.closed().cause;
    assert_eq!(
        (cause.name(), cause),
        ("too_many_topics", CloseCause::TooManyTopics)
    );
}

/// Numbered messages, as fast as they go, in one write.
fn burst(client: &mut Client, count: usize) {
    let frames: Vec<u8> = (0..count)
        .flat_map(|i| frame(0x81, i.to_string().as_bytes()))
        .collect();
    client.send_raw(&frames);
}

#[test]
fn too_fast_is_delayed_and_nothing_is_lost_nor_out_of_order() {
    let mut limits = Limits::default();
    limits.traffic.messages = rate(200, 20);
    let server = start(&limits, 1, App::echo());
    let (mut fast, mut slow) = (server.client("/"), server.client("/"));
    let begin = Instant::now();
    burst(&mut fast, 220);
    // Others are not kept waiting.
    slow.echo("at once");
    for i in 0..220 {
        assert_eq!(fast.next_text(), i.to_string());
    }
    // 20 at once, 200 in a second: the last one is not there before.
    assert!(
        begin.elapsed() >= Duration::from_millis(990),
        "{:?}",
        begin.elapsed()
    );
    // What stands behind arrives too, the Close among it.
    burst(&mut fast, 30);
    fast.close(CloseCode::NORMAL, "done");
    for i in 0..30 {
        assert_eq!(fast.next_text(), i.to_string());
    }
    fast.expect_close(CloseCode::NORMAL);
    assert_eq!(server.closed().cause.name(), "peer_closed");
}

#[test]
fn bytes_are_counted_too_and_large_messages_are_slowed_down() {
    let mut limits = Limits::default();
    limits.traffic.bytes = rate(1_000_000, 100_000);
    let server = start(&limits, 1, App::echo());
    let mut client = server.client("/");
    let begin = Instant::now();
    for _ in 0..3 {
        client.send_raw(&frame(0x82, &[7; 300_000]));
        match client.next_but_pings() {
            Received::Binary(data) => assert_eq!(data.len(), 300_000),
            other => panic!("{other:?}"),
        }
    }
    // The third one waits until the first two are paid for, but for the 100,000 in advance.
    assert!(
        begin.elapsed() >= Duration::from_millis(490),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn too_fast_is_dropped_and_the_connection_stays() {
    let mut limits = Limits::default();
    limits.traffic.messages = rate(1, 20);
    limits.over_rate = OverRate::Drop;
    let server = start(&limits, 1, App::echo());
    let mut client = server.client("/");
    burst(&mut client, 5000);
    client.send_raw(&frame(0x89, b"behind them"));
    let mut seen = Vec::new();
    loop {
        match client.next() {
            Received::Text(text) => seen.push(text.parse::<usize>().expect("a number")),
            Received::Pong(_) => break,
            other => panic!("{other:?}"),
        }
    }
    let expected: Vec<usize> = (0..20).collect();
    assert_eq!(seen[..20], expected);
    assert!(seen.len() < 50, "{} came through", seen.len());
    until("there is room again", || {
        client.send_raw(&frame(0x81, b"again"));
        client.send_raw(&frame(0x89, b""));
        client.next_but_pings() == Received::Text("again".into())
    });
}

#[test]
fn too_fast_is_closed_with_1008() {
    let mut limits = Limits::default();
    limits.traffic.messages = rate(1, 20);
    limits.over_rate = OverRate::Close;
    let server = start(&limits, 1, App::echo());
    let (mut fast, mut slow) = (server.client("/"), server.client("/"));
    burst(&mut fast, 5000);
    fast.expect_close(CloseCode::POLICY);
    let cause = server.closed().cause;
    assert_eq!((cause.name(), cause), ("too_fast", CloseCause::TooFast));
    slow.echo("still here");
}

#[test]
fn who_never_reads_nor_stops_holds_little() {
    // Delayed for long, with megabytes more than it may send: the rest stays in its own socket.
    let mut limits = Limits::default();
    limits.traffic.messages = rate(10, 10);
    let server = start(&limits, 1, App::echo());
    let client = server.client("/");
    let mut writer = client.stream.try_clone().expect("the same");
    writer
        .set_write_timeout(Some(Duration::from_millis(500)))
        .expect("it");
    let frames: Vec<u8> = (0..1000).flat_map(|_| frame(0x82, &[0; 10])).collect();
    let mut sent = 0;
    while sent < 64 << 20 {
        match writer.write(&frames) {
            Ok(len) => sent += len,
            Err(_) => break,
        }
    }
    assert!(sent < 64 << 20, "it was all taken");
    server.client("/").echo("others are served");
}
