//! [`Mailbox`]: how other threads reach a worker. Bounded in bytes; one wake-up however much is put in.

use core::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wirefan_protocol::{CloseCode, Frame};

use crate::listener::Arrival;
use crate::shutdown::Shutdown;
use crate::{ConnId, View};

/// What any thread may ask of a worker.
#[derive(Debug)]
pub(crate) enum Post {
    /// To the members of a topic on this worker.
    Publish {
        topic: Arc<str>,
        frame: Frame,
        /// 0: none.
        key: u64,
    },
    /// To one connection.
    Send { to: ConnId, frame: Frame },
    /// Start the closing handshake.
    Close {
        conn: ConnId,
        code: CloseCode,
        reason: Box<str>,
    },
}

/// What is done with a look at a worker.
pub(crate) struct Look(pub(crate) Box<dyn FnOnce(&View<'_>) + Send>);

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Look")
    }
}

/// What lies in a mailbox.
#[derive(Debug)]
pub(crate) enum Mail<N> {
    Post(Post),
    /// For the handler.
    Note(N),
    /// A look at what the worker has.
    Inspect(Look),
    /// A connection that another worker accepted.
    Accepted(Arrival),
    #[cfg(feature = "client")]
    Client(crate::client::Letter),
    /// Close everything and end.
    Shutdown(Box<Shutdown>),
}

/// The mailbox did not take it: what lies in it has reached its limit in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MailboxFull;

impl fmt::Display for MailboxFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the worker's mailbox is full")
    }
}

impl core::error::Error for MailboxFull {}

pub(crate) struct Mailbox<N> {
    queue: Mutex<Queue<N>>,
    /// A wake-up is on its way.
    signaled: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
    limit: usize,
}

struct Queue<N> {
    mail: Vec<Mail<N>>,
    bytes: usize,
    /// Workers that wait for room.
    waiting: Vec<u16>,
    /// The worker has ended: nobody takes anything out any more.
    ended: bool,
}

impl<N> Mailbox<N> {
    /// `wake` ends the worker's wait, from any thread.
    pub(crate) fn new(limit: usize, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            queue: Mutex::new(Queue {
                mail: Vec::new(),
                bytes: 0,
                waiting: Vec::new(),
                ended: false,
            }),
            signaled: AtomicBool::new(false),
            wake: Box::new(wake),
            limit,
        }
    }

    /// Puts mail in, unless the mailbox is at its limit.
    pub(crate) fn offer(&self, mail: Mail<N>) -> Result<(), MailboxFull> {
        let mut queue = self.lock();
        if queue.bytes >= self.limit {
            return Err(MailboxFull);
        }
        if queue.ended {
            // Nobody wants it any more. It is dropped outside of the lock: its end may have something to say to us.
            return Ok(());
        }
        queue.push(mail);
        drop(queue);
        self.wake();
        Ok(())
    }

    /// Puts mail in that must not get lost; gives it back if the worker has ended.
    pub(crate) fn insist(&self, mail: Mail<N>) -> Option<Mail<N>> {
        let mut queue = self.lock();
        if queue.ended {
            return Some(mail);
        }
        queue.push(mail);
        drop(queue);
        self.wake();
        None
    }

    /// The worker ends, unless it has been handed a connection meanwhile; returns whether it does.
    pub(crate) fn end(&self) -> bool {
        let mut queue = self.lock();
        let has_arrivals = (queue.mail.iter()).any(|mail| matches!(mail, Mail::Accepted(..)));
        if has_arrivals {
            return false;
        }
        let rest = queue.end();
        drop(queue);
        drop(rest);
        true
    }

    /// The worker is gone, whatever lies here; returns the workers that wait for room.
    fn abandon(&self) -> Vec<u16> {
        let mut queue = self.lock();
        let rest = queue.end();
        let waiting = core::mem::take(&mut queue.waiting);
        drop(queue);
        drop(rest);
        waiting
    }

    /// Puts in what `worker` has collected in a turn. It is taken in any case; `false`: the mailbox is over its limit,
    /// and `worker` will be woken when there is room again.
    pub(crate) fn deliver(&self, worker: u16, posts: &mut Vec<Post>) -> bool {
        let mut queue = self.lock();
        for post in posts.drain(..) {
            queue.push(Mail::Post(post));
        }
        let room = queue.has_room(self.limit, worker);
        drop(queue);
        self.wake();
        room
    }

    /// Whether it is below its limit; if not, `worker` will be woken when it is.
    pub(crate) fn has_room(&self, worker: u16) -> bool {
        self.lock().has_room(self.limit, worker)
    }

    /// Takes everything out, and the workers that waited for that.
    pub(crate) fn take(&self, mail: &mut Vec<Mail<N>>) -> Vec<u16> {
        // Before the queue is looked at: what is put in afterwards wakes again.
        self.signaled.store(false, Ordering::SeqCst);
        let mut queue = self.lock();
        core::mem::swap(&mut queue.mail, mail);
        queue.bytes = 0;
        core::mem::take(&mut queue.waiting)
    }

    /// What lies in it.
    #[cfg(all(test, feature = "tls"))] // for `sim`
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Ends the worker's wait.
    pub(crate) fn wake(&self) {
        if !self.signaled.swap(true, Ordering::SeqCst) {
            (self.wake)();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<N>> {
        // Nothing in here panics half way through a change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<N> Queue<N> {
    fn has_room(&mut self, limit: usize, worker: u16) -> bool {
        let room = self.bytes < limit;
        if !room && !self.waiting.contains(&worker) {
            self.waiting.push(worker);
        }
        room
    }

    /// Takes no more; returns what lies in it, to be dropped outside of the lock.
    fn end(&mut self) -> Vec<Mail<N>> {
        self.ended = true;
        self.bytes = 0;
        core::mem::take(&mut self.mail)
    }

    fn push(&mut self, mail: Mail<N>) {
        if !self.ended {
            self.bytes += mail.weight();
            self.mail.push(mail);
        }
    }
}

/// A worker's hold on its mailbox. Where the worker's thread ends in a panic, nobody is left to wait for it.
pub(crate) struct Tenancy<N> {
    pub(crate) mailboxes: Arc<[Arc<Mailbox<N>>]>,
    pub(crate) worker: u16,
}

impl<N> Drop for Tenancy<N> {
    fn drop(&mut self) {
        for waiting in self.mailboxes[usize::from(self.worker)].abandon() {
            self.mailboxes[usize::from(waiting)].wake();
        }
    }
}

impl<N> Mail<N> {
    /// What keeping it costs, in bytes.
    fn weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Post(Post::Publish { topic, frame, .. }) => topic.len() + frame.bytes().len(),
                Self::Post(Post::Send { frame, .. }) => frame.bytes().len(),
                Self::Post(Post::Close { reason, .. }) => reason.len(),
                _ => 0,
            }
    }
}

impl<N> fmt::Debug for Mailbox<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Weak;
    use std::sync::atomic::AtomicUsize;

    fn mailbox(limit: usize) -> (Mailbox<u8>, Arc<AtomicUsize>) {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&wakes);
        let wake = move || {
            counter.fetch_add(1, Ordering::SeqCst);
        };
        (Mailbox::new(limit, wake), wakes)
    }

    fn publish(len: usize) -> Post {
        Post::Publish {
            topic: "t".into(),
            frame: Frame::binary(&vec![0; len]),
            key: 0,
        }
    }

    #[test]
    fn one_wake_up_however_much_is_put_in() {
        let (mailbox, wakes) = mailbox(1_000_000);
        (0..100).for_each(|i| mailbox.offer(Mail::Note(i)).unwrap());
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        let mut mail = Vec::new();
        mailbox.take(&mut mail);
        assert_eq!(mail.len(), 100);
        mailbox.offer(Mail::Note(0)).unwrap();
        assert_eq!(wakes.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn the_limit_is_in_bytes_and_taking_makes_room() {
        let (mailbox, _) = mailbox(1000);
        mailbox.offer(Mail::Post(publish(2000))).unwrap();
        assert_eq!(mailbox.offer(Mail::Note(1)), Err(MailboxFull));
        mailbox.take(&mut Vec::new());
        assert_eq!(mailbox.offer(Mail::Note(1)), Ok(()));
    }

    #[test]
    fn a_worker_is_not_robbed_but_told_to_wait() {
        let (mailbox, _) = mailbox(1000);
        assert!(mailbox.deliver(3, &mut vec![publish(10)]));
        assert!(!mailbox.deliver(3, &mut vec![publish(2000)]));
        assert!(!mailbox.deliver(3, &mut vec![publish(2000)]));
        let mut mail = Vec::new();
        assert_eq!(mailbox.take(&mut mail), [3]);
        assert_eq!(mail.len(), 3);
        assert!(mailbox.take(&mut mail).is_empty());
    }

    /// Counts those whose end comes while nobody holds the lock.
    struct Guest(Weak<Mailbox<Self>>, Arc<AtomicUsize>);

    impl Drop for Guest {
        fn drop(&mut self) {
            if (self.0.upgrade()).is_some_and(|mailbox| mailbox.queue.try_lock().is_ok()) {
                self.1.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    #[test]
    fn mail_that_nobody_reads_is_dropped_outside_of_the_lock() {
        for in_order in [true, false] {
            let (mailbox, count) = (Arc::new(Mailbox::new(1000, || {})), Arc::default());
            let guest = || Mail::Note(Guest(Arc::downgrade(&mailbox), Arc::clone(&count)));
            assert!(mailbox.insist(guest()).is_none());
            assert!(!mailbox.deliver(7, &mut vec![publish(2000)]));
            if in_order {
                assert!(mailbox.end());
            } else {
                assert_eq!(mailbox.abandon(), [7]);
            }
            assert_eq!(count.load(Ordering::SeqCst), 1);
            assert_eq!(mailbox.offer(guest()), Ok(()));
            assert_eq!(count.load(Ordering::SeqCst), 2);
            assert!(mailbox.insist(guest()).is_some());
            assert!(mailbox.deliver(7, &mut vec![publish(2000)]));
        }
    }

    #[test]
    fn a_worker_that_panics_keeps_nobody_waiting() {
        let ((one, _), (other, wakes)) = (mailbox(1000), mailbox(1000));
        let mailboxes: Arc<[_]> = [one, other].map(Arc::new).into();
        assert!(!mailboxes[0].deliver(1, &mut vec![publish(2000)]));
        drop(Tenancy {
            mailboxes: Arc::clone(&mailboxes),
            worker: 0,
        });
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        assert!(mailboxes[0].has_room(1));
    }
}
