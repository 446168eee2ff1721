//! [`Race`]: which of a server's addresses to try when (RFC 8305, “happy eyeballs”). It has no socket and no clock.

use core::time::Duration;
use std::collections::VecDeque;
use std::net::SocketAddr;

use wirefan_protocol::Millis;

/// How long an attempt runs alone (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);

/// The addresses that have not been tried, and the attempts that run.
#[derive(Debug)]
pub(crate) struct Race {
    waiting: VecDeque<SocketAddr>,
    running: usize,
    /// When the next one starts.
    next: Millis,
}

impl Race {
    /// `addrs` in the resolver's order of preference; the two families take turns (RFC 8305 §4).
    pub(crate) fn new(addrs: &[SocketAddr], now: Millis) -> Self {
        let first_is_v6 = addrs.first().is_some_and(SocketAddr::is_ipv6);
        let family = |first: bool| {
            let mut seen: Vec<SocketAddr> = Vec::new();
            for addr in addrs {
                if (addr.is_ipv6() == first_is_v6) == first && !seen.contains(addr) {
                    seen.push(*addr);
                }
            }
            seen.into_iter()
        };
        let (mut ours, mut others) = (family(true), family(false));
        let mut waiting = VecDeque::new();
        loop {
            let pair = [ours.next(), others.next()];
            if pair == [None, None] {
                break;
            }
            waiting.extend(pair.into_iter().flatten());
        }
        Self {
            waiting,
            running: 0,
            next: now,
        }
    }

    /// The next address to try, if its time has come.
    pub(crate) fn start(&mut self, now: Millis) -> Option<SocketAddr> {
        if self.next > now {
            return None;
        }
        let addr = self.waiting.pop_front()?;
        self.running += 1;
        self.next = now.after(STAGGER);
        Some(addr)
    }

    /// An attempt has failed: the next one does not wait for its turn.
    pub(crate) fn failed(&mut self, now: Millis) {
        self.running -= 1;
        self.next = self.next.min(now);
    }

    /// When to ask for the next address.
    pub(crate) fn due(&self) -> Option<Millis> {
        (!self.waiting.is_empty()).then_some(self.next)
    }

    /// Whether there is nothing left to hope for.
    pub(crate) fn is_lost(&self) -> bool {
        self.waiting.is_empty() && self.running == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addrs(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|addr| addr.parse().unwrap()).collect()
    }

    #[test]
    fn rfc_8305_section_4_the_families_take_turns() {
        let given = addrs(&[
            "[::1]:1",
            "[::2]:1",
            "[::3]:1",
            "1.1.1.1:1",
            "[::1]:1",
            "2.2.2.2:1",
        ]);
        let mut race = Race::new(&given, Millis(0));
        let mut order = Vec::new();
        let mut now = Millis(0);
        while let Some(due) = race.due() {
            now = now.max(due);
            order.extend(race.start(now));
        }
        let expected = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"];
        assert_eq!(order, addrs(&expected));
        assert_eq!(now, Millis(1000));
    }

    #[test]
    fn rfc_8305_section_5_an_attempt_runs_alone_for_a_while_and_a_failure_ends_that() {
        let mut race = Race::new(&addrs(&["[::1]:1", "1.1.1.1:1", "2.2.2.2:1"]), Millis(7));
        assert!(race.start(Millis(7)).is_some());
        assert_eq!(
            (race.start(Millis(256)), race.due()),
            (None, Some(Millis(257)))
        );
        assert!(race.start(Millis(257)).is_some());
        race.failed(Millis(300));
        assert!(
            race.start(Millis(300)).is_some(),
            "it does not wait until 507"
        );
        assert_eq!((race.due(), race.is_lost()), (None, false));
        race.failed(Millis(301));
        race.failed(Millis(302));
        assert!(race.is_lost());
    }

    #[test]
    fn without_an_address_it_is_lost() {
        assert!(Race::new(&[], Millis(0)).is_lost());
    }
}
