//! Plain HTTP on the same port as the WebSocket: a page, a health check, and a route that hands messages to all.
//!
//! `cargo run --release -p wirefan-eventloop --example http_routes`, then open <http://127.0.0.1:9001/> or run
//! `npx wscat -c ws://127.0.0.1:9001/ws`, and `curl -d 'hello' http://127.0.0.1:9001/publish`. Another address is the
//! first argument.

use std::{env, io};

use wirefan_eventloop::{Caller, Conn, Ctx, Decision, Handler, Message, Server};
use wirefan_protocol::handshake::{Reply, Request};

const NEWS: &str = "news";

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>News</title><h1>News</h1><ul id="news"></ul><script>
const socket = new WebSocket(`${location.protocol == "https:" ? "wss" : "ws"}://${location.host}/ws`);
socket.onmessage = ({ data }) => {
    const item = document.createElement("li");
    item.textContent = data;
    document.getElementById("news").append(item);
};
</script>"#;

struct Routes;

impl Handler for Routes {
    type Peer = ();
    type Note = ();

    // Short answers only: what is longer than a page of HTML or takes a while is for a web server beside this one.
    fn request(
        &mut self,
        request: &Request<'_>,
        _: Caller,
        server: &mut Ctx<'_, ()>,
    ) -> Decision<()> {
        Decision::Answer(match (request.method(), request.path()) {
            // A plain request would be answered with 426 here.
            ("GET", "/ws") => return Decision::accept(()),
            ("GET" | "HEAD", "/") => Reply::new(200)
                .header("Content-Type", "text/html; charset=utf-8")
                .body(PAGE.as_bytes()),
            ("GET" | "HEAD", "/health") => {
                Reply::text(200, format!("{} read the news\n", server.members(NEWS)))
            }
            // In earnest, not for everyone: see token_in_handshake.
            ("POST", "/publish") => match str::from_utf8(request.body()) {
                Ok(text) => {
                    server.publish(NEWS, Message::Text(text));
                    Reply::new(204)
                }
                Err(_) => Reply::text(400, "news are UTF-8\n"),
            },
            (_, "/" | "/health" | "/ws") => Reply::new(405).header("Allow", "GET"),
            (_, "/publish") => Reply::new(405).header("Allow", "POST"),
            _ => Reply::text(404, "there is nothing here\n"),
        })
    }

    fn open(&mut self, conn: &mut Conn<'_, ()>) {
        conn.subscribe(NEWS);
    }

    fn message(&mut self, conn: &mut Conn<'_, ()>, message: Message<'_>) {
        conn.publish(NEWS, message);
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1);
    let server = Server::builder()
        .listen(address.as_deref().unwrap_or("127.0.0.1:9001"))?
        .start(|_| Routes)?;
    println!("open http://{}/", server.addrs()[0]);
    server.join()
}
