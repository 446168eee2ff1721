//! The admin listener: health, metrics, the API, the dashboard's feed, who may use them, and the log's ids.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use common::{Client, PATIENCE, Received, Reply, Wirefan, run, text};
use serde_json::{Value, json};
use wirefan_protocol::CloseCode;
use wirefan_protocol::handshake::ClientRequest;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A server with an admin listener.
struct Watched {
    server: Wirefan,
    admin: SocketAddr,
}

impl Watched {
    fn start(args: &[&str]) -> Self {
        let server = Wirefan::start(&[args, &["--admin", "127.0.0.1:0"]].concat());
        let line = server.line_with("admin on ");
        let (_, rest) = line.split_once("admin on ").unwrap();
        let admin = rest.split(' ').next().unwrap().parse().unwrap();
        Self { server, admin }
    }

    fn with_token(name: &str, args: &[&str]) -> Self {
        let file = token_file(name, &format!("{TOKEN}\n"));
        Self::start(&[args, &["--admin-token-file", file.to_str().unwrap()]].concat())
    }

    /// A request with the token.
    fn ask(&self, method: &str, target: &str) -> Reply {
        self.send(method, target, &bearer(), b"")
    }

    fn send(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> Reply {
        ask(self.admin, method, target, headers, body)
    }

    fn json(&self, target: &str) -> Value {
        let reply = self.ask("GET", target);
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(
            reply.has("Content-Type: application/json") && reply.has("Cache-Control: no-store")
        );
        serde_json::from_str(&reply.body).unwrap()
    }

    /// The sum over all workers of the samples that begin so, as soon as it is `wanted`.
    fn await_metric(&self, sample: &str, wanted: f64) {
        until(|| {
            let page = self.ask("GET", "/metrics").body;
            let sum = sum(&page, sample);
            (sum == wanted)
                .then_some(())
                .ok_or_else(|| format!("{sample}: {sum}, not {wanted}"))
        });
    }
}

/// Adds up the samples of one name, whose labels have all of these words in them.
fn sum(page: &str, sample: &str) -> f64 {
    let (name, words) = sample.split_once(' ').unwrap_or((sample, ""));
    page.lines()
        .filter_map(|line| line.rsplit_once(' '))
        .filter(|(labels, _)| labels.split('{').next() == Some(name))
        .filter(|(labels, _)| words.split(' ').all(|word| labels.contains(word)))
        .map(|(_, value)| value.parse::<f64>().unwrap())
        .sum()
}

fn bearer() -> String {
    format!("Authorization: Bearer {TOKEN}\r\n")
}

fn token_file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("admin-token-{name}"));
    fs::write(&path, text).unwrap();
    path
}

fn ask(addr: SocketAddr, method: &str, target: &str, headers: &str, body: &[u8]) -> Reply {
    let mut socket = TcpStream::connect(addr).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let len = body.len();
    let host = if headers.contains("Host:") {
        ""
    } else {
        "Host: localhost\r\n"
    };
    let head =
        format!("{method} {target} HTTP/1.1\r\n{host}{headers}Content-Length: {len}\r\n\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(body).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    Reply {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

fn until<T>(mut found: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match found() {
            Ok(found) => return found,
            Err(why) => assert!(start.elapsed() < PATIENCE, "{why}"),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn it_is_alive_and_ready_until_it_drains() {
    let args = [
        "echo",
        "--workers",
        "2",
        "--close-timeout",
        "1h",
        "--shutdown-grace",
        "1h",
    ];
    let mut watched = Watched::start(&args);
    for method in ["GET", "HEAD"] {
        assert_eq!(watched.send(method, "/health", "", b"").status, 200);
        assert_eq!(watched.send(method, "/ready", "", b"").status, 200);
    }
    assert_eq!(watched.send("POST", "/ready", "", b"").status, 405);
    let mut client = watched.server.connect("/");
    #[cfg(unix)]
    {
        watched.server.signal("TERM");
        watched.server.line_with("SIGTERM");
        until(|| match watched.send("GET", "/ready", "", b"").status {
            503 => Ok(()),
            other => Err(other.to_string()),
        });
        assert_eq!(
            sum(
                &watched.send("GET", "/metrics", "", b"").body,
                "wirefan_ready"
            ),
            0.0
        );
        assert_eq!(client.next(), Received::Close(Some(CloseCode::GOING_AWAY)));
        assert_eq!(client.next(), Received::End);
        assert_eq!(watched.server.wait().code(), Some(0));
    }
}

#[test]
fn metrics_tell_what_has_happened() {
    let watched = Watched::with_token("metrics", &["broadcast", "--workers", "2"]);
    let metrics = watched.ask("GET", "/metrics");
    assert!(
        metrics.has("Content-Type: text/plain; version=0.0.4; charset=utf-8"),
        "{metrics:?}"
    );
    assert_eq!(sum(&metrics.body, "wirefan_connections"), 0.0);
    assert_eq!(
        sum(
            &metrics.body,
            "wirefan_connections_closed_total cause=\"slow_reader\""
        ),
        0.0
    );
    assert!(sum(&metrics.body, "process_start_time_seconds") > 1.7e9);

    let mut tea: Vec<Client> = (0..3).map(|_| watched.server.connect("/tea")).collect();
    let mut coffee = watched.server.connect("/coffee");
    watched.await_metric("wirefan_connections", 4.0);
    watched.await_metric("wirefan_topics", 2.0);
    watched.await_metric("wirefan_handshakes_total result=\"accepted\"", 4.0);
    tea[0].send_text("hello");
    for client in &mut tea[1..] {
        assert_eq!(client.next(), text("hello"));
    }
    watched.await_metric("wirefan_messages_received_total", 1.0);
    watched.await_metric("wirefan_deliveries_total", 2.0);
    watched.await_metric("wirefan_messages_sent_total", 2.0);
    watched.await_metric("wirefan_backlog_bytes", 0.0);
    coffee.close(CloseCode::NORMAL, "");
    assert_eq!(coffee.next(), Received::Close(Some(CloseCode::NORMAL)));
    watched.await_metric(
        "wirefan_connections_closed_total cause=\"peer_closed\"",
        1.0,
    );
    watched.await_metric("wirefan_connections", 3.0);
    assert_eq!(watched.server.ask("GET", "/tea").status, 200);
    watched.await_metric("wirefan_handshakes_total result=\"answered_2xx\"", 1.0);
    let page = watched.ask("GET", "/metrics").body;
    let turns = sum(&page, "wirefan_turn_seconds_count");
    assert!(turns > 5.0);
    assert_eq!(sum(&page, "wirefan_turn_seconds_bucket le=\"+Inf\""), turns);
    assert!(sum(&page, "wirefan_turn_seconds_sum") > 0.0);
    assert!(page.ends_with('\n'));
}

#[test]
fn every_metric_of_the_documentation_is_there_and_every_one_is_documented() {
    let watched = Watched::start(&["echo"]);
    let page = watched.send("GET", "/metrics", "", b"").body;
    let families: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let docs = include_str!("../../../docs/metrics.md");
    for text in [docs, include_str!("../../../docs/grafana.json")] {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for word in words.filter(|word| word.starts_with("wirefan_")) {
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| word.strip_suffix(end));
            let family = family.unwrap_or(word);
            assert!(families.contains(&family), "there is no {word}");
        }
    }
    for family in families {
        assert!(docs.contains(family), "{family} is not documented");
    }
}

#[test]
fn rooms_and_connections_are_listed_page_by_page() {
    for workers in ["1", "3"] {
        let watched = Watched::with_token("lists", &["broadcast", "--workers", workers]);
        assert_eq!(
            watched.json("/api/rooms"),
            json!({"rooms": [], "total": 0, "next": null})
        );
        let clients: Vec<Client> = (0..9)
            .map(|i| watched.server.connect(&format!("/room-{}", i % 3)))
            .collect();
        watched.await_metric("wirefan_connections", 9.0);
        let page = watched.json("/api/rooms?limit=2");
        let members = |room: &str| json!({"room": room, "members": 3});
        assert_eq!(
            page["rooms"],
            json!([members("/room-0"), members("/room-1")])
        );
        assert_eq!(
            (&page["total"], &page["next"]),
            (&json!(3), &json!("/room-1"))
        );
        let page = watched.json("/api/rooms?limit=2&after=/room-1");
        assert_eq!(
            (&page["rooms"], &page["next"]),
            (&json!([members("/room-2")]), &Value::Null)
        );

        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = watched.json(&format!("/api/connections?limit=4{after}"));
            assert_eq!(page["total"], 9);
            seen.extend(page["connections"].as_array().unwrap().clone());
            match page["next"].as_str() {
                Some(id) => after = format!("&after={id}"),
                None => break,
            }
        }
        let mut ids: Vec<&str> = seen
            .iter()
            .map(|conn| conn["id"].as_str().unwrap())
            .collect();
        ids.dedup();
        assert_eq!(ids.len(), 9, "each once: {seen:?}");
        for conn in &seen {
            assert!(
                conn["addr"].as_str().unwrap().starts_with("127.0.0.1:"),
                "{conn}"
            );
            assert!(
                conn["rooms"][0].as_str().unwrap().starts_with("/room-"),
                "{conn}"
            );
            assert_eq!(
                (&conn["messages_received"], &conn["backlog_bytes"]),
                (&json!(0), &json!(0))
            );
            assert!(conn["seconds"].as_f64().unwrap() >= 0.0, "{conn}");
            assert_eq!(
                &watched.json(&format!("/api/connections/{}", ids[0]))["id"],
                ids[0]
            );
        }
        let in_room = watched.json("/api/connections?room=/room-1");
        assert_eq!(in_room["connections"].as_array().unwrap().len(), 3);
        for (target, status) in [
            ("/api/rooms?limit=0", 400),
            ("/api/rooms?limit=1001", 400),
            ("/api/connections?after=x", 400),
            ("/api/connections/x", 404),
            ("/api/connections/0-99-0", 404),
            ("/api/connections/99-0-0", 404),
            ("/api/nothing", 404),
            ("/nothing", 404),
        ] {
            assert_eq!(watched.ask("GET", target).status, status, "{target}");
        }
        for (method, target, allow) in [
            ("DELETE", "/api/rooms", "GET, HEAD"),
            ("GET", "/api/rooms/tea", "POST"),
            ("POST", "/api/connections/0-0-0", "GET, HEAD, DELETE"),
        ] {
            let reply = watched.ask(method, target);
            assert!(
                reply.status == 405 && reply.has(&format!("Allow: {allow}")),
                "{reply:?}"
            );
        }
        drop(clients);
    }
}

#[test]
fn an_echo_server_knows_as_much_of_its_connections() {
    let watched = Watched::with_token("echo", &["echo"]);
    let mut client = watched.server.connect("/");
    client.send_text("hello");
    assert_eq!(client.next(), text("hello"));
    let conn = &watched.json("/api/connections")["connections"][0];
    assert_eq!(
        (&conn["messages_received"], &conn["rooms"]),
        (&json!(1), &json!([]))
    );
    assert!(conn["seconds"].is_f64(), "{conn}");
}

#[test]
fn a_back_end_publishes_text_and_bytes_into_a_room() {
    for workers in ["1", "2"] {
        let args = ["broadcast", "--workers", workers, "--max-message", "1k"];
        let watched = Watched::with_token("publish", &args);
        let mut members = [(); 3].map(|()| watched.server.connect("/gr%C3%BCn/tee"));
        watched.await_metric("wirefan_connections", 3.0);
        let publish = |query: &str, kind: &str, body: &[u8]| {
            let headers = format!("{}{kind}", bearer());
            watched.send(
                "POST",
                &format!("/api/rooms/gr%C3%BCn/tee{query}"),
                &headers,
                body,
            )
        };
        let hello = "grün".as_bytes();
        let bytes = Received::Binary(hello.to_vec());
        for (query, kind, expected) in [
            (
                "",
                "Content-Type: text/plain; charset=utf-8\r\n",
                text("grün"),
            ),
            ("", "Content-Type: Application/JSON\r\n", text("grün")),
            (
                "",
                "content-type: application/cloudevents+json\r\n",
                text("grün"),
            ),
            (
                "",
                "Content-Type: application/x-www-form-urlencoded\r\n",
                bytes.clone(),
            ),
            ("", "", bytes.clone()),
            ("?text", "", text("grün")),
            ("?binary", "Content-Type: text/plain\r\n", bytes),
        ] {
            let reply = publish(query, kind, hello);
            assert_eq!(reply.status, 202, "{reply:?}");
            let said: Value = serde_json::from_str(&reply.body).unwrap();
            assert_eq!(said, json!({"room": "/grün/tee", "members": 3}));
            for member in &mut members {
                assert_eq!(member.next(), expected, "{query} {kind}");
            }
        }
        assert_eq!(publish("?text", "", &[0xff]).status, 400);
        assert_eq!(publish("", "", &[0; 1024]).status, 202);
        assert_eq!(publish("", "", &[0; 1025]).status, 413);
        let reply = watched.send("POST", "/api/rooms/nobody", &bearer(), b"x");
        assert_eq!(
            serde_json::from_str::<Value>(&reply.body).unwrap()["members"],
            0
        );
        assert_eq!(
            watched
                .send("POST", "/api/rooms/%0a", &bearer(), b"x")
                .status,
            400
        );
    }
}

#[test]
fn one_connection_is_closed_and_no_other() {
    let watched = Watched::with_token("close", &["broadcast", "--workers", "2"]);
    let mut stays = watched.server.connect("/stays");
    let (mut one, mut other) = (
        watched.server.connect("/one"),
        watched.server.connect("/two"),
    );
    watched.await_metric("wirefan_connections", 3.0);
    let id = |room: &str| {
        let page = watched.json(&format!("/api/connections?room={room}"));
        page["connections"][0]["id"].as_str().unwrap().to_owned()
    };
    let target = format!("/api/connections/{}", id("/one"));
    for wrong in ["?code=1005", "?code=999", "?code=x"] {
        assert_eq!(
            watched.ask("DELETE", &format!("{target}{wrong}")).status,
            400
        );
    }
    let long = format!("{target}?reason={}", "x".repeat(124));
    assert_eq!(watched.ask("DELETE", &long).status, 400);
    assert_eq!(watched.ask("DELETE", &target).status, 202);
    assert_eq!(one.next(), Received::Close(Some(CloseCode::NORMAL)));
    let line = watched.server.line_with("closed over the admin listener");
    let end = watched.server.line_with("disconnected");
    assert!(
        line.contains("code=1000") && end.contains("cause=\"we_closed\""),
        "{line}\n{end}"
    );
    let target = format!(
        "/api/connections/{}?code=4001&reason=too%20loud",
        id("/two")
    );
    assert_eq!(watched.ask("DELETE", &target).status, 202);
    assert_eq!(other.next(), Received::Close(Some(CloseCode(4001))));
    drop((one, other));
    watched.await_metric("wirefan_connections", 1.0);
    assert_eq!(watched.ask("DELETE", &target).status, 404);
    watched.await_metric("wirefan_connections_closed_total cause=\"we_closed\"", 2.0);
    stays.send_text("still here");
    watched.await_metric("wirefan_messages_received_total", 1.0);
}

#[test]
fn everything_but_the_checks_wants_the_token() {
    let watched = Watched::with_token("access", &["broadcast"]);
    let _client = watched.server.connect("/");
    let wrong = "Authorization: Bearer 0123456789abcdef0123456789abcdeX\r\n";
    for (method, target) in [
        ("GET", "/metrics"),
        ("GET", "/api/rooms"),
        ("GET", "/api/connections"),
        ("GET", "/api/connections/0-0-0"),
        ("GET", "/api/nothing"),
        ("DELETE", "/api/connections/0-0-0"),
        ("POST", "/api/rooms/"),
    ] {
        for headers in ["", wrong] {
            let reply = watched.send(method, target, headers, b"");
            assert_eq!(reply.status, 401, "{method} {target}");
            assert!(
                reply.has("WWW-Authenticate: Bearer realm=\"wirefan\""),
                "{reply:?}"
            );
        }
    }
    for (target, status) in [
        ("/health", 200),
        ("/ready", 200),
        ("/dashboard", 200),
        ("/", 303),
    ] {
        assert_eq!(
            watched.send("GET", target, "", b"").status,
            status,
            "{target}"
        );
    }
    let refused = watched.server.line_with("refused by the admin listener");
    assert!(!refused.contains("0123456789"), "{refused}");

    let open = Watched::with_token("open", &["echo", "--admin-open-metrics"]);
    assert_eq!(open.send("GET", "/metrics", "", b"").status, 200);
    assert_eq!(open.send("GET", "/api/connections", "", b"").status, 401);
}

#[test]
fn without_a_token_this_machine_may_look_and_no_more() {
    let watched = Watched::start(&["broadcast"]);
    assert_eq!(watched.send("GET", "/metrics", "", b"").status, 200);
    assert_eq!(watched.send("GET", "/api/rooms", "", b"").status, 200);
    for headers in [
        "Host: rebound.example\r\n",
        "Origin: http://evil.example\r\n",
    ] {
        assert_eq!(
            watched.send("GET", "/api/rooms", headers, b"").status,
            403,
            "{headers}"
        );
    }
    let publish = watched.send("POST", "/api/rooms/", "", b"x");
    assert!(
        publish.status == 403 && publish.body.contains("--admin-token-file"),
        "{publish:?}"
    );
    assert_eq!(
        watched
            .send("DELETE", "/api/connections/0-0-0", "", b"")
            .status,
        403
    );

    for (args, way_out) in [
        (&["--admin", "0.0.0.0:0"][..], "--admin-token-file"),
        (&["--admin", "[::]:0"], "--admin-token-file"),
        (
            &["--admin", "127.0.0.1:0", "--admin-token-file", "/nowhere"],
            "/nowhere",
        ),
        (
            &["--admin", "127.0.0.1:0", "--admin-token-file", "/dev/null"],
            "openssl rand",
        ),
    ] {
        let args = [&["echo", "--listen", "127.0.0.1:0"], args].concat();
        let output = run(&args);
        let said = String::from_utf8(output.stderr).unwrap();
        let said = said.lines().last().unwrap();
        assert!(
            output.status.code() == Some(1) && said.contains(way_out),
            "{said}"
        );
    }
    for args in [
        &["--admin-open-metrics"][..],
        &["--admin", "wss://127.0.0.1:0"],
    ] {
        assert_eq!(
            run(&[&["echo"], args].concat()).status.code(),
            Some(2),
            "{args:?}"
        );
    }
}

/// The next snapshot that a dashboard is told.
fn snapshot(feed: &mut Client) -> Value {
    match feed.next() {
        Received::Text(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_dashboard_is_fed_when_it_has_shown_the_token() {
    let watched = Watched::with_token("feed", &["broadcast", "--workers", "2"]);
    let connect = || {
        Client::connect(
            watched.admin,
            ClientRequest::new("localhost", "/dashboard/feed"),
        )
    };
    let mut feed = connect().unwrap();
    feed.send_text(&json!({ "token": TOKEN }).to_string());
    let first = snapshot(&mut feed);
    assert_eq!(
        (&first["total"]["connections"], &first["draining"]),
        (&json!(0), &json!(false))
    );
    assert_eq!(first["workers"].as_array().unwrap().len(), 2);
    let mut client = watched.server.connect("/tea");
    client.send_text("hello");
    until(|| {
        let total = &snapshot(&mut feed)["total"];
        let now = json!([total["connections"], total["received"], total["topics"]]);
        (now == json!([1, 1, 1]))
            .then_some(())
            .ok_or_else(|| now.to_string())
    });
    for wrong in [
        json!({ "token": "wrong" }).to_string(),
        "{}".into(),
        "x".into(),
    ] {
        let mut feed = connect().unwrap();
        feed.send_text(&wrong);
        assert_eq!(
            feed.next(),
            Received::Close(Some(CloseCode::POLICY)),
            "{wrong}"
        );
    }
    let mut request = ClientRequest::new("localhost", "/dashboard/feed");
    request.origin = Some("http://evil.example");
    assert_eq!(Client::connect(watched.admin, request).err(), Some(403));

    let open = Watched::start(&["echo"]);
    let mut feed = Client::connect(
        open.admin,
        ClientRequest::new("localhost", "/dashboard/feed"),
    )
    .unwrap();
    assert_eq!(snapshot(&mut feed)["total"]["connections"], 0);
    let rebound = ClientRequest::new("rebound.example", "/dashboard/feed");
    assert_eq!(Client::connect(open.admin, rebound).err(), Some(403));
}

#[test]
fn every_line_of_a_connection_has_its_id_in_text_and_in_json() {
    for format in ["text", "json"] {
        let args = ["broadcast", "--log-format", format, "--log", "trace"];
        let watched = Watched::start(&args);
        let mut client = watched.server.connect("/tea");
        client.send_text("hello");
        let lines = [
            watched.server.line_with("connected"),
            watched.server.line_with("text"),
        ];
        let page = watched.json("/api/connections");
        let id = page["connections"][0]["id"].as_str().unwrap().to_owned();
        client.close(CloseCode(4000), "enough");
        let end = watched.server.line_with("disconnected");
        for line in lines.iter().chain([&end]) {
            if format == "text" {
                assert!(line.contains(&format!(" id={id} ")), "{line}");
                continue;
            }
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["id"], *id, "{line}");
            assert!(
                line["timestamp"].is_string() && line["level"].is_string(),
                "{line}"
            );
        }
        if format == "json" {
            let end: Value = serde_json::from_str(&end).unwrap();
            assert_eq!(
                (&end["cause"], &end["messages"]),
                (&json!("peer_closed"), &json!(1))
            );
            assert_eq!(
                end["message"],
                "disconnected: peer closed with 4000 (private use): enough"
            );
        }
    }
}
