//! One socket of `trial`: what is half way in it, and what it refused to take.

use std::io::{ErrorKind, IoSlice, Read as _, Write as _};

use mio::net::TcpStream;
use wirefan_protocol::handshake::accept_key;

use crate::frames::{BINARY, Head, TEXT, append_header, is_text, unmask};

/// Payloads from here on are written from where they lie.
const DIRECT: usize = 16 * 1024;
/// Of frames from here on the rest is read to its place.
const LARGE: usize = 64 * 1024;
/// Bytes that are unmasked and copied at a time, so that they stay in the nearest cache.
const PIECE: usize = 16 * 1024;
/// Behind a large message so much is read, for the next will be large too: its rest belongs in its place.
const PEEK: usize = 4096;
/// Places that are kept for later messages.
const SPARES: usize = 16;

/// The other end is gone, or what it sent is not known here.
#[derive(Clone, Copy, Debug)]
pub struct Over;

/// What all connections share.
#[derive(Debug)]
pub struct Buffers {
    /// Every socket is read into it.
    pub read: Vec<u8>,
    /// The answers to one read.
    out: Vec<u8>,
    /// The memory of earlier large messages.
    spares: Vec<Vec<u8>>,
}

/// One socket.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    open: bool,
    /// Readable, but not read from because it does not take what it was sent.
    unread: bool,
    refused: Vec<u8>,
    /// The beginning of a frame that is not large.
    begun: Vec<u8>,
    large: Option<Box<Large>>,
    had_large: bool,
}

/// A large binary message that is half way.
#[derive(Debug)]
struct Large {
    payload: Vec<u8>,
    filled: usize,
    key: [u8; 4],
}

impl Buffers {
    pub fn new(len: usize) -> Self {
        Self {
            read: vec![0; len],
            out: Vec::new(),
            spares: Vec::new(),
        }
    }
}

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            open: false,
            unread: false,
            refused: Vec::new(),
            begun: Vec::new(),
            large: None,
            had_large: false,
        }
    }

    /// Reads once, and answers everything in it; whether there may be more.
    pub fn read(&mut self, buffers: &mut Buffers) -> Result<bool, Over> {
        if !self.refused.is_empty() {
            self.unread = true;
            return Ok(false);
        }
        if self.large.is_some() {
            return self.read_large(buffers);
        }
        let room = if core::mem::take(&mut self.had_large) {
            PEEK
        } else {
            buffers.read.len()
        };
        let Some(len) = received(self.stream.read(&mut buffers.read[..room]))? else {
            return Ok(false);
        };
        let more = len == room;
        let mut read = core::mem::take(&mut buffers.read);
        let answered = if !self.open {
            self.accept(&read[..len])
        } else if self.begun.is_empty() {
            self.answer(&mut read[..len], buffers)
        } else {
            let mut bytes = core::mem::take(&mut self.begun);
            bytes.extend_from_slice(&read[..len]);
            self.answer(&mut bytes, buffers)
        };
        buffers.read = read;
        answered.map(|()| more)
    }

    /// Accepts any request that has a key; it is taken to come in one piece.
    fn accept(&mut self, request: &[u8]) -> Result<(), Over> {
        let key = request
            .split(|&byte| byte == b'\n')
            .filter_map(|line| line.split_at_checked("sec-websocket-key:".len()))
            .find(|(name, _)| name.eq_ignore_ascii_case(b"sec-websocket-key:"))
            .map(|(_, value)| value.trim_ascii());
        let accept = accept_key(key.ok_or(Over)?);
        let answer = [
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
            &accept[..],
            b"\r\n\r\n",
        ];
        self.open = true;
        self.send(&answer.concat(), &[])
    }

    fn answer(&mut self, mut rest: &mut [u8], buffers: &mut Buffers) -> Result<(), Over> {
        buffers.out.clear();
        while !rest.is_empty() {
            let Some(head) = Head::read(rest) else {
                if rest.get(1).is_some_and(|second| *second < 0x80) {
                    // Not masked, which no client does.
                    return Err(Over);
                }
                self.begun = rest.to_vec();
                break;
            };
            let here = rest.len() - head.used;
            if here < head.len {
                if head.len < LARGE || head.first != BINARY {
                    self.begun = rest.to_vec();
                } else {
                    self.begin_large(head, &mut rest[head.used..], buffers);
                }
                break;
            }
            let (frame, behind) = rest.split_at_mut(head.used + head.len);
            rest = behind;
            let payload = &mut frame[head.used..];
            let ascii = unmask(payload, head.key, 0);
            match head.first {
                TEXT if ascii || is_text(payload) => {}
                BINARY => {}
                // Back to whoever says good-bye; anything else is not known here.
                first => {
                    append_header(&mut buffers.out, first, payload.len());
                    buffers.out.extend_from_slice(payload);
                    let _ = self.send(&buffers.out, &[]);
                    return Err(Over);
                }
            }
            append_header(&mut buffers.out, head.first, payload.len());
            if payload.len() < DIRECT {
                buffers.out.extend_from_slice(payload);
            } else {
                self.send(&buffers.out, payload)?;
                buffers.out.clear();
            }
        }
        if buffers.out.is_empty() {
            return Ok(());
        }
        self.send(&buffers.out, &[])
    }

    fn begin_large(&mut self, head: Head, begin: &mut [u8], buffers: &mut Buffers) {
        let mut payload = buffers.spares.pop().unwrap_or_default();
        payload.resize(head.len, 0);
        let places = payload.chunks_mut(PIECE).zip(begin.chunks_mut(PIECE));
        for (at, (place, piece)) in places.enumerate() {
            unmask(piece, head.key, at * PIECE);
            place[..piece.len()].copy_from_slice(piece);
        }
        self.had_large = true;
        self.large = Some(Box::new(Large {
            payload,
            filled: begin.len(),
            key: head.key,
        }));
    }

    fn read_large(&mut self, buffers: &mut Buffers) -> Result<bool, Over> {
        let Some(large) = &mut self.large else {
            return Ok(false);
        };
        let place = &mut large.payload[large.filled..];
        let Some(len) = received(self.stream.read(place))? else {
            return Ok(false);
        };
        let more = len == place.len();
        unmask(&mut place[..len], large.key, large.filled);
        large.filled += len;
        if more && let Some(large) = self.large.take() {
            let mut header = Vec::with_capacity(10);
            append_header(&mut header, BINARY, large.payload.len());
            self.send(&header, &large.payload)?;
            if buffers.spares.len() < SPARES {
                buffers.spares.push(large.payload);
            }
        }
        Ok(more)
    }

    /// Writes the bytes, behind those that were refused before.
    fn send(&mut self, bytes: &[u8], payload: &[u8]) -> Result<(), Over> {
        let mut written = 0;
        if self.refused.is_empty() {
            let result = if payload.is_empty() {
                self.stream.write(bytes)
            } else {
                let slices = [IoSlice::new(bytes), IoSlice::new(payload)];
                self.stream.write_vectored(&slices)
            };
            match result {
                Ok(len) => written = len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Err(Over),
            }
        }
        for bytes in [bytes, payload] {
            let gone = written.min(bytes.len());
            self.refused.extend_from_slice(&bytes[gone..]);
            written -= gone;
        }
        Ok(())
    }

    /// Writes what was refused; whether reading was put off for that, and need not be any more.
    pub fn flush(&mut self) -> Result<bool, Over> {
        if self.refused.is_empty() {
            return Ok(false);
        }
        match self.stream.write(&self.refused) {
            Ok(len) => {
                self.refused.drain(..len);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return Err(Over),
        }
        if !self.refused.is_empty() {
            return Ok(false);
        }
        self.refused = Vec::new();
        Ok(core::mem::take(&mut self.unread))
    }
}

/// What a read has brought; `None`: nothing now.
fn received(result: std::io::Result<usize>) -> Result<Option<usize>, Over> {
    match result {
        Ok(0) => Err(Over),
        Ok(len) => Ok(Some(len)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(_) => Err(Over),
    }
}
