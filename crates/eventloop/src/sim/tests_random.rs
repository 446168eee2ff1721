//! Random runs: clients of all sorts, a handler that does anything, workers that freeze, and at the end every message
//! accounted for and nothing left.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use wirefan_admission::Rate;
use wirefan_protocol::{CloseCode, DeflateConfig, Frame, Overdue, SendScratch};

use super::chance::{Rng, seeds};
use super::chaos::{Chaos, Note, TOPICS};
use super::client::Mood;
use super::model::{Content, Mode, Model};
use super::net::Conduct;
use super::world::{Setup, World};
use crate::state::OUT_HIGH;
use crate::{AtLimit, CloseCause, ConnId, TlsFailure};

/// What becomes of a client in the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Stay,
    Close(u16),
    Violate,
    Finish,
    Reset,
    /// Neither reads nor answers any more.
    Mute,
    /// Never finishes its request.
    Half,
    /// No request at all, or none for a WebSocket.
    Bad,
    Page,
    Later,
}

struct Guest {
    fate: Fate,
    /// When that is.
    at: u64,
    came: u64,
    met: bool,
    next: u64,
}

struct Run {
    world: World<Chaos>,
    chaos: Chaos,
    guests: Vec<Guest>,
    mode: Mode,
}

fn setup(seed: u64, rng: &mut Rng) -> (Setup, Mode) {
    let mode = rng.pick(&[Mode::Exact, Mode::Exact, Mode::Drops, Mode::Closes]);
    let mut setup = Setup {
        seed,
        workers: 1 + rng.below(3) as u16,
        read_buffer: 1 << (5 + rng.below(9)),
        max_mail: rng.pick(&[300, 5000, 1 << 20]),
        batch: rng.pick(&[1, 3, usize::MAX, usize::MAX]),
        ..Setup::default()
    };
    let marks = &mut setup.marks;
    (marks.low, marks.high) = rng.pick(&[(0, 1), (200, 1500), (3000, 3001), (100_000, 200_000)]);
    marks.limit = match mode {
        Mode::Exact => usize::MAX,
        _ => marks.high + rng.below(10_000),
    };
    marks.at_limit = match mode {
        Mode::Drops => AtLimit::Drop,
        _ => AtLimit::Close(CloseCode::TRY_AGAIN_LATER),
    };
    setup.deflate = rng.percent(60).then(|| deflate(rng));
    if rng.percent(50) {
        let timeouts = &mut setup.timeouts;
        timeouts.handshake = Duration::from_secs(3);
        timeouts.ping = Some(Duration::from_secs(2));
        timeouts.pong = Duration::from_millis(1500);
    }
    if rng.percent(30) {
        // What waits is not lost, whatever else happens.
        let per_second = NonZeroU32::new(10 + rng.below(1000) as u32);
        setup.limits.traffic.messages = per_second.map(Rate::per_second);
    }
    setup.tls = rng.percent(10) && setup.limits.traffic.messages.is_none();
    if setup.tls {
        setup.read_buffer = 128 * 1024;
    }
    (setup, mode)
}

/// Some way to compress, most often one that allows a history for all.
fn deflate(rng: &mut Rng) -> DeflateConfig {
    let mut config = DeflateConfig::default();
    config.takeover = rng.percent(70);
    config.shared_history = rng.pick(&[None, Some(1), Some(3), Some(100)]);
    config.window_bits = rng.pick(&[9, 15, 15, 15]);
    config.min_len = rng.pick(&[0, 0, 20, 128]);
    config.max_frame = rng.pick(&[None, None, Some(100)]);
    config
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let (setup, mode) = setup(seed, &mut rng);
        let mut model = Model::new(mode, setup.marks.low, seed, usize::from(setup.workers));
        model.topics_used = rng.pick(&[1, 1, 4]);
        let chaos = Chaos::new(model);
        let world = World::new(setup, Box::new(chaos.clone()), |worker| {
            let mut chaos = chaos.clone();
            chaos.worker = worker;
            chaos
        });
        *chaos.clock.borrow_mut() = world.clock.clone();
        Self {
            world,
            chaos,
            guests: Vec::new(),
            mode,
        }
    }

    fn arrive(&mut self) {
        let rng = &mut Rng::new(self.world.rng.next());
        let world = &mut self.world;
        let (delay, room) = rng.pick(&[
            (0, 64),
            (1, 64),
            (1, 1000),
            (20, 1000),
            (20, 5000),
            (0, 5000),
            (20, 100_000),
        ]);
        world.setup.conduct = Conduct {
            delay,
            room,
            cut: rng.percent(60),
            drains: rng.percent(50),
        };
        world.setup.client_deflate = rng.percent(80).then(|| deflate(rng));
        let fate = match rng.below(20) {
            0..10 => Fate::Stay,
            10..12 => Fate::Close(1000 + rng.below(3) as u16),
            12 => Fate::Violate,
            13 => Fate::Finish,
            14 => Fate::Reset,
            15 => Fate::Mute,
            16 => Fate::Half,
            17 => Fate::Bad,
            18 => Fate::Page,
            _ => Fate::Later,
        };
        let worker = rng.below(world.benches.len());
        let line = match fate {
            Fate::Half => &b"GET /x HTTP/1.1\r\nHost: x\r\n"[..],
            Fate::Bad => b"GET /x HTTP/1.1\r\nHost x\r\n\r\n",
            _ => b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n",
        };
        match fate {
            Fate::Stay => world.connect(worker, "/stay"),
            Fate::Later => world.connect(worker, "/later"),
            Fate::Half | Fate::Bad | Fate::Page => world.connect_plain(worker, line),
            _ => world.connect(worker, "/go"),
        };
        let now = world.now();
        let at = now + rng.below(800) as u64;
        self.guests.push(Guest {
            fate,
            at,
            came: now,
            met: false,
            next: now,
        });
        self.chaos.model.borrow_mut().sent.push(VecDeque::new());
    }

    /// A client does something.
    fn act(&mut self, index: usize) {
        let (now, guest) = (self.world.now(), &mut self.guests[index]);
        let (client, rng) = (&mut self.world.clients[index], &mut self.world.rng);
        if guest.next > now || client.is_over() {
            return;
        }
        guest.next = now + rng.below(100) as u64;
        if guest.at <= now && !guest.met && client.is_open() {
            guest.met = true;
            match guest.fate {
                Fate::Close(code) => client.close(code),
                Fate::Violate => client.send_raw(b"\xff\xff\xff\xff\xff\xff"),
                Fate::Finish if !client.has_sent() => guest.met = false,
                Fate::Finish => client.finish(),
                Fate::Reset => client.reset(),
                Fate::Mute => (client.mood.reads, client.mood.answers) = (false, false),
                _ => {}
            }
            return;
        }
        if !client.is_open() || (guest.met && guest.fate != Fate::Stay && guest.fate != Fate::Later)
        {
            return;
        }
        match rng.below(10) {
            0 => client.send_ping(b"are you there"),
            1 => {
                let reads = client.mood.reads;
                // Never so long that it would count as dead.
                client.mood = Mood {
                    reads: !reads,
                    ..client.mood
                };
                guest.next = now + if reads { rng.below(400) as u64 } else { 0 };
            }
            2 => {
                client.mood.gulp = rng.pick(&[1000, 64 * 1024]);
                client.mood.pace = rng.below(10) as u64;
            }
            _ => {
                for _ in 0..rng.below(4) {
                    let (id, content) = self.chaos.model.borrow_mut().new_message();
                    self.chaos.model.borrow_mut().sent[index].push_back(id);
                    let pieces = rng.percent(20);
                    let (connection, out) = client.connection().expect("open");
                    match &content {
                        Content::Text(text) if pieces => {
                            let cut = text.floor_char_boundary(text.len() / 2);
                            let (one, two) = text.split_at(cut);
                            connection.send_text_fragment(one, false, out).unwrap();
                            connection.send_ping(b"between", out).unwrap();
                            connection.send_text_fragment(two, true, out).unwrap();
                        }
                        Content::Text(text) => connection
                            .send_text(text, &mut SendScratch::default(), out)
                            .unwrap(),
                        Content::Binary(data) => connection
                            .send_binary(data, &mut SendScratch::default(), out)
                            .unwrap(),
                    }
                }
            }
        }
    }

    /// Something comes from another thread, or happens to one.
    fn meddle(&mut self) {
        let (world, model) = (&mut self.world, &mut *self.chaos.model.borrow_mut());
        let rng = &mut world.rng;
        let all: Vec<ConnId> = model.tracks.keys().copied().collect();
        let worker = rng.below(world.benches.len());
        match rng.below(12) {
            0..3 if world.remote.note(worker, Note::Act).is_ok() => model.remote_note(worker),
            3 => {
                let (id, content) = model.new_message();
                let (topic, frame) = (rng.below(TOPICS.len()), frame(&content));
                let sure = world.remote.publish(TOPICS[topic], &frame).is_ok();
                model.remote_publish(topic, id, sure);
            }
            4..6 if !all.is_empty() => {
                let (to, (id, content)) = (rng.pick(&all), model.new_message());
                if world.remote.send(to, &frame(&content)).is_ok() {
                    model.remote_send(to, id);
                }
            }
            6 if !all.is_empty() && rng.percent(20) => {
                let to = rng.pick(&all);
                if world.remote.close(to, CloseCode(4999), "").is_ok() {
                    model.remote_close(to, 4999);
                }
            }
            7 if rng.percent(20) => {
                let until = world.clock.now() + rng.pick(&[10, 500, 40_000]);
                world.benches[worker].frozen = until;
            }
            8..12 if !self.chaos.held.borrow().is_empty() => {
                let place = rng.below(self.chaos.held.borrow().len());
                let id = self.chaos.held.borrow_mut().swap_remove(place);
                let note = Note::Decide(id, rng.percent(70));
                if world.remote.note(id.worker(), note).is_ok() {
                    model.remote_note(id.worker());
                } else {
                    self.chaos.held.borrow_mut().push(id);
                }
            }
            _ => {}
        }
    }

    fn go(&mut self) {
        let guests = 2 + self.world.rng.below(7);
        let rounds = 20 + self.world.rng.below(80);
        for round in 0..rounds {
            if self.guests.len() < guests && self.world.rng.percent(40) {
                self.arrive();
            }
            for index in 0..self.guests.len() {
                self.act(index);
            }
            if self.world.rng.percent(50) {
                self.meddle();
            }
            if self.world.rng.percent(50) {
                let steps = self.world.rng.below(20);
                self.world.steps(steps);
            } else {
                let millis = self.world.rng.below(30) as u64;
                self.world.run(millis);
            }
            self.check_bounds(round);
        }
        *self.chaos.calm.borrow_mut() = true;
        for (client, guest) in self.world.clients.iter_mut().zip(&self.guests) {
            if guest.fate != Fate::Mute {
                client.mood = Mood::PLAIN;
            }
        }
        self.world.run(130_000);
        self.check_quiet();
        self.world.shut_down(3000);
        self.chaos.model.borrow_mut().shut_down();
        self.world.run(3100);
        self.check_end();
    }

    /// What the server holds is bounded, whatever the clients do.
    fn check_bounds(&self, round: usize) {
        if self.mode == Mode::Exact {
            return;
        }
        let setup = &self.world.setup;
        // A message is taken whole, and so are the pongs for one read, a Close, and what is collected before it is offered.
        let limit = setup.marks.limit.max(OUT_HIGH);
        let bound = limit.max(setup.marks.high + setup.read_buffer) + 71_000 + 500;
        // Sealed and refused.
        let bound = bound + if setup.tls { 70_000 } else { 0 };
        for bench in &self.world.benches {
            let most = bench.backlogs().into_iter().max().unwrap_or(0);
            assert!(most <= bound, "a backlog of {most} bytes, round {round}");
        }
    }

    /// Everything has come to rest: what was promised has been kept.
    fn check_quiet(&mut self) {
        let mut model = self.chaos.model.borrow_mut();
        for (index, (client, guest)) in self.world.clients.iter_mut().zip(&self.guests).enumerate()
        {
            let missing = model.sent[index].len();
            let Some(track) = model.of_client(index) else {
                continue;
            };
            track.check(&client.seen, matches!(guest.fate, Fate::Close(_)));
            client.seen.clear();
            if track.is_healthy() {
                assert!(
                    client.is_open(),
                    "client {index} is not open any more: {:?}",
                    guest.fate
                );
                assert_eq!(
                    (track.missing(), missing),
                    (0, 0),
                    "client {index} misses something"
                );
                assert!(
                    !track.owed_drained,
                    "client {index} is owed a call of drained"
                );
                assert!(
                    !track.paused && track.timer.is_none(),
                    "client {index} is owed a timer"
                );
            }
        }
        for (topic, name) in TOPICS.iter().enumerate() {
            if let Some(bench) = self.world.benches.first() {
                model.check_members(topic, bench.worker.core.topics.members(name));
            }
        }
    }

    fn check_end(&mut self) {
        assert!(
            self.world.benches.iter().all(|bench| bench.done),
            "a worker has not ended"
        );
        self.world.assert_empty();
        let mut ends = self.chaos.ends.borrow().clone();
        ends.sort_by_key(|(client, ..)| *client);
        let clients: Vec<usize> = ends.iter().map(|(client, ..)| *client).collect();
        let all: Vec<usize> = (0..self.guests.len()).collect();
        assert_eq!(clients, all, "every caller's end is told once");
        let mut model = self.chaos.model.borrow_mut();
        for (index, cause, at) in ends {
            let (guest, client) = (&self.guests[index], &self.world.clients[index]);
            let track = model.of_client(index);
            let ours = track.as_ref().and_then(|track| track.ours);
            let right = match &cause {
                CloseCause::PeerClosed { code, .. } => {
                    code.map(|code| Fate::Close(code.0)) == Some(guest.fate)
                }
                CloseCause::WeClosed { code } => ours.map(|ours| ours.0) == Some(code.0),
                CloseCause::Protocol(_) => guest.fate == Fate::Violate,
                CloseCause::Lost | CloseCause::Tls(TlsFailure::Truncated) => {
                    matches!(guest.fate, Fate::Finish | Fate::Reset)
                }
                CloseCause::Reset(_) => matches!(guest.fate, Fate::Reset | Fate::Finish),
                CloseCause::Timeout(Overdue::Handshake) => {
                    matches!(guest.fate, Fate::Half | Fate::Later) || at - guest.came >= 3000
                }
                CloseCause::Timeout(Overdue::Pong) => guest.fate == Fate::Mute,
                CloseCause::SlowReader => self.mode == Mode::Closes,
                CloseCause::Shutdown => {
                    !guest.met || matches!(guest.fate, Fate::Stay | Fate::Later)
                }
                CloseCause::Answered(status) => {
                    matches!(
                        (guest.fate, status),
                        (Fate::Page, 200) | (Fate::Later, 403 | 503)
                    )
                }
                CloseCause::BadRequest(_) => guest.fate == Fate::Bad,
                _ => false,
            };
            assert!(right, "client {index}, {:?}: {cause}", guest.fate);
            if let Some(track) = track {
                track.check(&client.seen, matches!(guest.fate, Fate::Close(_)));
            }
            // The time limit of the handshake goes on until the answer is out.
            let in_time = at - guest.came < 3000;
            if guest.fate == Fate::Page && in_time && cause == CloseCause::Answered(200) {
                let page = client.answer.iter().filter(|byte| **byte == b'x').count();
                assert!(page >= 3000, "{page} bytes of a page");
            }
        }
    }
}

fn frame(content: &Content) -> Frame {
    match content {
        Content::Text(text) => Frame::text(text),
        Content::Binary(data) => Frame::binary(data),
    }
}

#[test]
fn whatever_happens_every_message_is_accounted_for_and_nothing_is_left() {
    let seeds = seeds(1);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let runs = |thread: usize| {
        for seed in seeds.clone().skip(thread).step_by(threads) {
            let run = std::panic::AssertUnwindSafe(|| Run::new(seed).go());
            if let Err(panic) = std::panic::catch_unwind(run) {
                eprintln!("replay with WIREFAN_SIM_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let runs = &runs;
            scope.spawn(move || runs(thread));
        }
    });
}
