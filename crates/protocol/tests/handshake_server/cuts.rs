//! No cut of the bytes changes what they mean, and no bytes at all make it panic.

use proptest::prelude::*;

use wirefan_protocol::Config;
use wirefan_protocol::handshake::Accept;

use super::{EXAMPLE, Made, held, run};

/// Requests of all kinds, whole and broken.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let lines = prop::sample::subsequence(
        vec![
            "Host: a\r\n",
            "Host: b:80\r\n",
            "Upgrade: WebSocket\r\n",
            "Upgrade: h2c\r\n",
            "Connection: x, upgrade\r\n",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "Sec-WebSocket-Version: 13\r\n",
            "Sec-WebSocket-Version: 8\r\n",
            "Sec-WebSocket-Protocol: chat, b\r\n",
            "Origin: null\r\n",
            "Content-Length: 5\r\n",
            "Content-Length: 70000\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Expect: 100-continue\r\n",
            "X: \u{e4}\r\n",
            "X : y\r\n",
            " folded\r\n",
            "X: y\n",
        ],
        0..=9,
    );
    let start = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "GET /a?b HTTP/1.0\r\n",
        "\r\nPOST / HTTP/1.1\r\n",
        "HEAD * HTTP/1.1\r\n",
        "GET a HTTP/1.1\r\n",
        "PRI * HTTP/2.0\r\n",
        "\x16\x03\x01",
    ]);
    let made = (
        start,
        lines.prop_shuffle(),
        prop::collection::vec(any::<u8>(), 0..20),
    )
        .prop_map(|(start, lines, rest)| {
            [start.as_bytes(), lines.concat().as_bytes(), b"\r\n", &rest].concat()
        });
    let example = prop::collection::vec(any::<u8>(), 0..20)
        .prop_map(|rest| [EXAMPLE.as_bytes(), &rest].concat());
    let spoilt = (example.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(
        |(mut bytes, at, byte)| {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        },
    );
    prop_oneof![2 => made, 1 => example, 2 => spoilt]
}

/// `bytes` in pieces, some of them empty.
fn cut<'b>(bytes: &'b [u8], cuts: &[prop::sample::Index]) -> Vec<&'b [u8]> {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    ends.extend([0, bytes.len()]);
    ends.sort_unstable();
    ends.windows(2)
        .map(|ends| &bytes[ends[0]..ends[1]])
        .collect()
}

proptest! {
    #[test]
    fn no_cut_changes_anything(
        bytes in requests(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        max_head in prop_oneof![3 => Just(16 * 1024), 1 => 0_usize..300],
    ) {
        let mut config = Config::default();
        config.max_head = max_head;
        let uncut = run(&config, [&bytes[..]]);
        prop_assert_eq!(&run(&config, cut(&bytes, &cuts)), &uncut);
        prop_assert_eq!(&run(&config, bytes.chunks(1)), &uncut);
    }

    #[test]
    fn garbage_never_panics_and_never_opens(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let made = run(&Config::default(), cut(&bytes, &cuts)).made;
        let opened = matches!(made, Made::Request { is_websocket: true, .. });
        prop_assert!(!opened);
    }

    #[test]
    fn a_good_request_is_accepted_in_any_order_with_any_other_headers(
        order in Just(EXAMPLE.trim_end().lines().skip(1).map(String::from).collect::<Vec<_>>()).prop_shuffle(),
        others in prop::collection::vec(("X-[a-zA-Z!#$%&'*+.^_`|~-]{1,20}", "[ \ta-zäß\"=;,:]{0,40}"), 0..5),
    ) {
        let mut lines = order;
        lines.extend(others.iter().map(|(name, value)| format!("{name}:{value}")));
        let request = held(&format!("GET /chat HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n")));
        let request = request.request();
        for (name, value) in &others {
            let found = request.headers().any(|it| it == (name, value.trim_matches([' ', '\t']).as_bytes()));
            prop_assert!(found, "{name}");
        }
        prop_assert_eq!(request.host(), Some("server.example.com"));
        let accept = Accept { protocol: Some("superchat"), ..Accept::default() };
        prop_assert_eq!(request.accept(accept, &mut Vec::new()).err(), None);
    }
}
