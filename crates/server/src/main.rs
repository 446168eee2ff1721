//! `wirefan`: a WebSocket server that echoes or broadcasts. Options in, one running server, an exit code out.
#![forbid(unsafe_code)]

mod broadcast;
mod compression;
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
    match run::run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("wirefan: {error}\n"), 1),
    }
}

fn fail(text: &str, code: u8) -> ExitCode {
    let _ = write!(io::stderr(), "{text}");
    code.into()
}
