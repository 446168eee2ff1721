//! What the peers on tokio share: their command line, the accept loop on one thread, TLS below it, and an echo and a room
//! that take all messages at hand and flush once. Each peer's `main.rs` adds its own handshake and settings.

mod tls;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, ready};

use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task;

pub use tls::serve_tls;

/// What a peer was asked to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Every message goes back.
    Echo,
    /// Every message goes to all other connections.
    Broadcast,
}

/// The command line of a peer: `<peer> echo|broadcast PORT [compressed] [tls CERTIFICATE KEY]`.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// What it does with messages.
    pub mode: Mode,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// Whether permessage-deflate is agreed on with clients that offer it.
    pub compressed: bool,
    /// The files of the certificate and its key, where the peer is to speak TLS.
    pub tls: Option<(String, String)>,
}

impl Invocation {
    /// Reads the command line; ends the process where it is wrong.
    pub fn from_args() -> Self {
        let args: Vec<String> = std::env::args().skip(1).collect();
        Self::parse(&args).unwrap_or_else(|| {
            eprintln!("usage: <peer> echo|broadcast PORT [compressed] [tls CERTIFICATE KEY]");
            process::exit(2)
        })
    }

    fn parse(args: &[String]) -> Option<Self> {
        let [mode, port, rest @ ..] = args else {
            return None;
        };
        let (compressed, rest) = match rest {
            [first, rest @ ..] if first == "compressed" => (true, rest),
            rest => (false, rest),
        };
        let tls = match rest {
            [] => None,
            [word, certificate, key] if word == "tls" => Some((certificate.clone(), key.clone())),
            _ => return None,
        };
        let mode = match mode.as_str() {
            "echo" => Mode::Echo,
            "broadcast" => Mode::Broadcast,
            _ => return None,
        };
        let port = port.parse().ok()?;
        Some(Self {
            mode,
            port,
            compressed,
            tls,
        })
    }

    /// Ends the process where the peer cannot do what it was asked for.
    pub fn without_compression(self) -> Self {
        if self.compressed {
            eprintln!("this peer has no permessage-deflate");
            process::exit(2);
        }
        self
    }

    /// Ends the process where the peer was asked for TLS.
    pub fn without_tls(self) -> Self {
        if self.tls.is_some() {
            eprintln!("this peer has no TLS");
            process::exit(2);
        }
        self
    }
}

/// What a peer speaks WebSocket on.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for S {}

/// Accepts for ever on one thread and gives each socket to `connection`.
///
/// Tasks are outside of tokio's cooperative budget, as in the echo examples of fastwebsockets and tokio-websockets.
pub fn serve<C, F>(port: u16, connection: C)
where
    C: Fn(TcpStream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let accepting = async {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("SO_REUSEADDR");
        socket
            .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            .expect("a free port");
        let listener = socket.listen(4096).expect("a listener");
        println!("ready");
        std::io::stdout().flush().expect("a standard output");
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            if stream.set_nodelay(true).is_ok() {
                task::spawn(task::unconstrained(connection(stream)));
            }
        }
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(accepting)
}

/// Everyone who is connected, by the way to them.
#[derive(Debug)]
pub struct Room<M>(Arc<Mutex<Vec<(u64, Inbox<M>)>>>);

type Inbox<M> = UnboundedSender<Arc<[M]>>;

impl<M> Clone for Room<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> Default for Room<M> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<M> Room<M> {
    fn join(&self) -> (Member<M>, UnboundedReceiver<Arc<[M]>>) {
        let (inbox, arriving) = mpsc::unbounded_channel();
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = members.last().map_or(0, |(last, _)| last + 1);
        members.push((id, inbox));
        let room = self.clone();
        (Member { id, room }, arriving)
    }
}

/// A place in a room, given up when dropped.
struct Member<M> {
    id: u64,
    room: Room<M>,
}

impl<M> Member<M> {
    fn publish(&self, messages: Arc<[M]>) {
        let members = self.room.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, inbox) in &*members {
            if *id != self.id {
                // Whoever is gone leaves the room by itself.
                let _ = inbox.send(Arc::clone(&messages));
            }
        }
    }
}

impl<M> Drop for Member<M> {
    fn drop(&mut self) {
        let mut members = self.room.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(at) = members.binary_search_by_key(&self.id, |(id, _)| *id) {
            members.remove(at);
        }
    }
}

/// Sends every message back: takes all that are at hand, feeds them, flushes once, and waits.
///
/// Written as a poll, so that a reader which has said that there is nothing more is not asked again before the socket is
/// ready: tungstenite clears 128 KiB each time.
///
/// # Errors
///
/// What the peer's stream or sink fails with.
pub async fn echo<S, M, E>(mut socket: S, is_data: fn(&M) -> bool) -> Result<(), E>
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
{
    let mut batch = VecDeque::new();
    let mut unflushed = false;
    // Whether it waits for the socket to take more.
    let mut blocked = false;
    poll_fn(move |cx| {
        // Then the wake-up may have been for the reader as well.
        let mut again = blocked;
        loop {
            while !blocked {
                match socket.poll_next_unpin(cx) {
                    Poll::Ready(Some(Ok(message))) if is_data(&message) => batch.push_back(message),
                    Poll::Ready(Some(Ok(_))) => {
                        // A Close or a Ping: its answer waits for the flush, and behind a Close comes the end.
                        unflushed = true;
                        again = true;
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Pending => break,
                }
            }
            blocked = true;
            while !batch.is_empty() {
                ready!(socket.poll_ready_unpin(cx))?;
                if let Some(message) = batch.pop_front() {
                    socket.start_send_unpin(message)?;
                    unflushed = true;
                }
            }
            if unflushed {
                ready!(socket.poll_flush_unpin(cx))?;
                unflushed = false;
            }
            blocked = false;
            if !again {
                return Poll::Pending;
            }
            again = false;
        }
    })
    .await
}

/// Sends every message to everyone else in the room; a subscriber gets all that has been published since in one flush.
///
/// # Errors
///
/// What the peer's stream or sink fails with.
pub async fn broadcast<S, M, E>(
    mut socket: S,
    room: Room<M>,
    is_data: fn(&M) -> bool,
) -> Result<(), E>
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
    M: Clone,
{
    let (member, mut arriving) = room.join();
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some(messages) = arriving.recv() => {
                let mut next = Some(messages);
                while let Some(messages) = next {
                    for message in messages.iter() {
                        socket.feed(message.clone()).await?;
                    }
                    next = arriving.try_recv().ok();
                }
                socket.flush().await?;
            }
            first = socket.next() => {
                let Some(first) = first else { return Ok(()) };
                collect(&mut socket, first, &mut batch, is_data)?;
                if batch.is_empty() {
                    // A Close or a Ping: its answer waits for the flush.
                    socket.flush().await?;
                } else {
                    member.publish(batch.drain(..).collect());
                }
            }
        }
    }
}

/// Adds the first message and all that can be had without waiting.
fn collect<S, M, E>(
    socket: &mut S,
    first: Result<M, E>,
    batch: &mut Vec<M>,
    is_data: fn(&M) -> bool,
) -> Result<(), E>
where
    S: Stream<Item = Result<M, E>> + Unpin,
{
    let mut next = Some(first);
    while let Some(message) = next {
        let message = message?;
        if is_data(&message) {
            batch.push(message);
        }
        next = socket.next().now_or_never().flatten();
    }
    Ok(())
}
