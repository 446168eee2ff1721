//! [`Liveness`]: the deadlines of one connection, with time as an argument. Used by whoever drives a connection.

use core::num::NonZeroU32;
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
    /// From the moment we were given the transport to the end of the opening handshake. Default: 10 s.
    pub handshake: Duration,
    /// A peer not heard of for this long, less the `jitter`, is sent a ping; `None`: never. Default: 25 s.
    pub ping: Option<Duration>,
    /// A peer not heard of for this long after the ping is given up. Default: 10 s.
    pub pong: Duration,
    /// A connection that carried no message, either way, for this long is given up; `None`: never. Default: `None`.
    pub idle: Option<Duration>,
    /// From our Close to the peer's, and then to the end of the transport. Default: 5 s.
    pub close: Duration,
    /// From the end of the opening handshake to our Close, whatever is said; `None`: never. Default: `None`.
    pub lifetime: Option<Duration>,
    /// By how many percent at most `ping` and `lifetime` are shorter for one connection than for another, so that those
    /// that came together are not pinged and closed together. See [`Liveness::set_jitter`]. Default: 20.
    pub jitter: u8,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            ping: Some(Duration::from_secs(25)),
            pong: Duration::from_secs(10),
            idle: None,
            close: Duration::from_secs(5),
            lifetime: None,
            jitter: 20,
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
    /// The whole connection.
    Lifetime,
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
    /// This connection's part of the jitter.
    jitter: u16,
    /// In microseconds.
    rtt: Option<NonZeroU32>,
    /// When the phase began, or went on: the transport's beginning, the last sign of life, our ping, our Close.
    since: Millis,
    active: Millis,
    opened: Millis,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Handshake,
    Quiet,
    Pinged,
    Closing,
}

impl Liveness {
    /// The transport has begun.
    pub fn new(now: Millis) -> Self {
        Self {
            phase: Phase::Handshake,
            jitter: 0,
            rtt: None,
            since: now,
            active: now,
            opened: now,
        }
    }

    /// Makes this connection's times shorter by its own part of [`Timeouts::jitter`]: by none of it at 0, as they begin,
    /// by nearly all of it at `u16::MAX`. Any number that differs from connection to connection will do.
    ///
    /// ```
    /// use wirefan_protocol::{Liveness, Millis, Timeouts};
    ///
    /// let timeouts = Timeouts::default();
    /// let mut liveness = Liveness::new(Millis(0));
    /// liveness.set_jitter(1 << 15);
    /// liveness.opened(Millis(0));
    /// // Half of 20 percent less than 25 seconds.
    /// assert_eq!(liveness.poll_timeout(&timeouts), Some(Millis(22_500)));
    /// ```
    pub fn set_jitter(&mut self, part: u16) {
        self.jitter = part;
    }

    /// The opening handshake is done.
    pub fn opened(&mut self, now: Millis) {
        self.phase = Phase::Quiet;
        self.since = now;
        self.active = now;
        self.opened = now;
    }

    /// Something was read.
    #[inline]
    pub fn heard(&mut self, now: Millis) {
        if let Phase::Quiet | Phase::Pinged = self.phase {
            self.phase = Phase::Quiet;
            self.since = now;
        }
    }

    /// A message came or went.
    #[inline]
    pub fn active(&mut self, now: Millis) {
        self.active = now;
    }

    /// A Close was sent, or the connection has ended and only the transport is left. The first call counts.
    pub fn closing(&mut self, now: Millis) {
        if self.phase != Phase::Closing {
            self.phase = Phase::Closing;
            self.since = now;
        }
    }

    /// Our Close still waits behind what the peer is reading: its time begins anew.
    pub fn still_closing(&mut self, now: Millis) {
        if self.phase == Phase::Closing {
            self.since = now;
        }
    }

    /// A pong has shown how long the way to the peer and back takes: at least a microsecond, at most 71 minutes.
    pub fn measured(&mut self, rtt: Duration) {
        let micros = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
        self.rtt = Some(NonZeroU32::new(micros).unwrap_or(NonZeroU32::MIN));
    }

    /// What was [measured](Self::measured) last.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
            .map(|micros| Duration::from_micros(micros.get().into()))
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next; `None`: not before something happens.
    pub fn poll_timeout(&self, timeouts: &Timeouts) -> Option<Millis> {
        let after = |time: Option<Duration>| time.map(|time| self.since.after(time));
        match self.phase {
            Phase::Handshake => after(Some(timeouts.handshake)),
            Phase::Quiet => {
                let ping = timeouts.ping.map(|ping| self.shortened(ping, timeouts));
                earlier(after(ping), self.end(timeouts))
            }
            Phase::Pinged => earlier(after(Some(timeouts.pong)), self.end(timeouts)),
            Phase::Closing => after(Some(timeouts.close)),
        }
    }

    /// What is due at `now`, if anything.
    pub fn handle_timeout(&mut self, now: Millis, timeouts: &Timeouts) -> Option<Due> {
        if self.poll_timeout(timeouts)? > now {
            return None;
        }
        let is_due = |moment: Option<Millis>| moment.is_some_and(|moment| moment <= now);
        let overdue = match self.phase {
            Phase::Handshake => Overdue::Handshake,
            Phase::Closing => Overdue::Close,
            Phase::Quiet | Phase::Pinged if is_due(self.idle_end(timeouts)) => Overdue::Idle,
            Phase::Quiet | Phase::Pinged if is_due(self.lifetime_end(timeouts)) => {
                Overdue::Lifetime
            }
            Phase::Quiet => {
                self.phase = Phase::Pinged;
                self.since = now;
                return Some(Due::Ping);
            }
            Phase::Pinged => Overdue::Pong,
        };
        Some(Due::GiveUp(overdue))
    }

    /// When it ends in any case.
    fn end(&self, timeouts: &Timeouts) -> Option<Millis> {
        earlier(self.idle_end(timeouts), self.lifetime_end(timeouts))
    }

    fn idle_end(&self, timeouts: &Timeouts) -> Option<Millis> {
        timeouts.idle.map(|idle| self.active.after(idle))
    }

    fn lifetime_end(&self, timeouts: &Timeouts) -> Option<Millis> {
        let lifetime = timeouts.lifetime?;
        Some(self.opened.after(self.shortened(lifetime, timeouts)))
    }

    fn shortened(&self, time: Duration, timeouts: &Timeouts) -> Duration {
        let percent = u32::from(timeouts.jitter.min(100));
        time - time / (100 << u16::BITS) * (percent * u32::from(self.jitter))
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
            lifetime: None,
            jitter: 0,
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

    #[test]
    fn a_close_that_waits_has_its_time_from_when_it_goes() {
        let timeouts = seconds(None, 4, None);
        let mut liveness = Liveness::new(Millis(0));
        liveness.opened(Millis(0));
        liveness.still_closing(Millis(50));
        assert_eq!(liveness.poll_timeout(&timeouts), None);
        liveness.closing(Millis(100));
        liveness.still_closing(Millis(4_000));
        assert_eq!(liveness.poll_timeout(&timeouts), Some(Millis(9_000)));
    }

    #[test]
    fn a_lifetime_is_counted_from_the_handshake_whatever_is_said() {
        let mut timeouts = seconds(Some(10), 4, None);
        timeouts.lifetime = Some(Duration::from_secs(30));
        let mut liveness = Liveness::new(Millis(0));
        liveness.opened(Millis(1_000));
        for now in (1_000..31_000).step_by(100) {
            liveness.heard(Millis(now));
            liveness.active(Millis(now));
            assert_eq!(liveness.handle_timeout(Millis(now), &timeouts), None);
        }
        assert_eq!(
            liveness.handle_timeout(Millis(31_000), &timeouts),
            Some(Due::GiveUp(Overdue::Lifetime))
        );
        liveness.closing(Millis(31_000));
        assert_eq!(liveness.handle_timeout(Millis(35_999), &timeouts), None);
    }

    #[test]
    fn jitter_only_ever_shortens_and_never_by_more_than_was_said() {
        let mut timeouts = seconds(Some(10), 4, Some(60));
        timeouts.lifetime = Some(Duration::from_secs(30));
        for (percent, shortest) in [(0, 10_000), (20, 8_000), (50, 5_000)] {
            timeouts.jitter = percent;
            let mut last = Millis(10_001);
            for part in [0, 1 << 13, 1 << 14, 1 << 15, u16::MAX] {
                let mut liveness = Liveness::new(Millis(0));
                liveness.set_jitter(part);
                liveness.opened(Millis(0));
                let ping = liveness.poll_timeout(&timeouts).unwrap();
                assert!(ping >= Millis(shortest) && ping <= Millis(10_000));
                assert!(ping < last || percent == 0, "{part} of {percent} percent");
                last = ping;
                assert_eq!(liveness.handle_timeout(ping, &timeouts), Some(Due::Ping));
                let pong = liveness.poll_timeout(&timeouts);
                assert_eq!(
                    pong,
                    Some(ping.after(timeouts.pong)),
                    "the answer has its time"
                );
            }
        }
        timeouts.ping = Some(Duration::MAX);
        timeouts.jitter = 255;
        let mut liveness = Liveness::new(Millis(0));
        liveness.set_jitter(u16::MAX);
        liveness.opened(Millis(0));
        assert!(liveness.poll_timeout(&timeouts) < Some(Millis(10)));
    }

    #[test]
    fn round_trips_cost_no_room() {
        let mut liveness = Liveness::new(Millis(0));
        assert_eq!(liveness.rtt(), None);
        for (rtt, kept) in [
            (Duration::from_micros(1500), Duration::from_micros(1500)),
            (Duration::ZERO, Duration::from_micros(1)),
            (Duration::MAX, Duration::from_micros(u32::MAX.into())),
        ] {
            liveness.measured(rtt);
            assert_eq!(liveness.rtt(), Some(kept));
        }
        assert_eq!(size_of::<Liveness>(), 32);
    }
}
