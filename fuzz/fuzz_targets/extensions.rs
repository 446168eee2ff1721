//! Any `Sec-WebSocket-Extensions`: never a panic, and what a server answers is understood by a client, agreeing on what
//! the server thinks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wirefan_fuzz::{Part, assemble};
use wirefan_protocol::handshake::negotiate;
use wirefan_protocol::{Config, DeflateConfig};

const WORDS: [&[u8]; 12] = [
    b"permessage-deflate",
    b"; server_no_context_takeover",
    b"; client_no_context_takeover",
    b"; server_max_window_bits=",
    b"; client_max_window_bits",
    b"=",
    b"15",
    b"9",
    b"\"8\"",
    b", ",
    b"\"",
    b"\\",
];

fuzz_target!(|case: (Vec<Part<'_>>, u8)| {
    let mut deflate = DeflateConfig::default();
    deflate.takeover = case.1 & 1 != 0;
    deflate.shared_history = (case.1 & 2 != 0).then_some(16);
    deflate.window_bits = 9 + (case.1 >> 2) % 7;
    let mut config = Config::default();
    config.deflate = Some(deflate);
    let offers = assemble(&case.0, &WORDS);
    let Ok((agreed, answer)) = negotiate([&offers[..]], &config) else {
        return;
    };
    assert_eq!(agreed.deflate().is_some(), answer.is_some());
    let (Some(params), Some(answer)) = (agreed.deflate(), answer) else {
        return;
    };
    assert!(
        (9..=15).contains(&params.send.window_bits)
            && (8..=15).contains(&params.receive.window_bits)
    );
    // The answer, offered again, is an offer that can be honoured, and to the same end.
    let (again, text) = negotiate([answer.as_bytes()], &config).expect("our own text is valid");
    assert_eq!((again.deflate(), text), (Some(params), Some(answer)));
});
