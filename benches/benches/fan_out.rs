//! One message for many: a `Frame` made once and given to each connection, beside the message encoded for each.

use core::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wirefan_benches::input::{server, text};
use wirefan_protocol::{Connection, Frame, SendScratch};

fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan_out");
    for connections in [1, 10, 100, 1000] {
        group.throughput(Throughput::Elements(connections as u64));
        let mut room: Vec<Connection> = (0..connections).map(|_| server()).collect();
        let (text, mut scratch, mut out) = (text(1024), SendScratch::default(), Vec::new());
        group.bench_function(BenchmarkId::new("frame", connections), |bencher| {
            bencher.iter(|| {
                let frame = Frame::text(black_box(&text));
                for connection in &mut room {
                    black_box(connection.send_frame(&frame, &mut scratch)).expect("it is open");
                }
            });
        });
        group.bench_function(BenchmarkId::new("each", connections), |bencher| {
            bencher.iter(|| {
                for connection in &mut room {
                    out.clear();
                    let sent = connection.send_text(black_box(&text), &mut scratch, &mut out);
                    black_box(sent).expect("it is open");
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
