//! Cases 4.1.*, 4.2.*: reserved opcodes. The echo of what came before is written first.

use wirefan_protocol::Error;

use crate::common::{frame, ping, text};
use crate::fails;

fn fails_alone(opcode: u8, payload: &str) {
    fails(&[frame(opcode, payload)], &[], Error::UnknownOpcode(opcode));
}

fn fails_behind_an_echo(opcode: u8, payload: &str) {
    let hello = text("Hello, world!");
    let sent = [hello.clone(), frame(opcode, payload), ping("")];
    fails(&sent, &[hello], Error::UnknownOpcode(opcode));
}

#[test]
fn case_4_1_1_opcode_3() {
    fails_alone(3, "");
}

#[test]
fn case_4_1_2_opcode_4_with_payload() {
    fails_alone(4, "reserved opcode payload");
}

#[test]
fn case_4_1_3_opcode_5_behind_a_text() {
    fails_behind_an_echo(5, "");
}

#[test]
fn case_4_1_4_opcode_6_with_payload_behind_a_text() {
    fails_behind_an_echo(6, "Hello, world!");
}

#[test]
fn case_4_1_5_opcode_7_with_payload_behind_a_text() {
    fails_behind_an_echo(7, "Hello, world!");
}

#[test]
fn case_4_2_1_opcode_11() {
    fails_alone(11, "");
}

#[test]
fn case_4_2_2_opcode_12_with_payload() {
    fails_alone(12, "reserved opcode payload");
}

#[test]
fn case_4_2_3_opcode_13_behind_a_text() {
    fails_behind_an_echo(13, "");
}

#[test]
fn case_4_2_4_opcode_14_with_payload_behind_a_text() {
    fails_behind_an_echo(14, "Hello, world!");
}

#[test]
fn case_4_2_5_opcode_15_with_payload_behind_a_text() {
    fails_behind_an_echo(15, "Hello, world!");
}
