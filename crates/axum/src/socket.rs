//! [`WebSocket`]: what a handler gets.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum_core::Error;
use futures_core::Stream;
use futures_core::stream::FusedStream;
use futures_sink::Sink;
use http::HeaderValue;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use wirefan_tokio::WebSocketStream;

use crate::Message;

/// An open WebSocket: a [`Stream`] and a [`Sink`] of [`Message`]s.
///
/// Somebody should always be reading, until there is nothing more: that answers pings and writes what waits.
#[derive(Debug)]
pub struct WebSocket {
    pub(crate) inner: WebSocketStream<TokioIo<Upgraded>>,
    pub(crate) protocol: Option<HeaderValue>,
}

impl WebSocket {
    /// Receives the next message; `None` when there will be no more. It may be cancelled, and nothing is lost.
    pub async fn recv(&mut self) -> Option<Result<Message, Error>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Sends a message and flushes it. If it is cancelled, the message has been sent whole or not at all.
    ///
    /// # Errors
    ///
    /// A [`wirefan_tokio::Error`] inside.
    pub async fn send(&mut self, message: Message) -> Result<(), Error> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_ready(cx)).await?;
        Pin::new(&mut *self).start_send(message)?;
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_flush(cx)).await
    }

    /// The subprotocol that was chosen, if any.
    pub fn protocol(&self) -> Option<&HeaderValue> {
        self.protocol.as_ref()
    }

    /// The stream inside, for what axum's own has not: senders for other tasks, reading without allocations.
    pub fn into_inner(self) -> WebSocketStream<TokioIo<Upgraded>> {
        self.inner
    }
}

impl Stream for WebSocket {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let poll = Pin::new(&mut self.inner).poll_next(cx);
        poll.map(|item| item.map(|item| item.map(Message::from).map_err(Error::new)))
    }
}

impl FusedStream for WebSocket {
    fn is_terminated(&self) -> bool {
        self.inner.is_terminated()
    }
}

impl Sink<Message> for WebSocket {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.inner).poll_ready(cx).map_err(Error::new)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        Pin::new(&mut self.inner)
            .start_send(message.into())
            .map_err(Error::new)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.inner).poll_flush(cx).map_err(Error::new)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.inner).poll_close(cx).map_err(Error::new)
    }
}
