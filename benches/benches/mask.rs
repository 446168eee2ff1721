//! Masking alone: `apply_mask` over payloads that start and end anywhere.

use core::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wirefan_benches::SIZES;
use wirefan_protocol::apply_mask;

fn mask(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    for len in SIZES {
        group.throughput(Throughput::Bytes(len as u64));
        // A payload behind a six-byte header, as in a read buffer.
        let mut buffer = vec![0x5a; 6 + len];
        group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
            bencher.iter(|| apply_mask(&mut buffer[6..], black_box([1, 2, 3, 4]), 0));
        });
    }
    group.finish();
}

criterion_group!(benches, mask);
criterion_main!(benches);
