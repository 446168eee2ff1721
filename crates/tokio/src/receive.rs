//! How a [`WebSocketStream`] is read: messages one by one, or whole reads at once; and how it ends.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{io, mem};

use bytes::Bytes;
use futures_core::Stream;
use futures_core::stream::FusedStream;
use tokio::io::{AsyncRead, AsyncWrite};
use wirefan_protocol::{Event, Input, Kind, RecvScratch, Role, State};

use crate::lent::{self, Lent, Returning};
use crate::read::Read;
use crate::stream::BACKLOG_HIGH;
use crate::transport::Side;
use crate::{Error, Message, Replies, WebSocketStream};

/// A message of at least this many bytes that was put together from pieces is taken as it is and not copied.
const TAKEN: usize = 16 * 1024;

/// Read at once where messages are given away one by one: the rest of a read has to be kept, and large messages are put
/// together in memory that can be given away.
const READ_FOR_MESSAGES: usize = 512 * 1024;

/// What is still to come from reading.
#[derive(Debug)]
pub(crate) enum Stage {
    Open,
    /// The connection is closed or has failed. Everything of ours is to leave before the caller hears of it, who may
    /// well drop the stream then.
    Ending(Box<Last>),
    /// A client waits for the server to end the stream (RFC 6455 §7.1.1).
    Lingering,
    Over,
}

/// The last thing to tell.
#[derive(Debug)]
pub(crate) enum Last {
    Close(Message),
    Failed(Error),
    /// The caller has been told.
    Told,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketStream<S> {
    /// Waits for input and hands all that is in it to `on_event`, event by event, together with the means to reply.
    ///
    /// Events are borrowed and nothing is allocated for them; all replies leave with one write. This is the way for
    /// servers with many small messages. Failures are not among the events: they are returned.
    ///
    /// Returns how far the connection is from its end: [`State::Closed`] when nothing more will come. If the call is
    /// cancelled, the events that `on_event` has seen count, and all others are still to come.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Protocol`], after which the connection is over.
    ///
    /// ```
    /// use tokio::io::{AsyncRead, AsyncWrite};
    /// use wirefan_tokio::{Error, Event, State, WebSocketStream};
    ///
    /// async fn echo<S>(mut socket: WebSocketStream<S>) -> Result<(), Error>
    /// where
    ///     S: AsyncRead + AsyncWrite + Unpin,
    /// {
    ///     let mut state = State::Open;
    ///     while state != State::Closed {
    ///         state = socket
    ///             .read_with(|event, replies| {
    ///                 let _ = match event {
    ///                     Event::Text(text) => replies.text(text),
    ///                     Event::Binary(data) => replies.binary(data),
    ///                     // Pings and Closes have been answered.
    ///                     _ => Ok(()),
    ///                 };
    ///             })
    ///             .await?;
    ///     }
    ///     Ok(())
    /// }
    /// # let _ = echo::<tokio::io::DuplexStream>;
    /// ```
    pub async fn read_with<F>(&mut self, mut on_event: F) -> Result<State, Error>
    where
        F: FnMut(Event<'_>, &mut Replies<'_, '_, S>),
    {
        poll_fn(|cx| lent::with(|lent| self.poll_read_with(cx, lent, &mut on_event))).await
    }

    fn poll_read_with(
        &mut self,
        cx: &mut Context<'_>,
        lent: &mut Lent,
        on_event: &mut impl FnMut(Event<'_>, &mut Replies<'_, '_, S>),
    ) -> Poll<Result<State, Error>> {
        loop {
            if !matches!(self.stage, Stage::Open) {
                match ready!(self.poll_end(cx, lent)) {
                    None => return Poll::Ready(Ok(State::Closed)),
                    Some(Last::Failed(error)) => return Poll::Ready(Err(error)),
                    Some(Last::Close(_) | Last::Told) => continue,
                }
            }
            if self.read.is_empty() {
                let len = match ready!(self.poll_read(cx, lent, usize::MAX)) {
                    Ok(Read::End) => match self.end_of_input() {
                        Some(error) => return Poll::Ready(Err(error)),
                        None => continue,
                    },
                    Ok(Read::Buffered(len)) => len,
                    Ok(Read::InPlace) => 0,
                    Err(error) => return Poll::Ready(Err(error)),
                };
                let mut buffer = mem::take(&mut lent.buffer);
                self.hand_over(
                    buffer.get_mut(..len).unwrap_or_default(),
                    cx,
                    lent,
                    on_event,
                );
                lent.buffer = buffer;
            } else {
                let mut read = mem::take(&mut self.read);
                let at = mem::take(&mut self.read_at);
                self.hand_over(read.get_mut(at..).unwrap_or_default(), cx, lent, on_event);
                lent.put_back(read);
            }
            // What the stream does not take now is written when it is read again.
            let _ = self.poll_write(cx, lent);
            if matches!(self.stage, Stage::Open) {
                return Poll::Ready(Ok(self.connection.state()));
            }
        }
    }

    /// Hands the events of all of `bytes` to the caller.
    fn hand_over(
        &mut self,
        bytes: &mut [u8],
        cx: &mut Context<'_>,
        lent: &mut Lent,
        on_event: &mut impl FnMut(Event<'_>, &mut Replies<'_, '_, S>),
    ) {
        self.transport.outgoing.prepare(lent);
        let mut input = Input::new(bytes);
        loop {
            let out = self.transport.outgoing.end();
            let recv = &mut lent.scratch.recv;
            let event = match self.connection.next_event(&mut input, recv, out) {
                None => break,
                Some(Event::Failed(error)) => {
                    self.end(Last::Failed(error.into()));
                    continue;
                }
                Some(event) => event,
            };
            let mut replies = Replies {
                connection: &mut self.connection,
                transport: &mut self.transport,
                scratch: &mut lent.scratch.send,
                cx,
            };
            on_event(event, &mut replies);
            if let Event::Close(_) = event {
                self.end(Last::Told);
            }
        }
        self.close_queue();
    }

    /// The next message.
    fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
        lent: &mut Lent,
    ) -> Poll<Option<Result<Message, Error>>> {
        loop {
            if !matches!(self.stage, Stage::Open) {
                match ready!(self.poll_end(cx, lent)) {
                    // The caller knows of it, from `read_with`.
                    Some(Last::Told) => continue,
                    Some(Last::Close(message)) => return Poll::Ready(Some(Ok(message))),
                    Some(Last::Failed(error)) => return Poll::Ready(Some(Err(error))),
                    None => return Poll::Ready(None),
                }
            }
            // Whoever asks for answers without reading them waits.
            if self.transport.outgoing.len() >= BACKLOG_HIGH
                && self.poll_write(cx, lent).is_pending()
            {
                return Poll::Pending;
            }
            let message = if self.read.is_empty() {
                let len = match ready!(self.poll_read(cx, lent, READ_FOR_MESSAGES)) {
                    Ok(Read::End) => match self.end_of_input() {
                        Some(error) => return Poll::Ready(Some(Err(error))),
                        None => continue,
                    },
                    Ok(Read::Buffered(len)) => len,
                    Ok(Read::InPlace) => 0,
                    Err(error) => return Poll::Ready(Some(Err(error))),
                };
                let mut buffer = mem::take(&mut lent.buffer);
                let (message, left) =
                    self.next_message(buffer.get_mut(..len).unwrap_or_default(), lent);
                if left > 0 {
                    self.read = lent.spare();
                    self.read
                        .extend_from_slice(buffer.get(len - left..len).unwrap_or_default());
                }
                lent.buffer = buffer;
                message
            } else {
                let mut read = mem::take(&mut self.read);
                let bytes = read.get_mut(self.read_at..).unwrap_or_default();
                let (message, left) = self.next_message(bytes, lent);
                if left > 0 {
                    self.read_at = read.len() - left;
                    self.read = read;
                } else {
                    self.read_at = 0;
                    lent.put_back(read);
                }
                message
            };
            if let Some(Message::Ping(_)) = message {
                // The caller may be away for long, and the pong is not to wait for that.
                let _ = self.poll_write(cx, lent);
            }
            if message.is_some() {
                return Poll::Ready(message.map(Ok));
            }
        }
    }

    /// The first message in `bytes`, and how many bytes are left behind it.
    fn next_message(&mut self, bytes: &mut [u8], lent: &mut Lent) -> (Option<Message>, usize) {
        self.transport.outgoing.prepare(lent);
        let lies_here = bytes.as_ptr_range();
        let mut input = Input::new(bytes);
        let out = self.transport.outgoing.end();
        let recv = &mut lent.scratch.recv;
        let message = match self.connection.next_event(&mut input, recv, out) {
            None => None,
            Some(Event::Text(text)) => {
                if text.len() < TAKEN || lies_here.contains(&text.as_ptr()) {
                    Some(Message::Text(text.into()))
                } else {
                    taken(recv, Kind::Text)
                }
            }
            Some(Event::Binary(data)) => {
                if data.len() < TAKEN || lies_here.contains(&data.as_ptr()) {
                    Some(Message::Binary(Bytes::copy_from_slice(data)))
                } else {
                    taken(recv, Kind::Binary)
                }
            }
            Some(Event::Ping(data)) => Some(Message::Ping(Bytes::copy_from_slice(data))),
            Some(Event::Pong(data)) => Some(Message::Pong(Bytes::copy_from_slice(data))),
            Some(Event::Close(frame)) => {
                let frame = frame.map(Into::into);
                self.end(Last::Close(Message::Close(frame)));
                None
            }
            Some(Event::Failed(error)) => {
                self.end(Last::Failed(error.into()));
                None
            }
        };
        (message, input.into_rest().len())
    }

    /// Writes what waits, also in the queue of the [`Sender`](crate::Sender)s.
    #[inline]
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        lent: &mut Lent,
    ) -> Poll<io::Result<()>> {
        if self.queue.is_none() && self.transport.is_settled() {
            self.transport.outgoing.release(lent);
            return Poll::Ready(Ok(()));
        }
        self.poll_write_on(cx, lent)
    }

    fn poll_write_on(&mut self, cx: &mut Context<'_>, lent: &mut Lent) -> Poll<io::Result<()>> {
        loop {
            let more = self.take_queued(cx, lent);
            let poll = self.transport.poll_write(cx, Side::Reader, 0);
            self.transport.outgoing.release(lent);
            if !more || !matches!(poll, Poll::Ready(Ok(()))) {
                return poll;
            }
        }
    }

    /// Takes messages from the queue; true: there may be more of them.
    fn take_queued(&mut self, cx: &mut Context<'_>, lent: &mut Lent) -> bool {
        while let Some(queue) = &mut self.queue {
            if self.transport.outgoing.len() >= BACKLOG_HIGH {
                return true;
            }
            let Poll::Ready(Some(message)) = queue.receiver.poll_recv(cx) else {
                break;
            };
            // It was checked when it was sent. Behind a Close it is as if it had been under way.
            let _ = self.encode(message, lent);
        }
        false
    }

    fn end(&mut self, last: Last) {
        self.stage = Stage::Ending(Box::new(last));
        self.close_queue();
    }

    /// The stream has ended, which is an error if there was no Close.
    fn end_of_input(&mut self) -> Option<Error> {
        match self.finish() {
            Some(Event::Failed(error)) => Some(error.into()),
            _ => None,
        }
    }

    /// Nothing more will come or go.
    pub(crate) fn finish(&mut self) -> Option<Event<'static>> {
        let last = self.connection.end_of_input();
        self.close_queue();
        self.stage = Stage::Over;
        last
    }

    /// Does what is left to do when the connection is closed or has failed, and gives the last thing to tell.
    fn poll_end(&mut self, cx: &mut Context<'_>, lent: &mut Lent) -> Poll<Option<Last>> {
        let is_server = self.connection.role() == Role::Server;
        loop {
            match &self.stage {
                Stage::Open | Stage::Over => return Poll::Ready(None),
                Stage::Lingering => {
                    if !matches!(
                        ready!(self.transport.poll_read(cx, &mut lent.buffer)),
                        Ok(1..)
                    ) {
                        self.stage = Stage::Over;
                    }
                }
                Stage::Ending(last) => {
                    let failed = matches!(**last, Last::Failed(_));
                    // A peer that is gone cannot be told, and that is no news.
                    let _ = ready!(self.transport.poll_write(cx, Side::Reader, 0));
                    self.transport.outgoing.release(lent);
                    if is_server {
                        let _ = ready!(self.transport.poll_shutdown(cx));
                        if failed {
                            self.transport.discard(cx, lent);
                        }
                    }
                    let next = if is_server {
                        Stage::Over
                    } else {
                        Stage::Lingering
                    };
                    if let Stage::Ending(last) = mem::replace(&mut self.stage, next) {
                        return Poll::Ready(Some(*last));
                    }
                }
            }
        }
    }
}

/// Receiving. The peer's Close is the last message; a failure is the last item. Both come when everything of ours has been
/// written, and a client sees the end of the stream (`None`) when the server has ended it.
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocketStream<S> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        lent::with(|lent| self.poll_message(cx, lent))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> FusedStream for WebSocketStream<S> {
    fn is_terminated(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }
}

/// A message that the scratch has put together from pieces.
fn taken(recv: &mut RecvScratch, kind: Kind) -> Option<Message> {
    // The memory may have served a longer message before, and who keeps this one is not to keep all of that.
    let is_spacious = |capacity: usize, len: usize| capacity / 2 > len;
    match kind {
        Kind::Text => {
            let text = recv.take_text()?;
            if is_spacious(text.capacity(), text.len()) {
                let message = Message::from(text.as_str());
                recv.give(text.into_bytes());
                return Some(message);
            }
            Some(text.into())
        }
        Kind::Binary => {
            let data = recv.take_binary()?;
            if is_spacious(data.capacity(), data.len()) {
                let message = Message::from(data.as_slice());
                recv.give(data);
                return Some(message);
            }
            Some(Returning::bytes(data).into())
        }
    }
}
