//! SIGINT and SIGTERM: the first ends the server gracefully, the second at once.

use core::time::Duration;
use std::{io, process, thread};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use wirefan_eventloop::Remote;

use crate::visits::Visits;

/// Catches them from now on.
pub(crate) fn catch() -> io::Result<Signals> {
    Signals::new([SIGINT, SIGTERM])
}

/// Acts on them, on a thread of its own.
pub(crate) fn watch(mut signals: Signals, remote: Remote<()>, grace: Duration, visits: Visits) {
    thread::spawn(move || {
        let mut signals = signals.forever();
        let Some(first) = signals.next() else {
            return;
        };
        tracing::info!(
            connections = visits.open(),
            "{}: closing all connections with 1001, for at most {grace:?}; once more ends at once",
            name(first)
        );
        remote.shutdown(grace);
        if let Some(second) = signals.next() {
            tracing::warn!(
                connections = visits.open(),
                "{}: ended at once",
                name(second)
            );
            // As a shell tells it of a process that a signal has killed.
            process::exit(128 + second);
        }
    });
}

fn name(signal: i32) -> &'static str {
    if signal == SIGINT {
        "SIGINT"
    } else {
        "SIGTERM"
    }
}
