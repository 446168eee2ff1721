//! Tokens never reach the log, however much it tells, and whatever becomes of them.

use wirefan_protocol::CloseCode;

use crate::auth_url::Judge;
use crate::common::{Received, Wirefan, run};
use crate::folder::{ANN, BOB, Folder, TOKENS};
use crate::knock::{enter, enter_with, knock};

/// Nobody knows it.
const BAD: &str = "bad-0123456789abcdef";

#[test]
fn no_token_is_in_the_log() {
    let folder = Folder::new("secrets");
    let tokens = folder.file("tokens", TOKENS);
    let key = folder.file("key", "0123456789abcdef0123456789abcdef\n");
    let ticket = run(&["ticket", "--ticket-key", &key]);
    let ticket = String::from_utf8(ticket.stdout).unwrap().trim().to_owned();
    // Something that begins as a JWT does.
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl";
    let secrets = [ANN, BOB, BAD, &ticket, jwt];
    let places = ["bearer", "cookie:id", "subprotocol", "query:t"];
    let places = places.map(|place| ["--token-from", place]).concat();
    let args = [
        "broadcast",
        "--log",
        "trace",
        "--token-file",
        &tokens,
        "--ticket-key",
        &key,
        "--jwt-key",
        &key,
    ];
    let judge = Judge::start(|_| Some("403 Forbidden"));
    let url = judge.url();
    let first = ["--token-from", "message"];
    let asked = ["--auth-url", &url];
    for (more, asks) in [(&first[..], false), (&asked, true)] {
        let server = Wirefan::start(&[&args[..], &places, more].concat());
        for secret in secrets {
            let (cookie, offer) = (format!("id={secret}"), format!("chat, bearer.{secret}"));
            drop(enter_with(&server, "/news", secret));
            drop(enter(&server, "/news", &[("Cookie", &cookie)]));
            knock(&server, "/news", &[("Sec-WebSocket-Protocol", &offer)]);
            knock(&server, &format!("/news?t={secret}"), &[]);
            // One too many, and one with what no token has.
            knock(&server, &format!("/news?t={secret}&t={secret}"), &[]);
            knock(&server, &format!("/news?t={secret}%20"), &[]);
            if !asks {
                let mut client = enter(&server, "/news", &[]).ok().unwrap();
                client.send_text(secret);
                client.close(CloseCode::NORMAL, "");
                while !matches!(client.next(), Received::Close(_) | Received::End) {}
            }
        }
        let log = server.rest_of_log();
        assert!(log.iter().any(|line| line.contains("refused")), "{log:?}");
        for line in log {
            for secret in secrets {
                assert!(!line.contains(secret), "{line}");
            }
            assert!(!line.contains("c2lnbmF0dXJl"), "{line}");
        }
    }
}
