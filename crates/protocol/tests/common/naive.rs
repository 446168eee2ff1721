//! A slow, obviously right decoder, written from the RFC alone: it is given all the bytes so far at once, and says
//! what a connection must have reported and answered by then.

use wirefan_protocol::{Config, Error, Role, State};

use super::{
    BINARY, CLOSE, CONTINUATION, PING, PONG, Raw, Seen, TEXT, binary, failure, frame, pong, text,
};

/// What must have come of the bytes so far.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) seen: Vec<Seen>,
    pub(crate) sent: Vec<Raw>,
    pub(crate) state: State,
}

/// A connection of `role` that reads `bytes`, and sends messages back if `echo` says so. `Closing` as the state to
/// begin with: its own Close went first.
pub(crate) fn decode(
    role: Role,
    config: &Config,
    state: State,
    echo: bool,
    bytes: &[u8],
) -> Outcome {
    let mut naive = Naive {
        role,
        config,
        echo,
        message: None,
        outcome: Outcome {
            seen: Vec::new(),
            sent: Vec::new(),
            state,
        },
    };
    let mut rest = bytes;
    let stop = loop {
        if let Err(stop) = naive.frame(&mut rest) {
            break stop;
        }
    };
    match stop {
        Stop::Incomplete => {}
        Stop::Closed => naive.outcome.state = State::Closed,
        Stop::Failed(error) => {
            naive.outcome.seen.push(Seen::Failed(error));
            naive.answer(failure(error));
            naive.outcome.state = State::Closed;
        }
    }
    naive.outcome
}

/// Why it reads no further.
#[derive(Debug)]
pub(crate) enum Stop {
    Incomplete,
    Closed,
    Failed(Error),
}

/// The head of a frame.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) fin: bool,
    pub(crate) rsv: u8,
    pub(crate) opcode: u8,
    pub(crate) key: Option<[u8; 4]>,
    pub(crate) len: u64,
}

struct Naive<'a> {
    role: Role,
    config: &'a Config,
    echo: bool,
    message: Option<Message>,
    outcome: Outcome,
}

struct Message {
    opcode: u8,
    data: Vec<u8>,
    frames: u64,
    empty_in_a_row: u64,
}

impl Naive<'_> {
    fn frame(&mut self, rest: &mut &[u8]) -> Result<(), Stop> {
        let head = head(rest, self.role == Role::Server)?;
        if head.opcode >= 8 {
            let payload = unmask(take(rest, head.len as usize)?, head.key);
            return self.control(head.opcode, payload);
        }
        let mut message = self.fragment(&head)?;
        let there = rest.len().min(usize::try_from(head.len).expect("64 bits"));
        message.data.extend(unmask(take(rest, there)?, head.key));
        let whole = there as u64 == head.len;
        if message.opcode == TEXT {
            match utf8(&message.data) {
                Utf8::Bad(_) => return Err(Stop::Failed(Error::InvalidUtf8)),
                Utf8::Cut if whole && head.fin => return Err(Stop::Failed(Error::InvalidUtf8)),
                Utf8::Cut | Utf8::Good => {}
            }
        }
        if !whole {
            return Err(Stop::Incomplete);
        }
        if head.fin {
            self.deliver(message);
        } else {
            self.message = Some(message);
        }
        Ok(())
    }

    /// The message that a data frame belongs to, if it may come here and is within the limits.
    fn fragment(&mut self, head: &Head) -> Result<Message, Stop> {
        let mut message = match (head.opcode, self.message.take()) {
            (CONTINUATION, Some(message)) => message,
            (CONTINUATION, None) => return Err(Stop::Failed(Error::UnexpectedContinuation)),
            (_, Some(_)) => return Err(Stop::Failed(Error::ExpectedContinuation)),
            (opcode, None) => Message {
                opcode,
                data: Vec::new(),
                frames: 0,
                empty_in_a_row: 0,
            },
        };
        message.frames += 1;
        message.empty_in_a_row = if head.len == 0 {
            message.empty_in_a_row + 1
        } else {
            0
        };
        // A message in one frame has no fragments.
        if !(head.fin && message.frames == 1) {
            if message.frames > self.config.max_fragments.max(1).into() {
                return Err(Stop::Failed(Error::TooManyFragments));
            }
            if message.empty_in_a_row > self.config.max_empty_fragments.into() {
                return Err(Stop::Failed(Error::TooManyEmptyFragments));
            }
        }
        if message.data.len() as u64 + head.len > self.config.max_message as u64 {
            return Err(Stop::Failed(Error::MessageTooLong));
        }
        Ok(message)
    }

    fn deliver(&mut self, message: Message) {
        let data = message.data;
        let (seen, echo) = if message.opcode == TEXT {
            let echo = text(&data);
            (Seen::Text(String::from_utf8(data).expect("checked")), echo)
        } else {
            let echo = binary(&data);
            (Seen::Binary(data), echo)
        };
        self.outcome.seen.push(seen);
        if self.echo {
            self.answer(echo);
        }
    }

    fn control(&mut self, opcode: u8, payload: Vec<u8>) -> Result<(), Stop> {
        match opcode {
            PING => {
                self.outcome.seen.push(Seen::Ping(payload.clone()));
                self.answer(pong(payload));
            }
            PONG => self.outcome.seen.push(Seen::Pong(payload)),
            _ => {
                let close = close_frame(&payload).map_err(Stop::Failed)?;
                // The code comes back, the reason does not.
                self.answer(frame(CLOSE, &payload[..payload.len().min(2)]));
                self.outcome.seen.push(Seen::Close(close));
                return Err(Stop::Closed);
            }
        }
        Ok(())
    }

    fn answer(&mut self, frame: Raw) {
        if self.outcome.state == State::Open {
            self.outcome.sent.push(frame);
        }
    }
}

/// Reads a header, as RFC 6455 §5.2 draws it; `masked` is what §5.1 asks of its sender.
pub(crate) fn head(rest: &mut &[u8], masked: bool) -> Result<Head, Stop> {
    let two = take(rest, 2)?;
    let (fin, rsv, opcode) = (two[0] >= 0x80, two[0] >> 4 & 7, two[0] & 15);
    let (has_key, len) = (two[1] >= 0x80, two[1] & 127);
    if rsv & 3 != 0 {
        return Err(Stop::Failed(Error::ReservedBits));
    }
    if ![CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG].contains(&opcode) {
        return Err(Stop::Failed(Error::UnknownOpcode(opcode)));
    }
    if opcode >= 8 && !fin {
        return Err(Stop::Failed(Error::FragmentedControl));
    }
    if opcode >= 8 && len > 125 {
        return Err(Stop::Failed(Error::ControlTooLong));
    }
    let (len, allowed) = match len {
        126 => (number(take(rest, 2)?), 126..=0xffff),
        127 => (number(take(rest, 8)?), 0x1_0000..=0x7fff_ffff_ffff_ffff),
        _ => (len.into(), 0..=125),
    };
    if !allowed.contains(&len) {
        return Err(Stop::Failed(Error::InvalidLength));
    }
    let key = if has_key {
        let key = take(rest, 4)?;
        Some([key[0], key[1], key[2], key[3]])
    } else {
        None
    };
    match (masked, has_key) {
        (true, false) => return Err(Stop::Failed(Error::MaskMissing)),
        (false, true) => return Err(Stop::Failed(Error::MaskUnexpected)),
        _ => {}
    }
    if rsv != 0 {
        return Err(Stop::Failed(Error::ReservedBits));
    }
    Ok(Head {
        fin,
        rsv,
        opcode,
        key,
        len,
    })
}

pub(crate) fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], Stop> {
    let (taken, left) = rest.split_at_checked(len).ok_or(Stop::Incomplete)?;
    *rest = left;
    Ok(taken)
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// RFC 6455 §5.3, to the letter.
pub(crate) fn unmask(payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let key = key.unwrap_or_default();
    let octets = payload.iter().enumerate();
    octets.map(|(i, octet)| octet ^ key[i % 4]).collect()
}

/// RFC 6455 §5.5.1 and §7.4.
fn close_frame(payload: &[u8]) -> Result<Option<(u16, String)>, Error> {
    if payload.is_empty() {
        return Ok(None);
    }
    if payload.len() == 1 {
        return Err(Error::InvalidClose);
    }
    let code = number(&payload[..2]) as u16;
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Error::InvalidClose);
    }
    match utf8(&payload[2..]) {
        Utf8::Good => Ok(Some((code, String::from_utf8_lossy(&payload[2..]).into()))),
        Utf8::Cut | Utf8::Bad(_) => Err(Error::InvalidUtf8),
    }
}

/// What UTF-8 makes of some bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Utf8 {
    Good,
    /// They end inside a character that could still become one.
    Cut,
    /// No text begins with the bytes up to and including this one.
    Bad(usize),
}

/// The grammar of RFC 3629 §4, octet by octet.
pub(crate) fn utf8(bytes: &[u8]) -> Utf8 {
    const TAIL: [u8; 2] = [0x80, 0xbf];
    // The ranges that the octets of the character begun must still lie in.
    let mut expected: Vec<[u8; 2]> = Vec::new();
    for (i, byte) in bytes.iter().enumerate() {
        if let Some([low, high]) = expected.pop() {
            if !(low..=high).contains(byte) {
                return Utf8::Bad(i);
            }
            continue;
        }
        expected = match byte {
            0x00..=0x7f => vec![],
            0xc2..=0xdf => vec![TAIL],
            0xe0 => vec![TAIL, [0xa0, 0xbf]],
            0xe1..=0xec | 0xee | 0xef => vec![TAIL, TAIL],
            0xed => vec![TAIL, [0x80, 0x9f]],
            0xf0 => vec![TAIL, TAIL, [0x90, 0xbf]],
            0xf1..=0xf3 => vec![TAIL, TAIL, TAIL],
            0xf4 => vec![TAIL, TAIL, [0x80, 0x8f]],
            _ => return Utf8::Bad(i),
        };
    }
    if expected.is_empty() {
        Utf8::Good
    } else {
        Utf8::Cut
    }
}
