//! Receiving: a read buffer full of masked frames becomes events. Beside it the bare loop, which bounds what is possible,
//! and the copy that fills the buffer again, which is in all of these times.

use core::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use wirefan_benches::bare;
use wirefan_benches::input::{READ, Reads, SIZES, client_frame, mixed, receive, server, text};
use wirefan_protocol::{Header, Opcode, RecvScratch};

fn throughput(group: &mut BenchmarkGroup<'_, WallTime>, len: usize, count: usize) {
    group.throughput(Throughput::ElementsAndBytes {
        elements: count as u64,
        bytes: (count * len) as u64,
    });
}

/// `count` messages a read, to events.
fn events(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    mut reads: Reads,
    count: usize,
) {
    let mut connection = server();
    let (mut scratch, mut out) = (RecvScratch::default(), Vec::new());
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            let messages = receive(&mut connection, reads.refill(), &mut scratch, &mut out);
            assert_eq!(messages, count);
        });
    });
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for len in SIZES {
        let (mut reads, count) = Reads::of_texts(len);
        throughput(&mut group, len, count);
        events(
            &mut group,
            BenchmarkId::new("wirefan", len),
            reads.clone(),
            count,
        );
        group.bench_function(BenchmarkId::new("bare", len), |bencher| {
            bencher.iter(|| {
                let mut messages = 0;
                let whole = bare::texts(reads.refill(), |text| {
                    messages += 1;
                    black_box(text);
                });
                assert!(whole && messages == count);
            });
        });
        group.bench_function(BenchmarkId::new("copy", len), |bencher| {
            bencher.iter(|| black_box(reads.refill()).len());
        });
    }
    group.finish();
}

/// What UTF-8 costs is the difference between a text and a binary message of the same bytes.
fn utf8(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("utf8");
    for len in [16, 125, 1024, 16 * 1024, 65_536] {
        let (ascii, mixed) = (text(len), mixed(len));
        let count = (READ / len).max(1);
        throughput(&mut group, len, count);
        for (name, opcode, payload) in [
            ("binary", Opcode::Binary, &ascii),
            ("ascii", Opcode::Text, &ascii),
            ("mixed", Opcode::Text, &mixed),
        ] {
            let reads = Reads::new(&client_frame(opcode, payload.as_bytes()), count);
            events(&mut group, BenchmarkId::new(name, len), reads, count);
        }
    }
    group.finish();
}

/// The three forms of a header, by the payload length that each is for.
fn header(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("header");
    for len in [125, 1024, 65_536] {
        let frame = client_frame(Opcode::Text, text(len).as_bytes());
        group.bench_function(BenchmarkId::new("decode", len), |bencher| {
            bencher.iter(|| Header::decode(black_box(&frame)));
        });
    }
    group.finish();
}

criterion_group!(benches, decode, utf8, header);
criterion_main!(benches);
