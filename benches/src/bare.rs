//! The bare loop: whole masked text frames and nothing else. No core can be much faster, and none is as simple; decoding
//! is measured against it. Used by the micro-benchmarks, and included by `peers/micro` and `peers/trial`.

/// Hands the bytes of every text in `read` to `message`, and returns whether there was nothing else.
pub fn texts(read: &mut [u8], mut message: impl FnMut(&[u8])) -> bool {
    let mut rest = read;
    while !rest.is_empty() {
        let (head, len) = match *rest {
            [0x81, len @ 0x80..=0xfd, ..] => (2, usize::from(len & 0x7f)),
            [0x81, 0xfe, a, b, ..] => (4, usize::from(u16::from_be_bytes([a, b]))),
            [0x81, 0xff, a, b, c, d, e, f, g, h, ..] => {
                let len = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
                (10, usize::try_from(len).unwrap_or(usize::MAX))
            }
            _ => return false,
        };
        let (_, behind) = rest.split_at_mut(head);
        let Some((key, behind)) = behind.split_first_chunk_mut() else {
            return false;
        };
        let Some((payload, behind)) = behind.split_at_mut_checked(len) else {
            return false;
        };
        if !unmask(payload, *key) && core::str::from_utf8(payload).is_err() {
            return false;
        }
        message(payload);
        rest = behind;
    }
    true
}

/// Unmasks a payload, and tells whether all of it is ASCII: to read again what has just been written would cost more than
/// all the rest with short ones.
#[inline]
pub fn unmask(payload: &mut [u8], key: [u8; 4]) -> bool {
    let [a, b, c, d] = key;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    let mut seen = 0;
    for bytes in words {
        let plain = u64::from_ne_bytes(*bytes) ^ word;
        *bytes = plain.to_ne_bytes();
        seen |= plain;
    }
    for (byte, key) in tail.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key;
        seen |= u64::from(*byte);
    }
    seen & 0x8080_8080_8080_8080 == 0
}
