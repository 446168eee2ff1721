//! [`Event`] and [`State`]: what a connection tells its caller.

use crate::{CloseFrame, Error};

/// What the peer sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// A ping. The pong is already written.
    Ping(&'a [u8]),
    /// A pong, asked for or not.
    Pong(&'a [u8]),
    /// The peer closes. The answer is already written. `None`: it gave no code, which is called 1005.
    Close(Option<CloseFrame<'a>>),
    /// The peer broke the protocol or a limit. The Close frame that says so is already written.
    Failed(Error),
}

/// How far a connection is from its end.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum State {
    /// Both ways are open.
    Open,
    /// Our Close is out, theirs is awaited: arm a short timer.
    Closing,
    /// Nothing more will come or go. Write what is left, then end the transport; a client lets the server go first
    /// (RFC 6455 §7.1.1).
    Closed,
}

/// Which end of a connection this is (RFC 6455 §1.2).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Role {
    /// It was connected to. It receives masked frames and sends unmasked ones.
    Server,
    /// It connected. It sends masked frames and receives unmasked ones.
    Client,
}
