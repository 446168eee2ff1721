//! Cases 6.5.* to 6.23.*: Markus Kuhn's UTF-8 stress test, each text in one frame.

use wirefan_protocol::Error;

use crate::common::naive::{Utf8, utf8};
use crate::common::text;
use crate::{echoes, fails_at};

/// Each case has its number, whether it is valid, and its payload.
#[track_caller]
fn check(cases: &[(&str, bool, &[u8])]) {
    for (number, valid, payload) in cases {
        // Shown if the case fails.
        println!("case {number}");
        let octet = match utf8(payload) {
            Utf8::Good => {
                assert!(valid);
                echoes(&[text(payload)], &[text(payload)]);
                continue;
            }
            Utf8::Bad(octet) => octet,
            // Only the end of the message makes it bad.
            Utf8::Cut => payload.len() - 1,
        };
        assert!(!valid);
        fails_at(octet, &[text(payload)], Error::InvalidUtf8);
    }
}

#[test]
fn case_6_5_x_some_valid_texts() {
    check(&[
        ("6.5.1", true, b"hello$world"),
        ("6.5.2", true, b"hello\xc2\xa2world"),
        ("6.5.3", true, b"hello\xe2\x82\xacworld"),
        ("6.5.4", true, b"hello\xf0\xa4\xad\xa2world"),
        (
            "6.5.5",
            true,
            b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
        ),
    ]);
}

#[test]
fn case_6_6_x_all_prefixes_of_a_valid_text() {
    check(&[
        ("6.6.1", false, b"\xce"),
        ("6.6.2", true, b"\xce\xba"),
        ("6.6.3", false, b"\xce\xba\xe1"),
        ("6.6.4", false, b"\xce\xba\xe1\xbd"),
        ("6.6.5", true, b"\xce\xba\xe1\xbd\xb9"),
        ("6.6.6", false, b"\xce\xba\xe1\xbd\xb9\xcf"),
        ("6.6.7", true, b"\xce\xba\xe1\xbd\xb9\xcf\x83"),
        ("6.6.8", false, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce"),
        ("6.6.9", true, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc"),
        ("6.6.10", false, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce"),
        (
            "6.6.11",
            true,
            b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
        ),
    ]);
}

#[test]
fn case_6_7_x_the_first_character_of_each_length() {
    check(&[
        ("6.7.1", true, b"\x00"),
        ("6.7.2", true, b"\xc2\x80"),
        ("6.7.3", true, b"\xe0\xa0\x80"),
        ("6.7.4", true, b"\xf0\x90\x80\x80"),
    ]);
}

#[test]
fn case_6_8_x_first_forms_of_5_and_6_octets() {
    check(&[
        ("6.8.1", false, b"\xf8\x88\x80\x80\x80"),
        ("6.8.2", false, b"\xfc\x84\x80\x80\x80\x80"),
    ]);
}

#[test]
fn case_6_9_x_the_last_character_of_each_length() {
    check(&[
        ("6.9.1", true, b"\x7f"),
        ("6.9.2", true, b"\xdf\xbf"),
        ("6.9.3", true, b"\xef\xbf\xbf"),
        ("6.9.4", true, b"\xf4\x8f\xbf\xbf"),
    ]);
}

#[test]
fn case_6_10_x_last_forms_of_4_5_and_6_octets() {
    check(&[
        ("6.10.1", false, b"\xf7\xbf\xbf\xbf"),
        ("6.10.2", false, b"\xfb\xbf\xbf\xbf\xbf"),
        ("6.10.3", false, b"\xfd\xbf\xbf\xbf\xbf\xbf"),
    ]);
}

#[test]
fn case_6_11_x_other_boundaries() {
    check(&[
        ("6.11.1", true, b"\xed\x9f\xbf"),
        ("6.11.2", true, b"\xee\x80\x80"),
        ("6.11.3", true, b"\xef\xbf\xbd"),
        ("6.11.4", true, b"\xf4\x8f\xbf\xbf"),
        ("6.11.5", false, b"\xf4\x90\x80\x80"),
    ]);
}

#[test]
fn case_6_12_x_unexpected_continuation_octets() {
    check(&[
        ("6.12.1", false, b"\x80"),
        ("6.12.2", false, b"\xbf"),
        ("6.12.3", false, b"\x80\xbf"),
        ("6.12.4", false, b"\x80\xbf\x80"),
        ("6.12.5", false, b"\x80\xbf\x80\xbf"),
        ("6.12.6", false, b"\x80\xbf\x80\xbf\x80"),
        ("6.12.7", false, b"\x80\xbf\x80\xbf\x80\xbf"),
        ("6.12.8", false, b"\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xab\xac\xad\xae\xaf\xb0\xb1\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xbb\xbc\xbd\xbe"),
    ]);
}

#[test]
fn case_6_13_x_lonely_start_octets() {
    check(&[
        ("6.13.1", false, b"\xc0 \xc1 \xc2 \xc3 \xc4 \xc5 \xc6 \xc7 \xc8 \xc9 \xca \xcb \xcc \xcd \xce \xcf \xd0 \xd1 \xd2 \xd3 \xd4 \xd5 \xd6 \xd7 \xd8 \xd9 \xda \xdb \xdc \xdd \xde "),
        ("6.13.2", false, b"\xe0 \xe1 \xe2 \xe3 \xe4 \xe5 \xe6 \xe7 \xe8 \xe9 \xea \xeb \xec \xed \xee "),
        ("6.13.3", false, b"\xf0 \xf1 \xf2 \xf3 \xf4 \xf5 \xf6 "),
        ("6.13.4", false, b"\xf8 \xf9 \xfa "),
        ("6.13.5", false, b"\xfc "),
    ]);
}

#[test]
fn case_6_14_x_the_last_continuation_octet_missing() {
    check(&[
        ("6.14.1", false, b"\xc0"),
        ("6.14.2", false, b"\xe0\x80"),
        ("6.14.3", false, b"\xf0\x80\x80"),
        ("6.14.4", false, b"\xf8\x80\x80\x80"),
        ("6.14.5", false, b"\xfc\x80\x80\x80\x80"),
        ("6.14.6", false, b"\xdf"),
        ("6.14.7", false, b"\xef\xbf"),
        ("6.14.8", false, b"\xf7\xbf\xbf"),
        ("6.14.9", false, b"\xfb\xbf\xbf\xbf"),
        ("6.14.10", false, b"\xfd\xbf\xbf\xbf\xbf"),
    ]);
}

#[test]
fn case_6_15_x_incomplete_characters_in_a_row() {
    check(&[
        ("6.15.1", false, b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf\xfb\xbf\xbf\xbf\xfd\xbf\xbf\xbf\xbf"),
    ]);
}

#[test]
fn case_6_16_x_impossible_octets() {
    check(&[
        ("6.16.1", false, b"\xfe"),
        ("6.16.2", false, b"\xff"),
        ("6.16.3", false, b"\xfe\xfe\xff\xff"),
    ]);
}

#[test]
fn case_6_17_x_overlong_ascii() {
    check(&[
        ("6.17.1", false, b"\xc0\xaf"),
        ("6.17.2", false, b"\xe0\x80\xaf"),
        ("6.17.3", false, b"\xf0\x80\x80\xaf"),
        ("6.17.4", false, b"\xf8\x80\x80\x80\xaf"),
        ("6.17.5", false, b"\xfc\x80\x80\x80\x80\xaf"),
    ]);
}

#[test]
fn case_6_18_x_the_longest_overlong_forms() {
    check(&[
        ("6.18.1", false, b"\xc1\xbf"),
        ("6.18.2", false, b"\xe0\x9f\xbf"),
        ("6.18.3", false, b"\xf0\x8f\xbf\xbf"),
        ("6.18.4", false, b"\xf8\x87\xbf\xbf\xbf"),
        ("6.18.5", false, b"\xfc\x83\xbf\xbf\xbf\xbf"),
    ]);
}

#[test]
fn case_6_19_x_overlong_nul() {
    check(&[
        ("6.19.1", false, b"\xc0\x80"),
        ("6.19.2", false, b"\xe0\x80\x80"),
        ("6.19.3", false, b"\xf0\x80\x80\x80"),
        ("6.19.4", false, b"\xf8\x80\x80\x80\x80"),
        ("6.19.5", false, b"\xfc\x80\x80\x80\x80\x80"),
    ]);
}

#[test]
fn case_6_20_x_single_surrogates() {
    check(&[
        ("6.20.1", false, b"\xed\xa0\x80"),
        ("6.20.2", false, b"\xed\xad\xbf"),
        ("6.20.3", false, b"\xed\xae\x80"),
        ("6.20.4", false, b"\xed\xaf\xbf"),
        ("6.20.5", false, b"\xed\xb0\x80"),
        ("6.20.6", false, b"\xed\xbe\x80"),
        ("6.20.7", false, b"\xed\xbf\xbf"),
    ]);
}

#[test]
fn case_6_21_x_paired_surrogates() {
    check(&[
        ("6.21.1", false, b"\xed\xa0\x80\xed\xb0\x80"),
        ("6.21.2", false, b"\xed\xa0\x80\xed\xbf\xbf"),
        ("6.21.3", false, b"\xed\xad\xbf\xed\xb0\x80"),
        ("6.21.4", false, b"\xed\xad\xbf\xed\xbf\xbf"),
        ("6.21.5", false, b"\xed\xae\x80\xed\xb0\x80"),
        ("6.21.6", false, b"\xed\xae\x80\xed\xbf\xbf"),
        ("6.21.7", false, b"\xed\xaf\xbf\xed\xb0\x80"),
        ("6.21.8", false, b"\xed\xaf\xbf\xed\xbf\xbf"),
    ]);
}

#[test]
fn case_6_22_x_non_characters_are_valid() {
    check(&[
        ("6.22.1", true, b"\xef\xbf\xbe"),
        ("6.22.2", true, b"\xef\xbf\xbf"),
        ("6.22.3", true, b"\xf0\x9f\xbf\xbe"),
        ("6.22.4", true, b"\xf0\x9f\xbf\xbf"),
        ("6.22.5", true, b"\xf0\xaf\xbf\xbe"),
        ("6.22.6", true, b"\xf0\xaf\xbf\xbf"),
        ("6.22.7", true, b"\xf0\xbf\xbf\xbe"),
        ("6.22.8", true, b"\xf0\xbf\xbf\xbf"),
        ("6.22.9", true, b"\xf1\x8f\xbf\xbe"),
        ("6.22.10", true, b"\xf1\x8f\xbf\xbf"),
        ("6.22.11", true, b"\xf1\x9f\xbf\xbe"),
        ("6.22.12", true, b"\xf1\x9f\xbf\xbf"),
        ("6.22.13", true, b"\xf1\xaf\xbf\xbe"),
        ("6.22.14", true, b"\xf1\xaf\xbf\xbf"),
        ("6.22.15", true, b"\xf1\xbf\xbf\xbe"),
        ("6.22.16", true, b"\xf1\xbf\xbf\xbf"),
        ("6.22.17", true, b"\xf2\x8f\xbf\xbe"),
        ("6.22.18", true, b"\xf2\x8f\xbf\xbf"),
        ("6.22.19", true, b"\xf2\x9f\xbf\xbe"),
        ("6.22.20", true, b"\xf2\x9f\xbf\xbf"),
        ("6.22.21", true, b"\xf2\xaf\xbf\xbe"),
        ("6.22.22", true, b"\xf2\xaf\xbf\xbf"),
        ("6.22.23", true, b"\xf2\xbf\xbf\xbe"),
        ("6.22.24", true, b"\xf2\xbf\xbf\xbf"),
        ("6.22.25", true, b"\xf3\x8f\xbf\xbe"),
        ("6.22.26", true, b"\xf3\x8f\xbf\xbf"),
        ("6.22.27", true, b"\xf3\x9f\xbf\xbe"),
        ("6.22.28", true, b"\xf3\x9f\xbf\xbf"),
        ("6.22.29", true, b"\xf3\xaf\xbf\xbe"),
        ("6.22.30", true, b"\xf3\xaf\xbf\xbf"),
        ("6.22.31", true, b"\xf3\xbf\xbf\xbe"),
        ("6.22.32", true, b"\xf3\xbf\xbf\xbf"),
        ("6.22.33", true, b"\xf4\x8f\xbf\xbe"),
        ("6.22.34", true, b"\xf4\x8f\xbf\xbf"),
    ]);
}

#[test]
fn case_6_23_x_specials_are_valid() {
    check(&[
        ("6.23.1", true, b"\xef\xbf\xb9"),
        ("6.23.2", true, b"\xef\xbf\xba"),
        ("6.23.3", true, b"\xef\xbf\xbb"),
        ("6.23.4", true, b"\xef\xbf\xbc"),
        ("6.23.5", true, b"\xef\xbf\xbd"),
        ("6.23.6", true, b"\xef\xbf\xbe"),
        ("6.23.7", true, b"\xef\xbf\xbf"),
    ]);
}
