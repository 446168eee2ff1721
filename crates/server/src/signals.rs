//! SIGINT and SIGTERM: the first has all connections leave and the server end, the second ends it at once. SIGHUP: the
//! configuration, certificates, tokens and their keys are read again.

use std::sync::mpsc::Sender;
use std::{io, process, thread};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use wirefan_eventloop::{Remote, Shutdown};

use crate::config::Configuration;
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
    how: Shutdown,
    visits: Visits,
    reload: Vec<Sender<()>>,
    configuration: Option<Configuration>,
) {
    thread::spawn(move || {
        let mut signals = signals.forever().filter(|signal| {
            if *signal == SIGHUP {
                if let Some(configuration) = &configuration {
                    // First: it may name other files.
                    configuration.read();
                }
                for reload in &reload {
                    // It listens as long as this thread lives.
                    let _ = reload.send(());
                }
            }
            *signal != SIGHUP
        });
        let Some(first) = signals.next() else {
            return;
        };
        tracing::info!(
            connections = visits.open(),
            "{}: closing all connections with {}{}, for at most {:?}; once more ends at once",
            name(first),
            how.code,
            match how.spread.is_zero() {
                true => String::new(),
                false => format!(" over {:?}", how.spread),
            },
            how.spread.saturating_add(how.grace)
        );
        remote.shutdown(how);
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
