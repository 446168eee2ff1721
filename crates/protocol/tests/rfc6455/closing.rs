//! Sections 7 to 10: closing, close codes, errors.

use wirefan_protocol::{CloseCode, Error, SendError, State};

use crate::common::{
    CLOSE, ROLES, Seen, binary, close, continuation, failure, frame, ping, pong, text,
};
use crate::{closing, frames_arrive, frames_fail, open};

#[test]
fn section_7_1_1_what_trails_a_close_is_discarded() {
    for role in ROLES {
        let mut end = open(role);
        end.receive(&[close(1000, ""), text("late"), frame(3, "wrong")]);
        end.receive(&[text("later")]);
        end.read(b"not even a frame");
        end.end();
        assert_eq!(end.seen, [Seen::Close(Some((1000, String::new())))]);
        assert_eq!(end.sent(), [close(1000, "")]);
    }
}

#[test]
fn section_7_1_2_a_closing_handshake_starts_with_this_code_and_reason() {
    for role in ROLES {
        for (code, reason, expected) in [
            (1000, "", close(1000, "")),
            (4000, "水", close(4000, "水")),
            (1005, "", frame(CLOSE, "")),
        ] {
            let mut end = open(role);
            assert_eq!(end.close(code, reason), Ok(()));
            assert_eq!(end.sent(), [expected]);
            assert_eq!(end.state(), State::Closing);
            assert_eq!(end.close(code, reason), Err(SendError::AfterClose));
        }
    }
}

#[test]
fn section_7_1_3_messages_still_arrive_while_closing() {
    for role in ROLES {
        let mut end = closing(role);
        end.receive(&[
            text("a"),
            binary("b").more(),
            pong(""),
            continuation("c"),
            close(1001, "d"),
        ]);
        let expected = [
            Seen::Text("a".into()),
            Seen::Pong(vec![]),
            Seen::Binary(b"bc".into()),
            Seen::Close(Some((1001, "d".into()))),
        ];
        assert_eq!(end.seen, expected);
        assert_eq!(end.state(), State::Closed);
    }
}

#[test]
fn section_7_1_5_without_any_close_the_code_is_1006() {
    for role in ROLES {
        for mut end in [open(role), closing(role)] {
            end.receive(&[text("half a").more()]);
            end.end();
            assert_eq!(end.seen, [Seen::Failed(Error::EndOfStream)]);
            assert_eq!(end.state(), State::Closed);
            assert!(end.out.is_empty());
            end.end();
            assert_eq!(end.seen.len(), 1, "told once");
        }
    }
    assert_eq!(Error::EndOfStream.close_code(), CloseCode::ABNORMAL);
}

#[test]
fn section_7_1_5_the_code_is_that_of_the_first_close() {
    frames_arrive(
        &[close(1001, "first"), close(1000, "second")],
        &[Seen::Close(Some((1001, "first".into())))],
    );
}

#[test]
fn section_7_1_7_a_failed_connection_processes_nothing_more() {
    for role in ROLES {
        let mut end = open(role);
        end.receive(&[
            continuation(""),
            text("late"),
            ping("late"),
            close(1000, ""),
        ]);
        end.receive(&[text("later"), close(1000, "")]);
        end.end();
        assert_eq!(end.seen, [Seen::Failed(Error::UnexpectedContinuation)]);
        assert_eq!(end.sent(), [failure(Error::UnexpectedContinuation)]);
    }
}

#[test]
fn section_7_1_7_a_connection_that_fails_while_closing_sends_no_second_close() {
    for role in ROLES {
        let mut end = closing(role);
        end.receive(&[text([0xff])]);
        assert_eq!(end.seen, [Seen::Failed(Error::InvalidUtf8)]);
        assert!(end.out.is_empty());
        assert_eq!(end.state(), State::Closed);
    }
}

#[test]
fn section_7_4_only_codes_that_may_travel_are_sent() {
    for role in ROLES {
        for code in 0..=u16::MAX {
            let mut end = open(role);
            let may = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
            let expected = if may {
                Ok(())
            } else {
                Err(SendError::InvalidCloseCode)
            };
            assert_eq!(end.close(code, "a"), expected, "{code}");
            let state = if may { State::Closing } else { State::Open };
            assert_eq!((end.state(), end.out.is_empty()), (state, !may), "{code}");
        }
    }
}

#[test]
fn section_7_4_only_codes_that_may_travel_are_received() {
    for role in ROLES {
        for code in 0..=u16::MAX {
            let mut end = open(role);
            end.receive(&[close(code, "a")]);
            let expected = match code {
                1000..=1003 | 1007..=1014 | 3000..=4999 => Seen::Close(Some((code, "a".into()))),
                _ => Seen::Failed(Error::InvalidClose),
            };
            assert_eq!(end.seen, [expected], "{code}");
        }
    }
    assert_eq!(Error::InvalidClose.close_code(), CloseCode::PROTOCOL_ERROR);
}

#[test]
fn section_8_1_what_is_not_utf_8_fails_with_1007() {
    frames_fail(&[text([0xc3, 0x28])], Error::InvalidUtf8);
    frames_fail(
        &[text([0xe6]).more(), continuation([0x61])],
        Error::InvalidUtf8,
    );
    frames_fail(&[text([0xe6]).more(), continuation("")], Error::InvalidUtf8);
    assert_eq!(Error::InvalidUtf8.close_code(), CloseCode::INVALID_DATA);
}

#[test]
fn section_10_7_every_failure_is_told_with_a_code_and_a_reason() {
    let failures = [
        (text("").rsv(4), 1002, "reserved bit set"),
        (frame(3, ""), 1002, "unknown opcode"),
        (ping("").more(), 1002, "fragmented control frame"),
        (ping([0; 126]), 1002, "control frame longer than 125 bytes"),
        (continuation(""), 1002, "continuation without a message"),
        (frame(CLOSE, [0]), 1002, "invalid Close frame"),
        (text([0xff]), 1007, "invalid UTF-8"),
        (binary(vec![0; 1024 * 1024 + 1]), 1009, "message too long"),
    ];
    for role in ROLES {
        for (frame, code, reason) in &failures {
            let mut end = open(role);
            end.receive(std::slice::from_ref(frame));
            assert_eq!(end.sent(), [close(*code, reason)]);
        }
    }
}
