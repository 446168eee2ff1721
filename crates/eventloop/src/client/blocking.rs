//! A WebSocket for scripts and threads: [`connect`], then send and receive, and every call waits until it is done.
//!
//! ```no_run
//! use wirefan_eventloop::client::blocking::connect;
//!
//! let socket = connect("ws://127.0.0.1:9001/")?;
//! socket.send("hello")?;
//! println!("{:?}", socket.recv()?);
//! for message in &socket {
//!     println!("{message:?}");
//! }
//! println!("{}", socket.close());
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! Behind it is one loop for all of these in a process, on a thread of its own: pings are answered and a dead peer is
//! noticed whether somebody receives or not. What comes is kept up to 1 MiB, beyond which the server is not read from; a
//! call that sends waits while the server does not read.

use core::error::Error;
use core::fmt;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use wirefan_protocol::{CloseCode, SendError};

use super::{Client, Dial, DialError, OwnedMessage, Response};
use crate::mailbox::Mail;
use crate::{Caller, CloseCause, Conn, ConnId, Ctx, Handler, Message, Remote, Sent};

/// Received bytes from which on nothing more is read, and below which reading goes on.
const HIGH: usize = 1024 * 1024;
const LOW: usize = HIGH / 2;
/// Bytes on their way to the loop from which on senders wait.
const UNDER_WAY: usize = 512 * 1024;
/// What keeping a message costs beside its bytes.
const COST: usize = 64;

/// Connects to `ws://host[:port][/path][?query]` or `wss://`, and waits until the connection is open.
///
/// # Errors
///
/// Why there is none.
pub fn connect(url: &str) -> Result<WebSocket, DialError> {
    connect_with(Dial::new(url)?)
}

/// The same with headers, subprotocols, time limits and whatever else a [`Dial`] has.
///
/// # Errors
///
/// Why there is none.
pub fn connect_with(dial: Dial) -> Result<WebSocket, DialError> {
    let remote = engine()?;
    let shared = Arc::new(Shared::default());
    let peer = Arc::clone(&shared);
    let letter = super::Letter::dial(dial, peer);
    if let Some(mailbox) = remote.mailboxes.first() {
        let _ = mailbox.insist(Mail::Client(letter));
    }
    let mut state = shared.lock();
    loop {
        match (&state.open, &state.closed) {
            (Some((id, _)), _) => {
                let id = *id;
                drop(state);
                let inner = Inner { shared, id, remote };
                return Ok(WebSocket(Arc::new(inner)));
            }
            (None, Some(CloseCause::Dial(why))) => return Err(why.clone()),
            (None, Some(_)) => return Err(DialError::Ended),
            (None, None) => state = shared.wait(state),
        }
    }
}

/// An open connection. All calls take it by reference, and clones are the same connection: several threads may send and
/// receive at once, each message going to one of those that wait.
///
/// When the last clone is dropped the connection is closed as by [`close`](Self::close).
#[derive(Clone)]
pub struct WebSocket(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    id: ConnId,
    remote: Remote<Note>,
}

impl WebSocket {
    /// Sends a message; waits while the server does not read what was sent before.
    ///
    /// What is sent before [`close`](Self::close) arrives before it.
    ///
    /// # Errors
    ///
    /// The connection has ended, or is about to.
    pub fn send(&self, message: impl Into<OwnedMessage>) -> Result<(), Closed> {
        let (message, shared) = (message.into(), &self.0.shared);
        let weight = message.len() + COST;
        let mut state = shared.lock();
        while state.closed.is_none()
            && !state.closing
            && state.under_way > 0
            && state.under_way + weight > UNDER_WAY
        {
            state = shared.wait(state);
        }
        if let Some(cause) = &state.closed {
            return Err(Closed(cause.clone()));
        }
        if state.closing {
            let code = CloseCode::NORMAL;
            return Err(Closed(CloseCause::WeClosed { code }));
        }
        state.under_way += weight;
        // Under the lock, so that messages go in the order in which they were counted.
        self.0.note(Order::Send(message));
        Ok(())
    }

    /// Receives the next message, waiting for it.
    ///
    /// # Errors
    ///
    /// The connection has ended, and all that had come before was received.
    pub fn recv(&self) -> Result<OwnedMessage, Closed> {
        let shared = &self.0.shared;
        let mut state = shared.lock();
        loop {
            match self.take(&mut state) {
                Some(taken) => return taken,
                None => state = shared.wait(state),
            }
        }
    }

    /// The same, but waits no longer than `timeout`; `Ok(None)`: nothing has come in this time.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<OwnedMessage>, Closed> {
        let shared = &self.0.shared;
        let until = Instant::now().checked_add(timeout);
        let mut state = shared.lock();
        loop {
            if let Some(taken) = self.take(&mut state) {
                return taken.map(Some);
            }
            let left = until.map_or(Duration::MAX, |until| {
                until.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return Ok(None);
            }
            state = shared.wait_for(state, left);
        }
    }

    /// The messages as they come, until the connection has ended; [`closed`](Self::closed) tells how.
    pub fn messages(&self) -> Messages<'_> {
        Messages(self)
    }

    /// Closes with 1000 behind all that was sent, waits for the server's Close, and tells how the connection has ended.
    /// What still comes meanwhile is not received.
    pub fn close(&self) -> CloseCause {
        self.close_with(CloseCode::NORMAL, "")
            .unwrap_or_else(|_| self.0.wait_for_end())
    }

    /// The same with another code, and a reason of at most 123 bytes.
    ///
    /// # Errors
    ///
    /// [`SendError::InvalidCloseCode`], [`SendError::ReasonTooLong`].
    pub fn close_with(&self, code: CloseCode, reason: &str) -> Result<CloseCause, SendError> {
        if !code.is_sendable() {
            return Err(SendError::InvalidCloseCode);
        }
        if reason.len() > 123 {
            return Err(SendError::ReasonTooLong);
        }
        self.0.begin_close(code, reason);
        Ok(self.0.wait_for_end())
    }

    /// How the connection has ended, if it has.
    pub fn closed(&self) -> Option<CloseCause> {
        self.0.shared.lock().closed.clone()
    }

    /// What the server answered to the handshake: the subprotocol, headers.
    pub fn response(&self) -> Response {
        let state = self.0.shared.lock();
        // There is no `WebSocket` before it is open.
        state
            .open
            .as_ref()
            .map_or_else(Response::none, |open| open.1.clone())
    }

    /// What is there for `recv`, if anything.
    fn take(&self, state: &mut State) -> Option<Result<OwnedMessage, Closed>> {
        if let Some(message) = state.received.pop_front() {
            state.kept -= message.len() + COST;
            if state.paused && state.kept <= LOW {
                state.paused = false;
                self.0.note(Order::Resume);
            }
            return Some(Ok(message));
        }
        let cause = state.closed.as_ref()?;
        Some(Err(Closed(cause.clone())))
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("id", &self.0.id)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn note(&self, order: Order) {
        if let Some(mailbox) = self.remote.mailboxes.first() {
            // What is under way is bounded by those who send.
            let _ = mailbox.insist(Mail::Note(Note(self.id, order)));
        }
    }

    fn begin_close(&self, code: CloseCode, reason: &str) {
        let mut state = self.shared.lock();
        if !state.closing && state.closed.is_none() {
            state.closing = true;
            self.note(Order::Close(code, reason.into()));
            self.shared.changed.notify_all();
        }
    }

    fn wait_for_end(&self) -> CloseCause {
        let mut state = self.shared.lock();
        loop {
            match &state.closed {
                Some(cause) => return cause.clone(),
                None => state = self.shared.wait(state),
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.begin_close(CloseCode::NORMAL, "");
        // The loop gives up on a server that does not answer; a program that dies does not wait for that.
        if !std::thread::panicking() {
            self.wait_for_end();
        }
    }
}

/// The messages of a connection as they come. From [`WebSocket::messages`].
#[derive(Debug)]
pub struct Messages<'a>(&'a WebSocket);

impl Iterator for Messages<'_> {
    type Item = OwnedMessage;

    fn next(&mut self) -> Option<OwnedMessage> {
        self.0.recv().ok()
    }
}

impl<'a> IntoIterator for &'a WebSocket {
    type Item = OwnedMessage;
    type IntoIter = Messages<'a>;

    fn into_iter(self) -> Messages<'a> {
        self.messages()
    }
}

/// The connection has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Closed(pub CloseCause);

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the connection has ended: {}", self.0)
    }
}

impl Error for Closed {}

/// What the loop and the threads that use a connection share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    open: Option<(ConnId, Response)>,
    received: VecDeque<OwnedMessage>,
    /// What these weigh.
    kept: usize,
    /// The loop does not read, for nobody takes these.
    paused: bool,
    /// What was sent and the loop has not taken, or has taken beyond what the server reads.
    under_way: usize,
    /// We have closed.
    closing: bool,
    closed: Option<CloseCause>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for<'a>(&self, state: MutexGuard<'a, State>, left: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, left);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// What a thread wants of the loop.
struct Note(ConnId, Order);

enum Order {
    Send(OwnedMessage),
    Resume,
    Close(CloseCode, Box<str>),
}

/// The loop of this process for connections of this kind.
fn engine() -> Result<Remote<Note>, DialError> {
    static ENGINE: OnceLock<Result<Remote<Note>, DialError>> = OnceLock::new();
    let start = || {
        // Dropped, it goes on.
        let client = Client::builder().start(|_| Engine);
        match client {
            Ok(client) => Ok(client.remote()),
            Err(error) => Err(DialError::Io(error.kind())),
        }
    };
    ENGINE.get_or_init(start).clone()
}

struct Engine;

impl Handler for Engine {
    type Peer = Arc<Shared>;
    type Note = Note;

    fn open(&mut self, conn: &mut Conn<'_, Self::Peer>) {
        let response = conn.response().cloned().unwrap_or_else(Response::none);
        let open = Some((conn.id(), response));
        conn.peer().change(|state| state.open = open);
    }

    fn message(&mut self, conn: &mut Conn<'_, Self::Peer>, message: Message<'_>) {
        let message = OwnedMessage::from(message);
        let mut pause = false;
        conn.peer().change(|state| {
            state.kept += message.len() + COST;
            state.received.push_back(message);
            pause = state.kept >= HIGH && !state.paused;
            state.paused |= pause;
        });
        if pause {
            conn.pause_reading();
        }
    }

    fn drained(&mut self, conn: &mut Conn<'_, Self::Peer>) {
        conn.peer().change(|state| state.under_way = 0);
    }

    fn closed(
        &mut self,
        peer: Option<Self::Peer>,
        _: Caller,
        cause: CloseCause,
        _: &mut Ctx<'_, Self::Peer>,
    ) {
        if let Some(peer) = peer {
            peer.change(|state| state.closed = Some(cause));
        }
    }

    fn note(&mut self, Note(id, order): Note, ctx: &mut Ctx<'_, Self::Peer>) {
        match order {
            Order::Close(code, reason) => ctx.close(id, code, &reason),
            Order::Resume => ctx.resume_reading(id),
            Order::Send(message) => {
                let sent = ctx.send(id, message.borrowed());
                let Some(peer) = ctx.core.peer(id) else {
                    return;
                };
                peer.change(|state| match sent {
                    // It counts until the server has read: `drained` tells.
                    Sent::Full => {}
                    _ => state.under_way = state.under_way.saturating_sub(message.len() + COST),
                });
            }
        }
    }
}
