//! [`Lent`]: the memory that a thread lends to its connections while they are polled, so that an idle one owns none.
//! Used by every poll of `stream.rs`, and by the handshakes.

use std::cell::Cell;
use std::mem;

use bytes::Bytes;
use wirefan_protocol::Scratch;

/// The most that is read at once, so that even a message of 1 MiB may lie whole in the buffer. Its pages are touched only
/// as far as reads reach.
const READ_LEN: usize = 1280 * 1024;

/// Spare vectors: how many, and how large one may be to be kept.
const SPARES: usize = 4;
const SPARE_LEN: usize = 256 * 1024;

pub(crate) struct Lent {
    /// What a socket is read into.
    pub(crate) buffer: Box<[u8]>,
    pub(crate) scratch: Scratch,
    spares: Vec<Vec<u8>>,
}

thread_local! {
    static LENT: Cell<Option<Box<Lent>>> = const { Cell::new(None) };
}

/// Lends the thread's memory to `use_it`. A call inside a call, as of one WebSocket inside another, gets its own.
pub(crate) fn with<R>(use_it: impl FnOnce(&mut Lent) -> R) -> R {
    let kept = LENT.try_with(Cell::take).ok().flatten();
    let mut lent = kept.unwrap_or_else(Lent::new);
    let result = use_it(&mut lent);
    // At the end of a thread there is no place to keep it.
    let _ = LENT.try_with(|place| place.set(Some(lent)));
    result
}

/// Takes back the memory of a message, unless it comes from within [`with`], or from a thread that lends none.
fn give_back(memory: Vec<u8>) {
    let _ = LENT.try_with(|place| {
        if let Some(mut lent) = place.take() {
            lent.scratch.recv.give(memory);
            place.set(Some(lent));
        }
    });
}

/// The memory of a message that was given away. When it is dropped, the thread has it back for the next one.
pub(crate) struct Returning(Vec<u8>);

impl Returning {
    /// A message of which the memory comes back.
    pub(crate) fn bytes(data: Vec<u8>) -> Bytes {
        Bytes::from_owner(Self(data))
    }
}

impl AsRef<[u8]> for Returning {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        give_back(mem::take(&mut self.0));
    }
}

impl Lent {
    fn new() -> Box<Self> {
        Box::new(Self {
            buffer: vec![0; READ_LEN].into(),
            scratch: Scratch::default(),
            spares: Vec::new(),
        })
    }

    /// An empty vector, with memory if there is a spare.
    pub(crate) fn spare(&mut self) -> Vec<u8> {
        self.spares.pop().unwrap_or_default()
    }

    /// Takes back what has served.
    pub(crate) fn put_back(&mut self, mut vec: Vec<u8>) {
        if vec.capacity() > 0 && vec.capacity() <= SPARE_LEN && self.spares.len() < SPARES {
            vec.clear();
            self.spares.push(vec);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_inside_a_call_has_memory_of_its_own() {
        with(|outer| {
            outer.buffer[0] = 1;
            with(|inner| assert_eq!((inner.buffer.len(), inner.buffer[0]), (READ_LEN, 0)));
        });
    }

    #[test]
    fn spares_are_bounded_in_number_and_size() {
        let mut lent = Lent::new();
        for _ in 0..10 {
            lent.put_back(Vec::with_capacity(10));
            lent.put_back(Vec::with_capacity(SPARE_LEN + 1));
            lent.put_back(Vec::new());
        }
        assert_eq!(lent.spares.len(), SPARES);
        assert!(
            lent.spares
                .iter()
                .all(|spare| (1..=SPARE_LEN).contains(&spare.capacity()))
        );
    }
}
