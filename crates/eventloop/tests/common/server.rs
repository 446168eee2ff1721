//! A server in this process whose handler tells what it sees, and does what a test gives it to do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use wirefan_eventloop::{
    Caller, CloseCause, Conn, ConnId, Ctx, Decision, Handler, Message, Remote, Server,
    ServerBuilder,
};
use wirefan_protocol::handshake::Request;

use super::PATIENCE;
use super::client::Client;

/// What a handler was told.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    Open(ConnId),
    Drained(ConnId),
    Pong(ConnId, Vec<u8>, Option<Duration>),
    Closed(Closed),
}

/// The last call for a caller.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) id: ConnId,
    /// Whether there was a connection.
    pub(crate) opened: bool,
    pub(crate) cause: CloseCause,
    pub(crate) when: Instant,
}

/// Something to be done on a worker's thread.
pub(crate) type Task = Box<dyn FnOnce(&mut Ctx<'_, String>) + Send>;

type OnRequest = dyn Fn(&Request<'_>, Caller) -> Decision<String> + Send + Sync;
type OnConn = dyn Fn(&mut Conn<'_, String>) + Send + Sync;
type OnMessage = dyn Fn(&mut Conn<'_, String>, Message<'_>) + Send + Sync;

/// What the handler does. As it is made it accepts every request, the path being what is kept of it, and echoes.
#[derive(Clone)]
pub(crate) struct App {
    on_request: Arc<OnRequest>,
    on_open: Arc<OnConn>,
    on_message: Arc<OnMessage>,
    on_drained: Arc<OnConn>,
    on_timer: Arc<OnConn>,
}

impl App {
    pub(crate) fn echo() -> Self {
        Self {
            on_request: Arc::new(|request, _| Decision::accept(request.path().into())),
            on_open: Arc::new(|_| {}),
            on_message: Arc::new(|conn, message| {
                let _ = conn.send(message);
            }),
            on_drained: Arc::new(|_| {}),
            on_timer: Arc::new(|_| {}),
        }
    }

    /// The path is the room; a message goes to all others in it.
    pub(crate) fn rooms() -> Self {
        Self::echo()
            .on_open(|conn| {
                let room = conn.peer().clone();
                conn.subscribe(&room);
            })
            .on_message(|conn, message| {
                let room = conn.peer().clone();
                conn.publish(&room, message);
            })
    }

    pub(crate) fn on_request(
        mut self,
        call: impl Fn(&Request<'_>, Caller) -> Decision<String> + Send + Sync + 'static,
    ) -> Self {
        self.on_request = Arc::new(call);
        self
    }

    pub(crate) fn on_open(
        mut self,
        call: impl Fn(&mut Conn<'_, String>) + Send + Sync + 'static,
    ) -> Self {
        self.on_open = Arc::new(call);
        self
    }

    pub(crate) fn on_message(
        mut self,
        call: impl Fn(&mut Conn<'_, String>, Message<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.on_message = Arc::new(call);
        self
    }

    pub(crate) fn on_drained(
        mut self,
        call: impl Fn(&mut Conn<'_, String>) + Send + Sync + 'static,
    ) -> Self {
        self.on_drained = Arc::new(call);
        self
    }

    pub(crate) fn on_timer(
        mut self,
        call: impl Fn(&mut Conn<'_, String>) + Send + Sync + 'static,
    ) -> Self {
        self.on_timer = Arc::new(call);
        self
    }
}

struct Probe {
    app: App,
    seen: Sender<Seen>,
}

impl Probe {
    fn tell(&self, seen: Seen) {
        // A test that has seen enough does not listen any more.
        let _ = self.seen.send(seen);
    }
}

impl Handler for Probe {
    type Peer = String;
    type Note = Task;

    fn request(
        &mut self,
        request: &Request<'_>,
        caller: Caller,
        _: &mut Ctx<'_, String>,
    ) -> Decision<String> {
        (self.app.on_request)(request, caller)
    }

    fn open(&mut self, conn: &mut Conn<'_, String>) {
        (self.app.on_open)(conn);
        self.tell(Seen::Open(conn.id()));
    }

    fn message(&mut self, conn: &mut Conn<'_, String>, message: Message<'_>) {
        (self.app.on_message)(conn, message);
    }

    fn drained(&mut self, conn: &mut Conn<'_, String>) {
        self.tell(Seen::Drained(conn.id()));
        (self.app.on_drained)(conn);
    }

    fn pong(&mut self, conn: &mut Conn<'_, String>, payload: &[u8], rtt: Option<Duration>) {
        assert!(rtt.is_none() || conn.rtt() == rtt);
        self.tell(Seen::Pong(conn.id(), payload.into(), rtt));
    }

    fn timer(&mut self, conn: &mut Conn<'_, String>) {
        (self.app.on_timer)(conn);
    }

    fn closed(
        &mut self,
        peer: Option<String>,
        caller: Caller,
        cause: CloseCause,
        _: &mut Ctx<'_, String>,
    ) {
        self.tell(Seen::Closed(Closed {
            id: caller.id,
            opened: peer.is_some(),
            cause,
            when: Instant::now(),
        }));
    }

    fn note(&mut self, task: Task, server: &mut Ctx<'_, String>) {
        task(server);
    }
}

/// A running server.
pub(crate) struct TestServer {
    pub(crate) addr: SocketAddr,
    /// All that it listens on, in the order in which it was told to.
    pub(crate) addrs: Vec<SocketAddr>,
    pub(crate) remote: Remote<Task>,
    seen: Receiver<Seen>,
    server: Option<Server<Task>>,
}

impl TestServer {
    /// Starts a server on a free port, with one worker unless `set` says otherwise.
    pub(crate) fn start(app: App, set: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let builder = Server::builder()
            .workers(1)
            .listen("127.0.0.1:0")
            .expect("an address");
        let (tell, seen) = mpsc::channel();
        let server = set(builder)
            .start(move |_| Probe {
                app: app.clone(),
                seen: tell.clone(),
            })
            .expect("a server");
        Self {
            addr: server.addrs()[0],
            addrs: server.addrs().to_vec(),
            remote: server.remote(),
            seen,
            server: Some(server),
        }
    }

    pub(crate) fn echo() -> Self {
        Self::start(App::echo(), |builder| builder)
    }

    pub(crate) fn client(&self, target: &str) -> Client {
        Client::connect(self.addr, target)
    }

    /// What the handler was told next, waited for.
    pub(crate) fn seen(&self) -> Seen {
        self.seen
            .recv_timeout(PATIENCE)
            .expect("the handler was told nothing more")
    }

    /// The connection that opens next.
    pub(crate) fn opened(&self) -> ConnId {
        loop {
            if let Seen::Open(id) = self.seen() {
                return id;
            }
        }
    }

    /// The end that is reported next.
    pub(crate) fn closed(&self) -> Closed {
        loop {
            if let Seen::Closed(closed) = self.seen() {
                return closed;
            }
        }
    }

    /// What has been told already and not been asked for.
    pub(crate) fn rest(&self) -> Vec<Seen> {
        self.seen.try_iter().collect()
    }

    /// Has something done on a worker's thread.
    pub(crate) fn note(
        &self,
        worker: usize,
        task: impl FnOnce(&mut Ctx<'_, String>) + Send + 'static,
    ) {
        let posted = self.remote.note(worker, Box::new(task));
        posted.expect("room in the mailbox");
    }

    /// Does something on a worker's thread and returns what came of it.
    pub(crate) fn on_worker<T: Send + 'static>(
        &self,
        worker: usize,
        task: impl FnOnce(&mut Ctx<'_, String>) -> T + Send + 'static,
    ) -> T {
        let (answer, answers) = mpsc::channel();
        self.note(worker, move |server| {
            let _ = answer.send(task(server));
        });
        answers.recv_timeout(PATIENCE).expect("the worker's answer")
    }

    /// Keeps a worker busy until what is returned is dropped.
    pub(crate) fn keep_busy(&self, worker: usize) -> Sender<()> {
        let (release, released) = mpsc::channel();
        let (begin, begun) = mpsc::channel();
        self.note(worker, move |_| {
            let _ = begin.send(());
            let _ = released.recv_timeout(PATIENCE);
        });
        begun.recv_timeout(PATIENCE).expect("the worker");
        release
    }

    /// How many connections there are, on all workers.
    pub(crate) fn connections(&self) -> usize {
        (0..self.remote.workers())
            .map(|worker| self.on_worker(worker, |server| server.connections()))
            .sum()
    }

    /// Shuts down and returns what the handler was told and not asked for.
    pub(crate) fn shut_down(mut self, grace: Duration) -> Vec<Seen> {
        if let Some(server) = self.server.take() {
            server.shutdown(grace).expect("an orderly end");
        }
        self.rest()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            let result = server.shutdown(Duration::ZERO);
            if !std::thread::panicking() {
                result.expect("an orderly end");
            }
        }
    }
}
