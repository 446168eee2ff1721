//! What the threads of a load share: the phase that they are in, their meters, and how far a broadcast has come.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::io;
use std::time::Instant;

use mio::{Poll, Token, Waker};

/// The token of a thread's own waker.
pub(crate) const WAKE: Token = Token(usize::MAX);

/// What the threads do. They only ever go forwards.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Connections are opened.
    Open,
    /// Load that does not count.
    WarmUp,
    /// Nothing new is sent, so that what is counted starts from nothing.
    Settle,
    /// Load that counts.
    Measure,
    /// Nothing new is sent but what was due and held back; what is still to come is waited for.
    Drain,
    /// Connections are closed, and the threads end.
    Close,
}

/// What a thread tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Report {
    /// All of its connections are open, or have failed.
    Opened,
    /// In this phase it has nothing to wait for any more.
    Quiet(Phase),
}

/// What a thread has done so far: written by it alone, read at any time. On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Meter {
    /// Messages that came back, deliveries, or handshakes.
    pub(crate) messages: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    /// Of both, bytes of frames that nobody waits for: pings, pongs, what others send.
    pub(crate) bytes_aside: AtomicU64,
    pub(crate) opened: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl Publisher {
    /// How many of its messages all subscribers have.
    #[inline]
    pub(crate) fn done(&self) -> u64 {
        let published = self.published.load(Ordering::Acquire);
        let threads = self
            .delivered
            .iter()
            .map(|delivered| delivered.load(Ordering::Acquire));
        threads.fold(published, u64::min)
    }
}

/// Adds to a counter that only this thread writes.
#[inline]
pub(crate) fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}

/// What all meters say together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Reading {
    pub(crate) messages: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_aside: u64,
    pub(crate) opened: u64,
    pub(crate) failed: u64,
}

/// How far one publisher has come.
#[derive(Debug)]
pub(crate) struct Publisher {
    /// The thread that it is on.
    pub(crate) thread: usize,
    /// Messages that it has handed to its socket.
    pub(crate) published: AtomicU64,
    /// For each thread the messages that all of its subscribers have.
    pub(crate) delivered: Box<[AtomicU64]>,
}

/// Shared by the threads of a load.
#[derive(Debug)]
pub(crate) struct Control {
    phase: AtomicU8,
    pub(crate) meters: Box<[Meter]>,
    pub(crate) publishers: Box<[Publisher]>,
    wakers: Box<[Waker]>,
    begin: Instant,
}

impl Control {
    /// For so many threads; each gets one of the polls.
    pub(crate) fn new(threads: usize, publishers: usize) -> io::Result<(Self, Vec<Poll>)> {
        let polls = (0..threads)
            .map(|_| Poll::new())
            .collect::<io::Result<Vec<_>>>()?;
        let wakers = polls.iter().map(|poll| Waker::new(poll.registry(), WAKE));
        let publisher = |number| Publisher {
            thread: number % threads,
            published: AtomicU64::new(0),
            delivered: (0..threads).map(|_| AtomicU64::new(0)).collect(),
        };
        let control = Self {
            phase: AtomicU8::new(Phase::Open as u8),
            meters: (0..threads).map(|_| Meter::default()).collect(),
            publishers: (0..publishers).map(publisher).collect(),
            wakers: wakers.collect::<io::Result<_>>()?,
            begin: Instant::now(),
        };
        Ok((control, polls))
    }

    /// Nanoseconds since the beginning.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        // 584 years fit.
        self.begin.elapsed().as_nanos() as u64
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        const PHASES: [Phase; 6] = [
            Phase::Open,
            Phase::WarmUp,
            Phase::Settle,
            Phase::Measure,
            Phase::Drain,
            Phase::Close,
        ];
        PHASES[usize::from(self.phase.load(Ordering::Acquire))]
    }

    /// Goes on to a phase, and tells all threads.
    pub(crate) fn enter(&self, phase: Phase) -> io::Result<()> {
        self.phase.store(phase as u8, Ordering::Release);
        (0..self.wakers.len()).try_for_each(|thread| self.wake(thread))
    }

    pub(crate) fn wake(&self, thread: usize) -> io::Result<()> {
        self.wakers[thread].wake()
    }

    pub(crate) fn reading(&self) -> Reading {
        let mut sum = Reading::default();
        for meter in &self.meters {
            sum.messages += meter.messages.load(Ordering::Relaxed);
            sum.bytes_in += meter.bytes_in.load(Ordering::Relaxed);
            sum.bytes_out += meter.bytes_out.load(Ordering::Relaxed);
            sum.bytes_aside += meter.bytes_aside.load(Ordering::Relaxed);
            sum.opened += meter.opened.load(Ordering::Relaxed);
            sum.failed += meter.failed.load(Ordering::Relaxed);
        }
        sum
    }
}
