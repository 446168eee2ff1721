//! [`Script`]: a handler whose calls a test writes as closures, and the log of all of them. Used by the scenarios.

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use wirefan_protocol::handshake::{Reply, Request};

use super::world::{Setup, World};
use crate::{Caller, CloseCause, Conn, ConnId, Ctx, Decision, Handler, Message};

/// What was called, with the path that the connection asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Call {
    Open(String),
    Message(String, Vec<u8>),
    Drained(String),
    Timer(String),
    /// `true`: it had been open.
    Closed(String, bool, CloseCause),
}

type Act = Rc<dyn Fn(&mut Conn<'_, String>)>;
type OnMessage = Rc<dyn Fn(&mut Conn<'_, String>, Message<'_>)>;
type OnClosed = Rc<dyn Fn(&str, &mut Ctx<'_, String>)>;

/// What a note does.
pub(super) type Note = Box<dyn FnOnce(&mut Ctx<'_, String>) + Send>;

/// `/later…` is decided later, `/page…` is a page, everything else is accepted.
#[derive(Clone)]
pub(super) struct Script {
    pub(super) seen: Rc<RefCell<Book>>,
    on_open: Act,
    on_message: OnMessage,
    on_drained: Act,
    on_timer: Act,
    on_closed: OnClosed,
}

#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) calls: Vec<Call>,
    /// The names of all that asked, by path.
    pub(super) ids: BTreeMap<String, ConnId>,
    /// What each asked for.
    paths: BTreeMap<SocketAddr, String>,
}

impl Script {
    pub(super) fn new() -> Self {
        Self {
            seen: Rc::default(),
            on_open: Rc::new(|_| {}),
            on_message: Rc::new(|_, _| {}),
            on_drained: Rc::new(|_| {}),
            on_timer: Rc::new(|_| {}),
            on_closed: Rc::new(|_, _| {}),
        }
    }

    /// Sends back whatever comes.
    pub(super) fn echo() -> Self {
        Self::new().message(|conn, message| {
            let _ = conn.send(message);
        })
    }

    pub(super) fn open(mut self, act: impl Fn(&mut Conn<'_, String>) + 'static) -> Self {
        self.on_open = Rc::new(act);
        self
    }

    pub(super) fn message(
        mut self,
        act: impl Fn(&mut Conn<'_, String>, Message<'_>) + 'static,
    ) -> Self {
        self.on_message = Rc::new(act);
        self
    }

    pub(super) fn drained(mut self, act: impl Fn(&mut Conn<'_, String>) + 'static) -> Self {
        self.on_drained = Rc::new(act);
        self
    }

    pub(super) fn timer(mut self, act: impl Fn(&mut Conn<'_, String>) + 'static) -> Self {
        self.on_timer = Rc::new(act);
        self
    }

    pub(super) fn closed(mut self, act: impl Fn(&str, &mut Ctx<'_, String>) + 'static) -> Self {
        self.on_closed = Rc::new(act);
        self
    }

    pub(super) fn world(&self, setup: Setup) -> World<Self> {
        World::new(setup, Box::new(()), |_| self.clone())
    }

    pub(super) fn id(&self, path: &str) -> ConnId {
        self.seen.borrow().ids[path]
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.seen.borrow().calls.clone()
    }

    /// The messages of a connection, as text.
    pub(super) fn messages(&self, path: &str) -> Vec<String> {
        let seen = self.seen.borrow();
        let messages = seen.calls.iter().filter_map(|call| match call {
            Call::Message(from, message) if from == path => {
                Some(String::from_utf8_lossy(message).into_owned())
            }
            _ => None,
        });
        messages.collect()
    }

    /// How a connection ended: it must have been told once.
    pub(super) fn cause(&self, path: &str) -> CloseCause {
        let seen = self.seen.borrow();
        let mut causes = seen.calls.iter().filter_map(|call| match call {
            Call::Closed(from, _, cause) if from == path => Some(cause.clone()),
            _ => None,
        });
        let cause = causes.next().expect("the end is told");
        assert_eq!(causes.next(), None, "the end of {path} is told twice");
        cause
    }

    pub(super) fn count(&self, call: &Call) -> usize {
        self.seen
            .borrow()
            .calls
            .iter()
            .filter(|seen| *seen == call)
            .count()
    }

    fn note_down(&self, call: Call) {
        self.seen.borrow_mut().calls.push(call);
    }
}

impl Handler for Script {
    type Peer = String;
    type Note = Note;

    fn request(
        &mut self,
        request: &Request<'_>,
        caller: Caller,
        _: &mut Ctx<'_, String>,
    ) -> Decision<String> {
        let path = request.path();
        let mut seen = self.seen.borrow_mut();
        seen.ids.insert(path.into(), caller.id);
        seen.paths.insert(caller.addr, path.into());
        if path.starts_with("/later") {
            Decision::Later
        } else if let Some(len) = path.strip_prefix("/page") {
            Decision::Answer(Reply::text(200, "x".repeat(len.parse().unwrap_or(10))))
        } else {
            Decision::accept(path.into())
        }
    }

    fn open(&mut self, conn: &mut Conn<'_, String>) {
        self.note_down(Call::Open(conn.peer().clone()));
        (self.on_open)(conn);
    }

    fn message(&mut self, conn: &mut Conn<'_, String>, message: Message<'_>) {
        let bytes = message.parts().1.to_vec();
        self.note_down(Call::Message(conn.peer().clone(), bytes));
        (self.on_message)(conn, message);
    }

    fn drained(&mut self, conn: &mut Conn<'_, String>) {
        self.note_down(Call::Drained(conn.peer().clone()));
        (self.on_drained)(conn);
    }

    fn timer(&mut self, conn: &mut Conn<'_, String>) {
        self.note_down(Call::Timer(conn.peer().clone()));
        (self.on_timer)(conn);
    }

    fn closed(
        &mut self,
        peer: Option<String>,
        caller: Caller,
        cause: CloseCause,
        server: &mut Ctx<'_, String>,
    ) {
        let open = peer.is_some();
        let asked = self.seen.borrow().paths.get(&caller.addr).cloned();
        let path = peer
            .or(asked)
            .unwrap_or_else(|| format!("#{}", caller.addr.port()));
        self.note_down(Call::Closed(path.clone(), open, cause));
        (self.on_closed)(&path, server);
    }

    fn note(&mut self, note: Note, server: &mut Ctx<'_, String>) {
        note(server);
    }
}
