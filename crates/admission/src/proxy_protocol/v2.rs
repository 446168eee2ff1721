//! Version 2: a binary header (`proxy-protocol.txt` §2.2).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::crc32c::crc32c;
use super::tlv::{Fields, TlvType};
use super::{Endpoints, ProxyError, ProxyHeader, ProxyWriteError, Transport};

/// What it begins with: bytes that make a reader of version 1 or of HTTP give up.
pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and transport, length.
pub(super) const FIXED: usize = 16;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const UNIX_PATH: usize = 108;

/// The fixed part, as far as it says what follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed {
    pub(super) local: bool,
    family: u8,
    /// Of all behind the fixed part.
    pub(super) len: u16,
}

impl Fixed {
    /// Checks the bytes behind the signature one by one, so that a wrong one is told as soon as it is there.
    pub(super) fn check(at: usize, byte: u8, local: bool) -> Result<(), ProxyError> {
        match (at, byte >> 4, byte & 0xf) {
            (12, 2, 0 | 1) => Ok(()),
            (12, 2, command) => Err(ProxyError::UnknownCommand(command)),
            (12, version, _) => Err(ProxyError::UnknownVersion(version)),
            // §2.2: what goes with LOCAL is ignored, the family too.
            (13, ..) if local => Ok(()),
            (13, 0, 0) | (13, 1..=3, 1 | 2) => Ok(()),
            (13, ..) => Err(ProxyError::UnknownFamily(byte)),
            _ => Ok(()),
        }
    }

    /// Reads a fixed part that has been checked.
    pub(super) fn read(bytes: &[u8; FIXED]) -> Self {
        let [.., command, family, high, low] = *bytes;
        Self {
            local: command == LOCAL,
            family,
            len: u16::from_be_bytes([high, low]),
        }
    }

    fn addresses_len(&self) -> u16 {
        match self.family >> 4 {
            1 => 12,
            2 => 36,
            3 => 216,
            _ => 0,
        }
    }

    /// Whether the length leaves room for the addresses.
    pub(super) fn check_len(&self) -> Result<(), ProxyError> {
        if self.local || self.len >= self.addresses_len() {
            Ok(())
        } else {
            Err(ProxyError::AddressesCut)
        }
    }
}

/// Reads a whole header: the fixed part and what it declared.
pub(super) fn parse(fixed: &[u8; FIXED], rest: &[u8]) -> Result<ProxyHeader, ProxyError> {
    let Fixed { local, family, .. } = Fixed::read(fixed);
    if local {
        return Ok(ProxyHeader::local());
    }
    let transport = match family & 0xf {
        1 => Transport::Stream,
        2 => Transport::Datagram,
        _ => Transport::Unspecified,
    };
    let mut fields = rest;
    let endpoints = match family >> 4 {
        1 => {
            let source = take(&mut fields)?;
            let destination = take(&mut fields)?;
            inet(
                Ipv4Addr::from(source).into(),
                Ipv4Addr::from(destination).into(),
                &mut fields,
            )?
        }
        2 => {
            let source = take(&mut fields)?;
            let destination = take(&mut fields)?;
            inet(
                Ipv6Addr::from(source).into(),
                Ipv6Addr::from(destination).into(),
                &mut fields,
            )?
        }
        3 => Endpoints::Unix {
            source: path(&take::<UNIX_PATH>(&mut fields)?),
            destination: path(&take::<UNIX_PATH>(&mut fields)?),
        },
        // §2.2: of an unknown family nothing is known, not even where its addresses end.
        _ => {
            return Ok(ProxyHeader::new(Transport::Unspecified, Endpoints::Unknown));
        }
    };
    let before = rest.len() - fields.len();
    let (fields, checksum) = Fields::parse(fields)?;
    if let Some((place, checksum)) = checksum {
        let (head, tail) = rest
            .split_at_checked(before + place)
            .ok_or(ProxyError::TlvCut)?;
        let tail = tail.get(4..).unwrap_or_default();
        // §2.2.3: over the whole header, with zeros where the checksum stands.
        if crc32c(&[fixed, head, &[0; 4], tail]) != checksum {
            return Err(ProxyError::Checksum);
        }
    }
    Ok(ProxyHeader {
        local: false,
        transport,
        endpoints,
        fields,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], ProxyError> {
    let (taken, behind) = rest.split_first_chunk().ok_or(ProxyError::AddressesCut)?;
    *rest = behind;
    Ok(*taken)
}

fn inet(
    source: std::net::IpAddr,
    destination: std::net::IpAddr,
    rest: &mut &[u8],
) -> Result<Endpoints, ProxyError> {
    let source_port = u16::from_be_bytes(take(rest)?);
    let destination_port = u16::from_be_bytes(take(rest)?);
    Ok(Endpoints::Inet {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    })
}

/// A path without the zeros behind it.
fn path(bytes: &[u8; UNIX_PATH]) -> Box<[u8]> {
    let end = bytes.iter().rposition(|&byte| byte != 0);
    let end = end.map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or_default().into()
}

pub(super) fn write(
    header: &ProxyHeader,
    checksum: bool,
    out: &mut Vec<u8>,
) -> Result<(), ProxyWriteError> {
    let mut body = Vec::new();
    let family = match &header.endpoints {
        Endpoints::Unknown => 0,
        Endpoints::Inet {
            source,
            destination,
        } => {
            let family = match (source, destination) {
                (SocketAddr::V4(source), SocketAddr::V4(destination)) => {
                    body.extend_from_slice(&source.ip().octets());
                    body.extend_from_slice(&destination.ip().octets());
                    0x10
                }
                (SocketAddr::V6(source), SocketAddr::V6(destination)) => {
                    body.extend_from_slice(&source.ip().octets());
                    body.extend_from_slice(&destination.ip().octets());
                    0x20
                }
                _ => return Err(ProxyWriteError::MixedFamilies),
            };
            body.extend_from_slice(&source.port().to_be_bytes());
            body.extend_from_slice(&destination.port().to_be_bytes());
            family
        }
        Endpoints::Unix {
            source,
            destination,
        } => {
            for path in [source, destination] {
                let padding = UNIX_PATH
                    .checked_sub(path.len())
                    .ok_or(ProxyWriteError::PathTooLong)?;
                body.extend_from_slice(path);
                body.resize(body.len() + padding, 0);
            }
            0x30
        }
    };
    let transport = match header.transport {
        Transport::Unspecified => 0,
        Transport::Stream => 1,
        Transport::Datagram => 2,
    };
    // Behind addresses of an unknown family nobody would look for fields.
    let has_fields = family != 0;
    if has_fields {
        body.extend_from_slice(header.fields.as_bytes());
    }
    let place = (checksum && has_fields).then(|| {
        body.extend_from_slice(&[TlvType::CRC32C.0, 0, 4, 0, 0, 0, 0]);
        body.len() - 4
    });
    let len = u16::try_from(body.len()).map_err(|_| ProxyWriteError::TooLong)?;
    let mut fixed = SIGNATURE.to_vec();
    fixed.extend_from_slice(&[if header.local { LOCAL } else { PROXY }, family | transport]);
    fixed.extend_from_slice(&len.to_be_bytes());
    if let Some(place) = place {
        let sum = crc32c(&[&fixed, &body]).to_be_bytes();
        body.truncate(place);
        body.extend_from_slice(&sum);
    }
    out.append(&mut fixed);
    out.append(&mut body);
    Ok(())
}
