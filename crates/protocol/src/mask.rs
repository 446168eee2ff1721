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
    use alloc::vec::Vec;

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
