//! Masking alone: `apply_mask` over payloads that start and end anywhere, and beside it the copy of as many bytes.

use core::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wirefan_protocol::apply_mask;

/// Behind a six-byte header, as in a read buffer.
const START: usize = 6;

fn mask(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    for len in [16, 64, 125, 256, 1024, 4096, 16_384, 65_536] {
        group.throughput(Throughput::Bytes(len as u64));
        let mut buffer = vec![0x5a; START + len];
        group.bench_function(BenchmarkId::new("wirefan", len), |bencher| {
            bencher.iter(|| apply_mask(&mut buffer[START..], black_box([1, 2, 3, 4]), 0));
        });
        let from = buffer.clone();
        group.bench_function(BenchmarkId::new("memcpy", len), |bencher| {
            bencher.iter(|| {
                let to = black_box(&mut buffer[START..]);
                to.copy_from_slice(black_box(&from[START..]));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, mask);
criterion_main!(benches);
