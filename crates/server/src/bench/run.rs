//! [`run`]: one run from the preflight to what is written, and why there may be none.

use core::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use super::dial::Dialler;
use super::load::Load;
use super::options::Bench;
use super::plan::Plan;
use super::preflight::{self, Shortage};
use super::process::{Process, Unknown};
use super::results::Results;
use super::trust::TrustError;

/// Why there are no results. Said in one line, with what to do about it.
#[derive(Debug)]
pub(crate) enum BenchError {
    /// The host cannot be resolved.
    Resolve { url: String, error: io::Error },
    /// There is no TLS to be had.
    Tls { url: String, error: TrustError },
    /// Too many connections for this machine.
    Shortage(Shortage),
    /// The server's process cannot be looked at.
    Process(Unknown),
    /// A thread, a poll or random numbers are not to be had.
    System(io::Error),
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve { url, error } => {
                write!(f, "cannot find the host of {url}: {error}; check the name")
            }
            Self::Tls { url, error } => write!(f, "{url}: {error}"),
            Self::Shortage(shortage) => shortage.fmt(f),
            Self::Process(unknown) => unknown.fmt(f),
            Self::System(error) => write!(f, "the load cannot run: {error}"),
        }
    }
}

impl core::error::Error for BenchError {}

/// Runs the load; whether everything came back as it should.
pub(crate) fn run(bench: Bench) -> Result<bool, BenchError> {
    let plan = Plan::new(bench.mode);
    let json = plan.common.json;
    let results = measure(&plan)?;
    let text = if json {
        let document = serde_json::to_string_pretty(&results);
        format!(
            "{}\n",
            document.map_err(|error| BenchError::System(error.into()))?
        )
    } else {
        results.to_string()
    };
    // Whoever has closed the pipe has read enough.
    let _ = write!(io::stdout(), "{text}");
    if let Some(complaint) = results.complaint() {
        let _ = writeln!(io::stderr(), "wirefan: {complaint}");
    }
    Ok(results.is_clean())
}

fn measure(plan: &Plan) -> Result<Results, BenchError> {
    let common = &plan.common;
    let url = || common.url.to_string();
    let addr = common
        .url
        .resolve(common.timeout, &common.source)
        .map_err(|error| BenchError::Resolve { url: url(), error })?;
    let threads = usize::from(common.threads.get()).min(plan.roles.len());
    preflight::check(plan.roles.len(), threads, addr, &common.source)
        .map_err(BenchError::Shortage)?;
    let tls = common.url.tls.then(|| common.trust.config());
    let tls = tls
        .transpose()
        .map_err(|error| BenchError::Tls { url: url(), error })?;
    let dialler = Dialler {
        target: common.url.clone(),
        addr,
        asked: common.asked.clone(),
        config: Arc::new(plan.config()),
        tls,
    };
    let server = common.server_pid.map(|pid| Process::new(pid.get()));
    let memory = server
        .map(Process::memory)
        .transpose()
        .map_err(BenchError::Process)?;
    let mut load = Load::start(plan, threads, dialler).map_err(BenchError::System)?;
    let (before, after) = load.drive(plan, server)?;
    let (opened, tally) = load.finish().map_err(BenchError::System)?;
    Ok(Results::new(
        plan,
        threads,
        &before,
        &after,
        opened,
        tally,
        server.and(memory),
    ))
}
