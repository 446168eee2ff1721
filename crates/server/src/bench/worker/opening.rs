//! How a thread opens its connections, a few at a time, and chooses how each is sent to and read.

use std::sync::Arc;

use mio::Token;
use wirefan_protocol::{Agreed, Connection};

use super::{DIALS, Worker};
use crate::bench::control::{Phase, Report, add};
use crate::bench::dial::Opened;
use crate::bench::exact::Exact;
use crate::bench::failure::Failure;
use crate::bench::incoming::Incoming;
use crate::bench::ledger::Ledger;
use crate::bench::link::{Hears, Link, Role, Stage, window_bits};
use crate::bench::outgoing::{Load, Outgoing};

impl Worker {
    /// Starts to open connections, a few at a time.
    pub(super) fn dial_more(&mut self) {
        while self.phase == Phase::Open
            && self.dialling < DIALS
            && self.links.len() < self.task.links.len()
        {
            let place = self.links.len();
            let (role, source) = self.task.links[place];
            let registry = self.task.poll.registry();
            let room = match role {
                Role::Publisher(room) | Role::Subscriber(Hears::One(room)) => Some(room),
                _ => None,
            };
            let room = room.filter(|_| self.task.rooms);
            let stage = match self.task.dialler.dial(room, source, registry, Token(place)) {
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

    pub(super) fn link(&self, role: Role, stage: Stage) -> Link {
        let sender = if let Role::Publisher(publisher) = role {
            publisher
        } else {
            0
        };
        let cargos = &self.task.cargos;
        let cargo = match role {
            Role::Subscriber(hears) => &hears.of(cargos)[0],
            _ => &cargos[sender],
        };
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
            Role::Subscriber(hears) => hears.of(cargos).len(),
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

    pub(super) fn count_failed(&mut self, failure: &Failure) {
        add(&self.meter().failed, 1);
        self.task.tally.failed(failure);
    }

    pub(super) fn tell_opened(&mut self) {
        if self.phase == Phase::Open
            && self.dialling == 0
            && self.links.len() == self.task.links.len()
        {
            self.task.tally.all_open = self.task.control.now();
            // Nobody listens any more where the load has been given up.
            let _ = self.task.reports.send(Report::Opened);
        }
    }

    pub(super) fn opened(&mut self, place: usize, opened: Opened, buffer: &mut [u8]) {
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
        } else if self.links[place].ledgers.len() > 1 {
            // Of several senders, whose frames are masked as they were.
            let config = Arc::clone(&self.task.dialler.config);
            let connection = Connection::server(config, Agreed::default());
            self.links[place].incoming = Incoming::Frames(Box::new(connection));
        }
        if !opened.rest.is_empty() {
            self.received(place, &mut buffer[opened.rest]);
        }
        // What came along with the answer was read, what came since may not be told of again.
        self.tell_opened();
    }

    /// Chooses how to send and how to read.
    pub(super) fn agreed(&mut self, place: usize, connection: Connection) {
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
}
