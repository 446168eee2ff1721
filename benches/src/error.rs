//! What can keep a comparison from being made.

use core::fmt;
use std::io;
use std::path::PathBuf;

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum Error {
    /// Something that the system refused; what it was about.
    Io(String, io::Error),
    /// A command that failed, and where it told why.
    Command(String, PathBuf),
    /// A server that did not listen within its time, or ended.
    Server(String),
    /// A load generator that failed, and what it said.
    Load(String),
    /// Something else that was to be there is not.
    Missing(String),
    /// Ctrl-C, or a SIGTERM.
    Stopped,
}

impl Error {
    /// Makes an error of the system one of ours, by naming what it is about.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io(what, error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(what, error) => write!(f, "{what}: {error}"),
            Self::Command(command, log) => write!(f, "`{command}` failed: see {}", log.display()),
            Self::Server(what) | Self::Load(what) | Self::Missing(what) => f.write_str(what),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

impl core::error::Error for Error {}
