//! Two programs, adjacent and in turn: how a difference of a few per cent is judged on a machine with neighbours, and with
//! it what wirefan promises.

use crate::chart::short;
use crate::error::Error;
use crate::load::Sample;
use crate::peers::Installed;
use crate::rows::{Promise, Row};
use crate::run::Runner;
use crate::statistics::{Summary, ratios};
use crate::verdict::Verdict;

/// Pairs that judge a promise.
pub(crate) const PAIRS: usize = 12;

/// Measures pairs and prints what they say.
pub(crate) fn run(
    runner: &mut Runner,
    ours: &Installed,
    theirs: &Installed,
    row: &'static Row,
    pairs: usize,
) -> Result<(), Error> {
    let Some(summary) = measure(runner, ours, theirs, row, pairs)? else {
        return Err(Error::Load("not a single pair was measured".to_owned()));
    };
    println!("{}", verdict(&summary, row, ours, theirs));
    Ok(())
}

/// Measures pairs; `None`: not a single one could be.
pub(crate) fn measure(
    runner: &mut Runner,
    ours: &Installed,
    theirs: &Installed,
    row: &'static Row,
    pairs: usize,
) -> Result<Option<Summary>, Error> {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    println!("{}: {}", row.name, row.title);
    println!("{} to {}, {} pairs", ours.label, theirs.label, pairs);
    for pair in 1..=pairs {
        // Each is the first as often as the other: what a server leaves behind for the next falls on both.
        let (our, their) = if pair % 2 == 1 {
            let our = runner.measure(ours, row, 1);
            (our, runner.measure(theirs, row, 1))
        } else {
            let their = runner.measure(theirs, row, 1);
            (runner.measure(ours, row, 1), their)
        };
        let figure = |outcome: Result<Sample, Error>, name: &str| match outcome {
            Ok(sample) => Ok(Some(sample.figure)),
            Err(Error::Stopped) => Err(Error::Stopped),
            Err(error) => {
                println!("{pair:>3}  {name}: {error}");
                Ok(None)
            }
        };
        let (our, their) = (figure(our, &ours.label)?, figure(their, &theirs.label)?);
        if let (Some(our), Some(their)) = (our, their) {
            println!(
                "{pair:>3}  {:.3}  ({} / {})",
                our / their,
                short(our),
                short(their)
            );
        }
        first.push(our);
        second.push(their);
    }
    Ok(Summary::of(&ratios(&first, &second)))
}

fn verdict(summary: &Summary, row: &Row, ours: &Installed, theirs: &Installed) -> String {
    let Summary {
        median,
        low,
        high,
        min,
        max,
        count,
    } = *summary;
    let mut text = format!(
        "median {median:.3}, 95 % interval {low:.3} to {high:.3}, least and most {min:.3} and {max:.3}, of {count} pairs"
    );
    if let Some(Promise { bar, goal }) = row.promise
        && !row.is_about_memory()
        && (ours.peer.name, theirs.peer.name) == ("wirefan", "limit")
    {
        for (name, wanted) in [("bar", bar), ("goal", goal)] {
            let word = Verdict::of(summary, wanted, false).word().replace('*', "");
            text.push_str(&format!("\n{name} {wanted}: {word}"));
        }
    }
    text
}
