//! Cases 6.1.* to 6.4.*: texts, whole and in fragments, and that a bad one fails at its first bad octet.

use wirefan_protocol::Error;

use crate::common::{Raw, continuation, text};
use crate::{echoes, fails_at};

/// The suite's source is read as UTF-8.
const HELLO: &str = "Hello-µ@ßöäüàá-UTF-8!!";
/// κόσμε, with the accent as a character of its own kind.
const KOSME: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";
/// Bad at octet 12: a surrogate.
const SURROGATE: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";
/// Bad at octet 12: the number 0x110000.
const TOO_HIGH: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited";

/// A text in these fragments.
fn fragments(pieces: &[&[u8]]) -> Vec<Raw> {
    let mut frames: Vec<_> = pieces
        .iter()
        .map(|piece| continuation(piece).more())
        .collect();
    frames[0].opcode = 1;
    frames[pieces.len() - 1].fin = true;
    frames
}

fn octets(payload: &[u8]) -> Vec<Raw> {
    fragments(&payload.chunks(1).collect::<Vec<_>>())
}

#[test]
fn case_6_1_1_an_empty_text() {
    echoes(&[text("")], &[text("")]);
}

#[test]
fn case_6_1_2_three_empty_fragments() {
    echoes(&fragments(&[b"", b"", b""]), &[text("")]);
}

#[test]
fn case_6_1_3_a_fragment_between_empty_ones() {
    let payload = b"middle frame payload";
    echoes(&fragments(&[b"", payload, b""]), &[text(payload)]);
}

#[test]
fn case_6_2_1_a_text() {
    echoes(&[text(HELLO)], &[text(HELLO)]);
}

#[test]
fn case_6_2_2_a_text_in_two_fragments_cut_between_characters() {
    let (first, second) = ("Hello-µ@ßöä", "üàá-UTF-8!!");
    let sent = fragments(&[first.as_bytes(), second.as_bytes()]);
    echoes(&sent, &[text(HELLO)]);
}

#[test]
fn case_6_2_3_a_text_in_fragments_of_one_octet() {
    echoes(&octets(HELLO.as_bytes()), &[text(HELLO)]);
}

#[test]
fn case_6_2_4_another_text_in_fragments_of_one_octet() {
    echoes(&octets(KOSME), &[text(KOSME)]);
}

#[test]
fn case_6_3_1_a_bad_text() {
    fails_at(12, &[text(SURROGATE)], Error::InvalidUtf8);
}

#[test]
fn case_6_3_2_a_bad_text_in_fragments_of_one_octet() {
    fails_at(12, &octets(SURROGATE), Error::InvalidUtf8);
}

#[test]
fn case_6_4_1_fails_at_the_first_bad_octet_of_the_second_fragment() {
    let sent = fragments(&[&TOO_HIGH[..11], &TOO_HIGH[11..15], &TOO_HIGH[15..]]);
    fails_at(12, &sent, Error::InvalidUtf8);
}

#[test]
fn case_6_4_2_fails_at_the_first_bad_octet() {
    let sent = fragments(&[&TOO_HIGH[..12], &TOO_HIGH[12..13], &TOO_HIGH[13..]]);
    fails_at(12, &sent, Error::InvalidUtf8);
}

#[test]
fn case_6_4_3_6_4_4_fails_at_the_first_bad_octet_inside_a_frame() {
    fails_at(12, &[text(TOO_HIGH)], Error::InvalidUtf8);
}
