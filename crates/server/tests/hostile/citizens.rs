//! A hundred well-behaved clients in ten rooms. Each publishes at a steady pace and checks that everything of everyone in
//! its room comes once, in order and in time, whatever is done to the server meanwhile.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use wirefan_eventloop::rustls::pki_types::ServerName;
use wirefan_eventloop::rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::common::PATIENCE;
use crate::frames::{CLOSE, FIN, PING, PONG, TEXT, frame, parse, request};
use crate::vitals::this_thread_waited;

pub(crate) const ROOMS: usize = 10;
pub(crate) const SEATS: usize = 10;
/// How often each of them says something.
const PACE: Duration = Duration::from_millis(250);

/// What they have seen.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) published: u64,
    pub(crate) delivered: u64,
    /// Microseconds from publishing to having read, of every delivery, sorted.
    pub(crate) latencies: Vec<u32>,
    /// How long their thread had to wait for a processor.
    pub(crate) waited: Duration,
    /// The codes that they were told to go with.
    pub(crate) codes: Vec<Option<u16>>,
}

impl Report {
    /// The latency that 99 of 100 deliveries are within.
    pub(crate) fn p99(&self) -> Duration {
        let place = self.latencies.len() * 99 / 100;
        Duration::from_micros(
            self.latencies
                .get(place)
                .copied()
                .unwrap_or_default()
                .into(),
        )
    }
}

/// All of them, in one thread.
pub(crate) struct Citizens {
    shared: Arc<Shared>,
    thread: JoinHandle<Report>,
}

#[derive(Default)]
struct Shared {
    open: AtomicU64,
    delivered: AtomicU64,
    missing: AtomicU64,
    /// They may speak, they are to be silent, the server will end.
    speak: AtomicBool,
    hush: AtomicBool,
    leave: AtomicBool,
    /// What must not be, the first few of it.
    faults: Mutex<Vec<String>>,
}

pub(crate) fn room(number: usize) -> String {
    format!("/room-{number}")
}

impl Citizens {
    /// Connects them; over TLS, if there is a configuration for it. Returns when all are open.
    pub(crate) fn settle(addr: SocketAddr, tls: Option<Arc<ClientConfig>>) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::spawn(move || Crowd::new(addr, tls, theirs).live());
        let citizens = Self { shared, thread };
        citizens.await_count("open", &citizens.shared.open, |open| {
            open == (ROOMS * SEATS) as u64
        });
        citizens
    }

    fn await_count(&self, what: &str, count: &AtomicU64, enough: impl Fn(u64) -> bool) {
        let start = Instant::now();
        loop {
            let now = count.load(Ordering::SeqCst);
            self.assert_content();
            if enough(now) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{what}: {now}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn assert_content(&self) {
        let faults = self.shared.faults.lock().unwrap().clone();
        assert_eq!(faults, [""; 0], "and perhaps more");
    }

    /// They begin to speak. Returns when each of them has been heard, more than once on average.
    pub(crate) fn speak(&self) {
        self.shared.speak.store(true, Ordering::SeqCst);
        self.await_delivered(2);
    }

    /// Returns when all have been heard so many times more, on average.
    pub(crate) fn await_delivered(&self, rounds: usize) {
        let more = (rounds * ROOMS * SEATS * (SEATS - 1)) as u64;
        let count = &self.shared.delivered;
        let enough = count.load(Ordering::SeqCst) + more;
        self.await_count("delivered", count, |now| now >= enough);
    }

    /// They fall silent. Returns when everything has arrived that they have said.
    pub(crate) fn hush(&self) {
        self.shared.missing.store(u64::MAX, Ordering::SeqCst);
        self.shared.hush.store(true, Ordering::SeqCst);
        self.await_count("still missing", &self.shared.missing, |missing| {
            missing == 0
        });
    }

    /// From now on the server may close them; returns when it has closed all.
    pub(crate) fn leave(self, end: impl FnOnce()) -> Report {
        self.shared.leave.store(true, Ordering::SeqCst);
        end();
        let shared = self.shared.clone();
        let report = self.thread.join().unwrap();
        assert_eq!(*shared.faults.lock().unwrap(), [""; 0], "and perhaps more");
        report
    }
}

trait Transport: Read + Write + Send {}
impl<T: Read + Write + Send> Transport for T {}

struct Citizen {
    transport: Box<dyn Transport>,
    room: usize,
    seat: usize,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    open: bool,
    ended: bool,
    code: Option<u16>,
    published: u32,
    /// What is expected of each seat of the room next.
    expected: [u32; SEATS],
    due: Instant,
}

struct Crowd {
    shared: Arc<Shared>,
    poll: Poll,
    citizens: Vec<Citizen>,
    start: Instant,
    report: Report,
}

impl Crowd {
    fn new(addr: SocketAddr, tls: Option<Arc<ClientConfig>>, shared: Arc<Shared>) -> Self {
        let poll = Poll::new().unwrap();
        let start = Instant::now();
        let citizens = (0..ROOMS * SEATS).map(|number| {
            let socket = StdStream::connect(addr).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.set_nodelay(true).unwrap();
            let mut socket = mio::net::TcpStream::from_std(socket);
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut socket, Token(number), both)
                .unwrap();
            let transport: Box<dyn Transport> = match &tls {
                None => Box::new(socket),
                Some(config) => {
                    let name = ServerName::try_from("localhost").unwrap();
                    let session = ClientConnection::new(Arc::clone(config), name).unwrap();
                    Box::new(StreamOwned::new(session, socket))
                }
            };
            Citizen {
                transport,
                room: number / SEATS,
                seat: number % SEATS,
                inbox: Vec::new(),
                outbox: request(&room(number / SEATS)),
                open: false,
                ended: false,
                code: None,
                published: 0,
                expected: [0; SEATS],
                due: start,
            }
        });
        Self {
            shared,
            citizens: citizens.collect(),
            poll,
            start,
            report: Report::default(),
        }
    }

    fn live(mut self) -> Report {
        let mut events = Events::with_capacity(1024);
        let mut speaks = false;
        loop {
            self.poll
                .poll(&mut events, Some(Duration::from_millis(5)))
                .or_else(|error| match error.kind() {
                    ErrorKind::Interrupted => Ok(()),
                    _ => Err(error),
                })
                .unwrap();
            for event in &events {
                self.hear(event.token().0);
            }
            let (now, hush) = (Instant::now(), self.shared.hush.load(Ordering::SeqCst));
            if !speaks && self.shared.speak.load(Ordering::SeqCst) {
                speaks = true;
                // Spread over a period: they are no choir.
                for (number, citizen) in self.citizens.iter_mut().enumerate() {
                    citizen.due = now + PACE * number as u32 / (ROOMS * SEATS) as u32;
                }
            }
            if speaks && !hush {
                self.speak(now);
            }
            let left = self.citizens.iter().filter(|it| it.ended).count();
            if left == self.citizens.len() {
                break;
            }
            if left > 0 && !self.shared.leave.load(Ordering::SeqCst) {
                self.fault(format!("{left} were disconnected"));
                break;
            }
            self.shared
                .delivered
                .store(self.report.delivered, Ordering::SeqCst);
            let missing = self.report.published * (SEATS as u64 - 1) - self.report.delivered;
            if hush {
                self.shared.missing.store(missing, Ordering::SeqCst);
            }
            if !self.shared.faults.lock().unwrap().is_empty() {
                break;
            }
        }
        self.report.codes = self.citizens.iter().map(|citizen| citizen.code).collect();
        self.report.waited = this_thread_waited();
        self.report.latencies.sort_unstable();
        self.report
    }

    fn fault(&self, fault: String) {
        let mut faults = self.shared.faults.lock().unwrap();
        if faults.len() < 10 {
            faults.push(fault);
        }
    }

    fn speak(&mut self, now: Instant) {
        let nanos = (now - self.start).as_micros();
        for citizen in &mut self.citizens {
            if citizen.due > now {
                continue;
            }
            // Whoever has been held up does not make up for it: that would be a burst.
            citizen.due = (citizen.due + PACE).max(now);
            let text = format!("{} {} {nanos} {:.>60}", citizen.seat, citizen.published, "");
            citizen.outbox.extend(frame(FIN | TEXT, text.as_bytes()));
            citizen.published += 1;
            self.report.published += 1;
            if let Err(error) = citizen.flush() {
                let fault = format!("{:?} cannot write: {error}", (citizen.room, citizen.seat));
                return self.fault(fault);
            }
        }
    }

    /// Reads and writes all that is possible.
    fn hear(&mut self, number: usize) {
        let citizen = &mut self.citizens[number];
        if citizen.ended {
            return;
        }
        let result = citizen.read().and_then(|()| citizen.flush());
        let who = (citizen.room, citizen.seat);
        if let Err(error) = result {
            // After the Closes of both sides it does not matter how the server ends.
            if citizen.code.is_none() {
                return self.fault(format!("{who:?}: {error}"));
            }
            citizen.ended = true;
        }
        if !citizen.open {
            let Some(end) = citizen.inbox.windows(4).position(|it| it == b"\r\n\r\n") else {
                return;
            };
            let head = citizen.inbox.drain(..end + 4).collect::<Vec<_>>();
            if !head.starts_with(b"HTTP/1.1 101 ") {
                return self.fault(format!("{who:?}: {}", String::from_utf8_lossy(&head)));
            }
            citizen.open = true;
            self.shared.open.fetch_add(1, Ordering::SeqCst);
        }
        let inbox = std::mem::take(&mut self.citizens[number].inbox);
        let mut rest = &inbox[..];
        while let Some((first, start, end)) = parse(rest) {
            self.take(number, first, &rest[start..end]);
            rest = &rest[end..];
        }
        let citizen = &mut self.citizens[number];
        citizen.inbox = rest.to_vec();
        if let Err(error) = citizen.flush()
            && citizen.code.is_none()
        {
            self.fault(format!("{who:?}: {error}"));
        }
    }

    fn take(&mut self, number: usize, first: u8, payload: &[u8]) {
        let now = (Instant::now() - self.start).as_micros();
        let citizen = &mut self.citizens[number];
        let who = (citizen.room, citizen.seat);
        match first ^ FIN {
            TEXT => {}
            PING => return citizen.outbox.extend(frame(FIN | PONG, payload)),
            CLOSE => {
                citizen.code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                citizen.outbox.extend(frame(FIN | CLOSE, payload));
                if !self.shared.leave.load(Ordering::SeqCst) {
                    let reason = String::from_utf8_lossy(payload).into_owned();
                    self.fault(format!("{who:?} was closed: {reason:?}"));
                }
                return;
            }
            _ => return self.fault(format!("{who:?}: a frame {first:#x}")),
        }
        let text = String::from_utf8_lossy(payload).into_owned();
        let numbers: Vec<u128> = text.split(' ').flat_map(str::parse).collect();
        let &[seat, sequence, sent] = &numbers[..] else {
            return self.fault(format!("{who:?} heard {text:?}"));
        };
        let expected = &mut citizen.expected[seat as usize];
        if seat as usize == who.1 || u128::from(*expected) != sequence {
            let fault = format!("{who:?} heard {sequence} of {seat} instead of {expected}");
            return self.fault(fault);
        }
        *expected += 1;
        self.report.delivered += 1;
        self.report.latencies.push((now - sent) as u32);
    }
}

impl Citizen {
    /// Takes in what is there; an end is an error.
    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.transport.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(len) => self.inbox.extend(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() {
            match self.transport.write(&self.outbox) {
                Ok(len) => drop(self.outbox.drain(..len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        match self.transport.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}
