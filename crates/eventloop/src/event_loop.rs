//! [`EventLoop`]: a worker driven by `mio`. One thread, one poll; every socket is registered once and for all.

use core::mem;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};
use wirefan_protocol::Millis;

use crate::Handler;
use crate::listener::{Arrival, Listener};
use crate::mailbox::{Mail, Mailbox};
use crate::slots::SlotToken;
use crate::stream::Stream;
use crate::tls::TlsStream;
use crate::transport::Transport;
use crate::worker::{Ready, Worker};

/// Sockets looked at in one turn.
const EVENTS: usize = 1024;

/// The mailbox's token; the listeners' come below it. No slot has so high a number.
pub(crate) const MAILBOX: Token = Token(usize::MAX);

pub(crate) struct EventLoop<H: Handler> {
    poll: Poll,
    worker: Worker<H>,
    listeners: Vec<Listener>,
    /// Where accepted connections go if a listener cannot be shared: to each worker in turn.
    hand_out: Option<HandOut<H::Note>>,
    start: Instant,
}

/// Shares out accepted connections among the workers.
pub(crate) struct HandOut<N> {
    pub(crate) mailboxes: Arc<[Arc<Mailbox<N>>]>,
    pub(crate) next: usize,
}

impl<H: Handler> EventLoop<H> {
    /// `start` is when the worker's time began.
    pub(crate) fn new(
        poll: Poll,
        worker: Worker<H>,
        mut listeners: Vec<Listener>,
        hand_out: Option<HandOut<H::Note>>,
        start: Instant,
    ) -> io::Result<Self> {
        for (place, listener) in listeners.iter_mut().enumerate() {
            let token = Token(MAILBOX.0 - 1 - place);
            poll.registry()
                .register(listener.source(), token, Interest::READABLE)?;
        }
        Ok(Self {
            poll,
            worker,
            listeners,
            hand_out,
            start,
        })
    }

    /// Turns until a shutdown is complete.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let mut took = Duration::ZERO;
        while !self.worker.is_done() {
            let timeout = self.timeout(self.worker.core.now.after(took));
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let woke = Instant::now();
            let elapsed = woke.saturating_duration_since(self.start);
            self.worker.core.now = Millis(0).after(elapsed);
            self.worker.core.micros = (elapsed.subsec_micros() % 1000) as u16;
            for event in &events {
                self.event(event);
            }
            self.worker.core.write_deferred();
            self.accept();
            self.admit_arrivals();
            #[cfg(feature = "client")]
            self.dial();
            // With more sockets ready than were told, the others are heard before any deadline strikes.
            self.worker.turn(events.iter().count() < EVENTS);
            took = woke.elapsed();
            self.worker.core.tally.turned(took);
        }
        Ok(())
    }

    fn timeout(&self, now: Millis) -> Option<Duration> {
        let accepts = self.listeners.iter().filter_map(Listener::next_try);
        let next = self.worker.next_turn().into_iter().chain(accepts).min()?;
        Some(Duration::from_millis(next.0.saturating_sub(now.0)))
    }

    fn event(&mut self, event: &Event) {
        match event.token() {
            MAILBOX => {
                self.worker.open_mail();
                if self.worker.leaving.is_some() {
                    self.close_listeners();
                }
            }
            Token(token) => match self.listeners.get_mut(MAILBOX.0 - 1 - token) {
                Some(listener) => listener.ready(),
                None => self.worker.ready(Ready {
                    token: SlotToken(token),
                    readable: event.is_readable() || event.is_error(),
                    writable: event.is_writable(),
                    read_closed: event.is_read_closed(),
                }),
            },
        }
    }

    fn accept(&mut self) {
        let now = self.worker.core.now;
        if self.listeners.iter().any(|listener| listener.is_due(now)) {
            self.accept_due(now);
        }
    }

    #[inline(never)]
    fn accept_due(&mut self, now: Millis) {
        let (worker, poll, hand_out) = (&mut self.worker, &self.poll, &mut self.hand_out);
        for listener in &mut self.listeners {
            let alone = listener.alone;
            listener.accept(now, |arrival| {
                let own = match hand_out.as_mut().filter(|_| alone) {
                    Some(hand_out) => hand_out.give(arrival),
                    None => Some(arrival),
                };
                if let Some(arrival) = own {
                    admit(worker, poll, arrival);
                }
            });
        }
    }

    fn admit_arrivals(&mut self) {
        if self.worker.arrivals.is_empty() {
            return;
        }
        for arrival in mem::take(&mut self.worker.arrivals) {
            admit(&mut self.worker, &self.poll, arrival);
        }
    }

    #[cfg(feature = "client")]
    fn dial(&mut self) {
        if !self.worker.core.dialled.wanted.is_empty() {
            let mut sockets = crate::client::Sockets {
                registry: self.poll.registry(),
                mailbox: self.worker.mailbox(),
            };
            self.worker.drive_dials(&mut sockets);
        }
    }

    /// What has been accepted by the system is ours to answer, also when it comes too late.
    fn close_listeners(&mut self) {
        self.hand_out = None;
        // Where a socket is open elsewhere, closing it here would leave it in the poll, and its queue is not ours alone.
        self.listeners.retain_mut(|listener| {
            if listener.stays_open {
                let _ = self.poll.registry().deregister(listener.source());
            }
            !listener.stays_open
        });
        self.listeners.iter_mut().for_each(Listener::ready);
        let now = self.worker.core.now;
        while self.listeners.iter().any(|listener| listener.is_due(now)) {
            self.accept_due(now);
        }
        self.listeners.clear();
    }
}

/// Takes a connection in and registers it, for both directions and for good.
fn admit<H: Handler>(worker: &mut Worker<H>, poll: &Poll, arrival: Arrival) {
    let proxies = arrival.proxies.as_deref();
    let transport = match (arrival.stream, arrival.tls) {
        (stream, Some(tls)) => Transport::Tls(TlsStream::boxed(stream, tls)),
        (Stream::Tcp(socket), None) => Transport::Tcp(socket),
        #[cfg(unix)]
        (Stream::Unix(socket), None) => Transport::Unix(socket),
    };
    let Some(token) = worker.admit(transport, arrival.addr, proxies) else {
        return;
    };
    let Some(slot) = worker.core.slots.get_mut(token.slot()) else {
        return;
    };
    let Some(socket) = slot.socket.source() else {
        return;
    };
    let interest = Interest::READABLE | Interest::WRITABLE;
    if let Err(error) = poll.registry().register(socket, Token(token.0), interest) {
        let id = worker.core.id(token.slot());
        tracing::warn!(%id, %error, "cannot watch a connection");
        worker
            .core
            .end(token.slot(), crate::CloseCause::Reset(error.kind()));
    }
}

impl<N> HandOut<N> {
    /// Gives a connection to the next worker, or back if that one has ended.
    fn give(&mut self, arrival: Arrival) -> Option<Arrival> {
        self.next = (self.next + 1) % self.mailboxes.len();
        match self.mailboxes[self.next].insist(Mail::Accepted(arrival)) {
            Some(Mail::Accepted(arrival)) => Some(arrival),
            _ => None,
        }
    }
}
