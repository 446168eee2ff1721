//! [`Remote`]: the loop from any other thread.

use core::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use wirefan_protocol::{CloseCode, Frame};

use crate::directory::Directory;
use crate::mailbox::{Look, Mail, Mailbox, MailboxFull, Post};
use crate::shutdown::{Departures, Draining, Shutdown};
use crate::tally::Board;
use crate::{ConnId, Handler, Stats, View};

/// Reaches a server's workers from any thread. `N` is what its handler takes as [`Handler::Note`].
///
/// Every call returns at once. It says [`MailboxFull`] where a worker has not taken what lies in its mailbox; nothing
/// is done then.
///
/// ```
/// use wirefan_eventloop::Remote;
/// use wirefan_protocol::Frame;
///
/// fn announce(remote: &Remote<()>) {
///     if remote.publish("news", &Frame::text("hello")).is_err() {
///         eprintln!("too much at once");
///     }
/// }
/// ```
pub struct Remote<N> {
    pub(crate) mailboxes: Arc<[Arc<Mailbox<N>>]>,
    pub(crate) directory: Arc<Directory>,
    /// What the handler keeps for a connection.
    #[cfg(feature = "client")]
    pub(crate) peer: core::any::TypeId,
    pub(crate) boards: Arc<[Board]>,
    pub(crate) draining: Arc<Draining>,
}

impl<N> Clone for Remote<N> {
    fn clone(&self) -> Self {
        Self {
            mailboxes: Arc::clone(&self.mailboxes),
            directory: Arc::clone(&self.directory),
            #[cfg(feature = "client")]
            peer: self.peer,
            boards: Arc::clone(&self.boards),
            draining: Arc::clone(&self.draining),
        }
    }
}

impl<N> fmt::Debug for Remote<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("workers", &self.mailboxes.len())
            .finish_non_exhaustive()
    }
}

impl<N> Remote<N> {
    /// Sends a message to one connection; nothing happens if it is gone.
    ///
    /// # Errors
    ///
    /// [`MailboxFull`].
    pub fn send(&self, to: ConnId, frame: &Frame) -> Result<(), MailboxFull> {
        self.post(
            to.worker,
            Post::Send {
                to,
                frame: frame.clone(),
            },
        )
    }

    /// Starts the closing handshake of one connection; nothing happens if it is gone, or if the code may not be sent.
    ///
    /// # Errors
    ///
    /// [`MailboxFull`].
    pub fn close(&self, conn: ConnId, code: CloseCode, reason: &str) -> Result<(), MailboxFull> {
        self.post(
            conn.worker,
            Post::Close {
                conn,
                code,
                reason: reason.into(),
            },
        )
    }

    /// Publishes to all members of a topic.
    ///
    /// # Errors
    ///
    /// [`MailboxFull`] if the mailbox of some worker was full; the others got it.
    pub fn publish(&self, topic: &str, frame: &Frame) -> Result<(), MailboxFull> {
        self.publish_with(topic, 0, frame)
    }

    /// The same with a message that takes the place of an older one with the same key wherever that still waits, in topics
    /// that [conflate](crate::WhenSlow::Conflate).
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    pub fn publish_keyed(&self, topic: &str, key: &str, frame: &Frame) -> Result<(), MailboxFull> {
        self.publish_with(topic, self.directory.key(key), frame)
    }

    fn publish_with(&self, topic: &str, key: u64, frame: &Frame) -> Result<(), MailboxFull> {
        let topic: Arc<str> = topic.into();
        let interest = self.directory.find(&topic);
        let single = (self.mailboxes.len() == 1).then_some(0);
        let workers = interest
            .iter()
            .flat_map(|interest| interest.workers())
            .chain(single);
        let mut result = Ok(());
        for worker in workers {
            let post = Post::Publish {
                topic: Arc::clone(&topic),
                frame: frame.clone(),
                key,
            };
            result = result.and(self.mailboxes[worker].offer(Mail::Post(post)));
        }
        result
    }

    /// Hands a note to the handler of one worker.
    ///
    /// # Errors
    ///
    /// [`MailboxFull`], also where there is no such worker.
    pub fn note(&self, worker: usize, note: N) -> Result<(), MailboxFull> {
        self.mailboxes
            .get(worker)
            .ok_or(MailboxFull)?
            .offer(Mail::Note(note))
    }

    /// Has one worker open a connection to somewhere else, as [`Ctx::dial`](crate::Ctx::dial).
    ///
    /// # Errors
    ///
    /// [`MailboxFull`], also where there is no such worker.
    ///
    /// # Panics
    ///
    /// `P` is not the handler's [`Peer`](Handler::Peer).
    #[cfg(feature = "client")]
    pub fn dial<P: Send + 'static>(
        &self,
        worker: usize,
        dial: crate::Dial,
        peer: P,
    ) -> Result<(), MailboxFull> {
        assert!(
            self.peer == core::any::TypeId::of::<P>(),
            "the handler keeps something else for a connection"
        );
        let letter = crate::client::Letter::dial(dial, peer);
        self.mailboxes
            .get(worker)
            .ok_or(MailboxFull)?
            .offer(Mail::Client(letter))
    }

    /// Has a worker let `look` see what it has: its connections and topics. It does so between two turns, on its own
    /// thread, and every connection of it waits meanwhile: take out what is needed and send it on.
    ///
    /// # Errors
    ///
    /// [`MailboxFull`], also where there is no such worker.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    /// use wirefan_eventloop::Remote;
    ///
    /// /// The busiest topics of one worker.
    /// fn busiest(remote: &Remote<()>, worker: usize) -> Option<Vec<(usize, String)>> {
    ///     let (sender, receiver) = mpsc::sync_channel(1);
    ///     let look = remote.inspect(worker, move |view| {
    ///         let mut topics: Vec<_> = view.topics().map(|(name, members)| (members, name.to_owned())).collect();
    ///         topics.sort_unstable_by(|one, other| other.cmp(one));
    ///         topics.truncate(10);
    ///         let _ = sender.try_send(topics);
    ///     });
    ///     look.ok()?;
    ///     receiver.recv_timeout(Duration::from_secs(1)).ok()
    /// }
    /// ```
    pub fn inspect(
        &self,
        worker: usize,
        look: impl FnOnce(&View<'_>) + Send + 'static,
    ) -> Result<(), MailboxFull> {
        self.mailboxes
            .get(worker)
            .ok_or(MailboxFull)?
            .offer(Mail::Inspect(Look(Box::new(look))))
    }

    /// What the workers have counted, as of the end of each one's last turn. Takes no worker's time.
    pub fn stats(&self) -> Stats {
        let workers: Vec<_> = self.boards.iter().map(Board::read).collect();
        let topics = self.directory.len();
        Stats {
            topics: topics.unwrap_or_else(|| workers.iter().map(|it| it.topics as usize).sum()),
            workers,
        }
    }

    /// The number of workers.
    pub fn workers(&self) -> usize {
        self.mailboxes.len()
    }

    /// Has all workers stop accepting, close every connection behind what it was sent, and end. See [`Shutdown`]; a
    /// second one takes the place of the first.
    pub fn shutdown(&self, how: impl Into<Shutdown>) {
        let how = how.into();
        self.draining.begun.store(true, Ordering::SeqCst);
        for mailbox in self.mailboxes.iter() {
            // A worker that has ended needs no telling.
            let _ = mailbox.insist(Mail::Shutdown(Box::new(how.clone())));
        }
    }

    /// Whether a shutdown has begun: no new connections are taken, and a load balancer that asks is to be told so.
    pub fn is_draining(&self) -> bool {
        self.draining.begun.load(Ordering::SeqCst)
    }

    /// How the connections have gone that were open when the shutdown began.
    pub fn departures(&self) -> Departures {
        self.draining.departures()
    }

    fn post(&self, worker: u16, post: Post) -> Result<(), MailboxFull> {
        match self.mailboxes.get(usize::from(worker)) {
            Some(mailbox) => mailbox.offer(Mail::Post(post)),
            None => Ok(()),
        }
    }
}

/// What a worker's handler is made from.
pub struct WorkerInfo<H: Handler> {
    /// The number of this worker, from 0.
    pub index: usize,
    /// A way to all workers, this one too, for the handler's own threads.
    pub remote: Remote<H::Note>,
}

impl<H: Handler> fmt::Debug for WorkerInfo<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerInfo")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}
