//! [`Progress`]: a line on the terminal that is written again and again while a run goes on. Silent elsewhere.

use core::time::Duration;
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use super::control::Reading;
use super::table::grouped;

/// A few times a second.
const EVERY: Duration = Duration::from_millis(200);

/// The line, if there is a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: bool,
    last: Option<(Instant, Reading)>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            shown: io::stderr().is_terminal(),
            last: None,
        }
    }

    /// Writes it, unless it has just been written.
    pub(crate) fn show(&mut self, doing: &str, reading: Reading) {
        if !self.shown {
            return;
        }
        let now = Instant::now();
        let rate = match self.last {
            Some((last, _)) if now - last < EVERY => return,
            Some((last, before)) => {
                let messages = reading.messages.saturating_sub(before.messages);
                messages as f64 / (now - last).as_secs_f64()
            }
            None => 0.0,
        };
        self.last = Some((now, reading));
        // Whether or not somebody looks.
        let _ = write!(
            io::stderr(),
            "\r\x1b[K{doing}: {} connections, {} a second",
            grouped(reading.opened),
            grouped(rate as u64)
        );
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown && self.last.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
