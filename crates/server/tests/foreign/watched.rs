//! What others make of the admin listener: Prometheus' parser of its metrics, a browser of its dashboard.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::common::{Received, Wirefan, text};
use crate::install::{chromium, node, or_skip, python, script, succeeds};

/// A server with an admin listener, and where that is.
fn watched(args: &[&str]) -> (Wirefan, String) {
    let server = Wirefan::start(&[args, &["--admin", "127.0.0.1:0"]].concat());
    let line = server.line_with("admin on ");
    let (_, rest) = line.split_once("admin on ").unwrap();
    let url = format!("http://{}", rest.split(' ').next().unwrap());
    (server, url)
}

#[test]
fn the_metrics_with_the_parser_of_prometheus() {
    let Some(mut python) = or_skip(python()) else {
        return;
    };
    let (server, url) = watched(&["broadcast", "--workers", "3"]);
    let mut clients = [(); 4].map(|()| server.connect("/tea"));
    server.await_members("/tea", 4);
    for _ in 0..5 {
        clients[0].send_text("hello");
        for client in &mut clients[1..] {
            assert_eq!(client.next(), text("hello"));
        }
    }
    // The turns in which that happened are over when others have followed.
    thread::sleep(Duration::from_millis(200));
    python
        .arg(script("metrics.py"))
        .arg(format!("{url}/metrics"))
        .args([
            "wirefan_connections=4",
            "wirefan_topics=1",
            "wirefan_messages_received_total=5",
            "wirefan_deliveries_total=15",
        ]);
    succeeds(python);
}

#[test]
fn the_dashboard_in_a_browser() {
    const TOKEN: &str = "a token for the dashboard";
    let (Some(mut node), Some(chromium)) = (or_skip(node()), or_skip(chromium())) else {
        return;
    };
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (shots, file) = (target.join("dashboard"), target.join("dashboard-token"));
    fs::create_dir_all(&shots).unwrap();
    // A token has no spaces in it.
    let token = TOKEN.replace(' ', "-");
    fs::write(&file, &token).unwrap();
    let args = [
        "--admin-token-file",
        file.to_str().unwrap(),
        "--workers",
        "2",
        "--ping-interval",
        "1s",
    ];
    let (server, url) = watched(&[&["broadcast", "--to-sender"], &args[..]].concat());
    let mut coffee = server.connect("/coffee");
    let mut tea = [(); 3].map(|()| server.connect("/tea"));
    node.arg(script("dashboard.cjs")).arg(url).arg(chromium);
    node.arg(token).arg(&shots);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // It reads its Close when that comes.
        let end = scope.spawn(move || coffee.next());
        let done = &done;
        let talk = scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                tea[0].send_text(&"the same every time, ".repeat(20));
                for client in &mut tea {
                    assert!(matches!(client.next(), Received::Text(_)));
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        let looked = scope.spawn(move || succeeds(node)).join();
        done.store(true, Ordering::Relaxed);
        // What it still waits for comes from a server that is there.
        let talked = talk.join();
        drop(server);
        talked.unwrap();
        looked.unwrap();
        assert!(matches!(end.join().unwrap(), Received::Close(Some(code)) if code.0 == 4002));
    });
    println!("screenshots in {}", shots.display());
}
