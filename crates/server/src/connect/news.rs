//! [`News`]: what reaches the session, from the loop, from what is typed or piped, and from signals, in one queue.

use std::sync::mpsc::{Sender, SyncSender};
use std::time::Duration;

use wirefan_eventloop::CloseCause;
use wirefan_eventloop::client::{Link, LinkEvent, OwnedMessage, Response};

use super::command::{Command, CommandError};

/// How many of the loop's may wait. Beyond it the loop waits, and the server is not read from: whoever reads us slowly
/// slows it down.
pub(crate) const WAITING: usize = 64;

/// Something has happened.
#[derive(Debug)]
pub(crate) enum News {
    Connecting {
        failures: u32,
    },
    Open(Response),
    Message(OwnedMessage),
    Pong(Box<[u8]>),
    Lost {
        cause: CloseCause,
        retry_in: Duration,
    },
    GaveUp(CloseCause),
    /// A line at the terminal.
    Command(Command),
    /// One that is no command.
    Mistake(CommandError),
    /// Nothing more will be typed or piped; why, if that is a failure.
    InputEnded(Option<String>),
    /// Somebody wants us to end.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there are no signals"))]
    Signal(u8),
}

/// What a link calls: it hands on what happens. Each event of the loop has a place, which the session gives back by taking
/// one out of the other end of `places`; others wait for none.
pub(crate) fn reporter(
    news: Sender<News>,
    places: SyncSender<()>,
) -> impl FnMut(&Link, LinkEvent<'_>) + Send + 'static {
    move |_, event| {
        let event = match event {
            LinkEvent::Connecting { failures } => News::Connecting { failures },
            LinkEvent::Open { response, .. } => News::Open(response.clone()),
            LinkEvent::Message(message) => News::Message(message.into()),
            LinkEvent::Pong(payload) => News::Pong(payload.into()),
            LinkEvent::Lost { cause, retry_in } => News::Lost {
                cause: cause.clone(),
                retry_in,
            },
            LinkEvent::GaveUp { cause } => News::GaveUp(cause.clone()),
            _ => return,
        };
        // A session that is over listens no more.
        let _ = places.send(()).is_ok() && news.send(event).is_ok();
    }
}
