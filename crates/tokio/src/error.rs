//! The errors of an open connection. Those of the handshakes are in `accept.rs` and `client.rs`.

use std::{error, fmt, io};

use wirefan_protocol::SendError;

/// Why a connection has failed, or a message could not be sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The stream below has failed.
    Io(io::Error),
    /// The peer broke the protocol or a limit, or was lost without a Close. The Close that says so has been sent.
    Protocol(wirefan_protocol::Error),
    /// The message may not be sent, or not any more. The connection goes on.
    Send(SendError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Protocol(error) => error.fmt(f),
            Self::Send(error) => error.fmt(f),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        // Each is shown as it is: what lies below it is its own source.
        match self {
            Self::Io(error) => error.source(),
            Self::Protocol(_) | Self::Send(_) => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<wirefan_protocol::Error> for Error {
    fn from(error: wirefan_protocol::Error) -> Self {
        Self::Protocol(error)
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}
