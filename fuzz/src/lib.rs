//! What the fuzz targets share: the ways to cut a stream of bytes, and a connection's life written down.

pub mod end;

use std::fmt::Debug;
use std::sync::Arc;

use arbitrary::Arbitrary;
use wirefan_protocol::{
    Agreed, Config, Connection, Error, Event, Input, MaskKeys, RecvScratch, Role, State,
};

/// Limits low enough to be reached by short inputs.
pub fn low_limits() -> Arc<Config> {
    let mut config = Config::default();
    config.max_message = 300;
    config.max_fragments = 6;
    config.max_empty_fragments = 2;
    config.max_head = 512;
    config.max_headers = 8;
    config.max_body = 64;
    Arc::new(config)
}

/// A connection of either role that always uses the same masking keys.
pub fn connection(role: Role, config: Arc<Config>) -> Connection {
    match role {
        Role::Server => Connection::server(config, Agreed::default()),
        Role::Client => Connection::client(config, Agreed::default(), MaskKeys::from_seed([7; 32])),
    }
}

/// Copies of `bytes` in pieces of the lengths in `cuts`; what is left comes in one piece. Pieces may be empty.
fn pieces(bytes: &[u8], cuts: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut pieces = Vec::with_capacity(cuts.len() + 1);
    for &cut in cuts {
        let (piece, behind) = rest.split_at(rest.len().min(cut.into()));
        pieces.push(piece.to_vec());
        rest = behind;
    }
    pieces.push(rest.to_vec());
    pieces
}

/// What `read` makes of `bytes`: the same whether they come whole, cut at `cuts`, or one by one.
pub fn same_however_cut<T: Debug + PartialEq>(
    bytes: &[u8],
    cuts: &[u8],
    read: impl Fn(Vec<Vec<u8>>) -> T,
) -> T {
    let whole = read(vec![bytes.to_vec()]);
    assert_eq!(whole, read(pieces(bytes, cuts)));
    assert_eq!(whole, read(bytes.iter().map(|byte| vec![*byte]).collect()));
    whole
}

/// A piece of a head: a word that the target knows, or any bytes.
#[derive(Arbitrary, Debug)]
pub enum Part<'a> {
    Word(u8),
    Bytes(&'a [u8]),
}

/// The bytes of `parts`.
pub fn assemble(parts: &[Part<'_>], words: &[&[u8]]) -> Vec<u8> {
    let part = |part: &Part<'_>| match *part {
        Part::Word(word) => words[usize::from(word) % words.len()].to_vec(),
        Part::Bytes(bytes) => bytes.to_vec(),
    };
    parts.iter().flat_map(part).collect()
}

/// What came of a handshake, what a server wrote for it, and the connection that it opened.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Opening {
    pub seen: Option<Result<String, String>>,
    pub out: Vec<u8>,
    pub life: Option<Life>,
}

/// All that a caller sees of a connection: what must not depend on how its input was cut.
#[derive(Debug, Eq, PartialEq)]
pub struct Life {
    pub events: Vec<Seen>,
    pub out: Vec<u8>,
    pub state: State,
}

/// An event that owns what it says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    Failed(Error),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.into()),
            Event::Binary(data) => Self::Binary(data.into()),
            Event::Ping(payload) => Self::Ping(payload.into()),
            Event::Pong(payload) => Self::Pong(payload.into()),
            Event::Close(frame) => Self::Close(frame.map(|f| (f.code.0, f.reason.into()))),
            Event::Failed(error) => Self::Failed(error),
        }
    }
}

/// Lends a piece to `connection` and returns what came of it; the answers are appended to `out`.
pub fn receive(
    connection: &mut Connection,
    piece: &mut [u8],
    scratch: &mut RecvScratch,
    out: &mut Vec<u8>,
) -> Vec<Seen> {
    let mut events = Vec::new();
    let mut input = Input::new(piece);
    while let Some(event) = connection.next_event(&mut input, scratch, out) {
        events.push(event.into());
    }
    events
}

/// Reads `pieces` to the end of the transport.
pub fn live(mut connection: Connection, pieces: impl IntoIterator<Item = Vec<u8>>) -> Life {
    let (mut scratch, mut events, mut out) = (RecvScratch::default(), Vec::new(), Vec::new());
    for mut piece in pieces {
        events.extend(receive(&mut connection, &mut piece, &mut scratch, &mut out));
    }
    events.extend(connection.end_of_input().map(Seen::from));
    Life {
        events,
        out,
        state: connection.state(),
    }
}
