//! `/metrics`: the counts in Prometheus' text format 0.0.4, which everything that scrapes understands.

use core::fmt::{Display, Write};
use std::time::Duration;

use wirefan_eventloop::{Histogram, Stats, WorkerStats};

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is known of the process beside the counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    /// Its start, since 1970.
    pub(super) started: Duration,
    pub(super) draining: bool,
}

/// All of it.
pub(super) fn write(stats: &Stats, process: Process) -> String {
    let mut page = Page(String::with_capacity(16 * 1024));
    page.family(
        "wirefan_build_info",
        "gauge",
        "The version of wirefan, which is always 1.",
    );
    page.sample(
        "wirefan_build_info",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1,
    );
    page.family(
        "process_start_time_seconds",
        "gauge",
        "When the process started, in seconds since 1970.",
    );
    page.sample(
        "process_start_time_seconds",
        &[],
        process.started.as_secs_f64(),
    );
    page.family(
        "wirefan_ready",
        "gauge",
        "Whether new clients are wanted: 0 while it drains.",
    );
    page.sample("wirefan_ready", &[], u8::from(!process.draining));
    page.family(
        "wirefan_topics",
        "gauge",
        "Rooms with members now, on any worker.",
    );
    page.sample("wirefan_topics", &[], stats.topics);
    let workers = &stats.workers;
    for (name, help, value) in GAUGES {
        page.each(workers, name, "gauge", help, value);
    }
    for (name, help, value) in COUNTERS {
        page.each(workers, name, "counter", help, value);
    }
    page.named(
        workers,
        ("wirefan_handshakes_total", "result"),
        "Requests by what became of them.",
        |worker| worker.handshakes.clone(),
    );
    page.named(
        workers,
        ("wirefan_connections_closed_total", "cause"),
        "Ends of connections that were open, by their cause.",
        |worker| worker.closed.clone(),
    );
    page.named(
        workers,
        ("wirefan_messages_dropped_total", "policy"),
        "Messages that slow readers were not sent, by what was done about it.",
        |worker| {
            worker
                .dropped
                .iter()
                .map(|(policy, n)| (policy.name(), *n))
                .collect()
        },
    );
    page.histogram(
        workers,
        "wirefan_turn_seconds",
        "How long turns of the loop took, from being woken to waiting again.",
        |worker| &worker.turns,
    );
    page.histogram(
        workers,
        "wirefan_round_trip_seconds",
        "How long pings of the server took to be answered.",
        |worker| &worker.round_trips,
    );
    page.0
}

type Number = (&'static str, &'static str, fn(&WorkerStats) -> u64);

const GAUGES: [Number; 3] = [
    (
        "wirefan_connections",
        "Open WebSocket connections now.",
        |it| it.connections,
    ),
    (
        "wirefan_sockets",
        "Sockets now: connections, handshakes, plain requests, and what is being ended.",
        |it| it.sockets,
    ),
    (
        "wirefan_backlog_bytes",
        "Bytes now that sockets have refused.",
        |it| it.backlog,
    ),
];

const COUNTERS: [Number; 9] = [
    (
        "wirefan_messages_received_total",
        "Messages received.",
        |it| it.messages_received,
    ),
    (
        "wirefan_messages_sent_total",
        "Messages taken for sending, each delivery of a room counted.",
        |it| it.messages_sent,
    ),
    (
        "wirefan_deliveries_total",
        "Messages of rooms, once for each member that they were sent to.",
        |it| it.deliveries,
    ),
    (
        "wirefan_received_bytes_total",
        "Bytes read from sockets, without what TLS adds.",
        |it| it.bytes_received,
    ),
    (
        "wirefan_sent_bytes_total",
        "Bytes that sockets took, without what TLS adds.",
        |it| it.bytes_sent,
    ),
    (
        "wirefan_compression_input_bytes_total",
        "Bytes of messages that were given to compressors.",
        |it| it.deflated.plain,
    ),
    (
        "wirefan_compression_output_bytes_total",
        "Bytes that came of them.",
        |it| it.deflated.compressed,
    ),
    (
        "wirefan_decompression_input_bytes_total",
        "Bytes of compressed messages received.",
        |it| it.inflated.compressed,
    ),
    (
        "wirefan_decompression_output_bytes_total",
        "Bytes of the messages that they were.",
        |it| it.inflated.plain,
    ),
];

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One line. Every label's value is a word of ours that needs no escaping.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{text}\"");
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{after} {value}");
    }

    fn each(
        &mut self,
        workers: &[WorkerStats],
        name: &str,
        kind: &str,
        help: &str,
        value: impl Fn(&WorkerStats) -> u64,
    ) {
        self.family(name, kind, help);
        for (number, worker) in workers.iter().enumerate() {
            self.sample(name, &[("worker", &number.to_string())], value(worker));
        }
    }

    fn named(
        &mut self,
        workers: &[WorkerStats],
        (name, label): (&str, &str),
        help: &str,
        counts: impl Fn(&WorkerStats) -> Vec<(&'static str, u64)>,
    ) {
        self.family(name, "counter", help);
        for (number, worker) in workers.iter().enumerate() {
            for (word, count) in counts(worker) {
                self.sample(
                    name,
                    &[("worker", &number.to_string()), (label, word)],
                    count,
                );
            }
        }
    }

    fn histogram(
        &mut self,
        workers: &[WorkerStats],
        name: &str,
        help: &str,
        of: impl Fn(&WorkerStats) -> &Histogram,
    ) {
        self.family(name, "histogram", help);
        for (number, worker) in workers.iter().enumerate() {
            let (histogram, number) = (of(worker), number.to_string());
            let mut so_far = 0;
            for (bound, count) in histogram.buckets() {
                so_far += count;
                let bound =
                    bound.map_or_else(|| "+Inf".to_owned(), |it| it.as_secs_f64().to_string());
                let labels = [("worker", &*number), ("le", &*bound)];
                self.sample(&format!("{name}_bucket"), &labels, so_far);
            }
            let labels = [("worker", &*number)];
            let seconds = histogram.sum().as_secs_f64();
            self.sample(&format!("{name}_sum"), &labels, seconds);
            // What the buckets say, and not what has been counted meanwhile.
            self.sample(&format!("{name}_count"), &labels, so_far);
        }
    }
}
