//! Where tokens may be, what they are worth, and what comes of that inside.

use wirefan_protocol::CloseCode;
use wirefan_protocol::handshake::ClientRequest;

use crate::common::{Client, Received, Wirefan, run, text};
use crate::folder::{ANN, BOB, Folder, SENSOR, TOKENS};
use crate::knock::{await_members, bearer, enter_with, get, knock};

#[test]
fn nobody_comes_in_without_a_good_token() {
    let folder = Folder::new("nobody");
    let file = folder.file("tokens", TOKENS);
    for mode in ["echo", "broadcast"] {
        let server = Wirefan::start(&[mode, "--token-file", &file]);
        let reply = knock(&server, "/tea", &[]);
        assert_eq!(
            (reply.status, &*reply.body),
            (401, "a token is needed here\n")
        );
        assert!(reply.has("WWW-Authenticate: Bearer"), "{reply:?}");
        let reply = knock(
            &server,
            "/tea",
            &[("Authorization", "Bearer ann-0123456789abcdeX")],
        );
        assert_eq!(
            (reply.status, &*reply.body),
            (401, "the token is not good here\n")
        );
        let line = server.line_with("not good here");
        assert!(line.contains("detail=\"the token is unknown\""), "{line}");
        let twice = [("Authorization", "Bearer a"), ("Authorization", "Bearer b")];
        assert_eq!(knock(&server, "/tea", &twice).status, 400);
        // A cookie and a query are not looked at by themselves.
        let elsewhere = [("Cookie", format!("session={ANN}"))];
        let elsewhere = elsewhere.each_ref().map(|(name, value)| (*name, &**value));
        let target = format!("/tea?ticket={ANN}");
        assert_eq!(knock(&server, &target, &elsewhere).status, 401);

        let _ann = enter_with(&server, "/tea", ANN).ok().unwrap();
        let line = server.line_with("let in");
        assert!(line.contains("subject=\"ann\""), "{line}");
        // The page is no secret.
        assert_eq!(server.ask("GET", "/tea").status, 200);
    }
}

/// A place for a token, and a request that has it there.
struct Way<'a> {
    place: &'a str,
    target: &'a str,
    headers: Option<(&'a str, &'a str)>,
}

#[test]
fn each_place_that_is_named_and_no_other() {
    let folder = Folder::new("places");
    let file = folder.file("tokens", TOKENS);
    let cookie = format!("theme=dark; session={ANN}; last=x");
    let (authorization, offers) = (format!("bearer {ANN}"), format!("chat, bearer.{ANN}"));
    let (pair, query) = (format!("chat, {ANN}"), format!("/?a=b&token={ANN}"));
    let way = |place, target, headers| Way {
        place,
        target,
        headers,
    };
    let ways = [
        way("bearer", "/", Some(("Authorization", &*authorization))),
        way("cookie:session", "/", Some(("Cookie", &cookie))),
        way(
            "subprotocol",
            "/",
            Some(("Sec-WebSocket-Protocol", &offers)),
        ),
        way(
            "subprotocol-pair",
            "/",
            Some(("Sec-WebSocket-Protocol", &pair)),
        ),
        way("query:token", &query, None),
    ];
    for named in ways.each_ref().map(|way| way.place) {
        let args = ["echo", "--token-file", &file, "--subprotocol", "chat"];
        let server = Wirefan::start(&[&args[..], &["--token-from", named]].concat());
        for way in &ways {
            let status = knock(&server, way.target, way.headers.as_slice()).status;
            let place = way.place;
            assert_eq!(status == 101, place == named, "{named} {place} {status}");
        }
    }
}

#[test]
fn the_answer_names_a_real_subprotocol_and_never_the_token() {
    let folder = Folder::new("subprotocol");
    let file = folder.file("tokens", TOKENS);
    // Somebody may be so unwise as to call a subprotocol like a token.
    let (token, named) = (
        format!("bearer.{ANN}"),
        format!("--subprotocol=bearer.{ANN}"),
    );
    let server = Wirefan::start(&[
        "echo",
        "--token-file",
        &file,
        &named,
        "--subprotocol",
        "chat",
    ]);
    for (offers, agreed) in [
        (&["chat", &token][..], Some("chat")),
        (&[&token, "other", "chat"], Some("chat")),
        (&[&token], None),
        (&["other", &token], None),
    ] {
        let mut request = ClientRequest::new("localhost", "/");
        request.protocols = offers;
        let mut client = Client::connect(server.addr, request).ok().unwrap();
        assert_eq!(client.protocol.as_deref(), agreed);
        client.send_text("in");
        assert_eq!(client.next(), text("in"));
    }
}

#[test]
fn a_cookie_counts_from_pages_that_may_connect() {
    let folder = Folder::new("cookie");
    let file = folder.file("tokens", TOKENS);
    let server = Wirefan::start(&["echo", "--token-file", &file, "--token-from", "cookie:id"]);
    let cookie = format!("id={ANN}");
    for (origin, status) in [("http://localhost", 101), ("http://evil.example", 403)] {
        let headers = [("Origin", origin), ("Cookie", &cookie)];
        assert_eq!(knock(&server, "/", &headers).status, status, "{origin}");
    }
}

#[test]
fn a_grant_says_which_rooms_one_may_read_and_write() {
    let folder = Folder::new("rooms");
    let file = folder.file("tokens", TOKENS);
    let server = Wirefan::start(&["broadcast", "--token-file", &file, "--workers", "2"]);
    let mut ann = enter_with(&server, "/news", ANN).ok().unwrap();
    let mut bob = enter_with(&server, "/news", BOB).ok().unwrap();
    let mut sensor = enter_with(&server, "/news", SENSOR).ok().unwrap();
    // Who only sends is not a member.
    await_members(&server, "/news", ANN, 2);
    sensor.send_text("21 degrees");
    assert_eq!(ann.next(), text("21 degrees"));
    assert_eq!(bob.next(), text("21 degrees"));
    ann.send_text("thanks");
    assert_eq!(bob.next(), text("thanks"));

    // Bob may not send: nobody hears it, and he is shown out.
    bob.send_text("me too");
    assert_eq!(bob.next(), Received::Close(Some(CloseCode::POLICY)));
    let line = server.line_with("shown out");
    assert!(line.contains("you may not send to this room"), "{line}");
    sensor.send_text("22 degrees");
    assert_eq!(ann.next(), text("22 degrees"));
    // And the sensor has heard nothing.
    sensor.close(CloseCode::NORMAL, "");
    assert_eq!(sensor.next(), Received::Close(Some(CloseCode::NORMAL)));

    assert_eq!(enter_with(&server, "/tea", BOB).err(), Some(403));
    assert_eq!(enter_with(&server, "/team/a", BOB).err(), None);
    assert_eq!(enter_with(&server, "/team/a", SENSOR).err(), Some(403));
}

#[test]
fn the_number_of_members_is_for_those_who_may_read() {
    let folder = Folder::new("members");
    let file = folder.file("tokens", TOKENS);
    let server = Wirefan::start(&["broadcast", "--token-file", &file]);
    for (token, status) in [(ANN, 200), (BOB, 200), (SENSOR, 403), ("x", 401)] {
        let (name, value) = bearer(token);
        let reply = get(&server, "/news?members", &[(name, &value)]);
        assert_eq!(reply.status, status, "{token}");
    }
    assert_eq!(server.ask("GET", "/news?members").status, 401);
    assert_eq!(server.ask("POST", "/news?members").status, 405);
}

#[test]
fn a_ticket_in_the_query_for_as_long_as_it_lasts() {
    let folder = Folder::new("ticket");
    let key = folder.file("key", "0123456789abcdef0123456789abcdef\n");
    let other = folder.file("other", "another key of 32 bytes or longer\n");
    let ticket = |key: &str, more: &[&str]| {
        let output = run(&[&["ticket", "--ticket-key", key], more].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let server = Wirefan::start(&["broadcast", "--ticket-key", &key]);
    let target = |ticket: &str| format!("/news?ticket={ticket}");
    let reader = ticket(&key, &["--subject", "ann", "--read", "/news"]);
    let mut reader = Client::connect(
        server.addr,
        ClientRequest::new("localhost", &target(&reader)),
    );
    let reader = reader.as_mut().ok().unwrap();
    let line = server.line_with("let in");
    assert!(
        line.contains("subject=\"ann\"") && line.contains("expires="),
        "{line}"
    );
    reader.send_text("no");
    assert_eq!(reader.next(), Received::Close(Some(CloseCode::POLICY)));

    let of_others = knock(&server, &target(&ticket(&other, &[])), &[]);
    assert_eq!(
        (of_others.status, &*of_others.body),
        (401, "the token is not good here\n")
    );
    let line = server.line_with("refused");
    assert!(line.contains("not signed by a known key"), "{line}");

    // A connection ends with its ticket.
    let short = target(&ticket(&key, &["--lasts", "4s"]));
    let mut short = Client::connect(server.addr, ClientRequest::new("localhost", &short));
    let short = short.as_mut().ok().unwrap();
    assert_eq!(short.next(), Received::Close(Some(CloseCode(4401))));
    let line = server.line_with("shown out");
    assert!(line.contains("the token has expired"), "{line}");
}

#[test]
fn a_new_token_and_its_line() {
    let made = run(&["token", "ann", "--read", "/news"]);
    assert!(made.status.success(), "{made:?}");
    let line = String::from_utf8(made.stdout).unwrap();
    let token = String::from_utf8(made.stderr).unwrap();
    let token = token.trim().strip_prefix("token: ").unwrap();
    assert!(
        line.starts_with("sha256:") && !line.contains(token),
        "{line}"
    );
    let folder = Folder::new("new");
    let server = Wirefan::start(&["broadcast", "--token-file", &folder.file("tokens", &line)]);
    assert!(enter_with(&server, "/news", token).is_ok());
    assert_eq!(enter_with(&server, "/tea", token).err(), Some(403));
}
