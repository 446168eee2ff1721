//! [`PeerAddr`]: the other end of a connection in 18 bytes, where a `SocketAddr` takes 32. What that saves is what the choice
//! between plain and TLS costs a slot.

use core::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct PeerAddr {
    /// An IPv4 address is kept inside of IPv6 (RFC 4291 §2.5.5.2), as a socket for both gives it.
    ip: [u8; 16],
    port: [u8; 2],
}

/// Where a link-local address (fe80::/64) has only zeros (RFC 4291 §2.5.6), and its interface is kept meanwhile.
const SCOPE: core::ops::Range<usize> = 2..6;

impl From<SocketAddr> for PeerAddr {
    fn from(addr: SocketAddr) -> Self {
        let ip = match addr {
            SocketAddr::V4(addr) => addr.ip().to_ipv6_mapped().octets(),
            SocketAddr::V6(addr) => {
                let mut ip = addr.ip().octets();
                if is_link_local(&ip) {
                    ip[SCOPE].copy_from_slice(&addr.scope_id().to_be_bytes());
                }
                ip
            }
        };
        Self {
            ip,
            port: addr.port().to_be_bytes(),
        }
    }
}

impl PeerAddr {
    /// The address, but for an IPv6 flow label. IPv4 inside of IPv6 is IPv4.
    #[inline]
    pub(crate) fn get(self) -> SocketAddr {
        let (mut ip, port) = (self.ip, u16::from_be_bytes(self.port));
        let mut scope = 0;
        if is_link_local(&ip) {
            scope = u32::from_be_bytes([ip[2], ip[3], ip[4], ip[5]]);
            ip[SCOPE].fill(0);
        }
        match Ipv6Addr::from(ip).to_canonical() {
            IpAddr::V4(ip) => (ip, port).into(),
            IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, scope).into(),
        }
    }
}

fn is_link_local(ip: &[u8; 16]) -> bool {
    ip[..2] == [0xfe, 0x80]
}

impl fmt::Debug for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small_and_gives_back_what_it_was_given() {
        assert_eq!(size_of::<PeerAddr>(), 18);
        let scoped = SocketAddrV6::new("fe80::1:2".parse().unwrap(), 7, 0, 0x0102_0304);
        for addr in [
            "127.0.0.1:0".parse().unwrap(),
            "255.1.2.3:65535".parse().unwrap(),
            "[::1]:443".parse().unwrap(),
            "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:1"
                .parse()
                .unwrap(),
            "[fe80::1]:1".parse().unwrap(),
            SocketAddr::from(scoped),
        ] {
            assert_eq!(PeerAddr::from(addr).get(), addr);
        }
        let mapped = PeerAddr::from("[::ffff:1.2.3.4]:443".parse::<SocketAddr>().unwrap());
        assert_eq!(mapped.get(), "1.2.3.4:443".parse().unwrap());
    }
}
