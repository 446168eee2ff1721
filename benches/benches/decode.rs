//! Receiving: a read buffer full of masked text frames becomes events.

use core::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wirefan_benches::{SIZES, client_frames};
use wirefan_protocol::{Agreed, Config, Connection, Event, Input, RecvScratch};

/// About as much as a server reads at once.
const READ: usize = 64 * 1024;

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for len in SIZES {
        let count = (READ / len).max(1);
        group.throughput(Throughput::ElementsAndBytes {
            elements: count as u64,
            bytes: (count * len) as u64,
        });
        let mut read = client_frames(len, count);
        let mut connection = Connection::server(Arc::new(Config::default()), Agreed::default());
        let (mut scratch, mut out) = (RecvScratch::default(), Vec::new());
        group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
            bencher.iter(|| {
                let mut input = Input::new(&mut read);
                let mut messages = 0;
                while let Some(event) = connection.next_event(&mut input, &mut scratch, &mut out) {
                    messages += usize::from(matches!(black_box(event), Event::Text(_)));
                }
                // A connection that had failed would be fast.
                assert_eq!(messages, count);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
