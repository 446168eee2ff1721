//! [`Sources`]: the addresses that connections come from, so that ports do not run out.

use std::net::{IpAddr, Ipv4Addr};

/// The ports that the system gives to clients by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct PortRange {
    pub(crate) first: u16,
    pub(crate) last: u16,
}

impl PortRange {
    /// Of this machine; what RFC 6335 recommends where it cannot be read.
    pub(crate) fn of_this_machine() -> Self {
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
            .ok()
            .and_then(|text| Self::parse(&text))
            .unwrap_or(Self {
                first: 49_152,
                last: 65_535,
            })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text
            .split_ascii_whitespace()
            .map(|number| number.parse().ok());
        let range = Self {
            first: numbers.next()??,
            last: numbers.next()??,
        };
        (range.first <= range.last).then_some(range)
    }

    /// How many connections one address can have to one server.
    pub(crate) fn ports(self) -> usize {
        usize::from(self.last - self.first) + 1
    }
}

/// Where connections come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Sources {
    /// The system chooses.
    System,
    /// Addresses on the loopback, for so many connections each before it is the next one's turn.
    Loopback { each: usize, addresses: usize },
    /// These, in turn.
    Given(Vec<IpAddr>),
}

/// A closed connection keeps its port for a minute, so that those who open many want many addresses.
const FOR_CHURN: usize = 64;

impl Sources {
    /// For connections that are open at the same time.
    pub(crate) fn held(
        server: IpAddr,
        given: &[IpAddr],
        connections: usize,
        range: PortRange,
    ) -> Self {
        // Linux gives out every other port first, and searches all of those again once they are used up: a connection
        // then costs it twenty times as much.
        let each = (range.ports() * 3 / 8).max(1);
        if !given.is_empty() {
            Self::Given(given.to_vec())
        } else if connections > each && many(server) {
            let addresses = connections.div_ceil(each);
            Self::Loopback { each, addresses }
        } else {
            Self::System
        }
    }

    /// For connections that are opened and closed again and again.
    pub(crate) fn churned(server: IpAddr, given: &[IpAddr]) -> Self {
        if !given.is_empty() {
            Self::Given(given.to_vec())
        } else if many(server) {
            Self::Loopback {
                each: 1,
                addresses: FOR_CHURN,
            }
        } else {
            Self::System
        }
    }

    /// Where a connection comes from; `None`: the system chooses.
    pub(crate) fn of(&self, connection: usize) -> Option<IpAddr> {
        match self {
            Self::System => None,
            Self::Loopback { each, addresses } => {
                let place = connection / each % addresses;
                // 127.0.0.2 and so on, up to 127.255.255.254.
                let offset = u32::try_from(place % 0x00ff_fffc).unwrap_or(0);
                Some(Ipv4Addr::from_bits(0x7f00_0002 + offset).into())
            }
            Self::Given(given) => given.get(connection % given.len()).copied(),
        }
    }
}

/// Whether there are many addresses to reach a server from: Linux has all of 127.0.0.0/8.
pub(crate) fn many(server: IpAddr) -> bool {
    cfg!(target_os = "linux") && matches!(server, IpAddr::V4(ip) if ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: PortRange = PortRange {
        first: 32_768,
        last: 60_999,
    };

    #[test]
    fn ranges() {
        assert_eq!(PortRange::parse("32768\t60999\n"), Some(RANGE));
        assert_eq!(RANGE.ports(), 28_232);
        for text in ["", "1", "a b", "2 1", "1 70000"] {
            assert_eq!(PortRange::parse(text), None, "{text}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn many_connections_come_from_many_addresses_of_the_loopback() {
        let local = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(Sources::held(local, &[], 10_000, RANGE).of(0), None);
        let sources = Sources::held(local, &[], 100_000, RANGE);
        for (connection, last) in [(0, 2), (10_586, 2), (10_587, 3), (99_999, 11)] {
            assert_eq!(
                sources.of(connection),
                Some(IpAddr::from([127, 0, 0, last]))
            );
        }
        assert_eq!(
            Sources::churned(local, &[]).of(64),
            Sources::churned(local, &[]).of(0)
        );
        for other in ["192.0.2.1", "::1"] {
            let sources = Sources::held(other.parse().unwrap(), &[], 100_000, RANGE);
            assert_eq!(sources.of(99_999), None);
        }
    }

    #[test]
    fn given_addresses_take_turns() {
        let given = [[192, 0, 2, 1], [192, 0, 2, 2]].map(IpAddr::from);
        let server = IpAddr::from([127, 0, 0, 1]);
        for sources in [
            Sources::held(server, &given, 100_000, RANGE),
            Sources::churned(server, &given),
        ] {
            assert_eq!(
                [0, 1, 2].map(|place| sources.of(place)),
                [0, 1, 0].map(|place| Some(given[place]))
            );
        }
    }
}
