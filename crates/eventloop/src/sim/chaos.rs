//! [`Chaos`]: a handler that does anything from any of its calls, and tells the model of it. Used by the random runs.

use core::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wirefan_protocol::handshake::{Reply, Request};
use wirefan_protocol::{CloseCode, Frame};

use super::chance::Clock;
use super::model::{Content, Mode, Model};
use super::world::Watch;
use crate::{Acceptance, Caller, CloseCause, Conn, ConnId, Ctx, Decision, Handler, Message, Sent};

/// Topics in use. All fit into a few, so that connections meet.
pub(super) const TOPICS: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Clone)]
pub(super) struct Chaos {
    pub(super) model: Rc<RefCell<Model>>,
    pub(super) clock: Rc<RefCell<Clock>>,
    pub(super) worker: usize,
    /// Nothing of its own accord any more.
    pub(super) calm: Rc<RefCell<bool>>,
    /// Requests to be decided.
    pub(super) held: Rc<RefCell<Vec<ConnId>>>,
    /// Every caller's end: which client it was, why, and when.
    pub(super) ends: Rc<RefCell<Vec<(usize, CloseCause, u64)>>>,
}

/// What is told to a worker from elsewhere.
#[derive(Debug)]
pub(super) enum Note {
    Act,
    Decide(ConnId, bool),
}

impl Watch for Chaos {
    fn opens_mail(&self, worker: usize) {
        self.model.borrow_mut().opens_mail(worker);
    }
    fn opened_mail(&self, worker: usize) {
        self.model.borrow_mut().took_mail(worker, false, self.now());
    }
    fn turned(&self, worker: usize) {
        self.model.borrow_mut().turned(worker);
    }
}

impl Chaos {
    pub(super) fn new(model: Model) -> Self {
        Self {
            model: Rc::new(RefCell::new(model)),
            clock: Rc::default(),
            worker: 0,
            calm: Rc::default(),
            held: Rc::default(),
            ends: Rc::default(),
        }
    }

    fn now(&self) -> u64 {
        self.clock.borrow().now()
    }

    /// How many things to do in this call.
    fn deeds(&self) -> usize {
        if *self.calm.borrow() {
            return 0;
        }
        let rng = &mut self.model.borrow_mut().rng;
        match rng.below(20) {
            0 => rng.below(40),
            1..12 => rng.below(4),
            _ => 0,
        }
    }

    /// Something with a connection in hand.
    fn act(&self, conn: &mut Conn<'_, usize>) {
        for _ in 0..self.deeds() {
            let (model, me) = (&mut *self.model.borrow_mut(), conn.id());
            let topic = model.rng.below(TOPICS.len().min(model.topics_used));
            match model.rng.below(100) {
                0..20 => {
                    let (id, content) = model.new_message();
                    let sent = send_to(conn, &content, model.rng.percent(30));
                    model.sent(me, id, sent);
                }
                20..40 => {
                    let (id, content) = model.new_message();
                    conn.publish(TOPICS[topic], content.message());
                    model.published(self.worker, topic, id, Some(me));
                }
                40..50 => {
                    let (id, content) = model.new_message();
                    conn.publish_all(TOPICS[topic], content.message());
                    model.published(self.worker, topic, id, None);
                }
                50..62 => {
                    conn.subscribe(TOPICS[topic]);
                    model.subscribed(me, topic);
                }
                62..68 => {
                    let was = conn.unsubscribe(TOPICS[topic]);
                    model.unsubscribed(me, topic, was);
                }
                68 => self.close(conn, model),
                69..72 => {
                    conn.pause_reading();
                    let pause = model.rng.below(300) as u64;
                    conn.set_timer(Duration::from_millis(pause));
                    let track = model.get(me);
                    (track.paused, track.timer) = (true, Some(self.now() + pause));
                }
                72..74 if !model.get(me).paused => {
                    let wait = model.rng.below(1000) as u64;
                    conn.set_timer(Duration::from_millis(wait));
                    model.get(me).timer = Some(self.now() + wait);
                }
                74 if !model.get(me).paused => {
                    conn.clear_timer();
                    model.get(me).timer = None;
                }
                75..77 => {
                    conn.resume_reading();
                    model.get(me).paused = false;
                }
                77..79 => {
                    let sent = conn.send_ping(b"hi");
                    let track = model.get(me);
                    assert_eq!(sent.is_ok(), track.is_open() && sent.is_ok(), "{sent:?}");
                }
                _ => self.act_elsewhere(&mut conn.server(), model),
            }
        }
    }

    fn close(&self, conn: &mut Conn<'_, usize>, model: &mut Model) {
        let (me, code) = (conn.id(), 3000 + model.rng.below(900) as u16);
        let closed = conn.close(CloseCode(code), "enough");
        let track = model.get(me);
        if closed.is_ok() {
            assert!(track.is_open(), "a second Close");
            model.our_close(me, code, self.now());
        } else {
            assert!(
                !track.is_healthy() || model.mode == Mode::Closes,
                "{closed:?}"
            );
        }
    }

    fn act_without(&self, server: &mut Ctx<'_, usize>) {
        for _ in 0..self.deeds() {
            self.act_elsewhere(server, &mut self.model.borrow_mut());
        }
    }

    /// Something that concerns other connections, gone ones too.
    fn act_elsewhere(&self, server: &mut Ctx<'_, usize>, model: &mut Model) {
        let topic = model.rng.below(TOPICS.len().min(model.topics_used));
        let all: Vec<ConnId> = model.tracks.keys().copied().collect();
        match model.rng.below(10) {
            0..4 => {
                let (id, content) = model.new_message();
                server.publish(TOPICS[topic], content.message());
                model.published(self.worker, topic, id, None);
            }
            4..8 if !all.is_empty() => {
                let to = model.rng.pick(&all);
                let (id, content) = model.new_message();
                let sent = if model.rng.percent(50) {
                    server.send(to, content.message())
                } else {
                    server.send_frame(to, &frame(&content))
                };
                if to.worker() == self.worker {
                    model.sent(to, id, sent);
                } else {
                    assert_eq!(sent, Sent::Queued);
                    model.posted(self.worker, to, id);
                }
            }
            8 => model.check_members(topic, server.members(TOPICS[topic])),
            9 if !all.is_empty() && model.rng.percent(10) => {
                let (to, code) = (model.rng.pick(&all), 4000 + model.rng.below(900) as u16);
                server.close(to, CloseCode(code), "");
                if to.worker() == self.worker {
                    model.our_close(to, code, self.now());
                } else {
                    model.posted_close(self.worker, to, code);
                }
            }
            _ => {}
        }
    }
}

fn frame(content: &Content) -> Frame {
    match content {
        Content::Text(text) => Frame::text(text),
        Content::Binary(data) => Frame::binary(data),
    }
}

fn send_to(conn: &mut Conn<'_, usize>, content: &Content, as_frame: bool) -> Sent {
    match content {
        _ if as_frame => conn.send_frame(&frame(content)),
        Content::Text(text) => conn.send_text(text),
        Content::Binary(data) => conn.send_binary(data),
    }
}

impl Handler for Chaos {
    /// The client's number.
    type Peer = usize;
    type Note = Note;

    fn request(
        &mut self,
        request: &Request<'_>,
        caller: Caller,
        server: &mut Ctx<'_, usize>,
    ) -> Decision<usize> {
        let client = usize::from(caller.addr.port());
        // Who asks and does not stay was doubtful from the beginning.
        self.model
            .borrow_mut()
            .track(caller.id, client, request.path() != "/stay");
        self.act_without(server);
        match request.path() {
            "/page" => Decision::Answer(Reply::text(200, "x".repeat(3000))),
            "/later" => {
                self.held.borrow_mut().push(caller.id);
                Decision::Later
            }
            _ => Decision::accept(client),
        }
    }

    fn open(&mut self, conn: &mut Conn<'_, usize>) {
        let (id, client) = (conn.id(), *conn.peer());
        {
            let mut model = self.model.borrow_mut();
            assert!(
                !model.shutting || !*self.calm.borrow(),
                "opened in a shutdown"
            );
            let track = model.get(id);
            assert_eq!((track.client, track.opened, conn.id()), (client, false, id));
            track.opened = true;
        }
        self.act(conn);
    }

    fn message(&mut self, conn: &mut Conn<'_, usize>, message: Message<'_>) {
        {
            let (mut model, client) = (self.model.borrow_mut(), *conn.peer());
            let content = match message {
                Message::Text(text) => Content::Text(text.into()),
                Message::Binary(data) => Content::Binary(data.into()),
            };
            let track = model.get(conn.id());
            assert!(
                track.is_open(),
                "a message behind our Close, or before the opening"
            );
            let next = model.sent[client].pop_front();
            assert_eq!(
                Some(content.id()),
                next,
                "a client's messages come once and in order"
            );
        }
        self.act(conn);
    }

    fn drained(&mut self, conn: &mut Conn<'_, usize>) {
        {
            let mut model = self.model.borrow_mut();
            assert!(
                conn.backlog() <= model.low,
                "drained with {} bytes",
                conn.backlog()
            );
            let track = model.get(conn.id());
            assert!(track.is_open(), "drained behind our Close");
            track.owed_drained = false;
        }
        self.act(conn);
    }

    fn pong(&mut self, conn: &mut Conn<'_, usize>, _: &[u8], _: Option<Duration>) {
        let _ = conn.rtt();
        self.act(conn);
    }

    fn timer(&mut self, conn: &mut Conn<'_, usize>) {
        {
            let (mut model, now) = (self.model.borrow_mut(), self.now());
            let track = model.get(conn.id());
            assert!(track.is_open(), "a timer behind our Close");
            let due = track.timer.take().expect("a timer that was set");
            assert!(due <= now, "a timer too early: {due}, {now}");
            if core::mem::take(&mut track.paused) {
                conn.resume_reading();
            }
        }
        self.act(conn);
    }

    fn closed(
        &mut self,
        peer: Option<usize>,
        caller: Caller,
        cause: CloseCause,
        server: &mut Ctx<'_, usize>,
    ) {
        let client = usize::from(caller.addr.port());
        {
            let mut model = self.model.borrow_mut();
            self.ends
                .borrow_mut()
                .push((client, cause.clone(), self.now()));
            if let Some(track) = model.tracks.get_mut(&caller.id) {
                assert_eq!(track.closed.replace(cause), None, "closed twice");
                assert_eq!(peer, track.opened.then_some(client));
                model.forget_memberships(caller.id);
            } else {
                assert_eq!(peer, None, "open without having asked");
            }
        }
        self.act_without(server);
    }

    fn note(&mut self, note: Note, server: &mut Ctx<'_, usize>) {
        self.model
            .borrow_mut()
            .took_mail(self.worker, true, self.now());
        match note {
            Note::Act => self.act_without(server),
            Note::Decide(id, true) => {
                let client = self.model.borrow_mut().get(id).client;
                let _ = server.accept(id, Acceptance::new(client));
            }
            Note::Decide(id, false) => {
                let _ = server.answer(id, Reply::text(403, "no"));
            }
        }
    }
}
