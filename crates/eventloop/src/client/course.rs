//! [`Course`]: the loop's side of a link. It travels as the peer of the link's connection: what one has left at its end,
//! the next one begins with.

use core::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use wirefan_protocol::{CloseCode, Millis};

use super::backoff::Retry;
use super::offline::Queue;
use super::{Dial, Link, LinkEvent, Offline, Reconnect, Response, Verdict};
use crate::{Caller, CloseCause, Conn, ConnId, Ctx, Handler, Message, Sent};

/// What the loop and the threads that use a link share.
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) changed: Condvar,
}

pub(super) struct State {
    pub(super) queue: Queue,
    /// The connection that there is or is to be.
    id: Option<ConnId>,
    pub(super) open: bool,
    /// The loop has been asked to take what waits.
    pub(super) flushing: bool,
    /// The server does not read what it was sent.
    pub(super) full: bool,
    pub(super) closing: bool,
    pub(super) ended: Option<CloseCause>,
}

impl Shared {
    pub(super) fn new(offline: Offline) -> Self {
        Self {
            state: Mutex::new(State {
                queue: Queue::new(offline),
                id: None,
                open: false,
                flushing: false,
                full: false,
                closing: false,
                ended: None,
            }),
            changed: Condvar::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the loop is asked to do for a link.
pub(super) struct Note(pub(super) Arc<Shared>, pub(super) Order);

pub(super) enum Order {
    Begin(Box<Course>),
    Flush,
    Ping(Box<[u8]>),
    Close(CloseCode, Box<str>),
}

pub(super) type OnEvent = Box<dyn FnMut(&Link, LinkEvent<'_>) + Send>;

/// The loop's side of a link.
pub(super) struct Course {
    pub(super) link: Link,
    pub(super) dial: Dial,
    pub(super) reconnect: Reconnect,
    pub(super) retry: Retry,
    /// When the connection was opened, if it was.
    pub(super) opened: Option<Millis>,
    pub(super) on_event: OnEvent,
}

impl Course {
    fn tell(&mut self, event: LinkEvent<'_>) {
        (self.on_event)(&self.link, event);
    }

    /// Starts a try.
    fn try_after(mut self: Box<Self>, wait: Duration, ctx: &mut Ctx<'_, Box<Self>>) {
        let shared = Arc::clone(&self.link.shared);
        if shared.lock().closing {
            let code = CloseCode::NORMAL;
            return self.give_up(&CloseCause::WeClosed { code });
        }
        self.opened = None;
        let dial = self.dial.clone().after(wait);
        let id = ctx.dial(dial, self);
        shared.lock().id = Some(id);
    }

    fn give_up(&mut self, cause: &CloseCause) {
        {
            let mut state = self.link.shared.lock();
            state.queue.drop_all();
            state.ended = Some(cause.clone());
        }
        self.tell(LinkEvent::GaveUp { cause });
        self.link.shared.changed.notify_all();
    }
}

/// A link whose loop is no more, as where a callback has panicked, has ended: nobody is to wait for it in vain. A course
/// is never dropped while the state of its link is locked.
impl Drop for Course {
    fn drop(&mut self) {
        let shared = &self.link.shared;
        {
            let mut state = shared.lock();
            if state.ended.is_none() {
                state.queue.drop_all();
                state.open = false;
                state.ended = Some(CloseCause::Shutdown);
            }
        }
        // In any case: it may be `GaveUp` at which the callback has panicked.
        shared.changed.notify_all();
    }
}

impl fmt::Debug for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Course").finish_non_exhaustive()
    }
}

/// Hands what waits to a connection, until it has enough.
fn flush(shared: &Shared, ctx: &mut Ctx<'_, Box<Course>>) {
    let mut state = shared.lock();
    state.flushing = false;
    let Some(id) = state.id.filter(|_| state.open) else {
        return;
    };
    while let Some(message) = state.queue.pop() {
        match ctx.send(id, message.borrowed()) {
            Sent::Queued => {}
            // `drained` goes on with it.
            Sent::Full => {
                state.full = true;
                return;
            }
            Sent::Dropped => return state.queue.put_back(message),
        }
    }
}

/// The handler of all links of a loop.
pub(super) struct Linker;

impl Handler for Linker {
    type Peer = Box<Course>;
    type Note = Note;

    fn dialling(&mut self, course: &mut Self::Peer) {
        let failures = course.retry.failures();
        course.tell(LinkEvent::Connecting { failures });
    }

    fn open(&mut self, conn: &mut Conn<'_, Self::Peer>) {
        let now = conn.core.now;
        let response = conn.response().cloned().unwrap_or_else(Response::none);
        let course = conn.peer();
        course.opened = Some(now);
        let mut first = Vec::new();
        course.tell(LinkEvent::Open {
            response: &response,
            first: &mut first,
        });
        let shared = Arc::clone(&course.link.shared);
        for message in &first {
            let _ = conn.send(message.borrowed());
        }
        {
            let mut state = shared.lock();
            state.open = true;
            state.full = false;
        }
        flush(&shared, &mut conn.server());
    }

    fn message(&mut self, conn: &mut Conn<'_, Self::Peer>, message: Message<'_>) {
        conn.peer().tell(LinkEvent::Message(message));
    }

    fn pong(&mut self, conn: &mut Conn<'_, Self::Peer>, payload: &[u8], _: Option<Duration>) {
        conn.peer().tell(LinkEvent::Pong(payload));
    }

    fn drained(&mut self, conn: &mut Conn<'_, Self::Peer>) {
        let shared = Arc::clone(&conn.peer().link.shared);
        shared.lock().full = false;
        flush(&shared, &mut conn.server());
    }

    fn closed(
        &mut self,
        course: Option<Self::Peer>,
        _: Caller,
        cause: CloseCause,
        ctx: &mut Ctx<'_, Self::Peer>,
    ) {
        let Some(mut course) = course else {
            return;
        };
        let closing = {
            let mut state = course.link.shared.lock();
            state.open = false;
            state.id = None;
            state.closing
        };
        let verdict = course.reconnect.verdict;
        // A loop that is leaving dials no more, whatever the cause.
        let stays = closing || ctx.core.leaving || cause == CloseCause::Shutdown;
        let wait = if stays || verdict(&cause) == Verdict::StayAway {
            None
        } else {
            let now = ctx.core.now;
            let open_for =
                (course.opened).map(|opened| Duration::from_millis(now.0.saturating_sub(opened.0)));
            let mut random = [0; 8];
            // Without randomness the wait is merely not spread out.
            let _ = getrandom::fill(&mut random);
            let backoff = course.reconnect.backoff.clone();
            let random = (u64::from_ne_bytes(random), SystemTime::now());
            course.retry.after(&cause, open_for, &backoff, random)
        };
        match wait {
            None => course.give_up(&cause),
            Some(wait) => {
                course.tell(LinkEvent::Lost {
                    cause: &cause,
                    retry_in: wait,
                });
                course.try_after(wait, ctx);
            }
        }
    }

    fn note(&mut self, Note(shared, order): Note, ctx: &mut Ctx<'_, Self::Peer>) {
        match order {
            Order::Begin(course) => course.try_after(Duration::ZERO, ctx),
            Order::Flush => flush(&shared, ctx),
            Order::Ping(payload) => {
                let id = shared.lock().id;
                if let Some(index) = id.and_then(|id| ctx.core.slots.find(id)) {
                    // It may have ended meanwhile, which the caller is told by an event.
                    let _ = ctx.core.ping(index, &payload);
                }
            }
            Order::Close(code, reason) => {
                flush(&shared, ctx);
                let id = shared.lock().id;
                if let Some(id) = id {
                    ctx.close(id, code, &reason);
                }
            }
        }
    }
}
