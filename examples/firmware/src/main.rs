//! A whole firmware: an echo server on a serial line, which something else connects to a network.
//!
//! `cargo build --release --target thumbv7em-none-eabi` in this folder; `.ci/run no_std` builds it too, and prints how much
//! flash and memory it takes. It is written for the machine `mps2-an386` of QEMU:
//!
//! `qemu-system-arm -M mps2-an386 -nographic -monitor none -serial tcp:127.0.0.1:9001,server -kernel FIRMWARE`
#![no_std]
#![no_main]

extern crate alloc;

mod serial;

use alloc::sync::Arc;

use cortex_m_rt::entry;
use embedded_alloc::LlffHeap;
use embedded_io_echo::{serve, small};
// How interrupts are held off, for the allocator.
use cortex_m as _;
use panic_halt as _;

use crate::serial::Serial;

/// All that the connection allocates: its messages, the head of a request, what waits to be sent.
const HEAP_BYTES: usize = 32 * 1024;
/// Bytes read at once.
const BUFFER: usize = 512;

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();

#[entry]
fn main() -> ! {
    // SAFETY: this is the first thing that runs, and it runs once.
    unsafe {
        embedded_alloc::init!(HEAP, HEAP_BYTES);
    }
    let config = Arc::new(small());
    let mut serial = Serial::open();
    let mut buffer = [0; BUFFER];
    loop {
        // A serial line has no ends: after a connection the next bytes are the next one's.
        let _ = serve(&mut serial, &mut buffer, &config);
    }
}
