//! What the benchmarks share: sizes and payloads.

use wirefan_protocol::{Header, Opcode, apply_mask};

/// Payload sizes: a chat line, the longest payload with a two-byte header, a JSON document, a picture.
pub const SIZES: [usize; 4] = [16, 125, 1024, 65_536];

/// A text of `len` bytes, all of them small letters.
pub fn text(len: usize) -> String {
    ('a'..='z').cycle().take(len).collect()
}

/// The bytes of `count` text messages of `len` bytes each, as a client sends them.
///
/// Decoding unmasks in place and leaves the header, so the next decoding of the same bytes "unmasks" what is plain
/// already. Under this key, small letters are ASCII either way: the bytes can be decoded again and again.
pub fn client_frames(len: usize, count: usize) -> Vec<u8> {
    let key = [1, 2, 3, 4];
    let header = Header {
        fin: true,
        rsv1: false,
        opcode: Opcode::Text,
        masking_key: Some(key),
        len: len as u64,
    };
    let mut payload = text(len).into_bytes();
    apply_mask(&mut payload, key, 0);
    [&*header.encode(), &payload].concat().repeat(count)
}
