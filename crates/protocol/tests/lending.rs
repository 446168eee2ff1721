//! A large message that is read straight into where it belongs is the same as one that comes through the input.

mod common;

use common::{End, ROLES, Raw, Seen, binary, continuation, peer, ping, text, wire};
use proptest::collection::vec;
use proptest::prelude::*;
use wirefan_protocol::{Config, Event, Input, Role};

/// Reads `bytes` in pieces of these lengths, the last again and again, with `lend` wherever it lends, or without.
fn read(role: Role, bytes: &[u8], pieces: &[usize], lending: bool) -> (End, usize) {
    let (mut end, mut lent) = (End::new(role, &config()), 0);
    end.echo = true;
    read_into(&mut end, bytes, pieces, lending, &mut lent);
    (end, lent)
}

fn read_into(end: &mut End, mut bytes: &[u8], pieces: &[usize], lending: bool, lent: &mut usize) {
    let mut pieces = pieces.iter().chain(pieces.last().into_iter().cycle());
    while !bytes.is_empty() {
        let len = pieces.next().map_or(1, |len| *len).min(bytes.len());
        let (mut piece, rest) = bytes.split_at(len);
        bytes = rest;
        if lending && let Some(place) = end.connection.lend() {
            let len = place.len().min(piece.len());
            let (direct, rest) = piece.split_at(len);
            place[..len].copy_from_slice(direct);
            end.connection.filled(len);
            *lent += len;
            piece = rest;
        }
        end.read(piece);
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.max_message = 400_000;
    config
}

fn payload(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|i| (i as u8).wrapping_mul(31) ^ seed)
        .collect()
}

/// A frame, whole or the beginning of a message with a ping in its midst.
fn frames() -> impl Strategy<Value = Vec<Raw>> {
    let len = prop_oneof![0_usize..300, 16_000_usize..200_000];
    (len, any::<u8>(), 0..4).prop_map(|(len, seed, kind)| match kind {
        0 => vec![text("x".repeat(len))],
        1 => vec![
            binary(payload(len, seed)).more(),
            ping("here"),
            continuation(payload(len / 2, seed)),
        ],
        _ => vec![binary(payload(len, seed))],
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 200 }))]

    #[test]
    fn what_is_lent_changes_nothing(
        messages in vec(frames(), 1..6),
        pieces in vec(prop_oneof![1_usize..40, 1_000_usize..100_000], 1..8),
        of_server in any::<bool>(),
    ) {
        let role = ROLES[usize::from(of_server)];
        let bytes = wire(peer(role), &messages.concat());
        let pieces = [&pieces[..], &[50_000]].concat();
        let (plain, _) = read(role, &bytes, &pieces, false);
        let (direct, _) = read(role, &bytes, &pieces, true);
        prop_assert!(plain.seen == direct.seen && plain.out == direct.out);
    }
}

#[test]
fn a_large_message_is_lent_what_has_arrived_of_it_and_all_the_memory_of_the_last_one() {
    for role in ROLES {
        let bytes = wire(peer(role), &[binary(payload(300_000, 1))]);
        let (mut end, lent) = read(role, &bytes, &[100_000, 1_000_000], true);
        // What came first was copied; then twice as much is there at most.
        assert!((99_000..200_001).contains(&lent), "{lent}");
        let mut again = 0;
        read_into(&mut end, &bytes, &[1_000, 1_000_000], true, &mut again);
        assert!(again >= 298_000, "{again}");
        let [Seen::Binary(first), Seen::Binary(second)] = &end.seen[..] else {
            panic!("two messages");
        };
        assert!(*first == payload(300_000, 1) && first == second);
    }
}

#[test]
fn nothing_is_lent_on_the_strength_of_an_announcement() {
    for role in ROLES {
        let bytes = wire(peer(role), &[binary(payload(300_000, 1))]);
        let (mut end, _) = read(role, &bytes[..14], &[14], true);
        assert!(end.connection.lends() && end.connection.lend().is_none());
        end.read(&bytes[14..2000]);
        assert!(end.connection.lend().is_none());
        end.read(&bytes[2000..40_000]);
        assert!(end.connection.lend().unwrap().len() <= 40_000);
    }
}

#[test]
fn what_lay_in_lent_memory_is_never_seen() {
    for role in ROLES {
        let secret = wire(peer(role), &[binary(vec![0x53; 300_000])]);
        let (mut end, _) = read(role, &secret, &[50_000], true);
        // The same memory, of which little is filled, in three ways to the end of a message.
        let short = wire(
            peer(role),
            &[
                binary(payload(40_000, 2)).more(),
                continuation(payload(10, 2)),
            ],
        );
        let mut lent = 0;
        read_into(&mut end, &short, &[20_000], true, &mut lent);
        assert!(lent > 0);
        let Some(Seen::Binary(data)) = end.seen.last() else {
            panic!("a message");
        };
        let expected = [payload(40_000, 2), payload(10, 2)].concat();
        assert!(*data == expected);
        end.read(&short[..20_000]);
        assert!(end.connection.lend().is_some());
        end.end();
        let text = wire(peer(role), &[text("a").more(), continuation("b")]);
        let mut end = End {
            connection: End::new(role, &config()).connection,
            ..end
        };
        end.read(&text);
        assert_eq!(end.seen.last(), Some(&Seen::Text("ab".into())));
    }
}

#[test]
fn the_memory_of_a_lent_message_can_be_kept() {
    for role in ROLES {
        let bytes = wire(peer(role), &[binary(payload(100_000, 3))]);
        let mut end = End::new(role, &config());
        let (first, rest) = bytes.split_at(60_000);
        end.read(first);
        end.connection.lend().unwrap()[..rest.len()].copy_from_slice(rest);
        end.connection.filled(rest.len());
        let mut input = Input::new(&mut []);
        let event = (end.connection).next_event(&mut input, &mut end.scratch, &mut end.out);
        assert!(matches!(event, Some(Event::Binary(data)) if data == payload(100_000, 3)));
        assert!(end.scratch.take_binary().unwrap() == payload(100_000, 3));
    }
}
