//! [`Liveness`]: the deadlines of one connection, with time as an argument. Used by whoever drives a connection.

use core::time::Duration;

/// A moment, in milliseconds from any fixed one.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Millis(pub u64);

impl Millis {
    /// The moment that is `duration` later.
    pub fn after(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

/// How long things may take. Shared by connections.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Timeouts {
    /// From the transport's beginning to the end of the opening handshake. Default: 10 s.
    pub handshake: Duration,
    /// A peer not heard of for this long is sent a ping; `None`: never. Default: 25 s.
    pub ping: Option<Duration>,
    /// A peer not heard of for this long after the ping is given up. Default: 10 s.
    pub pong: Duration,
    /// A connection that carried no message, either way, for this long is given up; `None`: never. Default: `None`.
    pub idle: Option<Duration>,
    /// From our Close to the peer's, and then to the end of the transport. Default: 5 s.
    pub close: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            ping: Some(Duration::from_secs(25)),
            pong: Duration::from_secs(10),
            idle: None,
            close: Duration::from_secs(5),
        }
    }
}

/// What is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Due {
    /// Send a ping.
    Ping,
    /// Close, or if that was tried end the transport: this took too long.
    GiveUp(Overdue),
}

/// What took too long.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Overdue {
    /// The opening handshake.
    Handshake,
    /// A sign of life after our ping.
    Pong,
    /// The next message.
    Idle,
    /// The answer to our Close, or the end of the transport.
    Close,
}

/// When to ping a quiet peer and when to give up on it.
///
/// It has no clock: tell it what happened and when, wait until [`poll_timeout`](Self::poll_timeout), call
/// [`handle_timeout`](Self::handle_timeout). Calls that come too early or too often are harmless.
///
/// ```
/// use wirefan_protocol::{Due, Liveness, Millis, Overdue, Timeouts};
///
/// let timeouts = Timeouts::default();
/// let mut liveness = Liveness::new(Millis(0));
/// liveness.opened(Millis(10));
/// assert_eq!(liveness.poll_timeout(&timeouts), Some(Millis(25_010)));
/// assert_eq!(liveness.handle_timeout(Millis(25_010), &timeouts), Some(Due::Ping));
/// assert_eq!(liveness.poll_timeout(&timeouts), Some(Millis(35_010)));
/// assert_eq!(liveness.handle_timeout(Millis(35_010), &timeouts), Some(Due::GiveUp(Overdue::Pong)));
/// ```
#[derive(Clone, Debug)]
pub struct Liveness {
    phase: Phase,
    heard: Millis,
    active: Millis,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Handshake(Millis),
    Quiet,
    Pinged(Millis),
    Closing(Millis),
}

impl Liveness {
    /// The transport has begun.
    pub fn new(now: Millis) -> Self {
        Self {
            phase: Phase::Handshake(now),
            heard: now,
            active: now,
        }
    }

    /// The opening handshake is done.
    pub fn opened(&mut self, now: Millis) {
        self.phase = Phase::Quiet;
        self.heard = now;
        self.active = now;
    }

    /// Something was read.
    #[inline]
    pub fn heard(&mut self, now: Millis) {
        self.heard = now;
        if let Phase::Pinged(_) = self.phase {
            self.phase = Phase::Quiet;
        }
    }

    /// A message came or went.
    #[inline]
    pub fn active(&mut self, now: Millis) {
        self.active = now;
    }

    /// A Close was sent, or the connection has ended and only the transport is left. The first call counts.
    pub fn closing(&mut self, now: Millis) {
        if !matches!(self.phase, Phase::Closing(_)) {
            self.phase = Phase::Closing(now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next; `None`: not before something happens.
    pub fn poll_timeout(&self, timeouts: &Timeouts) -> Option<Millis> {
        let idle = timeouts.idle.map(|idle| self.active.after(idle));
        match self.phase {
            Phase::Handshake(since) => Some(since.after(timeouts.handshake)),
            Phase::Quiet => earlier(timeouts.ping.map(|ping| self.heard.after(ping)), idle),
            Phase::Pinged(since) => earlier(Some(since.after(timeouts.pong)), idle),
            Phase::Closing(since) => Some(since.after(timeouts.close)),
        }
    }

    /// What is due at `now`, if anything.
    pub fn handle_timeout(&mut self, now: Millis, timeouts: &Timeouts) -> Option<Due> {
        if self.poll_timeout(timeouts)? > now {
            return None;
        }
        let overdue = match self.phase {
            Phase::Handshake(_) => Overdue::Handshake,
            Phase::Closing(_) => Overdue::Close,
            Phase::Quiet | Phase::Pinged(_)
                if timeouts
                    .idle
                    .is_some_and(|idle| self.active.after(idle) <= now) =>
            {
                Overdue::Idle
            }
            Phase::Quiet => {
                self.phase = Phase::Pinged(now);
                return Some(Due::Ping);
            }
            Phase::Pinged(_) => Overdue::Pong,
        };
        Some(Due::GiveUp(overdue))
    }
}

fn earlier(one: Option<Millis>, other: Option<Millis>) -> Option<Millis> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(ping: Option<u64>, pong: u64, idle: Option<u64>) -> Timeouts {
        Timeouts {
            handshake: Duration::from_secs(3),
            ping: ping.map(Duration::from_secs),
            pong: Duration::from_secs(pong),
            idle: idle.map(Duration::from_secs),
            close: Duration::from_secs(5),
        }
    }

    #[test]
    fn a_handshake_has_its_time() {
        let timeouts = seconds(Some(1), 1, Some(1));
        let mut liveness = Liveness::new(Millis(7));
        liveness.heard(Millis(2000));
        assert_eq!(liveness.handle_timeout(Millis(3006), &timeouts), None);
        assert_eq!(
            liveness.handle_timeout(Millis(3007), &timeouts),
            Some(Due::GiveUp(Overdue::Handshake))
        );
    }

    #[test]
    fn spurious_calls_are_harmless_and_a_sign_of_life_postpones() {
        let timeouts = seconds(Some(10), 4, None);
        let mut liveness = Liveness::new(Millis(0));
        liveness.opened(Millis(0));
        for now in 0..10_000 {
            assert_eq!(liveness.handle_timeout(Millis(now), &timeouts), None);
        }
        liveness.heard(Millis(9_999));
        assert_eq!(liveness.handle_timeout(Millis(10_000), &timeouts), None);
        assert_eq!(
            liveness.handle_timeout(Millis(19_999), &timeouts),
            Some(Due::Ping)
        );
        assert_eq!(liveness.handle_timeout(Millis(20_000), &timeouts), None);
        liveness.heard(Millis(21_000));
        assert_eq!(liveness.handle_timeout(Millis(23_999), &timeouts), None);
        assert_eq!(
            liveness.handle_timeout(Millis(31_000), &timeouts),
            Some(Due::Ping)
        );
        assert_eq!(
            liveness.handle_timeout(Millis(35_000), &timeouts),
            Some(Due::GiveUp(Overdue::Pong))
        );
    }

    #[test]
    fn idle_counts_messages_and_not_signs_of_life() {
        let timeouts = seconds(Some(10), 4, Some(60));
        let mut liveness = Liveness::new(Millis(0));
        liveness.opened(Millis(0));
        liveness.active(Millis(1_000));
        for now in (10_000..=60_000).step_by(5_000) {
            liveness.heard(Millis(now));
        }
        assert_eq!(liveness.handle_timeout(Millis(60_999), &timeouts), None);
        assert_eq!(
            liveness.handle_timeout(Millis(61_000), &timeouts),
            Some(Due::GiveUp(Overdue::Idle))
        );
    }

    #[test]
    fn closing_is_counted_from_its_beginning() {
        let timeouts = seconds(None, 4, None);
        let mut liveness = Liveness::new(Millis(0));
        liveness.opened(Millis(0));
        assert_eq!(liveness.poll_timeout(&timeouts), None);
        liveness.closing(Millis(100));
        liveness.heard(Millis(4_000));
        liveness.closing(Millis(4_000));
        assert_eq!(liveness.poll_timeout(&timeouts), Some(Millis(5_100)));
        assert_eq!(
            liveness.handle_timeout(Millis(5_100), &timeouts),
            Some(Due::GiveUp(Overdue::Close))
        );
    }
}
