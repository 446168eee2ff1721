//! [`Results`]: what a run has found, to be written as JSON or by `table.rs`.

use std::collections::BTreeMap;

use clap::ValueEnum;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::load::Opened;
use super::plan::Plan;
use super::process::Memory;
use super::sample::Sample;
use super::table::grouped;
use super::tally::Tally;

/// What it has used is known only while it is there.
pub(crate) const SERVER_ENDED: &str =
    "the process of --server-pid has ended: what it used is not known";

/// The results. Names and units are told in docs/bench.md, and stay.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) mode: &'static str,
    pub(crate) url: String,
    pub(crate) threads: usize,
    pub(crate) connections: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) publishers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rooms: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subscribers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<&'static str>,
    /// `None` with an open loop that is not bounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_flight: Option<u32>,
    /// Messages a second that were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<u64>,

    pub(crate) seconds: f64,
    pub(crate) messages: u64,
    pub(crate) messages_per_second: f64,
    /// Not with `connect`, where nobody counts them.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency_us: Option<Latency>,

    pub(crate) lost: u64,
    /// Open loop only: were due, and held back to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unsent: Option<u64>,
    pub(crate) reordered: u64,
    pub(crate) duplicated: u64,
    pub(crate) verify_errors: u64,
    pub(crate) connections_opened: u64,
    pub(crate) connections_failed: u64,
    pub(crate) opened_per_second: f64,
    /// Were open, and ended before their time.
    pub(crate) connections_lost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compressed_connections: Option<u64>,
    pub(crate) errors: BTreeMap<String, u64>,

    pub(crate) client_cpu_seconds: f64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<ServerUse>,
    /// Its process was there at the start, and is not at the end.
    #[serde(skip)]
    pub(crate) server_ended: bool,
}

/// What went to and fro.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Bytes {
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) received_megabytes_per_second: f64,
    pub(crate) sent_megabytes_per_second: f64,
}

/// What the server has used.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ServerUse {
    pub(crate) server_cpu_seconds: f64,
    pub(crate) messages_per_server_cpu_second: f64,
    pub(crate) server_rss_bytes_before: u64,
    pub(crate) server_rss_bytes_after: u64,
    pub(crate) server_private_bytes_before: u64,
    pub(crate) server_private_bytes_after: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_bytes_per_connection: Option<f64>,
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) min: f64,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p99_9: f64,
    pub(crate) max: f64,
}

impl Latency {
    /// From nanoseconds; `None` without any.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let micros = |nanos: u64| nanos as f64 / 1000.0;
        let at = |quantile| micros(histogram.value_at_quantile(quantile));
        (!histogram.is_empty()).then(|| Self {
            min: micros(histogram.min()),
            mean: histogram.mean() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: micros(histogram.max()),
        })
    }
}

impl Results {
    /// From the samples before and after what counts, and from what the threads tell.
    pub(crate) fn new(
        plan: &Plan,
        threads: usize,
        before: &Sample,
        after: &Sample,
        opened: Opened,
        tally: Tally,
        at_first: Option<Memory>,
    ) -> Self {
        let seconds = (after.at - before.at).as_secs_f64();
        let per_second = |number: f64| if seconds > 0.0 { number / seconds } else { 0.0 };
        let messages = after.reading.messages - before.reading.messages;
        let received = after.reading.bytes_in - before.reading.bytes_in;
        let sent = after.reading.bytes_out - before.reading.bytes_out;
        let subscribers = (plan.publishers > 0).then(|| plan.roles.len() - plan.publishers);
        let sends = plan.messages.as_ref();
        let rate = sends.and_then(|messages| messages.rate);
        let server = at_first.and_then(|at_first| {
            let (before, after) = (before.server?, after.server?);
            let cpu = after.cpu_seconds - before.cpu_seconds;
            let grown = before.memory.private as f64 - at_first.private as f64;
            Some(ServerUse {
                server_cpu_seconds: cpu,
                messages_per_server_cpu_second: if cpu > 0.0 {
                    messages as f64 / cpu
                } else {
                    0.0
                },
                server_rss_bytes_before: at_first.rss,
                server_rss_bytes_after: after.memory.rss,
                server_private_bytes_before: at_first.private,
                server_private_bytes_after: after.memory.private,
                user_bytes_per_connection: (plan.mode == "idle")
                    .then(|| grown / plan.roles.len() as f64),
            })
        });
        let opening = if plan.is_connect() {
            after.at - before.at
        } else {
            opened.after
        };
        let count_opened = if plan.is_connect() {
            after.reading.opened - before.reading.opened
        } else {
            opened.reading.opened
        };
        Self {
            mode: plan.mode,
            url: plan.common.url.to_string(),
            threads,
            connections: plan.roles.len(),
            publishers: (plan.publishers > 0).then_some(plan.publishers),
            rooms: plan.rooms,
            subscribers,
            size_bytes: sends.map(|messages| messages.size),
            payload: sends.and_then(|messages| {
                Some(match messages.payload.to_possible_value()?.get_name() {
                    "ascii" => "ascii",
                    "utf8" => "utf8",
                    _ => "binary",
                })
            }),
            in_flight: plan.in_flight(),
            rate: rate.map(|rate| rate.get()),
            seconds,
            messages,
            messages_per_second: per_second(messages as f64),
            bytes: (!plan.is_connect()).then(|| Bytes {
                received_bytes: received,
                sent_bytes: sent,
                received_megabytes_per_second: per_second(received as f64 / 1e6),
                sent_megabytes_per_second: per_second(sent as f64 / 1e6),
            }),
            latency_us: Latency::of(&tally.latency),
            lost: tally.lost,
            unsent: rate.map(|_| tally.unsent),
            reordered: tally.reordered,
            connections_lost: tally.ended,
            duplicated: tally.duplicated,
            verify_errors: tally.verify_errors,
            connections_opened: opened.reading.opened,
            connections_failed: opened.reading.failed,
            opened_per_second: count_opened as f64 / opening.as_secs_f64().max(1e-9),
            compressed_connections: sends
                .filter(|messages| messages.compress)
                .map(|_| tally.compressed),
            errors: tally.errors,
            client_cpu_seconds: after.own_cpu - before.own_cpu,
            server_ended: at_first.is_some() && server.is_none(),
            server,
        }
    }

    /// Whether everything came back as it should.
    pub(crate) fn is_clean(&self) -> bool {
        let messages = self.lost + self.reordered + self.duplicated + self.verify_errors;
        messages + self.unsent.unwrap_or(0) + self.connections_failed == 0
            && !self.server_ended
            && self.errors.is_empty()
    }

    /// What went wrong, in a line.
    pub(crate) fn complaint(&self) -> Option<String> {
        let counts = [
            (self.lost, "lost"),
            (self.unsent.unwrap_or(0), "due and never sent"),
            (self.reordered, "reordered"),
            (self.duplicated, "duplicated"),
            (self.verify_errors, "with another content"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts = counts.map(|(count, what)| format!("{} {what}", messages(*count)));
        let errors = self
            .errors
            .iter()
            .map(|(error, count)| format!("{} {error}", connections(*count)));
        let ended = self.server_ended.then(|| SERVER_ENDED.to_owned());
        let said: Vec<String> = counts.chain(errors).chain(ended).collect();
        (!self.is_clean()).then(|| said.join("; "))
    }
}

fn messages(count: u64) -> String {
    format!(
        "{} message{}",
        grouped(count),
        if count == 1 { "" } else { "s" }
    )
}

pub(crate) fn connections(count: u64) -> String {
    format!(
        "{} connection{}:",
        grouped(count),
        if count == 1 { "" } else { "s" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_microseconds() {
        let mut histogram = Histogram::new_with_bounds(100, 3_600_000_000_000, 3).unwrap();
        assert!(Latency::of(&histogram).is_none());
        histogram.record_n(2_000_000, 99).unwrap();
        histogram.record(50_000_000).unwrap();
        let latency = Latency::of(&histogram).unwrap();
        assert!((latency.p50 - 2000.0).abs() < 5.0 && (latency.max - 50_000.0).abs() < 50.0);
        assert!(latency.p99 < 2005.0 && latency.p99_9 > 49_000.0);
    }
}
