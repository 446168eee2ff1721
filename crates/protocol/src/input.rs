//! [`Input`]: the bytes a caller lends to a connection or a handshake, used up from the front.

use core::mem;

/// Bytes as they came from the transport, to be unmasked where they lie.
///
/// All of them must be used: go on asking for events until there are none, or say with
/// [`into_rest`](Self::into_rest) that you mean to stop. With debug assertions, dropping an `Input` that still
/// holds bytes panics, for those bytes would be lost.
///
/// ```
/// use wirefan_protocol::Input;
///
/// let mut read = *b"some bytes";
/// let input = Input::new(&mut read);
/// assert_eq!(input.len(), 10);
/// assert_eq!(input.into_rest(), b"some bytes");
/// ```
#[derive(Debug)]
pub struct Input<'i> {
    rest: &'i mut [u8],
}

impl<'i> Input<'i> {
    /// Lends `bytes`.
    pub fn new(bytes: &'i mut [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything has been used.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The number of bytes not yet used.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// What has not been used, for example the first frames behind a handshake.
    pub fn into_rest(mut self) -> &'i mut [u8] {
        mem::take(&mut self.rest)
    }

    /// What has not been used, to look at.
    pub(crate) fn peek(&self) -> &[u8] {
        self.rest
    }

    /// Takes the next `len` bytes, or all there are.
    pub(crate) fn take(&mut self, len: usize) -> &'i mut [u8] {
        let rest = mem::take(&mut self.rest);
        let (taken, rest) = rest.split_at_mut(len.min(rest.len()));
        self.rest = rest;
        taken
    }

    /// Takes the next `len` bytes, if they are there.
    #[inline]
    pub(crate) fn take_whole(&mut self, len: usize) -> Option<&'i mut [u8]> {
        if len > self.rest.len() {
            return None;
        }
        let (taken, rest) = mem::take(&mut self.rest).split_at_mut(len);
        self.rest = rest;
        Some(taken)
    }

    /// Uses up everything, unseen.
    pub(crate) fn discard(&mut self) {
        self.rest = &mut [];
    }
}

impl Drop for Input<'_> {
    fn drop(&mut self) {
        #[cfg(feature = "std")]
        debug_assert!(
            self.rest.is_empty() || std::thread::panicking(),
            "an Input was dropped with {} unused bytes: ask for events until there are none",
            self.rest.len()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_bytes_away_from_the_front() {
        let mut bytes = *b"abcdef";
        let mut input = Input::new(&mut bytes);
        let first = input.take(2);
        let second = input.take(3);
        assert_eq!(
            (&*first, &*second, input.peek()),
            (&b"ab"[..], &b"cde"[..], &b"f"[..])
        );
        assert_eq!(input.take(10), b"f");
        assert!(input.is_empty());
    }

    #[test]
    #[cfg(all(debug_assertions, feature = "std"))]
    #[should_panic(expected = "3 unused bytes")]
    fn a_dropped_rest_is_a_bug() {
        let mut bytes = *b"abc";
        drop(Input::new(&mut bytes));
    }
}
