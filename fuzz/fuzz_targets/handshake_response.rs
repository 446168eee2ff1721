//! Any answer to a client, cut anywhere, is judged the same, and what stands behind it reaches the connection.
#![no_main]

use std::iter;

use libfuzzer_sys::fuzz_target;
use wirefan_fuzz::{Opening, Part, assemble, live, low_limits, same_however_cut};
use wirefan_protocol::Input;
use wirefan_protocol::handshake::{Answer, ClientHandshake, ClientRequest, Response, accept_key};

fn start() -> (ClientHandshake, String) {
    let mut request = ClientRequest::new("a", "/");
    request.protocols = &["a", "b"];
    let mut out = Vec::new();
    let handshake = ClientHandshake::start(low_limits(), request, [7; 32], &mut out);
    let out = str::from_utf8(&out).expect("a request is ASCII");
    let (_, key) = out.split_once("Sec-WebSocket-Key: ").expect("it has a key");
    let accept = accept_key(&key.as_bytes()[..24]).map(char::from);
    (
        handshake.expect("it is a good request"),
        accept.iter().collect(),
    )
}

fn read(pieces: Vec<Vec<u8>>) -> Opening {
    let (mut handshake, _) = start();
    let mut opening = Opening::default();
    let mut pieces = pieces.into_iter();
    while let Some(mut piece) = pieces.next() {
        let mut input = Input::new(&mut piece);
        match handshake.next_response(&mut input) {
            None => {}
            Some(_) if opening.seen.is_some() => panic!("a second answer"),
            Some(Answer::Failed(why)) => opening.seen = Some(Err(why.to_string())),
            Some(Answer::Refused(response)) => opening.seen = Some(Ok(describe(&response))),
            Some(Answer::Accepted(connection, response)) => {
                opening.seen = Some(Ok(describe(&response)));
                let rest = iter::once(input.into_rest().to_vec());
                opening.life = Some(live(connection, rest.chain(pieces.by_ref())));
            }
        }
    }
    opening
}

/// A refusal's body is only what came together with its head, so it is left out.
fn describe(response: &Response<'_>) -> String {
    let headers: Vec<_> = response.headers().collect();
    let (status, reason, protocol) = (response.status(), response.reason(), response.protocol());
    format!("{status} {reason:?} {protocol:?} {headers:?}")
}

fuzz_target!(|case: (Vec<Part<'_>>, &[u8])| {
    let (parts, cuts) = case;
    let accept = format!("Sec-WebSocket-Accept: {}\r\n", start().1);
    let words: [&[u8]; 11] = [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        accept.as_bytes(),
        b"\r\n",
        b"\x01\x01a",
        b"HTTP/1.1 101 \r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\r\n",
        b"Upgrade: WebSocket\r\n",
        b"Connection: keep-alive, Upgrade\r\n",
        b"Sec-WebSocket-Protocol: b\r\n",
        b"Sec-WebSocket-Extensions: x\r\n",
    ];
    same_however_cut(&assemble(&parts, &words), cuts, read);
});
