//! Bulk senders: what they send is read behind what is small, and only so much of it in a turn. Called by the turn.

use core::mem;

use crate::Handler;
use crate::worker::Worker;

/// A connection of which one read brought so much is read behind the others.
pub(crate) const BULK: usize = 16 * 1024;
/// When so much has been read of these, the rest of them wait for the next turn: meanwhile the others have theirs, and what
/// a turn writes at its end is written.
const SHARE: u64 = 2 * 1024 * 1024;

impl<H: Handler> Worker<H> {
    /// Reads from those who have more to read without being told, and from bulk senders until they have had their share.
    pub(crate) fn read_on(&mut self) {
        let before = self.core.tally.read;
        let mut again = mem::take(&mut self.core.again);
        again.retain(|index| {
            if let Some(slot) = self.core.slots.get_mut(*index) {
                if slot.flags.bulk && self.core.tally.read - before >= SHARE {
                    return true;
                }
                slot.flags.again = false;
            }
            self.read(*index);
            false
        });
        // Who has waited is the first of the next turn.
        again.append(&mut self.core.again);
        self.core.again = again;
    }
}
