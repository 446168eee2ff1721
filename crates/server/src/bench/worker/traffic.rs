//! What a thread does when messages come, and when there is room or time for more.

use core::sync::atomic::Ordering;
use std::io::{self, Read, Write};
use std::sync::Arc;

use super::Worker;
use crate::bench::control::{Phase, add};
use crate::bench::failure::Failure;
use crate::bench::incoming::{Expected, Received};
use crate::bench::link::{Hears, Role, Stage};

impl Worker {
    /// Reads what is there: one read, unless it fills the buffer or the stream has ended.
    pub(super) fn read(&mut self, place: usize, ended: bool) {
        let mut buffer = core::mem::take(&mut self.buffer);
        while let Stage::Open(socket) | Stage::Closing(socket) = &mut self.links[place].stage {
            let drains = socket.short_read_drains();
            match socket.read(&mut buffer) {
                Ok(0) => {
                    self.end(place, Failure::End);
                    break;
                }
                Ok(len) => {
                    self.received(place, &mut buffer[..len]);
                    let drained = drains && len < buffer.len();
                    if drained && !ended {
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
    pub(super) fn received(&mut self, place: usize, bytes: &mut [u8]) {
        let control = &*self.task.control;
        let meter = &control.meters[self.task.number];
        let len = bytes.len() as u64;
        let link = &mut self.links[place];
        let before = link.ledgers.first().map_or(0, |ledger| ledger.next);
        let next = link.outgoing.next;
        let is_echo = link.role == Role::Echo;
        let hears = match link.role {
            Role::Subscriber(hears) => hears,
            _ => Hears::All,
        };
        let publishers = hears.of(&control.publishers);
        let sent = |sender: usize| {
            if is_echo {
                next
            } else {
                publishers[sender].published.load(Ordering::Acquire)
            }
        };
        let several = link.ledgers.len() > 1;
        if several {
            self.before.clear();
            self.before
                .extend(link.ledgers.iter().map(|ledger| ledger.next));
        }
        let cargos = match link.role {
            Role::Subscriber(hears) => hears.of(&self.task.cargos),
            _ => &self.task.cargos,
        };
        let expected = Expected {
            cargos,
            ledgers: &mut link.ledgers,
            sent: &sent,
            config: &self.task.dialler.config,
            scratch: &mut self.recv,
            out: &mut link.outgoing.control,
        };
        let (received, result) = link.incoming.take(bytes, expected);
        add(&meter.messages, received.right);
        let aside = if link.ledgers.is_empty() {
            len
        } else {
            received.aside
        };
        // Before the sum that they are a part of, so that nobody takes them for more.
        if aside > 0 {
            add(&meter.bytes_aside, aside);
        }
        add(&meter.bytes_in, len);
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
            Role::Subscriber(_) if several => {
                for (sender, ledger) in link.ledgers.iter().enumerate() {
                    self.moved |= self.deliveries[sender].advance(self.before[sender], ledger.next);
                }
                self.delivered();
            }
            Role::Subscriber(hears) => {
                let delivery = &mut hears.of_mut(&mut self.deliveries)[0];
                self.moved |= delivery.advance(before, link.ledgers[0].next);
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
    pub(super) fn echoed(&mut self, place: usize, received: Received) {
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
    pub(super) fn refill(&mut self, place: usize, now: u64) {
        // At the end what was due and held back still goes out: left out, it would be missing among the slowest.
        let late = self.phase == Phase::Drain && self.task.pace.interval.is_some();
        if !self.is_sending() && !late {
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
    pub(super) fn sent(&mut self, place: usize, messages: u64) {
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

    pub(super) fn flush(&mut self, place: usize) {
        let link = &mut self.links[place];
        let (Stage::Open(socket) | Stage::Closing(socket)) = &mut link.stage else {
            return;
        };
        let pending = link.outgoing.pending();
        let written = match link.outgoing.flush(socket) {
            // Nothing of a message may be left, and something of a record.
            Ok(written) => match socket.flush() {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
                _ => Ok(written),
            },
            Err(error) => Err(error),
        };
        match written {
            Ok(0) => {}
            Ok(written) => {
                let of_messages = pending - link.outgoing.pending();
                let meter = &self.task.control.meters[self.task.number];
                if written > of_messages {
                    add(&meter.bytes_aside, written - of_messages);
                }
                add(&meter.bytes_out, written);
            }
            Err(error) => self.end(place, Failure::Broken(error)),
        }
    }

    /// Messages have reached the last of the subscribers here.
    #[inline]
    pub(super) fn delivered(&mut self) {
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
    pub(super) fn completed(&mut self) {
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

    /// Sends what is due by now, so many messages at most.
    pub(super) fn follow_schedule(&mut self, most: u64) {
        let (Some(interval), senders @ 1..) = (self.task.pace.interval, self.senders.len()) else {
            return;
        };
        let now = self.task.control.now();
        let (begin, mut next) = self.schedule;
        let end = next.saturating_add(most);
        while next < end && begin as f64 + next as f64 * interval <= now as f64 {
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
}
