//! Cases 2.*: pings and pongs.

use wirefan_protocol::Error;

use crate::common::{End, ROLES, Raw, peer, ping, pong, wire};
use crate::{echoes, fails};

/// The pong comes with the ping's last octet.
fn pong_in_octet_wise_chops(pings: &[Raw]) {
    for role in ROLES {
        let mut end = End::echo(role);
        for sent in pings {
            let bytes = wire(peer(role), std::slice::from_ref(sent));
            for octet in bytes.chunks(1) {
                assert!(end.out.is_empty());
                end.read(octet);
            }
            assert_eq!(end.take_sent(), [pong(&sent.payload)], "{role:?}");
        }
    }
}

fn ten(frame: fn(String) -> Raw) -> Vec<Raw> {
    (0..10).map(|i| frame(format!("payload-{i}"))).collect()
}

#[test]
fn case_2_1_a_ping_without_payload() {
    echoes(&[ping("")], &[pong("")]);
}

#[test]
fn case_2_2_a_ping_with_a_text() {
    echoes(&[ping("Hello, world!")], &[pong("Hello, world!")]);
}

#[test]
fn case_2_3_a_ping_that_is_not_utf_8() {
    let payload = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff";
    echoes(&[ping(payload)], &[pong(payload)]);
}

#[test]
fn case_2_4_a_ping_of_125_octets() {
    echoes(&[ping([0xfe; 125])], &[pong([0xfe; 125])]);
}

#[test]
fn case_2_5_a_ping_of_126_octets_fails() {
    fails(&[ping([0xfe; 126])], &[], Error::ControlTooLong);
}

#[test]
fn case_2_6_a_ping_of_125_octets_in_octet_wise_chops() {
    pong_in_octet_wise_chops(&[ping([0xfe; 125])]);
}

#[test]
fn case_2_7_an_unsolicited_pong_is_not_answered() {
    echoes(&[pong("")], &[]);
}

#[test]
fn case_2_8_an_unsolicited_pong_with_payload_is_not_answered() {
    echoes(&[pong("unsolicited pong payload")], &[]);
}

#[test]
fn case_2_9_an_unsolicited_pong_and_then_a_ping() {
    let sent = [pong("unsolicited pong payload"), ping("ping payload")];
    echoes(&sent, &[pong("ping payload")]);
}

#[test]
fn case_2_10_ten_pings_get_ten_pongs_in_order() {
    echoes(&ten(ping), &ten(pong));
}

#[test]
fn case_2_11_ten_pings_in_octet_wise_chops() {
    pong_in_octet_wise_chops(&ten(ping));
}
