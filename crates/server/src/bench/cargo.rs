//! [`Cargo`]: the messages of one sender, laid out once as they travel. Made before the load, read by every thread.

use std::io;

use wirefan_protocol::{Header, Kind, SendScratch, apply_mask};

use super::options::Payload;

/// Hexadecimal digits that tell a message's place, and its publisher where there are several.
const DIGITS: usize = 4;
/// Bytes for all variants, where the fewest of them do not need more: they are to stay in the cache.
const ENOUGH: usize = 512 * 1024;
/// Bytes that are spent on telling two messages that have changed places from two that have not.
const ROOMY: usize = 16 * 1024 * 1024;

/// A ring up to this long is there twice, so that nearly every batch lies in one piece.
const SHORT: usize = 64 * 1024;

/// Frames behind each other, read in a circle.
#[derive(Debug)]
pub(crate) struct Ring {
    bytes: Vec<u8>,
    /// The bytes of one round.
    round: usize,
    /// Where each frame starts, and where the last one ends.
    starts: Vec<usize>,
}

impl Ring {
    fn new(frames: impl Iterator<Item = Vec<u8>>) -> Self {
        let (mut bytes, mut starts) = (Vec::new(), vec![0]);
        for frame in frames {
            bytes.extend_from_slice(&frame);
            starts.push(bytes.len());
        }
        let round = bytes.len();
        if round <= SHORT {
            bytes.extend_from_within(..);
        }
        Self {
            bytes,
            round,
            starts,
        }
    }

    /// All frames, once or more.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes after which the frames begin again.
    #[inline]
    pub(crate) fn round(&self) -> usize {
        self.round
    }

    /// Where a frame starts.
    #[inline]
    pub(crate) fn start(&self, variant: usize) -> usize {
        self.starts[variant]
    }

    /// How many bytes a number of messages are, from this one on.
    #[inline]
    pub(crate) fn len_of(&self, variant: usize, messages: u64) -> u64 {
        let variants = self.starts.len() - 1;
        let end = variant as u64 + messages;
        let (laps, rest) = (end / variants as u64, end % variants as u64);
        laps * self.round as u64 + self.starts[rest as usize] as u64 - self.starts[variant] as u64
    }

    /// One frame.
    pub(crate) fn frame(&self, variant: usize) -> &[u8] {
        &self.bytes[self.starts[variant]..self.starts[variant + 1]]
    }
}

/// What one sender sends, again and again, and what receivers are to get of it.
#[derive(Debug)]
pub(crate) struct Cargo {
    /// Masked, as a client sends them.
    pub(crate) masked: Ring,
    /// As a server sends them that changes nothing; all of one length.
    pub(crate) plain: Ring,
    /// Bytes in front of a payload in `plain`.
    header: usize,
    pub(crate) kind: Kind,
    named: bool,
}

/// What the messages of all senders have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lading {
    pub(crate) size: usize,
    pub(crate) payload: Payload,
    /// Messages in flight at a time, as far as that is known.
    pub(crate) in_flight: u32,
    /// Whether receivers have to tell senders apart.
    pub(crate) named: bool,
}

impl Lading {
    /// How many different messages there are: enough to notice reordering, few enough for the cache.
    fn variants(&self) -> usize {
        let wanted = (self.in_flight as usize)
            .saturating_mul(4)
            .clamp(16, 4096)
            .next_power_of_two();
        let digits = if self.named {
            DIGITS
        } else {
            self.size.min(DIGITS)
        };
        let distinct = 1 << (4 * digits).min(12);
        let mut variants = wanted.min(distinct);
        // Of four, one may come after the next and still be known; of two it may not.
        let least = if self.in_flight > 1 && self.size <= ROOMY / 4 {
            4
        } else {
            2
        };
        while variants > least && variants * (self.size + 8) > ENOUGH {
            variants /= 2;
        }
        variants
    }
}

impl Cargo {
    /// Lays out the messages of a sender; `keys` gives random masking keys.
    pub(crate) fn new(lading: Lading, sender: u16, mut keys: impl FnMut() -> [u8; 4]) -> Self {
        let kind = match lading.payload {
            Payload::Binary => Kind::Binary,
            Payload::Ascii | Payload::Utf8 => Kind::Text,
        };
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15 ^ u64::from(sender));
        let payloads: Vec<Vec<u8>> = (0..lading.variants())
            .map(|variant| {
                let mut payload = if lading.named {
                    format!("{sender:04x}{variant:04x}").into_bytes()
                } else {
                    let digits = format!("{variant:04x}");
                    digits.as_bytes()[DIGITS - lading.size.min(DIGITS)..].to_vec()
                };
                lading.payload.fill(&mut payload, lading.size, &mut chance);
                payload
            })
            .collect();
        let header = Header::of_message(kind, lading.size);
        let masked = payloads.iter().map(|payload| mask(header, payload, keys()));
        let plain = payloads
            .iter()
            .map(|payload| [&*header.encode(), payload].concat());
        Self {
            masked: Ring::new(masked),
            plain: Ring::new(plain),
            header: header.encode().len(),
            kind,
            named: lading.named,
        }
    }

    /// The same messages compressed, each for itself, as far as that makes them shorter.
    pub(crate) fn compressed(&self, window_bits: u8, scratch: &mut SendScratch) -> Ring {
        Ring::new((0..self.variants()).map(|variant| {
            let payload = self.payload(variant);
            let masked = self.masked.frame(variant);
            let Ok(Some((
                Header {
                    masking_key: Some(key),
                    ..
                },
                _,
            ))) = Header::decode(masked)
            else {
                return masked.to_vec();
            };
            let mut frame = Vec::new();
            let compressed = scratch.compress(self.kind, payload, window_bits, LEVEL, &mut frame);
            match Header::decode(&frame) {
                Ok(Some((header, used))) if compressed.is_some() => {
                    mask(header, &frame[used..], key)
                }
                _ => masked.to_vec(),
            }
        }))
    }

    /// How many different messages there are.
    #[inline]
    pub(crate) fn variants(&self) -> usize {
        self.plain.starts.len() - 1
    }

    /// The payload of a variant.
    #[inline]
    pub(crate) fn payload(&self, variant: usize) -> &[u8] {
        &self.plain.frame(variant)[self.header..]
    }

    /// Which message this payload says that it is.
    pub(crate) fn variant_of(&self, payload: &[u8]) -> Option<usize> {
        let digits = payload.get(if self.named { DIGITS } else { 0 }..)?;
        let digits = &digits[..digits.len().min(DIGITS)];
        let variant = hex(digits)?;
        (variant < self.variants() && self.payload(variant) == payload).then_some(variant)
    }
}

/// Masking keys from the system's generator, again from the first after many.
pub(crate) fn random_keys() -> io::Result<impl FnMut() -> [u8; 4]> {
    let mut random = [[0; 4]; 1024];
    getrandom::fill(random.as_flattened_mut()).map_err(io::Error::other)?;
    let mut next = 0;
    Ok(move || {
        next = (next + 1) % random.len();
        random[next]
    })
}

/// The sender that a payload names.
pub(crate) fn sender_of(payload: &[u8]) -> Option<usize> {
    hex(payload.get(..DIGITS)?)
}

fn hex(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() {
        return Some(0);
    }
    usize::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

/// A fast level: this is done once.
const LEVEL: u8 = 6;

fn mask(header: Header, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let masked = Header {
        masking_key: Some(key),
        ..header
    };
    let mut frame = [&*masked.encode(), payload].concat();
    let start = frame.len() - payload.len();
    apply_mask(&mut frame[start..], key, 0);
    frame
}

/// Any numbers, the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

const ASCII: &[&str] = &[
    " the",
    " message",
    " of",
    " a",
    " room",
    " and",
    " price",
    ": 17.25",
    ", \"id\": 4711",
    " is",
    " server",
    " to",
    " time",
    " user",
    " in",
    " status",
    ": true",
    " order",
    " tea",
    " for",
    " every",
    " connection",
];
const UTF8: &[&str] = &[
    " Grüße",
    " aus",
    " München",
    " Ελλάδα",
    " привет",
    " мир",
    " 日本語",
    "のメッセージ",
    " 你好",
    " 세계",
    " 😀",
    " 🚀",
    " naïve",
    " café",
    " שלום",
    " the",
    " room",
    " çay",
    " zażółć",
];

impl Payload {
    /// Fills up to `size` bytes.
    fn fill(self, payload: &mut Vec<u8>, size: usize, chance: &mut Chance) {
        let words = match self {
            Self::Binary => {
                payload.resize_with(size, || chance.below(256) as u8);
                return;
            }
            Self::Ascii => ASCII,
            Self::Utf8 => UTF8,
        };
        while payload.len() < size {
            let mut word = words[chance.below(words.len())].chars();
            let room = size - payload.len();
            while word.as_str().len() > room {
                word.next_back();
            }
            if word.as_str().is_empty() {
                // A space in front of each word: only a single byte may be left here.
                payload.push(b'.');
            } else {
                payload.extend_from_slice(word.as_str().as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lading(size: usize, payload: Payload, in_flight: u32, named: bool) -> Lading {
        Lading {
            size,
            payload,
            in_flight,
            named,
        }
    }

    #[test]
    fn frames_are_what_a_client_sends_and_a_server_gives_back() {
        for payload in [Payload::Ascii, Payload::Utf8, Payload::Binary] {
            for size in [0, 1, 2, 5, 16, 125, 126, 1000, 65_536] {
                let cargo = Cargo::new(lading(size, payload, 1, false), 0, || [1, 2, 3, 4]);
                for variant in 0..cargo.variants() {
                    let mut frame = cargo.masked.frame(variant).to_vec();
                    let (header, used) = Header::decode(&frame).unwrap().unwrap();
                    assert!(header.fin && !header.rsv1 && header.len == size as u64);
                    assert_eq!(header.masking_key, Some([1, 2, 3, 4]));
                    apply_mask(&mut frame[used..], [1, 2, 3, 4], 0);
                    assert_eq!(&frame[used..], cargo.payload(variant));
                    assert!(payload == Payload::Binary || str::from_utf8(&frame[used..]).is_ok());
                    assert_eq!(cargo.variant_of(&frame[used..]), Some(variant));
                    let (header, used) =
                        Header::decode(cargo.plain.frame(variant)).unwrap().unwrap();
                    assert_eq!((header.masking_key, used), (None, cargo.header));
                }
            }
        }
    }

    #[test]
    fn utf8_is_no_ascii() {
        let cargo = Cargo::new(lading(1024, Payload::Utf8, 1, false), 0, || [0; 4]);
        let payload = cargo.payload(3);
        assert!(payload.iter().filter(|byte| !byte.is_ascii()).count() > 400);
    }

    #[test]
    fn variants_are_enough_for_what_is_in_flight_and_fit_the_cache() {
        for (size, in_flight, variants) in [
            (16, 1, 16),
            (16, 32, 128),
            (16, 1 << 20, 4096),
            (1, 32, 16),
            (0, 32, 1),
            (1024, 8, 32),
            (16 << 10, 8, 16),
            (256 << 10, 1, 2),
            (256 << 10, 2, 4),
            (4 << 20, 4, 4),
            (16 << 20, 4, 2),
        ] {
            assert_eq!(
                lading(size, Payload::Ascii, in_flight, false).variants(),
                variants,
                "{size}"
            );
        }
    }

    #[test]
    fn a_named_payload_tells_its_sender() {
        let cargo = Cargo::new(lading(8, Payload::Ascii, 16, true), 0xabc, || [0; 4]);
        assert_eq!(cargo.payload(5), b"0abc0005");
        assert_eq!(sender_of(cargo.payload(5)), Some(0xabc));
        assert_eq!(cargo.variant_of(cargo.payload(5)), Some(5));
        assert_eq!(cargo.variant_of(b"0abc1005"), None);
        assert_eq!(cargo.variant_of(b"0abc"), None);
    }

    #[test]
    fn lengths_around_the_circle() {
        let ring = Ring::new([vec![0; 2], vec![0; 3], vec![0; 5]].into_iter());
        assert_eq!(ring.len_of(0, 0), 0);
        assert_eq!(ring.len_of(1, 1), 3);
        assert_eq!(ring.len_of(2, 2), 7);
        assert_eq!(ring.len_of(1, 7), 3 + 5 + 10 + 2 + 3);
    }

    #[test]
    fn compressed_frames_are_marked_and_shorter() {
        let cargo = Cargo::new(lading(4096, Payload::Ascii, 1, false), 0, || [7; 4]);
        let ring = cargo.compressed(15, &mut SendScratch::default());
        let (header, _) = Header::decode(ring.frame(0)).unwrap().unwrap();
        assert!(header.rsv1 && header.len < 2048 && header.masking_key == Some([7; 4]));
        let random = Cargo::new(lading(64, Payload::Binary, 1, false), 0, || [0; 4]);
        let ring = random.compressed(15, &mut SendScratch::default());
        let (header, _) = Header::decode(ring.frame(0)).unwrap().unwrap();
        assert!(!header.rsv1 && header.len == 64);
    }
}
