//! [`Process`]: CPU time and memory of the server, and our own, as the system tells them.

use core::fmt;
use std::io;

/// A process on this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pid: u32,
}

/// What a process holds, in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Memory {
    /// All that is resident.
    pub(crate) rss: u64,
    /// Of that what it has allocated, and shares with nobody.
    pub(crate) private: u64,
}

/// A process cannot be looked at.
#[derive(Debug)]
pub(crate) struct Unknown {
    pid: u32,
    error: io::Error,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, error } = self;
        write!(
            f,
            "cannot look at process {pid}: {error}; --server-pid has to be a process of yours on this machine"
        )
    }
}

impl core::error::Error for Unknown {}

impl Process {
    pub(crate) fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// Seconds on a CPU of all threads, those included that have ended.
    pub(crate) fn cpu_seconds(self) -> Result<f64, Unknown> {
        cpu_seconds(self.pid).map_err(|error| self.unknown(error))
    }

    pub(crate) fn memory(self) -> Result<Memory, Unknown> {
        let path = format!("/proc/{}/smaps_rollup", self.pid);
        let rollup = std::fs::read_to_string(path).map_err(|error| self.unknown(error))?;
        parse_memory(&rollup).ok_or_else(|| self.unknown(io::ErrorKind::InvalidData.into()))
    }

    fn unknown(self, error: io::Error) -> Unknown {
        Unknown {
            pid: self.pid,
            error,
        }
    }
}

/// Our own CPU time.
pub(crate) fn own_cpu_seconds() -> f64 {
    cpu_seconds(std::process::id()).unwrap_or_default()
}

/// The clock of the process counts nanoseconds on a CPU, as the schedstat files of its threads do, and keeps those of
/// threads that have ended.
#[cfg(target_os = "linux")]
fn cpu_seconds(pid: u32) -> io::Result<f64> {
    use nix::time::{clock_getcpuclockid, clock_gettime};
    use nix::unistd::Pid;

    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    let time = clock_gettime(clock_getcpuclockid(Pid::from_raw(pid))?)?;
    Ok(core::time::Duration::from(time).as_secs_f64())
}

#[cfg(not(target_os = "linux"))]
fn cpu_seconds(_: u32) -> io::Result<f64> {
    Err(io::ErrorKind::Unsupported.into())
}

fn parse_memory(rollup: &str) -> Option<Memory> {
    let kib = |name: &str| {
        let value = rollup.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    let bytes = |kib: u64| kib.checked_mul(1024);
    Some(Memory {
        rss: bytes(kib("Rss:")?)?,
        // Anonymous memory is nobody else's but for what a fork shares; what is swapped out is still held.
        private: bytes(kib("Anonymous:")? + kib("Swap:").unwrap_or(0))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_rollup() {
        let rollup = "5561284ff000-7ffd25714000 ---p 00000000 00:00 0    [rollup]\n\
                      Rss:                1756 kB\nPss_Anon:            116 kB\n\
                      Anonymous:           100 kB\nAnonHugePages:         0 kB\nSwap:                  2 kB\n";
        let memory = Memory {
            rss: 1756 * 1024,
            private: 102 * 1024,
        };
        assert_eq!(parse_memory(rollup), Some(memory));
        assert_eq!(parse_memory("Rss: many kB"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn cpu_time_counts_threads_that_have_ended() {
        let this = Process::new(std::process::id());
        let before = this.cpu_seconds().unwrap();
        std::thread::spawn(|| {
            let begin = std::time::Instant::now();
            while begin.elapsed().as_millis() < 30 {}
        })
        .join()
        .unwrap();
        assert!(this.cpu_seconds().unwrap() > before + 0.001);
        assert!(this.memory().unwrap().rss > 0);
    }

    #[test]
    fn a_process_that_is_none_is_told_in_one_line() {
        let error = Process::new(u32::MAX)
            .cpu_seconds()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("4294967295") && error.contains("--server-pid"),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1);
    }
}
