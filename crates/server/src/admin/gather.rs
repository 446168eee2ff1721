//! A look at every worker of the server that is watched, and one answer made of what they have.

use std::sync::{Arc, Mutex, PoisonError};

use wirefan_eventloop::{MailboxFull, Remote, View};

/// Has every worker `look` at what it has, and calls `done` with all parts, by the number of the worker, on the thread of
/// the last one. Without a worker that has ended nothing comes of it.
///
/// # Errors
///
/// A worker's mailbox is full; `done` is not called.
pub(super) fn gather<N, T: Send + 'static>(
    remote: &Remote<N>,
    look: impl Fn(&View<'_>) -> T + Clone + Send + 'static,
    done: impl FnOnce(Vec<T>) + Send + 'static,
) -> Result<(), MailboxFull> {
    let workers = remote.workers();
    let gathered = Arc::new(Mutex::new((Vec::new(), Some(done))));
    for worker in 0..workers {
        let (look, gathered) = (look.clone(), Arc::clone(&gathered));
        remote.inspect(worker, move |view| {
            let part = look(view);
            let mut gathered = gathered.lock().unwrap_or_else(PoisonError::into_inner);
            let (parts, done) = &mut *gathered;
            parts.push((view.worker(), part));
            if parts.len() == workers
                && let Some(done) = done.take()
            {
                parts.sort_by_key(|(worker, _)| *worker);
                done(parts.drain(..).map(|(_, part)| part).collect());
            }
        })?;
    }
    Ok(())
}
