//! Opening: a browser's request parsed and accepted, and a client's request written and its answer checked.

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use wirefan_protocol::handshake::{
    Accept, Answer, Asked, ClientHandshake, ClientRequest, ServerHandshake,
};
use wirefan_protocol::{Config, Connection, Input};

const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n\
    Upgrade: websocket\r\n\
    Origin: http://example.com\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

fn accept(config: &Arc<Config>, request: &mut [u8], out: &mut Vec<u8>) -> Connection {
    let mut handshake = ServerHandshake::new(Arc::clone(config));
    match handshake.next_request(&mut Input::new(request), out) {
        Some(Asked::Request(request)) => request
            .accept(Accept::default(), out)
            .expect("it asks for a WebSocket"),
        other => panic!("{other:?}"),
    }
}

fn connect(config: &Arc<Config>, answer: &mut [u8], out: &mut Vec<u8>) -> Connection {
    let request = ClientRequest::new("server.example.com", "/chat");
    let mut handshake = ClientHandshake::start(Arc::clone(config), request, [7; 32], out)
        .expect("it is a good request");
    match handshake.next_response(&mut Input::new(answer)) {
        Some(Answer::Accepted(connection, _)) => connection,
        other => panic!("{other:?}"),
    }
}

fn handshake(criterion: &mut Criterion) {
    let config = Arc::new(Config::default());
    let (mut request, mut out) = (REQUEST.to_vec(), Vec::new());
    criterion.bench_function("handshake/server", |bencher| {
        bencher.iter(|| {
            out.clear();
            accept(&config, &mut request, &mut out)
        });
    });

    // The same seed makes the same key, so one answer serves every time.
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    let client_request = ClientRequest::new("server.example.com", "/chat");
    ClientHandshake::start(Arc::clone(&config), client_request, [7; 32], &mut request)
        .expect("it is a good request");
    accept(&config, &mut request, &mut answer);
    criterion.bench_function("handshake/client", |bencher| {
        bencher.iter(|| {
            out.clear();
            connect(&config, &mut answer, &mut out)
        });
    });
}

criterion_group!(benches, handshake);
criterion_main!(benches);
