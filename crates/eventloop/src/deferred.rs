//! Writes that are put off: what a read led to is written together with what the next few led to, one write a connection. A
//! system call takes the loop's code out of the nearest cache, and a write most of all: several in a row cost less.
//! Called by reading; whatever writes or queues by another way lets these go first.

use crate::state::Core;

/// Behind so many reads what was put off is written, whatever they led to.
const READS: usize = 16;
/// When as many bytes have been collected they are written: more of them would only leave the nearest cache.
const MUCH: usize = 8 * 1024;

/// The writes that are put off: their bytes tile the front of `out`.
#[derive(Debug, Default)]
pub(crate) struct Deferred {
    writes: Vec<Write>,
    /// How many reads the first of them has waited for.
    reads: usize,
}

/// A write: its bytes stand in `out`, behind those of the one before.
#[derive(Clone, Copy, Debug)]
struct Write {
    index: u32,
    end: usize,
    /// Bytes at the front that are no frames.
    head: usize,
}

impl<P> Core<P> {
    /// Puts off writing what the current connection is sent; returns whether that can wait. Where there is more to read,
    /// it is written before that, so that none has two.
    pub(crate) fn defer(&mut self, index: u32) -> bool {
        let end = self.out.len();
        let waits = (self.own + 1..MUCH).contains(&end)
            && (self.slots.get(index))
                .is_some_and(|slot| slot.outbox.is_none() && !slot.flags.readable);
        if waits {
            let head = core::mem::take(&mut self.out_head);
            self.deferred.writes.push(Write { index, end, head });
        }
        waits
    }

    /// A read is over, and one more has gone by for what was put off.
    pub(crate) fn age_deferred(&mut self) {
        if !self.deferred.writes.is_empty() {
            self.deferred.reads += 1;
            if self.deferred.reads >= READS {
                self.write_all_deferred();
            }
        }
    }

    /// Writes what was put off.
    #[inline]
    pub(crate) fn write_deferred(&mut self) {
        if !self.deferred.writes.is_empty() {
            self.write_all_deferred();
        }
    }

    #[inline(never)]
    fn write_all_deferred(&mut self) {
        self.deferred.reads = 0;
        let mut writes = core::mem::take(&mut self.deferred.writes);
        let mut start = 0;
        for Write { index, end, head } in writes.drain(..) {
            self.write_out(index, start..end, head, &[], &[]);
            self.finish_if_done(index);
            start = end;
        }
        self.deferred.writes = writes;
        // Behind it stands what the current connection is sent, if there is one.
        self.out.drain(..start);
        self.own = 0;
        self.spare_out();
    }
}

/// A handler that panics takes no answer along that was given before.
impl<P> Drop for Core<P> {
    fn drop(&mut self) {
        self.write_deferred();
    }
}
