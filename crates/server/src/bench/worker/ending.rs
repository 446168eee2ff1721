//! How connections end, and what of their messages is lost then.

use core::sync::atomic::Ordering;

use super::{GOODBYE, Worker};
use crate::bench::failure::Failure;
use crate::bench::ledger::Ledger;
use crate::bench::link::{Role, Stage};

impl Worker {
    pub(super) fn say_goodbye(&mut self, now: u64) {
        self.goodbye = now + GOODBYE.as_nanos() as u64;
        let owed: u64 = self.links.iter().map(|link| link.owed).sum();
        self.task.tally.unsent = owed.min(self.budget);
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

    pub(super) fn is_over(&self) -> bool {
        self.task.control.now() >= self.goodbye
            || self
                .links
                .iter()
                .all(|link| matches!(link.stage, Stage::Gone))
    }

    /// What a connection that ends now has not got.
    pub(super) fn account(&mut self, place: usize) {
        let link = &mut self.links[place];
        self.outstanding -= link.outgoing.outstanding;
        let lost = match link.role {
            Role::Echo => link.outgoing.outstanding,
            Role::Subscriber(hears) => {
                let publishers = hears.of(&self.task.control.publishers);
                let publishers = publishers.iter().zip(&link.ledgers);
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
    pub(super) fn end(&mut self, place: usize, failure: Failure) {
        let stage = core::mem::replace(&mut self.links[place].stage, Stage::Gone);
        if !matches!(stage, Stage::Open(_)) {
            return;
        }
        self.task.tally.ended += 1;
        self.task.tally.failed(&failure);
        self.account(place);
        let link = &self.links[place];
        if let Role::Subscriber(hears) = link.role {
            let deliveries = hears.of_mut(&mut self.deliveries);
            for (delivery, ledger) in deliveries.iter_mut().zip(&link.ledgers) {
                delivery.gone(ledger.next);
            }
            self.moved = true;
        }
    }
}
