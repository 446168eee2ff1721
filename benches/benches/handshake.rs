//! Opening: a browser's request parsed and accepted, and a client's request written and its answer checked.

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use wirefan_benches::opening::{REQUEST, accept};
use wirefan_protocol::handshake::{Answer, ClientHandshake, ClientRequest};
use wirefan_protocol::{Config, Connection, Input};

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
