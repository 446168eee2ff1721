//! [`Mistake`]: what is wrong with a configuration, and where.

use core::fmt;
use core::ops::Range;
use std::path::{Path, PathBuf};

/// A line and a column in a file, counted from 1. A column is a character.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Place {
    /// Where the bytes of a text begin.
    pub(super) fn of(text: &str, bytes: &Range<usize>) -> Self {
        let before = text.get(..bytes.start).unwrap_or(text);
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line..].chars().count() + 1,
        }
    }
}

/// One thing that is wrong, said in one line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mistake {
    /// The file, and where in it.
    pub(super) at: Option<(PathBuf, Option<Place>)>,
    pub(super) what: String,
}

impl Mistake {
    /// One in a file.
    pub(super) fn at(file: &Path, place: Option<Place>, what: impl Into<String>) -> Self {
        Self {
            at: Some((file.to_owned(), place)),
            what: what.into(),
        }
    }

    /// One elsewhere.
    pub(super) fn elsewhere(what: impl Into<String>) -> Self {
        Self {
            at: None,
            what: what.into(),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Some((file, Some(Place { line, column }))) => {
                write!(f, "{}:{line}:{column}: ", file.display())?;
            }
            Some((file, None)) => write!(f, "{}: ", file.display())?,
            None => {}
        }
        f.write_str(&self.what)
    }
}

impl core::error::Error for Mistake {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_1() {
        let text = "a\ngrün = 1\n";
        for (byte, line, column) in [
            (0, 1, 1),
            (2, 2, 1),
            (6, 2, 4),
            (7, 2, 5),
            (11, 2, 9),
            (99, 3, 1),
        ] {
            assert_eq!(
                Place::of(text, &(byte..byte)),
                Place { line, column },
                "{byte}"
            );
        }
    }
}
