//! [`Slots`]: where a worker's connections live, and [`ConnId`], what they are called. A slot that is used again has
//! a new generation, so that a stale name or token reaches nobody.

use core::fmt;
use core::str::FromStr;

/// What a connection is called: unique among all connections of a server, for ever.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnId {
    pub(crate) worker: u16,
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl ConnId {
    /// The number of the worker that has the connection.
    pub fn worker(self) -> usize {
        self.worker.into()
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.worker, self.slot, self.generation)
    }
}

/// What is no name of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidConnId;

impl fmt::Display for InvalidConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a connection is called by three numbers, as 0-17-3")
    }
}

impl core::error::Error for InvalidConnId {}

/// Reads what [`Display`](fmt::Display) writes. Whether there is such a connection is another question.
impl FromStr for ConnId {
    type Err = InvalidConnId;

    fn from_str(text: &str) -> Result<Self, InvalidConnId> {
        fn number<T: FromStr>(text: Option<&str>) -> Result<T, InvalidConnId> {
            let digits = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            digits
                .and_then(|text| text.parse().ok())
                .ok_or(InvalidConnId)
        }
        let mut numbers = text.splitn(3, '-');
        Ok(Self {
            worker: number(numbers.next())?,
            slot: number(numbers.next())?,
            generation: number(numbers.next())?,
        })
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnId({self})")
    }
}

/// A slot and its generation, in the number that comes back with readiness.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SlotToken(pub(crate) usize);

const SLOT_BITS: u32 = usize::BITS / 2;
const SLOT_MASK: usize = (1 << SLOT_BITS) - 1;

impl SlotToken {
    pub(crate) fn new(slot: u32, generation: u32) -> Self {
        // The generation loses its upper half where a usize has 32 bits.
        Self((generation as usize) << SLOT_BITS | slot as usize & SLOT_MASK)
    }

    pub(crate) fn slot(self) -> u32 {
        (self.0 & SLOT_MASK) as u32
    }
}

/// Slots are made in chunks of this many: connections never move, and there is little slack.
const CHUNK: usize = 128;

/// A slab with generations.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    chunks: Vec<Box<Chunk<T>>>,
    free: Vec<u32>,
    len: usize,
}

/// Slots, and beside them what would take twice as much room within each.
#[derive(Debug)]
struct Chunk<T> {
    generations: [u32; CHUNK],
    values: [Option<T>; CHUNK],
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Self {
            chunks: Vec::new(),
            free: Vec::new(),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Puts `value` into a free slot.
    pub(crate) fn insert(&mut self, value: T) -> (u32, u32) {
        if self.free.is_empty() {
            let first = self.chunks.len() * CHUNK;
            self.chunks.push(Box::new(Chunk {
                generations: [0; CHUNK],
                values: [const { None }; CHUNK],
            }));
            self.free
                .extend((first..first + CHUNK).rev().map(|slot| slot as u32));
        }
        let slot = self.free.pop().unwrap_or_default();
        let chunk = &mut self.chunks[slot as usize / CHUNK];
        chunk.values[slot as usize % CHUNK] = Some(value);
        self.len += 1;
        (slot, chunk.generations[slot as usize % CHUNK])
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.chunks.get_mut(slot as usize / CHUNK)?.values[slot as usize % CHUNK].as_mut()
    }

    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.chunks.get(slot as usize / CHUNK)?.values[slot as usize % CHUNK].as_ref()
    }

    /// The slot behind a token, if it is still the one that was meant.
    #[inline]
    pub(crate) fn resolve(&self, token: SlotToken) -> Option<u32> {
        let slot = token.slot();
        self.get(slot)?;
        (SlotToken::new(slot, self.generation(slot)) == token).then_some(slot)
    }

    /// The slot behind a connection's name, if that connection still exists.
    pub(crate) fn find(&self, id: ConnId) -> Option<u32> {
        self.get(id.slot)?;
        (self.generation(id.slot) == id.generation).then_some(id.slot)
    }

    pub(crate) fn generation(&self, slot: u32) -> u32 {
        self.chunks
            .get(slot as usize / CHUNK)
            .map_or(0, |chunk| chunk.generations[slot as usize % CHUNK])
    }

    /// Takes the value out; the slot gets its next generation.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let chunk = self.chunks.get_mut(slot as usize / CHUNK)?;
        let value = chunk.values[slot as usize % CHUNK].take()?;
        let generation = &mut chunk.generations[slot as usize % CHUNK];
        *generation = generation.wrapping_add(1);
        self.free.push(slot);
        self.len -= 1;
        Some(value)
    }

    /// Behind the last slot that there ever was.
    pub(crate) fn end(&self) -> u32 {
        (self.chunks.len() * CHUNK) as u32
    }

    /// The slots in use.
    pub(crate) fn indices(&self) -> Vec<u32> {
        let values = self.chunks.iter().flat_map(|chunk| &chunk.values).zip(0..);
        values
            .filter(|(value, _)| value.is_some())
            .map(|(_, slot)| slot)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_token_or_name_reaches_nobody() {
        let mut slots = Slots::new();
        let (slot, generation) = slots.insert("first");
        let token = SlotToken::new(slot, generation);
        let id = ConnId {
            worker: 0,
            slot,
            generation,
        };
        assert_eq!(
            (slots.resolve(token), slots.find(id)),
            (Some(slot), Some(slot))
        );
        assert_eq!(slots.remove(slot), Some("first"));
        assert_eq!((slots.resolve(token), slots.find(id)), (None, None));
        assert_eq!(slots.insert("second").0, slot, "the slot is used again");
        assert_eq!((slots.resolve(token), slots.find(id)), (None, None));
    }

    #[test]
    fn a_name_can_be_written_and_read() {
        let id = ConnId {
            worker: 3,
            slot: 17,
            generation: u32::MAX,
        };
        assert_eq!(id.to_string(), "3-17-4294967295");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in [
            "",
            "1",
            "1-2",
            "1-2-3-4",
            "1-2-",
            "-1-2-3",
            "+1-2-3",
            "1-2-x",
            "70000-1-1",
        ] {
            assert_eq!(text.parse::<ConnId>(), Err(InvalidConnId), "{text}");
        }
    }

    #[test]
    fn slots_of_several_chunks_keep_their_values() {
        let mut slots = Slots::new();
        let places: Vec<u32> = (0..1000).map(|i| slots.insert(i).0).collect();
        assert!(
            places
                .iter()
                .zip(0..)
                .all(|(slot, i)| slots.get(*slot) == Some(&i))
        );
        assert_eq!((slots.len(), slots.indices().len()), (1000, 1000));
        assert_eq!(slots.get_mut(5000), None);
        assert_eq!(slots.remove(5000), None);
    }
}
