//! Who is let in, who is remembered, and for how long.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use super::*;
use proptest::prelude::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn limits(connections: Option<u32>, handshakes: Option<(u32, u32)>) -> AddressLimits {
    let number = |number| NonZeroU32::new(number).unwrap();
    AddressLimits {
        connections,
        handshakes: handshakes.map(|(rate, burst)| Rate::new(number(rate), number(burst))),
        ..AddressLimits::default()
    }
}

/// The n-th /64 of somebody who has many.
fn prefix(n: u64) -> IpAddr {
    Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) + (u128::from(n) << 64)).into()
}

fn handshakes_refused(result: &Result<Permit, AddressRefused>) -> bool {
    matches!(result, Err(AddressRefused::TooManyHandshakes { .. }))
}

#[test]
fn connections_are_counted_by_address_and_by_v6_network() {
    let table = PerAddress::new(limits(Some(2), None));
    let _first = table.admit(ip("192.0.2.1"), Millis(0)).unwrap();
    let second = table.admit(ip("::ffff:192.0.2.1"), Millis(0)).unwrap();
    let refused = table.admit(ip("192.0.2.1"), Millis(0)).unwrap_err();
    assert_eq!(refused, AddressRefused::TooManyConnections);
    let _other = table.admit(ip("192.0.2.2"), Millis(0)).unwrap();
    assert_eq!(table.connections(ip("192.0.2.1")), 2);
    drop(second);
    let _again = table.admit(ip("192.0.2.1"), Millis(0)).unwrap();

    let _v6 = table.admit(ip("2001:db8:0:1::1"), Millis(0)).unwrap();
    let _same = table.admit(ip("2001:db8:0:1:ffff::2"), Millis(0)).unwrap();
    assert!(table.admit(ip("2001:db8:0:1::3"), Millis(0)).is_err());
    let _next = table.admit(ip("2001:db8:0:2::1"), Millis(0)).unwrap();
    // The loopback's network begins with the same bits as nothing of IPv4.
    assert_eq!(table.connections(ip("::1")), 0);
}

#[test]
fn a_wider_v6_network_can_count_as_one() {
    for (v6_prefix, one) in [
        (56, true),
        (0, true),
        (57, false),
        (64, false),
        (255, false),
    ] {
        let mut limits = limits(Some(1), None);
        limits.v6_prefix = v6_prefix;
        let table = PerAddress::new(limits);
        let _first = table.admit(ip("2001:db8::1"), Millis(0)).unwrap();
        let second = table.admit(ip("2001:db8:0:80::1"), Millis(0));
        assert_eq!(second.is_err(), one, "{v6_prefix}");
    }
}

#[test]
fn an_address_without_connections_leaves_nothing_where_handshakes_are_free() {
    let table = PerAddress::new(limits(Some(1), None));
    let permits: Vec<_> = (0..1000)
        .map(|n| table.admit(prefix(n), Millis(0)).unwrap())
        .collect();
    assert_eq!(table.len(), 1000);
    drop(permits);
    assert!(table.is_empty());
    let none = PerAddress::new(limits(Some(0), None));
    assert!(none.admit(ip("::1"), Millis(0)).is_err() && none.is_empty());
}

#[test]
fn handshakes_come_at_their_rate() {
    let table = PerAddress::new(limits(None, Some((2, 3))));
    for _ in 0..3 {
        drop(table.admit(ip("192.0.2.1"), Millis(0)).unwrap());
    }
    let refused = table.admit(ip("192.0.2.1"), Millis(100)).unwrap_err();
    let retry_after = Duration::from_millis(400);
    assert_eq!(refused, AddressRefused::TooManyHandshakes { retry_after });
    assert_eq!(refused.retry_after_secs(), 1);
    assert!(table.admit(ip("192.0.2.2"), Millis(100)).is_ok());
    assert!(table.admit(ip("192.0.2.1"), Millis(500)).is_ok());
    assert!(table.admit(ip("192.0.2.1"), Millis(501)).is_err());
}

#[test]
fn a_handshake_that_finds_no_room_has_been_one() {
    let table = PerAddress::new(limits(Some(1), Some((1, 3))));
    let _permit = table.admit(ip("192.0.2.1"), Millis(0)).unwrap();
    for _ in 0..2 {
        let refused = table.admit(ip("192.0.2.1"), Millis(0)).unwrap_err();
        assert_eq!(refused, AddressRefused::TooManyConnections);
    }
    assert!(handshakes_refused(&table.admit(ip("192.0.2.1"), Millis(0))));
    assert_eq!(table.connections(ip("192.0.2.1")), 1);
}

#[test]
fn who_is_idle_and_full_again_goes_away() {
    let table = PerAddress::new(limits(None, Some((1, 2))));
    for n in 0..1000 {
        drop(table.admit(prefix(n), Millis(10_000)).unwrap());
    }
    assert_eq!(table.len(), 1000);
    table.sweep(Millis(11_999));
    assert_eq!(table.len(), 1000, "not full yet");
    // A bucket takes two seconds to fill; twice that is enough for whoever came last in a generation.
    table.sweep(Millis(12_000));
    table.sweep(Millis(14_000));
    assert!(table.is_empty());
    drop(table.admit(prefix(0), Millis(20_000)).unwrap());
    table.sweep(Millis(99_000));
    assert!(table.is_empty());
}

#[test]
fn a_flood_of_networks_is_bounded_and_keeps_no_stranger_out() {
    let mut limits = limits(Some(5), Some((1, 1)));
    limits.remembered = 10_000;
    let table = PerAddress::new(limits);
    let held: Vec<_> = (0..500)
        .map(|n| table.admit(prefix(1_000_000 + n), Millis(0)).unwrap())
        .collect();
    for n in 0..100_000 {
        assert!(table.admit(prefix(n), Millis(0)).is_ok(), "{n}");
        // A stranger now and then, who has nothing to do with it.
        if n % 1000 == 0 {
            let stranger = Ipv4Addr::from_bits(u32::try_from(n).unwrap() + (1 << 28));
            assert!(table.admit(stranger.into(), Millis(0)).is_ok());
        }
    }
    let rounded_up = 10_000_usize.div_ceil(128) * 128;
    assert!(table.len() <= rounded_up + held.len(), "{}", table.len());
    // Those with connections are counted as before, and their buckets are as empty.
    for n in 0..500 {
        assert_eq!(table.connections(prefix(1_000_000 + n)), 1);
        assert!(handshakes_refused(
            &table.admit(prefix(1_000_000 + n), Millis(0))
        ));
    }
}

#[test]
fn who_keeps_trying_is_not_forgotten_in_a_flood() {
    let mut limits = limits(None, Some((1, 1)));
    limits.remembered = 12_800;
    let table = PerAddress::new(limits);
    let pest = ip("192.0.2.1");
    drop(table.admit(pest, Millis(0)).unwrap());
    for n in 0..50_000 {
        drop(table.admit(prefix(n), Millis(0)).unwrap());
        // A hundred in each generation of its part, and the pest comes once for every twenty or so of them.
        if n % 1280 == 0 {
            assert!(handshakes_refused(&table.admit(pest, Millis(0))), "{n}");
        }
    }
}

#[test]
fn after_a_storm_the_room_is_given_back() {
    let table = PerAddress::new(limits(None, None));
    let permits: Vec<_> = (0..100_000)
        .map(|n| table.admit(prefix(n), Millis(0)).unwrap())
        .collect();
    drop(permits);
    let room = |shard: &Mutex<Shard>| locked(shard).room();
    assert!(table.0.shards.iter().map(room).sum::<usize>() < 100 * SHARDS);
}

#[test]
fn threads_count_together() {
    let table = PerAddress::new(limits(Some(8), Some((1_000_000, 1_000_000))));
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let table = table.clone();
            scope.spawn(move || {
                let mut held = Vec::new();
                for n in 0..5000_u64 {
                    held.extend(table.admit(prefix((n * 7 + seed) % 13), Millis(n)));
                    if held.len() > 40 {
                        drop(held.swap_remove(usize::try_from(n).unwrap() % 40));
                    }
                    assert!(table.connections(prefix(n % 13)) <= 8);
                }
            });
        }
    });
    assert!((0..13).all(|n| table.connections(prefix(n)) == 0));
    table.sweep(Millis(1_000_000));
    assert!(table.is_empty());
}

#[test]
fn an_entry_is_small() {
    assert_eq!(size_of::<(Key, crate::Bucket)>(), 32);
    assert_eq!(Shard::ENTRY, 48);
}

proptest! {
    /// With room for all, the table answers as one that never forgets anything.
    #[test]
    fn forgetting_who_is_full_changes_no_answer(
        steps in proptest::collection::vec((0_u64..4, 0_u64..2500, 0_u8..3), 1..200),
        most in proptest::option::of(0_u32..4), rate in 1_u32..4, burst in 1_u32..5,
    ) {
        let limits = limits(most, Some((rate, burst)));
        let rate = limits.handshakes.unwrap();
        let table = PerAddress::new(limits);
        let mut model: HashMap<u64, (u32, crate::Bucket)> = HashMap::new();
        let mut permits: Vec<(u64, Permit)> = Vec::new();
        let mut now = Millis(0);
        for (who, pause, what) in steps {
            now.0 += pause;
            // All parts, as if somebody else were asking there: what is forgotten too early is missed here.
            table.sweep(now);
            let (connections, bucket) = model
                .entry(who)
                .or_insert_with(|| (0, crate::Bucket::new(rate, Millis(0))));
            if what == 0 {
                if let Some(at) = permits.iter().position(|(other, _)| *other == who) {
                    drop(permits.swap_remove(at));
                    *connections -= 1;
                }
            } else {
                let expected = match bucket.take(1, rate, now) {
                    Err(retry_after) => Err(AddressRefused::TooManyHandshakes { retry_after }),
                    Ok(()) if most.is_some_and(|most| *connections >= most) => {
                        Err(AddressRefused::TooManyConnections)
                    }
                    Ok(()) => Ok(()),
                };
                let answer = table.admit(prefix(who), now);
                prop_assert_eq!(answer.as_ref().map(|_| ()).map_err(|why| *why), expected);
                if let Ok(permit) = answer {
                    permits.push((who, permit));
                    *connections += 1;
                }
            }
            prop_assert_eq!(table.connections(prefix(who)), *connections);
        }
    }
}
