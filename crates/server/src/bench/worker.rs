//! [`Worker`]: one thread of a load: its connections, its poll, and what it does in each phase.

use core::sync::atomic::Ordering;
use core::time::Duration;
use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use mio::event::Event;
use mio::{Events, Poll, Token};
use wirefan_protocol::{Connection, RecvScratch, SendScratch};

use super::cargo::{Cargo, Ring};
use super::control::{Control, Meter, Phase, Report, WAKE, add};
use super::delivery::Delivery;
use super::dial::{Dialler, Opened};
use super::failure::Failure;
use super::incoming::{Exact, Expected, Incoming, Received};
use super::ledger::Ledger;
use super::link::{Link, Role, Stage, window_bits};
use super::outgoing::{Load, Outgoing};
use super::tally::Tally;

/// What is read at a time.
const BUFFER: usize = 512 * 1024;
/// Handshakes under way at a time on a thread: a server's queue of connections is short.
const DIALS: usize = 64;
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
        let subscribers = task
            .links
            .iter()
            .filter(|(role, _)| *role == Role::Subscriber)
            .count();
        // As many as there are descriptors.
        let deliveries = task
            .control
            .publishers
            .iter()
            .map(|_| Delivery::new(subscribers as u32));
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

    fn is_sending(&self) -> bool {
        matches!(self.phase, Phase::WarmUp | Phase::Measure)
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

    /// Starts to open connections, a few at a time.
    fn dial_more(&mut self) {
        while self.phase == Phase::Open
            && self.dialling < DIALS
            && self.links.len() < self.task.links.len()
        {
            let place = self.links.len();
            let (role, source) = self.task.links[place];
            let registry = self.task.poll.registry();
            let stage = match self.task.dialler.dial(source, registry, Token(place)) {
                Ok(dial) => {
                    self.dialling += 1;
                    Stage::Dialling(Box::new(dial))
                }
                Err(failure) => {
                    self.count_failed(&failure);
                    Stage::Gone
                }
            };
            let link = self.link(role, stage);
            self.links.push(link);
            self.tell_opened();
        }
    }

    fn link(&self, role: Role, stage: Stage) -> Link {
        let sender = if let Role::Publisher(publisher) = role {
            publisher
        } else {
            0
        };
        let cargo = &self.task.cargos[sender];
        // Each connection begins elsewhere, so that a message for another one is not taken for its own.
        let first = if role == Role::Echo {
            self.links.len() as u64
        } else {
            0
        };
        let first = first % cargo.variants() as u64;
        let raw = self.task.dialler.target.raw;
        let ledgers = match role {
            Role::Echo => 1,
            Role::Subscriber => self.task.cargos.len(),
            Role::Publisher(_) | Role::Idle => 0,
        };
        let in_flight = self.task.pace.in_flight.min(4096) as usize;
        let load = Load::Masked(Arc::clone(cargo));
        Link {
            role,
            stage,
            outgoing: Outgoing::new(load, cargo.variants(), first, in_flight),
            incoming: if raw && ledgers == 0 {
                Incoming::Nothing
            } else {
                Incoming::Bytes(Exact::new(cargo, first, raw))
            },
            ledgers: (0..ledgers).map(|_| Ledger::new(first)).collect(),
            slot: 0,
            owed: 0,
            scheduled: 0,
        }
    }

    fn count_failed(&mut self, failure: &Failure) {
        add(&self.meter().failed, 1);
        self.task.tally.failed(failure);
    }

    fn tell_opened(&mut self) {
        if self.phase == Phase::Open
            && self.dialling == 0
            && self.links.len() == self.task.links.len()
        {
            self.task.tally.all_open = self.task.control.now();
            // Nobody listens any more where the load has been given up.
            let _ = self.task.reports.send(Report::Opened);
        }
    }

    /// A socket has something to tell.
    fn ready(&mut self, event: &Event) {
        let place = event.token().0;
        match &mut self.links[place].stage {
            Stage::Gone => {}
            Stage::Dialling(dial) => {
                let mut buffer = core::mem::take(&mut self.buffer);
                match dial.ready(event, &mut buffer) {
                    Ok(None) => {}
                    Ok(Some(opened)) => self.opened(place, opened, &mut buffer),
                    Err(failure) => {
                        self.links[place].stage = Stage::Gone;
                        self.dialling -= 1;
                        self.count_failed(&failure);
                        self.tell_opened();
                    }
                }
                self.buffer = buffer;
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

    fn opened(&mut self, place: usize, opened: Opened, buffer: &mut [u8]) {
        self.dialling -= 1;
        add(&self.meter().opened, 1);
        let link = &mut self.links[place];
        if let Stage::Dialling(dial) = core::mem::replace(&mut link.stage, Stage::Gone) {
            link.stage = Stage::Open(dial.socket);
        }
        if matches!(link.role, Role::Echo | Role::Publisher(_)) {
            link.slot = self.senders.len() as u64;
            self.senders.push(place);
        }
        if let Some(connection) = opened.connection {
            self.agreed(place, connection);
        }
        if !opened.rest.is_empty() {
            self.received(place, &mut buffer[opened.rest]);
        }
        // What came along with the answer was read, what came since may not be told of again.
        self.tell_opened();
    }

    /// Chooses how to send and how to read.
    fn agreed(&mut self, place: usize, connection: Connection) {
        let link = &mut self.links[place];
        if let Some(bits) = window_bits(&connection) {
            self.task.tally.compressed += 1;
            let sender = if let Role::Publisher(publisher) = link.role {
                publisher
            } else {
                0
            };
            let cargo = &self.task.cargos[sender];
            let known = self
                .compressed
                .iter()
                .find(|(whose, window, _)| (*whose, *window) == (sender, bits));
            let ring = match known {
                Some((_, _, ring)) => Arc::clone(ring),
                None => {
                    let ring = Arc::new(cargo.compressed(bits, &mut self.send));
                    self.compressed.push((sender, bits, Arc::clone(&ring)));
                    ring
                }
            };
            let (first, room) = (
                link.outgoing.next,
                self.task.pace.in_flight.min(4096) as usize,
            );
            link.outgoing = Outgoing::new(Load::Compressed(ring), cargo.variants(), first, room);
        } else if link.ledgers.len() == 1 {
            return;
        }
        link.incoming = Incoming::Frames(Box::new(connection));
    }

    /// Reads what is there: one read, unless it fills the buffer or the stream has ended.
    fn read(&mut self, place: usize, ended: bool) {
        let mut buffer = core::mem::take(&mut self.buffer);
        loop {
            let (Stage::Open(socket) | Stage::Closing(socket)) = &mut self.links[place].stage
            else {
                break;
            };
            match socket.read(&mut buffer) {
                Ok(0) => {
                    self.end(place, Failure::End);
                    break;
                }
                Ok(len) => {
                    self.received(place, &mut buffer[..len]);
                    if cfg!(target_os = "linux") && len < buffer.len() && !ended {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.end(place, Failure::Broken(error));
                    break;
                }
            }
        }
        self.buffer = buffer;
    }

    /// Checks what was read, and sends what may now be sent.
    fn received(&mut self, place: usize, bytes: &mut [u8]) {
        let control = &*self.task.control;
        let meter = &control.meters[self.task.number];
        add(&meter.bytes_in, bytes.len() as u64);
        let link = &mut self.links[place];
        let before = link.ledgers.first().map_or(0, |ledger| ledger.next);
        let next = link.outgoing.next;
        let is_echo = link.role == Role::Echo;
        let sent = |sender: usize| {
            if is_echo {
                next
            } else {
                control.publishers[sender].published.load(Ordering::Acquire)
            }
        };
        let several = link.ledgers.len() > 1;
        if several {
            self.before.clear();
            self.before
                .extend(link.ledgers.iter().map(|ledger| ledger.next));
        }
        let expected = Expected {
            cargos: &self.task.cargos,
            ledgers: &mut link.ledgers,
            sent: &sent,
            config: &self.task.dialler.config,
            scratch: &mut self.recv,
            out: &mut link.outgoing.control,
        };
        let (received, result) = link.incoming.take(bytes, expected);
        add(&meter.messages, received.right);
        let Received {
            skipped,
            wrong,
            late,
            again,
            ..
        } = received;
        if skipped + wrong + late + again > 0 {
            self.task.tally.verify_errors += wrong;
            self.task.tally.reordered += late;
            self.task.tally.duplicated += again;
        }
        match link.role {
            Role::Echo => self.echoed(place, received),
            Role::Subscriber if several => {
                for (sender, ledger) in link.ledgers.iter().enumerate() {
                    self.moved |= self.deliveries[sender].advance(self.before[sender], ledger.next);
                }
                self.delivered();
            }
            Role::Subscriber => {
                self.moved |= self.deliveries[0].advance(before, link.ledgers[0].next);
                self.delivered();
            }
            Role::Publisher(_) | Role::Idle => {}
        }
        if let Err(failure) = result {
            self.end(place, failure);
        } else if !self.links[place].outgoing.control.is_empty() {
            self.flush(place);
        }
    }

    /// Messages of an echo have come back, or are taken for lost.
    #[inline]
    fn echoed(&mut self, place: usize, received: Received) {
        let now = self.task.control.now();
        let outgoing = &mut self.links[place].outgoing;
        let before = outgoing.outstanding;
        let gone = received.skipped + received.wrong;
        if gone > 0 {
            outgoing.done(gone, now, None);
        }
        outgoing.done(
            received.right - received.late,
            now,
            Some(&mut self.task.tally),
        );
        self.outstanding -= before - outgoing.outstanding;
        self.refill(place, now);
    }

    /// Sends as much as may be under way.
    #[inline]
    fn refill(&mut self, place: usize, now: u64) {
        if !self.is_sending() {
            return;
        }
        let link = &mut self.links[place];
        if !matches!(link.stage, Stage::Open(_)) {
            return;
        }
        let room = self
            .task
            .pace
            .in_flight
            .saturating_sub(link.outgoing.outstanding)
            .min(self.budget);
        if let Some(interval) = self.task.pace.interval {
            let messages = room.min(link.owed);
            let senders = self.senders.len() as u64;
            for _ in 0..messages {
                let number = link.scheduled * senders + link.slot;
                let due = self.schedule.0 as f64 + number as f64 * interval;
                link.outgoing.push(1, due as u64);
                link.scheduled += 1;
            }
            link.owed -= messages;
            self.sent(place, messages);
        } else if room > 0 {
            link.outgoing.push(room, now);
            self.sent(place, room);
        }
    }

    #[inline]
    fn sent(&mut self, place: usize, messages: u64) {
        if messages == 0 {
            return;
        }
        self.outstanding += messages;
        self.budget =
            self.budget
                .saturating_sub(if self.budget == u64::MAX { 0 } else { messages });
        let link = &self.links[place];
        if let Role::Publisher(publisher) = link.role {
            self.task.control.publishers[publisher]
                .published
                .store(link.outgoing.next, Ordering::Release);
        }
        self.flush(place);
    }

    fn flush(&mut self, place: usize) {
        let link = &mut self.links[place];
        let (Stage::Open(socket) | Stage::Closing(socket)) = &mut link.stage else {
            return;
        };
        match link.outgoing.flush(socket) {
            Ok(0) => {}
            Ok(written) => add(&self.meter().bytes_out, written),
            Err(error) => self.end(place, Failure::Broken(error)),
        }
    }

    /// Messages have reached the last of the subscribers here.
    #[inline]
    fn delivered(&mut self) {
        if !core::mem::take(&mut self.moved) {
            return;
        }
        let control = Arc::clone(&self.task.control);
        for (publisher, delivery) in control.publishers.iter().zip(&self.deliveries) {
            let delivered = &publisher.delivered[self.task.number];
            if delivered.load(Ordering::Relaxed) != delivery.done {
                delivered.store(delivery.done, Ordering::Release);
                if publisher.thread != self.task.number {
                    // A thread that cannot be woken has ended.
                    let _ = control.wake(publisher.thread);
                }
            }
        }
        self.completed();
    }

    /// Publications of this thread that every subscriber has make room for new ones.
    fn completed(&mut self) {
        if self.deliveries.is_empty() {
            return;
        }
        let mut now = None;
        for sender in 0..self.senders.len() {
            let place = self.senders[sender];
            let link = &mut self.links[place];
            let Role::Publisher(publisher) = link.role else {
                continue;
            };
            let oldest = link.outgoing.next - link.outgoing.outstanding;
            let done = self.task.control.publishers[publisher]
                .done()
                .saturating_sub(oldest);
            if done > 0 {
                let now = *now.get_or_insert_with(|| self.task.control.now());
                link.outgoing.done(done, now, Some(&mut self.task.tally));
                self.outstanding -= done;
                self.refill(place, now);
            }
        }
    }

    /// What is to be done after the sockets.
    fn turn(&mut self) {
        self.delivered();
        self.completed();
        if self.is_sending() && self.task.pace.interval.is_some() {
            self.follow_schedule();
        }
        let waits = match self.phase {
            Phase::Settle | Phase::Drain => self.outstanding > 0,
            Phase::Measure => self.outstanding > 0 || self.budget > 0,
            Phase::Open | Phase::WarmUp | Phase::Close => true,
        };
        // Without anybody to send there is nothing to wait for either.
        let alone =
            self.phase == Phase::Measure && !self.senders.iter().any(|&place| self.is_open(place));
        if (!waits || alone) && self.quiet != self.phase {
            self.quiet = self.phase;
            let _ = self.task.reports.send(Report::Quiet(self.phase));
        }
    }

    fn is_open(&self, place: usize) -> bool {
        matches!(self.links[place].stage, Stage::Open(_))
    }

    /// Sends what is due by now.
    fn follow_schedule(&mut self) {
        let (Some(interval), senders @ 1..) = (self.task.pace.interval, self.senders.len()) else {
            return;
        };
        let now = self.task.control.now();
        let (begin, mut next) = self.schedule;
        while begin as f64 + next as f64 * interval <= now as f64 {
            let place = self.senders[(next % senders as u64) as usize];
            let link = &mut self.links[place];
            if link.owed == 0 {
                self.due.push(place);
            }
            link.owed += 1;
            next += 1;
        }
        self.schedule.1 = next;
        while let Some(place) = self.due.pop() {
            self.refill(place, now);
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
            Phase::Close => self.say_goodbye(now),
            Phase::Open | Phase::Settle | Phase::Drain => {}
        }
        for sender in 0..self.senders.len() {
            self.refill(self.senders[sender], now);
        }
    }

    fn say_goodbye(&mut self, now: u64) {
        self.goodbye = now + GOODBYE.as_nanos() as u64;
        for place in 0..self.links.len() {
            match core::mem::replace(&mut self.links[place].stage, Stage::Gone) {
                Stage::Open(socket) => {
                    self.account(place);
                    if !self.task.dialler.target.raw {
                        self.links[place].stage = Stage::Closing(socket);
                        self.links[place].close();
                        self.flush(place);
                    }
                }
                Stage::Dialling(_) => self.count_failed(&Failure::NotOpened),
                Stage::Closing(_) | Stage::Gone => {}
            }
        }
        let never = self.task.links.len() - self.links.len();
        for _ in 0..never {
            self.count_failed(&Failure::NotOpened);
        }
    }

    fn is_over(&self) -> bool {
        self.task.control.now() >= self.goodbye
            || self
                .links
                .iter()
                .all(|link| matches!(link.stage, Stage::Gone))
    }

    /// What a connection that ends now has not got.
    fn account(&mut self, place: usize) {
        let link = &mut self.links[place];
        self.outstanding -= link.outgoing.outstanding;
        let lost = match link.role {
            Role::Echo => link.outgoing.outstanding,
            Role::Subscriber => {
                let publishers = self.task.control.publishers.iter().zip(&link.ledgers);
                let left = publishers.map(|(publisher, ledger)| {
                    publisher
                        .published
                        .load(Ordering::Acquire)
                        .saturating_sub(ledger.next)
                });
                left.sum()
            }
            Role::Publisher(_) | Role::Idle => 0,
        };
        let missing: u64 = link.ledgers.iter().map(Ledger::lost).sum();
        self.task.tally.lost += lost + missing;
        link.outgoing.outstanding = 0;
    }

    /// A connection is no more.
    #[cold]
    fn end(&mut self, place: usize, failure: Failure) {
        let stage = core::mem::replace(&mut self.links[place].stage, Stage::Gone);
        if !matches!(stage, Stage::Open(_)) {
            return;
        }
        self.task.tally.failed(&failure);
        self.account(place);
        let link = &self.links[place];
        if link.role == Role::Subscriber {
            for (delivery, ledger) in self.deliveries.iter_mut().zip(&link.ledgers) {
                delivery.gone(ledger.next);
            }
            self.moved = true;
        }
    }
}
