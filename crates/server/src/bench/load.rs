//! [`Load`]: the threads of a run, and the phases that they are led through.

use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::cargo::{Cargo, random_keys};
use super::churn::{self, Churn};
use super::control::{Control, Phase, Reading, Report};
use super::dial::Dialler;
use super::link::Role;
use super::patience::Patience;
use super::plan::Plan;
use super::process::Process;
use super::progress::Progress;
use super::run::BenchError;
use super::sample::Sample;
use super::sources::{PortRange, Sources};
use super::tally::Tally;
use super::worker::{self, Worker};

/// Between the handshakes and the first publication: a server may let a member in after it has answered.
const LET_IN: Duration = Duration::from_millis(100);

/// The threads of a run.
pub(crate) struct Load {
    control: Arc<Control>,
    threads: Vec<JoinHandle<io::Result<Tally>>>,
    reports: Receiver<Report>,
    progress: Progress,
    began: Instant,
    opened_after: Duration,
}

impl Load {
    pub(crate) fn start(plan: &Plan, threads: usize, dialler: Dialler) -> io::Result<Self> {
        let began = Instant::now();
        let (control, polls) = Control::new(threads, plan.publishers)?;
        let (control, dialler) = (Arc::new(control), Arc::new(dialler));
        let mut keys = random_keys()?;
        // Senders beyond the number of a u16 are not possible.
        let cargos = (0..plan.publishers.max(1))
            .map(|sender| Cargo::new(plan.lading(), sender as u16, &mut keys));
        let cargos: Arc<[Arc<Cargo>]> = cargos.map(Arc::new).collect();
        let sources = Sources::held(
            dialler.addr.ip(),
            &plan.common.source,
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
                    sources: Sources::churned(dialler.addr.ip(), &plan.common.source),
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
                let pace = plan.pace(links.iter().map(|(role, _)| *role), number, threads);
                let worker = Worker::new(worker::Task {
                    number,
                    poll,
                    control,
                    dialler,
                    cargos: Arc::clone(&cargos),
                    pace,
                    rooms: plan.rooms.is_some(),
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
            began,
            opened_after: Duration::ZERO,
        })
    }

    /// Through the phases up to the last one; what was there before what counts, and after it.
    pub(crate) fn drive(
        &mut self,
        plan: &Plan,
        server: Option<Process>,
    ) -> Result<(Sample, Sample), BenchError> {
        let patience = plan.common.timeout;
        let opened = self.await_all(Report::Opened, patience, None, "opening")?;
        self.opened_after = self.began.elapsed();
        let reading = self.control.reading();
        let before = Sample::take(&self.control, server);
        if !opened || reading.failed > 0 {
            let after = Sample::take(&self.control, server);
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
        let before = Sample::take(&self.control, server);
        self.enter(Phase::Measure)?;
        let time = (!count).then_some(plan.duration);
        self.await_all(Report::Quiet(Phase::Measure), patience, time, "measuring")?;
        let after = Sample::take(&self.control, server);
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

    /// Waits until all threads have told this, for a time, or as long as any message moves; whether they have.
    fn await_all(
        &mut self,
        wanted: Report,
        patience: Duration,
        time: Option<Duration>,
        doing: &str,
    ) -> Result<bool, BenchError> {
        let begin = Instant::now();
        let mut told = 0;
        let mut patience = Patience::new(patience, begin, self.control.reading());
        while told < self.threads.len() {
            let reading = self.control.reading();
            self.progress.show(doing, reading);
            let left = match time {
                Some(time) => time.saturating_sub(begin.elapsed()),
                None => patience.left(reading, Instant::now()),
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
        }
        Ok(true)
    }

    /// Closes the connections, and asks the threads what they have.
    pub(crate) fn finish(self) -> io::Result<(Opened, Tally)> {
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
pub(crate) struct Opened {
    pub(crate) reading: Reading,
    pub(crate) after: Duration,
}
