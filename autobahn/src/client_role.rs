//! The client role: a client of ours (`client.rs`, or the example of wirefan-tokio) against the suite's fuzzing server.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client;
use crate::error::Error;
use crate::job::{Bound, Job};
use crate::report::Verdict;
use crate::run::{Run, free_port};
use crate::suite::Mode;

/// How long the suite may take until it serves.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The client that is tested.
#[derive(Debug)]
pub(crate) enum Client {
    /// The one of `client.rs`.
    Blocking,
    /// The example of wirefan-tokio: this binary is started for each case.
    Tokio(PathBuf),
}

impl Client {
    /// How the table names it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Blocking => "the client of autobahn/src/client.rs".into(),
            Self::Tokio(program) => program.display().to_string(),
        }
    }

    /// Echoes what comes from `target`, until the server ends the connection.
    fn echo(
        &self,
        address: SocketAddr,
        target: &str,
        log: &Path,
        bound: Bound<'_>,
    ) -> Result<(), Error> {
        match self {
            Self::Blocking => client::echo(address, target, bound),
            Self::Tokio(program) => {
                let mut command = Command::new(program);
                command.arg(address.to_string()).arg(target);
                Job::run("the client", command, log, bound)
            }
        }
    }
}

/// Runs our client on the suite's fuzzing server.
pub(crate) fn run(client: &Client, run: &Run<'_>) -> Result<Vec<Verdict>, Error> {
    let bound = run.setup.bound();
    let port = free_port()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut suite = run.start(Mode::FuzzingServer { port })?;

    let count = case_count(&mut suite, address, bound)?;
    if count != run.cases.len().to_string() {
        let asked = run.cases.len();
        return Err(Error::Suite(format!(
            "the suite has {count} cases instead of {asked}"
        )));
    }
    let mut notes = String::new();
    for (before, case) in run.cases.iter().enumerate() {
        run.progress.show(before, &case.to_string());
        let target = format!("/runCase?case={}&agent={}", before + 1, run.agent);
        match client.echo(address, &target, &run.log("case"), bound) {
            Ok(()) => {}
            Err(error @ (Error::Interrupted | Error::TooLong { .. })) => return Err(error),
            // Cases that end with a reset are the suite's to judge.
            Err(error) => notes += &format!("{case}: {error}\n"),
        }
        suite.check_alive(&format!("in case {case}"))?;
    }
    // Without this there is no report.
    client::ask(
        address,
        &format!("/updateReports?agent={}", run.agent),
        bound,
    )?;
    let log = run.log("client");
    fs::write(&log, notes).map_err(Error::io(log.display().to_string()))?;
    run.judge()
}

/// Asks the suite for the number of its cases, as soon as it answers.
fn case_count(suite: &mut Job, address: SocketAddr, bound: Bound<'_>) -> Result<String, Error> {
    let bound = bound.part(START_LIMIT);
    loop {
        match client::ask(address, "/getCaseCount", bound) {
            Ok(count) => return Ok(count),
            Err(Error::Io { .. }) => {}
            Err(error) => return Err(error),
        }
        suite.check_alive("at its start")?;
        bound.pause("the suite's start")?;
    }
}
