//! [`Cohort`]: one compressor with history for all members of a room, and [`InStep`], who may be sent what it makes.
//!
//! One compressor for each peer makes small similar messages five times smaller, at one compression for each peer; a
//! message compressed once and on its own hardly shrinks. A cohort has both: its messages refer to its earlier ones,
//! and are compressed once for everybody. It needs nothing that peers do not have (RFC 7692 with the server's context
//! takeover and the full window), but each of these rules, for without one of them a peer inflates to wrong bytes:
//!
//! 1. A connection is in one cohort at most. Whatever else it is sent while it is in step goes uncompressed: that never
//!    enters the peer's window.
//! 2. At a keyframe the compressor forgets. Message *i* of epoch *e* refers to messages 0 to *i* − 1 of *e* alone.
//! 3. A peer may be sent message (*e*, *i*) only if *i* is 0, or if the last compressed message that it was sent is
//!    (*e*, *i* − 1). Otherwise it gets the message in another form, and waits for a keyframe.
//! 4. Whoever drops a message that was on its way to a peer puts that peer [out of step](InStep::lose).
//! 5. A message that the compressor has seen and nobody gets (because it did not shrink) ends the epoch.

use alloc::vec::Vec;

use bytes::BufMut;

use super::deflater::Deflater;
use crate::{Header, Kind};

/// One compressor for all members of a room.
///
/// ```
/// use wirefan_protocol::{Cohort, InStep, Kind};
///
/// let mut cohort = Cohort::new(3, 256);
/// let (mut member, mut out) = (InStep::default(), Vec::new());
/// for price in ["101.25", "101.50", "101.75"] {
///     let tick = format!("{{\"bid\":{price},\"ask\":{price},\"bids\":[{price},{price},{price}]}}");
///     cohort.begin();
///     let place = cohort.compress(Kind::Text, tick.as_bytes(), &mut out).expect("it shrinks");
///     assert!(member.follows(place));
/// }
/// ```
#[derive(Debug)]
pub struct Cohort {
    deflater: Deflater,
    buffer: Vec<u8>,
    keyframe: u32,
    next: Place,
}

/// Where a message stands in a cohort: its epoch, and its number in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    epoch: u32,
    index: u32,
}

/// How far a peer has followed its cohort. The default is: not at all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct InStep {
    /// The message that it could be sent next.
    next: Option<Place>,
}

impl Cohort {
    /// A cohort with a keyframe every so many messages; peers that come later, or lose a message, wait for the next one.
    pub fn new(level: u8, keyframe: u32) -> Self {
        Self {
            deflater: Deflater::new(15, level),
            buffer: Vec::new(),
            keyframe: keyframe.max(1),
            next: Place { epoch: 0, index: 0 },
        }
    }

    /// A turn begins: if enough messages have gone since the last keyframe, the next one is one. Between two turns is
    /// the only place for it, so that the messages of a turn can be sent to a peer all together or not at all.
    pub fn begin(&mut self) {
        if self.next.index >= self.keyframe {
            self.start_epoch();
        }
    }

    /// Appends the frame of a compressed message, and says where it stands; `None`, and nothing is appended: it does not
    /// shrink.
    pub fn compress(&mut self, kind: Kind, payload: &[u8], out: &mut impl BufMut) -> Option<Place> {
        let Some(compressed) = self
            .deflater
            .compress(payload, &mut self.buffer)
            .and_then(|len| self.buffer.get(..len))
        else {
            // Rule 5.
            self.start_epoch();
            return None;
        };
        out.put_slice(
            &Header {
                rsv1: true,
                ..Header::of_message(kind, compressed.len())
            }
            .encode(),
        );
        out.put_slice(compressed);
        let place = self.next;
        self.next = place.next();
        Some(place)
    }

    fn start_epoch(&mut self) {
        self.deflater.reset();
        self.next = Place {
            epoch: self.next.epoch.wrapping_add(1),
            index: 0,
        };
    }
}

impl Place {
    /// The one behind it.
    const fn next(self) -> Self {
        // An epoch ends long before: `begin` sees to that.
        Self {
            epoch: self.epoch,
            index: self.index.wrapping_add(1),
        }
    }
}

impl InStep {
    /// Whether the peer may be sent the message at `place` (rule 3); if so, it is taken for sent.
    pub fn follows(&mut self, place: Place) -> bool {
        let follows = place.index == 0 || self.next == Some(place);
        self.next = follows.then(|| place.next());
        follows
    }

    /// The same for messages that are sent together; either all of them follow, or none is taken for sent and the peer
    /// is out of step.
    pub fn follows_all(&mut self, places: impl IntoIterator<Item = Place>) -> bool {
        let follows = places.into_iter().all(|place| self.follows(place));
        if !follows {
            self.lose();
        }
        follows
    }

    /// The peer has missed a message, or was sent a compressed one that is not of the cohort.
    pub fn lose(&mut self) {
        self.next = None;
    }

    /// Whether the peer's window is the cohort's: then nothing else may be sent to it compressed (rule 1).
    pub fn is_in_step(&self) -> bool {
        self.next.is_some()
    }
}
