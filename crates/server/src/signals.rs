//! SIGINT and SIGTERM: the first ends the server gracefully, the second at once. SIGHUP: certificates are read again.

use core::time::Duration;
use std::sync::mpsc::Sender;
use std::{io, process, thread};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use wirefan_eventloop::Remote;

use crate::visits::Visits;

/// Catches them from now on, SIGHUP if there is something to `reload`: without that it ends the server, as a terminal that
/// is closed wants it.
pub(crate) fn catch(reload: bool) -> io::Result<Signals> {
    let hangup = reload.then_some(SIGHUP);
    Signals::new([SIGINT, SIGTERM].into_iter().chain(hangup))
}

/// Acts on them, on a thread of its own.
pub(crate) fn watch<N: Send + 'static>(
    mut signals: Signals,
    remote: Remote<N>,
    grace: Duration,
    visits: Visits,
    reload: Option<Sender<()>>,
) {
    thread::spawn(move || {
        let mut signals = signals.forever().filter(|signal| {
            if *signal == SIGHUP
                && let Some(reload) = &reload
            {
                // It listens as long as this thread lives.
                let _ = reload.send(());
            }
            *signal != SIGHUP
        });
        let Some(first) = signals.next() else {
            return;
        };
        visits.drain();
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
