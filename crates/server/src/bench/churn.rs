//! [`Churn`]: one thread that opens connections, closes them with 1000, and opens the next.

use core::time::Duration;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use mio::event::Event;
use mio::{Events, Poll, Token};
use wirefan_protocol::{CloseCode, Connection, Event as Told, Input, RecvScratch};

use super::control::{Control, Meter, Phase, Report, WAKE, add};
use super::dial::{Dial, Dialler, Opened};
use super::failure::Failure;
use super::link::close_frame;
use super::socket::Socket;
use super::sources::Sources;
use super::tally::Tally;

/// After so many failures in a row without any success a thread gives up.
const HOPELESS: u64 = 100;

/// What a thread has to do.
pub(crate) struct Task {
    pub(crate) number: usize,
    pub(crate) poll: Poll,
    pub(crate) control: Arc<Control>,
    pub(crate) dialler: Arc<Dialler>,
    pub(crate) sources: Sources,
    /// Handshakes under way at a time.
    pub(crate) slots: usize,
    pub(crate) reports: Sender<Report>,
    pub(crate) tally: Tally,
}

/// One handshake after the other.
enum Slot {
    Dialling(Dial),
    /// Our Close is out: what is still to come is the answer, or the bytes themselves.
    Closing(Socket, Farewell),
    Empty,
}

enum Farewell {
    Close(Box<Connection>),
    Bytes(Vec<u8>),
}

/// A thread at work.
pub(crate) struct Churn {
    task: Task,
    /// Each with the time when it began.
    slots: Vec<(Slot, u64)>,
    buffer: Vec<u8>,
    out: Vec<u8>,
    scratch: RecvScratch,
    dialled: usize,
    failed_in_a_row: u64,
    phase: Phase,
    quiet: Phase,
}

impl Churn {
    pub(crate) fn new(task: Task) -> Self {
        Self {
            slots: (0..task.slots).map(|_| (Slot::Empty, 0)).collect(),
            buffer: vec![0; 64 * 1024],
            out: Vec::new(),
            scratch: RecvScratch::default(),
            // Threads begin at other addresses.
            dialled: task.number * 17,
            failed_in_a_row: 0,
            phase: Phase::Open,
            quiet: Phase::Open,
            task,
        }
    }

    /// Works until the last phase.
    pub(crate) fn run(mut self) -> io::Result<Tally> {
        let mut events = Events::with_capacity(1024);
        let _ = self.task.reports.send(Report::Opened);
        loop {
            match self
                .task
                .poll
                .poll(&mut events, Some(Duration::from_millis(100)))
            {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            for event in &events {
                if event.token() != WAKE {
                    self.ready(event);
                }
            }
            let phase = self.task.control.phase();
            if phase != self.phase {
                self.phase = phase;
                if phase == Phase::Measure {
                    self.task.tally.latency.reset();
                }
            }
            match phase {
                Phase::WarmUp | Phase::Measure if self.failed_in_a_row < HOPELESS => self.dial(),
                Phase::Close => {
                    self.give_up();
                    return Ok(self.task.tally);
                }
                _ => {}
            }
            let idle = self
                .slots
                .iter()
                .all(|(slot, _)| matches!(slot, Slot::Empty));
            if idle && self.quiet != phase && phase != Phase::Open {
                self.quiet = phase;
                let _ = self.task.reports.send(Report::Quiet(phase));
            }
        }
    }

    fn meter(&self) -> &Meter {
        &self.task.control.meters[self.task.number]
    }

    /// Begins a handshake wherever there is room.
    fn dial(&mut self) {
        for place in 0..self.slots.len() {
            while let (Slot::Empty, _) = self.slots[place]
                && self.failed_in_a_row < HOPELESS
            {
                let source = self.task.sources.of(self.dialled);
                self.dialled += 1;
                let now = self.task.control.now();
                let registry = self.task.poll.registry();
                match self.task.dialler.dial(None, source, registry, Token(place)) {
                    Ok(dial) => self.slots[place] = (Slot::Dialling(dial), now),
                    Err(failure) => self.failed(place, &failure),
                }
            }
        }
    }

    /// Whatever is still under way has taken too long.
    fn give_up(&mut self) {
        for place in 0..self.slots.len() {
            match self.slots[place].0 {
                Slot::Dialling(_) => self.failed(place, &Failure::NotOpened),
                Slot::Closing(..) => self.failed(place, &Failure::NotClosed),
                Slot::Empty => {}
            }
        }
    }

    fn failed(&mut self, place: usize, failure: &Failure) {
        self.slots[place].0 = Slot::Empty;
        self.failed_in_a_row += 1;
        add(&self.meter().failed, 1);
        self.task.tally.failed(failure);
    }

    fn ready(&mut self, event: &Event) {
        let place = event.token().0;
        if let Slot::Dialling(dial) = &mut self.slots[place].0 {
            match dial.ready(event, &mut self.buffer) {
                Ok(None) => {}
                Ok(Some(opened)) => self.opened(place, opened),
                Err(failure) => self.failed(place, &failure),
            }
        } else if event.is_readable()
            && let Err(failure) = self.read(place)
        {
            self.failed(place, &failure);
        }
    }

    fn opened(&mut self, place: usize, opened: Opened) {
        add(&self.meter().opened, 1);
        let Slot::Dialling(dial) = core::mem::replace(&mut self.slots[place].0, Slot::Empty) else {
            return;
        };
        let mut socket = dial.socket;
        self.out.clear();
        let farewell = match opened.connection {
            Some(mut connection) => {
                // It is open, and 1000 may be sent.
                let _ = connection.close(CloseCode::NORMAL, "", &mut self.out);
                Farewell::Close(Box::new(connection))
            }
            None => {
                self.out.extend_from_slice(&close_frame());
                Farewell::Bytes(Vec::new())
            }
        };
        // A new socket takes a few bytes.
        match socket.write(&self.out) {
            Ok(written) if written == self.out.len() => {}
            Ok(_) => return self.failed(place, &Failure::NotClosed),
            Err(error) => return self.failed(place, &Failure::Broken(error)),
        }
        self.slots[place].0 = Slot::Closing(socket, farewell);
        // The first frames of a server may have come along with its answer.
        if let Err(failure) = self.take(place, opened.rest.start, opened.rest.end) {
            self.failed(place, &failure);
        }
    }

    fn read(&mut self, place: usize) -> Result<(), Failure> {
        while let Slot::Closing(socket, _) = &mut self.slots[place].0 {
            match socket.read(&mut self.buffer) {
                Ok(0) => return Err(Failure::End),
                Ok(len) => self.take(place, 0, len)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Broken(error)),
            }
        }
        Ok(())
    }

    /// Looks at what was read: whether it is the end.
    fn take(&mut self, place: usize, from: usize, to: usize) -> Result<(), Failure> {
        let (Slot::Closing(_, farewell), begun) = &mut self.slots[place] else {
            return Ok(());
        };
        let bytes = &mut self.buffer[from..to];
        let done = match farewell {
            Farewell::Bytes(seen) => {
                seen.extend_from_slice(bytes);
                if !close_frame().starts_with(seen) {
                    return Err(Failure::Bytes);
                }
                seen.len() == close_frame().len()
            }
            Farewell::Close(connection) => {
                let mut input = Input::new(bytes);
                let mut done = false;
                while let Some(told) =
                    connection.next_event(&mut input, &mut self.scratch, &mut self.out)
                {
                    match told {
                        Told::Close(_) => done = true,
                        Told::Failed(error) => return Err(Failure::Protocol(error)),
                        _ => {}
                    }
                }
                done
            }
        };
        if done {
            let now = self.task.control.now();
            self.task.tally.took(now - *begun, 1);
            self.slots[place].0 = Slot::Empty;
            self.failed_in_a_row = 0;
            add(&self.meter().messages, 1);
        }
        Ok(())
    }
}
