//! Threads for what would block the loop: looking names up, and preparing a request. Shared by all loops of a process,
//! few, and gone when there is nothing to do.

use core::time::Duration;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A name server that does not answer holds a thread for half a minute, others wait behind it.
const THREADS: usize = 16;
/// How long a thread waits for more to do.
const LINGER: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce() + Send>;

struct Pool {
    state: Mutex<State>,
    more: Condvar,
}

struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

static POOL: Pool = Pool {
    state: Mutex::new(State {
        jobs: VecDeque::new(),
        threads: 0,
        idle: 0,
    }),
    more: Condvar::new(),
};

/// Has a job done on some other thread. It is dropped where there is none and none can be had.
pub(super) fn run(job: Job) {
    let mut state = POOL.lock();
    state.jobs.push_back(job);
    if state.idle >= state.jobs.len() {
        POOL.more.notify_one();
    } else if state.threads < THREADS {
        state.threads += 1;
        let spawned = thread::Builder::new()
            .name("wirefan-resolver".into())
            .spawn(work);
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread to resolve names on");
            state.threads -= 1;
            if state.threads == 0 {
                state.jobs.clear();
            }
        }
    }
}

fn work() {
    let mut state = POOL.lock();
    loop {
        if let Some(job) = state.jobs.pop_front() {
            drop(state);
            // A job tells of its own panic when it is dropped.
            let _ = catch_unwind(AssertUnwindSafe(job));
            state = POOL.lock();
            continue;
        }
        state.idle += 1;
        let waited = POOL.more.wait_timeout(state, LINGER);
        let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        state = guard;
        state.idle -= 1;
        if timeout.timed_out() && state.jobs.is_empty() {
            state.threads -= 1;
            return;
        }
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn jobs_are_done_and_a_panic_takes_nobody_along() {
        let (tell, told) = mpsc::channel();
        for number in 0..100 {
            let tell = tell.clone();
            run(Box::new(move || {
                assert!(number % 10 != 3, "on purpose");
                tell.send(number).unwrap();
            }));
        }
        drop(tell);
        let mut done: Vec<i32> = told.iter().collect();
        done.sort_unstable();
        assert_eq!(done, (0..100).filter(|n| n % 10 != 3).collect::<Vec<_>>());
    }
}
