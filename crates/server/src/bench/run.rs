//! [`run`]: one run from the preflight to the results: its threads, and the phases that it leads them through.

use core::fmt;
use core::time::Duration;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use clap::ValueEnum;
use wirefan_protocol::{Config, DeflateConfig};

use super::cargo::{Cargo, Lading, random_keys};
use super::churn::{self, Churn};
use super::control::{Control, Phase, Reading, Report};
use super::dial::Dialler;
use super::link::Role;
use super::options::{Bench, Broadcast, Common, Connect, Echo, Idle, Messages, Mode, Payload};
use super::preflight::{self, Shortage};
use super::process::{self, Memory, Process, Unknown};
use super::progress::Progress;
use super::report::{Latency, Results, ServerUse};
use super::sources::{PortRange, Sources};
use super::tally::Tally;
use super::worker::{self, Pace, Worker};

/// Between the handshakes and the first publication: a server may let a member in after it has answered.
const LET_IN: Duration = Duration::from_millis(100);

/// Why there are no results. Said in one line, with what to do about it.
#[derive(Debug)]
pub(crate) enum BenchError {
    /// The host cannot be resolved.
    Resolve { url: String, error: io::Error },
    /// The URL cannot be asked for.
    Url { url: String, error: io::Error },
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
            Self::Url { url, error } => write!(f, "cannot ask for {url}: {error}"),
            Self::Shortage(shortage) => shortage.fmt(f),
            Self::Process(unknown) => unknown.fmt(f),
            Self::System(error) => write!(f, "the load cannot run: {error}"),
        }
    }
}

impl core::error::Error for BenchError {}

/// What is done with the connections once they are open.
struct Plan {
    mode: &'static str,
    common: Common,
    /// In the order in which they are opened.
    roles: Vec<Role>,
    publishers: usize,
    messages: Option<Messages>,
    warmup: Duration,
    duration: Duration,
}

impl Plan {
    fn new(mode: Mode) -> Self {
        match mode {
            Mode::Echo(Echo {
                common,
                connections,
                messages,
            }) => Self {
                mode: "echo",
                common,
                roles: vec![Role::Echo; connections.get()],
                publishers: 0,
                warmup: messages.span.warmup,
                duration: messages.span.duration,
                messages: Some(messages),
            },
            Mode::Broadcast(Broadcast {
                common,
                publishers,
                subscribers,
                messages,
            }) => {
                let publishers = usize::from(publishers.get());
                let mut roles = vec![Role::Subscriber; subscribers.get()];
                roles.extend((0..publishers).map(Role::Publisher));
                Self {
                    mode: "broadcast",
                    common,
                    roles,
                    publishers,
                    warmup: messages.span.warmup,
                    duration: messages.span.duration,
                    messages: Some(messages),
                }
            }
            Mode::Connect(Connect {
                common,
                connections,
                span,
            }) => Self {
                mode: "connect",
                common,
                roles: vec![Role::Idle; connections.get()],
                publishers: 0,
                messages: None,
                warmup: span.warmup,
                duration: span.duration,
            },
            Mode::Idle(Idle {
                common,
                connections,
                duration,
            }) => Self {
                mode: "idle",
                common,
                roles: vec![Role::Idle; connections.get()],
                publishers: 0,
                messages: None,
                warmup: Duration::ZERO,
                duration,
            },
        }
    }

    fn is_connect(&self) -> bool {
        self.mode == "connect"
    }

    fn lading(&self) -> Lading {
        Lading {
            size: self.messages.as_ref().map_or(0, |messages| messages.size),
            payload: self
                .messages
                .as_ref()
                .map_or(Payload::Ascii, |messages| messages.payload),
            in_flight: self.in_flight().unwrap_or(256),
            named: self.publishers > 1,
        }
    }

    fn in_flight(&self) -> Option<u32> {
        let messages = self.messages.as_ref()?;
        let unbounded = messages.rate.is_some().then_some(None);
        messages
            .in_flight
            .map(|in_flight| Some(in_flight.get()))
            .or(unbounded)
            .unwrap_or(Some(1))
    }
}

/// What the system says at one moment.
struct Sample {
    at: Instant,
    reading: Reading,
    own_cpu: f64,
    server_cpu: f64,
    memory: Memory,
}

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
        .resolve()
        .map_err(|error| BenchError::Resolve { url: url(), error })?;
    let threads = usize::from(common.threads.get()).min(plan.roles.len());
    preflight::check(plan.roles.len(), threads, addr).map_err(BenchError::Shortage)?;
    let dialler = Dialler {
        target: common.url.clone(),
        addr,
        config: Arc::new(config(plan)),
    };
    if !dialler.target.raw {
        dialler
            .handshake(&mut Vec::new())
            .map_err(|error| BenchError::Url { url: url(), error })?;
    }
    let server = common.server_pid.map(|pid| Process::new(pid.get()));
    let memory = server
        .map(Process::memory)
        .transpose()
        .map_err(BenchError::Process)?;
    let mut load = Load::start(plan, threads, dialler).map_err(BenchError::System)?;
    let (before, after) = load.drive(plan, server)?;
    let (reading, tally) = load.finish().map_err(BenchError::System)?;
    Ok(results(
        plan,
        threads,
        &before,
        &after,
        reading,
        tally,
        server.and(memory),
    ))
}

fn config(plan: &Plan) -> Config {
    let mut config = Config::default();
    // Servers that send more than was sent are to be found out, not to be cut off.
    config.max_message = config.max_message.max(2 * plan.lading().size);
    config.max_fragments = u32::MAX;
    config.deflate = plan
        .messages
        .as_ref()
        .filter(|messages| messages.compress)
        .map(|_| {
            // As browsers do.
            let mut deflate = DeflateConfig::default();
            deflate.takeover = true;
            deflate
        });
    config
}

/// The threads of a run.
struct Load {
    control: Arc<Control>,
    threads: Vec<JoinHandle<io::Result<Tally>>>,
    reports: Receiver<Report>,
    progress: Progress,
    began: Instant,
    opened_after: Duration,
}

impl Load {
    fn start(plan: &Plan, threads: usize, dialler: Dialler) -> io::Result<Self> {
        let (control, polls) = Control::new(threads, plan.publishers)?;
        let (control, dialler) = (Arc::new(control), Arc::new(dialler));
        let mut keys = random_keys()?;
        // Senders beyond the number of a u16 are not possible.
        let cargos = (0..plan.publishers.max(1))
            .map(|sender| Cargo::new(plan.lading(), sender as u16, &mut keys));
        let cargos: Arc<[Arc<Cargo>]> = cargos.map(Arc::new).collect();
        let sources = Sources::held(
            dialler.addr.ip(),
            plan.roles.len(),
            PortRange::of_this_machine(),
        );
        let (sender, reports) = mpsc::channel();
        let mut handles = Vec::new();
        for (number, poll) in polls.into_iter().enumerate() {
            let (control, dialler) = (Arc::clone(&control), Arc::clone(&dialler));
            let (reports, tally) = (sender.clone(), Tally::new().map_err(io::Error::other)?);
            let builder = thread::Builder::new().name(format!("bench-{number}"));
            let roles = plan.roles.iter().copied().enumerate();
            let handle = if plan.is_connect() {
                let churn = Churn::new(churn::Task {
                    number,
                    poll,
                    control,
                    sources: Sources::churned(dialler.addr.ip()),
                    dialler,
                    slots: roles.filter(|(place, _)| place % threads == number).count(),
                    reports,
                    tally,
                });
                builder.spawn(|| churn.run())?
            } else {
                let mine = |(place, role): &(usize, Role)| match role {
                    Role::Publisher(publisher) => publisher % threads == number,
                    _ => place % threads == number,
                };
                let links: Vec<_> = roles
                    .filter(mine)
                    .map(|(place, role)| (role, sources.of(place)))
                    .collect();
                let pace = pace(plan, links.iter().map(|(role, _)| *role), number, threads);
                let worker = Worker::new(worker::Task {
                    number,
                    poll,
                    control,
                    dialler,
                    cargos: Arc::clone(&cargos),
                    pace,
                    links,
                    reports,
                    tally,
                });
                builder.spawn(|| worker.run())?
            };
            handles.push(handle);
        }
        Ok(Self {
            control,
            threads: handles,
            reports,
            progress: Progress::new(),
            began: Instant::now(),
            opened_after: Duration::ZERO,
        })
    }

    /// Through the phases up to the last one; what was there before what counts, and after it.
    fn drive(
        &mut self,
        plan: &Plan,
        server: Option<Process>,
    ) -> Result<(Sample, Sample), BenchError> {
        let patience = plan.common.timeout;
        let opened = self.await_all(Report::Opened, patience, None, "opening")?;
        self.opened_after = self.began.elapsed();
        let reading = self.control.reading();
        let before = sample(&self.control, server)?;
        if !opened || reading.failed > 0 {
            let after = sample(&self.control, server)?;
            return Ok((before, after));
        }
        if plan.mode == "broadcast" {
            thread::sleep(LET_IN);
        }
        let count = plan
            .messages
            .as_ref()
            .is_some_and(|messages| messages.count.is_some());
        if !plan.warmup.is_zero() {
            self.enter(Phase::WarmUp)?;
            self.await_all(
                Report::Quiet(Phase::WarmUp),
                patience,
                Some(plan.warmup),
                "warming up",
            )?;
            if count {
                self.enter(Phase::Settle)?;
                self.await_all(Report::Quiet(Phase::Settle), patience, None, "warming up")?;
            }
        }
        let before = sample(&self.control, server)?;
        self.enter(Phase::Measure)?;
        let time = (!count).then_some(plan.duration);
        self.await_all(Report::Quiet(Phase::Measure), patience, time, "measuring")?;
        let after = sample(&self.control, server)?;
        self.enter(Phase::Drain)?;
        self.await_all(
            Report::Quiet(Phase::Drain),
            patience,
            None,
            "waiting for the rest",
        )?;
        Ok((before, after))
    }

    fn enter(&self, phase: Phase) -> Result<(), BenchError> {
        self.control.enter(phase).map_err(BenchError::System)
    }

    /// Waits until all threads have told this, for a time, or as long as anything moves; whether they have.
    fn await_all(
        &mut self,
        wanted: Report,
        patience: Duration,
        time: Option<Duration>,
        doing: &str,
    ) -> Result<bool, BenchError> {
        let begin = Instant::now();
        let mut told = 0;
        let (mut moved, mut last) = (begin, Reading::default());
        while told < self.threads.len() {
            let left = match time {
                Some(time) => time.saturating_sub(begin.elapsed()),
                None => patience.saturating_sub(moved.elapsed()),
            };
            if left.is_zero() {
                return Ok(false);
            }
            match self
                .reports
                .recv_timeout(left.min(Duration::from_millis(50)))
            {
                Ok(report) => told += usize::from(report == wanted),
                Err(RecvTimeoutError::Timeout) => {}
                // A thread has ended before its time: `finish` tells why.
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
            }
            let reading = self.control.reading();
            if reading != last {
                (moved, last) = (Instant::now(), reading);
            }
            self.progress.show(doing, reading);
        }
        Ok(true)
    }

    /// Closes the connections, and asks the threads what they have.
    fn finish(self) -> io::Result<(Opened, Tally)> {
        self.control.enter(Phase::Close)?;
        let mut sum = Tally::new().map_err(io::Error::other)?;
        for thread in self.threads {
            let tally = thread
                .join()
                .map_err(|_| io::Error::other("a thread has panicked"))?;
            sum.merge(tally?);
        }
        let opened = Opened {
            reading: self.control.reading(),
            after: self.opened_after,
        };
        Ok((opened, sum))
    }
}

/// What was opened, and how long that took.
struct Opened {
    reading: Reading,
    after: Duration,
}

fn pace(plan: &Plan, roles: impl Iterator<Item = Role>, number: usize, threads: usize) -> Pace {
    let sends = |role: &Role| matches!(role, Role::Echo | Role::Publisher(_));
    let here = roles.filter(sends).count();
    let all = plan.roles.iter().filter(|role| sends(role)).count();
    let rate = plan.messages.as_ref().and_then(|messages| messages.rate);
    let count = plan
        .messages
        .as_ref()
        .and_then(|messages| messages.count)
        .map(|count| {
            // The first of the threads that send take what is left over.
            let senders = threads.min(all) as u64;
            let share = count.get() / senders + u64::from((number as u64) < count.get() % senders);
            if here == 0 { 0 } else { share }
        });
    Pace {
        in_flight: plan.in_flight().map_or(u64::MAX, u64::from),
        interval: rate.map(|rate| 1e9 * all as f64 / (rate.get() as f64 * here.max(1) as f64)),
        count,
    }
}

fn sample(control: &Control, server: Option<Process>) -> Result<Sample, BenchError> {
    let memory = server
        .map(Process::memory)
        .transpose()
        .map_err(BenchError::Process)?;
    let server_cpu = server
        .map(Process::cpu_seconds)
        .transpose()
        .map_err(BenchError::Process)?;
    Ok(Sample {
        at: Instant::now(),
        reading: control.reading(),
        own_cpu: process::own_cpu_seconds(),
        server_cpu: server_cpu.unwrap_or_default(),
        memory: memory.unwrap_or_default(),
    })
}

fn results(
    plan: &Plan,
    threads: usize,
    before: &Sample,
    after: &Sample,
    opened: Opened,
    tally: Tally,
    at_first: Option<Memory>,
) -> Results {
    let seconds = (after.at - before.at).as_secs_f64();
    let per_second = |number: f64| if seconds > 0.0 { number / seconds } else { 0.0 };
    let messages = after.reading.messages - before.reading.messages;
    let received = after.reading.bytes_in - before.reading.bytes_in;
    let sent = after.reading.bytes_out - before.reading.bytes_out;
    let cpu = after.server_cpu - before.server_cpu;
    let subscribers = (plan.publishers > 0).then(|| plan.roles.len() - plan.publishers);
    let sends = plan.messages.as_ref();
    let server = at_first.map(|at_first| ServerUse {
        server_cpu_seconds: cpu,
        messages_per_server_cpu_second: if cpu > 0.0 {
            messages as f64 / cpu
        } else {
            0.0
        },
        server_rss_bytes_before: at_first.rss,
        server_rss_bytes_after: after.memory.rss,
        server_private_bytes_before: at_first.private,
        server_private_bytes_after: after.memory.private,
        user_bytes_per_connection: (plan.mode == "idle").then(|| {
            (before.memory.private as f64 - at_first.private as f64) / plan.roles.len() as f64
        }),
    });
    let opening = if plan.is_connect() {
        after.at - before.at
    } else {
        opened.after
    };
    let count_opened = if plan.is_connect() {
        after.reading.opened - before.reading.opened
    } else {
        opened.reading.opened
    };
    Results {
        mode: plan.mode,
        url: plan.common.url.to_string(),
        threads,
        connections: plan.roles.len(),
        publishers: (plan.publishers > 0).then_some(plan.publishers),
        subscribers,
        size_bytes: sends.map(|messages| messages.size),
        payload: sends.and_then(|messages| {
            Some(match messages.payload.to_possible_value()?.get_name() {
                "ascii" => "ascii",
                "utf8" => "utf8",
                _ => "binary",
            })
        }),
        in_flight: plan.in_flight(),
        rate: sends
            .and_then(|messages| messages.rate)
            .map(|rate| rate.get()),
        seconds,
        messages,
        messages_per_second: per_second(messages as f64),
        received_bytes: received,
        sent_bytes: sent,
        received_megabytes_per_second: per_second(received as f64 / 1e6),
        sent_megabytes_per_second: per_second(sent as f64 / 1e6),
        latency_us: Latency::of(&tally.latency),
        lost: tally.lost,
        reordered: tally.reordered,
        duplicated: tally.duplicated,
        verify_errors: tally.verify_errors,
        connections_opened: opened.reading.opened,
        connections_failed: opened.reading.failed,
        opened_per_second: count_opened as f64 / opening.as_secs_f64().max(1e-9),
        compressed_connections: sends
            .filter(|messages| messages.compress)
            .map(|_| tally.compressed),
        errors: tally.errors,
        client_cpu_seconds: after.own_cpu - before.own_cpu,
        server,
    }
}
