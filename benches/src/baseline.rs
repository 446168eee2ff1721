//! The committed instruction counts, and the comparison with new ones. Used by `instructions.rs`.

use core::fmt::Write as _;
use std::collections::BTreeMap;

use serde::Deserialize;

/// A rise by more than this share of the baseline fails.
const TOLERANCE: f64 = 0.05;

/// What was counted, and with which build.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Baseline {
    /// What the counts hold for.
    pub(crate) build: Build,
    /// Instructions for one message (handshake, pass) on each path.
    pub(crate) instructions: BTreeMap<String, u64>,
}

/// What instruction counts depend on, beside the code.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Build {
    /// As `rustc --version` says it.
    pub(crate) rustc: String,
    /// The target triple.
    pub(crate) target: String,
    /// What the compiler might use of the processor.
    pub(crate) features: String,
    /// Whether the processor has AVX2, which libc, zlib-rs and simdutf8 look for at run time.
    pub(crate) avx2: bool,
}

impl Build {
    /// This program, on this machine.
    pub(crate) fn this() -> Self {
        #[cfg(target_arch = "x86_64")]
        let avx2 = std::arch::is_x86_feature_detected!("avx2");
        #[cfg(not(target_arch = "x86_64"))]
        let avx2 = false;
        Self {
            rustc: env!("BUILT_WITH_RUSTC_VERSION").to_owned(),
            target: env!("BUILT_WITH_TARGET").to_owned(),
            features: env!("BUILT_WITH_TARGET_FEATURES").to_owned(),
            avx2,
        }
    }
}

impl core::fmt::Display for Build {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let avx2 = if self.avx2 { "with" } else { "without" };
        write!(
            f,
            "{}, {} ({}), {avx2} AVX2 at run time",
            self.rustc, self.target, self.features
        )
    }
}

/// What became of a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// As before, within the tolerance.
    Same,
    /// It costs less than before, beyond the tolerance.
    Fall,
    /// It costs more than before, beyond the tolerance.
    Rise,
    /// The baseline does not have it.
    New,
    /// Only the baseline has it.
    Gone,
}

impl Verdict {
    /// Whether the baseline does not hold any longer. What it does not know, it does not guard.
    pub(crate) fn fails(self) -> bool {
        matches!(self, Self::Rise | Self::New | Self::Gone)
    }

    fn of(was: Option<u64>, is: Option<u64>) -> Self {
        let (was, is) = match (was, is) {
            (Some(was), Some(is)) => (was as f64, is as f64),
            (None, _) => return Self::New,
            (_, None) => return Self::Gone,
        };
        if is > was * (1.0 + TOLERANCE) {
            Self::Rise
        } else if is < was * (1.0 - TOLERANCE) {
            Self::Fall
        } else {
            Self::Same
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Line {
    /// The path.
    pub(crate) name: String,
    /// Instructions, as the baseline has it.
    pub(crate) was: Option<u64>,
    /// Instructions, as counted now.
    pub(crate) is: Option<u64>,
    /// What that means.
    pub(crate) verdict: Verdict,
}

/// Every path that was counted, in that order, and then those that only the baseline has.
pub(crate) fn compare(baseline: &BTreeMap<String, u64>, counted: &[(&str, u64)]) -> Vec<Line> {
    let line = |name: &str, was, is| Line {
        name: name.to_owned(),
        was,
        is,
        verdict: Verdict::of(was, is),
    };
    let known = counted
        .iter()
        .map(|(name, is)| line(name, baseline.get(*name).copied(), Some(*is)));
    let gone = baseline
        .iter()
        .filter(|(name, _)| !counted.iter().any(|(counted, _)| counted == name))
        .map(|(name, was)| line(name, Some(*was), None));
    known.chain(gone).collect()
}

/// The table, for people.
pub(crate) fn table(lines: &[Line]) -> String {
    let mut table = format!("{:<20}{:>12}{:>12}\n", "path", "baseline", "now");
    let shown =
        |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    for line in lines {
        let change = match (line.was, line.is) {
            (Some(was), Some(is)) => format!("{:+.1} %", (is as f64 / was as f64 - 1.0) * 100.0),
            _ => String::new(),
        };
        let verdict = match line.verdict {
            Verdict::Same => "",
            Verdict::Fall => "less",
            Verdict::Rise => "MORE",
            Verdict::New => "NOT IN THE BASELINE",
            Verdict::Gone => "NO LONGER COUNTED",
        };
        let (was, is) = (shown(line.was), shown(line.is));
        let text = format!("{:<20}{was:>12}{is:>12}{change:>12}  {verdict}", line.name);
        // Writing to a string cannot fail.
        let _ = writeln!(table, "{}", text.trim_end());
    }
    table
}

/// The baseline as it is committed.
pub(crate) fn write(build: &Build, counted: &[(&str, u64)]) -> String {
    let Build {
        rustc,
        target,
        features,
        avx2,
    } = build;
    let mut text = format!(
        "# Instructions for one message on each path, in user space, as callgrind counts them; README.md tells more.\n\
         # Written by `cargo run --release -p wirefan-benches -- instructions --write`.\n\n\
         [build]\nrustc = \"{rustc}\"\ntarget = \"{target}\"\nfeatures = \"{features}\"\navx2 = {avx2}\n\n\
         [instructions]\n"
    );
    for (name, count) in counted {
        let _ = writeln!(text, "{name} = {count}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build() -> Build {
        Build {
            rustc: "rustc 1.88.0".to_owned(),
            target: "x86_64-unknown-linux-gnu".to_owned(),
            features: "fxsr,sse,sse2".to_owned(),
            avx2: true,
        }
    }

    fn verdict(was: u64, is: u64) -> Verdict {
        compare(&BTreeMap::from([("ping".to_owned(), was)]), &[("ping", is)])[0].verdict
    }

    #[test]
    fn a_rise_of_more_than_five_per_cent_fails() {
        assert_eq!(verdict(1000, 1051), Verdict::Rise);
        assert_eq!(verdict(1000, 1050), Verdict::Same);
        assert_eq!(verdict(20, 22), Verdict::Rise);
        assert_eq!(verdict(0, 1), Verdict::Rise);
        assert!(Verdict::Rise.fails());
    }

    #[test]
    fn a_fall_is_told_and_does_not_fail() {
        assert_eq!(verdict(1000, 949), Verdict::Fall);
        assert_eq!(verdict(1000, 950), Verdict::Same);
        assert!(!Verdict::Fall.fails() && !Verdict::Same.fails());
    }

    #[test]
    fn what_only_one_side_has_fails() {
        let baseline = BTreeMap::from([("old".to_owned(), 7), ("kept".to_owned(), 8)]);
        let lines = compare(&baseline, &[("new", 9), ("kept", 8)]);
        let told: Vec<_> = lines
            .iter()
            .map(|line| (line.name.as_str(), line.verdict, line.verdict.fails()))
            .collect();
        assert_eq!(
            told,
            [
                ("new", Verdict::New, true),
                ("kept", Verdict::Same, false),
                ("old", Verdict::Gone, true)
            ]
        );
    }

    #[test]
    fn a_build_differs_by_each_of_its_parts() {
        let same = build();
        assert_eq!(same, build());
        for change in [
            |build: &mut Build| build.rustc = "rustc 1.89.0".to_owned(),
            |build: &mut Build| build.target = "aarch64-unknown-linux-gnu".to_owned(),
            |build: &mut Build| build.features.push_str(",avx2"),
            |build: &mut Build| build.avx2 = false,
        ] {
            let mut other = build();
            change(&mut other);
            assert_ne!(other, same);
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = write(&build(), &[("ping", 12), ("decode-text-16", 345)]);
        let read: Baseline = toml::from_str(&text).unwrap();
        assert_eq!(read.build, build());
        let lines = compare(&read.instructions, &[("ping", 12), ("decode-text-16", 345)]);
        assert!(lines.iter().all(|line| line.verdict == Verdict::Same));
        assert_eq!(lines.len(), 2);
    }
}
