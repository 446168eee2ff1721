//! From the handler to a socket: what a call led to is written once, what the socket refuses becomes the connection's
//! own, and when all is said and written the transport ends.

use std::io::{self, IoSlice};
use std::ops::Range;

use bytes::Bytes;
use wirefan_protocol::Millis;

use crate::CloseCause;
use crate::outbox::begun_rest;
use crate::slot::{Farewell, Holds, Inbound, Stage};
use crate::state::{Core, NOBODY, OUT_HIGH};
use crate::wheel::Deadline;

/// An output buffer that has grown beyond this is given back.
const OUT_KEPT: usize = 512 * 1024;

impl<P> Core<P> {
    /// Appends a frame to what a connection is sent.
    pub(crate) fn emit(&mut self, index: u32, frame: Vec<u8>) {
        if self.current == Some(index) {
            self.out.extend_from_slice(&frame);
        } else {
            self.queue(index, frame.into());
        }
    }

    /// Puts whole frames into a connection's outbox, to be written at the end of the turn, or at once if they are many.
    pub(crate) fn queue(&mut self, index: u32, frames: Bytes) {
        self.at_ease = NOBODY;
        self.write_deferred();
        if let Some(slot) = self.slots.get_mut(index) {
            let spares = &mut self.spares;
            let outbox = slot.outbox.get_or_insert_with(|| spares.take());
            outbox.push(frames);
            let much = outbox.unoffered() >= Some(OUT_HIGH);
            mark(&mut slot.flags.dirty, &mut self.dirty, index);
            if much {
                self.write_backlog(index);
            }
        }
    }

    /// What the current connection is sent, as far as it has been collected.
    pub(crate) fn own(&self) -> &[u8] {
        &self.out[self.own..]
    }

    /// Writes that; what the socket refuses becomes the connection's own.
    pub(crate) fn flush_current(&mut self) {
        if let Some(index) = self.current
            && !self.own().is_empty()
        {
            self.write_through(index, &[], &[]);
        }
    }

    /// Writes that and one more frame behind it, which lies elsewhere.
    pub(crate) fn write_through(&mut self, index: u32, header: &[u8], payload: &[u8]) {
        self.write_deferred();
        self.at_ease = NOBODY;
        let head = core::mem::take(&mut self.out_head);
        self.write_out(index, self.own..self.out.len(), head, header, payload);
        self.out.truncate(self.own);
        self.spare_out();
    }

    /// Gives `out` back if it has grown large and nothing is in it.
    pub(crate) fn spare_out(&mut self) {
        if self.out.capacity() > OUT_KEPT && self.out.is_empty() {
            self.out = Vec::new();
        }
    }

    /// Writes a part of `out`, the first `head` bytes of which are no frames, and one more frame behind it.
    pub(crate) fn write_out(
        &mut self,
        index: u32,
        part: Range<usize>,
        head: usize,
        header: &[u8],
        payload: &[u8],
    ) {
        let out = &self.out[part];
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        if slot.outbox.is_some() {
            let frames = [out, header, payload].concat();
            self.queue(index, frames.into());
        } else {
            let len = out.len() + header.len() + payload.len();
            let last = slot.ends();
            let mut written = 0;
            let result = loop {
                let result = if payload.is_empty() {
                    // One slice is cheaper to send than a list of them.
                    let rest = out.get(written..).unwrap_or_default();
                    if last {
                        slot.socket.write_last(rest)
                    } else {
                        slot.socket.write(rest)
                    }
                } else {
                    slot.socket
                        .write_vectored(&remaining([out, header, payload], written))
                };
                match result {
                    Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                    Ok(more) if written + more == len => break Ok(()),
                    Ok(more) => written += more,
                    Err(error) => break Err(error),
                }
            };
            self.tally.written += match result {
                Ok(()) => len as u64,
                Err(_) => written as u64,
            };
            match result {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let slices = remaining([out, header, payload], written);
                    let begun = if written < out.len() {
                        begun_rest(out, head, written).min(slices[0].len())
                    } else if written > out.len() {
                        slices[1].len() + slices[2].len()
                    } else {
                        0
                    };
                    let mut outbox = self.spares.take();
                    outbox.push_refused(&slices, begun);
                    slot.outbox = Some(outbox);
                    self.weigh(index);
                }
                Err(error) => self.end(index, CloseCause::Reset(error.kind())),
            }
        }
    }

    /// Stops reading from a connection with too high a backlog; returns whether it has.
    pub(crate) fn weigh(&mut self, index: u32) -> bool {
        let high = self.settings.backpressure.high;
        let Some(slot) = self.slots.get_mut(index) else {
            return false;
        };
        let full = slot.backlog() >= high;
        if full {
            slot.flags.holds.add(Holds::CHOKED);
            slot.flags.owed_drained = true;
        }
        full
    }

    /// Writes a connection's backlog, unless it is about to be discarded.
    pub(crate) fn write_backlog(&mut self, index: u32) {
        self.write_deferred();
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        slot.flags.dirty = false;
        if !slot.waits_to_write() {
            if slot.flags.owed_drained {
                // All that waited has become too old, and now there is room.
                self.drained.push(index);
            }
            return;
        }
        let of_topics = slot
            .outbox
            .as_ref()
            .is_some_and(|outbox| outbox.is_of_topics());
        if of_topics {
            self.expire_backlog(index);
            if self.doomed(index).is_some() {
                return;
            }
        }
        let held = self.spares.held();
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let written = slot.socket.flush().and_then(|flushed| {
            let outbox = slot.outbox.as_mut();
            let reads = outbox.map_or(Ok(false), |outbox| outbox.write(&mut slot.socket))?;
            Ok(flushed || reads)
        });
        self.tally.written += (held - self.spares.held()) as u64;
        let reads = matches!(written, Ok(true));
        match written {
            // Nothing else would show that a peer lives from which we do not read, or whose pong has to wait until it has
            // read what lies before our ping.
            Ok(true) => {
                slot.liveness.heard(self.now);
                if self.leaving {
                    slot.liveness.still_closing(self.now);
                }
            }
            Ok(false) => {}
            Err(error) => return self.end(index, CloseCause::Reset(error.kind())),
        }
        if of_topics {
            self.hold_backlog(index);
        }
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        if let Some(outbox) = slot.outbox.take_if(|outbox| outbox.is_empty()) {
            self.spares.put_back(outbox);
        }
        if slot.backlog() <= self.settings.backpressure.low {
            slot.flags.holds.remove(Holds::CHOKED);
            // What policies drop is not much at any time: it is over when the peer has read everything.
            if slot.flags.owed_drained && (!of_topics || reads && slot.outbox.is_none()) {
                self.drained.push(index);
            }
            self.read_again(index);
        } else {
            self.weigh(index);
        }
        self.finish_if_done(index);
    }

    /// Whether the handler is to be told now that the backlog is low: the connection may have been closed or used again
    /// since that was noticed, and the backlog grown.
    pub(crate) fn is_drained(&mut self, index: u32) -> bool {
        let low = self.settings.backpressure.low;
        let Some(slot) = self.slots.get_mut(index) else {
            return false;
        };
        slot.backlog() <= low
            && slot.open().is_some()
            && !slot.flags.ended
            && core::mem::take(&mut slot.flags.owed_drained)
    }

    /// Has a connection read in the next turn, if it may be and was not told to be.
    pub(crate) fn read_again(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index)
            && slot.wants_read()
        {
            mark(&mut slot.flags.again, &mut self.again, index);
        }
    }

    /// Ends the transport when all is said and written.
    pub(crate) fn finish_if_done(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        if !slot.is_done() || slot.waits_to_write() || slot.flags.ended {
            return;
        }
        // RFC 6455 §7.1.1: the client waits for the server to end the transport.
        if slot.is_dialled()
            && slot.flags.farewell == Farewell::PeerClosed
            && slot.flags.inbound != Inbound::AtEnd
        {
            slot.liveness.closing(self.now);
            self.read_again(index);
            return self.arm(index);
        }
        // And the server does so first. With unread input that would reset it, and the reset
        // could overtake our Close: then only our side is shut, and the rest read away.
        if slot.flags.inbound == Inbound::AtEnd
            || (slot.flags.farewell == Farewell::PeerClosed && !slot.flags.readable)
        {
            if slot.flags.inbound == Inbound::Open {
                slot.socket.release_last();
            }
            return self.end_as_known(index);
        }
        slot.stage = Stage::Draining;
        slot.flags.shut = true;
        slot.liveness.closing(self.now);
        if slot.socket.shutdown_write().is_err() {
            return self.end_as_known(index);
        }
        self.read_again(index);
        self.arm(index);
    }

    /// Has a connection taken down at the end of this step, for a cause that counts if it is the first.
    pub(crate) fn end(&mut self, index: u32, cause: CloseCause) {
        self.at_ease = NOBODY;
        if let Some(slot) = self.slots.get_mut(index) {
            slot.set_cause(cause);
            mark(&mut slot.flags.ended, &mut self.ended, index);
        }
    }

    /// The same, where the cause is known already.
    pub(crate) fn end_as_known(&mut self, index: u32) {
        self.end(index, CloseCause::Lost);
    }

    /// Has the wheel bring a slot up at its next deadline.
    pub(crate) fn arm(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let due = match &slot.stage {
            #[cfg(feature = "client")]
            Stage::Dialling(dialling) => Some(dialling.due()),
            _ => slot.liveness.poll_timeout(&self.settings.timeouts),
        };
        let aged = slot.aged();
        let due = due
            .into_iter()
            .chain(aged)
            .fold(slot.timer.get(), Millis::min);
        let due = Deadline::new(due).get();
        if due < slot.armed.get() {
            slot.armed = self.wheel.insert(index, due);
        }
    }

    /// Sets the handler's own timer.
    pub(crate) fn set_timer(&mut self, index: u32, due: Millis) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        slot.timer = Deadline::new(due);
        let due = slot.timer.get();
        if due < slot.armed.get() {
            // A handler may do so again and again: the entries for what comes later would pile up.
            self.wheel.remove(index, slot.armed);
            slot.armed = self.wheel.insert(index, due);
        }
    }
}

/// Puts an index into a list, once.
fn mark(flag: &mut bool, list: &mut Vec<u32>, index: u32) {
    if !core::mem::replace(flag, true) {
        list.push(index);
    }
}

/// What is left of three slices when `written` bytes of them are gone.
fn remaining(slices: [&[u8]; 3], mut written: usize) -> [IoSlice<'_>; 3] {
    slices.map(|slice| {
        let gone = written.min(slice.len());
        written -= gone;
        IoSlice::new(&slice[gone..])
    })
}
