//! [`WebSocketStream`]: one end of an open connection. This file: how it begins, and sending; how it is read is in
//! `receive.rs`.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, io};

use bytes::Bytes;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use wirefan_protocol::{
    Agreed, CloseCode, Config, Connection, Kind, MaskKeys, Role, SendError, State,
};

use crate::lent::{self, Lent};
use crate::receive::Stage;
use crate::replies::{DIRECT, writes_in_place};
use crate::sender::Queue;
use crate::transport::{Side, Transport};
use crate::{CloseFrame, Error, Message, Sender};

/// With this many bytes waiting to be written, nothing more is taken to be sent, and nothing read that may ask for
/// answers.
pub(crate) const BACKLOG_HIGH: usize = 128 * 1024;

/// An open WebSocket over a stream of bytes.
///
/// It is a [`Stream`](futures_core::Stream) and a [`Sink`] of [`Message`]s; [`read_with`](Self::read_with) is the way
/// without allocations, and [`sender`](Self::sender) gives handles for other tasks.
///
/// Reading drives everything: pings and Closes are answered, and whatever waits is written, while a task waits for the
/// next message. So somebody should always be reading, until the stream ends.
///
/// Every call can be cancelled and nothing is lost: what has been read or is half written stays in here.
///
/// While it is idle it owns no buffer. Reading uses memory of the thread.
///
/// ```
/// use futures_util::{SinkExt, StreamExt};
/// use wirefan_tokio::Message;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (server, client) = tokio::io::duplex(1024);
/// # let server = tokio::spawn(async move {
/// let mut socket = wirefan_tokio::accept(server).await?;
/// while let Some(message) = socket.next().await {
///     match message? {
///         Message::Text(text) => socket.send(Message::Text(text)).await?,
///         Message::Binary(data) => socket.send(Message::Binary(data)).await?,
///         // Pings and Closes have been answered.
///         _ => {}
///     }
/// }
/// # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
/// # });
/// # let request = wirefan_tokio::ClientRequest::new("localhost", "/");
/// # let (mut client, _) = wirefan_tokio::client(client, request, Default::default()).await?;
/// # client.send("hello".into()).await?;
/// # assert_eq!(client.next().await.unwrap()?, "hello".into());
/// # client.close(wirefan_tokio::CloseCode::NORMAL, "").await?;
/// # assert!(client.next().await.unwrap()?.is_close());
/// # assert!(client.next().await.is_none());
/// # server.await?.unwrap();
/// # Ok(())
/// # }
/// ```
pub struct WebSocketStream<S> {
    pub(crate) transport: Transport<S>,
    pub(crate) connection: Connection,
    /// What has been read and not been looked at, from `read_at` on.
    pub(crate) read: Vec<u8>,
    pub(crate) read_at: usize,
    /// What was read last is of a large message and lies where it belongs.
    pub(crate) behind_large: bool,
    pub(crate) stage: Stage,
    pub(crate) queue: Option<Box<Queue>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketStream<S> {
    /// A connection that has been upgraded elsewhere, by hyper for instance: it is open already.
    ///
    /// `agreed` is what the handshake settled about compression, by [`negotiate`](crate::handshake::negotiate);
    /// `leftover` are bytes that were read behind the handshake.
    ///
    /// # Errors
    ///
    /// A client needs masking keys, and the operating system's generator may fail.
    pub fn from_upgraded(
        io: S,
        role: Role,
        config: Arc<Config>,
        agreed: Agreed,
        leftover: impl Into<Vec<u8>>,
    ) -> io::Result<Self> {
        let connection = match role {
            Role::Server => Connection::server(config, agreed),
            Role::Client => Connection::client(config, agreed, MaskKeys::from_seed(seed()?)),
        };
        Ok(Self::open(Transport::new(io), connection, leftover.into()))
    }

    pub(crate) fn open(transport: Transport<S>, connection: Connection, read: Vec<u8>) -> Self {
        Self {
            transport,
            connection,
            read,
            read_at: 0,
            behind_large: false,
            stage: Stage::Open,
            queue: None,
        }
    }

    /// A handle that sends from other tasks, through a queue of `capacity` messages.
    ///
    /// All handles of a connection share one queue: of the capacities, the first counts.
    pub fn sender(&mut self, capacity: usize) -> Sender {
        let queue = self.queue.get_or_insert_with(|| {
            let mut queue = Queue::new(capacity);
            if self.connection.state() != State::Open {
                queue.receiver.close();
            }
            Box::new(queue)
        });
        queue.sender()
    }

    /// Starts the closing handshake: sends a Close and flushes it. Nothing can be sent afterwards.
    ///
    /// To see the end, read on until there is nothing more: messages of the peer may still come before its own Close.
    /// How long to wait for that is yours to say (`tokio::time::timeout`). If the handshake has already begun, this only
    /// flushes. [`CloseCode::NO_STATUS`] with an empty reason sends a Close without a code.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] for a code or reason that may not be sent, [`Error::Io`].
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.start(Message::Close(Some(CloseFrame {
            code,
            reason: reason.into(),
        })))?;
        poll_fn(|cx| self.poll_write_out(cx, 0)).await
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.transport.io
    }

    /// The stream below. What is read from it or written to it here is missing in the connection.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.transport.io
    }

    /// What the handshake settled.
    pub fn agreed(&self) -> Agreed {
        self.connection.agreed()
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        self.connection.role()
    }

    /// How far the connection is from its end.
    pub fn state(&self) -> State {
        self.connection.state()
    }

    /// Puts the frames of a message behind what waits to be written.
    fn start(&mut self, message: Message) -> Result<(), Error> {
        self.transport.check()?;
        lent::with(|lent| self.encode(message, lent)).map_err(Error::Send)
    }

    /// The same, for a stream that may be broken.
    pub(crate) fn encode(&mut self, message: Message, lent: &mut Lent) -> Result<(), SendError> {
        self.transport.outgoing.prepare(lent);
        let encoded = match message {
            Message::Text(text) => return self.encode_data(Kind::Text, text.into(), lent),
            Message::Binary(data) => return self.encode_data(Kind::Binary, data, lent),
            Message::Ping(data) => self
                .connection
                .send_ping(&data, self.transport.outgoing.end()),
            Message::Pong(data) => self
                .connection
                .send_pong(&data, self.transport.outgoing.end()),
            // Whoever answers a Close by hand comes too late.
            Message::Close(_) if self.connection.state() != State::Open => Ok(()),
            Message::Close(frame) => {
                let (code, reason) = match &frame {
                    Some(frame) => (frame.code, frame.reason.as_str()),
                    None => (CloseCode::NO_STATUS, ""),
                };
                self.connection
                    .close(code, reason, self.transport.outgoing.end())
            }
        };
        self.close_queue();
        encoded
    }

    fn encode_data(&mut self, kind: Kind, data: Bytes, lent: &mut Lent) -> Result<(), SendError> {
        if data.len() >= DIRECT && writes_in_place(&self.connection, &self.transport, data.len()) {
            let header = self.connection.send_header(kind, data.len())?;
            self.transport.outgoing.end().extend_from_slice(&header);
            self.transport.outgoing.push(data);
            return Ok(());
        }
        let out = self.transport.outgoing.end();
        self.connection
            .send(kind, &data, &mut lent.scratch.send, out)
    }

    /// Nobody is to send behind a Close.
    pub(crate) fn close_queue(&mut self) {
        if self.connection.state() != State::Open
            && let Some(queue) = &mut self.queue
        {
            queue.receiver.close();
        }
    }

    /// Writes for a sending task until at most `left` bytes are left.
    fn poll_write_out(&mut self, cx: &mut Context<'_>, left: usize) -> Poll<Result<(), Error>> {
        let poll = self.transport.poll_write(cx, Side::Writer, left);
        if self.transport.outgoing.is_empty() {
            lent::with(|lent| self.transport.outgoing.release(lent));
        }
        poll.map_err(Error::Io)
    }
}

/// Sending. A message is taken as soon as there is room for it and then certain to be written, by flushing or by reading.
impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for WebSocketStream<S> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.transport.outgoing.len() < BACKLOG_HIGH {
            return Poll::Ready(self.transport.check().map_err(Error::Io));
        }
        self.poll_write_out(cx, BACKLOG_HIGH - 1)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.start(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_write_out(cx, 0)
    }

    /// Sends a Close with the code 1000, if none has been sent, and flushes. The peer's is for the reader to see.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.connection.state() == State::Open {
            let frame = CloseFrame {
                code: CloseCode::NORMAL,
                reason: "".into(),
            };
            self.start(Message::Close(Some(frame)))?;
        }
        self.poll_write_out(cx, 0)
    }
}

impl<S> fmt::Debug for WebSocketStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketStream")
            .field("role", &self.connection.role())
            .field("state", &self.connection.state())
            .finish_non_exhaustive()
    }
}

/// For a client's keys, new for each connection.
pub(crate) fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}
