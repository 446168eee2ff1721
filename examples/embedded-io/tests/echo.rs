//! The server over a stream that is memory: whole connections, cut into reads of each length.

use std::sync::Arc;

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use embedded_io_echo::{Error, serve, small};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Gives what is to be read in pieces, and keeps what is written.
struct Memory {
    unread: Vec<u8>,
    piece: usize,
    written: Vec<u8>,
}

impl ErrorType for Memory {
    type Error = ErrorKind;
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        let len = self.unread.len().min(self.piece).min(buffer.len());
        buffer[..len].copy_from_slice(&self.unread[..len]);
        self.unread.drain(..len);
        Ok(len)
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        // Never all of it.
        let len = bytes.len().min(5);
        self.written.extend(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// What `serve` says, and what it has written behind the head of the answer.
fn run(frames: &[u8], piece: usize) -> (Result<(), Error<ErrorKind>>, Vec<u8>) {
    let mut stream = Memory {
        unread: [REQUEST.as_bytes(), frames].concat(),
        piece,
        written: Vec::new(),
    };
    let result = serve(&mut stream, &mut [0; 64], &Arc::new(small()));
    let head = stream.written.windows(4).position(|it| it == b"\r\n\r\n");
    assert!(stream.written.starts_with(b"HTTP/1.1 101 "));
    (result, stream.written.split_off(head.unwrap() + 4))
}

#[test]
fn messages_come_back_whatever_the_reads_are() {
    // A text, a ping, a binary in two fragments, a Close. Masked with zeros.
    let frames = b"\x81\x83\0\0\0\0abc\x89\x81\0\0\0\0p\x02\x82\0\0\0\0de\x80\x81\0\0\0\0f\x88\x82\0\0\0\0\x03\xe8";
    for piece in 1..=64 {
        let (result, written) = run(frames, piece);
        result.unwrap();
        assert_eq!(written, b"\x81\x03abc\x8a\x01p\x82\x03def\x88\x02\x03\xe8");
    }
}

#[test]
fn a_violation_is_answered_and_the_rest_is_nobodys() {
    // An unmasked text, and more behind it.
    let (result, written) = run(b"\x81\x01aaaaaaaa", 64);
    result.unwrap();
    assert_eq!(written[..4], [0x88, written.len() as u8 - 2, 0x03, 0xea]);
}

#[test]
fn an_end_without_a_close_is_told() {
    let (result, written) = run(b"\x81\x83\0\0\0\0abc", 64);
    assert!(matches!(result, Err(Error::Ended)));
    assert_eq!(written, b"\x81\x03abc");
}

#[test]
fn a_connection_fits_into_a_small_heap() {
    let message = [7; 4 * 1024];
    let frames = [b"\x82\xfe\x10\0\0\0\0\0".as_slice(), &message].concat();
    // Without what the test itself holds; the firmware has a heap of 32 KiB.
    let mut stream = Memory {
        unread: [REQUEST.as_bytes(), &frames, &frames, b"\x88\x80\0\0\0\0"].concat(),
        piece: 64,
        written: Vec::with_capacity(16 * 1024),
    };
    let most = allocation_counter::measure(|| {
        serve(&mut stream, &mut [0; 64], &Arc::new(small())).unwrap();
    });
    println!("{} bytes at most", most.bytes_max);
    assert!(stream.written.ends_with(b"\x88\0"));
    assert!(most.bytes_max < 20 * 1024, "{}", most.bytes_max);
}
