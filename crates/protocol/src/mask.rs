//! [`apply_mask`], the only loop over payload bytes that is ours. Used by the decoder and by clients that send.

/// Masks or unmasks `data` in place (RFC 6455 §5.3: both are the same exclusive or).
///
/// `offset` is the place of `data` in its frame's payload, for payloads that come in pieces.
///
/// ```
/// let mut data = *b"Hello";
/// wirefan_protocol::apply_mask(&mut data, [0x37, 0xfa, 0x21, 0x3d], 0);
/// assert_eq!(data, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
/// wirefan_protocol::apply_mask(&mut data, [0x37, 0xfa, 0x21, 0x3d], 0);
/// assert_eq!(&data, b"Hello");
/// ```
#[inline]
pub fn apply_mask(data: &mut [u8], key: [u8; 4], offset: usize) {
    let [a, b, c, d] = rotate(key, offset);
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    // Fixed-size chunks without any prologue: the compiler makes the widest vectors of it that the target has.
    let (words, tail) = data.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key;
    }
}

/// Payloads below this are unmasked by [`unmask_short`].
pub(crate) const SHORT: usize = 128;

/// Unmasks a short payload that has its header, `head` bytes, in front of it. Returns it, and whether it is ASCII.
///
/// On the way it moves down to a word boundary, over the header: the standard library checks words only there. And no
/// byte is handled alone: where chunks do not go up, the last one overlaps the one before it.
#[inline]
pub(crate) fn unmask_short(frame: &mut [u8], head: usize, key: [u8; 4]) -> (&mut [u8], bool) {
    let len = frame.len() - head;
    let shift = (frame.as_ptr().addr() + head) % size_of::<usize>();
    let to = if shift <= head { head - shift } else { head };
    let ascii = match len {
        32.. => unmask_words::<4>(frame, head, to, key),
        16.. => unmask_words::<2>(frame, head, to, key),
        8.. => unmask_words::<1>(frame, head, to, key),
        _ => {
            let mut seen = 0;
            for (i, key) in (0..len).zip(key.into_iter().cycle()) {
                frame[to + i] = frame[head + i] ^ key;
                seen |= frame[to + i];
            }
            seen < 0x80
        }
    };
    (&mut frame[to..to + len], ascii)
}

/// Unmasks `frame[from..]`, at least `N` words, to `to`, which is not behind that.
#[inline]
fn unmask_words<const N: usize>(frame: &mut [u8], from: usize, to: usize, key: [u8; 4]) -> bool {
    let read = |frame: &[u8], at: usize, key: [u8; 4]| -> [u64; N] {
        let key = u64::from(u32::from_ne_bytes(key));
        let mut words = [key | key << 32; N];
        let (bytes, _) = frame[at..at + 8 * N].as_chunks();
        for (word, bytes) in words.iter_mut().zip(bytes) {
            *word ^= u64::from_ne_bytes(*bytes);
        }
        words
    };
    let write = |frame: &mut [u8], at: usize, words: [u64; N]| {
        let (bytes, _) = frame[at..at + 8 * N].as_chunks_mut();
        for (bytes, word) in bytes.iter_mut().zip(words) {
            *bytes = word.to_ne_bytes();
        }
    };
    let last = frame.len() - from - 8 * N;
    // Read before the others are written over it.
    let end = read(frame, from + last, rotate(key, last));
    let (mut seen, mut done) = (end, 0);
    while done < last {
        let words = read(frame, from + done, key);
        write(frame, to + done, words);
        for (seen, word) in seen.iter_mut().zip(words) {
            *seen |= word;
        }
        done += 8 * N;
    }
    write(frame, to + last, end);
    seen.iter().fold(0, |all, word| all | word) & 0x8080_8080_8080_8080 == 0
}

/// The key as it stands `offset` bytes further on.
#[inline]
pub(crate) const fn rotate(key: [u8; 4], offset: usize) -> [u8; 4] {
    // The remainder is below four, so the cast keeps it.
    u32::from_be_bytes(key)
        .rotate_left(8 * (offset % 4) as u32)
        .to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn a_short_payload_is_the_same_wherever_it_lies() {
        let key = [0x81, 0x20, 0xfe, 3];
        // All of them would keep Miri busy for minutes.
        for len in (0..SHORT).step_by(if cfg!(miri) { 5 } else { 1 }) {
            for (head, lead, high) in (0..8).flat_map(|lead| [(6, lead, 0), (8, lead, 0x80)]) {
                let plain: Vec<u8> = (0..len).map(|i| (i * 7) as u8 & 0x7f).collect();
                for place in [None, Some(0), Some(len / 2), Some(len.saturating_sub(1))] {
                    let mut plain = plain.clone();
                    if let Some(byte) = place.and_then(|place| plain.get_mut(place)) {
                        *byte |= high;
                    }
                    let mut frame = vec![0xee; lead + head];
                    frame.extend(&plain);
                    apply_mask(&mut frame[lead + head..], key, 0);
                    let (payload, ascii) = unmask_short(&mut frame[lead..], head, key);
                    assert_eq!(payload, plain, "{len} bytes behind {lead} and {head}");
                    assert_eq!(ascii, plain.is_ascii());
                    assert_eq!(frame[..lead], vec![0xee; lead]);
                }
            }
        }
    }

    #[test]
    fn agrees_with_the_formula_of_section_5_3() {
        let key = [1, 0x20, 0xfe, 0x80];
        for len in 0..100 {
            for offset in 0..9 {
                let plain: Vec<u8> = (0..len).map(|i| i as u8 ^ 0x5a).collect();
                let mut masked = plain.clone();
                apply_mask(&mut masked, key, offset);
                for (i, byte) in masked.iter().enumerate() {
                    assert_eq!(
                        *byte,
                        plain[i] ^ key[(i + offset) % 4],
                        "len {len} offset {offset} at {i}"
                    );
                }
            }
        }
    }
}
