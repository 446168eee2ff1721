//! What a server counts, and a look at what it has: against what its clients know.

mod common;

use std::io::Write;
use std::net::Shutdown;
use std::sync::mpsc;
use std::time::Duration;

use common::client::{Client, Received, dial, dial_narrow, exchange, request};
use common::server::{App, TestServer};
use common::{PATIENCE, until};
use wirefan_eventloop::{
    AtLimit, Backpressure, ConnId, Decision, DropPolicy, Timeouts, View, WorkerStats,
};
use wirefan_protocol::handshake::Reply;
use wirefan_protocol::{CloseCode, Config, DeflateConfig, Frame};

fn named(counts: &[(&'static str, u64)], name: &str) -> u64 {
    let found: Vec<u64> = counts
        .iter()
        .filter(|(n, _)| *n == name)
        .map(|c| c.1)
        .collect();
    assert!(found.len() <= 1, "{name} is there once");
    found.first().copied().unwrap_or(0)
}

/// Waits until the sums are as they are to be, and returns them.
fn await_total(
    server: &TestServer,
    what: &str,
    is_so: impl Fn(&WorkerStats) -> bool,
) -> WorkerStats {
    let mut last = server.remote.stats().total();
    until(what, || {
        last = server.remote.stats().total();
        is_so(&last)
    });
    last
}

/// What comes of a look at a worker.
fn look<T: Send + 'static>(
    server: &TestServer,
    worker: usize,
    look: impl FnOnce(&View<'_>) -> T + Send + 'static,
) -> T {
    let (answer, answers) = mpsc::channel();
    let posted = server.remote.inspect(worker, move |view| {
        let _ = answer.send(look(view));
    });
    posted.expect("room in the mailbox");
    answers.recv_timeout(PATIENCE).expect("the worker's answer")
}

#[test]
fn connections_handshakes_and_ends_are_counted_by_what_became_of_them() {
    let app = App::echo().on_request(|request, _| match request.path() {
        "/no" => Decision::Answer(Reply::text(403, "no")),
        "/page" => Decision::Answer(Reply::text(200, "page")),
        path => Decision::accept(path.into()),
    });
    let server = TestServer::start(app, |builder| builder.workers(2));
    let before = server.remote.stats().total();
    assert_eq!(named(&before.handshakes, "accepted"), 0);
    assert!(
        before.handshakes.contains(&("accepted", 0)),
        "it is there to be watched"
    );

    let mut polite = server.client("/");
    let mut rude = server.client("/");
    let _stays = server.client("/");
    await_total(&server, "three are open", |total| total.connections == 3);
    polite.close(CloseCode::NORMAL, "bye");
    polite.expect_close(CloseCode::NORMAL);
    // A frame that is not masked.
    rude.send_raw(&[0x81, 0]);
    rude.expect_close(CloseCode::PROTOCOL_ERROR);
    for (target, status) in [("/no", "403"), ("/page", "200")] {
        let answer = exchange(server.addr, request(target).as_bytes(), true);
        assert!(answer.contains(status), "{answer}");
    }
    exchange(server.addr, b"nonsense\r\n\r\n", true);
    drop(dial(server.addr));
    drop((polite, rude));

    let total = await_total(&server, "all ends are counted", |total| {
        total.connections == 1 && total.sockets == 1 && named(&total.handshakes, "lost") == 1
    });
    let handshakes = ["accepted", "answered_4xx", "answered_2xx", "bad_request"];
    let handshakes = handshakes.map(|name| named(&total.handshakes, name));
    assert_eq!(handshakes, [3, 1, 1, 1]);
    let closed = ["peer_closed", "protocol_error", "lost"];
    let closed = closed.map(|name| named(&total.closed, name));
    assert_eq!((closed, total.closed_total()), ([1, 1, 0], 2));
    assert!(total.turns.count() > 0 && total.turns.sum() > Duration::ZERO);
    assert_eq!(total.round_trips.count(), 0);
}

#[test]
fn messages_deliveries_and_bytes_are_counted_exactly() {
    for workers in [1, 3] {
        let app = App::echo()
            .on_open(|conn| {
                let room = conn.peer().clone();
                conn.subscribe(&room);
            })
            .on_message(|conn, message| {
                let room = conn.peer().clone();
                conn.publish(&room, message);
                let _ = conn.send(message);
            });
        let server = TestServer::start(app, |builder| builder.workers(workers));
        let mut clients: Vec<Client> = (0..4).map(|_| server.client("/room")).collect();
        let _other = server.client("/other");
        await_total(&server, "all are open", |total| total.connections == 5);
        assert_eq!(server.remote.stats().topics, 2, "{workers} workers");
        let opened = server.remote.stats().total();
        for _ in 0..10 {
            clients[0].send_text("four");
            for client in &mut clients {
                assert_eq!(client.next_text(), "four");
            }
        }
        clients[1].send_ping(b"not a message");
        assert!(matches!(clients[1].next(), Received::Pong(_)));
        // Frames with a mask and without one; and the ping and its pong.
        let bytes = (10 * 10 + 19, 40 * 6 + 15);
        let total = await_total(&server, "all is counted", |total| {
            let came = total.bytes_received - opened.bytes_received;
            let went = total.bytes_sent - opened.bytes_sent;
            total.deliveries == 30 && (came, went) == bytes
        });
        let messages = (total.messages_received, total.messages_sent);
        assert_eq!(messages, (10, 40));
        assert_eq!(
            (total.backlog, total.dropped),
            (0, DropPolicy::ALL.map(|it| (it, 0)))
        );
        // From another thread, to a topic and to a connection.
        server
            .remote
            .publish("/room", &Frame::text("four"))
            .unwrap();
        for client in &mut clients {
            assert_eq!(client.next_text(), "four");
        }
        await_total(&server, "it is counted", |total| {
            total.deliveries == 34 && total.messages_sent == 44
        });
    }
}

#[test]
fn a_slow_reader_shows_as_backlog_and_then_as_dropped_messages() {
    const LEN: usize = 16 * 1024;
    for at_limit in [AtLimit::Drop, AtLimit::Close(CloseCode::TRY_AGAIN_LATER)] {
        for in_topic in [false, true] {
            let mut marks = Backpressure::default();
            (marks.low, marks.high, marks.limit) = (LEN, 2 * LEN, 4 * LEN);
            marks.at_limit = at_limit;
            let app = App::echo().on_open(|conn| conn.subscribe("topic"));
            let server = TestServer::start(app, |builder| builder.backpressure(marks));
            let mut slow = Client::over(dial_narrow(server.addr), "/");
            let id = server.opened();
            let frame = Frame::binary(&[7; LEN]);
            let dropped = |total: &WorkerStats| {
                assert!(
                    total
                        .dropped
                        .iter()
                        .all(|(it, n)| *it == DropPolicy::New || *n == 0)
                );
                total.dropped.iter().map(|(_, n)| n).sum::<u64>()
            };
            let mut sent = 0;
            until("something is dropped", || {
                if dropped(&server.remote.stats().total()) > 0 {
                    return true;
                }
                let offered = match in_topic {
                    true => server.remote.publish("topic", &frame),
                    false => server.remote.send(id, &frame),
                };
                sent += u64::from(offered.is_ok());
                false
            });
            if at_limit == AtLimit::Drop {
                let total = await_total(&server, "each message is counted", |total| {
                    dropped(total) + total.messages_sent == sent
                });
                assert!(total.backlog >= LEN as u64, "{total:#?}");
                let backlog = look(&server, 0, |view| {
                    view.connections(None).next().unwrap().backlog
                });
                assert!(backlog >= total.backlog as usize);
                for _ in 0..total.messages_sent {
                    assert!(matches!(slow.next(), Received::Binary(_)));
                }
                await_total(&server, "the backlog is gone", |total| total.backlog == 0);
            } else {
                drop(slow);
                await_total(&server, "it is closed, and nothing is kept", |total| {
                    named(&total.closed, "slow_reader") == 1 && total.backlog == 0
                });
            }
        }
    }
}

#[test]
fn round_trips_are_measured_by_pings_of_the_loop() {
    let mut timeouts = Timeouts::default();
    timeouts.ping = Some(Duration::from_millis(20));
    let server = TestServer::start(App::echo(), |builder| builder.timeouts(timeouts));
    let mut client = server.client("/");
    let rtt = |view: &View<'_>| view.connections(None).next().and_then(|conn| conn.rtt);
    assert_eq!(look(&server, 0, rtt), None);
    assert!(matches!(client.next(), Received::Ping(_)));
    let total = await_total(&server, "its pong has come", |total| {
        total.round_trips.count() > 0
    });
    assert!(total.round_trips.sum() > Duration::ZERO);
    assert!(look(&server, 0, rtt) > Some(Duration::ZERO));
}

#[test]
fn compression_shows_what_it_was_given_and_what_came_of_it() {
    let mut deflate = DeflateConfig::default();
    deflate.shared_history = None;
    let mut config = Config::default();
    config.deflate = Some(deflate);
    let app = App::echo()
        .on_open(|conn| conn.subscribe("topic"))
        .on_message(|conn, message| conn.publish_all("topic", message));
    let server = TestServer::start(app, |builder| builder.protocol(config));
    let mut stream = dial(server.addr);
    let request = request("/").replace(
        "\r\n\r\n",
        "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    );
    stream.write_all(request.as_bytes()).unwrap();
    server.opened();
    // "Hello", of RFC 7692 §7.2.3.1, masked with zeros.
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    stream.write_all(&[0xc1, 0x80 | 7, 0, 0, 0, 0]).unwrap();
    stream.write_all(&hello).unwrap();
    let total = await_total(&server, "it has come", |total| total.messages_received == 1);
    assert_eq!((total.inflated.plain, total.inflated.compressed), (5, 7));
    assert_eq!(total.inflated.ratio(), Some(5.0 / 7.0));

    let text = "the same again and again, ".repeat(40);
    server.remote.publish("topic", &Frame::text(&text)).unwrap();
    let total = await_total(&server, "it is sent", |total| total.deliveries == 2);
    assert_eq!(total.deflated.plain, text.len() as u64);
    assert!(total.deflated.ratio().unwrap() > 10.0, "{total:#?}");
    stream.shutdown(Shutdown::Both).unwrap();
}

#[test]
fn a_look_shows_connections_page_by_page_and_topics() {
    let server = TestServer::start(App::rooms(), |builder| builder);
    let clients: Vec<Client> = (0..150)
        .map(|i| server.client(&format!("/room-{}", i % 3)))
        .collect();
    let ids: Vec<ConnId> = clients.iter().map(|_| server.opened()).collect();
    let mut waiting = dial(server.addr);
    waiting.write_all(b"GET / HTTP/1.1\r\n").unwrap();

    let mut seen: Vec<(ConnId, String, Vec<String>)> = Vec::new();
    loop {
        let after = seen.last().map(|(id, ..)| *id);
        let page = look(&server, 0, move |view| {
            let page = view.connections(after).take(40);
            page.map(|conn| {
                assert!(conn.peer::<u32>().is_none());
                let peer = conn.peer::<String>().unwrap().clone();
                (conn.id, peer, conn.topics().map(str::to_owned).collect())
            })
            .collect::<Vec<_>>()
        });
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    let mut in_order = ids.clone();
    in_order.sort_unstable();
    assert_eq!(
        seen.iter().map(|(id, ..)| *id).collect::<Vec<_>>(),
        in_order
    );
    for (_, peer, topics) in &seen {
        assert_eq!(topics, std::slice::from_ref(peer));
    }
    let mut topics: Vec<(String, usize)> = look(&server, 0, |view| {
        view.topics()
            .map(|(name, members)| (name.to_owned(), members))
            .collect()
    });
    topics.sort_unstable();
    assert_eq!(topics, [0, 1, 2].map(|i| (format!("/room-{i}"), 50)));

    let members = |view: &View<'_>| ["/room-1", "/room-9"].map(|topic| view.members(topic));
    assert_eq!(look(&server, 0, members), [50, 0]);
    let mut in_room = look(&server, 0, |view| {
        let conns = view.connections_in("/room-1");
        conns.map(|conn| conn.id).collect::<Vec<_>>()
    });
    in_room.sort_unstable();
    let mut expected: Vec<ConnId> = ids.iter().copied().skip(1).step_by(3).collect();
    expected.sort_unstable();
    assert_eq!(in_room, expected);

    let (here, gone) = (ids[1], ids[0]);
    drop(clients);
    until("they are gone", || {
        server.remote.stats().total().connections == 0
    });
    let client = server.client("/room-0");
    let new = server.opened();
    let found = move |view: &View<'_>| [here, gone, new].map(|id| view.connection(id).is_some());
    assert_eq!(look(&server, 0, found), [false, false, true]);
    assert!(
        server.remote.inspect(1, |_| {}).is_err(),
        "there is no such worker"
    );
    drop((client, waiting));
}
