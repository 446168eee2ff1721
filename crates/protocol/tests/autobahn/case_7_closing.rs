//! Cases 7.*: the closing handshake, what comes behind a Close, its payload and its codes.

use wirefan_protocol::Error;

use crate::common::{CLOSE, Raw, Seen, close, continuation, frame, ping, text};
use crate::{answers, fails};

/// Frames with a Close of 1000 among them, behind which nothing counts.
fn closes_normally(sent: &[Raw], echoes: &[Raw]) {
    let seen = answers(sent, &[echoes, &[close(1000, "")]].concat());
    assert_eq!(seen.last(), Some(&Seen::Close(Some((1000, String::new())))));
}

/// A Close that is answered with its own code.
fn is_answered(code: u16, reason: &str) {
    let seen = answers(&[close(code, reason)], &[close(code, "")]);
    assert_eq!(seen, [Seen::Close(Some((code, reason.into())))]);
}

fn is_refused(code: u16) {
    fails(&[close(code, "")], &[], Error::InvalidClose);
}

#[test]
fn case_7_1_1_a_text_and_a_close() {
    let hello = text("Hello World!");
    closes_normally(&[hello.clone(), close(1000, "")], &[hello]);
}

#[test]
fn case_7_1_2_a_second_close_is_ignored() {
    closes_normally(&[close(1000, ""), frame(CLOSE, "")], &[]);
}

#[test]
fn case_7_1_3_a_ping_behind_a_close_is_ignored() {
    closes_normally(&[close(1000, ""), ping("")], &[]);
}

#[test]
fn case_7_1_4_a_text_behind_a_close_is_ignored() {
    closes_normally(&[close(1000, ""), text("Hello World!")], &[]);
}

#[test]
fn case_7_1_5_a_close_inside_a_fragmented_message() {
    let (first, second) = (text("fragment1").more(), continuation("fragment2"));
    closes_normally(&[first, close(1000, ""), second], &[]);
}

#[test]
fn case_7_1_6_a_long_text_a_close_and_a_ping() {
    let long: String = "BAsd7&jh23".chars().cycle().take(256 * 1024).collect();
    let texts = [text(long), text("Hello World!")];
    closes_normally(&[&texts[..], &[close(1000, ""), ping("")]].concat(), &texts);
}

#[test]
fn case_7_3_1_a_close_without_payload() {
    let seen = answers(&[frame(CLOSE, "")], &[frame(CLOSE, "")]);
    assert_eq!(seen, [Seen::Close(None)]);
}

#[test]
fn case_7_3_2_a_close_of_one_byte_fails() {
    fails(&[frame(CLOSE, "a")], &[], Error::InvalidClose);
}

#[test]
fn case_7_3_3_a_close_with_a_code() {
    is_answered(1000, "");
}

#[test]
fn case_7_3_4_a_close_with_a_code_and_a_reason() {
    is_answered(1000, "Hello World!");
}

#[test]
fn case_7_3_5_a_close_with_a_reason_of_123_bytes() {
    is_answered(1000, &"*".repeat(123));
}

#[test]
fn case_7_3_6_a_close_with_a_reason_of_124_bytes_fails() {
    fails(&[close(1000, [b'*'; 124])], &[], Error::ControlTooLong);
}

#[test]
fn case_7_5_1_a_reason_that_is_not_utf_8_fails() {
    let reason = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";
    fails(&[close(1000, reason)], &[], Error::InvalidUtf8);
}

/// One test for each code of a list.
macro_rules! codes {
    ($check:ident: $($name:ident $code:literal)*) => {
        $(
            #[test]
            fn $name() {
                $check($code);
            }
        )*
    };
}

fn is_echoed(code: u16) {
    is_answered(code, "");
}

codes! { is_echoed:
    case_7_7_1_code_1000 1000
    case_7_7_2_code_1001 1001
    case_7_7_3_code_1002 1002
    case_7_7_4_code_1003 1003
    case_7_7_5_code_1007 1007
    case_7_7_6_code_1008 1008
    case_7_7_7_code_1009 1009
    case_7_7_8_code_1010 1010
    case_7_7_9_code_1011 1011
    case_7_7_10_code_3000 3000
    case_7_7_11_code_3999 3999
    case_7_7_12_code_4000 4000
    case_7_7_13_code_4999 4999
}

codes! { is_refused:
    case_7_9_1_code_0_fails 0
    case_7_9_2_code_999_fails 999
    case_7_9_3_code_1004_fails 1004
    case_7_9_4_code_1005_fails 1005
    case_7_9_5_code_1006_fails 1006
    case_7_9_6_code_1016_fails 1016
    case_7_9_7_code_1100_fails 1100
    case_7_9_8_code_2000_fails 2000
    case_7_9_9_code_2999_fails 2999
    case_7_13_1_code_5000_fails 5000
    case_7_13_2_code_65535_fails 65535
}
