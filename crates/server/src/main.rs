//! `wirefan`: a WebSocket server that echoes or broadcasts, a client, and a load generator. Options in, one run, an exit code out.
#![forbid(unsafe_code)]

mod bench;
mod broadcast;
mod compression;
mod connect;
mod echo;
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
mod subprotocol;
mod tls;
mod usage;
mod visits;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::options::Command;
use crate::usage::Wanted;

/// What was asked for makes no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match usage::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(Wanted::Text(text)) => {
            // Whoever has closed the pipe has read enough.
            let _ = write!(io::stdout(), "{text}");
            return ExitCode::SUCCESS;
        }
        Err(Wanted::Hint(text)) => return fail(&text, USAGE),
    };
    log::init(cli.log);
    let done = match cli.command {
        Command::Echo(serve) => run::echo(&serve).map_err(|error| error.to_string()),
        Command::Broadcast(options) => run::broadcast(&options).map_err(|error| error.to_string()),
        Command::Connect(options) => match connect::run(&options) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Bench(options) => match bench::run(*options) {
            Ok(true) => Ok(()),
            // What went wrong has been told.
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => Err(error.to_string()),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("wirefan: {error}\n"), 1),
    }
}

fn fail(text: &str, code: u8) -> ExitCode {
    let _ = write!(io::stderr(), "{text}");
    code.into()
}
