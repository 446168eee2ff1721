//! The two errors of an open connection: what the peer did wrong, and what the caller did wrong.
//! (Those of the handshakes are in [`crate::handshake`].)

use core::error;
use core::fmt;

use crate::CloseCode;

/// What the peer did wrong.
///
/// It arrives as [`Event::Failed`](crate::Event::Failed); the Close frame that says so is already written.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A control frame longer than 125 bytes (RFC 6455 §5.5).
    ControlTooLong,
    /// A compressed message whose content is not valid (RFC 7692 §7.2.2).
    DeflateInvalid,
    /// The transport ended without a Close frame (RFC 6455 §7.1.5).
    EndOfStream,
    /// A text or binary frame while a fragmented message was under way (RFC 6455 §5.4).
    ExpectedContinuation,
    /// A control frame without the FIN bit (RFC 6455 §5.5).
    FragmentedControl,
    /// A Close frame with a one-byte payload or a code that may not travel (RFC 6455 §5.5.1, §7.4).
    InvalidClose,
    /// Text, or the reason of a Close, that is not UTF-8 (RFC 6455 §5.6, §8.1).
    InvalidUtf8,
    /// A length written with more bytes than needed, or with the top bit set (RFC 6455 §5.2).
    InvalidLength,
    /// A client's frame without a mask (RFC 6455 §5.1).
    MaskMissing,
    /// A server's frame with a mask (RFC 6455 §5.1).
    MaskUnexpected,
    /// A message longer than [`Config::max_message`](crate::Config::max_message).
    MessageTooLong,
    /// A reserved bit that no extension gave a meaning (RFC 6455 §5.2).
    ReservedBits,
    /// More empty fragments in a row than [`Config::max_empty_fragments`](crate::Config::max_empty_fragments).
    TooManyEmptyFragments,
    /// More fragments than [`Config::max_fragments`](crate::Config::max_fragments).
    TooManyFragments,
    /// A continuation frame where no message was under way (RFC 6455 §5.4).
    UnexpectedContinuation,
    /// An opcode that is reserved (RFC 6455 §5.2).
    UnknownOpcode(u8),
}

impl Error {
    /// The code that the Close frame carries for this; 1006, which never travels, where there was none to send.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::DeflateInvalid | Self::InvalidUtf8 => CloseCode::INVALID_DATA,
            Self::MessageTooLong => CloseCode::TOO_BIG,
            Self::TooManyEmptyFragments | Self::TooManyFragments => CloseCode::POLICY,
            Self::EndOfStream => CloseCode::ABNORMAL,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// One line for people, which is also the reason in the Close frame.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ControlTooLong => "control frame longer than 125 bytes",
            Self::DeflateInvalid => "invalid compressed data",
            Self::EndOfStream => "connection lost without a Close frame",
            Self::ExpectedContinuation => "new message inside a fragmented one",
            Self::FragmentedControl => "fragmented control frame",
            Self::InvalidClose => "invalid Close frame",
            Self::InvalidUtf8 => "invalid UTF-8",
            Self::InvalidLength => "invalid frame length",
            Self::MaskMissing => "frame from a client without a mask",
            Self::MaskUnexpected => "masked frame from a server",
            Self::MessageTooLong => "message too long",
            Self::ReservedBits => "reserved bit set",
            Self::TooManyEmptyFragments => "too many empty fragments",
            Self::TooManyFragments => "too many fragments",
            Self::UnexpectedContinuation => "continuation without a message",
            Self::UnknownOpcode(_) => "unknown opcode",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOpcode(opcode) => write!(f, "unknown opcode {opcode:#x}"),
            _ => f.write_str(self.reason()),
        }
    }
}

impl error::Error for Error {}

/// What the caller did wrong, or too late. Nothing was written.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SendError {
    /// The closing handshake has begun, or the connection has failed (RFC 6455 §5.5.1).
    AfterClose,
    /// A ping or pong payload longer than 125 bytes (RFC 6455 §5.5).
    ControlTooLong,
    /// A header alone can only be sent unmasked, by a server (RFC 6455 §5.1).
    HeaderForClient,
    /// A fragmented message of ours is under way: only its next fragment and control frames may follow (RFC 6455 §5.4).
    InsideMessage,
    /// A close code that may not be sent (RFC 6455 §7.4).
    InvalidCloseCode,
    /// A close reason longer than 123 bytes (RFC 6455 §5.5.1).
    ReasonTooLong,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AfterClose => "the connection is closing or closed",
            Self::ControlTooLong => "a control frame carries at most 125 bytes",
            Self::HeaderForClient => "a client masks its payloads and cannot send a header alone",
            Self::InsideMessage => "a fragmented message is under way",
            Self::InvalidCloseCode => "this close code may not be sent",
            Self::ReasonTooLong => "a close reason has at most 123 bytes",
        })
    }
}

impl error::Error for SendError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_fits_into_a_close_frame() {
        for error in [
            Error::ControlTooLong,
            Error::ExpectedContinuation,
            Error::UnknownOpcode(3),
            Error::MaskMissing,
        ] {
            assert!(error.reason().len() <= 123);
        }
    }
}
