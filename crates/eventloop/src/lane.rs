//! [`Lane`]: the frames that a topic got in one turn, laid out behind each other in one of the forms that its members
//! understand. Used by the topics.

use bytes::{BufMut, BytesMut};
use wirefan_protocol::{Cohort, Config, DeflateParams, Header, Kind, Place, SendScratch};

/// A lane keeps its memory for the next turn if it was at most this long.
const KEPT: usize = 64 * 1024;
/// A cohort's compressor takes 380 KiB: rooms with fewer members, and more rooms than so many on a worker, go without.
pub(crate) const COHORT_MEMBERS: u32 = if cfg!(test) { 3 } else { 8 };
pub(crate) const COHORTS: usize = 64;
/// Shorter messages are not worth a cohort's compression either.
const COHORT_MIN_LEN: usize = 16;

/// How frames are laid out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// As they are. Every topic has this lane, the first one.
    Plain,
    /// Each compressed on its own, with a window of so many bits (RFC 7692 §7.1.2).
    Alone(u8),
    /// Each compressed with the history of the topic, if it has a cohort; who is not in step takes the plain lane.
    /// Without a cohort, each compressed on its own.
    Shared,
}

impl Form {
    /// What a member understands; `shared`: it may join a cohort.
    pub(crate) fn of(deflate: Option<DeflateParams>, shared: bool) -> Self {
        match deflate.map(|params| params.send) {
            Some(send) if shared && send.takeover && send.window_bits == 15 => Self::Shared,
            // No encoder keeps to a window of 8 bits.
            Some(send) if send.window_bits > 8 => Self::Alone(send.window_bits),
            _ => Self::Plain,
        }
    }
}

/// How the frames of lanes are compressed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compression {
    pub(crate) level: u8,
    pub(crate) min_len: usize,
    /// Messages between two keyframes of a cohort; `None`: there are no cohorts.
    pub(crate) keyframe: Option<u32>,
}

impl Compression {
    pub(crate) fn of(config: &Config) -> Self {
        match &config.deflate {
            Some(deflate) => Self {
                level: deflate.level,
                min_len: deflate.min_len,
                keyframe: deflate.shared_history,
            },
            None => Self {
                level: 1,
                min_len: usize::MAX,
                keyframe: None,
            },
        }
    }
}

#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) form: Form,
    /// Who takes it. Without anybody it is not filled.
    pub(crate) members: u32,
    pub(crate) bytes: BytesMut,
    /// Where each frame of the turn ends.
    pub(crate) ends: Vec<usize>,
    /// Where each frame stands in the cohort, unless it is plain.
    pub(crate) places: Vec<Option<Place>>,
    cohort: Option<Box<Cohort>>,
}

impl Lane {
    pub(crate) fn new(form: Form, frames: usize) -> Self {
        Self {
            form,
            members: 0,
            bytes: BytesMut::new(),
            ends: vec![0; frames],
            places: vec![None; frames],
            cohort: None,
        }
    }

    /// Lays out one more frame. Returns whether that took a compression.
    pub(crate) fn append(
        &mut self,
        kind: Kind,
        payload: &[u8],
        wanted: bool,
        compression: Compression,
        scratch: &mut SendScratch,
    ) -> bool {
        let (mut place, mut compressed, mut tried) = (None, false, false);
        if wanted {
            let window_bits = match self.form {
                Form::Plain => None,
                Form::Alone(bits) => Some(bits),
                Form::Shared => Some(15),
            };
            if let Some(cohort) = &mut self.cohort {
                if payload.len() >= COHORT_MIN_LEN {
                    if self.places.iter().all(Option::is_none) {
                        cohort.begin();
                    }
                    tried = true;
                    place = cohort.compress(kind, payload, &mut self.bytes);
                    compressed = place.is_some();
                }
            } else if let Some(bits) = window_bits
                && payload.len() >= compression.min_len.max(1)
            {
                tried = true;
                let alone =
                    scratch.compress(kind, payload, bits, compression.level, &mut self.bytes);
                compressed = alone.is_some();
            }
            if !compressed {
                let header = Header::of_message(kind, payload.len()).encode();
                self.bytes.reserve(header.len() + payload.len());
                self.bytes.put_slice(&header);
                self.bytes.put_slice(payload);
            }
        }
        self.ends.push(self.bytes.len());
        self.places.push(place);
        tried
    }

    /// Founds a cohort if there are members enough. Returns whether it did.
    pub(crate) fn found_cohort(&mut self, compression: Compression) -> bool {
        let Some(keyframe) = compression.keyframe else {
            return false;
        };
        let founds =
            self.form == Form::Shared && self.cohort.is_none() && self.members >= COHORT_MEMBERS;
        if founds {
            self.cohort = Some(Box::new(Cohort::new(compression.level, keyframe)));
        }
        founds
    }

    /// Ends the cohort when nobody is left: whoever comes later begins with a keyframe. Returns whether it did.
    pub(crate) fn end_cohort(&mut self) -> bool {
        self.members == 0 && self.cohort.take().is_some()
    }

    /// Where a frame begins.
    pub(crate) fn start_of(&self, frame: usize) -> usize {
        frame.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// Begins the next turn.
    pub(crate) fn reset(&mut self) {
        // A lane that was large goes with its readers; a small one is laid out again in the same memory.
        if self.ends.last().is_some_and(|end| *end > KEPT) {
            self.bytes = BytesMut::new();
        }
        self.bytes.clear();
        self.ends.clear();
        self.places.clear();
    }
}
