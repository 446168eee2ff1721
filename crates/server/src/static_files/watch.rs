//! [`Newest`]: the newest snapshot of a folder, and the thread that looks for a newer one.

use core::time::Duration;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::thread;

use super::folder::{self, FolderError, Snapshot};

/// How often the folder is looked through.
const LOOK: Duration = Duration::from_secs(1);

/// How often a start is tried again that meets a file which is being written.
const TRIES: u32 = 20;

#[derive(Debug)]
pub(super) struct Newest(RwLock<Arc<Snapshot>>);

impl Newest {
    /// The snapshot. It is held for an instant only, by whoever asks and by whoever changes it.
    pub(super) fn get(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, snapshot: Snapshot) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }
}

/// Reads a folder, and looks for changes on a thread of its own as long as anybody wants to know.
pub(super) fn watch(dir: &Path, limit: usize) -> Result<Arc<Newest>, FolderError> {
    let mut tries = 0;
    let first = loop {
        let read = folder::look(dir)
            .and_then(|found| Snapshot::read(dir, found, &Snapshot::default(), limit));
        match read {
            Err(FolderError::Changing { .. }) if tries < TRIES => {
                tries += 1;
                thread::sleep(LOOK / TRIES);
            }
            read => break read?,
        }
    };
    tell(dir, &first);
    let newest = Arc::new(Newest(RwLock::new(Arc::new(first))));
    let (dir, wanted) = (dir.to_owned(), Arc::downgrade(&newest));
    thread::spawn(move || look_after(&dir, limit, &wanted));
    Ok(newest)
}

fn look_after(dir: &Path, limit: usize, wanted: &Weak<Newest>) {
    let mut seen = None;
    // Told once, and not each second.
    let mut told = String::new();
    loop {
        thread::sleep(LOOK);
        let Some(newest) = wanted.upgrade() else {
            return;
        };
        let before = newest.get();
        let read = folder::look(dir).and_then(|found| {
            // Not before two looks have seen the same: files are written one after the other.
            let settled = seen.as_ref() == Some(&found);
            seen = Some(found.clone());
            if settled && found != before.found {
                Snapshot::read(dir, found, &before, limit).map(Some)
            } else {
                Ok(None)
            }
        });
        match read {
            Ok(Some(snapshot)) => {
                told.clear();
                tell(dir, &snapshot);
                newest.set(snapshot);
            }
            Ok(None) | Err(FolderError::Changing { .. }) => {}
            Err(error) => {
                let error = error.to_string();
                if told != error {
                    tracing::error!("{error}; the files of before are served on");
                    told = error;
                }
            }
        }
    }
}

fn tell(dir: &Path, snapshot: &Snapshot) {
    let (files, bytes) = (snapshot.len(), snapshot.bytes());
    tracing::info!(files, bytes, "serving {}", dir.display());
}
