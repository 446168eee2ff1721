//! [`ProxyReader`]: takes the first bytes of a connection as they come, until the header is whole.

use super::{ProxyError, ProxyHeader, v1, v2};

/// The longest line of version 1, with its end (`proxy-protocol.txt` §2.1).
pub const MAX_V1: usize = 107;

/// Reads the header in front of everything else.
///
/// The bytes may come cut anywhere. What stands behind the header is not touched. It holds what has arrived and no more, at
/// most [`MAX_V1`] bytes, or 16 and the limit; a byte that cannot belong to a header is told at once, so that a client that
/// came without the proxy does not wait for nothing. Read it with a deadline, and only from peers that are known to be
/// proxies: anybody else could name any address.
///
/// ```
/// use wirefan_admission::proxy_protocol::ProxyReader;
///
/// let mut reader = ProxyReader::default();
/// let mut first: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.";
/// assert_eq!(reader.read(&mut first)?, None); // read on
/// let mut second: &[u8] = b"100.1 4711 443\r\nGET / HTTP/1.1\r\n";
/// let header = reader.read(&mut second)?.expect("it is whole");
/// assert_eq!(header.source(), Some("192.0.2.1:4711".parse()?));
/// assert_eq!(second, b"GET / HTTP/1.1\r\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProxyReader {
    max_len: u16,
    held: Vec<u8>,
}

impl Default for ProxyReader {
    /// With room for 2 KiB: addresses, and all the fields that are in use but for a client's certificate.
    fn default() -> Self {
        Self::with_max_len(2048)
    }
}

impl ProxyReader {
    /// With this limit for the length that version 2 declares. What addresses take, 216 bytes at most, is always allowed.
    pub fn with_max_len(max_len: u16) -> Self {
        Self {
            max_len: max_len.max(216),
            held: Vec::new(),
        }
    }

    /// Takes the bytes of the header from the front of `input`, and returns it when it is whole.
    ///
    /// As long as it is not, all of `input` is taken. Once a header has been returned the next bytes would be read as another.
    ///
    /// # Errors
    ///
    /// What is wrong with the header, as soon as it is there to be seen. The reader is of no use then.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<ProxyHeader>, ProxyError> {
        while let Some((&byte, behind)) = input.split_first() {
            let at = self.held.len();
            if at >= v2::FIXED && self.held.starts_with(&v2::SIGNATURE) {
                // Only the declared bytes are left, and they are looked at together.
                let missing = self.len()? - at;
                let (part, behind) = input.split_at(missing.min(input.len()));
                self.held.extend_from_slice(part);
                *input = behind;
            } else {
                *input = behind;
                self.held.push(byte);
                self.check(at, byte)?;
            }
            if let Some(header) = self.finished()? {
                self.held = Vec::new();
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Checks one more byte of a line, or of a fixed part.
    fn check(&self, at: usize, byte: u8) -> Result<(), ProxyError> {
        let held = &self.held;
        if held.starts_with(&v2::SIGNATURE) {
            let local = held.get(12) == Some(&0x20);
            v2::Fixed::check(at, byte, local)?;
            if held.len() == v2::FIXED {
                self.len()?;
            }
            return Ok(());
        }
        let begins = |whole: &[u8]| whole.starts_with(held) || held.starts_with(whole);
        if !begins(b"PROXY ") && !begins(&v2::SIGNATURE) {
            return Err(ProxyError::NoProxyProtocol);
        }
        if held.starts_with(b"PROXY ") {
            if byte == b'\n' && at.checked_sub(1).and_then(|at| held.get(at)) != Some(&b'\r') {
                return Err(ProxyError::LineEnd);
            }
            if byte != b'\n' && held.len() >= MAX_V1 {
                return Err(ProxyError::LineTooLong);
            }
        }
        Ok(())
    }

    /// The length of a whole header of version 2 whose fixed part is there.
    fn len(&self) -> Result<usize, ProxyError> {
        let Some(fixed) = self.held.first_chunk() else {
            return Ok(v2::FIXED);
        };
        let fixed = v2::Fixed::read(fixed);
        if fixed.len > self.max_len {
            return Err(ProxyError::TooLong {
                declared: fixed.len,
            });
        }
        fixed.check_len()?;
        Ok(v2::FIXED + usize::from(fixed.len))
    }

    fn finished(&self) -> Result<Option<ProxyHeader>, ProxyError> {
        if let Some(line) = self.held.strip_suffix(b"\r\n")
            && line.starts_with(b"PROXY ")
        {
            return v1::parse(line).map(Some);
        }
        if let Some((fixed, rest)) = self.held.split_first_chunk()
            && self.held.starts_with(&v2::SIGNATURE)
            && self.held.len() == self.len()?
        {
            return v2::parse(fixed, rest).map(Some);
        }
        Ok(None)
    }
}
