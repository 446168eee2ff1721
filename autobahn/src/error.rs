//! Why there is no verdict. (A verdict that is bad is no error: see `report.rs`.)

use core::fmt;
use core::time::Duration;
use std::io;
use std::path::PathBuf;

/// What kept the harness from judging.
#[derive(Debug)]
pub(crate) enum Error {
    /// A signal asked to stop.
    Interrupted,
    /// Something took longer than it may.
    TooLong { what: String, limit: Duration },
    /// A command failed; its last words say why.
    Command {
        what: String,
        how: String,
        words: String,
        log: PathBuf,
    },
    /// The system refused something.
    Io { what: String, error: io::Error },
    /// The suite can be had in no way that was tried.
    NoSuite(String),
    /// A report cannot be judged.
    Report { index: PathBuf, why: String },
    /// The fuzzing server does not behave as one.
    Suite(String),
}

impl Error {
    /// An [`Io`](Self::Io) error for what was attempted, as an argument of `map_err`.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io {
            what: what.into(),
            error,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("stopped by a signal"),
            Self::TooLong { what, limit } => {
                write!(f, "{what} took longer than {} s", limit.as_secs())
            }
            Self::Command {
                what,
                how,
                words,
                log,
            } => {
                write!(f, "{what}: {how} (see {})", log.display())?;
                words.lines().try_for_each(|line| write!(f, "\n    {line}"))
            }
            Self::Io { what, error } => write!(f, "{what}: {error}"),
            Self::NoSuite(why) | Self::Suite(why) => f.write_str(why),
            Self::Report { index, why } => write!(f, "{}: {why}", index.display()),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
