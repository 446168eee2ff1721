//! Counts the instructions of the hot paths with callgrind and holds them against the committed baseline. Run by
//! `main.rs`; the paths are in `hot.rs` and `echo.rs`, the comparison is in `baseline.rs`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use crate::baseline::{Baseline, Build, compare, table, write};
use crate::builds::Home;
use crate::echo::{EXCHANGES, Exchange};
use crate::error::Error;
use crate::hot::PATHS;

/// The exit code where there is no valgrind: nothing was counted, and nothing is wrong.
const LEFT_OUT: u8 = 3;
/// The exit code where the baseline is for another compiler or machine: counted, and not compared.
const NOT_JUDGED: u8 = 4;

/// Callgrind counts a copy by `rep movsb` as an instruction for each byte, and glibc takes that from 2 KiB on.
const NO_REP: &str =
    "glibc.cpu.x86_rep_movsb_threshold=0x40000000:glibc.cpu.x86_rep_stosb_threshold=0x40000000";

/// Counts everything; with `renew` the outcome is the new baseline.
pub(crate) fn run(renew: bool) -> Result<ExitCode, Error> {
    if cfg!(debug_assertions) {
        let what = "instructions are counted in a release build: `cargo run --release -p wirefan-benches -- instructions`";
        return Err(Error::Missing(what.to_owned()));
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("valgrind is missing: `apt-get install valgrind`");
        return Ok(ExitCode::from(LEFT_OUT));
    }
    let home = Home::find()?;
    let counter = Counter {
        program: std::env::current_exe().map_err(Error::io("this program"))?,
        dir: home.dir.with_file_name("instructions"),
    };
    fs::create_dir_all(&counter.dir).map_err(Error::io(counter.dir.display().to_string()))?;
    let counted = counter.count_all()?;
    let build = Build::this();
    let file = home.root.join("benches/instructions.toml");
    let shown = file.display().to_string();
    if renew {
        fs::write(&file, write(&build, &counted)).map_err(Error::io(&shown))?;
        println!("{shown} is written, for {build}");
        return Ok(ExitCode::SUCCESS);
    }
    let text = fs::read_to_string(&file).map_err(Error::io(&shown))?;
    let baseline: Baseline =
        toml::from_str(&text).map_err(|error| Error::Missing(format!("{shown}: {error}")))?;
    let lines = compare(&baseline.instructions, &counted);
    print!("{}", table(&lines));
    if baseline.build != build {
        println!(
            "not judged: the baseline is for another compiler or machine\n  it: {}\n  we: {build}",
            baseline.build
        );
        return Ok(ExitCode::from(NOT_JUDGED));
    }
    let failed = lines.iter().filter(|line| line.verdict.fails()).count();
    if failed == 0 {
        println!("no path costs over 5 % more than the baseline has it");
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{failed} of {} do not hold to the baseline; where that is meant, `--write` renews it",
        lines.len()
    );
    Ok(ExitCode::FAILURE)
}

/// Runs this program under callgrind.
struct Counter {
    program: PathBuf,
    /// Where callgrind writes, for `callgrind_annotate`.
    dir: PathBuf,
}

impl Counter {
    fn count_all(&self) -> Result<Vec<(&'static str, u64)>, Error> {
        let mut counted = Vec::new();
        for path in &PATHS {
            let count = self.count(path.runs, path.messages, |runs| self.path(path.name, runs))?;
            counted.push((path.name, count));
        }
        for exchange in &EXCHANGES {
            let (rounds, messages) = (exchange.rounds, exchange.messages);
            let count = self.count(rounds, messages, |rounds| self.exchange(exchange, rounds))?;
            counted.push((exchange.name, count));
        }
        Ok(counted)
    }

    /// Instructions for one message: what twice as many runs cost more. Start and end fall out.
    fn count(
        &self,
        runs: u64,
        messages: usize,
        total: impl Fn(u64) -> Result<u64, Error> + Sync,
    ) -> Result<u64, Error> {
        let (once, twice) = thread::scope(|scope| {
            let once = scope.spawn(|| total(runs));
            let twice = total(2 * runs);
            let once = once
                .join()
                .unwrap_or_else(|_| Err(Error::Missing("a count".to_owned())));
            (once, twice)
        });
        let messages = runs * messages as u64;
        Ok((twice?.saturating_sub(once?) + messages / 2) / messages)
    }

    /// The instructions of a process that runs a path.
    fn path(&self, name: &str, runs: u64) -> Result<u64, Error> {
        let runs = runs.to_string();
        let out = self.dir.join(format!("{name}.{runs}.out"));
        let output = self
            .callgrind(&out, &["hot", name, &runs])
            .output()
            .map_err(Error::io("valgrind"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Error::Missing(format!("{name}: {said}")));
        }
        total(&out)
    }

    /// The instructions of a server in an exchange.
    fn exchange(&self, exchange: &Exchange, rounds: u64) -> Result<u64, Error> {
        let out = self.dir.join(format!("{}.{rounds}.out", exchange.name));
        let mut server = self
            .callgrind(&out, &["echo-server"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(Error::io("valgrind"))?;
        let mut port = String::new();
        let driven = server
            .stdout
            .take()
            .map_or(Ok(0), |stdout| BufReader::new(stdout).read_line(&mut port))
            .and_then(|_| port.trim().parse().map_err(std::io::Error::other))
            .and_then(|port| exchange.drive(port, rounds));
        if driven.is_err() {
            let _ = server.kill();
        }
        // This also ends its standard input, which it waits for.
        let ended = server.wait();
        driven.map_err(Error::io(exchange.name))?;
        match ended {
            Ok(status) if status.success() => total(&out),
            _ => Err(Error::Server(format!("{}: it failed", exchange.name))),
        }
    }

    /// Without the environment: its length moves the stack, and settings of libc change what is called.
    fn callgrind(&self, out: &Path, args: &[&str]) -> Command {
        let mut callgrind = Command::new("valgrind");
        callgrind
            .args(["--tool=callgrind", "--quiet"])
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(&self.program)
            .args(args)
            .env_clear()
            .env("GLIBC_TUNABLES", NO_REP);
        if let Some(path) = std::env::var_os("PATH") {
            callgrind.env("PATH", path);
        }
        callgrind
    }
}

/// The sum that callgrind has written.
fn total(out: &Path) -> Result<u64, Error> {
    let shown = out.display().to_string();
    let text = fs::read_to_string(out).map_err(Error::io(&shown))?;
    sum(&text).ok_or_else(|| Error::Missing(format!("{shown} has no sum")))
}

fn sum(out: &str) -> Option<u64> {
    let mut sums = out.lines().filter_map(|line| line.strip_prefix("totals:"));
    sums.next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_found() {
        let out = "version: 1\nevents: Ir\nsummary: 12\n\nfn=(0) main\n1 12\n\ntotals: 12\n";
        assert_eq!(sum(out), Some(12));
        assert_eq!(sum("events: Ir\n"), None);
    }
}
