//! One socket of `limit`: its handshake of constant bytes, and what it refused to take.

use std::io::{ErrorKind, Read as _, Write as _};

use mio::net::TcpStream;

/// The answer to the sample key of RFC 6455 §1.3, which the load generator sends.
const ACCEPTED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// What became of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// It goes on; `read` if there may be something to read.
    Going {
        /// Reading was put off while it refused to be written to.
        read: bool,
    },
    /// The other end is gone.
    Over,
}

/// One socket.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    accepted: bool,
    /// Readable, but not read from because it does not take what it was sent.
    unread: bool,
    refused: Vec<u8>,
}

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            accepted: false,
            unread: false,
            refused: Vec::new(),
        }
    }

    /// Whether its handshake is still to come.
    pub fn is_new(&self) -> bool {
        !self.accepted
    }

    /// The length of one read, 0 at the end; `None` where there is nothing to be read now.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if !self.refused.is_empty() {
            self.unread = true;
            return None;
        }
        match self.stream.read(buffer) {
            Ok(len) => Some(len),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(_) => Some(0),
        }
    }

    /// Answers a request, which is taken to come in one piece: the load generator writes it at once.
    pub fn answer(&mut self, request: &[u8]) -> Progress {
        self.accepted = request.ends_with(b"\r\n\r\n");
        if self.accepted {
            self.send(ACCEPTED)
        } else {
            Progress::Over
        }
    }

    /// Writes the bytes, behind those that were refused before.
    pub fn send(&mut self, bytes: &[u8]) -> Progress {
        let mut written = 0;
        if self.refused.is_empty() {
            match self.stream.write(bytes) {
                Ok(len) => written = len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Progress::Over,
            }
        }
        self.refused.extend_from_slice(&bytes[written..]);
        Progress::Going { read: false }
    }

    /// Writes what was refused.
    pub fn flush(&mut self) -> Progress {
        if self.refused.is_empty() {
            return Progress::Going { read: false };
        }
        match self.stream.write(&self.refused) {
            Ok(len) => {
                self.refused.drain(..len);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return Progress::Over,
        }
        let mut read = false;
        if self.refused.is_empty() {
            self.refused = Vec::new();
            read = std::mem::take(&mut self.unread);
        }
        Progress::Going { read }
    }
}

/// Whether a read is one masked Close frame and nothing else: the only frame that `limit` can tell from any other bytes.
pub fn is_close(bytes: &[u8]) -> bool {
    matches!(*bytes, [0x88, second, ..] if second & 0x80 != 0 && bytes.len() == 6 + usize::from(second & 0x7f))
}

#[cfg(test)]
mod tests {
    use super::is_close;

    #[test]
    fn only_a_whole_close_is_one() {
        assert!(is_close(&[0x88, 0x80, 1, 2, 3, 4]));
        assert!(is_close(&[0x88, 0x82, 1, 2, 3, 4, 5, 6]));
        for other in [
            &[][..],
            &[0x88],
            &[0x88, 0x82, 1, 2, 3, 4, 5],
            &[0x81, 0x80, 1, 2, 3, 4],
        ] {
            assert!(!is_close(other), "{other:?}");
        }
    }
}
