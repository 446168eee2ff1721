//! [`check`]: whether this machine lets us open so many connections, before the first one is opened.

use core::fmt;
use std::net::SocketAddr;

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
    /// Ports to one server from one address.
    Ports { needed: usize, range: PortRange },
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files { needed, limit } => write!(
                f,
                "this needs {needed} open files and the limit is {limit}: raise it (ulimit -Hn, or LimitNOFILE= of \
                 systemd), or use fewer connections"
            ),
            Self::Ports { needed, range } => write!(
                f,
                "this needs {needed} ports and one address has the {} from {} to {}: widen \
                 net.ipv4.ip_local_port_range, use fewer connections or a server on 127.0.0.1, or run from several \
                 machines",
                range.ports(),
                range.first,
                range.last
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
) -> Result<(), Shortage> {
    let needed = connections + RESERVE + threads * PER_THREAD;
    enough(
        needed,
        limits::raise_open_files(),
        connections,
        PortRange::of_this_machine(),
        server,
    )
}

fn enough(
    files: usize,
    limit: usize,
    connections: usize,
    range: PortRange,
    server: SocketAddr,
) -> Result<(), Shortage> {
    if files > limit {
        return Err(Shortage::Files {
            needed: files,
            limit,
        });
    }
    if connections > range.ports() && !sources::many(server.ip()) {
        return Err(Shortage::Ports {
            needed: connections,
            range,
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
        let server = SocketAddr::from(([192, 0, 2, 1], 80));
        assert_eq!(enough(100, 1024, 60, RANGE, server), Ok(()));
        for (shortage, way_out) in [
            (enough(2000, 1024, 1960, RANGE, server), "ulimit -Hn"),
            (
                enough(30_000, 40_000, 29_000, RANGE, server),
                "ip_local_port_range",
            ),
        ] {
            let text = shortage.unwrap_err().to_string();
            assert!(text.contains(way_out), "{text}");
            assert_eq!(text.lines().count(), 1);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_loopback_has_more_addresses() {
        let server = SocketAddr::from(([127, 0, 0, 1], 80));
        assert_eq!(enough(100_032, 200_000, 100_000, RANGE, server), Ok(()));
    }
}
