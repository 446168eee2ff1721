//! Payloads, and the masked frames in which a client sends them. Used by the micro-benchmarks and `hot.rs`, and included
//! by `peers/micro`.

use core::hint::black_box;
use core::iter::repeat_n;
use std::sync::Arc;

use wirefan_protocol::{
    Agreed, Config, Connection, Event, Header, Input, Opcode, RecvScratch, apply_mask,
};

/// Payload sizes: a chat line, the longest payload with a two-byte header, a JSON document, a picture.
pub const SIZES: [usize; 4] = [16, 125, 1024, 65_536];

/// About as much as a server reads at once.
pub const READ: usize = 64 * 1024;

/// A text of `len` bytes, all of them small letters.
pub fn text(len: usize) -> String {
    ('a'..='z').cycle().take(len).collect()
}

/// A text of `len` bytes in several scripts: half of its characters take two to four bytes.
pub fn mixed(len: usize) -> String {
    let mut text = String::with_capacity(len);
    for char in "Grüße aus 東京, привет, 👋 to all of you! ".chars().cycle() {
        if text.len() + char.len_utf8() > len {
            break;
        }
        text.push(char);
    }
    // The place that is left is too short for the next character.
    text.extend(repeat_n('.', len - text.len()));
    text
}

/// A message as a client sends it, in one frame.
pub fn client_frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let key = [0x81, 0x20, 0xfe, 3];
    let header = Header {
        fin: true,
        rsv1: false,
        opcode,
        masking_key: Some(key),
        len: payload.len() as u64,
    };
    let mut masked = payload.to_vec();
    apply_mask(&mut masked, key, 0);
    [&*header.encode(), &masked].concat()
}

/// A read buffer that is filled again and again with the same frames.
///
/// Decoding unmasks in place and moves short payloads over their headers: what has been decoded is gone.
#[derive(Clone, Debug)]
pub struct Reads {
    frames: Vec<u8>,
    buffer: Vec<u8>,
}

impl Reads {
    /// `frames` as often as a read of `count` of them brings.
    pub fn new(frames: &[u8], count: usize) -> Self {
        let frames = frames.repeat(count);
        Self {
            buffer: frames.clone(),
            frames,
        }
    }

    /// Texts of `len` bytes, as many as a server reads at once, and their number.
    pub fn of_texts(len: usize) -> (Self, usize) {
        let count = (READ / len).max(1);
        let frame = client_frame(Opcode::Text, text(len).as_bytes());
        (Self::new(&frame, count), count)
    }

    /// The buffer as the next read leaves it.
    pub fn refill(&mut self) -> &mut [u8] {
        self.buffer.copy_from_slice(&self.frames);
        &mut self.buffer
    }
}

/// A server's end of a connection without extensions.
pub fn server() -> Connection {
    Connection::server(Arc::new(Config::default()), Agreed::default())
}

/// Hands `read` to the connection and returns how many events came of it, a failure not being one: a connection that had
/// failed would be fast.
pub fn receive(
    connection: &mut Connection,
    read: &mut [u8],
    scratch: &mut RecvScratch,
    out: &mut Vec<u8>,
) -> usize {
    let mut input = Input::new(read);
    let mut events = 0;
    while let Some(event) = connection.next_event(&mut input, scratch, out) {
        events += usize::from(!matches!(black_box(event), Event::Failed(_)));
    }
    events
}
