//! `wirefan ticket` and `wirefan token`: a ticket, or a line for a token file, to try the door with and to run it.

use core::fmt;
use core::time::Duration;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use sha2::{Digest, Sha256};
use wirefan_admission::{Grant, Rooms, TicketIssueError, TokenFile, TokenFileError};

use super::authorities::{AuthorityError, ticket_keys};
use super::unix_seconds;
use crate::quantity;

/// Bytes of a random token, of which each becomes two characters.
const TOKEN: usize = 24;

/// What whoever holds it may do.
#[derive(Args, Clone, Debug)]
struct Holder {
    /// Rooms that may be read, as /news,/team/*; with --write alone: none [default: all]
    #[arg(long, value_name = "ROOMS")]
    read: Option<Rooms>,

    /// Rooms that may be sent to; with --read alone: none [default: all]
    #[arg(long, value_name = "ROOMS")]
    write: Option<Rooms>,
}

/// The options of `wirefan ticket`.
#[derive(Args, Clone, Debug)]
pub(crate) struct NewTicket {
    /// File with the keys that the server has as --ticket-key; the first one signs
    #[arg(long, value_name = "FILE")]
    ticket_key: PathBuf,

    /// Who it is for, in the log
    #[arg(long, value_name = "NAME", default_value = "")]
    subject: String,

    #[command(flatten)]
    holder: Holder,

    /// How long it is good for; a connection made with it ends then
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = quantity::some_duration)]
    lasts: Duration,
}

/// The options of `wirefan token`.
#[derive(Args, Clone, Debug)]
pub(crate) struct NewToken {
    /// Who it is for, in the log
    name: Option<String>,

    #[command(flatten)]
    holder: Holder,

    /// How long it is good for [default: until its line is gone]
    #[arg(long, value_name = "TIME", value_parser = quantity::some_duration)]
    lasts: Option<Duration>,
}

/// Why there is no ticket and no token.
#[derive(Debug)]
pub(crate) enum IssueError {
    Key(AuthorityError),
    Ticket(TicketIssueError),
    Line(TokenFileError),
    Random(getrandom::Error),
    Output(io::Error),
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(error) => error.fmt(f),
            Self::Ticket(error) => error.fmt(f),
            Self::Line(error) => error.why().fmt(f),
            Self::Random(error) => write!(f, "the system has no random numbers: {error}"),
            Self::Output(error) => write!(f, "cannot write: {error}"),
        }
    }
}

impl core::error::Error for IssueError {}

impl NewTicket {
    /// Writes a ticket to stdout.
    pub(crate) fn issue(&self) -> Result<(), IssueError> {
        let keys = ticket_keys(&self.ticket_key).map_err(IssueError::Key)?;
        let mut grant = Grant::everything(&*self.subject);
        let Holder { read, write } = &self.holder;
        if read.is_some() || write.is_some() {
            grant.read = read.clone().unwrap_or_default();
            grant.write = write.clone().unwrap_or_default();
        }
        grant.expires = Some(end(self.lasts));
        let ticket = keys.issue(&grant, None).map_err(IssueError::Ticket)?;
        writeln!(io::stdout(), "{}", ticket.expose()).map_err(IssueError::Output)
    }
}

impl NewToken {
    /// Writes the line to stdout, which may be the file, and the token itself to stderr, once.
    pub(crate) fn issue(&self) -> Result<(), IssueError> {
        let mut random = [0; TOKEN];
        getrandom::fill(&mut random).map_err(IssueError::Random)?;
        let token = hex(&random);
        let line = self.line(&token);
        // What cannot be read again is no line.
        TokenFile::parse(&line).map_err(IssueError::Line)?;
        writeln!(io::stdout(), "{line}")
            .and_then(|()| writeln!(io::stderr(), "token: {token}"))
            .map_err(IssueError::Output)
    }

    fn line(&self, token: &str) -> String {
        let mut line = format!("sha256:{}", hex(&Sha256::digest(token)));
        if let Some(name) = &self.name {
            line += &format!(" {name}");
        }
        let Holder { read, write } = &self.holder;
        for (option, rooms) in [("read", read), ("write", write)] {
            if let Some(rooms) = rooms {
                line += &format!(" {option}={rooms}");
            }
        }
        if let Some(lasts) = self.lasts {
            line += &format!(" expires={}", end(lasts));
        }
        line
    }
}

fn end(lasts: Duration) -> u64 {
    // Less than a second would be none.
    unix_seconds().saturating_add(lasts.as_secs().max(1))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wirefan_admission::Secret;

    #[test]
    fn a_line_is_good_for_its_token_and_shows_it_not() {
        let new = NewToken {
            name: Some("ann".to_owned()),
            holder: Holder {
                read: Some("/news,/team/*".parse().unwrap()),
                write: None,
            },
            lasts: Some(Duration::from_secs(100)),
        };
        let line = new.line("0123456789abcdef");
        assert!(!line.contains("0123456789abcdef"), "{line}");
        let file = TokenFile::parse(&line).unwrap();
        let grant = file.grant(&Secret::new("0123456789abcdef"), unix_seconds());
        let grant = grant.unwrap();
        assert_eq!(grant.subject, "ann");
        assert!(grant.may_read("/team/a") && !grant.may_write("/team/a"));
        assert!(grant.expires.is_some());
    }
}
