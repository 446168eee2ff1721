//! Prints what a role's run has shown: the table by family, every case that does not pass, where
//! the pages are.

use core::fmt;
use core::time::Duration;

use crate::cases::CATALOGUE;
use crate::report::{Outcome, Verdict};

/// The columns between the number of cases and the time.
const COLUMNS: [(&str, Outcome); 5] = [
    ("OK", Outcome::Ok),
    ("NON-STRICT", Outcome::NonStrict),
    ("INFORMATIONAL", Outcome::Informational),
    ("UNIMPLEMENTED", Outcome::Unimplemented),
    ("FAILED", Outcome::Failed),
];

/// The verdicts of a role as text.
pub(crate) struct Table<'a>(pub(crate) &'a [Verdict]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<10} {:<30} {:>5}",
            "cases", "what they check", "count"
        )?;
        for (name, _) in COLUMNS {
            write!(f, "  {name}")?;
        }
        writeln!(f, "     time")?;
        for row in CATALOGUE {
            let verdicts = self
                .0
                .iter()
                .filter(|verdict| core::ptr::eq(verdict.case.row(), row));
            line(f, row.name, row.about, &verdicts.collect::<Vec<_>>())?;
        }
        line(f, "all", "", &self.0.iter().collect::<Vec<_>>())?;
        self.notes(f)
    }
}

impl Table<'_> {
    /// The cases that do not pass, those that passed only when they were run again, and the sum of
    /// it.
    fn notes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut missing = Vec::new();
        for verdict in self.0 {
            let Verdict { case, words, .. } = verdict;
            match (verdict.passes(), &verdict.first, &verdict.page) {
                (true, None, _) => {}
                (true, Some(first), _) => {
                    writeln!(
                        f,
                        "{case}: {} at first; alone, run again: passes",
                        first.words
                    )?;
                }
                (false, None, Some(page)) => writeln!(f, "{case}: {words}: {}", page.display())?,
                (false, Some(_), Some(page)) => {
                    writeln!(
                        f,
                        "{case}: {words}, also alone, run again: {}",
                        page.display()
                    )?;
                }
                (false, _, None) => missing.push(case.to_string()),
            }
        }
        if let (Some(first), Some(last)) = (missing.first(), missing.last()) {
            let count = missing.len();
            writeln!(f, "{count} missing from the report, from {first} to {last}")?;
        }
        match self.0.iter().filter(|verdict| !verdict.passes()).count() {
            0 => writeln!(f, "all {} pass", self.0.len()),
            bad => writeln!(f, "{bad} of {} DO NOT PASS", self.0.len()),
        }
    }
}

/// One line of the table; none for a family without cases.
fn line(f: &mut fmt::Formatter<'_>, name: &str, about: &str, verdicts: &[&Verdict]) -> fmt::Result {
    if verdicts.is_empty() {
        return Ok(());
    }
    write!(f, "{name:<10} {about:<30} {:>5}", verdicts.len())?;
    for (title, outcome) in COLUMNS {
        let width = title.len() + 2;
        match verdicts
            .iter()
            .filter(|verdict| verdict.outcome == outcome)
            .count()
        {
            0 => write!(f, "{:>width$}", "-")?,
            count => write!(f, "{count:>width$}")?,
        }
    }
    let time: Duration = verdicts.iter().map(|verdict| verdict.duration).sum();
    writeln!(f, "{:>7.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::select;
    use crate::report::{believe_second, judge};
    use std::path::Path;

    /// The verdicts on cases 5.1 to 5.20 with some that differ, as (case, behavior).
    fn verdicts(others: &[(&str, &str)], cases: &[&str]) -> Vec<Verdict> {
        let cases = select(&cases.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        let entries = cases.iter().map(|case| {
            let id = case.to_string();
            let other = others.iter().find(|(other, _)| *other == id);
            let behavior = other.map_or("OK", |(_, behavior)| behavior);
            format!(
                r#""{id}": {{"behavior": "{behavior}", "behaviorClose": "OK", "duration": 250,
                    "reportfile": "{id}.json"}}"#
            )
        });
        let index = format!(
            r#"{{"wirefan": {{{}}}}}"#,
            entries.collect::<Vec<_>>().join(",")
        );
        judge(&index, "wirefan", &cases, Path::new("pages")).unwrap()
    }

    #[test]
    fn a_family_is_one_line_with_its_counts_and_its_time() {
        let text = Table(&verdicts(&[("5.3", "NON-STRICT")], &["5"])).to_string();
        let row = text.lines().nth(1).unwrap();
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(
            words,
            [
                "5",
                "fragmentation",
                "20",
                "19",
                "1",
                "-",
                "-",
                "-",
                "5.0",
                "s"
            ]
        );
        let titles = text.lines().next().unwrap();
        assert_eq!(
            titles.rfind("FAILED").unwrap() + 6,
            row.rfind('-').unwrap() + 1
        );
        assert_eq!(
            text.lines()
                .filter(|line| line.contains("fragmentation"))
                .count(),
            1
        );
        assert!(
            text.contains("\n5.3: behavior NON-STRICT, close OK: pages/5.3.html\n"),
            "{text}"
        );
        assert!(text.ends_with("\n1 of 20 DO NOT PASS\n"), "{text}");
    }

    #[test]
    fn a_second_run_is_told() {
        let mut first = verdicts(&[("5.3", "FAILED"), ("5.4", "FAILED")], &["5"]);
        believe_second(&mut first, verdicts(&[("5.4", "FAILED")], &["5.3", "5.4"]));
        let text = Table(&first).to_string();
        assert!(
            text.contains("\n5.3: behavior FAILED, close OK at first; alone, run again: passes\n")
        );
        assert!(
            text.contains("\n5.4: behavior FAILED, close OK, also alone, run again: pages/5.4")
        );
        assert!(text.ends_with("\n1 of 20 DO NOT PASS\n"));
    }

    #[test]
    fn missing_cases_do_not_pass() {
        let cases = select(&["5".into()]).unwrap();
        let text = Table(&judge("{}", "wirefan", &cases, Path::new("")).unwrap()).to_string();
        assert!(
            text.contains("\n20 missing from the report, from 5.1 to 5.20\n20 of 20 DO NOT PASS\n")
        );
    }

    #[test]
    fn a_clean_run_says_so() {
        let text = Table(&verdicts(&[], &["5"])).to_string();
        assert!(text.ends_with("\nall 20 pass\n"), "{text}");
    }
}
