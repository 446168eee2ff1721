//! Tokens in the first message: what happens before it, and without it.

use wirefan_protocol::CloseCode;

use crate::common::{Client, PATIENCE, Received, Wirefan, text};
use crate::folder::{ANN, BOB, Folder, TOKENS};
use crate::knock::{await_members, enter, enter_with};

fn start(folder: &Folder, mode: &str, more: &[&str]) -> Wirefan {
    let file = folder.file("tokens", TOKENS);
    let args = [mode, "--token-file", &file, "--token-from", "message"];
    let bearer = ["--token-from", "bearer"];
    Wirefan::start(&[&args[..], &bearer, more].concat())
}

fn ends_with(client: &mut Client, code: u16) {
    assert_eq!(client.next(), Received::Close(Some(CloseCode(code))));
    assert_eq!(client.next(), Received::End);
}

#[test]
fn nobody_is_in_the_room_before_the_token_and_nothing_passes() {
    let folder = Folder::new("first");
    let options = ["--token-timeout", "1h", "--to-sender"];
    let server = start(&folder, "broadcast", &options);
    let mut ann = enter_with(&server, "/news", ANN).ok().unwrap();
    let mut bob = enter(&server, "/news", &[]).ok().unwrap();
    ann.send_text("before");
    // It has been passed on when it comes back, and not when she is in the room.
    assert_eq!(ann.next(), text("before"));
    await_members(&server, "/news", ANN, 1);
    bob.send_text(BOB);
    await_members(&server, "/news", ANN, 2);
    ann.send_text("after");
    // Neither the token nor what came before it.
    assert_eq!(bob.next(), text("after"));
    assert_eq!(ann.next(), text("after"));
    let mut third = enter(&server, "/news", &[]).ok().unwrap();
    // All at once: the first is the token, the others are messages.
    third.send_text(ANN);
    third.send_text("one");
    third.send_text("two");
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.next(), text("one"));
        assert_eq!(client.next(), text("two"));
    }
}

#[test]
fn what_is_no_good_token_ends_with_4401_and_is_heard_by_nobody() {
    let folder = Folder::new("worthless");
    let server = start(&folder, "broadcast", &[]);
    let mut ann = enter_with(&server, "/news", ANN).ok().unwrap();
    for message in ["", "hello", "ann-0123456789abcdeX"] {
        let mut client = enter(&server, "/news", &[]).ok().unwrap();
        client.send_text(message);
        client.send_text("let me in");
        ends_with(&mut client, 4401);
        let line = server.line_with("shown out");
        assert!(line.contains("the token is not good here"), "{line}");
    }
    let mut client = enter(&server, "/news", &[]).ok().unwrap();
    client.send_binary(ANN.as_bytes());
    ends_with(&mut client, 4401);
    // Known, and elsewhere.
    let mut bob = enter(&server, "/tea", &[]).ok().unwrap();
    bob.send_text(BOB);
    ends_with(&mut bob, 4403);
    let mut other = enter_with(&server, "/news", ANN).ok().unwrap();
    other.send_text("only this");
    assert_eq!(ann.next(), text("only this"));
}

#[test]
fn who_says_nothing_has_to_go() {
    let folder = Folder::new("silent");
    for mode in ["echo", "broadcast"] {
        let server = start(&folder, mode, &["--token-timeout", "100ms"]);
        let mut silent = enter(&server, "/news", &[]).ok().unwrap();
        ends_with(&mut silent, 4401);
        let line = server.line_with("shown out");
        assert!(line.contains("no token came in time"), "{line}");
    }
}

#[test]
fn who_was_in_time_stays() {
    let folder = Folder::new("in-time");
    let server = start(&folder, "echo", &["--token-timeout", "3s"]);
    let mut ann = enter(&server, "/news", &[]).ok().unwrap();
    ann.send_text(ANN);
    server.line_with("let in");
    // Its time began later, and so does its end.
    let mut late = enter(&server, "/news", &[]).ok().unwrap();
    ends_with(&mut late, 4401);
    ann.close(CloseCode::NORMAL, "");
    ends_with(&mut ann, 1000);
}

#[test]
fn a_bad_token_in_the_request_gets_no_second_chance() {
    let folder = Folder::new("chance");
    let server = start(&folder, "echo", &[]);
    assert_eq!(
        enter_with(&server, "/", "ann-0123456789abcdeX").err(),
        Some(401)
    );
}

#[test]
fn only_so_many_wait_at_a_time() {
    let folder = Folder::new("many");
    let args = ["--max-unauthenticated", "2", "--token-timeout", "1h"];
    let server = start(&folder, "echo", &args);
    let mut one = enter(&server, "/", &[]).ok().unwrap();
    let two = enter(&server, "/", &[]).ok().unwrap();
    assert_eq!(enter(&server, "/", &[]).err(), Some(503));
    // Those who are known do not count.
    one.send_text(ANN);
    one.send_text("in");
    assert_eq!(one.next(), text("in"));
    let _three = enter(&server, "/", &[]).ok().unwrap();
    assert_eq!(enter(&server, "/", &[]).err(), Some(503));
    drop(two);
    let begin = std::time::Instant::now();
    while enter(&server, "/", &[]).is_err() {
        assert!(begin.elapsed() < PATIENCE);
    }
}
