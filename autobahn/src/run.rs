//! What the two roles share: a run of the suite from its specification to the verdicts, and free
//! ports.

use core::net::Ipv4Addr;
use core::sync::atomic::AtomicBool;
use core::time::Duration;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cases::Case;
use crate::error::Error;
use crate::job::{Bound, Job};
use crate::progress::Progress;
use crate::report::{self, Verdict};
use crate::suite::{self, Mode, Suite};

/// What a line of the suite begins a case with.
const CASE_BEGINS: &str = "Running test case ID ";

/// What every run needs.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) suite: Suite,
    /// `target/autobahn`, absolute.
    pub(crate) home: PathBuf,
    /// Longest time for a role's run.
    pub(crate) limit: Duration,
    /// Becomes true when a signal asks to stop.
    pub(crate) stop: Arc<AtomicBool>,
}

impl Setup {
    /// A bound for a run that starts now.
    pub(crate) fn bound(&self) -> Bound<'_> {
        Bound::new(&self.stop, self.limit)
    }

    /// Where the suite's pages of the run `name` are.
    pub(crate) fn reports(&self, name: &str) -> PathBuf {
        self.home.join("reports").join(name)
    }

    /// Where the output of `name` goes.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.home.join("logs").join(format!("{name}.log"))
    }
}

/// One run of the suite over `cases`.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) setup: &'a Setup,
    /// The name of its files: `servers`, `clients`, and so on.
    pub(crate) name: &'a str,
    /// What is tested, as the report names it.
    pub(crate) agent: &'a str,
    pub(crate) cases: &'a [Case],
    pub(crate) progress: &'a Progress<'a>,
}

impl Run<'_> {
    /// Starts the suite; a report of an earlier run is removed.
    pub(crate) fn start(&self, mode: Mode<'_>) -> Result<Job, Error> {
        let reports = self.reports();
        if reports.exists() {
            fs::remove_dir_all(&reports).map_err(Error::io(reports.display().to_string()))?;
        }
        fs::create_dir_all(&reports).map_err(Error::io(reports.display().to_string()))?;
        let specs = self.setup.home.join("specs");
        fs::create_dir_all(&specs).map_err(Error::io(specs.display().to_string()))?;
        let spec = specs.join(format!("{}.json", self.name.replace('/', "-")));
        fs::write(&spec, suite::spec(mode, self.agent, self.cases, &reports))
            .map_err(Error::io(spec.display().to_string()))?;
        let (command, at_end) = self.setup.suite.command(mode, &spec);
        Ok(Job::start("the suite", command, &self.log("suite"))?.at_end(at_end))
    }

    /// Judges the report that the suite has written.
    pub(crate) fn judge(&self) -> Result<Vec<Verdict>, Error> {
        let index = self.reports().join("index.json");
        let text = fs::read_to_string(&index).map_err(Error::io(index.display().to_string()))?;
        report::judge(&text, self.agent, self.cases, &self.reports())
            .map_err(|why| Error::Report { index, why })
    }

    /// Where the output of one of its processes goes.
    pub(crate) fn log(&self, process: &str) -> PathBuf {
        self.setup
            .log(&format!("{}-{process}", self.name.replace('/', "-")))
    }

    fn reports(&self) -> PathBuf {
        self.setup.reports(self.name)
    }
}

/// The cases that the suite has begun, from what it has printed so far.
pub(crate) fn begun(output: &str) -> Vec<&str> {
    let case = |line| {
        str::split_once(line, CASE_BEGINS)?
            .1
            .split_whitespace()
            .next()
    };
    output.lines().filter_map(case).collect()
}

/// A port of the loopback that was free a moment ago.
pub(crate) fn free_port() -> Result<u16, Error> {
    let free = |listener: io::Result<TcpListener>| Ok(listener?.local_addr()?.port());
    free(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).map_err(Error::io("a free port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suites_output_tells_which_cases_have_begun() {
        let output = "2026-11-21 03:00:00+0000 [-] Ok, will run 2 test cases against 1 servers
2026-11-21 03:00:00+0000 [client] Running test case ID 1.1.1 for agent wirefan
2026-11-21 03:00:00+0000 [client] Running test case ID 1.1.2 for agent wirefan
";
        assert_eq!(begun(output), ["1.1.1", "1.1.2"]);
        assert!(begun("Running test case ID ").is_empty());
    }
}
