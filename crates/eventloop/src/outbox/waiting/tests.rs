//! An outbox under random policies beside a naive list of messages that is searched from end to end for everything.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use wirefan_protocol::Frame;

use super::*;
use crate::policy::{Drops, Policy, Tally};
use crate::transport::{Socket, Transport};

/// What the network takes, and how much more it takes before it refuses.
#[derive(Clone, Default)]
struct Network(Arc<Mutex<(Vec<u8>, usize)>>);

impl Socket for Network {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        unreachable!()
    }
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(!slices.is_empty() && slices.iter().all(|slice| !slice.is_empty()));
        let (taken, room) = &mut *self.0.lock().unwrap();
        if *room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let before = taken.len();
        taken.extend(slices.iter().flat_map(|slice| slice.iter()).take(*room));
        *room -= taken.len() - before;
        Ok(taken.len() - before)
    }
    fn shutdown_write(&mut self) -> io::Result<()> {
        unreachable!()
    }
}

/// One message, and whose it is: a topic's, or nobody's.
#[derive(Clone, Debug)]
struct Message {
    bytes: Bytes,
    topic: Option<usize>,
    key: u64,
    at: u64,
}

/// What should be in the outbox.
struct Naive {
    policies: Vec<Policy>,
    drops: Vec<Drops>,
    waiting: Vec<Message>,
    /// How much of the first one is out.
    begun: usize,
    refused: bool,
    out: Vec<u8>,
}

impl Naive {
    fn weight(&self, of: impl Fn(Option<usize>) -> bool) -> usize {
        let waiting = self.waiting.iter().enumerate();
        waiting
            .filter(|(_, message)| of(message.topic))
            .map(|(place, message)| {
                let begun = if place == 0 { self.begun } else { 0 };
                message.bytes.len() - begun + CHUNK_COST
            })
            .sum()
    }

    /// Where the droppable messages of a topic are.
    fn places(&self, topic: usize) -> Vec<usize> {
        (usize::from(self.begun > 0)..self.waiting.len())
            .filter(|place| self.waiting[*place].topic == Some(topic))
            .collect()
    }

    fn share(&self, topic: usize) -> usize {
        let places = self.places(topic).into_iter();
        places
            .map(|place| self.waiting[place].bytes.len() + CHUNK_COST)
            .sum()
    }

    fn push(&mut self, message: Message, limit: usize) -> Result<(), CloseCode> {
        let Some(topic) = message.topic.filter(|_| self.refused) else {
            self.waiting.push(message);
            return Ok(());
        };
        self.expire(topic, message.at)?;
        self.hold(message, topic, limit)
    }

    fn hold(&mut self, message: Message, topic: usize, limit: usize) -> Result<(), CloseCode> {
        let policy = self.policies[topic];
        let cost = message.bytes.len() + CHUNK_COST;
        let others = self.weight(|_| true) - self.share(topic);
        match policy.when_slow {
            WhenSlow::Conflate | WhenSlow::DropOldest => {
                if policy.when_slow == WhenSlow::Conflate {
                    let older = self.places(topic);
                    for place in older.into_iter().rev() {
                        if self.waiting[place].key == message.key {
                            self.waiting.remove(place);
                            self.drops[topic].conflated += 1;
                        }
                    }
                }
                while others < limit
                    && (self.share(topic) + cost > policy.limit
                        || self.weight(|_| true) + cost > limit)
                {
                    let Some(oldest) = self.places(topic).first().copied() else {
                        break;
                    };
                    self.waiting.remove(oldest);
                    self.drops[topic].oldest += 1;
                }
            }
            WhenSlow::DropNew | WhenSlow::Close(_) => {}
        }
        let full = self.share(topic) >= policy.limit || self.weight(|_| true) >= limit;
        match policy.when_slow {
            WhenSlow::Close(code) if full => {
                self.drops[topic].closed += 1;
                return Err(code);
            }
            _ if full => self.drops[topic].newest += 1,
            _ => self.waiting.push(message),
        }
        Ok(())
    }

    fn expire(&mut self, topic: usize, now: u64) -> Result<(), CloseCode> {
        let Some(age) = self.policies[topic].max_age.filter(|_| self.refused) else {
            return Ok(());
        };
        for place in self.places(topic).into_iter().rev() {
            if Millis(self.waiting[place].at).after(age) <= Millis(now) {
                if let WhenSlow::Close(code) = self.policies[topic].when_slow {
                    self.drops[topic].closed += 1;
                    return Err(code);
                }
                self.waiting.remove(place);
                self.drops[topic].expired += 1;
            }
        }
        Ok(())
    }

    /// The network takes so many bytes and refuses the next, if there are more.
    fn write(&mut self, mut room: usize, limit: usize) -> Result<(), CloseCode> {
        let was_refused = self.refused;
        while let Some(first) = self.waiting.first() {
            let step = room.min(first.bytes.len() - self.begun);
            let bytes = first.bytes.slice(self.begun..self.begun + step);
            self.out.extend_from_slice(&bytes);
            room -= step;
            self.begun += step;
            if self.begun < self.waiting[0].bytes.len() {
                break;
            }
            self.begun = 0;
            self.waiting.remove(0);
        }
        self.refused = !self.waiting.is_empty();
        if self.refused && !was_refused {
            let begun = usize::from(self.begun > 0);
            for message in self.waiting.split_off(begun) {
                match message.topic {
                    Some(topic) => self.hold(message, topic, limit)?,
                    None => self.waiting.push(message),
                }
            }
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// To a topic: which, with what key, how long.
    Publish(usize, u64, usize),
    Direct(usize),
    Wait(u64),
    Write(usize),
    Expire,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..3_usize, 0..4_u64, 0..200_usize).prop_map(|(topic, key, len)| Step::Publish(topic, key, len)),
        1 => (0..200_usize).prop_map(Step::Direct),
        1 => (1..300_u64).prop_map(Step::Wait),
        3 => (0..600_usize).prop_map(Step::Write),
        1 => Just(Step::Expire),
    ];
    prop::collection::vec(step, 1..150)
}

fn policy() -> impl Strategy<Value = Policy> {
    let when_slow = prop_oneof![
        1 => Just(WhenSlow::DropNew),
        1 => Just(WhenSlow::DropOldest),
        3 => Just(WhenSlow::Conflate),
        1 => Just(WhenSlow::Close(CloseCode::TRY_AGAIN_LATER)),
    ];
    let age = prop::option::of((0..900_u64).prop_map(Duration::from_millis));
    (when_slow, 1..3000_usize, age).prop_map(|(when_slow, limit, max_age)| Policy {
        limit,
        max_age,
        ..Policy::new(when_slow)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn policies_do_what_a_naive_list_does(
        policies in prop::collection::vec(policy(), 3),
        limit in 500..5000_usize,
        steps in steps(),
    ) {
        let tally = Rc::new(Tally::default());
        let rules: Vec<_> = policies.iter().map(|policy| Rc::new(Rules::new(*policy, Rc::clone(&tally)))).collect();
        let network = Network::default();
        let mut socket = Transport::Other(Box::new(network.clone()));
        let mut outbox = Outbox::default();
        let mut naive = Naive {
            drops: vec![Drops::default(); 3],
            policies,
            waiting: Vec::new(),
            begun: 0,
            refused: false,
            out: Vec::new(),
        };
        let (mut now, mut dropped, mut written) = (0, 0, 0);
        for step in steps.into_iter().chain([Step::Write(usize::MAX)]) {
            written += 1;
            let message = |len: usize| {
                let data: Vec<u8> = (0..len).map(|place| (written + place) as u8).collect();
                Frame::binary(&data).bytes().clone()
            };
            let (done, expected) = match step {
                Step::Publish(topic, key, len) => {
                    let bytes = message(len);
                    let done = outbox.push_of_topic(bytes.clone(), key, &rules[topic], Millis(now), limit);
                    let message = Message { bytes, topic: Some(topic), key, at: now };
                    (done, naive.push(message, limit))
                }
                Step::Direct(len) => {
                    let bytes = message(len);
                    outbox.push(bytes.clone());
                    (Ok(()), naive.push(Message { bytes, topic: None, key: 0, at: now }, limit))
                }
                Step::Wait(millis) => {
                    now += millis;
                    continue;
                }
                Step::Write(room) => {
                    network.0.lock().unwrap().1 = room;
                    outbox.write(&mut socket).unwrap();
                    (outbox.hold_to_policies(limit), naive.write(room, limit))
                }
                Step::Expire => {
                    let expected = (0..3).try_for_each(|topic| {
                        // In the order in which the topics have come into the outbox; only one of them matters.
                        naive.expire(topic, now)
                    });
                    let closes = naive.policies.iter().filter(|policy| matches!(policy.when_slow, WhenSlow::Close(_)));
                    if closes.count() > 0 && expected.is_err() {
                        prop_assert_eq!(outbox.expire(Millis(now)), expected);
                        return Ok(());
                    }
                    (outbox.expire(Millis(now)), expected)
                }
            };
            dropped += outbox.take_dropped();
            prop_assert_eq!(done, expected);
            for (rules, drops) in rules.iter().zip(&naive.drops) {
                prop_assert_eq!(rules.drops(), *drops);
            }
            let all = naive.drops.iter().map(Drops::messages).sum::<u64>();
            prop_assert_eq!((u64::from(dropped), tally.drops().messages()), (all, all));
            if done.is_err() {
                // What comes now is neither kept nor counted.
                let again = outbox.push_of_topic(message(9), 7, &rules[0], Millis(now), limit);
                prop_assert_eq!((again, outbox.take_dropped()), (done, 0));
                prop_assert_eq!(outbox.push_within(message(9), limit), 0);
                prop_assert_eq!(tally.drops().messages(), all);
                outbox.discard_unbegun();
                naive.waiting.truncate(usize::from(naive.begun > 0));
            }
            if naive.begun == 0 || done.is_ok() {
                prop_assert_eq!(outbox.is_empty(), naive.waiting.is_empty());
            }
            let (oldest, len) = (naive.waiting.iter().enumerate(), naive.waiting.len());
            if done.is_ok() {
                let due = oldest
                    .filter(|(place, _)| *place > 0 || naive.begun == 0)
                    .filter_map(|(_, message)| Some(Millis(message.at).after(naive.policies[message.topic?].max_age?)))
                    .min();
                prop_assert_eq!(outbox.deadline(), due);
            }
            if outbox.refused {
                prop_assert_eq!(outbox.backlog(), naive.weight(|_| true), "{} messages", len);
                prop_assert!(outbox.chunks.len() <= 3 * len + 2 * DEAD + 4, "dropped chunks pile up");
            }
            prop_assert_eq!(&network.0.lock().unwrap().0, &naive.out);
            if done.is_err() {
                return Ok(());
            }
        }
        prop_assert!(outbox.is_empty());
    }
}

/// However often a message is replaced, what is kept does not grow.
#[test]
fn replaced_messages_leave_nothing_behind() {
    let rules = Rc::new(Rules::new(Policy::new(WhenSlow::Conflate), Rc::default()));
    let mut outbox = Outbox::default();
    let frame = Frame::text("a price").bytes().clone();
    outbox.push_begun(frame.slice(3..), frame.len() - 3);
    for round in 0..20_000 {
        for key in [1, 2, 3, 3 + round % 2] {
            outbox
                .push_of_topic(frame.clone(), key, &rules, Millis(round), usize::MAX)
                .unwrap();
        }
    }
    assert!(outbox.chunks.len() < 3 * DEAD, "{}", outbox.chunks.len());
    let waiting = outbox.waiting.as_ref().unwrap();
    assert!(waiting.shares[0].chunks.len() < 3 * DEAD && waiting.keys.len() == 4);
    assert_eq!(rules.drops().conflated, 80_000 - 4);
}
