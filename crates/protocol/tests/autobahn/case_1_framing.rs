//! Cases 1.1.*, 1.2.*: messages of the lengths where headers change their form.

use crate::common::{End, ROLES, Raw, binary, peer, text, wire};
use crate::echoes;

fn echo(message: Raw) {
    echoes(
        std::slice::from_ref(&message),
        std::slice::from_ref(&message),
    );
}

fn echo_in_chops_of_997(message: Raw) {
    for role in ROLES {
        let mut end = End::echo(role);
        let bytes = wire(peer(role), std::slice::from_ref(&message));
        for chop in bytes.chunks(997) {
            assert!(end.out.is_empty());
            end.read(chop);
        }
        assert!(end.sent() == [message.clone()], "{role:?}");
    }
}

#[test]
fn case_1_1_1_a_text_of_0_bytes() {
    echo(text(""));
}

#[test]
fn case_1_1_2_a_text_of_125_bytes() {
    echo(text([b'*'; 125]));
}

#[test]
fn case_1_1_3_a_text_of_126_bytes() {
    echo(text([b'*'; 126]));
}

#[test]
fn case_1_1_4_a_text_of_127_bytes() {
    echo(text([b'*'; 127]));
}

#[test]
fn case_1_1_5_a_text_of_128_bytes() {
    echo(text([b'*'; 128]));
}

#[test]
fn case_1_1_6_a_text_of_65535_bytes() {
    echo(text([b'*'; 65535]));
}

#[test]
fn case_1_1_7_a_text_of_65536_bytes() {
    echo(text([b'*'; 65536]));
}

#[test]
fn case_1_1_8_a_text_of_65536_bytes_in_chops_of_997() {
    echo_in_chops_of_997(text([b'*'; 65536]));
}

#[test]
fn case_1_2_1_a_binary_message_of_0_bytes() {
    echo(binary(""));
}

#[test]
fn case_1_2_2_a_binary_message_of_125_bytes() {
    echo(binary([0xfe; 125]));
}

#[test]
fn case_1_2_3_a_binary_message_of_126_bytes() {
    echo(binary([0xfe; 126]));
}

#[test]
fn case_1_2_4_a_binary_message_of_127_bytes() {
    echo(binary([0xfe; 127]));
}

#[test]
fn case_1_2_5_a_binary_message_of_128_bytes() {
    echo(binary([0xfe; 128]));
}

#[test]
fn case_1_2_6_a_binary_message_of_65535_bytes() {
    echo(binary([0xfe; 65535]));
}

#[test]
fn case_1_2_7_a_binary_message_of_65536_bytes() {
    echo(binary([0xfe; 65536]));
}

#[test]
fn case_1_2_8_a_binary_message_of_65536_bytes_in_chops_of_997() {
    echo_in_chops_of_997(binary([0xfe; 65536]));
}
