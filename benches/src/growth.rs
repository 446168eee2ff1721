//! How cost grows with the number of connections and subscribers, and with a second worker.

use core::fmt::Write as _;

use crate::chart::{self, Charts, Line, short};
use crate::error::Error;
use crate::load::{self, Sample};
use crate::peers::Installed;
use crate::rows::{Load, Payload, Row};
use crate::run::Runner;
use crate::statistics::Summary;
use crate::storm::{self, Times};

/// At most 20,000 descriptors a process are to be had on many machines.
const CONNECTIONS: [u32; 5] = [10, 100, 1_000, 10_000, 19_000];
const SUBSCRIBERS: [u32; 4] = [10, 100, 1_000, 10_000];
/// How many rooms [`SPREAD`] subscribers are spread over.
const ROOMS: [u32; 4] = [1, 10, 100, 1_000];
const SPREAD: u32 = 1_000;
const STORM: u32 = 10_000;

/// Who is measured: a program with some workers.
#[derive(Clone, Debug)]
struct Series<'a> {
    label: String,
    program: &'a Installed,
    workers: usize,
}

/// One curve family: a table and a chart.
#[derive(Debug)]
struct Curves {
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    places: Vec<u32>,
    lines: Vec<Line>,
}

/// Measures all curves; the Markdown of it, and the charts by name.
pub(crate) fn run(
    runner: &mut Runner,
    programs: &[Installed],
    rounds: usize,
) -> Result<(String, Charts), Error> {
    let mut series = Vec::new();
    for program in programs {
        let workers = if program.peer.name == "wirefan" {
            &[1, 2][..]
        } else {
            &[1]
        };
        for &workers in workers {
            let label = match workers {
                1 => program.label.clone(),
                more => format!("{}, {more} workers", program.label),
            };
            series.push(Series {
                label,
                program,
                workers,
            });
        }
    }
    let mut kinds = Kinds {
        runner,
        series: &series,
        rounds,
        failures: Vec::new(),
    };
    let microseconds = |sample: &Sample| Some(1e6 / sample.figure);
    let nanoseconds = |sample: &Sample| Some(1e9 / sample.figure);
    let curves = [
        Curves {
            name: "growth-echo",
            title: "Echo, 16 B, 1 in flight: CPU time of the server for a message, by connections",
            unit: "µs",
            places: CONNECTIONS.to_vec(),
            lines: kinds.lines(&CONNECTIONS, echo, microseconds)?,
        },
        Curves {
            name: "growth-memory",
            title: "User memory for an idle connection, by connections",
            unit: "bytes",
            places: CONNECTIONS.to_vec(),
            lines: kinds.lines(&CONNECTIONS, idle, |sample| Some(sample.figure))?,
        },
        Curves {
            name: "growth-broadcast",
            title: "Broadcast, 16 B, 16 in flight: CPU time of the server for a delivery, by subscribers",
            unit: "ns",
            places: SUBSCRIBERS.to_vec(),
            lines: kinds.lines(&SUBSCRIBERS, broadcast, nanoseconds)?,
        },
        Curves {
            name: "growth-rooms",
            title: "Broadcast to 1,000 subscribers in rooms with one publisher each, 16 B, 16 in flight: CPU time of the server \
                    for a delivery, by rooms",
            unit: "ns",
            places: ROOMS.to_vec(),
            lines: kinds.lines(&ROOMS, rooms, nanoseconds)?,
        },
    ];
    let storm = kinds.storm()?;
    let failures = kinds.failures;
    let text = markdown(&curves, &storm, &failures);
    let charts = curves
        .iter()
        .map(|curves| (curves.name, curves.chart()))
        .collect();
    Ok((text, charts))
}

fn row(load: Load) -> Row {
    Row {
        name: "growth",
        title: "",
        load,
        compressed: false,
        tls: false,
        promise: None,
        known: &[],
    }
}

fn echo(connections: u32) -> Row {
    row(Load::Echo {
        connections,
        size: 16,
        payload: Payload::Ascii,
        in_flight: 1,
    })
}

fn broadcast(subscribers: u32) -> Row {
    row(Load::Broadcast {
        subscribers,
        size: 16,
        in_flight: 16,
        rooms: None,
    })
}

fn rooms(rooms: u32) -> Row {
    row(Load::Broadcast {
        subscribers: SPREAD,
        size: 16,
        in_flight: 16,
        rooms: Some(rooms),
    })
}

fn idle(connections: u32) -> Row {
    row(Load::Idle { connections })
}

/// Measures one kind of load at many places.
struct Kinds<'a> {
    runner: &'a mut Runner,
    series: &'a [Series<'a>],
    rounds: usize,
    failures: Vec<String>,
}

impl Kinds<'_> {
    /// The median at each place of each series; places and series are interleaved within a round.
    fn lines(
        &mut self,
        places: &[u32],
        load: impl Fn(u32) -> Row,
        of: impl Fn(&Sample) -> Option<f64>,
    ) -> Result<Vec<Line>, Error> {
        let span = self.runner.span();
        let mut found = vec![vec![Vec::new(); places.len()]; self.series.len()];
        for _ in 0..self.rounds {
            for (at, &place) in places.iter().enumerate() {
                let row = load(place);
                for (values, series) in found.iter_mut().zip(self.series) {
                    if !series.program.peer.takes(&row) {
                        continue;
                    }
                    match self.runner.measure(series.program, &row, series.workers) {
                        Ok(sample) => {
                            let value = of(&sample);
                            let told = value.map(short).unwrap_or_default();
                            eprintln!(
                                "{:<10} {place:>6}  {:<20} {told}",
                                load::args(&row, span)[0],
                                series.label
                            );
                            values[at].extend(value);
                        }
                        Err(Error::Stopped) => return Err(Error::Stopped),
                        Err(error) => self
                            .failures
                            .push(format!("{} at {place}: {error}", series.label)),
                    }
                }
            }
        }
        let lines = found
            .into_iter()
            .zip(self.series)
            .map(|(values, series)| Line {
                label: series.label.clone(),
                values: values
                    .iter()
                    .map(|values| Some(Summary::of(values)?.median))
                    .collect(),
            });
        Ok(lines.collect())
    }

    /// Times from SYN to the answer of the first message when everybody comes at once.
    fn storm(&mut self) -> Result<Vec<(String, Option<Times>)>, Error> {
        let mut found = vec![Vec::new(); self.series.len()];
        for _ in 0..self.rounds {
            for (times, series) in found.iter_mut().zip(self.series) {
                let outcome = self.runner.with_server(
                    series.program,
                    &echo(STORM),
                    series.workers,
                    |runner, port, _| storm::measure(runner.pinning, port, STORM),
                );
                match outcome {
                    Ok(measured) => times.push(measured),
                    Err(Error::Stopped) => return Err(Error::Stopped),
                    Err(error) => {
                        let failure = format!("{} in the storm: {error}", series.label);
                        self.failures.push(failure);
                    }
                }
            }
        }
        let medians = found.iter().zip(self.series);
        Ok(medians
            .map(|(times, series)| (series.label.clone(), Times::median(times)))
            .collect())
    }
}

impl Curves {
    fn chart(&self) -> String {
        let places: Vec<String> = self
            .places
            .iter()
            .map(|&place| short(f64::from(place)))
            .collect();
        chart::lines(self.title, self.unit, &places, &self.lines)
    }

    fn table(&self, text: &mut String) {
        let _ = write!(
            text,
            "## {}\n\n![](charts/{}.svg)\n\n| {} |",
            self.title, self.name, self.unit
        );
        for place in &self.places {
            let _ = write!(text, " {} |", count(*place));
        }
        let _ = writeln!(text, "\n|---|{}", "---|".repeat(self.places.len()));
        for line in &self.lines {
            let _ = write!(text, "| {} |", line.label);
            for value in &line.values {
                let _ = write!(text, " {} |", value.map_or_else(|| "-".to_owned(), short));
            }
            text.push('\n');
        }
        text.push('\n');
    }
}

/// A number of connections: `10`, `19 k`.
fn count(number: u32) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{} k", number / 1000),
    }
}

fn markdown(curves: &[Curves], storm: &[(String, Option<Times>)], failures: &[String]) -> String {
    let mut text = "# How cost grows\n\n[README.md](README.md#where-the-curves-bend) tells why the curves bend where they do.\n\n".to_owned();
    for curves in curves {
        curves.table(&mut text);
    }
    let _ = write!(
        text,
        "## {STORM} connections at once: from SYN to the answer of the first message\n\n\
         All are begun before the first is served, which is in these times, too. A SYN that finds the server's queue full is \
         sent again after one second, then after two more.\n\n\
         | | p50 ms | p99 ms | last ms |\n|---|---|---|---|\n"
    );
    for (label, times) in storm {
        let Some(Times { p50, p99, last }) = *times else {
            continue;
        };
        let _ = writeln!(
            text,
            "| {label} | {} | {} | {} |",
            short(p50),
            short(p99),
            short(last)
        );
    }
    text.push('\n');
    for failure in failures {
        let _ = writeln!(text, "* Failed: {failure}");
    }
    text
}
