//! The end of a turn for topics: every member is written the frames of this turn from the same bytes.

use std::io;
use std::rc::Rc;

use bytes::Bytes;

use crate::CloseCause;
use crate::outbox::begun_rest;
use crate::policy::Rules;
use crate::slot::Slot;
use crate::state::{Core, NOBODY, OUT_HIGH};
use crate::topics::{Membership, Run};

/// A part of a lane that is shorter than this part of it is copied: it would keep all of the lane in memory.
const SHARED: usize = 8;

/// Lists that keep their memory from turn to turn.
#[derive(Debug, Default)]
pub(crate) struct FanOut {
    pub(crate) runs: Vec<Run>,
    /// The lanes of the busy topics, frozen, one topic's behind another's.
    lanes: Vec<Bytes>,
    /// Where in there the lanes of a topic begin; by topic.
    first_lanes: Vec<(u32, usize)>,
    /// Members who do not get all of a lane, or get several of them: these in the order in which they were published.
    mixed: Vec<u32>,
    /// Members whose backlog is at its limit.
    full: Vec<u32>,
}

impl<P> Core<P> {
    /// Brings what was published to the members, and begins the next lanes. Never called inside a call.
    pub(crate) fn fan_out(&mut self) {
        if self.topics.busy.is_empty() {
            return;
        }
        self.write_deferred();
        let mut fan_out = core::mem::take(&mut self.fan_out);
        for place in 0..self.topics.busy.len() {
            let topic = self.topics.busy[place];
            fan_out.first_lanes.push((topic, fan_out.lanes.len()));
            self.topics.freeze(topic, &mut fan_out.lanes);
        }
        fan_out
            .first_lanes
            .sort_unstable_by_key(|(topic, _)| *topic);
        for (topic, first) in &fan_out.first_lanes {
            let lanes = &fan_out.lanes[*first..][..self.topics.get(*topic).lanes()];
            self.fan_out_topic(*topic, lanes, &mut fan_out.mixed, &mut fan_out.full);
        }
        fan_out.mixed.sort_unstable();
        fan_out.mixed.dedup();
        for index in fan_out.mixed.drain(..) {
            let Some(slot) = self.slots.get(index) else {
                continue;
            };
            let frames = self.topics.runs(&slot.memberships, &mut fan_out.runs);
            self.forget_sent(index);
            let mut left_out = 0;
            for run in &fan_out.runs {
                let first = fan_out
                    .first_lanes
                    .binary_search_by_key(&run.topic, |lane| lane.0);
                if let Ok(place) = first {
                    let lane = &fan_out.lanes[fan_out.first_lanes[place].1 + run.lane];
                    if let Some(rules) = self.topics.rules(run.topic) {
                        let messages =
                            self.waiting_messages(run.topic, run.lane, lane, run.start, run.end);
                        #[cfg(feature = "client")]
                        let messages = self.messages_for(index, messages);
                        if let Some(code) = self.wait(index, &rules, messages.into_iter()) {
                            self.slow.push((index, code));
                            break;
                        }
                    } else {
                        let frames = part(lane, run.start, run.end);
                        #[cfg(feature = "client")]
                        let frames = self.in_form_for(index, frames);
                        left_out += self.queue_within(index, frames);
                    }
                }
            }
            self.tally.delivered += frames - left_out as u64;
            if left_out > 0 {
                self.lose(index);
                self.count_lost(index, left_out);
                fan_out.full.push(index);
            }
        }
        fan_out.first_lanes.clear();
        fan_out.lanes.clear();
        self.topics.reset();
        for index in fan_out.full.drain(..) {
            self.refuse(index);
        }
        self.close_slow_readers();
        self.fan_out = fan_out;
    }

    fn fan_out_topic(
        &mut self,
        topic: u32,
        lanes: &[Bytes],
        mixed: &mut Vec<u32>,
        full: &mut Vec<u32>,
    ) {
        let rules = self.topics.rules(topic);
        for place in 0..self.topics.get(topic).members.len() {
            let entry = self.topics.get(topic);
            let member = entry.members[place];
            let Some(slot) = self.slots.get_mut(member.slot) else {
                continue;
            };
            if slot.flags.ended || member.from as usize >= entry.marks.len() {
                continue;
            }
            slot.liveness.active(self.now);
            if member.spoke || slot.memberships.len() > 1 || slot.is_dialled() {
                mixed.push(member.slot);
                continue;
            }
            let membership = Membership {
                topic,
                place: place as u32,
            };
            let frames = entry.marks.len() - member.from as usize;
            let waits = rules.as_ref().filter(|_| slot.outbox.is_some());
            let number = match waits {
                None => self.topics.take_lane(membership),
                Some(_) => self.topics.take_lane_alone(membership),
            };
            let (entry, lane) = (self.topics.get(topic), &lanes[number]);
            if entry.is_compressed(number)
                && let Some(connection) = slot.open()
            {
                connection.forget_sent();
            }
            let start = entry.start_of(member, number);
            let left_out = match (&rules, waits) {
                (Some(rules), Some(_)) => {
                    let messages = self.waiting_messages(topic, number, lane, start, lane.len());
                    let slow = self.wait(member.slot, rules, messages.into_iter());
                    self.slow.extend(slow.map(|code| (member.slot, code)));
                    0
                }
                (Some(rules), None) => {
                    if let Some(refused) = self.offer_lane(member.slot, lane, start) {
                        self.keep_waiting(membership, rules, lanes, number, start, refused);
                    }
                    0
                }
                (None, _) if slot.outbox.is_none() => self.write_lane(member.slot, lane, start),
                (None, _) => self.queue_within(member.slot, part(lane, start, lane.len())),
            };
            self.tally.delivered += (frames - left_out) as u64;
            if left_out > 0 {
                self.topics.lose(membership);
                self.count_lost(member.slot, left_out);
                full.push(member.slot);
            }
        }
    }

    /// Puts what the lanes hold for a connection behind what it was sent, as far as there is room for it.
    pub(crate) fn settle(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        if self.topics.pending == 0 || slot.memberships.is_empty() || slot.flags.ended {
            return;
        }
        let mut runs = core::mem::take(&mut self.fan_out.runs);
        let frames = self.topics.runs(&slot.memberships, &mut runs);
        self.topics.settled(&slot.memberships);
        if !runs.is_empty() {
            self.forget_sent(index);
        }
        let (mut left_out, mut slow) = (0, None);
        for run in &runs {
            if let Some(rules) = self.topics.rules(run.topic) {
                if self.current == Some(index) {
                    self.flush_current();
                }
                let messages = self.topics.messages(*run);
                #[cfg(feature = "client")]
                let messages = self.messages_for(index, messages);
                slow = self.wait(index, &rules, messages.into_iter());
                if slow.is_some() {
                    break;
                }
                continue;
            }
            let bytes = self.topics.bytes(*run);
            if self.current == Some(index)
                && self.out.len() + bytes.len() <= OUT_HIGH
                && self
                    .slots
                    .get(index)
                    .is_some_and(|slot| slot.outbox.is_none() && !slot.is_dialled())
            {
                self.out.extend_from_slice(bytes);
                continue;
            }
            let bytes = Bytes::copy_from_slice(bytes);
            if self.current == Some(index) {
                self.flush_current();
            }
            #[cfg(feature = "client")]
            let bytes = self.in_form_for(index, bytes);
            left_out += self.queue_within(index, bytes);
        }
        self.fan_out.runs = runs;
        self.tally.delivered += frames - left_out as u64;
        if left_out > 0 {
            self.lose(index);
            self.count_lost(index, left_out);
            self.refuse(index);
        }
        if let Some(code) = slow {
            self.close_slow(index, code);
        }
    }

    /// What was compressed for a whole topic goes to a connection: its own compressor starts anew.
    pub(crate) fn forget_sent(&mut self, index: u32) {
        if let Some(connection) = self.slots.get_mut(index).and_then(Slot::open) {
            connection.forget_sent();
        }
    }

    /// A connection misses something of what it took from the lanes.
    pub(crate) fn lose(&mut self, index: u32) {
        if let Some(slot) = self.slots.get(index) {
            for membership in &slot.memberships {
                self.topics.lose(*membership);
            }
            if slot.is_dialled() {
                self.forget_sent(index);
            }
        }
    }

    /// The way of nearly every broadcast, for a member without a backlog: one write of the shared bytes. Returns how many
    /// frames were left out.
    fn write_lane(&mut self, index: u32, lane: &Bytes, start: usize) -> usize {
        self.at_ease = NOBODY;
        let Some(refused) = self.offer_lane(index, lane, start) else {
            return 0;
        };
        let behind = self.keep_begun(index, lane, start, refused);
        let limit = self.settings.backpressure.limit;
        let rest = part(lane, behind, lane.len());
        let outbox = self
            .slots
            .get_mut(index)
            .and_then(|slot| slot.outbox.as_mut());
        let left_out = outbox.map_or(0, |outbox| outbox.push_within(rest, limit));
        self.weigh(index);
        left_out
    }

    /// Writes what the socket takes of a lane; returns where it refused the rest.
    #[inline]
    fn offer_lane(&mut self, index: u32, lane: &Bytes, mut start: usize) -> Option<usize> {
        let slot = self.slots.get_mut(index)?;
        while start < lane.len() {
            match slot.socket.write(&lane[start..]) {
                Ok(0) => {
                    self.end(index, CloseCause::Reset(io::ErrorKind::WriteZero));
                    return None;
                }
                Ok(written) => {
                    start += written;
                    self.tally.written += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(start),
                Err(error) => {
                    self.end(index, CloseCause::Reset(error.kind()));
                    return None;
                }
            }
        }
        None
    }

    /// Keeps the rest of the frame that was begun where the socket refused; returns where the next one begins.
    fn keep_begun(&mut self, index: u32, lane: &Bytes, begin: usize, refused: usize) -> usize {
        self.at_ease = NOBODY;
        let begun = begun_rest(&lane[begin..], 0, refused - begin);
        let mut outbox = self.spares.take();
        outbox.push_begun(part(lane, refused, refused + begun), begun);
        if let Some(slot) = self.slots.get_mut(index) {
            slot.outbox = Some(outbox);
        }
        refused + begun
    }

    /// The same of a topic with a policy, for all that was refused.
    fn keep_waiting(
        &mut self,
        membership: Membership,
        rules: &Rc<Rules>,
        lanes: &[Bytes],
        number: usize,
        begin: usize,
        refused: usize,
    ) {
        let entry = self.topics.get(membership.topic);
        let index = entry.members[membership.place as usize].slot;
        let behind = self.keep_begun(index, &lanes[number], begin, refused);
        let (alone, from) = self.topics.get(membership.topic).alone(number, behind);
        if alone != number && behind < lanes[number].len() {
            self.topics.lose(membership);
        }
        let lane = &lanes[alone];
        let messages = self.waiting_messages(membership.topic, alone, lane, from, lane.len());
        let slow = self.wait(index, rules, messages.into_iter());
        self.slow.extend(slow.map(|code| (index, code)));
    }

    /// The frames of a frozen lane between two ends of frames, each by itself, and their keys.
    fn waiting_messages(
        &self,
        topic: u32,
        number: usize,
        lane: &Bytes,
        start: usize,
        end: usize,
    ) -> Vec<(Bytes, u64)> {
        let frames = self.topics.get(topic).frames(number, start, end);
        frames
            .map(|(frame, key)| (part(lane, frame.start, frame.end), key))
            .collect()
    }

    /// Queues frames as far as the limit allows; returns how many were left out.
    pub(crate) fn queue_within(&mut self, index: u32, frames: Bytes) -> usize {
        self.at_ease = NOBODY;
        self.write_deferred();
        let limit = self.settings.backpressure.limit;
        let Some(slot) = self.slots.get_mut(index) else {
            return 0;
        };
        let outbox = slot.outbox.as_ref();
        let unoffered = outbox.map_or(Some(0), |outbox| outbox.unoffered());
        // Only what the socket refuses counts against the limit: what might reach it is offered first.
        if unoffered.is_some_and(|waiting| waiting + frames.len() > limit) {
            self.write_backlog(index);
            if self
                .slots
                .get(index)
                .is_some_and(|slot| slot.outbox.is_none())
            {
                return self.write_lane(index, &frames, 0);
            }
        }
        let Some(slot) = self.slots.get_mut(index) else {
            return 0;
        };
        let outbox = slot.outbox.get_or_insert_with(|| self.spares.take());
        let left_out = outbox.push_within(frames, limit);
        self.queue(index, Bytes::new());
        self.weigh(index);
        left_out
    }
}

/// A part of a lane, sharing its memory if that is worth it.
fn part(lane: &Bytes, start: usize, end: usize) -> Bytes {
    if (end - start) * SHARED < lane.len() {
        Bytes::copy_from_slice(&lane[start..end])
    } else {
        lane.slice(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_part_does_not_keep_a_large_lane_in_memory() {
        let lane = Bytes::from(vec![7; 1000]);
        let shares = |part: &Bytes| lane.as_ptr_range().contains(&part.as_ptr());
        let (small, large) = (part(&lane, 10, 110), part(&lane, 10, 910));
        assert_eq!((&small[..], &large[..]), (&lane[10..110], &lane[10..910]));
        assert!(!shares(&small) && shares(&large));
    }
}
