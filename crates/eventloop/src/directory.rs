//! [`Directory`]: which workers have members of which topic, so that a publication goes only where someone listens.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Shared by all workers. With one worker there is nothing to keep.
#[derive(Debug)]
pub(crate) struct Directory {
    workers: usize,
    topics: Mutex<HashMap<Arc<str>, Entry>>,
    keys: RandomState,
}

#[derive(Debug)]
struct Entry {
    interest: Arc<Interest>,
    /// Workers that have the topic.
    holders: usize,
}

/// The members of one topic, worker by worker.
#[derive(Debug)]
pub(crate) struct Interest(Box<[AtomicUsize]>);

impl Directory {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers,
            topics: Mutex::default(),
            keys: RandomState::new(),
        }
    }

    /// What stands for a key of messages on all workers: not 0, which is none, and nothing that a peer could foresee and
    /// find another key for.
    pub(crate) fn key(&self, key: &str) -> u64 {
        self.keys.hash_one(key).max(1)
    }

    /// A worker's first member comes; `None` where there is only one worker.
    pub(crate) fn enter(&self, name: &Arc<str>) -> Option<Arc<Interest>> {
        if self.workers < 2 {
            return None;
        }
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = topics.entry(Arc::clone(name)).or_insert_with(|| {
            let members = (0..self.workers).map(|_| AtomicUsize::new(0)).collect();
            Entry {
                interest: Arc::new(Interest(members)),
                holders: 0,
            }
        });
        entry.holders += 1;
        Some(Arc::clone(&entry.interest))
    }

    /// A worker has no members any more.
    pub(crate) fn release(&self, name: &str) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = topics.get_mut(name) {
            entry.holders -= 1;
            if entry.holders == 0 {
                topics.remove(name);
            }
        }
    }

    /// How many topics have members; `None` where there is only one worker.
    pub(crate) fn len(&self) -> Option<usize> {
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        (self.workers > 1).then(|| topics.len())
    }

    #[cfg(all(test, feature = "tls"))] // for `sim`
    pub(crate) fn is_empty(&self) -> bool {
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        topics.is_empty()
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Interest>> {
        if self.workers < 2 {
            return None;
        }
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        topics.get(name).map(|entry| Arc::clone(&entry.interest))
    }
}

impl Interest {
    pub(crate) fn join(&self, worker: u16) {
        self.0[usize::from(worker)].fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn leave(&self, worker: u16) {
        self.0[usize::from(worker)].fetch_sub(1, Ordering::SeqCst);
    }

    /// The workers that have members.
    pub(crate) fn workers(&self) -> impl Iterator<Item = usize> {
        self.0
            .iter()
            .enumerate()
            .filter(|(_, members)| members.load(Ordering::SeqCst) > 0)
            .map(|(worker, _)| worker)
    }

    pub(crate) fn members(&self) -> usize {
        self.0
            .iter()
            .map(|members| members.load(Ordering::SeqCst))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_known_as_long_as_a_worker_has_it() {
        let directory = Directory::new(2);
        let name: Arc<str> = "room".into();
        let (one, other) = (
            directory.enter(&name).unwrap(),
            directory.enter(&name).unwrap(),
        );
        one.join(0);
        other.join(1);
        other.join(1);
        assert_eq!(
            directory
                .find("room")
                .unwrap()
                .workers()
                .collect::<Vec<_>>(),
            [0, 1]
        );
        assert_eq!(one.members(), 3);
        one.leave(0);
        directory.release("room");
        assert_eq!(
            directory
                .find("room")
                .unwrap()
                .workers()
                .collect::<Vec<_>>(),
            [1]
        );
        directory.release("room");
        assert!(directory.find("room").is_none());
    }
}
