//! Compares servers: builds them, loads them in turn, and writes what came out; and counts the instructions of the hot
//! paths. This file: the options, and the order of things. `README.md` tells how to read the results.

mod bars;
mod baseline;
mod builds;
mod certificate;
mod chart;
mod echo;
mod error;
mod growth;
mod head2head;
mod hot;
mod instructions;
mod load;
mod machine;
mod peers;
mod report;
mod results;
mod rows;
mod ruler;
mod run;
mod statistics;
mod storm;
mod verdict;

use core::sync::atomic::AtomicBool;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::builds::Home;
use crate::certificate::Certificate;
use crate::chart::short;
use crate::error::Error;
use crate::peers::{Installed, PEERS, Peer};
use crate::report::{Judged, Report};
use crate::results::Results;
use crate::rows::{ROWS, Row};
use crate::run::Runner;

/// Compares WebSocket servers, one process each, by messages for each CPU second of the server.
#[derive(Debug, Parser)]
#[command(
    name = "wirefan-benches",
    max_term_width = 100,
    after_help = "\
Examples:
  cargo run --release -p wirefan-benches -- compare                    everything, in about 50 minutes
  cargo run --release -p wirefan-benches -- compare --quick            a first look, in some minutes
  cargo run --release -p wirefan-benches -- compare --rows e16d1,bc16 --peers wirefan,limit,bun
  cargo run --release -p wirefan-benches -- compare --rows e16t,bc16t  over TLS
  cargo run --release -p wirefan-benches -- head2head wirefan limit --row e16d32
  cargo run --release -p wirefan-benches -- head2head wirefan /old/wirefan --row e1kd8 --pairs 20
  cargo run --release -p wirefan-benches -- growth
  cargo run --release -p wirefan-benches -- instructions

Everything is built and installed below target/compare. Leave the machine alone meanwhile."
)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// All programs in all rows, in rounds: a table and charts
    Compare(Compare),
    /// Two programs in one row, adjacent and in turn: a verdict
    Head2head(Head2head),
    /// Cost by the number of connections and subscribers
    Growth(Growth),
    /// Instructions of the hot paths against the committed baseline; 5 % more fail
    ///
    /// It ends with 3 where there is no valgrind, and with 4 where the baseline is for another compiler or machine.
    Instructions {
        /// Make what is counted the new baseline
        #[arg(long)]
        write: bool,
    },
    /// Runs a path whose instructions are counted
    #[command(hide = true)]
    Hot { name: String, runs: u64 },
    /// Echoes, or sends to others, until standard input ends, for its instructions to be counted
    #[command(hide = true)]
    EchoServer,
    /// Opens connections at once and prints how long the first messages took
    #[command(hide = true)]
    Storm { port: u16, connections: usize },
}

#[derive(Args, Debug)]
struct Compare {
    /// How often everything is measured
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,

    /// How long a measurement takes, after a warm-up of 300 ms
    #[arg(long, value_name = "SECONDS", default_value_t = 1.2, value_parser = seconds)]
    seconds: f64,

    /// Only these rows
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = row)]
    rows: Vec<&'static Row>,

    /// Only these programs
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = peer)]
    peers: Vec<&'static Peer>,

    /// Two rounds of half a second
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
}

#[derive(Args, Debug)]
struct Head2head {
    /// A program of the comparison, or the path of a wirefan binary
    a: String,
    /// Another one
    b: String,

    /// The row
    #[arg(long, value_name = "NAME", value_parser = row)]
    row: &'static Row,

    /// How many pairs are measured
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..))]
    pairs: u16,

    /// How long a measurement takes, after a warm-up of 300 ms
    #[arg(long, value_name = "SECONDS", default_value_t = 1.2, value_parser = seconds)]
    seconds: f64,
}

#[derive(Args, Debug)]
struct Growth {
    /// How often everything is measured
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,

    /// How long a measurement takes, after a warm-up of 300 ms
    #[arg(long, value_name = "SECONDS", default_value_t = 1.2, value_parser = seconds)]
    seconds: f64,

    /// Only these programs [default: wirefan,limit,bun]
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = peer)]
    peers: Vec<&'static Peer>,
}

fn row(name: &str) -> Result<&'static Row, String> {
    let names = || {
        ROWS.iter()
            .map(|row| row.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    rows::find(name).ok_or_else(|| format!("the rows are {}", names()))
}

fn peer(name: &str) -> Result<&'static Peer, String> {
    let names = || {
        PEERS
            .iter()
            .map(|peer| peer.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    peers::find(name).ok_or_else(|| format!("the programs are {}", names()))
}

fn seconds(text: &str) -> Result<f64, &'static str> {
    match text.parse() {
        Ok(seconds) if (0.1..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("write a number from 0.1 to 60"),
    }
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Task::Compare(options) => compare(&options),
        Task::Head2head(options) => head2head(&options),
        Task::Growth(options) => growth(&options),
        Task::Storm { port, connections } => storm::run(port, connections),
        Task::Instructions { write } => match instructions::run(write) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Task::Hot { name, runs } => match hot::run(&name, runs) {
            true => Ok(()),
            false => Err(Error::Missing(format!("{name} is no hot path"))),
        },
        Task::EchoServer => echo::serve().map_err(Error::io("the echo server")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What every task needs: folders, a load generator, and an end by Ctrl-C that leaves no server behind.
fn prepare(seconds: f64) -> Result<(Home, Runner), Error> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, Arc::clone(&stop)).map_err(Error::io("a signal handler"))?;
    }
    // Servers inherit it: each needs a descriptor for each connection.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let home = Home::find()?;
    let certificate = Certificate::make(&home.dir.join("tls"))?;
    let logs = home.dir.join("logs");
    let runner = Runner::new(home.wirefan()?, seconds, logs, certificate, stop);
    eprintln!("{}", runner.pinning.describe());
    Ok((home, runner))
}

/// Builds them all; those that cannot be had are named.
fn install(home: &Home, peers: &[&'static Peer]) -> (Vec<Installed>, Vec<(String, String)>) {
    let (mut installed, mut left_out) = (Vec::new(), Vec::new());
    for peer in peers {
        match home.install(peer) {
            Ok(program) => installed.push(program),
            Err(error) => {
                eprintln!("left out: {}: {error}", peer.name);
                left_out.push((peer.name.to_owned(), error.to_string()));
            }
        }
    }
    (installed, left_out)
}

fn compare(options: &Compare) -> Result<(), Error> {
    let all = |chosen: &[&'static Row]| {
        if chosen.is_empty() {
            ROWS.iter().collect()
        } else {
            chosen.to_vec()
        }
    };
    let rows: Vec<&'static Row> = all(&options.rows);
    let peers: Vec<&'static Peer> = match options.peers.as_slice() {
        [] => PEERS.iter().collect(),
        chosen => chosen.to_vec(),
    };
    let (rounds, seconds) = if options.quick {
        (2, 0.5)
    } else {
        (options.rounds.into(), options.seconds)
    };
    let (home, mut runner) = prepare(seconds)?;
    let (programs, left_out) = install(&home, &peers);
    let machine = machine::describe();
    // A part of the table, or one that does not count, is not to replace the whole one.
    let complete = options.rows.is_empty() && options.peers.is_empty() && left_out.is_empty();
    let results = measure(&mut runner, &rows, &programs, rounds)?;
    let judged = if rounds >= report::ROUNDS {
        judge(&mut runner, &rows, &programs)?
    } else {
        Vec::new()
    };
    let report = Report {
        rows: &rows,
        programs: &programs,
        left_out: &left_out,
        results: &results,
        judged: &judged,
        machine: &machine,
        pinning: runner.pinning.describe(),
        command: command_line(),
        date: date(),
        rounds,
        span: runner.span(),
    };
    let raw = home.dir.join("raw.json");
    write(&raw, &results.raw().to_string())?;
    let to = if complete && report.counts().is_ok() {
        home.root.join("benches")
    } else {
        home.dir.clone()
    };
    write_report(&to, "RESULTS.md", &report.markdown(), &report.charts())?;
    println!("every sample is in {}", raw.display());
    if let Err(why) = report.counts() {
        println!("this run does not count: {why}");
    }
    Ok(())
}

/// All rows and programs, in rounds; within a round each row's programs stand next to each other.
fn measure(
    runner: &mut Runner,
    rows: &[&'static Row],
    programs: &[Installed],
    rounds: usize,
) -> Result<Results, Error> {
    let mut results = Results::default();
    let begun = Instant::now();
    for round in 0..rounds {
        for row in rows {
            // Memory does not depend on the neighbours, and takes long.
            if row.is_about_memory() && round >= 2 {
                continue;
            }
            for turn in 0..programs.len() {
                // Each is the first one now and then.
                let program = &programs[(turn + round) % programs.len()];
                if !program.peer.takes(row) {
                    continue;
                }
                let outcome = match runner.measure(program, row, 1) {
                    Err(Error::Stopped) => return Err(Error::Stopped),
                    outcome => outcome.map_err(|error| error.to_string()),
                };
                let told = match &outcome {
                    Ok(sample) => short(sample.figure),
                    Err(why) => why.clone(),
                };
                eprintln!(
                    "{:>5.0} s  round {} of {rounds}  {:<9} {:<18} {told}",
                    begun.elapsed().as_secs_f64(),
                    round + 1,
                    row.name,
                    program.label
                );
                results.record(row.name, &program.label, outcome);
            }
        }
    }
    Ok(results)
}

/// wirefan beside `limit`, by which it is judged, and beside `trial`, in the rows with a promise and in pairs: the table's
/// rounds lie minutes apart.
fn judge(
    runner: &mut Runner,
    rows: &[&'static Row],
    programs: &[Installed],
) -> Result<Vec<Judged>, Error> {
    let named = |name: &str| programs.iter().find(|program| program.label == name);
    let Some(ours) = named(report::OURS) else {
        return Ok(Vec::new());
    };
    let mut judged = Vec::new();
    for row in rows {
        if row.promise.is_none() || row.is_about_memory() {
            continue;
        }
        for by in [report::LIMIT, report::TRIAL] {
            let Some(ruler) = named(by).filter(|ruler| ruler.peer.takes(row)) else {
                continue;
            };
            let found = head2head::measure(runner, ours, ruler, row, head2head::PAIRS)?;
            judged.extend(found.map(|ratio| Judged {
                row: row.name,
                by,
                ratio,
            }));
        }
    }
    Ok(judged)
}

fn head2head(options: &Head2head) -> Result<(), Error> {
    let (home, mut runner) = prepare(options.seconds)?;
    let [a, b] = [&options.a, &options.b].map(|name| program(&home, name));
    let (a, b) = (a?, b?);
    for program in [&a, &b] {
        if !program.peer.takes(options.row) {
            let what = format!("{} has no row {}", program.label, options.row.name);
            return Err(Error::Missing(what));
        }
    }
    head2head::run(&mut runner, &a, &b, options.row, options.pairs.into())
}

/// A program by its name, or wirefan by its path.
fn program(home: &Home, name: &str) -> Result<Installed, Error> {
    if let Ok(peer) = peer(name) {
        return home.install(peer);
    }
    let path = Path::new(name);
    let there = path
        .is_file()
        .then(|| Installed::wirefan_at(path))
        .flatten();
    there.ok_or_else(|| {
        Error::Missing(format!(
            "{name} is neither a program of the comparison nor a file"
        ))
    })
}

fn growth(options: &Growth) -> Result<(), Error> {
    let (home, mut runner) = prepare(options.seconds)?;
    let peers: Vec<&'static Peer> = match options.peers.as_slice() {
        [] => ["wirefan", "limit", "bun"]
            .into_iter()
            .filter_map(peers::find)
            .collect(),
        chosen => chosen.to_vec(),
    };
    let (programs, left_out) = install(&home, &peers);
    let (mut text, charts) = growth::run(&mut runner, &programs, options.rounds.into())?;
    text.push_str(&format!(
        "\nMade by `{}` on {}, medians of {} rounds; {}. 2 workers have a core each where there are cores for it.\n",
        command_line(),
        date(),
        options.rounds,
        runner.pinning.describe()
    ));
    for (name, why) in &left_out {
        text.push_str(&format!("\nLeft out: {name} ({why})\n"));
    }
    let whole = options.peers.is_empty() && options.rounds >= 3 && left_out.is_empty();
    let to = if whole {
        home.root.join("benches")
    } else {
        home.dir.clone()
    };
    write_report(&to, "GROWTH.md", &text, &charts)
}

fn write_report(to: &Path, name: &str, text: &str, charts: &[(&str, String)]) -> Result<(), Error> {
    let folder: PathBuf = to.join("charts");
    fs::create_dir_all(&folder).map_err(Error::io(folder.display().to_string()))?;
    for (name, svg) in charts {
        write(&folder.join(format!("{name}.svg")), svg)?;
    }
    write(&to.join(name), text)?;
    println!("the report is {}", to.join(name).display());
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(Error::io(path.display().to_string()))
}

fn command_line() -> String {
    let args: Vec<String> = std::env::args().skip(1).collect();
    format!(
        "cargo run --release -p wirefan-benches -- {}",
        args.join(" ")
    )
}

fn date() -> String {
    let output = Command::new("date")
        .args(["-u", "+%Y-%m-%d %H:%M UTC"])
        .output();
    let date = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    date.unwrap_or_else(|_| "an unknown day".to_owned())
}
