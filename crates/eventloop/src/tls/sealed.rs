//! [`Sealed`]: records on their way to a socket. Each thread has one, which a write fills.

use std::io::{self, IoSlice};

use rustls::unbuffered::{EncryptError, WriteTraffic};

use super::TlsFailure;

/// The most plaintext in one record (RFC 8446 §5.1).
const RECORD: usize = 16 * 1024;
/// Plaintext sealed for one write: what a connection owns of sealed bytes stays near this.
const SEAL: usize = 4 * RECORD;
/// What a record adds to its plaintext, with room for a key update before it. If it is more, rustls says so.
pub(super) const OVERHEAD: usize = 256;

/// Sealed records; the room behind `len` is kept, so that it is not filled with zeros again and again.
#[derive(Default)]
pub(super) struct Sealed {
    bytes: Vec<u8>,
    len: usize,
}

impl Sealed {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    fn room(&mut self, len: usize) -> &mut [u8] {
        let end = self.len + len;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.len..]
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Seals slices into records as full as can be. Small slices are gathered for that; long ones go in from where they
    /// lie.
    pub(super) fn add_all<D>(
        &mut self,
        traffic: &mut WriteTraffic<'_, D>,
        slices: &[IoSlice<'_>],
        gathered: &mut Vec<u8>,
    ) -> io::Result<usize> {
        gathered.clear();
        let last = slices.iter().rposition(|slice| !slice.is_empty());
        let mut taken = 0;
        for (place, slice) in slices.iter().enumerate() {
            let mut rest = &slice[..slice.len().min(SEAL - taken)];
            taken += rest.len();
            while !rest.is_empty() {
                let len = rest.len().min(RECORD - gathered.len());
                let (piece, behind) = rest.split_at(len);
                rest = behind;
                if gathered.is_empty() && (len == RECORD || Some(place) == last) {
                    self.add(traffic, piece)?;
                    continue;
                }
                gathered.extend_from_slice(piece);
                if gathered.len() == RECORD {
                    self.add(traffic, gathered)?;
                    gathered.clear();
                }
            }
        }
        self.add(traffic, gathered)?;
        Ok(taken)
    }

    fn add<D>(&mut self, traffic: &mut WriteTraffic<'_, D>, plain: &[u8]) -> io::Result<()> {
        if plain.is_empty() {
            return Ok(());
        }
        let mut room = plain.len() + OVERHEAD;
        loop {
            match traffic.encrypt(plain, self.room(room)) {
                Ok(len) => {
                    self.len += len;
                    return Ok(());
                }
                Err(EncryptError::InsufficientSize(size)) if size.required_size > room => {
                    room = size.required_size;
                }
                Err(error) => return Err(TlsFailure::Internal(error.to_string().into()).into()),
            }
        }
    }
}
