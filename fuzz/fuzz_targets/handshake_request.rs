//! Any request, cut anywhere, gives the same answer, and what stands behind it reaches the connection.
#![no_main]

use std::iter;

use libfuzzer_sys::fuzz_target;
use wirefan_fuzz::{Opening, Part, assemble, live, low_limits, same_however_cut};
use wirefan_protocol::handshake::{Accept, Asked, Reply, Request, ServerHandshake};
use wirefan_protocol::{Connection, Input};

const WORDS: [&[u8]; 10] = [
    b"GET /chat?a HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
    b"\r\n",
    b"Sec-WebSocket-Protocol: a, b\r\n",
    b"\x81\x81\0\0\0\0a",
    b"POST / HTTP/1.1\r\nHost: a\r\n",
    b"Content-Length: 3\r\n",
    b"Expect: 100-continue\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Sec-WebSocket-Version: 8\r\n",
    b"HEAD http://a/ HTTP/1.0\r\n",
];

fn read(pieces: Vec<Vec<u8>>) -> Opening {
    let mut handshake = ServerHandshake::new(low_limits());
    let mut opening = Opening::default();
    let mut pieces = pieces.into_iter();
    while let Some(mut piece) = pieces.next() {
        let mut input = Input::new(&mut piece);
        match handshake.next_request(&mut input, &mut opening.out) {
            None => {}
            Some(_) if opening.seen.is_some() => panic!("a second request"),
            Some(Asked::Failed(why)) => opening.seen = Some(Err(why.to_string())),
            Some(Asked::Request(request)) => {
                opening.seen = Some(Ok(describe(&request)));
                let connection = answer(request, &mut opening.out);
                let rest = iter::once(input.into_rest().to_vec());
                opening.life = connection.map(|it| live(it, rest.chain(pieces.by_ref())));
            }
        }
    }
    opening
}

fn answer(request: Request<'_>, out: &mut Vec<u8>) -> Option<Connection> {
    if !request.is_websocket() {
        request.respond(&Reply::text(404, "no"), out).unwrap();
        return None;
    }
    let accept = Accept {
        protocol: request.protocols().next(),
        ..Accept::default()
    };
    let connection = request.accept(accept, out);
    Some(connection.expect("only what was offered is chosen"))
}

fn describe(request: &Request<'_>) -> String {
    let target = (request.method(), request.path(), request.query());
    let from = (request.host(), request.origin());
    let protocols: Vec<_> = request.protocols().collect();
    let headers: Vec<_> = request.headers().chain([("", request.body())]).collect();
    format!("{target:?} {from:?} {protocols:?} {headers:?}")
}

fuzz_target!(|case: (Vec<Part<'_>>, &[u8])| {
    let whole = same_however_cut(&assemble(&case.0, &WORDS), case.1, read);
    assert!(whole.out.len() <= 1024, "{} answer bytes", whole.out.len());
});
