//! [`Topics`]: who subscribed to what on this worker, and the frames that were published in this turn.
//!
//! A topic's frames of one turn lie behind each other in its *lane*, laid out once; at the end of the turn the lane is
//! frozen and every member is written from the same bytes (in `fan_out.rs`).

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use wirefan_protocol::{DeflateParams, InStep, Kind, SendScratch};

use crate::Deflated;
use crate::directory::{Directory, Interest};
use crate::lane::{COHORTS, Compression, Form, Lane};
use crate::policy::{Policies, Rules, Tally};

/// Nobody's slot: the sender of what came from elsewhere, or of what its sender wants back.
pub(crate) const NOBODY: u32 = u32::MAX;

#[derive(Debug)]
pub(crate) struct Topics {
    worker: u16,
    directory: Arc<Directory>,
    compression: Compression,
    policies: Policies,
    /// What this worker has lost to slow readers.
    pub(crate) tally: Rc<Tally>,
    scratch: SendScratch,
    /// How many topics have one.
    cohorts: usize,
    /// What was given to compressors, and what came of it.
    pub(crate) deflated: Deflated,
    /// Compressions so far.
    #[cfg(test)]
    pub(crate) compressions: usize,
    names: HashMap<Arc<str>, u32>,
    list: Vec<Topic>,
    free: Vec<u32>,
    /// Topics whose lanes hold frames.
    pub(crate) busy: Vec<u32>,
    /// Bytes in all lanes.
    pub(crate) pending: usize,
    /// Counts the frames of all lanes of a turn, for members of several topics.
    sequence: u32,
}

#[derive(Debug)]
pub(crate) struct Topic {
    name: Arc<str>,
    interest: Option<Arc<Interest>>,
    /// What becomes of its messages that wait, if it says so itself.
    pub(crate) rules: Option<Rc<Rules>>,
    pub(crate) members: Vec<Member>,
    /// The plain one first. A member's lane keeps its number as long as the topic has members.
    lanes: Vec<Lane>,
    /// One for each frame of the lanes.
    pub(crate) marks: Vec<Mark>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) slot: u32,
    /// The first frame of the lane that is meant for it.
    pub(crate) from: u32,
    /// Whether it published some frame of the lane that it does not get itself.
    pub(crate) spoke: bool,
    /// The lane that it takes.
    lane: u8,
    in_step: InStep,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) sender: u32,
    sequence: u32,
    /// 0: none.
    key: u64,
}

/// A connection's side of a subscription: the topic, and its own place among the members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Membership {
    pub(crate) topic: u32,
    pub(crate) place: u32,
}

/// A run of bytes in a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    sequence: u32,
    pub(crate) topic: u32,
    pub(crate) lane: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Topics {
    pub(crate) fn new(
        worker: u16,
        directory: Arc<Directory>,
        compression: Compression,
        policies: Policies,
    ) -> Self {
        Self {
            worker,
            directory,
            compression,
            policies,
            tally: Rc::default(),
            scratch: SendScratch::default(),
            cohorts: 0,
            deflated: Deflated::default(),
            #[cfg(test)]
            compressions: 0,
            names: HashMap::new(),
            list: Vec::new(),
            free: Vec::new(),
            busy: Vec::new(),
            pending: 0,
            sequence: 0,
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    pub(crate) fn get(&self, topic: u32) -> &Topic {
        &self.list[topic as usize]
    }

    /// Makes `slot` a member from the next frame on; the caller has made sure that it is none. `deflate` is what its
    /// connection agreed on; `alone`: it is in no other topic, and may be in a cohort.
    pub(crate) fn join(
        &mut self,
        name: &str,
        slot: u32,
        deflate: Option<DeflateParams>,
        alone: bool,
    ) -> Membership {
        let topic = self.find(name).unwrap_or_else(|| self.create(name));
        let entry = &mut self.list[topic as usize];
        let form = Form::of(deflate, alone && self.compression.keyframe.is_some());
        let lane = entry.lane_of(form);
        let place = entry.members.len() as u32;
        entry.members.push(Member {
            slot,
            from: entry.marks.len() as u32,
            spoke: false,
            lane,
            in_step: InStep::default(),
        });
        entry.lanes[usize::from(lane)].members += 1;
        if let Some(interest) = &entry.interest {
            interest.join(self.worker);
        }
        Membership { topic, place }
    }

    /// Whether a member may be in step with a cohort.
    pub(crate) fn is_in_cohort(&self, membership: Membership) -> bool {
        let entry = self.get(membership.topic);
        let lane = entry.members[membership.place as usize].lane;
        entry.lanes[usize::from(lane)].form == Form::Shared
    }

    /// A member of a cohort, which has been sent all that the lanes held for it, comes into another topic: what it is
    /// sent from there would not be the cohort's.
    pub(crate) fn leave_cohort(&mut self, membership: Membership) {
        let entry = &mut self.list[membership.topic as usize];
        let alone = entry.lane_of(Form::Alone(15));
        let member = &mut entry.members[membership.place as usize];
        let shared = core::mem::replace(&mut member.lane, alone);
        member.in_step.lose();
        entry.lanes[usize::from(alone)].members += 1;
        let shared = &mut entry.lanes[usize::from(shared)];
        shared.members -= 1;
        if shared.end_cohort() {
            self.cohorts -= 1;
        }
    }

    /// Ends a membership. Returns the slot of the member that takes its place, whose own note must follow.
    pub(crate) fn leave(&mut self, membership: Membership) -> Option<u32> {
        let entry = &mut self.list[membership.topic as usize];
        let member = entry.members.swap_remove(membership.place as usize);
        let lane = &mut entry.lanes[usize::from(member.lane)];
        lane.members -= 1;
        if lane.end_cohort() {
            self.cohorts -= 1;
        }
        if let Some(interest) = &entry.interest {
            interest.leave(self.worker);
        }
        let moved = entry
            .members
            .get(membership.place as usize)
            .map(|member| member.slot);
        if entry.members.is_empty() {
            self.remove(membership.topic);
        }
        moved
    }

    /// Lays out a frame for the members of `topic`, all but `sender`.
    pub(crate) fn append(
        &mut self,
        topic: u32,
        kind: Kind,
        payload: &[u8],
        sender: Option<Membership>,
        key: u64,
    ) {
        let entry = &mut self.list[topic as usize];
        if entry.marks.is_empty() {
            self.busy.push(topic);
        }
        // Whoever is not in step with a cohort takes the plain lane.
        let shared = entry
            .lanes
            .iter()
            .any(|lane| lane.form == Form::Shared && lane.members > 0);
        for lane in &mut entry.lanes {
            if self.cohorts < COHORTS && lane.found_cohort(self.compression) {
                self.cohorts += 1;
            }
            let wanted = lane.members > 0 || (shared && lane.form == Form::Plain);
            let before = lane.bytes.len();
            let tried = lane.append(kind, payload, wanted, self.compression, &mut self.scratch);
            self.pending += lane.bytes.len() - before;
            if tried {
                self.deflated.plain += payload.len() as u64;
                self.deflated.compressed += (lane.bytes.len() - before) as u64;
                #[cfg(test)]
                {
                    self.compressions += 1;
                }
            }
        }
        let sender = sender
            .filter(|sender| sender.topic == topic)
            .map_or(NOBODY, |sender| {
                let member = &mut entry.members[sender.place as usize];
                member.spoke = true;
                member.slot
            });
        entry.marks.push(Mark {
            sender,
            sequence: self.sequence,
            key,
        });
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// What the lanes hold for a connection, in the order in which it was published, to be sent to it. Returns how many
    /// frames these are.
    pub(crate) fn runs(&mut self, memberships: &[Membership], runs: &mut Vec<Run>) -> u64 {
        runs.clear();
        for membership in memberships {
            let lane = match self.get(membership.topic).rules {
                None => self.take_lane(*membership),
                Some(_) => self.take_lane_alone(*membership),
            };
            let entry = self.get(membership.topic);
            let member = &entry.members[membership.place as usize];
            let from = member.from as usize;
            for (frame, mark) in entry.marks.iter().enumerate().skip(from) {
                if mark.sender != member.slot {
                    runs.push(Run {
                        sequence: mark.sequence,
                        topic: membership.topic,
                        lane,
                        start: entry.lanes[lane].start_of(frame),
                        end: entry.lanes[lane].ends[frame],
                    });
                }
            }
        }
        // The counter wraps only after four billion frames in one turn.
        let frames = runs.len() as u64;
        runs.sort_unstable_by_key(|run| run.sequence);
        runs.dedup_by(|next, run| {
            let joins = (run.topic, run.lane, run.end) == (next.topic, next.lane, next.start);
            if joins {
                run.end = next.end;
            }
            joins
        });
        frames
    }

    /// The lane that a member takes for what it has not been sent of this turn, which counts as sent from now on.
    pub(crate) fn take_lane(&mut self, membership: Membership) -> usize {
        let entry = &mut self.list[membership.topic as usize];
        let member = &mut entry.members[membership.place as usize];
        let number = usize::from(member.lane);
        let lane = &entry.lanes[number];
        if lane.form != Form::Shared {
            return number;
        }
        let from = member.from as usize;
        let missed = member.spoke
            && entry.marks[from..]
                .iter()
                .any(|mark| mark.sender == member.slot);
        if missed {
            member.in_step.lose();
            return 0;
        }
        if member
            .in_step
            .follows_all(lane.places[from..].iter().flatten().copied())
        {
            number
        } else {
            0
        }
    }

    /// A member is not sent what it took.
    pub(crate) fn lose(&mut self, membership: Membership) {
        self.list[membership.topic as usize].members[membership.place as usize]
            .in_step
            .lose();
    }

    /// Whether a connection's window is that of a cohort: then it is sent nothing else compressed.
    pub(crate) fn is_in_step(&self, memberships: &[Membership]) -> bool {
        memberships.iter().any(|membership| {
            self.get(membership.topic).members[membership.place as usize]
                .in_step
                .is_in_step()
        })
    }

    /// The bytes of a run, the lanes not being frozen.
    pub(crate) fn bytes(&self, run: Run) -> &[u8] {
        &self.get(run.topic).lanes[run.lane].bytes[run.start..run.end]
    }

    /// Notes that a connection has got everything that the lanes held for it.
    pub(crate) fn settled(&mut self, memberships: &[Membership]) {
        for membership in memberships {
            let entry = &mut self.list[membership.topic as usize];
            let from = entry.marks.len() as u32;
            entry.members[membership.place as usize].from = from;
        }
    }

    /// Takes the bytes of a topic's lanes out; marks and members' notes stay until [`reset`](Self::reset).
    pub(crate) fn freeze(&mut self, topic: u32, frozen: &mut Vec<Bytes>) {
        frozen.extend(
            self.list[topic as usize]
                .lanes
                .iter_mut()
                .map(|lane| lane.bytes.split().freeze()),
        );
    }

    /// Begins the next turn of the topics that were busy.
    pub(crate) fn reset(&mut self) {
        let mut busy = core::mem::take(&mut self.busy);
        for topic in busy.drain(..) {
            let entry = &mut self.list[topic as usize];
            // Someone was told everything, or nobody is left: either way nothing of the lanes is owed any more.
            entry.marks.clear();
            entry.lanes.iter_mut().for_each(Lane::reset);
            for member in &mut entry.members {
                member.from = 0;
                member.spoke = false;
            }
            if entry.members.is_empty() {
                self.remove(topic);
            }
        }
        self.busy = busy;
        self.pending = 0;
        self.sequence = 0;
    }

    /// The workers with members of `name`, this one not counted, and the number of members on all.
    pub(crate) fn interest(&self, name: &str) -> Option<Arc<Interest>> {
        match self.find(name) {
            Some(topic) => self.get(topic).interest.clone(),
            None => self.directory.find(name),
        }
    }

    /// How many members a topic has, on all workers.
    pub(crate) fn members(&self, name: &str) -> usize {
        match (self.interest(name), self.find(name)) {
            (Some(interest), _) => interest.members(),
            (None, Some(topic)) => self.get(topic).members.len(),
            (None, None) => 0,
        }
    }

    /// The topics with members here, and how many these are.
    pub(crate) fn list(&self) -> impl Iterator<Item = (&str, usize)> {
        let topics = self.names.iter();
        topics.map(|(name, topic)| (&**name, self.get(*topic).members.len()))
    }

    /// How many topics there are here.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether nothing is kept of any topic.
    #[cfg(all(test, feature = "tls"))] // for `sim`
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.list.len() == self.free.len()
    }

    fn create(&mut self, name: &str) -> u32 {
        let name: Arc<str> = name.into();
        let topic = Topic {
            name: Arc::clone(&name),
            interest: self.directory.enter(&name),
            rules: (self.policies.of(&name))
                .map(|policy| Rc::new(Rules::new(policy, Rc::clone(&self.tally)))),
            members: Vec::new(),
            lanes: vec![Lane::new(Form::Plain, 0)],
            marks: Vec::new(),
        };
        let place = match self.free.pop() {
            Some(place) => {
                self.list[place as usize] = topic;
                place
            }
            None => {
                self.list.push(topic);
                self.list.len() as u32 - 1
            }
        };
        self.names.insert(name, place);
        place
    }

    /// Forgets a topic without members, unless its lane is still to be reset.
    fn remove(&mut self, topic: u32) {
        let entry = &mut self.list[topic as usize];
        if !entry.marks.is_empty() || self.names.get(&entry.name) != Some(&topic) {
            return;
        }
        self.names.remove(&entry.name);
        if entry.interest.take().is_some() {
            self.directory.release(&entry.name);
        }
        entry.rules = None;
        entry.members = Vec::new();
        entry.lanes = Vec::new();
        entry.marks = Vec::new();
        self.free.push(topic);
    }
}

impl Topic {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The number of the lane of this form.
    fn lane_of(&mut self, form: Form) -> u8 {
        let known = self.lanes.iter().position(|lane| lane.form == form);
        let number = known.unwrap_or_else(|| {
            self.lanes.push(Lane::new(form, self.marks.len()));
            self.lanes.len() - 1
        });
        // There are nine forms.
        number as u8
    }

    /// Where in a lane begins what a member has not been sent.
    pub(crate) fn start_of(&self, member: Member, lane: usize) -> usize {
        self.lanes[lane].start_of(member.from as usize)
    }

    /// Whether a lane is compressed.
    pub(crate) fn is_compressed(&self, lane: usize) -> bool {
        self.lanes[lane].form != Form::Plain
    }

    /// How many lanes there are.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.len()
    }
}

mod waiting;

#[cfg(test)]
mod tests;
