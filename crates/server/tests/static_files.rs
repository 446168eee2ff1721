//! `--serve-dir`: what is served and how, what is not for anybody's eyes, changes while it runs, rooms on the same paths.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use common::{PATIENCE, Wirefan, run, text};

/// A folder `site` to serve, in a folder with more that is not for anybody. All is gone when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("static-{name}"));
        let _ = fs::remove_dir_all(&folder);
        let folder = Self(folder);
        for (path, content) in [
            ("site/index.html", "<title>home</title>"),
            ("site/app.js", "let a = 1;"),
            ("site/empty.txt", ""),
            ("site/sub dir/index.html", "<title>sub</title>"),
            ("site/sub dir/grün & ü.txt", "grün"),
            ("site/bare/page.html", "bare"),
            ("site/.env", "SECRET"),
            ("site/.git/config", "SECRET"),
            ("site/sub dir/.hidden", "SECRET"),
            ("outside.txt", "SECRET"),
            ("outside/file.txt", "SECRET"),
            ("site-next/file.txt", "SECRET"),
        ] {
            folder.write(path, content);
        }
        folder
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// Writes a file at once, as whoever deploys well.
    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let new = path.with_file_name(".new");
        fs::write(&new, content).unwrap();
        fs::rename(new, path).unwrap();
    }

    fn serve(&self, command: &str, more: &[&str]) -> Wirefan {
        let site = self.path("site");
        let args = [&[command, "--serve-dir", site.to_str().unwrap()], more].concat();
        Wirefan::start(&args)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.split("\r\n").skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

fn ask(server: &Wirefan, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut socket = TcpStream::connect(server.addr).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    socket
        .write_all(format!("{request}\r\n").as_bytes())
        .unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head,
        body: answer.split_off(end + 4),
    }
}

fn get(server: &Wirefan, target: &str) -> Answer {
    ask(server, "GET", target, &[])
}

/// Asks until the answer is as it should become.
fn await_answer(server: &Wirefan, target: &str, is_it: impl Fn(&Answer) -> bool) {
    let start = Instant::now();
    loop {
        let answer = get(server, target);
        if is_it(&answer) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{target} stays {}", answer.head);
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn files_are_served_with_their_kind_and_nothing_guesses_another() {
    let folder = Folder::new("kinds");
    for command in ["echo", "broadcast"] {
        let server = folder.serve(command, &[]);
        for (target, body, kind) in [
            ("/", "<title>home</title>", "text/html; charset=utf-8"),
            (
                "/index.html",
                "<title>home</title>",
                "text/html; charset=utf-8",
            ),
            (
                "/app.js?v=3",
                "let a = 1;",
                "text/javascript; charset=utf-8",
            ),
            ("/empty.txt", "", "text/plain; charset=utf-8"),
            (
                "/sub%20dir/",
                "<title>sub</title>",
                "text/html; charset=utf-8",
            ),
            (
                "/sub%20dir/gr%C3%BCn%20%26%20%c3%bc.txt",
                "grün",
                "text/plain; charset=utf-8",
            ),
        ] {
            let answer = get(&server, target);
            assert_eq!(answer.status, 200, "{target}");
            assert_eq!(answer.body, body.as_bytes(), "{target}");
            assert_eq!(answer.header("Content-Type"), Some(kind), "{target}");
            assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
            let len = body.len().to_string();
            assert_eq!(answer.header("Content-Length"), Some(&*len));

            let head = ask(&server, "HEAD", target, &[]);
            assert_eq!((head.status, head.body.len()), (200, 0));
            assert_eq!(head.head, answer.head);
        }
        let moved = get(&server, "/sub%20dir");
        assert_eq!(moved.status, 308);
        assert_eq!(moved.header("Location"), Some("/sub%20dir/"));
        // No index: nothing is listed.
        for target in [
            "/bare",
            "/bare/",
            "/nothing",
            "/index.html/",
            "/favicon.ico",
        ] {
            assert_eq!(get(&server, target).status, 404, "{target}");
        }
        let post = ask(&server, "POST", "/", &[("Content-Length", "0")]);
        assert_eq!(
            (post.status, post.header("Allow")),
            (405, Some("GET, HEAD"))
        );
    }
}

#[test]
fn what_a_client_has_is_not_sent_again() {
    let folder = Folder::new("tags");
    let server = folder.serve("broadcast", &[]);
    let first = get(&server, "/app.js");
    let tag = first.header("ETag").unwrap();
    let weak = format!("W/{tag}");
    let listed = format!("\"other\", {tag}");
    for known in [tag, &weak, &listed, "*"] {
        for method in ["GET", "HEAD"] {
            let answer = ask(&server, method, "/app.js", &[("If-None-Match", known)]);
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
            assert_eq!(answer.header("ETag"), Some(tag));
        }
    }
    let answer = ask(&server, "GET", "/app.js", &[("If-None-Match", "\"other\"")]);
    assert_eq!((answer.status, &*answer.body), (200, &b"let a = 1;"[..]));
    assert_ne!(get(&server, "/").header("ETag"), Some(tag));

    folder.write("site/app.js", "let a = 2;");
    await_answer(&server, "/app.js", |answer| answer.body == b"let a = 2;");
    let answer = ask(&server, "GET", "/app.js", &[("If-None-Match", tag)]);
    assert_eq!(answer.status, 200);
}

#[test]
fn no_path_leads_out_of_the_folder_or_to_what_is_hidden() {
    let folder = Folder::new("hostile");
    let site = folder.path("site");
    let links: [(PathBuf, &str); 8] = [
        (folder.path("outside.txt"), "out.txt"),
        (folder.path("outside"), "out"),
        ("../outside.txt".into(), "relative.txt"),
        ("/etc".into(), "etc"),
        (".env".into(), "env.txt"),
        (".git".into(), "git"),
        (".".into(), "round"),
        ("nowhere".into(), "dangling"),
    ];
    for (to, name) in links {
        symlink(to, site.join(name)).unwrap();
    }
    symlink("app.js", site.join("inside.js")).unwrap();
    symlink("sub dir", site.join("sub")).unwrap();
    let fifo = Command::new("mkfifo").arg(site.join("fifo")).status();
    assert!(fifo.unwrap().success());
    let server = folder.serve("broadcast", &[]);
    for target in [
        "/../outside.txt",
        "/../../../../../../etc/passwd",
        "/%2e%2e/outside.txt",
        "/%2E%2E%2Foutside.txt",
        "/..%2foutside.txt",
        "/..%5coutside.txt",
        "/..\\outside.txt",
        "/%252e%252e/outside.txt",
        "/%c0%ae%c0%ae/outside.txt",
        "/sub%20dir/../../outside.txt",
        "/sub%20dir/%2e%2e/index.html",
        "/./index.html",
        "//index.html",
        "//etc/passwd",
        "/%2Fetc/passwd",
        "/../site-next/file.txt",
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/.git/",
        "/sub%20dir/.hidden",
        "/app.js%00",
        "/app.js%00.html",
        "/app.js%0d%0aX-Injected:%201",
        "/app.js.",
        "/app.js/",
        "/APP.JS",
        "/out.txt",
        "/out/file.txt",
        "/relative.txt",
        "/etc/passwd",
        "/env.txt",
        "/git/config",
        "/round/index.html",
        "/dangling",
        "/fifo",
        "/%",
        "/%zz",
        "*",
    ] {
        for method in ["GET", "HEAD"] {
            let answer = ask(&server, method, target, &[]);
            assert!(
                matches!(answer.status, 400 | 404),
                "{target}: {}",
                answer.head
            );
            assert!(answer.header("X-Injected").is_none(), "{}", answer.head);
            let body = String::from_utf8_lossy(&answer.body);
            assert!(
                !body.contains("SECRET") && !body.contains("root:"),
                "{target}: {body}"
            );
        }
    }
    let long = format!("/{}", "a".repeat(5000));
    assert_eq!(get(&server, &long).status, 414);
    // Links within are as good as what they lead to.
    assert_eq!(get(&server, "/inside.js").body, b"let a = 1;");
    assert_eq!(get(&server, "/sub/").body, b"<title>sub</title>");
    assert_eq!(get(&server, "/sub").header("Location"), Some("/sub/"));
}

#[test]
fn rooms_and_files_share_their_paths() {
    let folder = Folder::new("rooms");
    let server = folder.serve("broadcast", &[]);
    let mut one = server.connect("/app.js");
    let mut other = server.connect("/app.js");
    server.await_members("/app.js", 2);
    one.send_text("to the room");
    assert_eq!(other.next(), text("to the room"));
    assert_eq!(get(&server, "/app.js").body, b"let a = 1;");
    // There is a room where there is no file, and the page of one's own is not shown any more.
    drop(server.connect("/tea"));
    assert_eq!(get(&server, "/tea").status, 404);
}

#[test]
fn a_folder_that_changes_is_followed_and_one_that_cannot_be_served_is_not() {
    let folder = Folder::new("changes");
    let links = folder.path("current");
    symlink("site", &links).unwrap();
    let args = [
        "echo",
        "--serve-limit",
        "4k",
        "--serve-dir",
        links.to_str().unwrap(),
    ];
    let server = Wirefan::start(&args);
    assert!(server.early.iter().any(|line| line.contains("serving ")));
    folder.write("site/new.txt", "new");
    fs::remove_file(folder.path("site/empty.txt")).unwrap();
    await_answer(&server, "/new.txt", |answer| answer.body == b"new");
    await_answer(&server, "/empty.txt", |answer| answer.status == 404);

    folder.write("site/large.txt", &"x".repeat(5000));
    let line = server.line_with("served on");
    assert!(line.contains("--serve-limit"), "{line}");
    assert_eq!(get(&server, "/large.txt").status, 404);
    assert_eq!(get(&server, "/new.txt").status, 200);

    // A deploy: the link is put in place of the one of before.
    let next = folder.path("next");
    symlink("site-next", &next).unwrap();
    fs::rename(next, &links).unwrap();
    await_answer(&server, "/file.txt", |answer| answer.status == 200);
    assert_eq!(get(&server, "/new.txt").status, 404);

    fs::remove_file(&links).unwrap();
    server.line_with("served on");
    assert_eq!(get(&server, "/file.txt").status, 200);
}

#[test]
fn a_folder_that_cannot_be_served_is_one_line() {
    let folder = Folder::new("wrong");
    let (site, file) = (folder.path("site"), folder.path("site/app.js"));
    let missing = folder.path("missing");
    for (args, hint) in [
        ([missing.to_str().unwrap(), "1m"], "No such file"),
        ([file.to_str().unwrap(), "1m"], "--serve-dir"),
        ([site.to_str().unwrap(), "20"], "--serve-limit"),
    ] {
        let [dir, limit] = args;
        let output = run(&[
            "echo",
            "--listen",
            "127.0.0.1:0",
            "--serve-dir",
            dir,
            "--serve-limit",
            limit,
        ]);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.contains(dir.trim_end_matches("/app.js")) && said.contains(hint),
            "{said}"
        );
    }
}

#[test]
fn slow_readers_do_not_hold_more_than_a_bounded_number_of_copies() {
    const LARGE: usize = 33 << 20;
    let folder = Folder::new("slow");
    fs::write(folder.path("site/large.bin"), vec![7; LARGE]).unwrap();
    let args = ["--handshake-timeout", "1h", "--close-timeout", "1h"];
    let server = folder.serve("echo", &args);
    let mut slow = TcpStream::connect(server.addr).unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    slow.write_all(b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    // It has begun, and nobody reads it to its end.
    slow.read_exact(&mut [0; 12]).unwrap();
    let answer = get(&server, "/large.bin");
    assert_eq!(
        (answer.status, answer.header("Retry-After")),
        (503, Some("1"))
    );
    // What is small still is, and what is not sent costs nothing.
    assert_eq!(get(&server, "/").status, 200);
    assert_eq!(ask(&server, "HEAD", "/large.bin", &[]).status, 200);
    drop(slow);
    await_answer(&server, "/large.bin", |answer| answer.body.len() == LARGE);
}
