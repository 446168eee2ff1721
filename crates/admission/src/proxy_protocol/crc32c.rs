//! CRC-32C, as RFC 4960 appendix B has it: for the checksum of a version 2 header.

/// The remainder for each byte; the polynomial 0x1edc6f41 with its bits reversed.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// The checksum of all `parts`, one after the other.
pub(super) fn crc32c(parts: &[&[u8]]) -> u32 {
    !parts
        .iter()
        .copied()
        .flatten()
        .fold(u32::MAX, |crc, &byte| {
            let [low, ..] = crc.to_le_bytes();
            (crc >> 8) ^ TABLE[usize::from(low ^ byte)]
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3720_section_b_4_examples() {
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&[b"123456789"]), 0xe306_9283);
        assert_eq!(crc32c(&[b"1234", b"", b"56789"]), 0xe306_9283);
        assert_eq!(crc32c(&[&[0; 32]]), 0x8a91_36aa);
        assert_eq!(crc32c(&[&[0xff; 32]]), 0x62a8_ab43);
        assert_eq!(crc32c(&[&ascending]), 0x46dd_794e);
    }
}
