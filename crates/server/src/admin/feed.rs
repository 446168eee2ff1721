//! What the dashboard is fed once a second: the counts as JSON. The page makes rates of them.

use serde_json::{Map, Value, json};
use wirefan_eventloop::{Histogram, Stats, WorkerStats};

use super::prometheus::Process;

/// The state of things at `now` milliseconds since 1970.
pub(super) fn snapshot(stats: &Stats, process: Process, now: u64) -> String {
    let mut total = totals(&stats.total());
    total["topics"] = stats.topics.into();
    let workers: Vec<Value> = stats
        .workers
        .iter()
        .map(|worker| {
            json!({
                "connections": worker.connections,
                "received": worker.messages_received,
                "sent": worker.messages_sent,
                "backlog": worker.backlog,
                "busy": worker.turns.sum().as_secs_f64(),
            })
        })
        .collect();
    json!({
        "now": now,
        "started": process.started.as_millis() as u64,
        "draining": process.draining,
        "version": env!("CARGO_PKG_VERSION"),
        "total": total,
        "workers": workers,
    })
    .to_string()
}

fn totals(total: &WorkerStats) -> Value {
    let dropped: Vec<_> = total
        .dropped
        .iter()
        .map(|(policy, n)| (policy.name(), *n))
        .collect();
    json!({
        "connections": total.connections,
        "sockets": total.sockets,
        "backlog": total.backlog,
        "received": total.messages_received,
        "sent": total.messages_sent,
        "deliveries": total.deliveries,
        "bytes_received": total.bytes_received,
        "bytes_sent": total.bytes_sent,
        "handshakes": named(&total.handshakes),
        "closed": named(&total.closed),
        "dropped": named(&dropped),
        "compression": total.deflated.ratio(),
        "decompression": total.inflated.ratio(),
        "turns": histogram(&total.turns),
        "round_trips": histogram(&total.round_trips),
    })
}

fn named(counts: &[(&'static str, u64)]) -> Value {
    let counts = counts
        .iter()
        .map(|(name, count)| ((*name).to_owned(), Value::from(*count)));
    Value::Object(counts.collect::<Map<_, _>>())
}

/// Pairs of an upper bound in seconds, null above the last one, and a count.
fn histogram(histogram: &Histogram) -> Value {
    histogram
        .buckets()
        .map(|(bound, count)| json!([bound.map(|bound| bound.as_secs_f64()), count]))
        .collect()
}
