//! `Sec-WebSocket-Key` and `Sec-WebSocket-Accept` (RFC 6455 §4.1, §4.2.2). Called by both handshakes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::grammar::alphanumeric_or;

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key` (RFC 6455 §4.2.2).
///
/// For servers that speak HTTP with something else and then start with
/// [`Connection::server`](crate::Connection::server). The key is taken as it stands in the header.
///
/// ```
/// use wirefan_protocol::handshake::accept_key;
///
/// assert_eq!(&accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &[u8]) -> [u8; 28] {
    base64(&Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// A client's key: 16 bytes that nobody can guess (RFC 6455 §4.1).
///
/// They come from `seed`, but over another path than the masking keys do, for these 16 bytes travel in the clear.
pub(super) fn client_key(seed: &[u8; 32]) -> [u8; 24] {
    let digest = Sha1::new()
        .chain_update(b"nonce")
        .chain_update(seed)
        .finalize();
    base64(&digest[..16])
}

/// The value of a `Sec-WebSocket-Key` if it is the base64 of 16 bytes (RFC 6455 §4.2.1).
///
/// For servers that speak HTTP with something else, before [`accept_key`]. 22 characters hold 132 bits, and the last four
/// may be anything: the example in §4.1 itself has one of them set.
///
/// ```
/// use wirefan_protocol::handshake::parse_key;
///
/// assert!(parse_key(b"dGhlIHNhbXBsZSBub25jZQ==").is_some());
/// assert!(parse_key(b"c2hvcnQ=").is_none());
/// ```
pub fn parse_key(value: &[u8]) -> Option<[u8; 24]> {
    let key: [u8; 24] = value.try_into().ok()?;
    let (digits, padding) = key.split_at(22);
    static DIGIT: [bool; 256] = alphanumeric_or(b"+/");
    let is_digit = |byte: &u8| DIGIT[usize::from(*byte)];
    (padding == b"==" && digits.iter().all(is_digit)).then_some(key)
}

/// The base64 of `bytes`, which must be as many as fill `N` characters.
fn base64<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut text = [0; N];
    let written = STANDARD.encode_slice(bytes, &mut text);
    debug_assert_eq!(written, Ok(N));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MaskKeys;
    use alloc::vec::Vec;

    #[test]
    fn section_1_3_accept_of_the_example() {
        assert_eq!(
            &accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="),
            b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn section_4_1_and_4_2_1_keys_of_16_bytes() {
        for key in [
            "dGhlIHNhbXBsZSBub25jZQ==",
            "AQIDBAUGBwgJCgsMDQ4PEC==",
            "+/+/+/+/+/+/+/+/+/+/+w==",
        ] {
            assert_eq!(
                parse_key(key.as_bytes()).as_ref().map(<[u8; 24]>::as_slice),
                Some(key.as_bytes())
            );
        }
        for other in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ==x",
            "dGhlIHNhbXBsZSBub25jZWE=",
            "dGhlIHNhbXBsZSBub25jZWFh",
            "dGhlIHNhbXBsZSBub25j=Q==",
            "dGhlIHNhbXBsZSBub25jZ===",
            "dGhlIHNhbXBsZSBub25j-_==",
            "dGhlIHNhbXBsZSBub25 ZQ==",
        ] {
            assert_eq!(parse_key(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn section_4_1_the_key_is_valid_and_differs_with_the_seed() {
        let (one, other) = (client_key(&[1; 32]), client_key(&[2; 32]));
        assert_eq!(parse_key(&one), Some(one));
        assert_ne!(one, other);
    }

    #[test]
    fn section_5_3_the_key_tells_nothing_of_the_masking_keys() {
        let seed = [9; 32];
        let mut keys = MaskKeys::from_seed(seed);
        let masks: Vec<_> = (0..1000).map(|_| keys.next_key()).collect();
        let mut nonce = [0; 18];
        let len = STANDARD
            .decode_slice(client_key(&seed), &mut nonce)
            .unwrap();
        assert_eq!(len, 16);
        assert!(
            nonce[..len]
                .chunks(4)
                .all(|piece| masks.iter().all(|mask| mask != piece))
        );
    }
}
