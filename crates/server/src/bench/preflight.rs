//! [`check`]: whether this machine lets us open so many connections, before the first one is opened.

use core::fmt;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use super::sources::{self, PortRange};
use crate::limits;

/// Standard streams, the threads' polls and wakers, `/proc`, a reserve.
const RESERVE: usize = 32;
const PER_THREAD: usize = 4;

/// Why so many connections cannot be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shortage {
    /// Open files.
    Files { needed: usize, limit: usize },
    /// Ports to one server from so many addresses.
    Ports {
        needed: usize,
        range: PortRange,
        addresses: usize,
    },
    /// An address that is none of this machine's.
    Foreign { source: IpAddr },
    /// An address from which this server cannot be reached.
    Family { source: IpAddr, server: IpAddr },
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files { needed, limit } => write!(
                f,
                "this needs {needed} open files and the limit is {limit}: raise it (ulimit -Hn, or LimitNOFILE= of \
                 systemd), or use fewer connections"
            ),
            Self::Ports {
                needed,
                range,
                addresses,
            } => write!(
                f,
                "this needs {needed} ports and {addresses} x {} are there, from {} to {}: widen \
                 net.ipv4.ip_local_port_range, use fewer connections, or name more addresses of this machine (--source; to \
                 a server on 127.0.0.1 none have to be named)",
                range.ports(),
                range.first,
                range.last
            ),
            Self::Foreign { source } => {
                write!(f, "{source} is no address of this machine (--source)")
            }
            Self::Family { source, server } => write!(
                f,
                "from {source} nobody comes to {server}: --source takes addresses of the same family as the server's"
            ),
        }
    }
}

impl core::error::Error for Shortage {}

/// Raises the limit of open files as far as it goes, and checks whether files and ports are enough.
pub(crate) fn check(
    connections: usize,
    threads: usize,
    server: SocketAddr,
    given: &[IpAddr],
) -> Result<(), Shortage> {
    if let Some(&source) = given.iter().find(|ip| UdpSocket::bind((**ip, 0)).is_err()) {
        return Err(Shortage::Foreign { source });
    }
    let needed = connections + RESERVE + threads * PER_THREAD;
    enough(
        needed,
        limits::raise_open_files(),
        connections,
        PortRange::of_this_machine(),
        server.ip(),
        given,
    )
}

fn enough(
    files: usize,
    limit: usize,
    connections: usize,
    range: PortRange,
    server: IpAddr,
    given: &[IpAddr],
) -> Result<(), Shortage> {
    if files > limit {
        return Err(Shortage::Files {
            needed: files,
            limit,
        });
    }
    if let Some(&source) = given.iter().find(|ip| ip.is_ipv4() != server.is_ipv4()) {
        return Err(Shortage::Family { source, server });
    }
    let addresses = given.iter().collect::<BTreeSet<_>>().len().max(1);
    if connections.div_ceil(addresses) > range.ports()
        && (!given.is_empty() || !sources::many(server))
    {
        return Err(Shortage::Ports {
            needed: connections,
            range,
            addresses,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: PortRange = PortRange {
        first: 32_768,
        last: 60_999,
    };

    #[test]
    fn what_is_missing_is_told_in_one_line_with_a_way_out() {
        let server = IpAddr::from([192, 0, 2, 1]);
        let given = [2, 3, 3].map(|last| IpAddr::from([192, 0, 2, last]));
        let check = |files, limit, connections, given: &[IpAddr]| {
            enough(files, limit, connections, RANGE, server, given)
        };
        assert_eq!(check(100, 1024, 60, &[]), Ok(()));
        assert_eq!(check(60_000, 90_000, 56_464, &given), Ok(()));
        let other = ["::1".parse().unwrap()];
        for (shortage, way_out) in [
            (check(2000, 1024, 1960, &[]), "ulimit -Hn"),
            (check(30_000, 40_000, 29_000, &[]), "ip_local_port_range"),
            (check(60_000, 90_000, 56_465, &given), "--source"),
            (check(100, 1024, 60, &other), "same family"),
        ] {
            let text = shortage.unwrap_err().to_string();
            assert!(text.contains(way_out), "{text}");
            assert_eq!(text.lines().count(), 1);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_loopback_has_more_addresses() {
        let server = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(
            enough(100_032, 200_000, 100_000, RANGE, server, &[]),
            Ok(())
        );
    }
}
