//! [`Model`]: what the random runs promise themselves of the server. Every operation of the handler is noted in the order
//! of the calls, mail between workers included, and at the end each client must have seen just that.

use std::collections::{BTreeMap, VecDeque};

use super::chance::Rng;
use super::client::Seen;
use crate::{CloseCause, ConnId, Message, Sent};

/// What the server does with slow readers in this run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    /// Nothing is ever lost: the limit is out of reach.
    Exact,
    /// At the limit messages are dropped.
    Drops,
    /// At the limit connections are closed.
    Closes,
}

pub(super) struct Model {
    pub(super) mode: Mode,
    pub(super) low: usize,
    /// Topics in use.
    pub(super) topics_used: usize,
    pub(super) rng: Rng,
    pub(super) tracks: BTreeMap<ConnId, Track>,
    /// By client: what it sent and the server has not yet had.
    pub(super) sent: Vec<VecDeque<u64>>,
    /// By topic: the members and when they became so.
    topics: BTreeMap<usize, BTreeMap<ConnId, u64>>,
    /// What each worker has for each other in this turn.
    posts: Vec<Vec<Vec<Mail>>>,
    /// What lies in each mailbox, and how much of it is being taken out.
    mail: Vec<VecDeque<Mail>>,
    taking: Vec<usize>,
    /// Counts messages and moments.
    count: u64,
    pub(super) shutting: bool,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) client: usize,
    pub(super) opened: bool,
    /// Our Close, and when.
    pub(super) ours: Option<(u16, u64)>,
    /// The peer does something that ends the connection sooner or later, or the server may do so.
    pub(super) doubtful: bool,
    expected: VecDeque<Expected>,
    pub(super) closed: Option<CloseCause>,
    pub(super) owed_drained: bool,
    pub(super) paused: bool,
    pub(super) timer: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Expected {
    what: What,
    /// It must come before what stands behind it.
    sure: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum What {
    Message(u64),
    Close(u16),
}

#[derive(Debug)]
enum Mail {
    Publish { topic: usize, id: u64, sure: bool },
    Send { to: ConnId, id: u64 },
    Close { conn: ConnId, code: u16 },
    Note,
    Shutdown,
}

/// A message of some length, which its number decides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Content {
    Text(String),
    Binary(Vec<u8>),
}

impl Content {
    pub(super) fn of(id: u64) -> Self {
        let mut rng = Rng::new(id);
        let most = match rng.below(200) {
            0 => 70_000,
            1..20 => 3000,
            20..60 => 300,
            _ => 40,
        };
        let len = rng.below(most);
        if rng.percent(50) {
            let letter = rng.pick(&["a", "é", "漢", "🦀"]);
            Self::Text(format!("{id}:{}", letter.repeat(len / letter.len())))
        } else {
            let mut data = id.to_le_bytes().to_vec();
            data.resize(8 + len, id as u8);
            Self::Binary(data)
        }
    }

    pub(super) fn message(&self) -> Message<'_> {
        match self {
            Self::Text(text) => Message::Text(text),
            Self::Binary(data) => Message::Binary(data),
        }
    }

    /// The number of a message, which must be just as it was made.
    pub(super) fn id(self) -> u64 {
        let id = match &self {
            Self::Text(text) => text.split(':').next().and_then(|id| id.parse().ok()),
            Self::Binary(data) => data.first_chunk().map(|id| u64::from_le_bytes(*id)),
        };
        let id = id.expect("a number in the message");
        assert_eq!(self, Self::of(id), "a message has been changed on its way");
        id
    }
}

impl Model {
    pub(super) fn new(mode: Mode, low: usize, seed: u64, workers: usize) -> Self {
        let lists = || (0..workers).map(|_| Vec::new()).collect();
        Self {
            mode,
            low,
            topics_used: usize::MAX,
            rng: Rng::new(seed),
            tracks: BTreeMap::new(),
            sent: Vec::new(),
            topics: BTreeMap::new(),
            posts: (0..workers).map(|_| lists()).collect(),
            mail: (0..workers).map(|_| VecDeque::new()).collect(),
            taking: vec![0; workers],
            count: seed << 20,
            shutting: false,
        }
    }

    pub(super) fn new_message(&mut self) -> (u64, Content) {
        self.count += 1;
        (self.count, Content::of(self.count))
    }

    /// A caller has come.
    pub(super) fn track(&mut self, id: ConnId, client: usize, doubtful: bool) {
        let track = Track {
            client,
            opened: false,
            ours: None,
            doubtful,
            expected: VecDeque::new(),
            closed: None,
            owed_drained: false,
            paused: false,
            timer: None,
        };
        assert!(
            self.tracks.insert(id, track).is_none(),
            "{id} is used twice"
        );
    }

    pub(super) fn get(&mut self, id: ConnId) -> &mut Track {
        self.tracks
            .get_mut(&id)
            .expect("a connection that has asked")
    }

    pub(super) fn of_client(&mut self, client: usize) -> Option<&mut Track> {
        self.tracks
            .values_mut()
            .find(|track| track.client == client)
    }

    /// A message was sent to a connection of the same worker.
    pub(super) fn sent(&mut self, to: ConnId, id: u64, sent: Sent) {
        let mode = self.mode;
        let track = self.get(to);
        match sent {
            Sent::Dropped if track.is_healthy() => {
                assert_ne!(mode, Mode::Exact, "a message to {to} was dropped");
                track.owed_drained = true;
                track.doubtful |= mode == Mode::Closes;
            }
            Sent::Dropped => {}
            Sent::Queued | Sent::Full => {
                assert!(track.is_open(), "a message to {to} cannot be on its way");
                track.owed_drained |= sent == Sent::Full;
                track.expect(id, true);
            }
        }
    }

    /// A message was published on a worker.
    pub(super) fn published(&mut self, worker: usize, topic: usize, id: u64, but: Option<ConnId>) {
        let members = self.topics.get(&topic).cloned().unwrap_or_default();
        for member in members
            .keys()
            .filter(|id| id.worker() == worker && Some(**id) != but)
        {
            let sure = self.mode != Mode::Drops;
            self.get(*member).expect(id, sure);
        }
        for other in (0..self.mail.len()).filter(|other| *other != worker) {
            let mut there = members.keys().filter(|id| id.worker() == other).peekable();
            if there.peek().is_some() {
                let sure = there.any(|id| self.tracks[id].is_healthy());
                self.posts[worker][other].push(Mail::Publish { topic, id, sure });
            }
        }
    }

    /// A message was sent, or a Close, to a connection of another worker.
    pub(super) fn posted(&mut self, worker: usize, to: ConnId, id: u64) {
        self.posts[worker][to.worker()].push(Mail::Send { to, id });
    }

    pub(super) fn posted_close(&mut self, worker: usize, conn: ConnId, code: u16) {
        self.posts[worker][conn.worker()].push(Mail::Close { conn, code });
    }

    /// Something was put into a mailbox from elsewhere.
    pub(super) fn remote_send(&mut self, to: ConnId, id: u64) {
        self.mail[to.worker()].push_back(Mail::Send { to, id });
    }

    pub(super) fn remote_close(&mut self, conn: ConnId, code: u16) {
        self.mail[conn.worker()].push_back(Mail::Close { conn, code });
    }

    pub(super) fn remote_publish(&mut self, topic: usize, id: u64, sure: bool) {
        let members = self.topics.get(&topic).cloned().unwrap_or_default();
        for worker in 0..self.mail.len() {
            let mut there = members.keys().filter(|id| id.worker() == worker).peekable();
            if there.peek().is_some() || self.mail.len() == 1 {
                let sure = sure && there.any(|id| self.tracks[id].is_healthy());
                self.mail[worker].push_back(Mail::Publish { topic, id, sure });
            }
        }
    }

    pub(super) fn remote_note(&mut self, worker: usize) {
        self.mail[worker].push_back(Mail::Note);
    }

    pub(super) fn shut_down(&mut self) {
        self.shutting = true;
        self.mail
            .iter_mut()
            .for_each(|mail| mail.push_back(Mail::Shutdown));
    }

    pub(super) fn subscribed(&mut self, id: ConnId, topic: usize) {
        self.count += 1;
        let since = self.count;
        if self.get(id).is_open() {
            self.topics
                .entry(topic)
                .or_default()
                .entry(id)
                .or_insert(since);
        }
    }

    pub(super) fn unsubscribed(&mut self, id: ConnId, topic: usize, was: bool) {
        let members = self.topics.entry(topic).or_default();
        let known = members.remove(&id).is_some();
        // In this mode it may have been closed for its backlog.
        let unsure = self.mode == Mode::Closes || self.get(id).doubtful;
        assert!(known == was || unsure, "{id} was a member: {was}");
    }

    /// The count of a topic's members must be right, but for those that are on their way out.
    pub(super) fn check_members(&self, topic: usize, count: usize) {
        let members = self.topics.get(&topic).map_or(0, BTreeMap::len);
        let healthy = match self.topics.get(&topic) {
            // Any of them may have been closed for its backlog.
            _ if self.mode == Mode::Closes => 0,
            Some(members) => members
                .keys()
                .filter(|id| self.tracks[id].is_healthy())
                .count(),
            None => 0,
        };
        assert!(
            (healthy..=members).contains(&count),
            "{count} of {healthy} to {members} members"
        );
    }

    /// We have closed a connection, if it was open. Where that is in doubt its memberships may go on until it has ended.
    pub(super) fn our_close(&mut self, id: ConnId, code: u16, now: u64) {
        let track = self.get(id);
        if track.is_open() {
            track.ours = Some((code, now));
            let sure = !track.doubtful;
            let what = What::Close(code);
            track.expected.push_back(Expected { what, sure });
            if sure {
                self.forget_memberships(id);
            }
        }
    }

    pub(super) fn forget_memberships(&mut self, id: ConnId) {
        for members in self.topics.values_mut() {
            members.remove(&id);
        }
    }

    /// A worker has ended its turn: what it has for others is in their mailboxes.
    pub(super) fn turned(&mut self, worker: usize) {
        for (other, posts) in self.posts[worker].iter_mut().enumerate() {
            self.mail[other].extend(posts.drain(..));
        }
    }

    pub(super) fn opens_mail(&mut self, worker: usize) {
        self.taking[worker] = self.mail[worker].len();
    }

    /// The mail before the next note, or all of it, has taken effect.
    pub(super) fn took_mail(&mut self, worker: usize, until_note: bool, now: u64) {
        while self.taking[worker] > 0 {
            self.taking[worker] -= 1;
            match self.mail[worker].pop_front().expect("mail") {
                Mail::Note if until_note => return,
                Mail::Note => panic!("a note got lost"),
                Mail::Publish { topic, id, sure } => {
                    let members = self.topics.get(&topic).cloned().unwrap_or_default();
                    for (member, since) in members {
                        if member.worker() == worker {
                            // Who came while it was under way may get it.
                            let sure = sure && since < id && self.mode != Mode::Drops;
                            self.get(member).expect(id, sure);
                        }
                    }
                }
                Mail::Send { to, id } => {
                    let sure = self.mode == Mode::Exact;
                    if let Some(track) = self.tracks.get_mut(&to)
                        && track.is_open()
                    {
                        track.expect(id, sure);
                    }
                }
                Mail::Close { conn, code } => {
                    if self.tracks.contains_key(&conn) {
                        self.our_close(conn, code, now);
                    }
                }
                Mail::Shutdown => {
                    let here = self.tracks.keys().filter(|id| id.worker() == worker);
                    for id in here.copied().collect::<Vec<_>>() {
                        self.our_close(id, 1001, now);
                    }
                }
            }
        }
        assert!(!until_note, "a note from nowhere");
    }
}

impl Track {
    /// As far as the handler has been told.
    pub(super) fn is_open(&self) -> bool {
        self.opened && self.ours.is_none() && self.closed.is_none()
    }

    /// Open, and nothing is on its way that ends it.
    pub(super) fn is_healthy(&self) -> bool {
        self.is_open() && !self.doubtful
    }

    fn expect(&mut self, id: u64, sure: bool) {
        let sure = sure && !self.doubtful;
        self.expected.push_back(Expected {
            what: What::Message(id),
            sure,
        });
    }

    /// Compares what a client has seen with what it was to see; `closed`: its own Close went first.
    pub(super) fn check(&mut self, seen: &[Seen], closed: bool) {
        for seen in seen {
            let what = match seen {
                Seen::Text(text) => What::Message(Content::Text(text.clone()).id()),
                Seen::Binary(data) => What::Message(Content::Binary(data.clone()).id()),
                Seen::Close(Some(code))
                    if self.ours.map(|ours| ours.0) == Some(*code) && !closed =>
                {
                    What::Close(*code)
                }
                Seen::Failed(error) => panic!("the server broke the protocol: {error}"),
                _ => continue,
            };
            loop {
                let Some(next) = self.expected.pop_front() else {
                    panic!("{what:?} comes twice, too early or too late, or not for this client");
                };
                if next.what == what {
                    break;
                }
                assert!(!next.sure, "{:?} got lost before {what:?}", next.what);
            }
        }
    }

    /// What should have come and has not.
    pub(super) fn missing(&self) -> usize {
        self.expected
            .iter()
            .filter(|expected| expected.sure)
            .count()
    }
}
