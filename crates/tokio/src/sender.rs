//! [`Sender`]: a handle that sends from other tasks, through a bounded queue that the reading task empties.

use std::{error, fmt};

use tokio::sync::mpsc;
use wirefan_protocol::{CloseCode, SendError};

use crate::{CloseFrame, Message, Utf8Bytes};

/// Sends from any task, while another one reads. Cheap to clone.
///
/// The messages wait in a bounded queue for the task that reads from the [`WebSocketStream`](crate::WebSocketStream):
/// it writes them even while it waits for input. Somebody has to read, as ever: it also answers pings.
///
/// ```
/// # async fn with<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static>(
/// #     mut socket: wirefan_tokio::WebSocketStream<S>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::StreamExt;
///
/// let sender = socket.sender(32);
/// let reading = tokio::spawn(async move {
///     while let Some(message) = socket.next().await {
///         println!("{:?}", message?);
///     }
///     Ok::<_, wirefan_tokio::Error>(())
/// });
/// sender.send("hello").await?;
/// # reading.await??;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Sender {
    queue: mpsc::Sender<Message>,
}

impl Sender {
    /// Puts a message into the queue, waiting for room. If the call is cancelled, the message has not been sent.
    ///
    /// # Errors
    ///
    /// [`QueueError::Closed`], [`QueueError::Invalid`].
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), QueueError> {
        let message = message.into();
        message.check()?;
        self.queue
            .send(message)
            .await
            .map_err(|_| QueueError::Closed)
    }

    /// Puts a message into the queue if there is room.
    ///
    /// # Errors
    ///
    /// [`QueueError::Full`], which gives the message back; [`QueueError::Closed`], [`QueueError::Invalid`].
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), QueueError> {
        let message = message.into();
        message.check()?;
        self.queue.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(message) => QueueError::Full(message),
            mpsc::error::TrySendError::Closed(_) => QueueError::Closed,
        })
    }

    /// Starts the closing handshake, behind the messages in the queue. The reading task sees its end.
    ///
    /// # Errors
    ///
    /// [`QueueError::Closed`], [`QueueError::Invalid`].
    pub async fn close(
        &self,
        code: CloseCode,
        reason: impl Into<Utf8Bytes>,
    ) -> Result<(), QueueError> {
        let reason = reason.into();
        self.send(Message::Close(Some(CloseFrame { code, reason })))
            .await
    }

    /// Waits until nothing can be sent any more: a Close has been sent or has come, or the connection is gone.
    pub async fn closed(&self) {
        self.queue.closed().await;
    }

    /// Whether nothing can be sent any more.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

/// The queue between the handles and the reading task. The latter keeps a handle as well, to give more of them away.
#[derive(Debug)]
pub(crate) struct Queue {
    sender: mpsc::Sender<Message>,
    pub(crate) receiver: mpsc::Receiver<Message>,
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        Self { sender, receiver }
    }

    pub(crate) fn sender(&self) -> Sender {
        Sender {
            queue: self.sender.clone(),
        }
    }
}

/// Why a message did not get into the queue.
#[derive(Debug)]
#[non_exhaustive]
pub enum QueueError {
    /// Nothing can be sent any more.
    Closed,
    /// There is no room for this message.
    Full(Message),
    /// The message may not be sent.
    Invalid(SendError),
}

impl From<SendError> for QueueError {
    fn from(error: SendError) -> Self {
        Self::Invalid(error)
    }
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection is closing or closed"),
            Self::Full(_) => f.write_str("the queue is full"),
            Self::Invalid(error) => error.fmt(f),
        }
    }
}

impl error::Error for QueueError {}
