//! The report of a comparison in Markdown; its charts are in `bars.rs`.

use core::fmt::Write as _;

use crate::builds::RUSTFLAGS;
use crate::certificate::Certificate;
use crate::chart::short;
use crate::head2head::PAIRS;
use crate::load::{self, Sample, Span};
use crate::peers::Installed;
use crate::results::Results;
use crate::rows::{Promise, Row};
use crate::ruler::{self, Check};
use crate::statistics::Summary;
use crate::verdict::Verdict;

pub(crate) const OURS: &str = "wirefan";
pub(crate) const LIMIT: &str = "limit";
pub(crate) const TRIAL: &str = "trial";
/// How many rounds a 95 % interval of a median takes.
pub(crate) const ROUNDS: usize = 6;

/// wirefan to `limit` or `trial` in a row with a promise, by pairs.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) row: &'static str,
    pub(crate) by: &'static str,
    pub(crate) ratio: Summary,
}

/// What a report is made of.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) rows: &'a [&'static Row],
    pub(crate) programs: &'a [Installed],
    /// What could not be had, and why.
    pub(crate) left_out: &'a [(String, String)],
    pub(crate) results: &'a Results,
    pub(crate) judged: &'a [Judged],
    pub(crate) machine: &'a [(&'static str, String)],
    pub(crate) pinning: String,
    pub(crate) command: String,
    pub(crate) date: String,
    pub(crate) rounds: usize,
    pub(crate) span: Span,
}

impl Report<'_> {
    /// The programs that figures are compared with in a row: `limit`, or wirefan where it cannot take part.
    pub(crate) fn base(&self, row: &Row) -> Option<&'static str> {
        let measured = |name: &&str| self.results.figure(row.name, name).is_some();
        [LIMIT, OURS].into_iter().find(measured)
    }

    /// What a row says of a program: its ratio to the base, or the figure itself about memory.
    pub(crate) fn value(&self, row: &Row, program: &str) -> Option<Summary> {
        if row.is_about_memory() {
            self.results.figure(row.name, program)
        } else {
            self.results.ratio(row.name, program, self.base(row)?)
        }
    }

    /// The whole report.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        self.head(&mut text);
        self.promises(&mut text);
        self.table(&mut text);
        self.charts_shown(&mut text);
        self.ruler(&mut text);
        self.details(&mut text);
        self.programs(&mut text);
        self.conditions(&mut text);
        text
    }

    /// Whether the run counts; if not, why.
    pub(crate) fn counts(&self) -> Result<(), &'static str> {
        let checks = self.checks();
        let wanted: usize = self.rows.iter().map(|row| row.known.len()).sum();
        if self.rounds < ROUNDS {
            Err(
                "it has fewer than six rounds, so its intervals are all that was seen, and less sure than 95 %.",
            )
        } else if checks.is_empty() || checks.len() < wanted {
            Err(
                "without fastwebsockets and Bun beside it in each row, nothing shows that `limit` is the ruler that it \
                 should be.",
            )
        } else if !checks.iter().all(Check::holds) {
            Err("`limit` is not as far ahead as it should be (see *The ruler*).")
        } else {
            Ok(())
        }
    }

    fn head(&self, text: &mut String) {
        let verdict = match self.counts() {
            Ok(()) => {
                "This run counts: `limit` is as far ahead of fastwebsockets and Bun as it should be.".to_owned()
            }
            Err(why) => format!("**This run does not count**: {why}"),
        };
        let _ = writeln!(
            text,
            "# Results of the comparison\n\n\
             Made by `{}` on {}; [README.md](README.md) tells how to read it.\n\n\
             The figure is **messages for each CPU second of the server**: on a machine with neighbours it moves far less than \
             messages a second. Each is a median of {} rounds; ratios are taken within a round. `limit` is a raw TCP echo or \
             fan-out that knows nothing of WebSocket.\n\n{verdict}\n",
            self.command, self.date, self.rounds
        );
    }

    fn promises(&self, text: &mut String) {
        let promised = || self.rows.iter().filter_map(|row| Some((row, row.promise?)));
        if promised().next().is_none() {
            return;
        }
        text.push_str(
            "## What wirefan promises\n\n\
             Measured in pairs, the two programs next to each other and in turn, as `head2head` does: medians of the ratios and their \
             95 % intervals. A bar is met when the interval reaches it. `idle` is bytes, by the rounds of the table. `trial` is the bare \
             design, without limits, fragments, timers and counts: the distance to it is what those cost.\n\n\
             | row | | wirefan to `limit` (95 % interval) | pairs | bar | | goal | | wirefan to `trial` |\n\
             |---|---|---|---|---|---|---|---|---|\n",
        );
        for (row, Promise { bar, goal }) in promised() {
            let value = if row.is_about_memory() {
                self.results.figure(row.name, OURS)
            } else {
                self.judged(row, LIMIT)
            };
            let pairs = match value {
                Some(value) if !row.is_about_memory() => value.count.to_string(),
                _ => "-".to_owned(),
            };
            // Pairs that failed are no pairs.
            let enough = row.is_about_memory() || value.is_some_and(|it| it.count >= PAIRS);
            let word = |value: &Summary, wanted: f64| match enough {
                true => Verdict::of(value, wanted, row.is_about_memory()).word(),
                false => "not judged",
            };
            let unit = if row.is_about_memory() { " B" } else { "" };
            let wanted = |wanted: f64| {
                if row.is_about_memory() {
                    format!("{wanted} B")
                } else {
                    format!("{wanted:.2}")
                }
            };
            let shown = |value: &Summary| {
                let [median, low, high] = [value.median, value.low, value.high].map(short);
                format!("{median}{unit} ({low}–{high})")
            };
            let (found, met, reached) = match value {
                Some(value) => (shown(&value), word(&value, bar), word(&value, goal)),
                None => ("not measured".to_owned(), "", ""),
            };
            let _ = writeln!(
                text,
                "| `{}` | {} | {found} | {pairs} | {} | {met} | {} | {reached} | {} |",
                row.name,
                row.title,
                wanted(bar),
                wanted(goal),
                self.judged(row, TRIAL)
                    .filter(|ratio| ratio.count >= PAIRS)
                    .map_or_else(|| "-".to_owned(), |ratio| shown(&ratio)),
            );
        }
        text.push('\n');
    }

    fn judged(&self, row: &Row, by: &str) -> Option<Summary> {
        let mut judged = self.judged.iter();
        let found = judged.find(|judged| (judged.row, judged.by) == (row.name, by))?;
        Some(found.ratio)
    }

    fn table(&self, text: &mut String) {
        text.push_str(
            "## All programs\n\n\
             Median ratio to `limit` within a round (to wirefan in rows that `limit` cannot take part in) · median for each \
             CPU second of the server. `idle`: bytes of user memory for a connection.\n\n| row |",
        );
        for program in self.programs {
            let _ = write!(text, " {} |", program.label);
        }
        let _ = writeln!(text, "\n|---|{}", "---|".repeat(self.programs.len()));
        for row in self.rows {
            let _ = write!(text, "| `{}` |", row.name);
            for program in self.programs {
                let figure = self.results.figure(row.name, &program.label);
                let cell = match (figure, self.value(row, &program.label)) {
                    (Some(figure), _) if row.is_about_memory() => short(figure.median),
                    (Some(figure), Some(ratio)) => {
                        format!("{:.2} · {}", ratio.median, short(figure.median))
                    }
                    (Some(figure), None) => short(figure.median),
                    (None, _) => "-".to_owned(),
                };
                let bold = if program.label == OURS { "**" } else { "" };
                let _ = write!(text, " {bold}{cell}{bold} |");
            }
            text.push('\n');
        }
        text.push('\n');
        for row in self.rows {
            let _ = writeln!(text, "* `{}`: {}", row.name, row.title);
        }
        text.push('\n');
    }

    fn charts_shown(&self, text: &mut String) {
        text.push_str("## Charts\n\n");
        for row in self.rows {
            if self.base(row).is_some() {
                let _ = writeln!(text, "![{}](charts/{}.svg)\n", row.title, row.name);
            }
        }
    }

    fn checks(&self) -> Vec<Check> {
        ruler::checks(self.results, self.rows)
    }

    fn ruler(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "## The ruler\n\n\
             A slow `limit` would flatter everybody. On a quiet machine, fastwebsockets and Bun have these ratios to it; where one \
             is more than {:.0} % above (two medians of six rounds, each good to about ±10 %), the run does not count.\n\n\
             | row | peer | known ratio to `limit` | in this run | |\n|---|---|---|---|---|",
            (ruler::TOLERANCE - 1.0) * 100.0
        );
        for check in self.checks() {
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | {} |",
                check.row,
                check.peer,
                short(check.known),
                short(check.measured),
                if check.holds() {
                    "holds"
                } else {
                    "**does not hold**"
                }
            );
        }
        text.push('\n');
    }

    fn details(&self, text: &mut String) {
        text.push_str(
            "## Spread, rates and times\n\n\
             Ratio: median (95 % interval of the median; least–most). CPU: share of a core that the server and the load \
             generator used. p50 and p99: time of a message there and back, in a broadcast until the last has it.\n\n\
             | row | program | ratio | messages/s | CPU server, load | p50 µs | p99 µs |\n|---|---|---|---|---|---|---|\n",
        );
        for row in self.rows {
            for program in self.programs {
                let name = program.label.as_str();
                let Some(value) = self.value(row, name) else {
                    continue;
                };
                let median =
                    |of: fn(&Sample) -> Option<f64>| self.results.median(row.name, name, of);
                let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), short);
                let percent = |value: Option<f64>| {
                    value.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", share * 100.0))
                };
                let _ = writeln!(
                    text,
                    "| `{}` | {name} | {} ({}–{}; {}–{}) | {} | {}, {} | {} | {} |",
                    row.name,
                    short(value.median),
                    short(value.low),
                    short(value.high),
                    short(value.min),
                    short(value.max),
                    shown(median(|sample| sample.rate)),
                    percent(median(|sample| sample.server_share)),
                    percent(median(|sample| sample.client_share)),
                    shown(median(|sample| sample.p50)),
                    shown(median(|sample| sample.p99)),
                );
            }
        }
        text.push('\n');
    }

    fn programs(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "## Programs\n\n\
             Everything in Rust, wirefan and the load generator too, is built with `RUSTFLAGS=\"{RUSTFLAGS}\"`, fat LTO and \
             one codegen unit. One process and one thread each; TLS in the rows that say so.\n\n\
             | program | version | configuration |\n|---|---|---|"
        );
        for program in self.programs {
            let settings = program.peer.settings;
            let _ = writeln!(
                text,
                "| {} | {} | {settings} |",
                program.label, program.version
            );
        }
        text.push('\n');
        for (name, why) in self.left_out {
            let _ = writeln!(text, "* Left out: {name} ({why})");
        }
        for (row, program, failed, why) in self.results.failures() {
            let _ = writeln!(text, "* `{row}`, {program}: failed {failed} times ({why})");
        }
        if text.ends_with(")\n") {
            text.push('\n');
        }
    }

    fn conditions(&self, text: &mut String) {
        text.push_str("## Machine and commands\n\n| | |\n|---|---|\n");
        for (name, value) in self.machine {
            let _ = writeln!(text, "| {name} | {value} |");
        }
        let _ = writeln!(text, "| processes | {} |", self.pinning);
        text.push_str(
            "\nEach row is loaded by `wirefan bench … --json --server-pid PID URL`, where … is\n\n",
        );
        for row in self.rows {
            let _ = writeln!(
                text,
                "* `{}`: `{}`",
                row.name,
                load::args(row, self.span).join(" ")
            );
        }
        text.push_str("\nand the servers are started as\n\n");
        for program in self.programs {
            // The names of the files say enough; where they lie is different on each machine.
            let words = program.program.iter().map(|word| {
                let name = std::path::Path::new(word).file_name().unwrap_or(word);
                name.to_string_lossy().into_owned()
            });
            let words: Vec<String> = words.collect();
            let mut commands: Vec<String> = Vec::new();
            for row in self.rows.iter().filter(|row| program.peer.takes(row)) {
                let args = program.args(row, 9001, 1, &Certificate::shown());
                let command = [words.as_slice(), &args].concat().join(" ");
                if !commands.contains(&command) {
                    commands.push(command);
                }
            }
            let _ = writeln!(text, "* {}: `{}`", program.label, commands.join("`, `"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::sample;
    use crate::{peers, rows};
    use core::time::Duration;

    fn markdown(bun: f64, rounds: usize) -> String {
        let mut results = Results::default();
        for _ in 0..rounds {
            results.record("bc16", "wirefan", Ok(sample(990_000.0)));
            results.record("bc16", "limit", Ok(sample(1_000_000.0)));
            results.record("bc16", "bun", Ok(sample(bun)));
            results.record("idle", "wirefan", Ok(sample(300.0)));
            results.record("e1kz", "wirefan", Ok(sample(100.0)));
            results.record("e1kz", "bun", Ok(sample(50.0)));
            results.record("e1kz", "ws", Err("lost: 3".to_owned()));
        }
        let programs: Vec<Installed> = ["wirefan", "limit", "bun", "ws"]
            .iter()
            .map(|name| Installed {
                peer: peers::find(name).unwrap(),
                label: (*name).to_owned(),
                version: "1".to_owned(),
                program: vec!["/somewhere/program".into()],
            })
            .collect();
        let rows: Vec<&Row> = ["bc16", "e1kz", "idle"]
            .map(|name| rows::find(name).unwrap())
            .to_vec();
        // The rounds of the table say 0.99, the pairs that judge 0.95 to 0.97.
        let judged: Vec<f64> = (0..12).map(|at| 0.945 + 0.002_5 * f64::from(at)).collect();
        let judged = Summary::of(&judged).unwrap();
        let report = Report {
            judged: &[LIMIT, TRIAL].map(|by| Judged {
                row: "bc16",
                by,
                ratio: judged,
            }),
            rows: &rows,
            programs: &programs,
            left_out: &[("picows".to_owned(), "no Python".to_owned())],
            results: &results,
            machine: &[("kernel", "Linux".to_owned())],
            pinning: "tied".to_owned(),
            command: "compare".to_owned(),
            date: "today".to_owned(),
            rounds,
            span: Span {
                duration: Duration::from_secs(1),
                warmup: Duration::ZERO,
            },
        };
        assert_eq!(report.charts().len(), 3);
        report.markdown()
    }

    #[test]
    fn a_report_tells_what_was_met_and_what_not() {
        let text = markdown(900_000.0, 6);
        assert!(text.contains("This run counts"), "{text}");
        assert!(
            text.contains("| 0.96 (0.95–0.97) | 12 | 0.98 | **missed** | 1.05 | **missed** | 0.96 (0.95–0.97) |"),
            "{text}"
        );
        assert!(
            text.contains("300 B (300–300) | - | 256 B | **missed** | 200 B | **missed** | - |"),
            "{text}"
        );
        assert!(
            text.contains("| `bc16` | **0.99 · 990 k** | 1.00 · 1.00 M | 0.90 · 900 k | - |"),
            "{text}"
        );
        // Nothing but wirefan is there to compare with.
        assert!(
            text.contains("| `e1kz` | **1.00 · 100** | - | 0.50 · 50.0 | - |"),
            "{text}"
        );
        assert!(text.contains("* Left out: picows (no Python)"), "{text}");
        assert!(
            text.contains("* `e1kz`, ws: failed 6 times (lost: 3)"),
            "{text}"
        );
    }

    #[test]
    fn a_weak_limit_makes_a_run_worthless() {
        let text = markdown(1_200_000.0, 6);
        assert!(text.contains("**This run does not count**"), "{text}");
        assert!(text.contains("**does not hold**"), "{text}");
    }
    #[test]
    fn a_hasty_run_does_not_count() {
        let text = markdown(900_000.0, 2);
        assert!(text.contains("fewer than six rounds"), "{text}");
        assert!(!text.contains("This run counts"), "{text}");
    }
}
