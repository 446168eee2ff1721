//! What topics with a policy need for members whose socket refuses: frames one by one, in lanes where none depends on another.

use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;

use super::{Membership, Run, Topic, Topics};
use crate::lane::Form;
use crate::policy::{Drops, Rules};

impl Topics {
    /// The lane that a member takes for what may have to wait, and be dropped from the midst of that: no frame in it depends on
    /// another. It counts as sent from now on.
    pub(crate) fn take_lane_alone(&mut self, membership: Membership) -> usize {
        let entry = &mut self.list[membership.topic as usize];
        let member = &mut entry.members[membership.place as usize];
        let number = usize::from(member.lane);
        if entry.lanes[number].form != Form::Shared {
            return number;
        }
        member.in_step.lose();
        0
    }

    /// What a topic's messages fall under that wait.
    pub(crate) fn rules(&self, topic: u32) -> Option<Rc<Rules>> {
        self.get(topic).rules.clone()
    }

    /// What a topic has lost to slow readers.
    pub(crate) fn drops(&self, name: &str) -> Option<Drops> {
        let rules = self.get(self.find(name)?).rules.as_ref()?;
        Some(rules.drops())
    }

    /// What stands for a key of messages.
    pub(crate) fn key(&self, key: &str) -> u64 {
        self.directory.key(key)
    }

    /// The messages of a run, copied, and their keys, the lanes not being frozen.
    pub(crate) fn messages(&self, run: Run) -> Vec<(Bytes, u64)> {
        let entry = self.get(run.topic);
        let bytes = &entry.lanes[run.lane].bytes;
        entry
            .frames(run.lane, run.start, run.end)
            .map(|(frame, key)| (Bytes::copy_from_slice(&bytes[frame]), key))
            .collect()
    }
}

impl Topic {
    /// The frames of a lane between two ends of frames: where they are, and their keys.
    pub(crate) fn frames(
        &self,
        lane: usize,
        start: usize,
        end: usize,
    ) -> impl Iterator<Item = (Range<usize>, u64)> {
        let (lane, first) = (&self.lanes[lane], self.frame_at(lane, start));
        let frames = (first..lane.ends.len()).map(|frame| lane.start_of(frame)..lane.ends[frame]);
        frames
            .take_while(move |frame| frame.end <= end)
            .zip(self.marks[first..].iter().map(|mark| mark.key))
    }

    /// The same frames where nothing depends on another one: in the lane itself, or in the plain one.
    pub(crate) fn alone(&self, lane: usize, start: usize) -> (usize, usize) {
        if self.lanes[lane].form != Form::Shared {
            return (lane, start);
        }
        (0, self.lanes[0].start_of(self.frame_at(lane, start)))
    }

    /// The frame that begins in a lane at `start`.
    fn frame_at(&self, lane: usize, start: usize) -> usize {
        self.lanes[lane].ends.partition_point(|end| *end <= start)
    }
}
