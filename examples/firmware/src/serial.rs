//! The first serial line of the machine (CMSDK UART), for `main.rs`: it waits by asking again.

use core::convert::Infallible;
use core::ptr;

use embedded_io::{ErrorType, Read, Write};

/// Where its registers are.
const DATA: *mut u32 = 0x4000_4000 as *mut u32;
const STATE: *mut u32 = 0x4000_4004 as *mut u32;
const CONTROL: *mut u32 = 0x4000_4008 as *mut u32;
const DIVIDER: *mut u32 = 0x4000_4010 as *mut u32;

const SEND_FULL: u32 = 1;
const RECEIVE_FULL: u32 = 2;
/// Both directions.
const ENABLE: u32 = 3;
/// The smallest, which is the fastest.
const FASTEST: u32 = 16;

/// The serial line. There is one.
pub struct Serial(());

impl Serial {
    /// Turns it on.
    pub fn open() -> Self {
        // SAFETY: these are registers of this machine, aligned, and nobody else uses them.
        unsafe {
            ptr::write_volatile(DIVIDER, FASTEST);
            ptr::write_volatile(CONTROL, ENABLE);
        }
        Self(())
    }

    fn has(&self, flag: u32) -> bool {
        // SAFETY: as in `open`.
        unsafe { ptr::read_volatile(STATE) & flag != 0 }
    }
}

impl ErrorType for Serial {
    type Error = Infallible;
}

impl Read for Serial {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let mut len = 0;
        for byte in buffer {
            // One byte is waited for; then there are those that have come.
            while len == 0 && !self.has(RECEIVE_FULL) {}
            if !self.has(RECEIVE_FULL) {
                break;
            }
            // SAFETY: as in `open`.
            *byte = unsafe { ptr::read_volatile(DATA) } as u8;
            len += 1;
        }
        Ok(len)
    }
}

impl Write for Serial {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for &byte in bytes {
            while self.has(SEND_FULL) {}
            // SAFETY: as in `open`.
            unsafe { ptr::write_volatile(DATA, u32::from(byte)) };
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while self.has(SEND_FULL) {}
        Ok(())
    }
}
