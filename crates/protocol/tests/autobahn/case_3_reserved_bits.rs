//! Cases 3.*: reserved bits that no extension gave a meaning. The echo of what came before is written first.

use wirefan_protocol::Error;

use crate::common::{Raw, binary, frame, ping, text};
use crate::fails;

fn fails_behind_an_echo(bits: u8) {
    let hello = text("Hello, world!");
    let sent = [hello.clone(), hello.clone().rsv(bits), ping("")];
    fails(&sent, &[hello], Error::ReservedBits);
}

fn fails_alone(sent: Raw) {
    fails(&[sent], &[], Error::ReservedBits);
}

#[test]
fn case_3_1_rsv_1_on_a_text() {
    fails_alone(text("Hello, world!").rsv(1));
}

#[test]
fn case_3_2_rsv_2_on_the_second_text() {
    fails_behind_an_echo(2);
}

#[test]
fn case_3_3_rsv_3_on_the_second_text() {
    fails_behind_an_echo(3);
}

#[test]
fn case_3_4_rsv_4_on_the_second_text() {
    fails_behind_an_echo(4);
}

#[test]
fn case_3_5_rsv_5_on_a_binary_message() {
    fails_alone(binary(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff").rsv(5));
}

#[test]
fn case_3_6_rsv_6_on_a_ping() {
    fails_alone(ping("Hello, world!").rsv(6));
    // The suite says ping and sends a binary message.
    fails_alone(binary("Hello, world!").rsv(6));
}

#[test]
fn case_3_7_rsv_7_on_a_close() {
    fails_alone(frame(8, "").rsv(7));
}
