//! A look at workers of the server that is watched, and one answer made of what they have.

use core::mem;
use core::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wirefan_eventloop::{MailboxFull, Remote, View};

/// Has `workers` look at what they have, and calls `done` with all parts, by the number of the worker, on the thread of the
/// last one. A worker that has ended, as it may while others drain, has no part.
///
/// # Errors
///
/// A worker's mailbox is full; `done` is not called.
pub(super) fn gather<N, T: Send + 'static>(
    remote: &Remote<N>,
    workers: Range<usize>,
    look: impl Fn(&View<'_>) -> T + Clone + Send + 'static,
    done: impl FnOnce(Vec<T>) + Send + 'static,
) -> Result<(), MailboxFull> {
    let gathered = Arc::new(Mutex::new(Gathered {
        missing: workers.len(),
        parts: Vec::new(),
        done: Some(done),
    }));
    for worker in workers {
        let (look, place) = (look.clone(), Place(Arc::clone(&gathered)));
        let posted = remote.inspect(worker, move |view| {
            let part = look(view);
            place.gathered().parts.push((view.worker(), part));
        });
        if posted.is_err() {
            lock(&gathered).done = None;
            return posted;
        }
    }
    Ok(())
}

struct Gathered<T, D> {
    /// How many have neither looked nor ended.
    missing: usize,
    parts: Vec<(usize, T)>,
    done: Option<D>,
}

/// One worker's. It is dropped when the worker has looked, and with its mail when it never will.
struct Place<T, D: FnOnce(Vec<T>)>(Arc<Mutex<Gathered<T, D>>>);

impl<T, D: FnOnce(Vec<T>)> Place<T, D> {
    fn gathered(&self) -> MutexGuard<'_, Gathered<T, D>> {
        lock(&self.0)
    }
}

impl<T, D: FnOnce(Vec<T>)> Drop for Place<T, D> {
    fn drop(&mut self) {
        let mut gathered = self.gathered();
        gathered.missing -= 1;
        if gathered.missing == 0
            && let Some(done) = gathered.done.take()
        {
            let mut parts = mem::take(&mut gathered.parts);
            drop(gathered);
            parts.sort_by_key(|(worker, _)| *worker);
            done(parts.into_iter().map(|(_, part)| part).collect());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
