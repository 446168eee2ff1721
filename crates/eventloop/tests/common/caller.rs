//! A client on the loop in this process that tells what its handler sees, and does what a test gives it to do.

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use wirefan_eventloop::client::{Client, ClientBuilder};
use wirefan_eventloop::{Caller, CloseCause, Conn, ConnId, Ctx, Dial, DialError, Handler, Message};

use super::PATIENCE;

/// What a handler was told about a connection, which is called as its peer says.
#[derive(Debug)]
pub(crate) enum Told {
    Open(String, ConnId, Option<String>),
    Text(String, String),
    Binary(String, Vec<u8>),
    Closed(Option<String>, CloseCause),
}

type Task = Box<dyn FnOnce(&mut Ctx<'_, String>) + Send>;

struct Tell(Sender<Told>);

impl Tell {
    fn tell(&self, told: Told) {
        // A test that has seen enough does not listen any more.
        let _ = self.0.send(told);
    }
}

impl Handler for Tell {
    type Peer = String;
    type Note = Task;

    fn open(&mut self, conn: &mut Conn<'_, String>) {
        let protocol = conn.response().and_then(|response| response.protocol());
        let protocol = protocol.map(Into::into);
        self.tell(Told::Open(conn.peer().clone(), conn.id(), protocol));
    }

    fn message(&mut self, conn: &mut Conn<'_, String>, message: Message<'_>) {
        let peer = conn.peer().clone();
        self.tell(match message {
            Message::Text(text) => Told::Text(peer, text.into()),
            Message::Binary(data) => Told::Binary(peer, data.into()),
        });
    }

    fn closed(
        &mut self,
        peer: Option<String>,
        _: Caller,
        cause: CloseCause,
        _: &mut Ctx<'_, String>,
    ) {
        self.tell(Told::Closed(peer, cause));
    }

    fn note(&mut self, task: Task, ctx: &mut Ctx<'_, String>) {
        task(ctx);
    }
}

/// A running client.
pub(crate) struct TestClient {
    client: Option<Client<Task, String>>,
    told: Receiver<Told>,
}

impl TestClient {
    pub(crate) fn start() -> Self {
        Self::start_with(|builder| builder)
    }

    pub(crate) fn start_with(set: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Self {
        let (tell, told) = mpsc::channel();
        let client = set(Client::builder()).start(move |_| Tell(tell.clone()));
        Self {
            client: Some(client.expect("a client")),
            told,
        }
    }

    pub(crate) fn dial(&self, dial: Dial, name: &str) {
        let client = self.client.as_ref().expect("a client");
        client.dial(dial, name.into()).expect("room in the mailbox");
    }

    /// What the handler was told next.
    pub(crate) fn told(&self) -> Told {
        self.told.recv_timeout(PATIENCE).expect("nothing was told")
    }

    /// Dials, and waits until the connection is open.
    pub(crate) fn open(&self, dial: Dial) -> ConnId {
        self.dial(dial, "it");
        match self.told() {
            Told::Open(name, id, _) if name == "it" => id,
            other => panic!("{other:?}"),
        }
    }

    /// Dials, and waits until it is known why there is no connection.
    pub(crate) fn fail(&self, dial: Dial) -> DialError {
        self.dial(dial, "it");
        match self.told() {
            Told::Closed(Some(name), CloseCause::Dial(why)) if name == "it" => why,
            other => panic!("{other:?}"),
        }
    }

    /// How a connection has ended.
    pub(crate) fn closed(&self) -> CloseCause {
        match self.told() {
            Told::Closed(Some(_), cause) => cause,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn text(&self) -> String {
        match self.told() {
            Told::Text(_, text) => text,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn binary(&self) -> Vec<u8> {
        match self.told() {
            Told::Binary(_, data) => data,
            other => panic!("{other:?}"),
        }
    }

    /// Does something on the worker's thread, and returns what came of it.
    pub(crate) fn on_worker<R: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Ctx<'_, String>) -> R + Send + 'static,
    ) -> R {
        let (tell, told) = mpsc::channel();
        let task: Task = Box::new(move |ctx| tell.send(task(ctx)).expect("who asked"));
        let client = self.client.as_ref().expect("a client");
        client.remote().note(0, task).expect("room");
        told.recv_timeout(PATIENCE).expect("it was not done")
    }

    pub(crate) fn shutdown(mut self) {
        let client = self.client.take().expect("a client");
        client.shutdown(PATIENCE).expect("an orderly end");
    }
}

impl Drop for TestClient {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            client.remote().shutdown(Duration::ZERO);
        }
    }
}

/// To a server of this machine.
pub(crate) fn to(addr: SocketAddr, path: &str) -> Dial {
    Dial::new(&format!("ws://{addr}{path}")).expect("a URL")
}
