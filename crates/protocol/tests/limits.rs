//! Each limit of [`Config`] at the limit and one past it, and that memory follows what has arrived, never what is
//! claimed.

mod common;

use std::sync::Arc;

use allocation_counter::measure;
use common::{
    End, ROLES, Raw, Seen, binary, close, continuation, cuts, frame, header, key, peer, ping, pong,
    text, wire,
};
use wirefan_protocol::{
    Agreed, Config, Connection, Error, Input, MaskKeys, RecvScratch, Role, State,
};

fn config(set: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    set(&mut config);
    config
}

fn max_message(max_message: usize) -> Config {
    config(|config| config.max_message = max_message)
}

fn max_fragments(max_fragments: u32) -> Config {
    config(|config| config.max_fragments = max_fragments)
}

fn max_empty_fragments(max_empty_fragments: u32) -> Config {
    config(|config| config.max_empty_fragments = max_empty_fragments)
}

/// The frames of a message in these fragments.
fn fragments<const N: usize>(sizes: [usize; N]) -> Vec<Raw> {
    let mut frames: Vec<_> = sizes
        .iter()
        .map(|size| continuation(vec![b'a'; *size]).more())
        .collect();
    frames[0].opcode = 2;
    frames[N - 1].fin = true;
    frames
}

/// The frames are within the limits, in both roles and cut in every way.
#[track_caller]
fn passes(config: &Config, frames: &[Raw]) {
    for role in ROLES {
        let bytes = wire(peer(role), frames);
        for cuts in cuts(bytes.len()) {
            let mut end = End::new(role, config);
            end.read_cut(&bytes, &cuts);
            assert_eq!(end.state(), State::Open, "{:?}", end.seen);
        }
    }
}

/// The last of the frames is too much, and its header says so: the connection is closed with that code and reason.
#[track_caller]
fn breaks(config: &Config, frames: &[Raw], error: Error, code: u16, reason: &str) {
    for role in ROLES {
        let (last, before) = frames.split_last().expect("frames");
        let mut bytes = wire(peer(role), before);
        bytes.extend(header(last, last.payload.len() as u64, key(peer(role), 9)));
        let at = bytes.len() - 1;
        for cuts in cuts(at) {
            let mut end = End::new(role, config);
            end.read_cut(&bytes[..at], &cuts);
            assert_eq!(
                (end.state(), end.take_sent().len()),
                (State::Open, 0),
                "{:?}",
                end.seen
            );
            end.read(&bytes[at..]);
            assert_eq!(end.seen.last(), Some(&Seen::Failed(error)));
            assert_eq!(end.sent(), [close(code, reason)]);
            assert_eq!(end.state(), State::Closed);
        }
    }
}

fn is_too_long(config: &Config, frames: &[Raw]) {
    breaks(
        config,
        frames,
        Error::MessageTooLong,
        1009,
        "message too long",
    );
}

fn has_too_many_fragments(config: &Config, frames: &[Raw]) {
    breaks(
        config,
        frames,
        Error::TooManyFragments,
        1008,
        "too many fragments",
    );
}

fn has_too_many_empty_fragments(config: &Config, frames: &[Raw]) {
    let error = Error::TooManyEmptyFragments;
    breaks(config, frames, error, 1008, "too many empty fragments");
}

#[test]
fn max_message_of_a_message_in_one_frame() {
    for max in [1, 125, 126, 300] {
        passes(
            &max_message(max),
            &[text(vec![b'a'; max]), binary(vec![1; max])],
        );
        is_too_long(&max_message(max), &[text(vec![b'a'; max + 1])]);
        is_too_long(&max_message(max), &[binary(vec![1; max + 1])]);
    }
}

#[test]
fn max_message_of_0_means_0() {
    passes(
        &max_message(0),
        &[text(""), binary(""), ping([1; 125]), pong([1; 125])],
    );
    is_too_long(&max_message(0), &[text("a")]);
}

#[test]
fn max_message_over_all_fragments() {
    passes(&max_message(100), &fragments([50, 0, 49, 1]));
    is_too_long(&max_message(100), &fragments([50, 0, 50, 1]));
    // The sum is of each message, not of the connection.
    passes(
        &max_message(100),
        &[fragments([50, 50]), fragments([50, 50])].concat(),
    );
    is_too_long(
        &max_message(100),
        &[fragments([50, 50]), fragments([101])].concat(),
    );
}

#[test]
fn max_message_counts_a_character_that_a_fragment_cuts() {
    let (first, second) = "水".as_bytes().split_at(2);
    passes(&max_message(3), &[text(first).more(), continuation(second)]);
    is_too_long(
        &max_message(3),
        &[text(first).more(), continuation([second, b"a"].concat())],
    );
}

#[test]
fn max_message_does_not_count_control_frames() {
    let [first, last] = fragments([50, 50]).try_into().expect("two");
    passes(&max_message(100), &[first, ping([1; 125]), last]);
}

#[test]
fn max_message_holds_for_any_length_that_a_header_can_declare() {
    for role in ROLES {
        for len in [101, 0xffff, 0x1_0000, 1 << 32, i64::MAX as u64] {
            let key = key(peer(role), 0);
            let first = binary([0; 100]).more().encode(key);
            for (frame, before) in [(binary(""), vec![]), (continuation(""), first)] {
                let mut end = End::new(role, &max_message(100));
                end.read(&before);
                end.read(&header(&frame, len, key));
                assert_eq!(end.seen, [Seen::Failed(Error::MessageTooLong)], "{len}");
            }
        }
    }
}

#[test]
fn max_fragments_first_and_last_included() {
    passes(&max_fragments(3), &fragments([1, 1, 1]));
    has_too_many_fragments(&max_fragments(3), &fragments([1, 1, 1, 1]));
    passes(
        &max_fragments(3),
        &[fragments([1, 1, 1]), fragments([1, 1, 1])].concat(),
    );
}

#[test]
fn max_fragments_of_0_leaves_messages_in_one_frame() {
    for max in [0, 1] {
        passes(&max_fragments(max), &[text("a"), binary("b"), text("")]);
        has_too_many_fragments(&max_fragments(max), &fragments([1, 1]));
    }
}

#[test]
fn max_fragments_does_not_count_control_frames() {
    let [first, last] = fragments([1, 1]).try_into().expect("two");
    passes(
        &max_fragments(2),
        &[first, ping(""), ping(""), pong(""), last],
    );
}

#[test]
fn max_fragments_is_131072_by_default() {
    let role = Role::Server;
    let key = key(peer(role), 0);
    let (first, next) = (
        binary("a").more().encode(key),
        continuation("a").more().encode(key),
    );
    let mut end = End::new(role, &Config::default());
    end.read(&[first, next.repeat(131_070)].concat());
    end.read(&continuation("a").encode(key));
    assert!(end.take_seen() == [Seen::Binary(vec![b'a'; 131_072])]);
    end.read(&[binary("a").more().encode(key), next.repeat(131_071)].concat());
    assert_eq!(end.state(), State::Open);
    end.read(&next);
    assert_eq!(end.seen, [Seen::Failed(Error::TooManyFragments)]);
}

#[test]
fn max_empty_fragments_in_a_row() {
    passes(&max_empty_fragments(2), &fragments([0, 0, 1]));
    passes(&max_empty_fragments(2), &fragments([0, 0, 1, 0, 0]));
    has_too_many_empty_fragments(&max_empty_fragments(2), &fragments([0, 0, 0]));
    has_too_many_empty_fragments(&max_empty_fragments(2), &fragments([1, 0, 0, 0]));
    passes(
        &max_empty_fragments(2),
        &[fragments([1, 0, 0]), fragments([0, 0, 1])].concat(),
    );
}

#[test]
fn max_empty_fragments_of_0_leaves_empty_messages_in_one_frame() {
    passes(&max_empty_fragments(0), &[text(""), text(""), binary("")]);
    passes(&max_empty_fragments(0), &fragments([1, 1]));
    has_too_many_empty_fragments(&max_empty_fragments(0), &fragments([1, 0]));
    has_too_many_empty_fragments(&max_empty_fragments(0), &[text("").more()]);
}

#[test]
fn max_empty_fragments_is_32_by_default() {
    let frame = |n| if n == 0 { binary("") } else { continuation("") }.more();
    let frames: Vec<_> = (0..33).map(frame).collect();
    passes(&Config::default(), &frames[..32]);
    has_too_many_empty_fragments(&Config::default(), &frames);
}

/// What a read buffer and a connection are to their owner, without anything that remembers.
struct Reader {
    connection: Connection,
    scratch: RecvScratch,
    out: Vec<u8>,
    messages: usize,
}

impl Reader {
    fn new(role: Role, config: &Arc<Config>) -> Self {
        let config = Arc::clone(config);
        Self {
            connection: match role {
                Role::Server => Connection::server(config, Agreed::default()),
                Role::Client => {
                    Connection::client(config, Agreed::default(), MaskKeys::from_seed([7; 32]))
                }
            },
            scratch: RecvScratch::default(),
            out: Vec::new(),
            messages: 0,
        }
    }

    /// Reads `bytes`, which are unmasked where they lie.
    fn read(&mut self, bytes: &mut [u8]) {
        let mut input = Input::new(bytes);
        while self
            .connection
            .next_event(&mut input, &mut self.scratch, &mut self.out)
            .is_some()
        {
            self.messages += 1;
        }
    }
}

/// The wire bytes of a message of `len` bytes in frames of at most `size`.
fn in_frames(sender: Role, opcode: u8, data: &[u8], size: usize) -> Vec<u8> {
    let mut frames: Vec<_> = data
        .chunks(size)
        .map(|piece| continuation(piece).more())
        .collect();
    let last = frames.len() - 1;
    frames[0].opcode = opcode;
    frames[last].fin = true;
    wire(sender, &frames)
}

#[test]
fn a_declared_length_allocates_nothing() {
    for role in ROLES {
        for opcode in [1, 2] {
            let config = Arc::new(max_message(usize::MAX));
            let (frame, key) = (frame(opcode, [b'a'; 100]), key(peer(role), 0));
            let honest = header(&frame, 100, key).len();
            let mut bytes = header(&frame, 1 << 62, key);
            bytes.extend(&frame.encode(key)[honest..]);
            let taken = measure(|| {
                let mut reader = Reader::new(role, &config);
                reader.read(&mut bytes);
                assert_eq!(
                    (reader.messages, reader.connection.state()),
                    (0, State::Open)
                );
            });
            assert!(taken.bytes_max < 1024, "{taken:?}");
        }
    }
}

#[test]
fn memory_follows_what_arrived() {
    let config = Arc::new(max_message(usize::MAX));
    for role in ROLES {
        for size in [1, 1000, 4096] {
            let mut reader = Reader::new(role, &config);
            reader.read(&mut header(&binary(""), 1 << 62, key(peer(role), 0)));
            let mut held = 0;
            let mut read = vec![0; size];
            for n in 1..200 {
                let taken = measure(|| reader.read(&mut read));
                held += taken.bytes_current;
                assert!(
                    held <= 2 * (n * size) as i64,
                    "{held} bytes held for {n} times {size}"
                );
            }
        }
    }
}

#[test]
fn a_message_never_takes_more_than_twice_its_limit() {
    let max = 1 << 20;
    let config = Arc::new(max_message(max));
    let data = "水a".repeat(max / 4).into_bytes();
    for role in ROLES {
        for opcode in [1, 2] {
            for frame_size in [max, 60_001, 4096] {
                let bytes = in_frames(peer(role), opcode, &data, frame_size);
                // Reads that end inside characters.
                for read_size in [16_385, 65_537] {
                    let mut reader = Reader::new(role, &config);
                    let mut bytes = bytes.clone();
                    let taken =
                        measure(|| bytes.chunks_mut(read_size).for_each(|r| reader.read(r)));
                    assert_eq!(reader.messages, 1);
                    assert!(taken.bytes_max < 2 * max as u64 + 1024, "{taken:?}");
                }
            }
        }
    }
}

#[test]
fn joining_fragments_takes_linear_time() {
    let config = Arc::new(Config::default());
    let data = vec![b'a'; 1 << 20];
    for role in ROLES {
        for opcode in [1, 2] {
            let mut bytes = in_frames(peer(role), opcode, &data, 16);
            let mut reader = Reader::new(role, &config);
            let taken = measure(|| bytes.chunks_mut(65_536).for_each(|read| reader.read(read)));
            assert_eq!(reader.messages, 1);
            // It doubles: a few allocations, which come to twice the message, and the message.
            assert!(taken.count_total < 40, "{taken:?}");
            assert!(taken.bytes_total < 3 << 20, "{taken:?}");
        }
    }
}

#[test]
fn a_huge_message_leaves_nothing_behind() {
    let config = Arc::new(max_message(16 << 20));
    for role in ROLES {
        let mut bytes = in_frames(peer(role), 2, &vec![1; 16 << 20], 16 << 20);
        let mut reader = Reader::new(role, &config);
        let taken = measure(|| bytes.chunks_mut(65_536).for_each(|read| reader.read(read)));
        assert_eq!(reader.messages, 1);
        assert!(taken.bytes_current < 1024, "{taken:?}");
    }
}

#[test]
fn spare_memory_is_bounded_whatever_came_before() {
    let config = Arc::new(Config::default());
    let role = Role::Server;
    let bytes = in_frames(peer(role), 2, &[1; 100_000], 100_000);
    let mut scratch = RecvScratch::default();
    let mut out = Vec::new();
    let (mut begun, mut ended) = (
        vec![bytes[..50_000].to_vec(); 100],
        vec![bytes[50_000..].to_vec(); 100],
    );
    let mut connections: Vec<_> = (0..100)
        .map(|_| Connection::server(Arc::clone(&config), Agreed::default()))
        .collect();
    let mut messages = 0;
    let taken = measure(|| {
        for reads in [&mut begun, &mut ended] {
            for (connection, read) in connections.iter_mut().zip(reads) {
                let mut input = Input::new(read);
                while connection
                    .next_event(&mut input, &mut scratch, &mut out)
                    .is_some()
                {
                    messages += 1;
                }
            }
        }
    });
    assert_eq!(messages, 100);
    assert!(
        taken.bytes_max > 5_000_000,
        "all were half way at once: {taken:?}"
    );
    assert!(taken.bytes_current < (2 << 20) + 16 * 1024, "{taken:?}");
}

#[test]
fn a_quiet_connection_owns_no_memory() {
    let config = Arc::new(Config::default());
    let sent = [
        text("hello"),
        text("a").more(),
        ping("b"),
        continuation("c"),
        ping("d"),
    ];
    for role in ROLES {
        let bytes = wire(peer(role), &sent);
        let mut connection = None;
        let taken = measure(|| {
            let mut reader = Reader::new(role, &config);
            bytes
                .chunks(3)
                .for_each(|read| reader.read(&mut read.to_vec()));
            assert_eq!(reader.messages, 4);
            connection = Some(reader.connection);
        });
        let keys = match role {
            Role::Server => 0,
            Role::Client => size_of::<MaskKeys>(),
        };
        assert_eq!(taken.bytes_current, keys as i64);
        drop(connection);
    }
}

#[test]
fn answers_are_no_longer_than_what_asked_for_them() {
    // A flood of pings, read at once by somebody who cannot write.
    for role in ROLES {
        for payload in [0, 1, 125] {
            let bytes = wire(peer(role), &vec![ping(vec![0; payload]); 1000]);
            let mut end = End::new(role, &Config::default());
            end.read(&bytes);
            let masks = match role {
                Role::Server => 0,
                Role::Client => 4 * 1000,
            };
            assert!(end.out.len() <= bytes.len() + masks);
            assert_eq!(end.sent().len(), 1000);
        }
    }
}
