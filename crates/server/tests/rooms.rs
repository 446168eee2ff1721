//! `wirefan broadcast`: rooms, who hears what, the page and the number of members.

mod common;

use common::{Client, Received, Wirefan, text};
use wirefan_protocol::handshake::ClientRequest;

#[test]
fn a_message_reaches_the_others_in_its_room_unchanged_and_nobody_else() {
    for workers in ["1", "3"] {
        let server = Wirefan::start(&["broadcast", "--workers", workers]);
        let mut tea: Vec<Client> = (0..5).map(|_| server.connect("/tea")).collect();
        let mut coffee = [server.connect("/coffee"), server.connect("/coffee")];
        let mut root = [server.connect("/"), server.connect("/")];

        tea[0].send_text("<b>hello</b>\n");
        tea[0].send_binary(&[0, 1, 255]);
        for other in &mut tea[1..] {
            assert_eq!(other.next(), text("<b>hello</b>\n"));
            assert_eq!(other.next(), Received::Binary(vec![0, 1, 255]));
        }
        // Whatever had come by mistake would come before this.
        tea[1].send_text("to you too");
        assert_eq!(tea[0].next(), text("to you too"));
        for room in [&mut coffee, &mut root] {
            room[0].send_text("only here");
            assert_eq!(room[1].next(), text("only here"));
        }
    }
}

#[test]
fn to_sender_includes_the_sender() {
    let server = Wirefan::start(&["broadcast", "--to-sender"]);
    let mut one = server.connect("/");
    let mut other = server.connect("/");
    one.send_text("all");
    assert_eq!((one.next(), other.next()), (text("all"), text("all")));
    let page = server.ask("GET", "/");
    assert!(page.body.contains("data-to-sender=\"yes\""));
}

#[test]
fn a_room_is_the_decoded_path_without_the_query() {
    let server = Wirefan::start(&["broadcast"]);
    let mut one = server.connect("/gr%C3%BCn%2Ftee?members");
    let mut other = server.connect("/%67r%c3%bcn/tee?name=x");
    one.send_text("same room");
    assert_eq!(other.next(), text("same room"));
    let members = server.ask("GET", "/gr%C3%BCn/tee?members");
    assert_eq!(members.body, "{\"room\":\"/grün/tee\",\"members\":2}\n");
}

#[test]
fn paths_that_are_no_rooms_are_refused_in_words() {
    let server = Wirefan::start(&["broadcast"]);
    let long = format!("/{}", "a".repeat(256));
    for (path, status) in [("/%C3%28", 400), ("/%0a", 400), ("/%4", 400), (&*long, 414)] {
        let refused = Client::connect(server.addr, ClientRequest::new("localhost", path));
        assert_eq!(refused.err(), Some(status), "{path}");
        let reply = server.ask("GET", path);
        assert_eq!(reply.status, status);
        assert!(reply.body.contains("path"), "{reply:?}");
    }
    assert_eq!(server.ask("OPTIONS", "*").status, 400);
}

#[test]
fn members_come_and_go() {
    let server = Wirefan::start(&["broadcast", "--workers", "2"]);
    server.await_members("/tea", 0);
    let mut clients: Vec<Client> = (0..4).map(|_| server.connect("/tea")).collect();
    let _elsewhere = server.connect("/");
    let reply = server.ask("GET", "/tea?members");
    assert_eq!(reply.body, "{\"room\":\"/tea\",\"members\":4}\n");
    assert!(reply.has("Content-Type: application/json"), "{reply:?}");
    assert!(reply.has("Cache-Control: no-store"), "{reply:?}");
    clients.pop();
    server.await_members("/tea", 3);
    drop(clients);
    server.await_members("/tea", 0);
}

#[test]
fn every_room_has_its_page() {
    let server = Wirefan::start(&["broadcast"]);
    for target in ["/", "/tea", "/gr%C3%BCn?x=y"] {
        let page = server.ask("GET", target);
        assert_eq!(page.status, 200);
        assert!(
            page.has("Content-Type: text/html; charset=utf-8"),
            "{}",
            page.head
        );
        assert!(
            page.head
                .contains("\r\nContent-Security-Policy: default-src 'none'; ")
        );
        assert!(page.body.contains("data-to-sender=\"no\""));
        assert!(page.body.starts_with("<!doctype html>") && page.body.ends_with("</html>\n"));
        let head = server.ask("HEAD", target);
        assert_eq!((head.head, head.body), (page.head, String::new()));
    }
    let icon = server.ask("GET", "/favicon.ico");
    assert_eq!((icon.status, &*icon.body), (204, ""));
    for method in ["POST", "PUT", "DELETE"] {
        let reply = server.ask(method, "/tea");
        assert!(
            reply.status == 405 && reply.has("Allow: GET, HEAD"),
            "{reply:?}"
        );
    }
}
