//! The cases 1 to 7 of the Autobahn TestSuite (25.10.1), retold on a connection without a socket: with the suite's
//! numbers in their names and its payloads, strictly, in both roles, and with the input cut in every way.
//! The suite's own way of cutting ("in octet-wise chops") is therefore part of every case.

#[path = "../common/mod.rs"]
mod common;

mod case_1_framing;
mod case_2_pings;
mod case_3_reserved_bits;
mod case_4_opcodes;
mod case_5_fragmentation;
mod case_6_utf8;
mod case_6_utf8_stress;
mod case_7_closing;

use wirefan_protocol::{Error, Role, State};

use common::{End, ROLES, Raw, Seen, close, cuts, failure, key, peer, wire};

/// What is `sent` is answered by exactly `answered`, whatever the cuts; returns the events.
#[track_caller]
fn answers(sent: &[Raw], answered: &[Raw]) -> Vec<Seen> {
    let mut seen = Vec::new();
    for role in ROLES {
        let bytes = wire(peer(role), sent);
        let mut uncut = End::echo(role);
        uncut.read(&bytes);
        assert_eq!(uncut.sent(), answered, "{role:?}");
        for cuts in cuts(bytes.len()) {
            let mut end = End::echo(role);
            end.read_cut(&bytes, &cuts);
            // Equal out means equal frames; compared as bytes, for speed, and without printing them.
            assert!(end.out == uncut.out, "{role:?} cut at {:?}", cuts.first());
            assert!(end.seen == uncut.seen, "{role:?} cut at {:?}", cuts.first());
        }
        seen = uncut.seen;
    }
    seen
}

/// A case without a violation, and the suite's Close behind it.
#[track_caller]
fn echoes(sent: &[Raw], answered: &[Raw]) {
    let closing = [close(1000, "")];
    let seen = answers(&[sent, &closing].concat(), &[answered, &closing].concat());
    assert_eq!(seen.last(), Some(&Seen::Close(Some((1000, String::new())))));
}

/// A case with a violation, behind which nothing counts.
#[track_caller]
fn fails(sent: &[Raw], answered: &[Raw], error: Error) {
    let seen = answers(sent, &[answered, &[failure(error)]].concat());
    assert_eq!(seen.last(), Some(&Seen::Failed(error)));
}

/// As [`fails`], and not before the `octet`th octet (from 0) of the payloads has come, nor after.
#[track_caller]
fn fails_at(octet: usize, sent: &[Raw], error: Error) {
    fails(sent, &[], error);
    for role in ROLES {
        let bytes = wire(peer(role), sent);
        let at = place_of(octet, role, sent);
        for cuts in cuts(at) {
            let mut end = End::echo(role);
            end.read_cut(&bytes[..at], &cuts);
            assert_eq!(
                (end.sent(), end.state()),
                (vec![], State::Open),
                "{role:?} before"
            );
            end.read(&bytes[at..=at]);
            assert_eq!(end.sent(), [failure(error)], "{role:?} at the octet");
            assert_eq!(end.state(), State::Closed);
        }
    }
}

/// Where on the wire the `octet`th octet of the payloads is.
fn place_of(mut octet: usize, role: Role, sent: &[Raw]) -> usize {
    let mut at = 0;
    for (n, frame) in sent.iter().enumerate() {
        let len = frame.encode(key(peer(role), n)).len();
        if octet < frame.payload.len() {
            return at + len - frame.payload.len() + octet;
        }
        octet -= frame.payload.len();
        at += len;
    }
    panic!("the payloads are shorter than that");
}
