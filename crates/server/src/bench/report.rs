//! [`Results`]: what a run has found, as a table for people or as JSON.

use core::fmt::{self, Write};
use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

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
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) received_megabytes_per_second: f64,
    pub(crate) sent_megabytes_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency_us: Option<Latency>,

    pub(crate) lost: u64,
    pub(crate) reordered: u64,
    pub(crate) duplicated: u64,
    pub(crate) verify_errors: u64,
    pub(crate) connections_opened: u64,
    pub(crate) connections_failed: u64,
    pub(crate) opened_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compressed_connections: Option<u64>,
    pub(crate) errors: BTreeMap<String, u64>,

    pub(crate) client_cpu_seconds: f64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<ServerUse>,
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
    /// Whether everything came back as it should.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost + self.reordered + self.duplicated + self.verify_errors + self.connections_failed
            == 0
            && self.errors.is_empty()
    }

    /// What went wrong, in a line.
    pub(crate) fn complaint(&self) -> Option<String> {
        let counts = [
            (self.lost, "lost"),
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
        let said: Vec<String> = counts.chain(errors).collect();
        (!self.is_clean()).then(|| said.join("; "))
    }

    fn noun(&self) -> &'static str {
        match self.mode {
            "broadcast" => "deliveries",
            "connect" => "handshakes",
            _ => "messages",
        }
    }
}

fn messages(count: u64) -> String {
    format!(
        "{} message{}",
        grouped(count),
        if count == 1 { "" } else { "s" }
    )
}

fn connections(count: u64) -> String {
    format!(
        "{} connection{}:",
        grouped(count),
        if count == 1 { "" } else { "s" }
    )
}

/// The table.
impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: fmt::Arguments<'_>| writeln!(f, "{name:<16}{value}");
        let noun = self.noun();
        line(self.mode, format_args!("{}", self.url))?;
        let mut what = format!("{}", grouped(self.connections as u64));
        if let (Some(publishers), Some(subscribers)) = (self.publishers, self.subscribers) {
            write!(what, ", {publishers} publishing, {subscribers} subscribed")?;
        }
        if let (Some(size), Some(payload)) = (self.size_bytes, self.payload) {
            write!(what, "; {} bytes of {payload}", grouped(size as u64))?;
        }
        match (self.in_flight, self.rate) {
            (_, Some(rate)) => write!(what, ", {} a second (open loop)", grouped(rate))?,
            (Some(in_flight), None) => write!(what, ", {in_flight} in flight")?,
            (None, None) => {}
        }
        line("connections", format_args!("{what}"))?;
        line(
            "opened",
            format_args!(
                "{} ({} a second), {} failed",
                grouped(self.connections_opened),
                grouped(self.opened_per_second as u64),
                grouped(self.connections_failed)
            ),
        )?;
        line("measured", format_args!("{:.3} s", self.seconds))?;
        if self.mode != "idle" {
            line(
                noun,
                format_args!(
                    "{} ({} a second)",
                    grouped(self.messages),
                    grouped(self.messages_per_second as u64)
                ),
            )?;
            line(
                "throughput",
                format_args!(
                    "{:.1} MB/s received, {:.1} MB/s sent",
                    self.received_megabytes_per_second, self.sent_megabytes_per_second
                ),
            )?;
        }
        if let Some(latency) = self.latency_us {
            line(
                "latency",
                format_args!(
                    "p50 {}, p90 {}, p99 {}, p99.9 {}, max {}",
                    Micros(latency.p50),
                    Micros(latency.p90),
                    Micros(latency.p99),
                    Micros(latency.p99_9),
                    Micros(latency.max)
                ),
            )?;
        }
        if let Some(compressed) = self.compressed_connections {
            line(
                "compressed",
                format_args!("{} connections", grouped(compressed)),
            )?;
        }
        line(
            "wrong",
            format_args!(
                "{} lost, {} reordered, {} duplicated, {} with another content",
                grouped(self.lost),
                grouped(self.reordered),
                grouped(self.duplicated),
                grouped(self.verify_errors)
            ),
        )?;
        for (error, count) in &self.errors {
            line("error", format_args!("{} {error}", connections(*count)))?;
        }
        line(
            "CPU of ours",
            format_args!("{:.3} s", self.client_cpu_seconds),
        )?;
        if let Some(server) = self.server {
            line(
                "CPU of server",
                format_args!(
                    "{:.3} s, {} {noun} a CPU second",
                    server.server_cpu_seconds,
                    grouped(server.messages_per_server_cpu_second as u64)
                ),
            )?;
            line(
                "memory of server",
                format_args!(
                    " {} KiB before, {} KiB after",
                    grouped(server.server_rss_bytes_before / 1024),
                    grouped(server.server_rss_bytes_after / 1024)
                ),
            )?;
            if let Some(bytes) = server.user_bytes_per_connection {
                line(
                    "",
                    format_args!(
                        "{} bytes of its own for each connection",
                        grouped(bytes as u64)
                    ),
                )?;
            }
        }
        Ok(())
    }
}

/// With the unit that reads best.
struct Micros(f64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            micros @ 1e6.. => write!(f, "{:.2} s", micros / 1e6),
            micros @ 1e3.. => write!(f, "{:.2} ms", micros / 1e3),
            micros => write!(f, "{micros:.1} µs"),
        }
    }
}

/// With a comma between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(Micros(12.34).to_string(), "12.3 µs");
        assert_eq!(Micros(1234.0).to_string(), "1.23 ms");
        assert_eq!(Micros(2_500_000.0).to_string(), "2.50 s");
    }

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
