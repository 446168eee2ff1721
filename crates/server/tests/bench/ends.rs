//! How runs end: what is held back by then goes out, and nothing but messages makes a run wait.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use wirefan_protocol::handshake::accept_key;
use wirefan_protocol::{Agreed, Config, Connection, Event, Input, Scratch};

use crate::common::{PATIENCE, Wirefan};
use crate::servers::{read_head, read_on, serve, switching};
use crate::{bench, complains, counted, json};

/// Answers the handshake.
fn open(socket: &mut TcpStream) -> Option<Connection> {
    let key = read_head(socket)?;
    let answer = switching(&accept_key(key.as_bytes()));
    socket.write_all(answer.as_bytes()).ok()?;
    Some(Connection::server(
        Arc::new(Config::default()),
        Agreed::default(),
    ))
}

/// Answers texts until `answer` says no, or the connection ends.
fn echo(socket: &mut TcpStream, connection: &mut Connection, mut answer: impl FnMut(u64) -> bool) {
    let (mut recv, mut send) = (Scratch::default(), Scratch::default());
    let (mut buffer, mut number) = (vec![0; 65_536], 0);
    while let Ok(len @ 1..) = socket.read(&mut buffer) {
        let (mut input, mut out, mut goes_on) = (Input::new(&mut buffer[..len]), Vec::new(), true);
        while let Some(event) = connection.next_event(&mut input, &mut recv.recv, &mut out) {
            if let Event::Text(text) = event {
                number += 1;
                goes_on = answer(number);
                if !goes_on {
                    break;
                }
                connection
                    .send_text(text, &mut send.send, &mut out)
                    .unwrap();
            }
        }
        if socket.write_all(&out).is_err() || !goes_on {
            return;
        }
    }
}

/// While the first message waits for its answer, those become due that would have shown the pause.
#[test]
fn what_a_pause_holds_back_is_sent_at_the_end() {
    let came = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&came);
    let addr = serve(move |mut socket| {
        let Some(mut connection) = open(&mut socket) else {
            return;
        };
        echo(&mut socket, &mut connection, |number| {
            counts.store(number, Ordering::SeqCst);
            if number == 1 {
                // The end of the time that is measured comes in it.
                thread::sleep(Duration::from_millis(800));
            }
            true
        });
    });
    let args = "--connections 1 --rate 1000 --in-flight 1 --duration 400ms --warmup 0 --json";
    let output = bench("echo", addr, args);
    let results = json(&output);
    assert!(output.status.success(), "{results}");
    assert_eq!(
        (&results["lost"], &results["unsent"]),
        (&0.into(), &0.into()),
        "{results}"
    );
    let came = came.load(Ordering::SeqCst);
    assert!(came > 10, "{came} messages: {results}");
    // Most of them waited for far longer than an answer takes.
    assert!(
        results["latency_us"]["p50"].as_f64() > Some(100_000.0),
        "{results}"
    );
}

/// A server that has stopped for good: one message is lost, and the others cannot be sent.
#[test]
fn what_could_never_be_sent_is_told() {
    let addr = serve(|mut socket| {
        let Some(mut connection) = open(&mut socket) else {
            return;
        };
        // It reads on, so that nothing but answers is missing.
        echo(&mut socket, &mut connection, |_| false);
        let _ = read_on(socket);
    });
    let args = "--connections 1 --rate 1000 --in-flight 1 --duration 400ms --warmup 0 --timeout 300ms --json";
    let output = bench("echo", addr, args);
    let results = json(&output);
    complains(&output, "1 message lost; ");
    complains(&output, " messages due and never sent");
    assert_eq!(results["lost"], 1, "{results}");
    assert!(results["unsent"].as_u64() > Some(10), "{results}");
    // All others wait for their time only, and not for each other.
    let server = Wirefan::start(&["echo", "--workers", "1"]);
    let results = counted("echo", server.addr, 50, "--rate 5000 --in-flight 2");
    assert_eq!(
        (&results["messages"], &results["unsent"]),
        (&50.into(), &0.into())
    );
}

/// One answer is missing for good, and pings come as long as the connection is there.
#[test]
fn pings_keep_no_run_alive() {
    let pinged_on = Arc::new(AtomicU64::new(0));
    let tells = Arc::clone(&pinged_on);
    let addr = serve(move |mut socket| {
        let Some(mut connection) = open(&mut socket) else {
            return;
        };
        echo(&mut socket, &mut connection, |number| number < 10);
        socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        let begin = Instant::now();
        let (mut scratch, mut buffer) = (Scratch::default(), [0; 4096]);
        while begin.elapsed() < PATIENCE {
            if socket.write_all(b"\x89\x02hi").is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
            let len = match socket.read(&mut buffer) {
                Ok(len @ 1..) => len,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    continue;
                }
                _ => return,
            };
            let (mut input, mut out) = (Input::new(&mut buffer[..len]), Vec::new());
            while let Some(event) = connection.next_event(&mut input, &mut scratch.recv, &mut out) {
                if let Event::Close(_) = event {
                    return;
                }
            }
        }
        tells.store(1, Ordering::SeqCst);
    });
    for args in ["--count 10", "--duration 100ms --rate 1000 --in-flight 1"] {
        let args = format!("--connections 1 --warmup 0 --timeout 300ms --json {args}");
        let output = bench("echo", addr, &args);
        complains(&output, "1 message lost");
        assert_eq!(json(&output)["lost"], 1);
    }
    assert_eq!(
        pinged_on.load(Ordering::SeqCst),
        0,
        "only the end of the pings ended it"
    );
}

/// It answers one message, and is gone before the next.
#[test]
#[cfg(target_os = "linux")]
fn a_server_that_ends_leaves_the_other_figures() {
    use std::process::Command;
    use std::sync::Mutex;

    let victim = Command::new("sleep").arg("100").spawn().unwrap();
    let pid = victim.id();
    let victim = Arc::new(Mutex::new(victim));
    let dies = Arc::clone(&victim);
    let addr = serve(move |mut socket| {
        let Some(mut connection) = open(&mut socket) else {
            return;
        };
        echo(&mut socket, &mut connection, |number| {
            if number == 2 {
                let mut victim = dies.lock().unwrap();
                victim.kill().unwrap();
                victim.wait().unwrap();
            }
            true
        });
    });
    let args = format!("--connections 1 --warmup 0 --count 10 --server-pid {pid}");
    let output = bench("echo", addr, &format!("{args} --json"));
    complains(&output, "the process of --server-pid has ended");
    let results = json(&output);
    assert_eq!(
        (&results["messages"], &results["lost"]),
        (&10.into(), &0.into())
    );
    assert!(results.get("server_cpu_seconds").is_none(), "{results}");
    // Who was never there is told before anything starts.
    let output = bench("echo", addr, &args);
    complains(&output, "cannot look at process");
    assert!(output.stdout.is_empty());
}
