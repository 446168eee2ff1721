//! What a browser is told that asks without an Upgrade: the chat page of a room, its members, or what an echo server is.

use std::sync::LazyLock;

use wirefan_protocol::handshake::{Reply, Request};

/// The room that browsers ask for an icon in. The page brings its own.
pub(crate) const ICON: &str = "/favicon.ico";

/// HTML, script and style in one file. It is the same for every room: nothing that anybody sent ever becomes part of it.
const CHAT: &str = include_str!("page.html");

/// The page for servers that send messages back: it waits for its own before it shows them as sent.
static CHAT_TO_SENDER: LazyLock<String> =
    LazyLock::new(|| CHAT.replacen("data-to-sender=\"no\"", "data-to-sender=\"yes\"", 1));

/// Allows the page its own script and style, by their hashes, and connections to where it came from; nothing else.
const POLICY: &str = "default-src 'none'; \
    script-src 'sha256-KWSyuUNi+hlhExhlN00GNbHZpFNu4YQLE5qIiPjOz6U='; \
    style-src 'sha256-g6QHriyxIH2IJbVwyWEWqz4mEbm3DSA5puEAsQpsReA='; \
    img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers a plain request with what `page` makes, if its method is one for pages.
pub(crate) fn answer(
    request: &Request<'_>,
    page: impl FnOnce() -> Reply<'static>,
) -> Reply<'static> {
    match request.method() {
        // The body is left out for HEAD by whoever writes the answer.
        "GET" | "HEAD" => page().header("X-Content-Type-Options", "nosniff"),
        _ => Reply::text(405, "only GET and HEAD are answered here").header("Allow", "GET, HEAD"),
    }
}

/// The chat page.
pub(crate) fn chat(to_sender: bool) -> Reply<'static> {
    let page = if to_sender { &**CHAT_TO_SENDER } else { CHAT };
    Reply::new(200)
        .header("Content-Type", "text/html; charset=utf-8")
        .header("Content-Security-Policy", POLICY)
        .header("Referrer-Policy", "no-referrer")
        .header("Cache-Control", "no-cache")
        .body(page.as_bytes())
}

/// Whether the members of a room are asked for: `/room?members`.
pub(crate) fn asks_for_members(request: &Request<'_>) -> bool {
    request.query() == Some("members") && matches!(request.method(), "GET" | "HEAD")
}

/// How many members a room has, as JSON.
pub(crate) fn members(room: &str, members: usize) -> Reply<'static> {
    // No room has a control character in its name, so that these two are all that JSON wants escaped (RFC 8259 §7).
    let room = room.replace('\\', "\\\\").replace('"', "\\\"");
    Reply::new(200)
        .header("Content-Type", "application/json")
        .header("X-Content-Type-Options", "nosniff")
        .header("Cache-Control", "no-store")
        .body(format!("{{\"room\":\"{room}\",\"members\":{members}}}\n").into_bytes())
}

/// There is no icon but the page's own.
pub(crate) fn no_icon() -> Reply<'static> {
    Reply::new(204).header("Cache-Control", "max-age=86400")
}

/// What an echo server is, and how to try it.
pub(crate) fn echo(host: Option<&str>, tls: bool) -> Reply<'static> {
    let scheme = if tls { "wss" } else { "ws" };
    let url = format!("{scheme}://{}/", host.unwrap_or("127.0.0.1:9001"));
    let text = format!(
        "This is a wirefan echo server: it speaks WebSocket, and sends every message back to its sender.\n\
         \n\
         Try it with a line in the console of this browser page:\n\
         \n    s = new WebSocket('{url}'); s.onopen = () => s.send('hello'); s.onmessage = m => console.log(m.data)\n\
         \n\
         or on a command line:\n\
         \n    npx wscat -c {url}\n    python -m websockets {url}\n"
    );
    Reply::text(200, text).header("Cache-Control", "no-cache")
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use sha2::{Digest, Sha256};
    use wirefan_protocol::handshake::{Asked, ServerHandshake};
    use wirefan_protocol::{Config, Input};

    fn inside(tag: &str) -> &'static str {
        let (_, rest) = CHAT.split_once(&format!("<{tag}>")).unwrap();
        let (inside, rest) = rest.split_once(&format!("</{tag}>")).unwrap();
        assert!(!rest.contains(&format!("<{tag}")), "one {tag} only");
        inside
    }

    /// Answers `head` as a server would, and returns what is written.
    fn answered(head: &str, page: impl FnOnce() -> Reply<'static>) -> String {
        let (mut read, mut out) = (head.as_bytes().to_vec(), Vec::new());
        let mut handshake = ServerHandshake::new(Config::default().into());
        let asked = handshake.next_request(&mut Input::new(&mut read), &mut out);
        let Some(Asked::Request(request)) = asked else {
            panic!("{asked:?}")
        };
        let reply = answer(&request, page);
        request.respond(&reply, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_policy_knows_the_script_and_the_style() {
        for tag in ["script", "style"] {
            let hash = BASE64_STANDARD.encode(Sha256::digest(inside(tag)));
            let source = format!("{tag}-src 'sha256-{hash}'");
            assert!(POLICY.contains(&source), "POLICY needs {source}");
        }
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere_and_makes_no_markup() {
        for outside in ["src=", "@import", "url(", "import(", "<link rel=\"style"] {
            assert!(!CHAT.contains(outside), "{outside}");
        }
        for markup in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!CHAT.contains(markup), "{markup}");
        }
        for inline in [" style=", " onclick=", " onload=", "javascript:"] {
            assert!(!CHAT.contains(inline), "the policy forbids {inline}");
        }
    }

    #[test]
    fn the_page_knows_whether_messages_come_back() {
        let page = |to_sender| answered("GET / HTTP/1.0\r\n\r\n", || chat(to_sender));
        assert!(page(false).contains("<html lang=\"en\" data-to-sender=\"no\""));
        assert!(page(true).contains("<html lang=\"en\" data-to-sender=\"yes\""));
    }

    #[test]
    fn get_and_head_are_answered_and_nothing_else() {
        let icon = no_icon;
        let get = answered("GET / HTTP/1.0\r\n\r\n", || chat(false));
        let head = answered("HEAD / HTTP/1.0\r\n\r\n", || chat(false));
        assert!(get.starts_with("HTTP/1.1 200 OK\r\n") && get.ends_with("</html>\n"));
        assert!(
            get.contains("\r\nX-Content-Type-Options: nosniff\r\n"),
            "{get}"
        );
        assert!(
            head.ends_with("\r\n\r\n") && get.starts_with(&head),
            "{head}"
        );
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "get"] {
            let answer = answered(&format!("{method} / HTTP/1.0\r\n\r\n"), icon);
            assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
            assert!(answer.contains("\r\nAllow: GET, HEAD\r\n"), "{answer}");
        }
    }

    #[test]
    fn members_are_json_whatever_the_room_is_called() {
        for room in ["/", "/tea", "/\"\\", "/grün \u{2028}😀"] {
            let answer = answered("GET / HTTP/1.0\r\n\r\n", || members(room, 3));
            assert!(
                answer.contains("\r\nCache-Control: no-store\r\n"),
                "{answer}"
            );
            let (_, body) = answer.split_once("\r\n\r\n").unwrap();
            let json: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(json, serde_json::json!({"room": room, "members": 3}));
        }
    }

    #[test]
    fn an_echo_server_says_how_to_try_it() {
        let text = answered("GET / HTTP/1.1\r\nHost: example.com:81\r\n\r\n", || {
            echo(Some("example.com:81"), false)
        });
        assert!(
            text.contains("\r\nContent-Type: text/plain; charset=utf-8\r\n"),
            "{text}"
        );
        assert!(
            text.contains("npx wscat -c ws://example.com:81/\n"),
            "{text}"
        );
    }
}
