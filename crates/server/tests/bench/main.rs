//! `wirefan bench` against real servers, and against some that lose, change or refuse what they get.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

#[path = "../common/mod.rs"]
mod common;
mod ends;
mod servers;

use std::io::BufRead;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use common::{PATIENCE, Wirefan, run};
use serde_json::Value;
use servers::{Habit, hub, raw_echo, read_on, refusing, serve, server_that, switching};
use wirefan_protocol::{CloseCode, Kind, SendError};

fn bench(mode: &str, addr: impl std::fmt::Display, args: &str) -> Output {
    let url = format!("ws://{addr}/");
    let args = args.split_whitespace();
    run(&["bench", mode, &url]
        .into_iter()
        .chain(args)
        .collect::<Vec<_>>())
}

/// A run in which nothing is wrong, as JSON.
fn clean(mode: &str, addr: SocketAddr, args: &str) -> Value {
    let output = bench(mode, addr, &format!("--json {args}"));
    let results = json(&output);
    assert!(output.status.success(), "{args}: {results}");
    assert!(output.stderr.is_empty(), "{output:?}");
    for field in [
        "lost",
        "reordered",
        "duplicated",
        "verify_errors",
        "connections_failed",
    ] {
        assert_eq!(results[field], 0, "{field} of {args}: {results}");
    }
    assert!(results["errors"].as_object().unwrap().is_empty());
    results
}

/// Without load beforehand, unless it is asked for.
fn counted(mode: &str, addr: SocketAddr, count: u32, args: &str) -> Value {
    let warmup = if args.contains("--warmup") {
        ""
    } else {
        "--warmup 0"
    };
    clean(mode, addr, &format!("--count {count} {warmup} {args}"))
}

fn json(output: &Output) -> Value {
    let text = str::from_utf8(&output.stdout).unwrap();
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Every mode over TLS: large messages, which fill the socket, small ones, many handshakes.
#[test]
fn everything_works_over_tls() {
    let (server, certificate) =
        Wirefan::start_self_signed(&["echo", "--workers", "1", "--max-message", "4m"]);
    let url = format!("wss://{}/", server.addr);
    let clean = |mode, args: &str| {
        let args: Vec<_> = [&["bench", mode, &url, "--json"][..], &words(args)].concat();
        let output = run(&args);
        let results = json(&output);
        assert!(output.status.success(), "{args:?}: {results}");
        assert_eq!(results["connections_failed"], 0, "{results}");
        results
    };
    for args in [
        "--connections 3 --in-flight 32",
        "--connections 2 --in-flight 3 --size 1m --payload binary",
        "--connections 2 --in-flight 2 --size 3000 --compress",
        "--connections 5 --in-flight 7 --threads 2 --payload utf8 --size 100",
    ] {
        let args = format!("--insecure --warmup 0 --count 300 {args}");
        assert_eq!(clean("echo", &args)["messages"], 300);
    }
    let trusted = format!("--tls-ca {} --duration 200ms", certificate.display());
    assert!(clean("connect", &trusted)["messages"].as_u64() > Some(0));
    assert_eq!(
        clean("idle", "--insecure --connections 40 --duration 10ms")["connections_opened"],
        40
    );
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (server, _) = Wirefan::start_self_signed(&["echo", "--workers", "1"]);
    let (_, other) = Wirefan::start_self_signed(&["echo", "--workers", "1"]);
    let url = format!("wss://{}/", server.addr);
    let refused = |args: &[&str], words: &str| {
        let args = [&["bench", "echo", &url, "--count", "1"], args].concat();
        let output = run(&args);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains(words), "{said}");
    };
    refused(&[], "--insecure");
    refused(&["--tls-ca", other.to_str().unwrap()], "certificate");
    refused(&["--tls-ca", "Cargo.toml"], "no certificate in Cargo.toml");
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn echo_measures_exactly_what_was_asked_for() {
    let server = Wirefan::start(&["echo", "--workers", "1", "--max-message", "4m"]);
    for args in [
        "--connections 3",
        "--connections 5 --in-flight 7 --threads 2 --payload utf8 --size 100",
        "--connections 2 --in-flight 3 --size 0",
        "--connections 2 --in-flight 40 --size 3 --payload binary --warmup 50ms",
        "--connections 2 --in-flight 2 --size 3000 --compress",
        "--connections 2 --in-flight 4 --size 1000 --payload utf8 --compress",
        "--connections 4 --rate 20000 --size 125",
        "--connections 4 --rate 20000 --in-flight 1 --threads 2",
    ] {
        let results = counted("echo", server.addr, 500, args);
        assert_eq!(results["messages"], 500, "{args}: {results}");
        assert_eq!(results["mode"], "echo");
        assert!(results["latency_us"]["p50"].as_f64().unwrap() > 0.0);
        assert!(results["latency_us"]["p99_9"].as_f64() <= results["latency_us"]["max"].as_f64());
        assert!(results["messages_per_second"].as_f64().unwrap() > 0.0);
        if args.contains("--compress") {
            assert_eq!(results["compressed_connections"], 2);
        } else {
            let size = results["size_bytes"].as_u64().unwrap();
            let header = if size < 126 { 2 } else { 4 };
            assert_eq!(
                results["received_bytes"],
                500 * (size + header),
                "{results}"
            );
        }
    }
    let large = "--count 6 --warmup 0 --connections 2 --in-flight 2 --size 4m --payload binary";
    assert_eq!(clean("echo", server.addr, large)["messages"], 6);
}

#[test]
fn without_a_word_it_is_echo_for_a_time() {
    let server = Wirefan::start(&["echo"]);
    let url = format!("ws://{}/", server.addr);
    let output = run(&["bench", "--duration", "200ms", "--warmup", "20ms", &url]);
    let table = str::from_utf8(&output.stdout).unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    for part in ["echo", "messages", "MB/s", "p99.9", "0 lost", "CPU of ours"] {
        assert!(table.contains(part), "{part} in {table}");
    }
    let seconds = clean("echo", server.addr, "--duration 200ms")["seconds"]
        .as_f64()
        .unwrap();
    assert!(seconds >= 0.2, "{seconds}");
}

#[test]
fn broadcast_counts_every_delivery() {
    let server = Wirefan::start(&["broadcast", "--workers", "1"]);
    let to_sender = Wirefan::start(&["broadcast", "--to-sender", "--workers", "1"]);
    for args in [
        "--subscribers 1",
        "--subscribers 20 --in-flight 5 --size 1000 --payload utf8",
        "--subscribers 10 --publishers 3 --in-flight 4 --size 64",
        "--subscribers 9 --publishers 2 --threads 2 --size 200 --payload binary",
        "--subscribers 5 --threads 3 --in-flight 8 --warmup 30ms",
        "--subscribers 8 --compress --size 400",
        "--subscribers 4 --rate 5000",
    ] {
        for server in [&server, &to_sender] {
            let results = counted("broadcast", server.addr, 200, args);
            let subscribers = results["subscribers"].as_u64().unwrap();
            assert_eq!(results["messages"], 200 * subscribers, "{args}: {results}");
            assert!(results["latency_us"]["p50"].as_f64().unwrap() > 0.0);
        }
    }
}

#[test]
fn each_room_gets_its_publisher_and_nobody_elses() {
    let server = Wirefan::start(&["broadcast", "--workers", "2"]);
    for args in [
        "--rooms 3 --subscribers 9",
        "--rooms 4 --subscribers 8 --threads 3 --in-flight 4 --size 100 --payload utf8",
        "--rooms 2 --subscribers 4 --compress --size 400",
    ] {
        let results = counted("broadcast", server.addr, 200, args);
        let number = |name: &str| results[name].as_u64().unwrap();
        assert_eq!(
            number("messages"),
            200 * number("subscribers") / number("rooms"),
            "{results}"
        );
        assert_eq!(results["publishers"], results["rooms"]);
    }
    // The path ends before the query: all of them meet in one room.
    let url = format!("ws://{}/room?", server.addr);
    let output = run(&[
        "bench",
        "broadcast",
        &url,
        "--rooms",
        "2",
        "--subscribers",
        "4",
        "--count",
        "50",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        json(&output)["verify_errors"].as_u64() > Some(0),
        "{output:?}"
    );
}

#[test]
fn connect_counts_handshakes() {
    let server = Wirefan::start(&["echo"]);
    let results = clean(
        "connect",
        server.addr,
        "--connections 4 --threads 2 --duration 200ms",
    );
    assert!(results["messages"].as_u64().unwrap() > 0, "{results}");
    assert!(results["connections_opened"].as_u64() >= results["messages"].as_u64());
    // Nobody counts bytes there: 0 would be wrong.
    for field in ["received_bytes", "sent_megabytes_per_second"] {
        assert!(results.get(field).is_none(), "{field} in {results}");
    }
    let output = bench("connect", server.addr, "--duration 50ms --warmup 0");
    let table = str::from_utf8(&output.stdout).unwrap();
    assert!(
        table.contains("handshakes") && !table.contains("MB/s"),
        "{table}"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn idle_tells_the_memory_of_a_connection() {
    let server = Wirefan::start(&["echo", "--ping-interval", "100ms"]);
    let args = format!(
        "--connections 500 --duration 1s --server-pid {}",
        server.child.id()
    );
    let results = clean("idle", server.addr, &args);
    assert_eq!(results["connections_opened"], 500);
    assert!(results["server_rss_bytes_after"].as_u64().unwrap() > 100_000);
    assert!(results["server_cpu_seconds"].as_f64().unwrap() > 0.0);
    let bytes = results["user_bytes_per_connection"].as_f64().unwrap();
    assert!((0.0..10_000.0).contains(&bytes), "{results}");
    // Pings came, and were answered.
    for field in ["received_bytes", "sent_bytes"] {
        assert!(results[field].as_u64().unwrap() > 0, "{results}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_use_of_the_server_is_told() {
    let server = Wirefan::start(&["echo"]);
    let args = format!(
        "--count 2000 --in-flight 8 --server-pid {}",
        server.child.id()
    );
    let results = clean("echo", server.addr, &args);
    let (cpu, rate) = (
        &results["server_cpu_seconds"],
        &results["messages_per_server_cpu_second"],
    );
    let messages = cpu.as_f64().unwrap() * rate.as_f64().unwrap();
    assert!((messages - 2000.0).abs() < 1.0, "{results}");
    let output = bench("echo", server.addr, "--server-pid 4194305 --json");
    complains(&output, "--server-pid");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_raw_echo_gives_back_bytes() {
    let addr = raw_echo();
    for (mode, args) in [
        ("echo", "--count 300 --warmup 0 --in-flight 4 --size 1000"),
        (
            "echo",
            "--count 8 --warmup 0 --in-flight 2 --size 3m --connections 2",
        ),
        ("connect", "--duration 100ms --connections 2"),
        ("idle", "--duration 10ms --connections 3"),
    ] {
        let url = format!("tcp://{addr}");
        let mut line = vec!["bench", mode, &url, "--json"];
        line.extend(args.split(' '));
        let output = run(&line);
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn a_broadcast_that_loses_or_repeats_is_found_out() {
    let fair = hub(false, |_, _| 1);
    let args = "--subscribers 4 --in-flight 5 --count 100 --warmup 0 --timeout 20s";
    assert_eq!(clean("broadcast", fair, args)["messages"], 400);
    let loses = hub(false, |number, place| {
        usize::from(number % 10 != 5 || place != 2)
    });
    let repeats = hub(false, |number, place| {
        1 + usize::from(number % 10 == 5 && place == 2)
    });
    for (addr, field, messages) in [(loses, "lost", 390), (repeats, "duplicated", 400)] {
        let output = bench("broadcast", addr, &format!("{args} --json"));
        complains(&output, &format!("10 messages {field}"));
        let results = json(&output);
        assert_eq!(
            (&results[field], &results["messages"]),
            (&10.into(), &messages.into())
        );
    }
    let url = format!("tcp://{}", hub(true, |_, _| 1));
    for more in ["", " --publishers 3 --size 40"] {
        let args = format!("broadcast {url} --json {args}{more}");
        let line: Vec<&str> = ["bench"]
            .into_iter()
            .chain(args.split_whitespace())
            .collect();
        let output = run(&line);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(json(&output)["messages"], 400);
    }
}

/// One line on stderr that says this, and exit code 1.
fn complains(output: &Output, about: &str) {
    let line = str::from_utf8(&output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        line.starts_with("wirefan: ") && line.lines().count() == 1,
        "{line}"
    );
    assert!(line.contains(about), "{about} in {line}");
}

#[test]
fn what_a_server_does_wrong_is_counted() {
    let lose: Habit = |number, kind, payload, answers| {
        // Not the last one, for that would take the whole time to be noticed.
        if number % 10 == 5 {
            Ok(())
        } else {
            answers.send(kind, payload)
        }
    };
    let swap: Habit = |number, kind, payload, answers| {
        if number % 10 == 1 {
            answers.kept.clear();
            answers.kept.extend_from_slice(payload);
            return Ok(());
        }
        answers.send(kind, payload)?;
        let kept = answers.kept.clone();
        if number % 10 == 2 {
            answers.send(kind, &kept)
        } else {
            Ok(())
        }
    };
    let repeat: Habit = |number, kind, payload, answers| {
        answers.send(kind, payload)?;
        if number % 10 == 0 {
            answers.send(kind, payload)
        } else {
            Ok(())
        }
    };
    let change: Habit = |number, kind, payload, answers| {
        let mut payload = payload.to_vec();
        if number % 10 == 0 {
            payload[10] ^= 1;
        }
        answers.send(kind, &payload)
    };
    let retype: Habit = |_, _, payload, answers| answers.send(Kind::Binary, payload);
    let shorten: Habit = |number, kind, payload, answers| {
        answers.send(kind, &payload[usize::from(number % 10 == 0)..])
    };
    // A tenth of 200.
    for (habit, field, count) in [
        (lose, "lost", 20),
        (swap, "reordered", 20),
        (repeat, "duplicated", 20),
        (change, "verify_errors", 20),
        (retype, "verify_errors", 200),
        (shorten, "verify_errors", 20),
    ] {
        let addr = server_that(habit, &Arc::default());
        let args = "--connections 1 --in-flight 10 --count 200 --warmup 0 --timeout 20s --json";
        let output = bench("echo", addr, args);
        let results = json(&output);
        complains(&output, "message");
        for other in ["lost", "reordered", "duplicated", "verify_errors"] {
            let expected = if other == field { count } else { 0 };
            assert_eq!(results[other], expected, "{field}: {other} of {results}");
        }
    }
}

#[test]
fn how_a_server_fails_is_told() {
    let closes: Habit = |_, kind, payload, answers| {
        answers.send(kind, payload)?;
        answers
            .connection
            .close(CloseCode::GOING_AWAY, "", answers.out)
    };
    let ends: Habit = |_, _, _, _| Err(SendError::AfterClose);
    let raves: Habit = |_, _, _, answers| {
        answers.out.extend_from_slice(b"\xf1\x00");
        Ok(())
    };
    for (habit, about) in [
        (closes, "closed by the server with 1001"),
        (ends, "ended by the server without a Close"),
        (raves, "protocol error of the server: reserved bit set"),
    ] {
        let addr = server_that(habit, &Arc::default());
        fails("echo", addr, about);
    }
}

#[test]
fn how_a_handshake_fails_is_told() {
    let wrong_key = switching(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    for (addr, about) in [
        (
            refusing("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
            "403 Forbidden",
        ),
        (refusing(&wrong_key), "does not fit the key"),
        (refusing("SSH-2.0-OpenSSH_9.9\r\n\r\n"), "invalid handshake"),
        (refusing(""), "ended by the server during the handshake"),
        (
            serve(|socket| drop(read_on(socket))),
            "no answer to the handshake in time",
        ),
    ] {
        for mode in ["echo", "broadcast", "connect", "idle"] {
            fails(mode, addr, about);
        }
    }
}

/// Is told, on stderr and as JSON.
fn fails(mode: &str, addr: SocketAddr, about: &str) {
    // Only who says nothing is waited for until that is over.
    let timeout = if about.contains("in time") {
        "300ms"
    } else {
        "20s"
    };
    let warmup = if mode == "idle" { "" } else { "--warmup 0" };
    let args = format!("{warmup} --duration 200ms --timeout {timeout} --json");
    let output = bench(mode, addr, &args);
    complains(&output, about);
    let results = json(&output);
    let errors = results["errors"].as_object().unwrap();
    assert!(
        errors.keys().any(|error| error.contains(about)),
        "{results}"
    );
}

#[test]
fn pings_are_answered_while_messages_come() {
    let pings: Habit = |number, kind, payload, answers| {
        if number % 3 == 0 {
            answers.connection.send_ping(b"hello?", answers.out)?;
        }
        answers.send(kind, payload)
    };
    let pongs = Arc::default();
    let addr = server_that(pings, &pongs);
    let args = "--connections 3 --in-flight 5 --count 300 --warmup 0 --size 300";
    assert_eq!(clean("echo", addr, args)["messages"], 300);
    // Its last pong may still be on the way when a connection is closed, but it is before the Close. The connections need
    // not have a third of the messages each: at worst two pings of a hundred are not due yet.
    let begin = std::time::Instant::now();
    while pongs.load(Ordering::SeqCst) < 98 {
        assert!(begin.elapsed() < PATIENCE, "{pongs:?} pongs");
        thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn nobody_there_is_one_line() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let output = bench("echo", free, "--connections 3");
    complains(&output, "3 connections: cannot connect: Connection refused");
    let output = bench("idle", "no.such.host.invalid:80", "");
    complains(
        &output,
        "cannot find the host of ws://no.such.host.invalid:80/",
    );
}

#[test]
fn mistakes_are_one_line_and_exit_code_2() {
    let url = "ws://127.0.0.1:1/";
    for (args, hint) in [
        (&["bench", "127.0.0.1:1"][..], "ws://HOST:PORT/PATH"),
        (&["bench", "shout", url], "shout"),
        (&["bench", url, "--subscribers", "3"], "--subscribers"),
        (&["bench", url, "--size", "lots"], "64k"),
        (
            &["bench", url, "--count", "3", "--duration", "1s"],
            "--duration",
        ),
        (&["bench", "tcp://127.0.0.1:1", "--compress"], "ws://"),
        (
            &["bench", "connect", "tcp://127.0.0.1:1", "-H", "A: b"],
            "ws://",
        ),
        (&["bench", url, "-H", "A"], "'Name: value'"),
        (&["bench", "idle", url, "-H", "Host: a"], "a header is not"),
        (&["bench", url, "--origin", ""], "origin"),
        (&["bench", url, "--source", "localhost"], "--source"),
        (
            &[
                "bench",
                "broadcast",
                url,
                "--publishers",
                "2",
                "--size",
                "7",
            ],
            "--size",
        ),
        (&["bench", "idle", url, "--size", "7"], "--size"),
        (&["bench", url, "--rate", "10000001"], "1..=10000000"),
        (&["bench", url, "--rate", "0"], "1..=10000000"),
        (
            &["bench", url, "--connections", "10000000000"],
            "1..=10000000",
        ),
        (&["bench", "connect", url, "--connections", "0"], "1..=1"),
        (
            &["bench", "idle", url, "--connections", "10000001"],
            "1..=10000000",
        ),
        (
            &["bench", "broadcast", url, "--subscribers", "10000001"],
            "1..=10000000",
        ),
        (
            &["bench", url, "--size", "9223372036854775808"],
            "at most 1g",
        ),
        (&["bench", url, "--size", "1073741825"], "at most 1g"),
        (&["bench", "echo"], "URL"),
    ] {
        let output = run(args);
        let line = str::from_utf8(&output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(
            line.lines().count() == 1 && line.contains(hint),
            "{hint}: {line}"
        );
    }
    let help = run(&["bench", "--help"]);
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(
        help.contains("Examples:") && help.contains("wirefan bench ws://"),
        "{help}"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn too_few_descriptors_are_told_before_anything_starts() {
    let script = "ulimit -n 100; exec \"$0\" bench idle ws://127.0.0.1:1/ --connections 1000";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_wirefan")])
        .output()
        .unwrap();
    complains(
        &output,
        "1036 open files and the limit is 100: raise it (ulimit -Hn",
    );
}

#[test]
fn a_server_that_lets_in_only_some_is_told_who_comes() {
    let token = concat!(env!("CARGO_TARGET_TMPDIR"), "/bench-tokens");
    std::fs::write(token, "a-token-for-the-load load\n").unwrap();
    let server = Wirefan::start(&["echo", "--token-file", token]);
    fails("echo", server.addr, "401 Unauthorized");
    let url = format!("ws://{}/", server.addr);
    let header = ["-H", "Authorization: Bearer a-token-for-the-load"];
    for mode in ["echo", "connect"] {
        let asked = ["bench", mode, &url, "--json", "--duration", "500ms"];
        let output = run(&[&asked[..], &header].concat());
        assert!(output.status.success(), "{output:?}");
        assert!(json(&output)["messages"].as_u64() > Some(0));
    }
}

#[test]
fn what_is_asked_for_is_in_every_request() {
    let (seen, saw) = std::sync::mpsc::channel();
    let addr = serve(move |socket| {
        let lines = std::io::BufReader::new(socket).lines();
        let head: Vec<String> = lines
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty())
            .collect();
        let _ = seen.send(head);
    });
    let args = "-H A:b -H C:d --subprotocol v2 --subprotocol v1 --origin https://example.org";
    let more = "--connections 3 --duration 100ms";
    for mode in ["echo", "idle"] {
        bench(mode, addr, &format!("{args} {more}"));
        let heads: Vec<Vec<String>> = saw.try_iter().collect();
        assert_eq!(heads.len(), 3);
        for head in heads {
            for line in [
                "A: b",
                "C: d",
                "Sec-WebSocket-Protocol: v2, v1",
                "Origin: https://example.org",
            ] {
                assert!(head.iter().any(|it| it == line), "{line}: {head:?}");
            }
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn connections_come_from_the_addresses_that_are_given() {
    let (seen, saw) = std::sync::mpsc::channel();
    let addr = serve(move |socket| {
        let _ = seen.send(socket.peer_addr().unwrap().ip().to_string());
    });
    let args = "--connections 4 --source 127.0.0.7 --source 127.0.0.8 --duration 100ms";
    bench("idle", addr, args);
    let from: std::collections::BTreeSet<String> = saw.try_iter().collect();
    assert!(from.iter().eq(["127.0.0.7", "127.0.0.8"]), "{from:?}");
    let output = bench("echo", addr, "--source ::1");
    complains(&output, "same family");
    let output = bench("echo", addr, "--source 192.0.2.1");
    complains(&output, "192.0.2.1 is no address of this machine");
}
