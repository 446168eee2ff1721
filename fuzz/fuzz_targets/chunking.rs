//! Any bytes, cut anywhere, give the same events, the same answers and the same end, in both roles.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use wirefan_fuzz::{connection, live, low_limits, same_however_cut};
use wirefan_protocol::{Header, Opcode, Role, apply_mask};

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    to_client: bool,
    frames: Vec<Frame<'a>>,
    /// Bytes that need not be a frame.
    tail: &'a [u8],
    cuts: &'a [u8],
}

/// A frame whose length and mask are right, so that what lies behind it is reached; its first byte may be anything.
#[derive(Arbitrary, Debug)]
struct Frame<'a> {
    first: u8,
    key: [u8; 4],
    payload: &'a [u8],
}

impl Frame<'_> {
    fn write(&self, masked: bool, bytes: &mut Vec<u8>) {
        let header = Header {
            fin: true,
            rsv1: false,
            opcode: Opcode::Binary,
            masking_key: masked.then_some(self.key),
            len: self.payload.len() as u64,
        };
        bytes.push(self.first);
        bytes.extend(&header.encode()[1..]);
        let start = bytes.len();
        bytes.extend(self.payload);
        if masked {
            apply_mask(&mut bytes[start..], self.key, 0);
        }
    }
}

fuzz_target!(|case: Case<'_>| {
    let mut bytes = Vec::new();
    for frame in &case.frames {
        frame.write(!case.to_client, &mut bytes);
    }
    bytes.extend(case.tail);
    let role = if case.to_client {
        Role::Client
    } else {
        Role::Server
    };
    let whole = same_however_cut(&bytes, case.cuts, |pieces| {
        live(connection(role, low_limits()), pieces)
    });
    // At most a masked pong for each two-byte ping, and one Close.
    assert!(
        whole.out.len() <= 3 * bytes.len() + 131,
        "{} answer bytes",
        whole.out.len()
    );
});
