//! The load generator, `wirefan bench`: what it is asked for, and what it answers.

use core::time::Duration;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::error::Error;
use crate::machine::{Pinning, Side};
use crate::rows::{Load, Payload, Row};

/// What a clean run has none of.
const FAULTS: [&str; 5] = [
    "lost",
    "reordered",
    "duplicated",
    "verify_errors",
    "connections_failed",
];

/// How long each kind of row is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) duration: Duration,
    pub(crate) warmup: Duration,
}

/// What one run of the load generator found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Messages (deliveries, handshakes) for each CPU second of the server; bytes for each connection where a row is
    /// about memory.
    pub(crate) figure: f64,
    /// Messages a second.
    pub(crate) rate: Option<f64>,
    /// Median time of a message in microseconds.
    pub(crate) p50: Option<f64>,
    /// The time that one message in a hundred exceeds.
    pub(crate) p99: Option<f64>,
    /// CPU time of the server by time.
    pub(crate) server_share: Option<f64>,
    /// CPU time of the load generator by time.
    pub(crate) client_share: Option<f64>,
    /// All that it said.
    pub(crate) raw: Value,
}

/// The arguments of `wirefan bench` for a row.
pub(crate) fn args(row: &Row, span: Span) -> Vec<String> {
    let mut args: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
    let (mode, count, messages) = match row.load {
        Load::Echo {
            connections,
            size,
            payload,
            in_flight,
        } => ("echo", connections, Some((size, payload, in_flight))),
        Load::Broadcast {
            subscribers,
            size,
            in_flight,
            ..
        } => (
            "broadcast",
            subscribers,
            Some((size, Payload::Ascii, in_flight)),
        ),
        Load::Connect { connections } => ("connect", connections, None),
        Load::Idle { connections } => ("idle", connections, None),
    };
    if let Load::Broadcast { rooms, .. } = row.load {
        let (what, number) = match rooms {
            Some(rooms) => ("--rooms", rooms),
            None => ("--publishers", 1),
        };
        let number = number.to_string();
        add(&[mode, what, &number, "--subscribers", &count.to_string()]);
    } else {
        add(&[mode, "--connections", &count.to_string()]);
    }
    if let Some((size, payload, in_flight)) = messages {
        add(&["--size", &size.to_string(), "--payload", payload.name()]);
        add(&["--in-flight", &in_flight.to_string()]);
    }
    if row.compressed {
        add(&["--compress"]);
    }
    if row.tls {
        add(&["--insecure"]);
    }
    add(&["--duration", &milliseconds(span.duration)]);
    if !row.is_about_memory() {
        add(&["--warmup", &milliseconds(span.warmup)]);
    }
    args
}

fn milliseconds(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

/// Runs it once against the server.
pub(crate) fn run(
    program: &Path,
    pinning: Pinning,
    row: &Row,
    span: Span,
    url: &str,
    server: u32,
) -> Result<Sample, Error> {
    let mut command: Command = pinning.command(program.as_os_str(), Side::Load);
    command.arg("bench").args(args(row, span));
    command.args(["--json", "--server-pid", &server.to_string(), url]);
    let output = command.output().map_err(Error::io("the load generator"))?;
    let complaint = || {
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().rev().find(|line| !line.trim().is_empty());
        Error::Load(
            line.unwrap_or("the load generator said nothing")
                .trim()
                .to_owned(),
        )
    };
    let raw: Value = serde_json::from_slice(&output.stdout).map_err(|_| complaint())?;
    let sample = sample(row, raw)?;
    if output.status.success() {
        Ok(sample)
    } else {
        Err(complaint())
    }
}

/// Reads its answer; what did not come back as it was sent makes it worthless.
fn sample(row: &Row, raw: Value) -> Result<Sample, Error> {
    let number = |name: &str| raw[name].as_f64();
    for fault in FAULTS {
        if number(fault).is_some_and(|count| count > 0.0) {
            return Err(Error::Load(format!("{fault}: {}", raw[fault])));
        }
    }
    if row.compressed && number("compressed_connections") == Some(0.0) {
        return Err(Error::Load("it does not compress".to_owned()));
    }
    let name = if row.is_about_memory() {
        "user_bytes_per_connection"
    } else {
        "messages_per_server_cpu_second"
    };
    let figure =
        number(name).ok_or_else(|| Error::Load(format!("the load generator gave no {name}")))?;
    let share = |name: &str| Some(number(name)? / number("seconds")?);
    Ok(Sample {
        figure,
        rate: number("messages_per_second"),
        p50: raw["latency_us"]["p50"].as_f64(),
        p99: raw["latency_us"]["p99"].as_f64(),
        server_share: share("server_cpu_seconds"),
        client_share: share("client_cpu_seconds"),
        raw,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;
    use serde_json::json;

    #[test]
    fn a_row_becomes_a_command_line() {
        let span = Span {
            duration: Duration::from_millis(1200),
            warmup: Duration::from_millis(300),
        };
        let line = |name| args(rows::find(name).unwrap(), span).join(" ");
        assert_eq!(
            line("e16ku"),
            "echo --connections 64 --size 16384 --payload utf8 --in-flight 1 --duration 1200ms --warmup 300ms"
        );
        assert_eq!(
            line("bc1kz"),
            "broadcast --publishers 1 --subscribers 1000 --size 1024 --payload ascii --in-flight 16 --compress \
             --duration 1200ms --warmup 300ms"
        );
        assert_eq!(
            line("e16t"),
            "echo --connections 64 --size 16 --payload ascii --in-flight 32 --insecure --duration 1200ms --warmup 300ms"
        );
        assert_eq!(line("idle"), "idle --connections 19500 --duration 1200ms");
    }

    #[test]
    fn what_was_lost_is_no_sample() {
        let row = rows::find("e16d1").unwrap();
        let good = json!({"messages_per_server_cpu_second": 5.0, "seconds": 2.0, "server_cpu_seconds": 1.0, "lost": 0});
        let sample = sample(row, good.clone()).unwrap();
        assert_eq!((sample.figure, sample.server_share), (5.0, Some(0.5)));
        for fault in FAULTS {
            let mut bad = good.clone();
            bad[fault] = json!(1);
            assert!(super::sample(row, bad).is_err(), "{fault}");
        }
        assert!(super::sample(row, json!({"seconds": 1})).is_err());
    }
}
