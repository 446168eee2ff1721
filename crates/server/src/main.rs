//! `wirefan`: a WebSocket server that echoes or broadcasts, a client, and a load generator. Options in, one run, an exit code out.
#![forbid(unsafe_code)]

mod admin;
mod admission_limits;
mod bench;
mod broadcast;
mod completions;
mod compression;
mod config;
mod connect;
mod door;
mod echo;
mod endurance;
mod header;
mod health;
mod inherited;
mod leaving;
mod limits;
mod listen;
mod log;
mod options;
mod page;
mod quantity;
mod reload;
mod room;
mod run;
mod self_signed;
#[cfg(unix)]
mod signals;
mod slow_readers;
mod static_files;
mod subprotocol;
mod tls;
mod trusted_proxies;
mod usage;
mod visits;

use std::io::{self, Write};
use std::process::ExitCode;

use wirefan_eventloop::Departures;

use crate::config::{ConfigFile, Mistake};
use crate::options::Command;
use crate::usage::Wanted;

/// What was asked for makes no sense.
const USAGE: u8 = 2;
/// The server has ended, and connections had to be cut off for that.
const CUT: u8 = 3;

fn main() -> ExitCode {
    let mut cli = match usage::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(Wanted::Text(text)) => {
            let _ = tell(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(Wanted::Hint(text)) => return fail(&text, USAGE),
    };
    log::init(cli.log, cli.log_format);
    if let Some(config) = ConfigFile::of(&mut cli.command) {
        for suspicious in config.suspicious() {
            tracing::warn!("{suspicious}");
        }
    }
    let done = match cli.command {
        Command::Echo(serve) => run::echo(&serve)
            .map(code)
            .map_err(|error| error.to_string()),
        Command::Broadcast(options) => run::broadcast(&options)
            .map(code)
            .map_err(|error| error.to_string()),
        Command::Ticket(ticket) => ticket
            .issue()
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| error.to_string()),
        Command::Token(token) => token
            .issue()
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| error.to_string()),
        Command::Connect(options) => connect::run(&options),
        Command::Bench(options) => match bench::run(*options) {
            Ok(true) => Ok(ExitCode::SUCCESS),
            // What went wrong has been told.
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => Err(error.to_string()),
        },
        Command::Health(asked) => asked.ask().map(|()| ExitCode::SUCCESS),
        Command::CheckConfig(asked) => match asked.check() {
            Ok(said) => tell(said.as_bytes()),
            Err(mistakes) => {
                let line = |mistake: &Mistake| format!("{mistake}\n");
                return fail(&mistakes.iter().map(line).collect::<String>(), USAGE);
            }
        },
        Command::Config(asked) => tell(asked.text().as_bytes()),
        Command::Completions(asked) => tell(&asked.text()),
        Command::Man(asked) => match asked.text() {
            Ok(page) => tell(&page),
            Err(error) => Err(format!("the pages cannot be written: {error}")),
        },
    };
    match done {
        Ok(code) => code,
        Err(error) => fail(&format!("wirefan: {error}\n"), 1),
    }
}

/// Writes to stdout. Whoever has closed the pipe has read enough.
fn tell(text: &[u8]) -> Result<ExitCode, String> {
    let _ = io::stdout().write_all(text);
    Ok(ExitCode::SUCCESS)
}

fn code(departures: Departures) -> ExitCode {
    if departures.is_clean() {
        ExitCode::SUCCESS
    } else {
        CUT.into()
    }
}

fn fail(text: &str, code: u8) -> ExitCode {
    let _ = write!(io::stderr(), "{text}");
    code.into()
}
