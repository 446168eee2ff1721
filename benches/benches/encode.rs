//! Sending: a text as a server's frame, as a client's masked one, and as one encoded for many.

use core::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wirefan_benches::input::{SIZES, server, text};
use wirefan_protocol::{Agreed, Config, Connection, Frame, MaskKeys, SendScratch};

fn encode(criterion: &mut Criterion) {
    let client = Connection::client(
        Arc::new(Config::default()),
        Agreed::default(),
        MaskKeys::from_seed([7; 32]),
    );
    for (name, mut connection) in [("encode/server", server()), ("encode/client", client)] {
        let mut group = criterion.benchmark_group(name);
        for len in SIZES {
            group.throughput(Throughput::Bytes(len as u64));
            let (text, mut scratch, mut out) = (text(len), SendScratch::default(), Vec::new());
            group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
                bencher.iter(|| {
                    out.clear();
                    connection.send_text(black_box(&text), &mut scratch, &mut out)
                });
            });
        }
        group.finish();
    }
    let mut group = criterion.benchmark_group("encode/shared");
    for len in SIZES {
        group.throughput(Throughput::Bytes(len as u64));
        let text = text(len);
        group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
            bencher.iter(|| Frame::text(black_box(&text)));
        });
    }
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
