//! Runs the Autobahn TestSuite against wirefan in both roles, side by side, and judges its reports.
//! This file: the options, and the order of things. `README.md` tells how to read the result.

mod build;
mod cases;
mod client;
mod client_role;
mod error;
mod job;
mod progress;
mod python;
mod report;
mod role;
mod run;
mod server_role;
mod suite;
mod table;

use core::sync::atomic::AtomicBool;
use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::cases::Case;
use crate::client_role::Client;
use crate::error::Error;
use crate::job::Bound;
use crate::role::Role;
use crate::run::Setup;
use crate::server_role::{PORT, Server};
use crate::suite::Suite;
use crate::table::Table;

/// Exit codes beside 0.
const BAD_VERDICT: u8 = 1;
const NO_VERDICT: u8 = 2;

/// Runs the Autobahn TestSuite against wirefan and judges its reports.
///
/// Without options: gets the suite (once), builds wirefan, runs all cases in both roles, prints a
/// table for each. Everything it makes is below target/autobahn.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  cargo run --release -p autobahn                                      everything, in ten minutes
  cargo run --release -p autobahn -- --cases 1,2,3,4,5,6,7,9,10        all but compression, in half a one
  cargo run --release -p autobahn -- --role client --cases 9 --cases 5.19
  cargo run --release -p autobahn -- --tokio                           wirefan-tokio, in both roles
  cargo run --release -p autobahn -- --tls --cases 1,2,3,4,5,6,7       the server over wss://
  cargo run --release -p autobahn -- --server ws://127.0.0.1:9001      some other server, which runs already
  cargo run --release -p autobahn -- --server-command 'node echo.js {port}'       one that is to be started

Exit code: 0 if every case is as good as it can be, 1 if one is not, 2 if there is no verdict.")]
struct Options {
    /// The role of wirefan: tested as a server, as a client, or as both side by side [default:
    /// both]
    #[arg(long, value_enum)]
    role: Option<RoleChoice>,

    /// Test the server at URL (ws://…) instead of wirefan; the server role only
    #[arg(long, value_name = "URL", value_parser = url)]
    server: Option<String>,

    /// Start COMMAND and test it instead of wirefan; {port} in it becomes a free port of 127.0.0.1, on which it has to
    /// listen. Words are divided at blanks, without a shell; the server role only
    #[arg(long, value_name = "COMMAND", value_parser = command, conflicts_with_all = ["server", "tls", "wirefan", "tokio"])]
    server_command: Option<ServerCommand>,

    /// Test wirefan over TLS, with a certificate that it makes itself; the server role only
    #[arg(long, conflicts_with = "server")]
    tls: bool,

    /// Only these cases: one (5.19), or all that begin so (9, 9.*, 6.4); repeatable
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    cases: Vec<String>,

    /// Test this wirefan binary instead of building one
    #[arg(long, value_name = "PATH", conflicts_with = "server")]
    wirefan: Option<PathBuf>,

    /// Test wirefan-tokio, by its examples echo_server and echo_client
    #[arg(long, conflicts_with_all = ["server", "wirefan"])]
    tokio: bool,

    /// Install the suite with this Python 2.7 instead of one that is found
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,

    /// Longest time for the run of a role, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    timeout: u64,
}

/// A program and its arguments.
#[derive(Clone, Debug, Eq, PartialEq)]
struct ServerCommand(Vec<String>);

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum RoleChoice {
    Server,
    Client,
    Both,
}

impl Options {
    fn server_only(&self) -> bool {
        self.server.is_some() || self.server_command.is_some() || self.tls
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let cases = cases::select(&options.cases).unwrap_or_else(|why| usage_error(&why));
    if options.server_only() && !matches!(options.role, None | Some(RoleChoice::Server)) {
        usage_error("--server, --server-command and --tls are about the server role only");
    }
    match judge_all(&options, &cases) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("autobahn: {error}");
            ExitCode::from(NO_VERDICT)
        }
    }
}

/// Runs and prints everything.
fn judge_all(options: &Options, cases: &[Case]) -> Result<ExitCode, Error> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, Arc::clone(&stop)).map_err(Error::io("a signal handler"))?;
    }
    let forever = Bound::new(&stop, Duration::MAX);
    let target = target_folder()?;
    let home = target.join("autobahn");
    fs::create_dir_all(home.join("logs")).map_err(Error::io(home.display().to_string()))?;

    let roles = roles(options, &target, forever)?;
    let suite = Suite::obtain(&home, options.python.as_deref(), forever)?;
    let limit = Duration::from_secs(options.timeout);
    let setup = Setup {
        suite,
        home,
        limit,
        stop: Arc::clone(&stop),
    };
    for role in &roles {
        eprintln!(
            "{}: {} cases on {}",
            role.name(),
            cases.len(),
            role.describe()
        );
    }
    let results = role::run_all(&roles, &setup, cases);

    let mut code = 0;
    for (role, result) in roles.iter().zip(results) {
        match result {
            Ok(verdicts) => {
                print!(
                    "\n{}: {}\n{}",
                    role.name(),
                    role.describe(),
                    Table(&verdicts)
                );
                println!(
                    "pages: {}",
                    role.reports(&setup).join("index.html").display()
                );
                let bad = verdicts.iter().any(|verdict| !verdict.passes());
                code = code.max(if bad { BAD_VERDICT } else { 0 });
            }
            Err(error) => {
                println!("\n{}: no verdict: {error}", role.name());
                code = NO_VERDICT;
            }
        }
    }
    Ok(code.into())
}

/// What is to be tested; what is ours is built if it is needed.
fn roles(options: &Options, target: &Path, bound: Bound<'_>) -> Result<Vec<Role>, Error> {
    let mut roles = Vec::new();
    if options.role != Some(RoleChoice::Client) {
        roles.push(Role::Server(match (&options.server, &options.wirefan) {
            (Some(url), _) => Server::At(url.clone()),
            (None, Some(program)) => Server::Wirefan {
                program: program.clone(),
                tls: options.tls,
            },
            (None, None) => match &options.server_command {
                Some(command) => Server::Command(command.0.clone()),
                None if options.tokio => Server::Tokio(build::tokio_server(target, bound)?),
                None => Server::Wirefan {
                    program: build::wirefan(target, bound)?,
                    tls: options.tls,
                },
            },
        }));
    }
    if options.role != Some(RoleChoice::Server) && !options.server_only() {
        roles.push(Role::Client(if options.tokio {
            Client::Tokio(build::tokio_client(target, bound)?)
        } else {
            Client::Blocking
        }));
    }
    Ok(roles)
}

/// The folder that cargo builds into, which this program came from.
fn target_folder() -> Result<PathBuf, Error> {
    let program = std::env::current_exe().map_err(Error::io("this program's path"))?;
    let marked = program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists());
    Ok(marked.map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target")),
        Path::to_path_buf,
    ))
}

fn url(text: &str) -> Result<String, &'static str> {
    match text.starts_with("ws://") || text.starts_with("wss://") {
        true => Ok(text.into()),
        false => Err("a URL here begins with ws:// or wss://"),
    }
}

fn command(text: &str) -> Result<ServerCommand, String> {
    match text.contains(PORT) {
        true => Ok(ServerCommand(
            text.split_whitespace().map(str::to_owned).collect(),
        )),
        false => Err(format!(
            "the command has to say where the port goes: {PORT}"
        )),
    }
}

fn usage_error(why: &str) -> ! {
    Options::command()
        .error(ErrorKind::ValueValidation, why)
        .exit()
}
