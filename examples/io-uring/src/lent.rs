//! Buffers that the kernel picks from: it names the one that it has filled, and gets it back when it has been read. Only
//! `ring.rs` calls this.
#![allow(
    unsafe_code,
    reason = "memory that is shared with the kernel; each block says why it holds"
)]

use core::ptr::NonNull;
use core::slice;
use core::sync::atomic::{AtomicU16, Ordering};
use std::io;

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

/// The name of the buffers for the kernel.
pub(crate) const GROUP: u16 = 0;
/// Bytes of one buffer: no read is longer.
pub(crate) const BUFFER: usize = 32 * 1024;
/// How many there are. A power of two.
const COUNT: u16 = 128;

/// The entries as the kernel wants them: at the beginning of a page, whatever its size.
#[repr(C, align(65536))]
struct Pages([u8; ENTRIES]);

const ENTRIES: usize = COUNT as usize * size_of::<BufRingEntry>();

/// A buffer that is ours for now. Lost, it is never filled again, and that is all.
#[derive(Debug)]
pub(crate) struct Lent(u16);

/// The buffers and the queue in which they are offered. They are never freed: the kernel may write into them until the ring
/// is gone, and there is one ring in a process.
pub(crate) struct Lending {
    entries: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    /// Where the next entry goes. It wraps.
    tail: u16,
}

impl Lending {
    /// Makes all buffers and offers them.
    ///
    /// # Errors
    ///
    /// The kernel takes no queues of buffers: it is older than Linux 5.19.
    pub(crate) fn new(uring: &IoUring) -> io::Result<Self> {
        let pages = Box::leak(Box::new(Pages([0; ENTRIES])));
        let entries = NonNull::from(pages).cast::<BufRingEntry>();
        let address = entries.as_ptr() as u64;
        // SAFETY: `COUNT` entries are there, aligned to a page, and for ever.
        unsafe {
            uring
                .submitter()
                .register_buf_ring_with_flags(address, COUNT, GROUP, 0)?;
        }
        let memory = Box::leak(vec![0; COUNT as usize * BUFFER].into_boxed_slice());
        let mut lending = Self {
            entries,
            memory: NonNull::from(memory).cast(),
            tail: 0,
        };
        for id in 0..COUNT {
            lending.give_back(Lent(id));
        }
        Ok(lending)
    }

    /// The kernel has filled the buffer of this name: from now on it is ours.
    pub(crate) fn taken(&self, id: u16) -> Lent {
        assert!(id < COUNT, "a buffer that was never offered");
        Lent(id)
    }

    /// All of the buffer, filled or not.
    pub(crate) fn bytes<'a>(&'a mut self, lent: &'a mut Lent) -> &'a mut [u8] {
        // SAFETY: `taken` has looked that it lies in `memory`. A `Lent` exists once for each buffer, from the completion
        // that named it to `give_back`, and in between the kernel leaves the buffer alone. All bytes are initialised.
        unsafe { slice::from_raw_parts_mut(self.address(lent), BUFFER) }
    }

    /// Offers the buffer to the kernel again.
    pub(crate) fn give_back(&mut self, lent: Lent) {
        let at = usize::from(self.tail % COUNT);
        let address = self.address(&lent);
        // SAFETY: `at` is below `COUNT`. There are never more buffers in the queue than there are entries, so that the
        // kernel is done with this one. The fields written are not the tail, which lies in the first entry.
        let entry = unsafe { self.entries.add(at).as_mut() };
        entry.set_addr(address as u64);
        entry.set_len(BUFFER as u32);
        entry.set_bid(lent.0);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail is a field of the first entry, aligned, valid for ever, and only read by the kernel. It is
        // stored behind the fields of the entry, which the kernel may look at from then on.
        unsafe {
            let tail = BufRingEntry::tail(self.entries.as_ptr());
            AtomicU16::from_ptr(tail.cast_mut()).store(self.tail, Ordering::Release);
        }
    }

    fn address(&self, lent: &Lent) -> *mut u8 {
        // SAFETY: the name is below `COUNT`, so that this lies within `memory`.
        unsafe { self.memory.as_ptr().add(usize::from(lent.0) * BUFFER) }
    }
}
