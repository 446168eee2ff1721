//! Reading large messages: their bytes go from the socket to where they belong, and not through the read buffer. Called by
//! `receive.rs`.

use core::mem;

use crate::Handler;
use crate::slot::Stage;
use crate::worker::Worker;

/// So much of a large message goes through the read buffer: its header, and what happens to come with it.
const HEAD: usize = 4 * 1024;
/// The most that is read of a large message at once, so that others have their turn.
const MOST: usize = 1024 * 1024;

impl<H: Handler> Worker<H> {
    /// Reads from a connection in the midst of a large message, or behind one.
    pub(crate) fn read_large(&mut self, index: u32) {
        let Some(slot) = self.core.slots.get_mut(index) else {
            return;
        };
        if mem::take(&mut slot.flags.large) && !slot.lends() {
            // Behind a large message there is often another one, of which only the header is to be copied.
            let head = HEAD.min(self.read_buffer.len());
            let result = slot.socket.read(&mut self.read_buffer[..head]);
            let Some(len) = self.heard(index, result, head) else {
                return;
            };
            self.process(index, len);
        }
        self.read_to_place(index);
        self.core.read_again(index);
    }

    /// Reads the rest of a large message, and a little of what comes behind it.
    fn read_to_place(&mut self, index: u32) {
        let Some(slot) = self.core.slots.get_mut(index) else {
            return;
        };
        if !slot.wants_read() {
            return;
        }
        let Stage::Open(connection) = &mut slot.stage else {
            return;
        };
        let head = HEAD.min(self.read_buffer.len());
        let Some(place) = connection.lend() else {
            let result = slot.socket.read(&mut self.read_buffer);
            if let Some(len) = self.heard(index, result, self.read_buffer.len()) {
                self.process(index, len);
            }
            return;
        };
        let most = MOST.min(place.len());
        let (place, _) = place.split_at_mut(most);
        let behind = &mut self.read_buffer[..head];
        let (result, room) = slot.socket.read_both(place, behind);
        let Some(len) = self.heard(index, result, room) else {
            return;
        };
        if let Some(slot) = self.core.slots.get_mut(index)
            && let Stage::Open(connection) = &mut slot.stage
        {
            connection.filled(len.min(most));
            slot.flags.large = true;
        }
        self.process(index, len.saturating_sub(most));
    }
}
