//! Frames and requests as bytes, written down here and not taken from the crates that are tested.

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;
pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;

/// The header of a masked frame; `first`: opcode and flags. The masking key is 0, so a payload travels as it is.
pub(crate) fn header(first: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![first];
    match len {
        0..126 => bytes.push(0x80 | len as u8),
        126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes
}

/// A whole masked frame.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, payload.len());
    bytes.extend(payload);
    bytes
}

/// The same again and again, to at least so many bytes.
pub(crate) fn many(unit: &[u8], bytes: usize) -> Vec<u8> {
    unit.repeat(bytes.div_ceil(unit.len()))
}

/// A whole opening handshake.
pub(crate) fn request(room: &str) -> Vec<u8> {
    format!(
        "GET {room} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// A handshake, and what follows it without waiting for an answer.
pub(crate) fn request_and(room: &str, then: &[u8]) -> Vec<u8> {
    [&request(room)[..], then].concat()
}

/// The first whole frame of a server in `bytes`: opcode with flags, where its payload begins and where it ends.
pub(crate) fn parse(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (start, len) = match second {
        126 => (
            4,
            usize::from(u16::from_be_bytes(*bytes[2..].first_chunk()?)),
        ),
        127 => (10, u64::from_be_bytes(*bytes[2..].first_chunk()?) as usize),
        // A server does not mask.
        128.. => panic!("a masked frame of a server"),
        len => (2, usize::from(len)),
    };
    (bytes.len() >= start + len).then_some((first, start, start + len))
}
