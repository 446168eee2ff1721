//! The catalogue of the suite's cases, and the choice of cases by pattern. The roles hand the suite exact case numbers, so its own patterns (unanchored regexes)
//! never matter.

use core::fmt;

/// Cases whose outcome the RFC leaves open: INFORMATIONAL is their best result, and nobody else's.
pub(crate) const INFORMATIONAL: &[&str] = &["7.1.6", "7.13.1", "7.13.2"];

/// A row of the result table: families of cases that check the same thing.
#[derive(Debug)]
pub(crate) struct Row {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// What its cases check.
    pub(crate) about: &'static str,
    /// Each family's prefix and the number of its cases, which are counted from 1.
    families: &'static [(&'static str, u8)],
}

/// All 517 cases of the suite, versions 7.5.1 to 25.10.1.
pub(crate) static CATALOGUE: &[Row] = &[
    row("1.1", "echo of a text message", &[("1.1", 8)]),
    row("1.2", "echo of a binary message", &[("1.2", 8)]),
    row("2", "pings and pongs", &[("2", 11)]),
    row("3", "reserved bits", &[("3", 7)]),
    row("4.1", "reserved opcodes 3 to 7", &[("4.1", 5)]),
    row("4.2", "reserved opcodes 11 to 15", &[("4.2", 5)]),
    row("5", "fragmentation", &[("5", 20)]),
    row("6.1", "empty text messages", &[("6.1", 3)]),
    row("6.2", "valid UTF-8, cut anywhere", &[("6.2", 4)]),
    row("6.3", "invalid UTF-8, cut anywhere", &[("6.3", 2)]),
    row("6.4", "invalid UTF-8, failed at once", &[("6.4", 4)]),
    row(
        "6.5-6.23",
        "Kuhn's UTF-8 stress file",
        &[
            ("6.5", 5),
            ("6.6", 11),
            ("6.7", 4),
            ("6.8", 2),
            ("6.9", 4),
            ("6.10", 3),
            ("6.11", 5),
            ("6.12", 8),
            ("6.13", 5),
            ("6.14", 10),
            ("6.15", 1),
            ("6.16", 3),
            ("6.17", 5),
            ("6.18", 5),
            ("6.19", 5),
            ("6.20", 7),
            ("6.21", 8),
            ("6.22", 34),
            ("6.23", 7),
        ],
    ),
    row("7.1", "the closing handshake", &[("7.1", 6)]),
    row("7.3", "payloads of a Close", &[("7.3", 6)]),
    row("7.5", "a reason that is not UTF-8", &[("7.5", 1)]),
    row("7.7", "valid close codes", &[("7.7", 13)]),
    row("7.9", "invalid close codes", &[("7.9", 9)]),
    row("7.13", "close codes out of range", &[("7.13", 2)]),
    row("9.1", "texts up to 16 MiB", &[("9.1", 6)]),
    row("9.2", "binaries up to 16 MiB", &[("9.2", 6)]),
    row("9.3", "a 4 MiB text in fragments", &[("9.3", 9)]),
    row("9.4", "a 4 MiB binary in fragments", &[("9.4", 9)]),
    row("9.5", "a 1 MiB text in TCP pieces", &[("9.5", 6)]),
    row("9.6", "a 1 MiB binary in TCP pieces", &[("9.6", 6)]),
    row("9.7", "1,000 texts and back", &[("9.7", 6)]),
    row("9.8", "1,000 binaries and back", &[("9.8", 6)]),
    row("10.1", "automatic fragmentation", &[("10.1", 1)]),
    row(
        "12.1-12.5",
        "permessage-deflate, payloads",
        &[
            ("12.1", 18),
            ("12.2", 18),
            ("12.3", 18),
            ("12.4", 18),
            ("12.5", 18),
        ],
    ),
    row(
        "13.1-13.7",
        "permessage-deflate, parameters",
        &[
            ("13.1", 18),
            ("13.2", 18),
            ("13.3", 18),
            ("13.4", 18),
            ("13.5", 18),
            ("13.6", 18),
            ("13.7", 18),
        ],
    ),
];

const fn row(
    name: &'static str,
    about: &'static str,
    families: &'static [(&'static str, u8)],
) -> Row {
    Row {
        name,
        about,
        families,
    }
}

/// One case, as `9.1.6`. Ordered as the suite runs them.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Case {
    /// The place of its row in the catalogue.
    row: usize,
    /// The place of its family in the row.
    family: usize,
    number: u8,
}

impl Case {
    /// The row of the table that counts it.
    pub(crate) fn row(self) -> &'static Row {
        &CATALOGUE[self.row]
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.row().families[self.family].0, self.number)
    }
}

/// Returns the cases that `patterns` mean, in the suite's order.
///
/// A pattern is a case (`9.1.6`) or what cases begin with, with or without a star: `9`, `9.*` and
/// `9.1.*` stop at whole numbers, so `1.1` never means 1.10. A star in the middle stands for one
/// number. No pattern means all cases. The error is a line that says which pattern matches nothing.
pub(crate) fn select(patterns: &[String]) -> Result<Vec<Case>, String> {
    let all: Vec<Case> = every_case().collect();
    for pattern in patterns {
        if !all.iter().any(|case| matches(pattern, *case)) {
            return Err(format!("no case matches {pattern:?}; try 9.*, 6.4 or 5.19"));
        }
    }
    let chosen =
        |case: &Case| patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, *case));
    Ok(all.into_iter().filter(chosen).collect())
}

fn every_case() -> impl Iterator<Item = Case> {
    CATALOGUE.iter().enumerate().flat_map(|(row, entry)| {
        entry
            .families
            .iter()
            .enumerate()
            .flat_map(move |(family, (_, count))| {
                (1..=*count).map(move |number| Case {
                    row,
                    family,
                    number,
                })
            })
    })
}

fn matches(pattern: &str, case: Case) -> bool {
    let id = case.to_string();
    let mut numbers = id.split('.');
    pattern.split('.').all(|wanted| {
        numbers
            .next()
            .is_some_and(|number| wanted == "*" || wanted == number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn chosen(patterns: &[&str]) -> Vec<String> {
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        select(&patterns)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn the_catalogue_has_the_517_cases_of_the_suite() {
        let ids: BTreeSet<String> = every_case().map(|case| case.to_string()).collect();
        assert_eq!((every_case().count(), ids.len()), (517, 517));
        assert!(every_case().is_sorted());
        assert!(INFORMATIONAL.iter().all(|case| ids.contains(*case)));
    }

    #[test]
    fn no_pattern_means_all() {
        let all = chosen(&[]);
        assert_eq!((all[0].as_str(), all[516].as_str()), ("1.1.1", "13.7.18"));
        assert_eq!(chosen(&["*"]), all);
    }

    #[test]
    fn a_pattern_is_a_prefix_of_whole_numbers() {
        assert_eq!(chosen(&["9.*"]).len(), 54);
        assert_eq!(chosen(&["9"]), chosen(&["9.*"]));
        assert_eq!(chosen(&["1.*"]).len(), 16);
        assert_eq!(chosen(&["7.1"]).len(), 6);
        assert_eq!(chosen(&["6.1.*"]), ["6.1.1", "6.1.2", "6.1.3"]);
        assert_eq!(chosen(&["2.1"]), ["2.1"]);
        assert_eq!(chosen(&["9.*.6"]).len(), 8);
    }

    #[test]
    fn patterns_add_up_in_the_suites_order_and_once() {
        assert_eq!(
            chosen(&["6.4.2", "5.19", "6.4"]),
            ["5.19", "6.4.1", "6.4.2", "6.4.3", "6.4.4"]
        );
    }

    #[test]
    fn a_pattern_without_cases_is_an_error() {
        for pattern in ["8.*", "14", "1.1.9", "1.1.1.1", "", "9.", "9*", "twelve"] {
            let error = select(&["1.1".into(), pattern.into()]).unwrap_err();
            assert!(error.starts_with("no case matches"), "{pattern}: {error}");
        }
    }
}
