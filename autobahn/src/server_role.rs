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

/// The server that is tested.
#[derive(Debug)]
pub(crate) enum Server {
    /// Ours: this binary is started on a free port, if wanted over TLS with a certificate that it makes.
    Wirefan { program: PathBuf, tls: bool },
    /// The example of wirefan-tokio, on a free port too.
    Tokio(PathBuf),
    /// One that runs already.
    At(String),
}

impl Server {
    /// How the table names it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Wirefan { program, .. } | Self::Tokio(program) => {
                let arguments = self.arguments("127.0.0.1:PORT").join(" ");
                format!("{} {arguments}", program.display())
            }
            Self::At(url) => url.clone(),
        }
    }

    /// How the program is told where to listen.
    fn arguments(&self, address: &str) -> Vec<String> {
        match self {
            Self::Wirefan { tls, .. } => {
                let scheme = if *tls { "wss://" } else { "" };
                let own = tls.then_some("--tls-self-signed");
                let listen = format!("{scheme}{address}");
                ["echo", "--listen", &listen, "--max-message", MAX_MESSAGE]
                    .into_iter()
                    .chain(own)
                    .map(str::to_owned)
                    .collect()
            }
            Self::Tokio(_) => vec![address.to_owned()],
            Self::At(_) => Vec::new(),
        }
    }
}

/// Runs the suite's fuzzing client on `server`.
pub(crate) fn run(server: &Server, run: &Run<'_>) -> Result<Vec<Verdict>, Error> {
    let bound = run.setup.bound();
    let (url, mut wirefan) = match server {
        Server::Wirefan { program, .. } | Server::Tokio(program) => {
            let port = free_port()?;
            let mut command = Command::new(program);
            command.args(server.arguments(&format!("127.0.0.1:{port}")));
            let log = run.log("wirefan");
            if let Some(logs) = log.parent() {
                // It is killed in the end, and leaves its certificate behind.
                command.env("TMPDIR", logs);
            }
            let job = start(command, port, &log, bound)?;
            let scheme = match server {
                Server::Wirefan { tls: true, .. } => "wss",
                _ => "ws",
            };
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
fn start(command: Command, port: u16, log: &Path, bound: Bound<'_>) -> Result<Job, Error> {
    let mut job = Job::start("wirefan", command, log)?;
    let bound = bound.part(START_LIMIT);
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        job.check_alive("at its start")?;
        bound.pause("wirefan's start")?;
    }
    Ok(job)
}
