//! Proves on any host that `wirefan-protocol` needs no std: this links it beside a panic handler of its own, which
//! the compiler refuses as a duplicate as soon as std is anywhere in the crate graph. Built by `.ci/run`.
#![no_std]

extern crate alloc;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::panic::PanicInfo;

use wirefan_protocol::{Agreed, Config, Connection, Event, Input, Scratch};

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Echoes one read.
pub fn echo(read: &mut [u8]) -> Vec<u8> {
    let mut connection = Connection::server(Arc::new(Config::default()), Agreed::default());
    let (mut scratch, mut out) = (Scratch::default(), Vec::new());
    let mut input = Input::new(read);
    while let Some(event) = connection.next_event(&mut input, &mut scratch.recv, &mut out) {
        // Behind a Close nothing can be sent.
        let _ = match event {
            Event::Text(text) => connection.send_text(text, &mut scratch.send, &mut out),
            Event::Binary(data) => connection.send_binary(data, &mut scratch.send, &mut out),
            _ => Ok(()),
        };
    }
    out
}
