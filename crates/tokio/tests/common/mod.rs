//! What the tests share: a peer made of the protocol crate alone, streams that are as unkind as they may be, and a bound
//! on the time of everything.
#![allow(dead_code, reason = "each test uses some of it")]

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wirefan_protocol::{
    Agreed, Config, Connection, Event, Input, Kind, MaskKeys, RecvScratch, SendScratch,
};
use wirefan_tokio::{CloseFrame, Message, Role, WebSocketStream};

/// Far longer than anything takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something that is bound to come.
#[track_caller]
pub(crate) fn soon<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let place = std::panic::Location::caller();
    async move {
        tokio::time::timeout(PATIENCE, future)
            .await
            .unwrap_or_else(|_| panic!("{place}: not done after {PATIENCE:?}"))
    }
}

/// The client's end, without I/O.
pub(crate) fn client_end(config: &Arc<Config>) -> Connection {
    Connection::client(
        Arc::clone(config),
        Agreed::default(),
        MaskKeys::from_seed([7; 32]),
    )
}

/// A server's end over `io`.
pub(crate) fn server<S: AsyncRead + AsyncWrite + Unpin>(io: S) -> WebSocketStream<S> {
    let config = Arc::new(Config::default());
    WebSocketStream::from_upgraded(io, Role::Server, config, Agreed::default(), []).unwrap()
}

/// What `connection` sends for these messages.
pub(crate) fn wire(connection: &mut Connection, messages: &[Message]) -> Vec<u8> {
    let (mut out, mut scratch) = (Vec::new(), SendScratch::default());
    for message in messages {
        match message {
            Message::Text(text) => connection.send_text(text, &mut scratch, &mut out),
            Message::Binary(data) => connection.send(Kind::Binary, data, &mut scratch, &mut out),
            Message::Ping(data) => connection.send_ping(data, &mut out),
            Message::Pong(data) => connection.send_pong(data, &mut out),
            Message::Close(Some(frame)) => connection.close(frame.code, &frame.reason, &mut out),
            Message::Close(None) => panic!("no test needs this"),
        }
        .unwrap();
    }
    out
}

/// What `connection` makes of these bytes. Failures are panics.
pub(crate) fn messages(connection: &mut Connection, bytes: &[u8]) -> Vec<Message> {
    let (mut bytes, mut scratch, mut out) = (bytes.to_vec(), RecvScratch::default(), Vec::new());
    let mut input = Input::new(&mut bytes);
    let mut messages = Vec::new();
    while let Some(event) = connection.next_event(&mut input, &mut scratch, &mut out) {
        messages.push(match event {
            Event::Text(text) => text.into(),
            Event::Binary(data) => data.into(),
            Event::Ping(data) => Message::Ping(data.to_vec().into()),
            Event::Pong(data) => Message::Pong(data.to_vec().into()),
            Event::Close(frame) => Message::Close(frame.map(CloseFrame::from)),
            Event::Failed(error) => panic!("{error}"),
        });
    }
    messages
}

/// A stream that gives and takes `piece` bytes at a time, and before each of them says that it is not ready.
#[derive(Debug, Default)]
pub(crate) struct Trickle {
    pub(crate) input: VecDeque<u8>,
    pub(crate) output: Vec<u8>,
    pub(crate) piece: usize,
    /// What is read when there is no more input: its end, or nothing.
    pub(crate) ends: bool,
    pub(crate) is_shut: bool,
    ready: [bool; 4],
}

impl Trickle {
    pub(crate) fn new(input: &[u8], piece: usize) -> Self {
        Self {
            input: input.iter().copied().collect(),
            piece,
            ..Self::default()
        }
    }

    fn turn(&mut self, which: usize, cx: &Context<'_>) -> Poll<()> {
        self.ready[which] = !self.ready[which];
        if self.ready[which] {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Trickle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.input.is_empty() && !self.ends {
            return Poll::Pending;
        }
        std::task::ready!(self.turn(0, cx));
        let len = self.piece.min(self.input.len()).min(buffer.remaining());
        buffer.put_slice(&self.input.make_contiguous()[..len]);
        self.input.drain(..len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Trickle {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        std::task::ready!(self.turn(1, cx));
        assert!(!self.is_shut, "a write behind the end");
        let len = self.piece.min(bytes.len());
        self.output.extend_from_slice(&bytes[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.turn(2, cx).map(Ok)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.turn(3, cx));
        self.is_shut = true;
        Poll::Ready(Ok(()))
    }
}
