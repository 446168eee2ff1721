//! Child processes that are bounded in time, write to a log, and end when their handle does.
//! Everything that the harness starts is a [`Job`].

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Instant;

use crate::error::Error;

/// How often a wait looks again.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// So many lines of a failed command's output are told.
const LAST_LINES: usize = 8;

/// How long something may go on: until a moment, or until a signal asks to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound<'a> {
    stop: &'a AtomicBool,
    start: Instant,
    limit: Duration,
}

impl<'a> Bound<'a> {
    /// From now on for `limit`, unless `stop` becomes true.
    pub(crate) fn new(stop: &'a AtomicBool, limit: Duration) -> Self {
        Self {
            stop,
            start: Instant::now(),
            limit,
        }
    }

    /// A bound of its own for a part, from now on.
    pub(crate) fn part(self, limit: Duration) -> Self {
        Self::new(
            self.stop,
            limit.min(self.limit.saturating_sub(self.start.elapsed())),
        )
    }

    /// Fails when the time is over; `what` has taken it.
    pub(crate) fn check(self, what: &str) -> Result<(), Error> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        if self.start.elapsed() >= self.limit {
            return Err(Error::TooLong {
                what: what.into(),
                limit: self.limit,
            });
        }
        Ok(())
    }

    /// Sleeps a little, then checks.
    pub(crate) fn pause(self, what: &str) -> Result<(), Error> {
        thread::sleep(TICK);
        self.check(what)
    }
}

/// A running child process, killed on drop.
#[derive(Debug)]
pub(crate) struct Job {
    what: String,
    child: Child,
    log: PathBuf,
    /// For a child that is only the handle of something else, as of a container.
    at_end: Option<Command>,
}

impl Job {
    /// Starts `command` without input; what it prints goes to `log`, which is made new.
    pub(crate) fn start(what: &str, mut command: Command, log: &Path) -> Result<Self, Error> {
        let file = File::create(log).map_err(Error::io(log.display().to_string()))?;
        let other = file
            .try_clone()
            .map_err(Error::io(log.display().to_string()))?;
        command.stdin(Stdio::null()).stdout(file).stderr(other);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .spawn()
            .map_err(Error::io(format!("{what}: {program}")))?;
        Ok(Self {
            what: what.into(),
            child,
            log: log.into(),
            at_end: None,
        })
    }

    /// Runs `command` as well when the job is dropped.
    pub(crate) fn at_end(mut self, command: Option<Command>) -> Self {
        self.at_end = command;
        self
    }

    /// Runs `command` to its end; anything but success is an error.
    pub(crate) fn run(
        what: &str,
        command: Command,
        log: &Path,
        bound: Bound<'_>,
    ) -> Result<(), Error> {
        let mut job = Self::start(what, command, log)?;
        loop {
            match job.ended()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(job.failed(status)),
                None => bound.pause(what)?,
            }
        }
    }

    /// Runs `command` to its end and returns what it printed.
    pub(crate) fn output(
        what: &str,
        command: Command,
        log: &Path,
        bound: Bound<'_>,
    ) -> Result<String, Error> {
        Self::run(what, command, log, bound)?;
        fs::read_to_string(log).map_err(Error::io(log.display().to_string()))
    }

    /// Its status, if it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.child.try_wait().map_err(Error::io(self.what.as_str()))
    }

    /// Fails if it has ended, which it should not `now`.
    pub(crate) fn check_alive(&mut self, now: &str) -> Result<(), Error> {
        match self.ended()? {
            Some(status) => {
                self.what = format!("{}, {now}", self.what);
                Err(self.failed(status))
            }
            None => Ok(()),
        }
    }

    /// Where its output goes.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// The error that it has ended with `status`.
    pub(crate) fn failed(&self, status: ExitStatus) -> Error {
        let output = fs::read(&self.log).unwrap_or_default();
        let output = String::from_utf8_lossy(&output);
        let lines: Vec<&str> = output.lines().collect();
        Error::Command {
            what: self.what.clone(),
            how: status.to_string(),
            words: lines[lines.len().saturating_sub(LAST_LINES)..].join("\n"),
            log: self.log.clone(),
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(mut command) = self.at_end.take() {
            let _ = command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_ends_by_time_or_by_signal() {
        let stop = AtomicBool::new(false);
        let bound = Bound::new(&stop, Duration::from_secs(60));
        assert!(bound.check("work").is_ok());
        assert!(matches!(
            bound.part(Duration::ZERO).check("part"),
            Err(Error::TooLong { .. })
        ));
        let over = Bound::new(&stop, Duration::ZERO);
        assert!(over.part(Duration::from_secs(60)).check("part").is_err());
        stop.store(true, Ordering::Relaxed);
        assert!(matches!(bound.check("work"), Err(Error::Interrupted)));
    }

    #[cfg(unix)]
    fn shell(name: &str, script: &str, limit: Duration) -> Result<String, Error> {
        let log = std::env::temp_dir().join(format!("wirefan-job-{}-{name}", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let stop = AtomicBool::new(false);
        let output = Job::output(name, command, &log, Bound::new(&stop, limit));
        fs::remove_file(&log).unwrap();
        output
    }

    #[test]
    #[cfg(unix)]
    fn a_failed_command_tells_its_last_words() {
        let output = shell("good", "echo one; echo two >&2", Duration::from_secs(60)).unwrap();
        assert_eq!(output, "one\ntwo\n");
        let script = "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done; exit 3";
        let error = shell("bad", script, Duration::from_secs(60))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("bad: exit status: 3 (see "), "{error}");
        assert!(
            error.ends_with("\n    line 8\n    line 9") && !error.contains("line 1"),
            "{error}"
        );
    }

    #[test]
    #[cfg(unix)]
    fn a_command_that_takes_too_long_is_killed() {
        // Dropping the job waits for its end, which without the kill would come in an hour.
        let error = shell("slow", "exec sleep 3600", Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error, Error::TooLong { .. }), "{error}");
    }
}
