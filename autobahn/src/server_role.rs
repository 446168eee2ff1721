//! The server role: `wirefan echo`, or any server at a URL, against the suite's fuzzing client.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::job::{Bound, Job};
use crate::report::Verdict;
use crate::run::{Run, begun, free_port};
use crate::suite::Mode;

/// 9.1.6 and 9.2.6 send 16 MiB in one message.
const MAX_MESSAGE: &str = "16777216";

/// How long a server may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(10);

const BUILD_LIMIT: Duration = Duration::from_secs(1800);

/// The server that is tested.
#[derive(Debug)]
pub(crate) enum Server {
    /// Ours: this binary is started on a free port, if wanted over TLS with a certificate that it makes.
    Wirefan { program: PathBuf, tls: bool },
    /// One that runs already.
    At(String),
}

impl Server {
    /// How the table names it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Wirefan { program, tls } => {
                let arguments = arguments("127.0.0.1:PORT", *tls).join(" ");
                format!("{} {arguments}", program.display())
            }
            Self::At(url) => url.clone(),
        }
    }
}

/// Builds our server in `target` and returns its path.
pub(crate) fn build(target: &Path, bound: Bound<'_>) -> Result<PathBuf, Error> {
    // Under `cargo run` this is the cargo that started us.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--release",
        "--package",
        "wirefan",
        "--manifest-path",
    ]);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    command.arg("--target-dir").arg(target);
    eprintln!("building the server");
    let log = target.join("autobahn/logs/build.log");
    Job::run("cargo build", command, &log, bound.part(BUILD_LIMIT))?;
    Ok(target
        .join("release")
        .join(format!("wirefan{}", std::env::consts::EXE_SUFFIX)))
}

/// Runs the suite's fuzzing client on `server`.
pub(crate) fn run(server: &Server, run: &Run<'_>) -> Result<Vec<Verdict>, Error> {
    let bound = run.setup.bound();
    let (url, mut wirefan) = match server {
        Server::Wirefan { program, tls } => {
            let port = free_port()?;
            let job = start(program, port, *tls, &run.log("wirefan"), bound)?;
            let scheme = if *tls { "wss" } else { "ws" };
            (format!("{scheme}://127.0.0.1:{port}"), Some(job))
        }
        Server::At(url) => (url.clone(), None),
    };
    let mut suite = run.start(Mode::FuzzingClient { url: &url })?;
    loop {
        let status = suite.ended()?;
        let output = fs::read(suite.log()).unwrap_or_default();
        let output = String::from_utf8_lossy(&output);
        let begun = begun(&output);
        let case = match begun.split_last() {
            Some((case, before)) => {
                run.progress.show(before.len(), case);
                case
            }
            None => "none yet",
        };
        // One that does not survive the cases has no verdict, however good its last report.
        if let Some(wirefan) = &mut wirefan {
            wirefan.check_alive(&format!("in case {case}"))?;
        }
        match status {
            Some(status) if status.success() => return run.judge(),
            Some(status) => return Err(suite.failed(status)),
            None => bound.pause(&format!("the server role (case {case})"))?,
        }
    }
}

/// Starts our server on `port` and waits until it listens.
fn start(program: &Path, port: u16, tls: bool, log: &Path, bound: Bound<'_>) -> Result<Job, Error> {
    let mut command = Command::new(program);
    command.args(arguments(&format!("127.0.0.1:{port}"), tls));
    if let Some(logs) = log.parent() {
        // It is killed in the end, and leaves its certificate behind.
        command.env("TMPDIR", logs);
    }
    let mut job = Job::start("wirefan", command, log)?;
    let bound = bound.part(START_LIMIT);
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        job.check_alive("at its start")?;
        bound.pause("wirefan's start")?;
    }
    Ok(job)
}

fn arguments(address: &str, tls: bool) -> Vec<String> {
    let scheme = if tls { "wss://" } else { "" };
    let listen = format!("{scheme}{address}");
    let own = tls.then_some("--tls-self-signed");
    ["echo", "--listen", &listen, "--max-message", MAX_MESSAGE]
        .into_iter()
        .chain(own)
        .map(str::to_owned)
        .collect()
}
