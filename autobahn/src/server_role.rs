//! The server role: `wirefan echo`, or any other server, by its command or its URL, against the suite's fuzzing client.

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
    /// Any program and its arguments, in which [`PORT`] stands for a free port.
    Command(Vec<String>),
    /// One that runs already.
    At(String),
}

/// Where the arguments of a command want the port.
pub(crate) const PORT: &str = "{port}";

impl Server {
    /// How the table names it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Wirefan { program, .. } | Self::Tokio(program) => {
                let arguments = self.arguments("127.0.0.1:PORT").join(" ");
                format!("{} {arguments}", program.display())
            }
            Self::Command(words) => words.join(" "),
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
            Self::Command(_) | Self::At(_) => Vec::new(),
        }
    }

    /// The command that serves at `port`; none for a server that runs already.
    fn command(&self, port: u16) -> Option<Command> {
        match self {
            Self::Wirefan { program, .. } | Self::Tokio(program) => {
                let mut command = Command::new(program);
                command.args(self.arguments(&format!("127.0.0.1:{port}")));
                Some(command)
            }
            Self::Command(words) => {
                let mut words = words.iter().map(|it| it.replace(PORT, &port.to_string()));
                let mut command = Command::new(words.next()?);
                command.args(words);
                Some(command)
            }
            Self::At(_) => None,
        }
    }
}

/// Runs the suite's fuzzing client on `server`.
pub(crate) fn run(server: &Server, run: &Run<'_>) -> Result<Vec<Verdict>, Error> {
    let bound = run.setup.bound();
    let (url, mut job) = match server {
        Server::At(url) => (url.clone(), None),
        _ => {
            let port = free_port()?;
            let scheme = match server {
                Server::Wirefan { tls: true, .. } => "wss",
                _ => "ws",
            };
            let job = match server.command(port) {
                Some(command) => Some(start(command, port, &run.log("server"), bound)?),
                None => None,
            };
            (format!("{scheme}://127.0.0.1:{port}"), job)
        }
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
        if let Some(job) = &mut job {
            job.check_alive(&format!("in case {case}"))?;
        }
        match status {
            Some(status) if status.success() => return run.judge(),
            Some(status) => return Err(suite.failed(status)),
            None => bound.pause(&format!("the server role (case {case})"))?,
        }
    }
}

/// Starts the server on `port` and waits until it listens.
fn start(mut command: Command, port: u16, log: &Path, bound: Bound<'_>) -> Result<Job, Error> {
    if let Some(logs) = log.parent() {
        // It is killed in the end, and wirefan leaves its certificate behind.
        command.env("TMPDIR", logs);
    }
    let mut job = Job::start("the server", command, log)?;
    let bound = bound.part(START_LIMIT);
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        job.check_alive("at its start")?;
        bound.pause("the server's start")?;
    }
    Ok(job)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_the_port() {
        let words = ["server", "--listen", "127.0.0.1:{port}"].map(str::to_owned);
        let command = Server::Command(words.into()).command(9001).unwrap();
        assert_eq!(command.get_program(), "server");
        let arguments: Vec<_> = command.get_args().collect();
        assert_eq!(arguments, ["--listen", "127.0.0.1:9001"]);
        assert!(Server::At("ws://127.0.0.1:1".into()).command(1).is_none());
    }
}
