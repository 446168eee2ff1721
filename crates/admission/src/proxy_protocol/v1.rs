//! Version 1: one line of text (`proxy-protocol.txt` §2.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Endpoints, ProxyError, ProxyHeader, ProxyWriteError, Transport};

/// Reads a line without its end. It begins with `PROXY `.
pub(super) fn parse(line: &[u8]) -> Result<ProxyHeader, ProxyError> {
    let rest = line
        .strip_prefix(b"PROXY ")
        .ok_or(ProxyError::NoProxyProtocol)?;
    let unknown = ProxyHeader::new(Transport::Unspecified, Endpoints::Unknown);
    // §2.1: the receiver must ignore anything behind UNKNOWN.
    if rest == b"UNKNOWN" || rest.starts_with(b"UNKNOWN ") {
        return Ok(unknown);
    }
    let (protocol, rest) = word(rest);
    let rest = str::from_utf8(rest).map_err(|_| ProxyError::InvalidAddress);
    let endpoints = match protocol {
        b"TCP4" => endpoints::<Ipv4Addr>(rest?)?,
        b"TCP6" => endpoints::<Ipv6Addr>(rest?)?,
        _ => return Err(ProxyError::UnknownProtocol),
    };
    Ok(ProxyHeader::new(Transport::Stream, endpoints))
}

/// What stands before the first space, and behind it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let mut words = text.splitn(2, |&byte| byte == b' ');
    let first = words.next().unwrap_or_default();
    (first, words.next().unwrap_or_default())
}

/// Two addresses and two ports with a single space between each.
fn endpoints<A: FromStr + Into<IpAddr>>(text: &str) -> Result<Endpoints, ProxyError> {
    let mut words = text.split(' ');
    let mut address = || -> Result<IpAddr, ProxyError> {
        let word = words.next().ok_or(ProxyError::InvalidAddress)?;
        let address: A = word.parse().map_err(|_| ProxyError::InvalidAddress)?;
        Ok(address.into())
    };
    let (source, destination) = (address()?, address()?);
    let mut port = || port(words.next().ok_or(ProxyError::InvalidPort)?);
    let (source_port, destination_port) = (port()?, port()?);
    if words.next().is_some() {
        return Err(ProxyError::InvalidPort);
    }
    Ok(Endpoints::Inet {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    })
}

/// §2.1: a decimal number in 0..=65535 without leading zeros.
fn port(digits: &str) -> Result<u16, ProxyError> {
    let written_shortest = digits == "0" || !digits.starts_with(['0', '+']);
    digits
        .parse()
        .ok()
        .filter(|_| written_shortest)
        .ok_or(ProxyError::InvalidPort)
}

pub(super) fn write(header: &ProxyHeader, out: &mut Vec<u8>) -> Result<(), ProxyWriteError> {
    if header.local
        || header.transport == Transport::Datagram
        || !header.fields.as_bytes().is_empty()
    {
        return Err(ProxyWriteError::NotInVersion1);
    }
    match &header.endpoints {
        Endpoints::Unknown => out.extend_from_slice(b"PROXY UNKNOWN\r\n"),
        Endpoints::Unix { .. } => return Err(ProxyWriteError::NotInVersion1),
        Endpoints::Inet {
            source,
            destination,
        } => {
            let protocol = match (source, destination) {
                (SocketAddr::V4(_), SocketAddr::V4(_)) => "TCP4",
                (SocketAddr::V6(_), SocketAddr::V6(_)) => "TCP6",
                _ => return Err(ProxyWriteError::MixedFamilies),
            };
            let line = format!(
                "PROXY {protocol} {} {} {} {}\r\n",
                source.ip(),
                destination.ip(),
                source.port(),
                destination.port()
            );
            out.extend_from_slice(line.as_bytes());
        }
    }
    Ok(())
}
