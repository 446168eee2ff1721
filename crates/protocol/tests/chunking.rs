//! However a stream of bytes is cut, a connection reports and answers the same, at the same byte: at every cut it has
//! come exactly as far as the naive decoder that is given all the bytes up to there at once. And whether or not it is
//! asked for whole messages first.

mod common;

use common::naive::decode;
use common::streams::{any_bytes, cases, config, role};
use common::{
    End, ROLES, Seen, binary, close, continuation, cuts, frame, header, key, peer, ping, pong,
    text, wire,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use wirefan_protocol::{CloseCode, Config, Error, Input, Role, State};

/// A connection that is open, or has just sent its Close.
fn end(role: Role, config: &Config, state: State) -> End {
    let mut end = End {
        echo: true,
        ..End::new(role, config)
    };
    if state == State::Closing {
        end.connection
            .close(CloseCode::NORMAL, "", &mut end.out)
            .expect("it is open");
        end.out.clear();
    }
    end
}

/// Reads `bytes` in pieces and compares at the end of each; returns all that was written.
#[track_caller]
fn agrees(role: Role, config: &Config, state: State, bytes: &[u8], cuts: &[usize]) -> Vec<u8> {
    let by_events = agrees_asked(false, role, config, state, bytes, cuts);
    let whole_first = agrees_asked(true, role, config, state, bytes, cuts);
    assert!(by_events == whole_first, "masking keys included");
    by_events
}

#[track_caller]
fn agrees_asked(
    whole_first: bool,
    role: Role,
    config: &Config,
    state: State,
    bytes: &[u8],
    cuts: &[usize],
) -> Vec<u8> {
    let mut end = End {
        whole_first,
        ..end(role, config, state)
    };
    let mut from = 0;
    for to in cuts.iter().copied().chain([bytes.len()]) {
        end.read(&bytes[from..to]);
        let expected = decode(role, config, state, true, &bytes[..to]);
        // Compared one by one: a long message is not to be printed thrice.
        assert_eq!(end.state(), expected.state, "at {to}");
        assert_eq!(end.seen, expected.seen, "at {to}");
        assert_eq!(end.sent(), expected.sent, "at {to}");
        from = to;
    }
    let before = (end.state(), end.seen.len(), end.out.len());
    end.end();
    let ended = (before.0 != State::Closed).then_some(Seen::Failed(Error::EndOfStream));
    assert_eq!(end.seen.get(before.1), ended.as_ref());
    assert_eq!((end.state(), end.out.len()), (State::Closed, before.2));
    end.out
}

/// A role, limits, a state to begin in, and bytes.
fn situation() -> impl Strategy<Value = (Role, Config, State, Vec<u8>)> {
    role().prop_flat_map(|role| {
        let state = prop_oneof![4 => Just(State::Open), 1 => Just(State::Closing)];
        (Just(role), config(), state, any_bytes(peer(role)))
    })
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn any_bytes_cut_anywhere_are_the_same(
        (role, config, state, bytes) in situation(),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let uncut = agrees(role, &config, state, &bytes, &[]);
        let cut = agrees(role, &config, state, &bytes, &cuts);
        prop_assert!(uncut == cut, "the same bytes, masking keys included");
    }

    #[test]
    fn any_bytes_one_by_one_are_the_same((role, config, state, mut bytes) in situation()) {
        bytes.truncate(400);
        let cuts: Vec<_> = (1..bytes.len()).collect();
        agrees(role, &config, state, &bytes, &cuts);
    }
}

/// Every first two octets that there are, with what may be a length, a key and payload behind them.
#[test]
fn every_first_two_octets_cut_wherever_a_header_may_end() {
    for role in ROLES {
        for first in 0..=255 {
            for second in 0..=255 {
                let mut bytes = vec![first, second, 0, 126];
                bytes.extend([b'a'; 14]);
                agrees(
                    role,
                    &Config::default(),
                    State::Open,
                    &bytes,
                    &[1, 2, 3, 4, 6, 8, 10, 14],
                );
            }
        }
    }
}

/// Some streams that meet every branch, in every way of cutting.
#[test]
fn chosen_streams_cut_everywhere() {
    let mut config = Config::default();
    config.max_message = 200;
    config.max_fragments = 4;
    config.max_empty_fragments = 2;
    let more = |bytes: &[u8]| continuation(bytes).more();
    let streams = [
        vec![
            text("水"),
            ping("x"),
            binary([0x82; 126]),
            pong(""),
            close(1000, "é"),
        ],
        vec![
            text("a\u{10ffff}").more(),
            ping("x"),
            more(b"\xf0\x9f"),
            continuation(b"\x92\xa9"),
        ],
        vec![
            text("").more(),
            more(b"\xe6"),
            more(b""),
            more(b"\xb0"),
            continuation(""),
        ],
        vec![text("").more(), more(b""), continuation("")],
        vec![text("abc").more(), more(b"\xe6\xb0"), continuation("a")],
        vec![binary([1; 150]).more(), continuation([2; 51])],
        vec![text([b'a'; 201])],
        vec![
            binary("").more(),
            ping([9; 125]),
            close(4999, ""),
            text("late"),
        ],
        vec![text(b"\xed\xa0\x80".repeat(30))],
        vec![frame(8, [0x03])],
    ];
    for role in ROLES {
        for frames in &streams {
            let bytes = wire(peer(role), frames);
            for cuts in cuts(bytes.len()) {
                agrees(role, &config, State::Open, &bytes, &cuts);
            }
        }
    }
}

/// The limit is met by what a header says, before any payload is there.
#[test]
fn a_message_that_is_declared_too_long_fails_with_the_last_byte_of_its_header() {
    for role in ROLES {
        let bytes = header(&binary(""), 1 << 62, key(peer(role), 0));
        let (last, before) = bytes.split_last().expect("a header");
        for cuts in cuts(before.len()) {
            let mut end = End::new(role, &Config::default());
            end.read_cut(before, &cuts);
            assert_eq!(end.seen, []);
            end.read(&[*last]);
            assert_eq!(end.seen, [Seen::Failed(Error::MessageTooLong)]);
        }
    }
}

/// Whoever overlooks that there was an event to ask for gets nothing behind it.
#[test]
fn section_8_1_behind_text_that_is_none_nothing_is_whole() {
    let mut end = End::new(Role::Server, &Config::default());
    let mut bytes = wire(Role::Client, &[text([0xff]), text("late")]);
    let mut later = bytes.clone();
    for bytes in [&mut bytes, &mut later] {
        let mut input = Input::new(bytes);
        assert_eq!(end.connection.next_whole(&mut input), None);
        let _ = input.into_rest();
    }
    end.read(&[]);
    assert_eq!(end.seen, [Seen::Failed(Error::InvalidUtf8)]);
    assert_eq!(end.sent(), [common::failure(Error::InvalidUtf8)]);
}
