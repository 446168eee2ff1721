//! Judges a report of the suite (`index.json`), strictly: both fields of a case count, and the
//! cases in it are exactly those that were asked for. The suite itself ends with 0 whatever
//! happened.

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cases::{Case, INFORMATIONAL};

/// The columns of the table, from good to bad.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Ok,
    NonStrict,
    Informational,
    Unimplemented,
    Failed,
}

/// What became of one case.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) case: Case,
    pub(crate) outcome: Outcome,
    /// The suite's own words for the behavior and for the end of the connection.
    pub(crate) words: String,
    pub(crate) duration: Duration,
    /// The suite's page about it; `None` when the case is missing from the report.
    pub(crate) page: Option<PathBuf>,
    /// The first verdict, where this is the one of a second run.
    pub(crate) first: Option<Box<Self>>,
}

impl Verdict {
    /// Whether this is as good as the case allows.
    pub(crate) fn passes(&self) -> bool {
        match self.outcome {
            Outcome::Ok => true,
            Outcome::Informational => INFORMATIONAL.contains(&self.case.to_string().as_str()),
            Outcome::NonStrict | Outcome::Unimplemented | Outcome::Failed => false,
        }
    }
}

/// Returns one verdict for each of `cases`, from the text of `dir`'s `index.json`.
///
/// A case that the report lacks has failed. The error says what is wrong with a report that cannot
/// be judged: another agent's, or with cases that nobody asked for.
pub(crate) fn judge(
    index: &str,
    agent: &str,
    cases: &[Case],
    dir: &Path,
) -> Result<Vec<Verdict>, String> {
    let agents: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_str(index).map_err(|error| error.to_string())?;
    if let Some(stranger) = agents.keys().find(|name| *name != agent) {
        return Err(format!("it is about {stranger:?} instead of {agent:?}"));
    }
    let mut entries = agents.into_values().next().unwrap_or_default();
    let verdicts = cases
        .iter()
        .map(|case| verdict(*case, entries.remove(&case.to_string()), dir));
    let verdicts = verdicts.collect();
    match entries.keys().next() {
        Some(extra) => Err(format!("case {extra} is in it, which was not asked for")),
        None => Ok(verdicts),
    }
}

/// Replaces the verdicts of cases that were run again by the second ones, which remember the first.
pub(crate) fn believe_second(verdicts: &mut [Verdict], second: Vec<Verdict>) {
    for mut again in second {
        if let Some(first) = verdicts.iter_mut().find(|first| first.case == again.case) {
            again.first = Some(Box::new(first.clone()));
            *first = again;
        }
    }
}

fn verdict(case: Case, entry: Option<Value>, dir: &Path) -> Verdict {
    let Some(entry) = entry else {
        return Verdict {
            case,
            outcome: Outcome::Failed,
            words: "missing from the report".into(),
            duration: Duration::ZERO,
            page: None,
            first: None,
        };
    };
    let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or("absent");
    let (behavior, close) = (text("behavior"), text("behaviorClose"));
    let outcome = match (behavior, close) {
        ("OK", "OK") => Outcome::Ok,
        ("OK" | "INFORMATIONAL", "OK" | "INFORMATIONAL") => Outcome::Informational,
        ("NON-STRICT", "OK" | "INFORMATIONAL") => Outcome::NonStrict,
        // A case that was declined counts as that, however its connection ended.
        ("UNIMPLEMENTED", _) => Outcome::Unimplemented,
        _ => Outcome::Failed,
    };
    Verdict {
        case,
        outcome,
        words: format!("behavior {behavior}, close {close}"),
        duration: Duration::from_millis(entry.get("duration").and_then(Value::as_u64).unwrap_or(0)),
        // The index names the JSON form; the page for people lies beside it.
        page: Some(dir.join(text("reportfile")).with_extension("html")),
        first: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::select;

    const INDEX: &str = r#"{"wirefan": {
        "1.1.1": {"behavior": "OK", "behaviorClose": "OK", "duration": 3, "remoteCloseCode": 1000,
            "reportfile": "w_refan_case_1_1_1.json"},
        "7.1.6": {"behavior": "INFORMATIONAL", "behaviorClose": "INFORMATIONAL", "duration": 1,
            "remoteCloseCode": null, "reportfile": "w_refan_case_7_1_6.json"}
    }}"#;

    fn cases(patterns: &[&str]) -> Vec<Case> {
        select(&patterns.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    fn judged(index: &str, patterns: &[&str]) -> Result<Vec<Verdict>, String> {
        judge(index, "wirefan", &cases(patterns), Path::new("reports"))
    }

    /// The verdict on case `id` with these two fields.
    fn one(id: &str, behavior: &str, close: &str) -> Verdict {
        let index = format!(
            r#"{{"wirefan": {{"{id}": {{"behavior": "{behavior}", "behaviorClose": "{close}",
                "duration": 1, "reportfile": "x.json"}}}}}}"#
        );
        judged(&index, &[id]).unwrap().remove(0)
    }

    #[test]
    fn a_perfect_report_passes() {
        let verdicts = judged(INDEX, &["1.1.1", "7.1.6"]).unwrap();
        assert!(verdicts.iter().all(Verdict::passes));
        assert_eq!(verdicts[0].outcome, Outcome::Ok);
        assert_eq!(verdicts[0].duration, Duration::from_millis(3));
        assert_eq!(
            verdicts[0].page.as_deref(),
            Some(Path::new("reports/w_refan_case_1_1_1.html"))
        );
        assert_eq!(verdicts[1].outcome, Outcome::Informational);
    }

    #[test]
    fn both_fields_count() {
        for close in [
            "FAILED",
            "UNCLEAN",
            "WRONG CODE",
            "FAILED BY CLIENT",
            "unheard of",
        ] {
            let verdict = one("5.1", "OK", close);
            assert_eq!(
                (verdict.outcome, verdict.passes()),
                (Outcome::Failed, false),
                "{close}"
            );
            assert_eq!(
                one("7.1.6", "INFORMATIONAL", close).outcome,
                Outcome::Failed,
                "{close}"
            );
        }
        for (behavior, outcome) in [
            ("NON-STRICT", Outcome::NonStrict),
            ("UNIMPLEMENTED", Outcome::Unimplemented),
            ("FAILED", Outcome::Failed),
            ("unheard of", Outcome::Failed),
        ] {
            let verdict = one("5.1", behavior, "OK");
            assert_eq!(
                (verdict.outcome, verdict.passes()),
                (outcome, false),
                "{behavior}"
            );
        }
        assert_eq!(one("5.1", "NON-STRICT", "UNCLEAN").outcome, Outcome::Failed);
        assert_eq!(
            one("5.1", "FAILED", "OK").words,
            "behavior FAILED, close OK"
        );
    }

    #[test]
    fn informational_is_allowed_to_three_cases_only() {
        for (id, allowed) in [
            ("7.1.6", true),
            ("7.13.1", true),
            ("7.13.2", true),
            ("5.19", false),
        ] {
            for (behavior, close) in [("INFORMATIONAL", "OK"), ("OK", "INFORMATIONAL")] {
                let verdict = one(id, behavior, close);
                assert_eq!(verdict.outcome, Outcome::Informational);
                assert_eq!(verdict.passes(), allowed, "{id}");
            }
        }
    }

    #[test]
    fn a_missing_case_has_failed() {
        let verdicts = judged(INDEX, &["1.1.1", "1.1.2", "7.1.6"]).unwrap();
        assert_eq!(verdicts.len(), 3);
        assert_eq!(
            (verdicts[1].outcome, &verdicts[1].page),
            (Outcome::Failed, &None)
        );
        let dead = judged("{}", &["1.1"]).unwrap();
        assert_eq!(dead.iter().filter(|verdict| !verdict.passes()).count(), 8);
        assert!(!one("5.1", "", "").passes());
    }

    #[test]
    fn a_report_about_something_else_is_not_judged() {
        assert!(judged(INDEX, &["1.1.1"]).unwrap_err().contains("7.1.6"));
        assert!(
            judge(INDEX, "ws", &cases(&["1.1.1"]), Path::new(""))
                .unwrap_err()
                .contains("ws")
        );
        assert!(judged("", &["1.1.1"]).is_err());
        assert!(judged(r#"{"wirefan": []}"#, &["1.1.1"]).is_err());
    }

    #[test]
    fn a_second_run_is_believed_and_remembers_the_first() {
        let mut verdicts = vec![one("5.1", "OK", "OK"), one("5.19", "FAILED", "OK")];
        believe_second(&mut verdicts, vec![one("5.19", "OK", "OK")]);
        assert!(verdicts.iter().all(Verdict::passes));
        assert!(verdicts[0].first.is_none());
        assert_eq!(verdicts[1].first.as_ref().unwrap().outcome, Outcome::Failed);
    }
}
