//! What has been measured: a sample for each row, program and round, and what they say together.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::load::Sample;
use crate::statistics::{Summary, ratios};

/// All samples of a run.
#[derive(Debug, Default)]
pub(crate) struct Results {
    cells: BTreeMap<(String, String), Cell>,
}

/// One program in one row.
#[derive(Debug, Default)]
struct Cell {
    /// By round; `None` where it failed.
    samples: Vec<Option<Sample>>,
    /// Why it failed, the first time.
    failure: Option<String>,
}

impl Results {
    /// Adds what came out of the next round.
    pub(crate) fn record(&mut self, row: &str, program: &str, outcome: Result<Sample, String>) {
        let cell = self
            .cells
            .entry((row.to_owned(), program.to_owned()))
            .or_default();
        match outcome {
            Ok(sample) => cell.samples.push(Some(sample)),
            Err(why) => {
                cell.samples.push(None);
                cell.failure.get_or_insert(why);
            }
        }
    }

    fn cell(&self, row: &str, program: &str) -> Option<&Cell> {
        self.cells.get(&(row.to_owned(), program.to_owned()))
    }

    fn figures(&self, row: &str, program: &str) -> Vec<Option<f64>> {
        let cell = self.cell(row, program);
        let samples = cell.map(|cell| cell.samples.as_slice()).unwrap_or_default();
        samples
            .iter()
            .map(|sample| Some(sample.as_ref()?.figure))
            .collect()
    }

    /// The main figure of a program in a row.
    pub(crate) fn figure(&self, row: &str, program: &str) -> Option<Summary> {
        let figures: Vec<f64> = self.figures(row, program).into_iter().flatten().collect();
        Summary::of(&figures)
    }

    /// Its ratio to another program, each time within the round.
    pub(crate) fn ratio(&self, row: &str, program: &str, base: &str) -> Option<Summary> {
        Summary::of(&ratios(
            &self.figures(row, program),
            &self.figures(row, base),
        ))
    }

    /// The median of something else that samples tell.
    pub(crate) fn median(
        &self,
        row: &str,
        program: &str,
        of: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<f64> {
        let samples = &self.cell(row, program)?.samples;
        let values: Vec<f64> = samples.iter().flatten().filter_map(of).collect();
        Some(Summary::of(&values)?.median)
    }

    /// Whether anything was measured, and why not.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&str, &str, usize, &str)> {
        self.cells.iter().filter_map(|((row, program), cell)| {
            let failed = cell
                .samples
                .iter()
                .filter(|sample| sample.is_none())
                .count();
            Some((
                row.as_str(),
                program.as_str(),
                failed,
                cell.failure.as_deref()?,
            ))
        })
    }

    /// Everything, as it was measured.
    pub(crate) fn raw(&self) -> Value {
        let cells = self.cells.iter().map(|((row, program), cell)| {
            let samples = cell
                .samples
                .iter()
                .map(|sample| sample.as_ref().map(|sample| &sample.raw));
            json!({
                "row": row,
                "program": program,
                "rounds": samples.collect::<Vec<_>>(),
                "failure": cell.failure,
            })
        });
        Value::Array(cells.collect())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample(figure: f64) -> Sample {
        Sample {
            figure,
            rate: Some(figure / 2.0),
            p50: Some(100.0),
            p99: None,
            server_share: Some(0.9),
            client_share: Some(0.5),
            raw: Value::Null,
        }
    }

    #[test]
    fn ratios_stay_within_the_round() {
        let mut results = Results::default();
        for (ours, limit) in [(9.0, 10.0), (18.0, 20.0), (4.0, 5.0)] {
            results.record("e16d1", "wirefan", Ok(sample(ours)));
            results.record("e16d1", "limit", Ok(sample(limit)));
        }
        assert_eq!(
            results.ratio("e16d1", "wirefan", "limit").unwrap().median,
            0.9
        );
        assert_eq!(results.figure("e16d1", "wirefan").unwrap().median, 9.0);
        assert_eq!(results.ratio("e16d1", "wirefan", "bun"), None);
    }

    #[test]
    fn a_failed_round_shifts_no_pair() {
        let mut results = Results::default();
        results.record("e16d1", "wirefan", Err("lost: 1".to_owned()));
        results.record("e16d1", "limit", Ok(sample(1.0)));
        results.record("e16d1", "wirefan", Ok(sample(3.0)));
        results.record("e16d1", "limit", Ok(sample(2.0)));
        assert_eq!(
            results.ratio("e16d1", "wirefan", "limit").unwrap().median,
            1.5
        );
        let failures: Vec<_> = results.failures().collect();
        assert_eq!(failures, [("e16d1", "wirefan", 1, "lost: 1")]);
    }
}
