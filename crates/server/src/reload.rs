//! Files that change while the server runs, certificates and keys of tokens: on SIGHUP at once, and by themselves soon after their files do.

use core::time::Duration;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;

use wirefan_eventloop::Tls;

use crate::tls::{Contents, TlsFiles};

/// How often the files are looked at. Reading a few of them costs nothing, and needs no service of the system's.
const LOOK: Duration = Duration::from_secs(1);

/// Files that are in use, and what to do when they have changed.
pub(crate) trait Renew: Send + 'static {
    /// What is in them now.
    fn contents(&self) -> Contents;

    /// Takes what is in them into use, and says so in the log.
    fn renew(&self, why: &str);
}

/// Watches over the files, of which these contents are in use, on a thread of its own, until what is returned is gone. What is sent there has them read at once.
pub(crate) fn watch(files: impl Renew, in_use: Contents) -> Sender<()> {
    let (ask, asked) = mpsc::channel();
    thread::spawn(move || look_after(&files, in_use, &asked));
    ask
}

fn look_after(files: &impl Renew, mut in_use: Contents, asked: &Receiver<()>) {
    let mut seen = in_use.clone();
    loop {
        match asked.recv_timeout(LOOK) {
            Ok(()) => {
                in_use = files.contents();
                seen = in_use.clone();
                files.renew("SIGHUP");
            }
            Err(RecvTimeoutError::Timeout) => {
                let now = files.contents();
                // Not before they have been the same twice: a certificate and its key are written one after the other.
                if now == seen && now != in_use {
                    in_use = now;
                    files.renew("the files have changed");
                } else {
                    seen = now;
                }
            }
            // Nobody catches SIGHUP, or nobody any more.
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Certificates, and the TLS that uses them.
impl Renew for (Tls, TlsFiles) {
    fn contents(&self) -> Contents {
        self.1.contents()
    }

    fn renew(&self, why: &str) {
        let (tls, files) = self;
        match files.load() {
            Ok(config) => {
                tls.replace(config);
                tracing::info!(
                    "{why}: certificates read again, for connections from now on: {files}"
                );
            }
            Err(error) => tracing::error!("{why}: {error}; the certificates of before stay in use"),
        }
    }
}
