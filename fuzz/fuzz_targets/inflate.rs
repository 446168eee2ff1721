//! Any bytes as compressed messages, cut anywhere: the same events, never more than the longest message, and a real
//! compressor's output survives being split into fragments.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use wirefan_fuzz::{Seen, live, same_however_cut};
use wirefan_protocol::handshake::negotiate;
use wirefan_protocol::{Config, Connection, DeflateConfig, Header, MaskKeys, Opcode, SendScratch};

const MAX_MESSAGE: usize = 3000;

fn config() -> Arc<Config> {
    let mut deflate = DeflateConfig::default();
    deflate.takeover = true;
    deflate.min_len = 0;
    let mut config = Config::default();
    config.max_message = MAX_MESSAGE;
    config.deflate = Some(deflate);
    Arc::new(config)
}

fn client() -> Connection {
    let agreed = negotiate([&b"permessage-deflate"[..]], &config())
        .expect("a list")
        .0;
    Connection::client(config(), agreed, MaskKeys::from_seed([7; 32]))
}

fn frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let rsv1 = opcode != Opcode::Continuation;
    let header = Header {
        fin,
        rsv1,
        opcode,
        masking_key: None,
        len: payload.len() as u64,
    };
    [&header.encode()[..], payload].concat()
}

/// A message's bytes, and whether they are to be text.
type Message<'a> = (&'a [u8], bool);

fuzz_target!(|case: (Vec<Message<'_>>, &[u8], bool)| {
    let (messages, cuts, honest) = case;
    let agreed = negotiate([&b"permessage-deflate"[..]], &config())
        .expect("a list")
        .0;
    let mut server = Connection::server(config(), agreed);
    let (mut scratch, mut wire, mut sent) = (SendScratch::default(), Vec::new(), Vec::new());
    for (bytes, text) in messages {
        let bytes = &bytes[..bytes.len().min(MAX_MESSAGE)];
        if honest {
            server
                .send_binary(bytes, &mut scratch, &mut wire)
                .expect("it is open");
            sent.push(Seen::Binary(bytes.to_vec()));
        } else {
            let opcode = if text { Opcode::Text } else { Opcode::Binary };
            let (first, second) = bytes.split_at(bytes.len() / 2);
            wire.extend(frame(false, opcode, first));
            wire.extend(frame(true, Opcode::Continuation, second));
        }
    }
    let life = same_however_cut(&wire, cuts, |pieces| live(client(), pieces.into_iter()));
    for event in &life.events {
        match event {
            Seen::Text(text) => assert!(text.len() <= MAX_MESSAGE),
            Seen::Binary(data) => assert!(data.len() <= MAX_MESSAGE),
            _ => {}
        }
    }
    if honest {
        assert_eq!(&life.events[..sent.len()], sent);
    }
});
