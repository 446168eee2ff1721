//! The machine: what the report says of it, and how a process is tied to a core of it.

use std::ffi::OsStr;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;

/// Where servers and loads run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pinning {
    cores: usize,
    taskset: bool,
    real_time: bool,
}

/// Which of the two a process is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    /// The server, which has this many threads.
    Server { workers: usize },
    /// The load generator.
    Load,
}

impl Pinning {
    /// What this machine allows.
    pub(crate) fn find() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let works = |program: &str, args: &[&str]| {
            Command::new(program)
                .args(args)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        Self {
            cores,
            taskset: cores > 1 && works("taskset", &["-c", "0", "true"]),
            // On a single core a server and its load would starve each other and everything else.
            real_time: cores > 1 && works("chrt", &["-r", "1", "true"]),
        }
    }

    /// A command that runs `program` where its side belongs. It is that process itself: the wrappers `exec`.
    pub(crate) fn command(self, program: &OsStr, side: Side) -> Command {
        let mut words: Vec<&OsStr> = Vec::new();
        let cores = self.cores_of(side);
        if self.taskset {
            words.extend(["taskset", "-c", &cores].map(OsStr::new));
        }
        if self.real_time {
            words.extend(["chrt", "-r", "1"].map(OsStr::new));
        }
        words.push(program);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        command
    }

    /// The server has the first cores, the load the last one.
    fn cores_of(self, side: Side) -> String {
        let last = self.cores - 1;
        match side {
            Side::Load => last.to_string(),
            Side::Server { workers: 1 } => "0".to_owned(),
            Side::Server { workers } => format!("0-{}", (workers - 1).min(last)),
        }
    }

    /// One sentence for the report.
    pub(crate) fn describe(self) -> String {
        let cores = if self.taskset {
            format!(
                "the server on core {}, the load generator on core {} (`taskset`)",
                self.cores_of(Side::Server { workers: 1 }),
                self.cores_of(Side::Load)
            )
        } else {
            "**not tied to cores** (no `taskset`, or a single core)".to_owned()
        };
        let time = if self.real_time {
            "both with real-time priority (`chrt -r 1`)"
        } else {
            "**without real-time priority** (`chrt -r 1` is not permitted): neighbours show in the figures"
        };
        format!("{cores}, {time}")
    }
}

/// What the report says of the machine, as pairs of a name and a value.
pub(crate) fn describe() -> Vec<(&'static str, String)> {
    let read = |path: &str| {
        fs::read_to_string(path)
            .ok()
            .map(|text| text.trim().to_owned())
    };
    let field = |path: &str, name: &str| {
        let text = read(path)?;
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let or_unknown = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let virtual_machine = read("/proc/cpuinfo").is_some_and(|text| text.contains("hypervisor"));
    vec![
        (
            "processor",
            format!(
                "{}, {cores} cores{}",
                or_unknown(field("/proc/cpuinfo", "model name")),
                if virtual_machine { ", virtual" } else { "" }
            ),
        ),
        ("memory", or_unknown(field("/proc/meminfo", "MemTotal"))),
        (
            "kernel",
            format!(
                "{} {}",
                std::env::consts::OS,
                or_unknown(read("/proc/sys/kernel/osrelease"))
            ),
        ),
        (
            "frequency governor",
            read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
                .unwrap_or_else(|| "none visible".to_owned()),
        ),
        (
            "TCP congestion control",
            or_unknown(read("/proc/sys/net/ipv4/tcp_congestion_control")),
        ),
        (
            "load average at the start",
            or_unknown(read("/proc/loadavg")),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_and_load_do_not_share_a_core() {
        let pinning = Pinning {
            cores: 4,
            taskset: true,
            real_time: false,
        };
        assert_eq!(pinning.cores_of(Side::Load), "3");
        assert_eq!(pinning.cores_of(Side::Server { workers: 1 }), "0");
        assert_eq!(pinning.cores_of(Side::Server { workers: 2 }), "0-1");
        assert_eq!(pinning.cores_of(Side::Server { workers: 9 }), "0-3");
        let command = pinning.command(OsStr::new("server"), Side::Load);
        assert_eq!(format!("{command:?}"), r#""taskset" "-c" "3" "server""#);
    }
}
