//! What changes while the server runs: on SIGHUP the configuration and certificates at once, certificates also by
//! themselves soon after their files have.

use core::time::Duration;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;

use wirefan_eventloop::Tls;

use crate::config::Configuration;
use crate::options::Serve;
use crate::tls::{Contents, TlsFiles};

/// What SIGHUP has read again.
#[derive(Debug)]
pub(crate) struct Reload {
    configuration: Option<Configuration>,
    certificates: Option<Sender<Option<TlsFiles>>>,
}

impl Reload {
    /// Whether a server has anything to read again.
    pub(crate) fn is_wanted(serve: &Serve) -> bool {
        serve.tls.files().is_some() || Configuration::of(&serve.config).is_some()
    }

    /// The configuration of a server, and whoever looks after its certificates.
    pub(crate) fn new(serve: &Serve, certificates: Option<Sender<Option<TlsFiles>>>) -> Self {
        Self {
            configuration: Configuration::of(&serve.config),
            certificates,
        }
    }

    /// Reads everything again. What cannot be used changes nothing.
    pub(crate) fn all(&mut self) {
        let serve = self.configuration.as_mut().and_then(Configuration::read);
        if let Some(certificates) = &self.certificates {
            // It listens as long as this end is there.
            let _ = certificates.send(serve.and_then(|serve| serve.tls.files()));
        }
    }
}

/// How often the files are looked at. Reading a few of them costs nothing, and needs no service of the system's.
const LOOK: Duration = Duration::from_secs(1);

/// Watches over the files, of which these contents are in use, on a thread of its own, until what is returned is gone. What is
/// sent there has them read at once, or the files that are sent in their place.
pub(crate) fn watch(tls: Tls, files: TlsFiles, in_use: Contents) -> Sender<Option<TlsFiles>> {
    let (ask, asked) = mpsc::channel();
    thread::spawn(move || look_after(&tls, files, in_use, &asked));
    ask
}

fn look_after(
    tls: &Tls,
    mut files: TlsFiles,
    mut in_use: Contents,
    asked: &Receiver<Option<TlsFiles>>,
) {
    let mut seen = in_use.clone();
    loop {
        match asked.recv_timeout(LOOK) {
            Ok(others) => {
                let asked_for = others.unwrap_or_else(|| files.clone());
                let contents = asked_for.contents();
                let renewed = renew(tls, &asked_for, "SIGHUP");
                // Others that cannot be used are not worth watching.
                if renewed || asked_for == files {
                    files = asked_for;
                    seen = contents.clone();
                    in_use = contents;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                let now = files.contents();
                // Not before they have been the same twice: a certificate and its key are written one after the other.
                if now == seen && now != in_use {
                    in_use = now;
                    renew(tls, &files, "the files have changed");
                } else {
                    seen = now;
                }
            }
            // Nobody catches SIGHUP, or nobody any more.
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Returns whether the files are in use now.
fn renew(tls: &Tls, files: &TlsFiles, why: &str) -> bool {
    match files.load() {
        Ok(config) => {
            tls.replace(config);
            tracing::info!("{why}: certificates read again, for connections from now on: {files}");
            true
        }
        Err(error) => {
            tracing::error!("{why}: {error}; the certificates of before stay in use");
            false
        }
    }
}
