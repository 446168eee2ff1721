//! [`Link`]: a connection that comes back. It is sought again when it is lost, and what is sent meanwhile waits for it.
//! The loop's side of it is in `course.rs`.

use core::fmt;
use std::io;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use wirefan_protocol::{CloseCode, SendError};

use super::backoff::Retry;
use super::course::{Course, Linker, Note, Order, Shared, State};
use super::offline::Queued;
use super::{
    Backoff, Client, ClientBuilder, Dial, LinkCounts, Offline, OwnedMessage, Response, Verdict,
};
use crate::mailbox::Mail;
use crate::{CloseCause, Message, Remote};

/// What happens on a link. The order is always: `Connecting`, then `Open` and its messages or nothing, then `Lost` and from
/// the beginning again, or `GaveUp`, which is the last.
#[derive(Debug)]
#[non_exhaustive]
pub enum LinkEvent<'a> {
    /// A try begins.
    Connecting {
        /// How many have failed since there was a stable connection.
        failures: u32,
    },
    /// There is a connection.
    Open {
        /// What the server answered.
        response: &'a Response,
        /// What is put in here is sent before everything that waits: who we are, what we subscribe to. It is not among
        /// the [counts](Link::counts).
        first: &'a mut Vec<OwnedMessage>,
    },
    /// A message has come.
    Message(Message<'a>),
    /// A pong has come: the answer to [`Link::ping`], which has the same payload, or to a ping of the loop's own.
    Pong(&'a [u8]),
    /// There is no connection any more, or was none; it is sought again.
    Lost {
        /// Why.
        cause: &'a CloseCause,
        /// When the next try begins.
        retry_in: Duration,
    },
    /// It is not sought any more: we have closed, were told to stay away, or have failed too often.
    GaveUp {
        /// How the last connection or try has ended.
        cause: &'a CloseCause,
    },
}

/// How a link comes back, and what it keeps meanwhile.
///
/// ```
/// use std::time::Duration;
/// use wirefan_eventloop::client::{Reconnect, WhenFull};
///
/// let mut reconnect = Reconnect::default();
/// reconnect.backoff.cap = Duration::from_secs(10);
/// reconnect.offline.when_full = WhenFull::DropOldest;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reconnect {
    /// When to try again.
    pub backoff: Backoff,
    /// What waits for a connection.
    pub offline: Offline,
    /// Whether to try again at all. Default: [`Verdict::of`].
    pub verdict: fn(&CloseCause) -> Verdict,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            backoff: Backoff::default(),
            offline: Offline::default(),
            verdict: Verdict::of,
        }
    }
}

/// A connection that comes back when it is lost. Clones are the same one. Dropping them leaves it running;
/// [`close`](Self::close) ends it.
///
/// A message is handed to a connection once and never sent again: if that is lost right afterwards, nobody knows whether
/// the server has seen it.
///
/// ```no_run
/// use wirefan_eventloop::Dial;
/// use wirefan_eventloop::client::{Link, LinkEvent, Reconnect};
///
/// // A fresh token for each try.
/// let dial = Dial::new("wss://chat.example/")?.prepare(|dial| {
///     let token = std::fs::read_to_string("token")?;
///     Ok(dial.header("Authorization", &format!("Bearer {}", token.trim())))
/// });
/// let link = Link::open(dial, Reconnect::default(), |link, event| match event {
///     LinkEvent::Open { first, .. } => first.push("subscribe news".into()),
///     LinkEvent::Message(message) => println!("{message:?}"),
///     LinkEvent::Lost { cause, retry_in } => eprintln!("{cause}; again in {retry_in:?}"),
///     LinkEvent::GaveUp { cause } => eprintln!("{cause}: that was it"),
///     _ => drop(link.send("whatever happens")),
/// })?;
/// link.send("hello")?; // now, or when there is a connection
/// println!("{}", link.wait());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Link {
    pub(super) shared: Arc<Shared>,
    remote: Remote<Note>,
}

impl Link {
    /// Opens a link on a loop that all links of this process share, with the keep-alive pings of
    /// [`Timeouts::default`](crate::Timeouts). `on_event` is called on its thread and must not block: the other links wait
    /// meanwhile. Where it panics the loop ends, and with it all of its links and those that are opened later, with
    /// [`CloseCause::Shutdown`] and without [`LinkEvent::GaveUp`].
    ///
    /// # Errors
    ///
    /// The system has no thread or no poll for the loop.
    pub fn open(
        dial: Dial,
        reconnect: Reconnect,
        on_event: impl FnMut(&Self, LinkEvent<'_>) + Send + 'static,
    ) -> io::Result<Self> {
        static LINKS: OnceLock<Result<Links, io::ErrorKind>> = OnceLock::new();
        let links = LINKS.get_or_init(|| Links::start(Client::builder()).map_err(|it| it.kind()));
        match links {
            Ok(links) => Ok(links.open(dial, reconnect, on_event)),
            Err(kind) => Err((*kind).into()),
        }
    }

    /// Sends a message, or keeps it until there is a connection that takes it.
    ///
    /// # Errors
    ///
    /// There is no room for it and [`WhenFull::Refuse`](super::WhenFull::Refuse) is the rule, or the link has ended.
    pub fn send(&self, message: impl Into<OwnedMessage>) -> Result<(), LinkFull> {
        let message = message.into();
        let mut state = self.shared.lock();
        if state.closing || state.ended.is_some() {
            state.queue.refuse();
            return Err(LinkFull {
                message,
                ended: true,
            });
        }
        let queued = state.queue.push(message);
        self.have_flushed(&mut state);
        drop(state);
        match queued {
            Queued::Waits | Queued::Dropped => Ok(()),
            Queued::Refused(message) => Err(LinkFull {
                message,
                ended: false,
            }),
        }
    }

    /// Sends a ping with a payload of at most 125 bytes, ahead of what still waits, if there is a connection;
    /// [`LinkEvent::Pong`] tells of the answer. Whoever calls bounds how many are under way.
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`]; [`SendError::AfterClose`]: there is no connection.
    pub fn ping(&self, payload: &[u8]) -> Result<(), SendError> {
        if payload.len() > 125 {
            return Err(SendError::ControlTooLong);
        }
        let state = self.shared.lock();
        if state.closing || !state.open {
            return Err(SendError::AfterClose);
        }
        self.note(Order::Ping(payload.into()));
        Ok(())
    }

    /// Ends the link: closes the connection, behind what can be sent to it without waiting, or gives up seeking one.
    /// [`LinkEvent::GaveUp`] follows.
    ///
    /// # Errors
    ///
    /// [`SendError::InvalidCloseCode`], [`SendError::ReasonTooLong`].
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        if !code.is_sendable() {
            return Err(SendError::InvalidCloseCode);
        }
        if reason.len() > 123 {
            return Err(SendError::ReasonTooLong);
        }
        let mut state = self.shared.lock();
        if !state.closing && state.ended.is_none() {
            state.closing = true;
            self.note(Order::Close(code, reason.into()));
        }
        Ok(())
    }

    /// Whether there is a connection.
    pub fn is_open(&self) -> bool {
        self.shared.lock().open
    }

    /// What became of the messages that were sent.
    pub fn counts(&self) -> LinkCounts {
        self.shared.lock().queue.counts()
    }

    /// Waits until the link has ended, and tells how its last connection or try did. Not to be called from `on_event`.
    /// Where a callback has panicked it is [`CloseCause::Shutdown`].
    pub fn wait(&self) -> CloseCause {
        let mut state = self.shared.lock();
        loop {
            match &state.ended {
                Some(cause) => return cause.clone(),
                None => {
                    let waited = self.shared.changed.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Has the loop take what waits, once for however much that is.
    fn have_flushed(&self, state: &mut State) {
        if state.open && !state.flushing && !state.full && !state.queue.is_empty() {
            state.flushing = true;
            self.note(Order::Flush);
        }
    }

    fn note(&self, order: Order) {
        if let Some(mailbox) = self.remote.mailboxes.first() {
            let note = Note(Arc::clone(&self.shared), order);
            // There is at most one of each kind on its way, but for pings, which the caller bounds. A loop that has ended
            // refuses it: a course in it is dropped here, which ends the link, and no other order is missed.
            drop(mailbox.insist(Mail::Note(note)));
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Link")
            .field("open", &state.open)
            .field("counts", &state.queue.counts())
            .finish_non_exhaustive()
    }
}

/// A message was not taken.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LinkFull {
    /// The message.
    pub message: OwnedMessage,
    /// The link has ended, and will take none any more; otherwise too much waits for a connection.
    pub ended: bool,
}

impl fmt::Display for LinkFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.ended {
            "the link has ended"
        } else {
            "too much waits for a connection"
        })
    }
}

impl core::error::Error for LinkFull {}

/// A loop of its own for links: with other time limits and pings than those of [`Link::open`].
#[derive(Debug)]
pub struct Links {
    client: Client<Note, Box<Course>>,
}

impl Links {
    /// Starts the loop; links are shared out among its workers.
    ///
    /// # Errors
    ///
    /// The system has no thread or no poll for it.
    pub fn start(builder: ClientBuilder) -> io::Result<Self> {
        // One worker: a link stays on the thread on which it began.
        let client = builder.workers(1).start(|_| Linker)?;
        Ok(Self { client })
    }

    /// Opens a link, as [`Link::open`].
    pub fn open(
        &self,
        dial: Dial,
        reconnect: Reconnect,
        on_event: impl FnMut(&Link, LinkEvent<'_>) + Send + 'static,
    ) -> Link {
        let link = Link {
            shared: Arc::new(Shared::new(reconnect.offline)),
            remote: self.client.remote(),
        };
        let course = Box::new(Course {
            link: link.clone(),
            dial,
            reconnect,
            retry: Retry::default(),
            opened: None,
            on_event: Box::new(on_event),
        });
        link.note(Order::Begin(course));
        link
    }

    /// Closes every connection with 1001, waits for their ends at most for `grace`, and returns when all is over.
    ///
    /// # Errors
    ///
    /// The loop could not go on, or a callback panicked.
    pub fn shutdown(self, grace: Duration) -> io::Result<()> {
        self.client.shutdown(grace)
    }
}
