//! The results as a table for people.

use core::fmt::{self, Write};

use super::results::{Results, SERVER_ENDED, connections};

impl Results {
    fn noun(&self) -> &'static str {
        match self.mode {
            "broadcast" => "deliveries",
            "connect" => "handshakes",
            _ => "messages",
        }
    }
}

/// The table.
impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: fmt::Arguments<'_>| writeln!(f, "{name:<16}{value}");
        let noun = self.noun();
        line(self.mode, format_args!("{}", self.url))?;
        let mut what = grouped(self.connections as u64);
        if let (Some(publishers), Some(subscribers)) = (self.publishers, self.subscribers) {
            write!(what, ", {publishers} publishing, {subscribers} subscribed")?;
        }
        if let Some(rooms) = self.rooms {
            write!(what, ", {rooms} rooms")?;
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
            if let Some(bytes) = self.bytes {
                line(
                    "throughput",
                    format_args!(
                        "{:.1} MB/s received, {:.1} MB/s sent",
                        bytes.received_megabytes_per_second, bytes.sent_megabytes_per_second
                    ),
                )?;
            }
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
        if let Some(unsent @ 1..) = self.unsent {
            line(
                "",
                format_args!("{} were due and never sent", grouped(unsent)),
            )?;
        }
        for (error, count) in &self.errors {
            line("error", format_args!("{} {error}", connections(*count)))?;
        }
        if self.connections_lost > 0 {
            line(
                "ended",
                format_args!("{} before their time", grouped(self.connections_lost)),
            )?;
        }
        line(
            "CPU of ours",
            format_args!("{:.3} s", self.client_cpu_seconds),
        )?;
        if let Some(server) = self.server {
            let per_cpu = if self.mode == "idle" {
                String::new()
            } else {
                let rate = grouped(server.messages_per_server_cpu_second as u64);
                format!(", {rate} {noun} a CPU second")
            };
            line(
                "CPU of server",
                format_args!("{:.3} s{per_cpu}", server.server_cpu_seconds),
            )?;
            line(
                "its memory",
                format_args!(
                    "{} KiB before, {} KiB after",
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
        if self.server_ended {
            line("server", format_args!("{SERVER_ENDED}"))?;
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
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
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
}
