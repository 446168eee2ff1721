//! [`Read`]: one read from the stream, and where its bytes go. Called by both ways of reading in `receive.rs`.

use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::lent::Lent;
use crate::stream::BACKLOG_HIGH;
use crate::{Error, WebSocketStream};

/// Behind a large message there is often another one. So much is read then, for only its header is to be copied.
const HEAD: usize = 4 * 1024;

/// What a read has brought.
#[derive(Debug)]
pub(crate) enum Read {
    /// The end of the stream.
    End,
    /// That many bytes, which lie in the thread's buffer.
    Buffered(usize),
    /// More of a large message, which lies where it belongs.
    InPlace,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketStream<S> {
    /// Writes what waits, then reads once: the rest of a large message to its place, all else into the thread's buffer, at
    /// most so many bytes.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        lent: &mut Lent,
        most: usize,
    ) -> Poll<Result<Read, Error>> {
        if self.poll_write(cx, lent).is_pending() && self.transport.outgoing.len() >= BACKLOG_HIGH {
            return Poll::Pending;
        }
        let poll = match self.connection.lend() {
            Some(place) => {
                // As much as would go into the buffer, so that others have their turn.
                let most = lent.buffer.len().min(place.len());
                let (place, _) = place.split_at_mut(most);
                let poll = self.transport.poll_read(cx, place);
                if let Poll::Ready(Ok(len)) = poll {
                    self.connection.filled(len);
                    self.behind_large = true;
                }
                poll.map_ok(|len| if len == 0 { Read::End } else { Read::InPlace })
            }
            None => {
                let most = if self.behind_large { HEAD } else { most };
                let most = most.min(lent.buffer.len());
                let buffer = lent.buffer.get_mut(..most).unwrap_or_default();
                let poll = self.transport.poll_read(cx, buffer);
                if poll.is_ready() {
                    self.behind_large = false;
                }
                poll.map_ok(|len| {
                    if len == 0 {
                        Read::End
                    } else {
                        Read::Buffered(len)
                    }
                })
            }
        };
        let result = match poll {
            Poll::Ready(result) => result,
            // As long as there is input, it may tell more than that we cannot write.
            Poll::Pending => match self.transport.check() {
                Ok(()) => return Poll::Pending,
                Err(error) => Err(error),
            },
        };
        Poll::Ready(result.map_err(|error| {
            self.finish();
            Error::Io(error)
        }))
    }
}
