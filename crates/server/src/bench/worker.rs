//! [`Worker`]: one thread of a load: its connections, its poll, and what it does in each phase.

mod ending;
mod opening;
mod traffic;

use core::time::Duration;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use mio::event::Event;
use mio::{Events, Poll};
use wirefan_protocol::{RecvScratch, SendScratch};

use super::cargo::{Cargo, Ring};
use super::control::{Control, Meter, Phase, Report, WAKE};
use super::delivery::Delivery;
use super::dial::Dialler;
use super::link::{Link, Role, Stage};
use super::tally::Tally;

/// What is read at a time.
const BUFFER: usize = 512 * 1024;
/// Handshakes under way at a time on a thread: a server's queue of connections is short.
const DIALS: usize = 64;
/// Messages that become due at a time: behind them a thread looks at its sockets, and at the phase.
const DUE: u64 = 65_536;
/// How long servers have to answer the last Close.
const GOODBYE: Duration = Duration::from_secs(2);

/// When messages are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Messages under way at a time on a connection.
    pub(crate) in_flight: u64,
    /// Open loop: nanoseconds from one message of this thread to the next.
    pub(crate) interval: Option<f64>,
    /// Messages of this thread that count; `None`: as many as there is time for.
    pub(crate) count: Option<u64>,
}

/// What a thread has to do.
pub(crate) struct Task {
    pub(crate) number: usize,
    pub(crate) poll: Poll,
    pub(crate) control: Arc<Control>,
    pub(crate) dialler: Arc<Dialler>,
    pub(crate) cargos: Arc<[Arc<Cargo>]>,
    pub(crate) pace: Pace,
    /// Each publisher has one of its own.
    pub(crate) rooms: bool,
    /// Its connections in the order in which they are opened, and where each comes from.
    pub(crate) links: Vec<(Role, Option<IpAddr>)>,
    pub(crate) reports: Sender<Report>,
    pub(crate) tally: Tally,
}

/// A thread at work.
pub(crate) struct Worker {
    task: Task,
    links: Vec<Link>,
    /// The links that send.
    senders: Vec<usize>,
    /// For each publisher.
    deliveries: Vec<Delivery>,
    buffer: Vec<u8>,
    recv: RecvScratch,
    send: SendScratch,
    /// Compressed forms of the cargos, by window size.
    compressed: Vec<(usize, u8, Arc<Ring>)>,
    phase: Phase,
    /// The last phase of which it has told that it has nothing to wait for.
    quiet: Phase,
    /// Messages that may still be sent.
    budget: u64,
    dialling: usize,
    outstanding: u64,
    /// Open loop: when the schedule began, and how many messages have been due.
    schedule: (u64, u64),
    /// The slowest subscriber has moved on since that was told.
    moved: bool,
    /// What a subscriber of several publishers waited for.
    before: Vec<u64>,
    /// Open loop: links that are owed messages.
    due: Vec<usize>,
    goodbye: u64,
}

impl Worker {
    pub(crate) fn new(task: Task) -> Self {
        // For each publisher; as many as there are descriptors.
        let mut subscribers = vec![0_u32; task.control.publishers.len()];
        for (role, _) in &task.links {
            if let Role::Subscriber(hears) = role {
                hears
                    .of_mut(&mut subscribers)
                    .iter_mut()
                    .for_each(|it| *it += 1);
            }
        }
        let deliveries = subscribers.into_iter().map(Delivery::new);
        Self {
            links: Vec::with_capacity(task.links.len()),
            senders: Vec::new(),
            deliveries: deliveries.collect(),
            buffer: vec![0; BUFFER],
            recv: RecvScratch::default(),
            send: SendScratch::default(),
            compressed: Vec::new(),
            phase: Phase::Open,
            quiet: Phase::Open,
            budget: 0,
            dialling: 0,
            outstanding: 0,
            schedule: (0, 0),
            moved: true,
            before: Vec::new(),
            due: Vec::new(),
            goodbye: u64::MAX,
            task,
        }
    }

    /// Works until the last phase is over.
    pub(crate) fn run(mut self) -> io::Result<Tally> {
        let mut events = Events::with_capacity(1024);
        self.dial_more();
        loop {
            let timeout = self.timeout();
            match self.task.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            if self.task.control.phase() != self.phase {
                self.enter(self.task.control.phase());
            }
            for event in &events {
                if event.token() != WAKE {
                    self.ready(event);
                }
            }
            self.dial_more();
            self.turn();
            if self.phase == Phase::Close && self.is_over() {
                return Ok(self.task.tally);
            }
        }
    }

    fn meter(&self) -> &Meter {
        &self.task.control.meters[self.task.number]
    }

    /// Whether new messages become due, or are sent as there is room.
    fn is_sending(&self) -> bool {
        matches!(self.phase, Phase::WarmUp | Phase::Measure)
    }

    /// Open loop: whether messages are still held back whose time has come.
    fn owes(&self) -> bool {
        self.task.pace.interval.is_some()
            && self.budget > 0
            && self.senders.iter().any(|&place| {
                let link = &self.links[place];
                link.owed > 0 && matches!(link.stage, Stage::Open(_))
            })
    }

    fn timeout(&self) -> Option<Duration> {
        if self.phase == Phase::Close {
            return Some(Duration::from_millis(50));
        }
        if let (true, Some(interval)) = (
            self.is_sending() && self.budget > 0,
            self.task.pace.interval,
        ) {
            let due = self.schedule.0 as f64 + self.schedule.1 as f64 * interval;
            let wait = Duration::from_nanos((due as u64).saturating_sub(self.task.control.now()));
            // A poll sleeps for whole milliseconds, and often a little longer: the last two are spent awake.
            return Some(wait.saturating_sub(Duration::from_millis(2)));
        }
        None
    }

    /// A socket has something to tell.
    fn ready(&mut self, event: &Event) {
        let place = event.token().0;
        match &mut self.links[place].stage {
            Stage::Gone => {}
            Stage::Dialling(dial) => {
                let mut buffer = core::mem::take(&mut self.buffer);
                let mut now_open = false;
                match dial.ready(event, &mut buffer) {
                    Ok(None) => {}
                    Ok(Some(opened)) => {
                        self.opened(place, opened, &mut buffer);
                        now_open = true;
                    }
                    Err(failure) => {
                        self.links[place].stage = Stage::Gone;
                        self.dialling -= 1;
                        self.count_failed(&failure);
                        self.tell_opened();
                    }
                }
                self.buffer = buffer;
                // Of what TLS has read ahead the poll knows nothing.
                if now_open
                    && let Stage::Open(socket) = &self.links[place].stage
                    && !socket.short_read_drains()
                {
                    self.read(place, false);
                }
            }
            Stage::Open(_) | Stage::Closing(_) => {
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.read(place, event.is_read_closed());
                }
                if event.is_writable() {
                    self.flush(place);
                }
            }
        }
    }

    /// What is to be done after the sockets.
    fn turn(&mut self) {
        self.delivered();
        self.completed();
        if self.is_sending() && self.task.pace.interval.is_some() {
            self.follow_schedule(DUE);
        }
        let waits = match self.phase {
            Phase::Settle => self.outstanding > 0,
            Phase::Drain => self.outstanding > 0 || self.owes(),
            Phase::Measure => self.outstanding > 0 || self.budget > 0,
            Phase::Open | Phase::WarmUp | Phase::Close => true,
        };
        // Without anybody to send there is nothing to wait for either.
        let alone = self.phase == Phase::Measure
            && !self
                .links
                .iter()
                .any(|link| matches!(link.stage, Stage::Open(_)));
        if (!waits || alone) && self.quiet != self.phase {
            self.quiet = self.phase;
            let _ = self.task.reports.send(Report::Quiet(self.phase));
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        let now = self.task.control.now();
        match phase {
            Phase::WarmUp => {
                self.budget = u64::MAX;
                self.schedule = (now, 0);
            }
            Phase::Measure => {
                self.task.tally.latency.reset();
                self.budget = self.task.pace.count.unwrap_or(u64::MAX);
                if self.task.pace.count.is_some() || self.schedule.0 == 0 {
                    self.schedule = (now, 0);
                    for link in &mut self.links {
                        (link.owed, link.scheduled) = (0, 0);
                    }
                }
            }
            // Up to its end: a thread that was late there would leave out what it was late with.
            Phase::Drain => self.follow_schedule(u64::MAX),
            Phase::Close => self.say_goodbye(now),
            Phase::Open | Phase::Settle => {}
        }
        for sender in 0..self.senders.len() {
            self.refill(self.senders[sender], now);
        }
    }
}
