//! `wirefan check-config FILE`: everything that is wrong with a file, each in a line with its place.

use std::path::{Path, PathBuf};

use clap::Args;

use super::file::File;
use super::invocation::{Resolved, place_of};
use super::mistake::Mistake;
use super::setting;
use crate::usage;

/// The options of `check-config`.
#[derive(Args, Debug)]
pub(crate) struct CheckConfig {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl CheckConfig {
    /// One line for a file that may be used, or one for each mistake.
    pub(crate) fn check(&self) -> Result<String, Vec<Mistake>> {
        let root = usage::command();
        let file = File::read(&self.file, &root)?;
        let mut mistakes: Vec<Mistake> = Vec::new();
        for command in setting::configured(&root) {
            let resolved = Resolved::of_file(&file, command);
            if let Err(said) = usage::understand(resolved.clone()) {
                let mistake = locate(&self.file, &resolved, said.to_string());
                // Most options are those of both commands.
                if !mistakes.contains(&mistake) {
                    mistakes.push(mistake);
                }
            }
        }
        if mistakes.is_empty() {
            let (name, set) = (self.file.display(), file.len());
            let options = if set == 1 { "option" } else { "options" };
            Ok(format!("{name}: {set} {options}, no mistakes\n"))
        } else {
            Err(mistakes)
        }
    }
}

/// Finds the line of options that are wrong together: that of the first which the file has.
fn locate(file: &Path, resolved: &Resolved, said: String) -> Mistake {
    let place = resolved
        .whence(&said)
        .into_iter()
        .find_map(|(_, source)| place_of(source))
        .map(|(_, place)| place);
    Mistake::at(file, place, said)
}
