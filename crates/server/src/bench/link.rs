//! [`Link`]: one connection of a load, from the dial to its end.

use wirefan_protocol::{CloseCode, Connection, Header, Opcode, apply_mask};

use super::dial::Dial;
use super::incoming::Incoming;
use super::ledger::Ledger;
use super::outgoing::Outgoing;
use super::socket::Socket;

/// What a connection is there for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Sends, and gets all of it back.
    Echo,
    /// Sends to the room, or to the one of its number.
    Publisher(usize),
    /// Gets everything that is sent to its room.
    Subscriber(Hears),
    /// Does nothing.
    Idle,
}

/// Whom a subscriber hears.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hears {
    /// All publishers: there is one room.
    All,
    /// The publisher of this number, who has a room of that number.
    One(usize),
}

impl Hears {
    /// Those of all, given one for each publisher, that it hears.
    pub(crate) fn of<T>(self, all: &[T]) -> &[T] {
        match self {
            Self::All => all,
            Self::One(publisher) => &all[publisher..=publisher],
        }
    }

    /// The same, to be changed.
    pub(crate) fn of_mut<T>(self, all: &mut [T]) -> &mut [T] {
        match self {
            Self::All => all,
            Self::One(publisher) => &mut all[publisher..=publisher],
        }
    }
}

/// How far a connection is.
pub(crate) enum Stage {
    Dialling(Box<Dial>),
    Open(Socket),
    /// Our Close is out.
    Closing(Socket),
    Gone,
}

/// A connection.
pub(crate) struct Link {
    pub(crate) role: Role,
    pub(crate) stage: Stage,
    pub(crate) outgoing: Outgoing,
    pub(crate) incoming: Incoming,
    /// For each sender that it hears.
    pub(crate) ledgers: Box<[Ledger]>,
    /// Its place among those of its thread that send.
    pub(crate) slot: u64,
    /// Open loop: messages whose time has come, and that may not be sent yet.
    pub(crate) owed: u64,
    /// Open loop: messages that have been sent in this schedule.
    pub(crate) scheduled: u64,
}

impl Link {
    /// Queues a Close with 1000.
    pub(crate) fn close(&mut self) {
        if let Incoming::Frames(connection) = &mut self.incoming {
            // It fails where a Close is out already.
            let _ = connection.close(CloseCode::NORMAL, "", &mut self.outgoing.control);
        } else {
            self.outgoing.control.extend_from_slice(&close_frame());
        }
    }
}

/// A masked Close with 1000. The key is the load's business as little as the payload is.
pub(crate) fn close_frame() -> [u8; 8] {
    let key = [0x5a, 0x17, 0xc3, 0x88];
    let header = Header {
        fin: true,
        rsv1: false,
        opcode: Opcode::Close,
        masking_key: Some(key),
        len: 2,
    };
    let mut frame = [0; 8];
    frame[..6].copy_from_slice(&header.encode());
    frame[6..].copy_from_slice(&CloseCode::NORMAL.0.to_be_bytes());
    apply_mask(&mut frame[6..], key, 0);
    frame
}

/// Whether messages may be compressed on the way to the server, and with how large a window.
pub(crate) fn window_bits(connection: &Connection) -> Option<u8> {
    connection
        .agreed()
        .deflate()
        .map(|params| params.send.window_bits)
}
