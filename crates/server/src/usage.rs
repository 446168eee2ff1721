//! From arguments to options, and from what is wrong with them to one line that says how to mend it.

use core::fmt;
use std::ffi::OsString;
use std::sync::Arc;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

use crate::bench;
use crate::config::{self, ConfigFile, Environment, Invocation, Mistake, Resolved};
use crate::options::Cli;

/// What is to be written instead of starting a server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    /// Help or the version.
    Text(String),
    /// What is wrong.
    Hint(String),
}

/// Why options cannot be used.
#[derive(Debug)]
pub(crate) enum Misuse {
    /// One is wrong, or missing.
    Options(Box<clap::Error>),
    /// Several do not fit together.
    Contradiction(String),
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(error) => f.write_str(&in_one_line(error)),
            Self::Contradiction(contradiction) => f.write_str(contradiction),
        }
    }
}

impl core::error::Error for Misuse {}

/// Reads the arguments, the program's name first, the environment, and the file that either names.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, Wanted> {
    read(Invocation {
        args: config::with_command(bench::with_mode(args)),
        environment: Environment::of_process(),
    })
}

/// The same once more: the file may have changed.
pub(crate) fn read(invocation: Invocation) -> Result<Cli, Wanted> {
    let resolved = invocation
        .resolve()
        .map_err(|mistakes| Wanted::Hint(lines(&mistakes)))?;
    understand(resolved.clone()).map_err(|misuse| {
        let more = match &misuse {
            Misuse::Options(error) => match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                    return Wanted::Text(error.render().to_string());
                }
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                    return Wanted::Hint(error.render().to_string());
                }
                _ => " (wirefan --help tells more)",
            },
            Misuse::Contradiction(_) => "",
        };
        let said = misuse.to_string();
        let mut told = said.clone();
        for (name, source) in resolved.whence(&said) {
            told.push_str(&format!("; --{name} is {source}"));
        }
        Wanted::Hint(format!("wirefan: {told}{more}\n"))
    })
}

/// All commands and their options. The environment is ours to read, and not clap's.
pub(crate) fn command() -> clap::Command {
    let mut root = Cli::command().mut_args(|arg| arg.env(Resettable::Reset));
    root.build();
    root
}

/// Makes options of what was resolved.
pub(crate) fn understand(mut resolved: Resolved) -> Result<Cli, Misuse> {
    let mut root = command();
    let wrong = |error: clap::Error| Misuse::Options(Box::new(error));
    let matches = root
        .try_get_matches_from_mut(&resolved.args)
        .map_err(wrong)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(wrong)?;
    if let Some(contradiction) = cli.command.contradiction() {
        return Err(Misuse::Contradiction(contradiction));
    }
    resolved.keep(&root, &matches);
    if let Some(config) = ConfigFile::of(&mut cli.command) {
        config.resolved = Some(Arc::new(resolved));
    }
    Ok(cli)
}

/// Mistakes, each on a line.
fn lines(mistakes: &[Mistake]) -> String {
    let line = |mistake| format!("wirefan: {mistake}\n");
    mistakes.iter().map(line).collect()
}

/// An error without the general lines at the end of it.
pub(crate) fn in_one_line(error: &clap::Error) -> String {
    let error = error.render().to_string();
    let said: Vec<&str> = error
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| line.strip_prefix("error: ").unwrap_or(line))
        .collect();
    said.join("; ").replace(":; ", ": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(args: &[&str]) -> String {
        let args = ["wirefan"].iter().chain(args).map(OsString::from);
        match parse(args) {
            Err(Wanted::Hint(hint)) => hint,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_mistake_is_one_line_that_names_it() {
        for (args, name) in [
            (&["serve"][..], "serve"),
            (&["echo", "--lisen", "a:1"], "'--listen'"),
            (&["echo", "--listen", "9001"], "127.0.0.1:9001"),
            (&["echo", "--workers", "0"], "1..=1024"),
            (&["echo", "--max-message", "lots"], "64k"),
            (&["echo", "--pong-timeout", "0"], "more than 0"),
            (&["echo", "--ping-interval", "soon"], "25s"),
            (&["echo", "--at-limit", "explode"], "close, drop"),
            (&["echo", "--subprotocol", "a b"], "token"),
            (&["echo", "--log", "inof"], "info"),
            (&["echo", "--to-sender"], "--to-sender"),
            (&["echo", "--backlog-high", "5m"], "--backlog-limit"),
            (&["echo", "--listen", "wss://a:1"], "--tls-cert"),
            (&["echo", "--tls-cert", "a"], "--tls-key"),
            (&["echo", "--tls-self-signed", "--listen", "a:1"], "wss://"),
            (&["echo", "--proxy-protocol"], "--trusted-proxy"),
            (&["echo", "--max-bytes-per-second", "5g"], "too large"),
            (&["echo", "--over-rate", "explode"], "delay, drop, close"),
            #[cfg(unix)]
            (&["echo", "--listen", "unix:a,mode=9"], "mode=0660"),
            (&["echo", "more"], "more"),
        ] {
            let hint = hint(args);
            assert_eq!(hint.lines().count(), 1, "{hint}");
            assert!(
                hint.starts_with("wirefan: ") && hint.ends_with('\n'),
                "{hint}"
            );
            assert!(hint.contains(name), "{hint}");
        }
    }

    #[test]
    fn without_arguments_it_teaches() {
        let hint = hint(&[]);
        assert!(
            hint.contains("echo") && hint.contains("broadcast"),
            "{hint}"
        );
    }
}
