//! A compressed message on its way into its final form: each piece is inflated as it comes, bounded by what comes out,
//! and appended like a plain one. Compressed bytes are never stored. Called by the connection.

use alloc::vec::Vec;

use super::inflater::{Inflater, TAIL, WINDOW};
use crate::partial::Partial;
use crate::{Config, Error};

/// Final blocks in one message. Each costs a window's copy, and an honest sender makes one at most.
const MAX_FINAL_BLOCKS: u8 = 16;
/// The ratio is looked at from here on: short messages may well be a few bytes many times over.
const RATIO_FROM: usize = 64 * 1024;

/// What a message that is being inflated needs beside its memory.
#[derive(Debug)]
pub(crate) struct Inflation {
    inflater: Inflater,
    /// Compressed bytes that its frames have announced, and those that have come.
    announced: u64,
    came: u64,
    final_blocks: u8,
}

impl Inflation {
    pub(crate) fn new() -> Self {
        Self {
            inflater: Inflater::new(),
            announced: 0,
            came: 0,
            final_blocks: 0,
        }
    }

    /// A message begins that may refer to `history`.
    pub(crate) fn begin(&mut self, history: &[u8]) -> Result<(), Error> {
        (self.announced, self.came, self.final_blocks) = (0, 0, 0);
        self.inflater.begin(history)
    }

    /// Counts a frame. A message that is compressed takes at most an eighth more than its own length, whatever is in it;
    /// beyond that only blocks without content could follow.
    pub(crate) fn count_frame(&mut self, len: u64, config: &Config) -> Result<(), Error> {
        self.announced = self.announced.saturating_add(len);
        let message = config.max_message as u64;
        if self.announced > message.saturating_add(message / 8).saturating_add(64) {
            return Err(Error::MessageTooLong);
        }
        Ok(())
    }

    /// Compressed bytes of this message that have come.
    pub(crate) fn came(&self) -> u64 {
        self.came
    }

    /// Inflates a piece into `message`; `history` is what earlier messages left.
    pub(crate) fn inflate(
        &mut self,
        input: &[u8],
        message: &mut Partial,
        history: &[u8],
        config: &Config,
    ) -> Result<(), Error> {
        self.came = self.came.saturating_add(input.len() as u64);
        self.feed(input, message, history, config)
    }

    /// The message has come to its end.
    pub(crate) fn finish(
        &mut self,
        message: &mut Partial,
        history: &[u8],
        config: &Config,
    ) -> Result<(), Error> {
        // Some senders make nothing of an empty message; and one that ends with a final block needs no tail.
        if self.came == 0 || self.inflater.ended() {
            return Ok(());
        }
        let len = message.len();
        self.feed(TAIL, message, history, config)?;
        // The tail is an empty block. If it was taken for content, the message broke off inside of a block.
        if message.len() != len {
            return Err(Error::DeflateInvalid);
        }
        if self.inflater.ends_a_block() {
            Ok(())
        } else {
            Err(Error::DeflateInvalid)
        }
    }

    fn feed(
        &mut self,
        mut input: &[u8],
        message: &mut Partial,
        history: &[u8],
        config: &Config,
    ) -> Result<(), Error> {
        loop {
            if self.inflater.ended() {
                if input.is_empty() {
                    return Ok(());
                }
                // RFC 7692 §7.2.3.4: a message goes on behind a final block, and may still refer back across it.
                self.final_blocks += 1;
                if self.final_blocks > MAX_FINAL_BLOCKS {
                    return Err(Error::DeflateInvalid);
                }
                self.inflater.begin(&window(history, message))?;
            }
            let room = message.room(config);
            let limit = usize::try_from(room)
                .unwrap_or(usize::MAX)
                .saturating_add(1);
            let step = self.inflater.step(input, limit);
            if step.output.len() >= limit {
                return Err(Error::MessageTooLong);
            }
            let idle = step.used == 0 && step.output.is_empty();
            let (more, invalid) = (step.more, step.invalid);
            input = input.get(step.used..).unwrap_or_default();
            let len = step.output.len();
            message.append(step.output, len, room - len as u64)?;
            self.check_ratio(message.len(), config)?;
            if invalid {
                return Err(Error::DeflateInvalid);
            }
            if input.is_empty() && !more {
                return Ok(());
            }
            if idle && !self.inflater.ended() {
                return Err(Error::DeflateInvalid);
            }
        }
    }

    fn check_ratio(&self, len: usize, config: &Config) -> Result<(), Error> {
        let max_ratio = config
            .deflate
            .as_ref()
            .and_then(|deflate| deflate.max_ratio);
        if let Some(max_ratio) = max_ratio
            && len >= RATIO_FROM
            && len as u64 / u64::from(max_ratio) > self.came
        {
            return Err(Error::MessageTooLong);
        }
        Ok(())
    }
}

/// The newest bytes of what earlier messages left and of this one: what a block may refer to.
fn window(history: &[u8], message: &Partial) -> Vec<u8> {
    let mut window = Vec::with_capacity(WINDOW);
    let (text, cut) = message.content();
    let recent = text.len() + cut.len();
    window.extend_from_slice(last(history, WINDOW.saturating_sub(recent)));
    window.extend_from_slice(last(text, WINDOW - cut.len()));
    window.extend_from_slice(cut);
    window
}

/// Adds a message to the history of a connection, which keeps the newest `1 << bits` bytes.
pub(crate) fn remember(history: &mut Vec<u8>, message: &[u8], bits: u8) {
    let size = 1_usize << bits.clamp(8, 15);
    let message = last(message, size);
    let excess = (history.len() + message.len()).saturating_sub(size);
    history.drain(..excess.min(history.len()));
    history.reserve_exact(message.len());
    history.extend_from_slice(message);
}

fn last(bytes: &[u8], len: usize) -> &[u8] {
    bytes
        .get(bytes.len().saturating_sub(len)..)
        .unwrap_or_default()
}
