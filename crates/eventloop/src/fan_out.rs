//! The end of a turn for topics: every member is written the frames of this turn from the same bytes.

use std::io;

use bytes::Bytes;

use crate::CloseCause;
use crate::outbox::begun_rest;
use crate::slot::Slot;
use crate::state::{Core, NOBODY};
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
            self.topics.runs(&slot.memberships, &mut fan_out.runs);
            self.forget_sent(index);
            let mut left_out = false;
            for run in &fan_out.runs {
                let first = fan_out
                    .first_lanes
                    .binary_search_by_key(&run.topic, |lane| lane.0);
                if let Ok(place) = first {
                    let lane = &fan_out.lanes[fan_out.first_lanes[place].1 + run.lane];
                    left_out |= self.queue_within(index, part(lane, run.start, run.end));
                }
            }
            if left_out {
                self.lose(index);
                fan_out.full.push(index);
            }
        }
        fan_out.first_lanes.clear();
        fan_out.lanes.clear();
        self.topics.reset();
        for index in fan_out.full.drain(..) {
            self.refuse(index);
        }
        self.fan_out = fan_out;
    }

    fn fan_out_topic(
        &mut self,
        topic: u32,
        lanes: &[Bytes],
        mixed: &mut Vec<u32>,
        full: &mut Vec<u32>,
    ) {
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
            if member.spoke || slot.memberships.len() > 1 {
                mixed.push(member.slot);
                continue;
            }
            let membership = Membership {
                topic,
                place: place as u32,
            };
            let number = self.topics.take_lane(membership);
            let (entry, lane) = (self.topics.get(topic), &lanes[number]);
            if entry.is_compressed(number)
                && let Some(connection) = slot.open()
            {
                connection.forget_sent();
            }
            let start = entry.start_of(member, number);
            let left_out = if slot.outbox.is_none() {
                self.write_lane(member.slot, lane, start)
            } else {
                self.queue_within(member.slot, part(lane, start, lane.len()))
            };
            if left_out {
                self.topics.lose(membership);
                full.push(member.slot);
            }
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
        }
    }

    /// The way of nearly every broadcast, for a member without a backlog: one write of the shared bytes. Returns whether
    /// some frames were left out.
    fn write_lane(&mut self, index: u32, lane: &Bytes, mut start: usize) -> bool {
        self.at_ease = NOBODY;
        let Some(slot) = self.slots.get_mut(index) else {
            return false;
        };
        let begin = start;
        while start < lane.len() {
            match slot.socket.write(&lane[start..]) {
                Ok(0) => {
                    self.end(index, CloseCause::Reset(io::ErrorKind::WriteZero));
                    return false;
                }
                Ok(written) => start += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let begun = begun_rest(&lane[begin..], 0, start - begin);
                    let mut outbox = self.spares.take();
                    outbox.push_begun(part(lane, start, start + begun), begun);
                    let rest = part(lane, start + begun, lane.len());
                    let left_out = outbox.push_within(rest, self.settings.backpressure.limit);
                    slot.outbox = Some(outbox);
                    self.weigh(index);
                    return left_out;
                }
                Err(error) => {
                    self.end(index, CloseCause::Reset(error.kind()));
                    return false;
                }
            }
        }
        false
    }

    /// Queues frames as far as the limit allows; returns whether some were left out.
    pub(crate) fn queue_within(&mut self, index: u32, frames: Bytes) -> bool {
        self.at_ease = NOBODY;
        let limit = self.settings.backpressure.limit;
        let Some(slot) = self.slots.get_mut(index) else {
            return false;
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
            return false;
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
