//! From arguments to options, and from what is wrong with them to one line that says how to mend it.

use std::ffi::OsString;

use clap::Parser;
use clap::error::ErrorKind;

use crate::bench;
use crate::options::Cli;

/// What is to be written instead of starting a server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    /// Help or the version.
    Text(String),
    /// What is wrong.
    Hint(String),
}

/// Reads the arguments, the program's name first.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, Wanted> {
    let cli = Cli::try_parse_from(bench::with_mode(args)).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            Wanted::Text(error.render().to_string())
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Wanted::Hint(error.render().to_string())
        }
        _ => Wanted::Hint(one_line(&error.render().to_string())),
    })?;
    match cli.command.contradiction() {
        Some(contradiction) => Err(Wanted::Hint(format!("wirefan: {contradiction}\n"))),
        None => Ok(cli),
    }
}

/// Several lines of an error, without the general ones at the end of it.
fn one_line(error: &str) -> String {
    let said: Vec<&str> = error
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| line.strip_prefix("error: ").unwrap_or(line))
        .collect();
    format!("wirefan: {} (wirefan --help tells more)\n", said.join("; "))
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
