//! [`Waiting`]: which of an outbox's chunks are messages of topics with a policy, and what that policy does with them.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use wirefan_protocol::{CloseCode, Millis};

use super::{CHUNK_COST, Chunk, Outbox};
use crate::policy::{Rules, WhenSlow};

/// Chunks that were dropped from the midst and are still in the list, beyond as many as are not.
const DEAD: usize = 64;

/// The messages that wait and may be dropped. A chunk that one of them is in holds nothing else.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The number of the chunk at the front.
    pub(super) first: u64,
    /// Chunks that were dropped from the midst.
    pub(super) dead: usize,
    shares: Vec<Share>,
    /// Where the message of a key is, by share.
    keys: HashMap<(u32, u64), u64>,
    /// Some have been put in before the socket refused anything: their policies do not hold yet.
    raw: bool,
    /// The reader is about to be closed, with this code: nothing more is put in, and nothing counted.
    doomed: Option<CloseCode>,
}

/// The messages of one topic.
#[derive(Debug)]
struct Share {
    rules: Rc<Rules>,
    /// Their bytes, and what keeping them costs.
    weight: usize,
    /// Their chunks in order; some may be gone.
    chunks: VecDeque<u64>,
}

/// A message of a topic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    share: u32,
    key: u64,
    at: Millis,
}

impl Waiting {
    fn share_of(&mut self, rules: &Rc<Rules>) -> u32 {
        let place = |shares: &[Share]| {
            let is_it = |share: &Share| Rc::ptr_eq(&share.rules, rules);
            let empty = |share: &Share| share.weight == 0 && share.chunks.is_empty();
            let known = shares.iter().position(is_it);
            known.map(|known| (known, true)).or_else(|| {
                let free = shares.iter().position(empty)?;
                Some((free, false))
            })
        };
        let (place, known) = place(&self.shares).unwrap_or((self.shares.len(), false));
        if !known {
            let share = Share {
                rules: Rc::clone(rules),
                weight: 0,
                chunks: VecDeque::new(),
            };
            match self.shares.get_mut(place) {
                Some(free) => *free = share,
                None => self.shares.push(share),
            }
        }
        place as u32
    }

    /// The message in a chunk, of so many bytes, has begun to go out or is dropped.
    pub(super) fn forget(&mut self, mark: Mark, chunk: u64, len: usize) {
        let share = &mut self.shares[mark.share as usize];
        share.weight -= len + CHUNK_COST;
        if share.chunks.front() == Some(&chunk) {
            share.chunks.pop_front();
        }
        if self.keys.get(&(mark.share, mark.key)) == Some(&chunk) {
            self.keys.remove(&(mark.share, mark.key));
        }
    }
}

impl Outbox {
    /// Adds a message of a topic with a policy, published at `now`, and does what the policy says if the socket has
    /// refused something. `limit` is that of the whole backlog.
    ///
    /// # Errors
    ///
    /// The reader is to be closed with a code.
    pub(crate) fn push_of_topic(
        &mut self,
        message: Bytes,
        key: u64,
        rules: &Rc<Rules>,
        now: Millis,
        limit: usize,
    ) -> Result<(), CloseCode> {
        let waiting = self.waiting.get_or_insert_default();
        let share = waiting.share_of(rules);
        let mark = Mark {
            share,
            key,
            at: now,
        };
        if self.refused {
            self.expire_share(share, now)?;
            self.take_in(message, mark, limit)
        } else {
            waiting.raw = true;
            self.append(message, mark);
            Ok(())
        }
    }

    /// Has the policies hold for what was put in before the socket refused it.
    ///
    /// # Errors
    ///
    /// The reader is to be closed with a code.
    pub(crate) fn hold_to_policies(&mut self, limit: usize) -> Result<(), CloseCode> {
        let Some(waiting) = self.waiting.as_mut().filter(|waiting| waiting.raw) else {
            return Ok(());
        };
        if !self.refused {
            return Ok(());
        }
        waiting.raw = false;
        waiting.dead = 0;
        waiting.keys.clear();
        for share in &mut waiting.shares {
            share.weight = 0;
            share.chunks.clear();
        }
        self.shrink(self.len);
        for chunk in core::mem::take(&mut self.chunks) {
            match chunk.mark {
                None => self.push(chunk.bytes),
                Some(mark) => self.take_in(chunk.bytes, mark, limit)?,
            }
        }
        Ok(())
    }

    /// Drops the messages that have waited for too long.
    ///
    /// # Errors
    ///
    /// The reader is to be closed with a code.
    pub(crate) fn expire(&mut self, now: Millis) -> Result<(), CloseCode> {
        let shares = self.waiting.as_ref().map_or(0, |it| it.shares.len());
        if self.refused {
            (0..shares as u32).try_for_each(|share| self.expire_share(share, now))?;
        }
        Ok(())
    }

    /// With what the reader is to be closed: a message that it was sent is not in here.
    pub(crate) fn doomed(&self) -> Option<CloseCode> {
        self.waiting.as_ref()?.doomed
    }

    /// When the next message has waited for too long.
    pub(crate) fn deadline(&mut self) -> Option<Millis> {
        let shares = self.waiting.as_ref()?.shares.len() as u32;
        (0..shares)
            .filter_map(|share| {
                let age = self.rules(share)?.policy.max_age?;
                let (_, mark) = self.oldest(share)?;
                Some(mark.at.after(age))
            })
            .min()
    }

    /// The messages that policies have dropped since this was asked last.
    pub(crate) fn take_dropped(&mut self) -> u32 {
        core::mem::take(&mut self.dropped)
    }

    fn take_in(&mut self, message: Bytes, mark: Mark, limit: usize) -> Result<(), CloseCode> {
        let cost = message.len() + CHUNK_COST;
        if let Some(code) = self.doomed() {
            return Err(code);
        }
        let Some(rules) = self.rules(mark.share) else {
            return Ok(());
        };
        let (policy, others) = (rules.policy, self.weight() - self.share_weight(mark.share));
        let makes_room = match policy.when_slow {
            WhenSlow::Conflate => {
                let waiting = self.waiting.as_ref();
                let older = waiting.and_then(|it| it.keys.get(&(mark.share, mark.key)));
                if let Some(older) = older.copied()
                    && self.drop_chunk(older)
                {
                    rules.count(|drops| drops.conflated += 1);
                }
                true
            }
            WhenSlow::DropOldest => true,
            WhenSlow::DropNew | WhenSlow::Close(_) => false,
        };
        // Where others have used up all of the room, ours would be lost to no avail.
        if makes_room && others < limit {
            while self.share_weight(mark.share) + cost > policy.limit
                || self.weight() + cost > limit
            {
                let Some((oldest, _)) = self.oldest(mark.share) else {
                    break;
                };
                self.drop_chunk(oldest);
                rules.count(|drops| drops.oldest += 1);
            }
        }
        let full = self.weight() >= limit || self.share_weight(mark.share) >= policy.limit.max(1);
        match policy.when_slow {
            WhenSlow::Close(code) if full => return Err(self.doom(&rules, code)),
            _ if full => {
                self.dropped = self.dropped.saturating_add(1);
                rules.count(|drops| drops.newest += 1);
            }
            _ => self.append(message, mark),
        }
        Ok(())
    }

    fn append(&mut self, message: Bytes, mark: Mark) {
        let Some(waiting) = &mut self.waiting else {
            return;
        };
        let number = waiting.first + self.chunks.len() as u64;
        let share = &mut waiting.shares[mark.share as usize];
        share.weight += message.len() + CHUNK_COST;
        share.chunks.push_back(number);
        if share.rules.policy.when_slow == WhenSlow::Conflate {
            waiting.keys.insert((mark.share, mark.key), number);
        }
        let len = message.len();
        self.chunks.push_back(Chunk {
            bytes: message,
            mark: Some(mark),
        });
        let sparse = waiting.dead > self.chunks.len() / 2 + DEAD;
        self.grow(len);
        if sparse {
            self.compact();
        }
    }

    fn expire_share(&mut self, share: u32, now: Millis) -> Result<(), CloseCode> {
        let Some(rules) = self.rules(share).filter(|_| self.doomed().is_none()) else {
            return Ok(());
        };
        let Some(age) = rules.policy.max_age else {
            return Ok(());
        };
        while let Some((chunk, mark)) = self.oldest(share)
            && mark.at.after(age) <= now
        {
            if let WhenSlow::Close(code) = rules.policy.when_slow {
                return Err(self.doom(&rules, code));
            }
            self.drop_chunk(chunk);
            rules.count(|drops| drops.expired += 1);
        }
        Ok(())
    }

    fn doom(&mut self, rules: &Rules, code: CloseCode) -> CloseCode {
        if let Some(waiting) = &mut self.waiting {
            waiting.doomed = Some(code);
        }
        rules.count(|drops| drops.closed += 1);
        code
    }

    fn rules(&self, share: u32) -> Option<Rc<Rules>> {
        let share = self.waiting.as_ref()?.shares.get(share as usize)?;
        Some(Rc::clone(&share.rules))
    }

    fn share_weight(&self, share: u32) -> usize {
        let waiting = self.waiting.as_ref();
        waiting.map_or(0, |waiting| waiting.shares[share as usize].weight)
    }

    /// The chunk of a topic's oldest message that has not begun to go out.
    fn oldest(&mut self, share: u32) -> Option<(u64, Mark)> {
        let waiting = self.waiting.as_mut()?;
        let chunks = &mut waiting.shares[share as usize].chunks;
        while let Some(number) = chunks.front().copied() {
            let place = number.checked_sub(waiting.first);
            let chunk = place.and_then(|place| self.chunks.get(place as usize));
            if let Some(mark) = chunk.and_then(|chunk| chunk.mark) {
                return Some((number, mark));
            }
            chunks.pop_front();
        }
        None
    }

    /// Drops a message from the midst.
    fn drop_chunk(&mut self, number: u64) -> bool {
        let Some(waiting) = &mut self.waiting else {
            return false;
        };
        let Some(chunk) = number
            .checked_sub(waiting.first)
            .and_then(|place| self.chunks.get_mut(place as usize))
        else {
            return false;
        };
        let Some(mark) = chunk.mark.take() else {
            return false;
        };
        let len = core::mem::take(&mut chunk.bytes).len();
        waiting.dead += 1;
        waiting.forget(mark, number, len);
        self.shrink(len);
        self.dropped = self.dropped.saturating_add(1);
        true
    }

    /// Takes the dropped chunks out of the list.
    fn compact(&mut self) {
        let Some(waiting) = &mut self.waiting else {
            return;
        };
        self.chunks.retain(|chunk| !chunk.bytes.is_empty());
        waiting.dead = 0;
        for share in &mut waiting.shares {
            share.chunks.clear();
        }
        for (number, chunk) in (waiting.first..).zip(&self.chunks) {
            let Some(mark) = chunk.mark else { continue };
            let share = &mut waiting.shares[mark.share as usize];
            share.chunks.push_back(number);
            if share.rules.policy.when_slow == WhenSlow::Conflate {
                waiting.keys.insert((mark.share, mark.key), number);
            }
        }
    }
}

#[cfg(test)]
mod tests;
