//! Section 5.5: control frames.

use wirefan_protocol::{CloseCode, Error, Role, SendError, State};

use crate::common::{CLOSE, PING, PONG, ROLES, Seen, close, frame, ping, pong, text};
use crate::{closing, frames_arrive, frames_fail, open};

#[test]
fn section_5_5_a_control_frame_received_has_at_most_125_bytes() {
    for opcode in [PING, PONG] {
        for role in ROLES {
            let mut end = open(role);
            end.receive(&[frame(opcode, [1; 125])]);
            assert_eq!(end.state(), State::Open);
        }
        frames_fail(&[frame(opcode, [1; 126])], Error::ControlTooLong);
        frames_fail(&[frame(opcode, vec![1; 0x1_0000])], Error::ControlTooLong);
    }
    frames_arrive(
        &[close(1000, "a".repeat(123))],
        &[Seen::Close(Some((1000, "a".repeat(123))))],
    );
    frames_fail(&[close(1000, "a".repeat(124))], Error::ControlTooLong);
    assert_eq!(
        Error::ControlTooLong.close_code(),
        CloseCode::PROTOCOL_ERROR
    );
}

#[test]
fn section_5_5_a_control_frame_sent_has_at_most_125_bytes() {
    for role in ROLES {
        let mut end = open(role);
        let (connection, out) = (&mut end.connection, &mut end.out);
        assert_eq!(
            connection.send_ping(&[1; 126], out),
            Err(SendError::ControlTooLong)
        );
        assert_eq!(
            connection.send_pong(&[1; 126], out),
            Err(SendError::ControlTooLong)
        );
        let long = "a".repeat(124);
        let closed = connection.close(CloseCode::NORMAL, &long, out);
        assert_eq!(closed, Err(SendError::ReasonTooLong));
        assert!(out.is_empty());
        assert_eq!(connection.state(), State::Open);
        connection.send_ping(&[1; 125], out).expect("at the limit");
        connection.send_pong(&[1; 125], out).expect("at the limit");
        connection
            .close(CloseCode::NORMAL, &long[1..], out)
            .expect("at the limit");
        assert_eq!(
            end.sent(),
            [ping([1; 125]), pong([1; 125]), close(1000, &long[1..])]
        );
    }
}

#[test]
fn section_5_5_a_control_frame_is_not_fragmented() {
    for opcode in [CLOSE, PING, PONG] {
        frames_fail(&[frame(opcode, "").more()], Error::FragmentedControl);
        for role in ROLES {
            let mut end = open(role);
            end.receive(&[text("a").more(), frame(opcode, "").more()]);
            assert_eq!(end.seen, [Seen::Failed(Error::FragmentedControl)]);
        }
    }
    assert_eq!(
        Error::FragmentedControl.close_code(),
        CloseCode::PROTOCOL_ERROR
    );
}

#[test]
fn section_5_5_1_a_close_with_a_body_has_a_code_and_a_reason_in_utf_8() {
    frames_arrive(&[frame(CLOSE, "")], &[Seen::Close(None)]);
    frames_arrive(
        &[close(1000, "")],
        &[Seen::Close(Some((1000, String::new())))],
    );
    frames_arrive(
        &[close(1000, "水")],
        &[Seen::Close(Some((1000, "水".into())))],
    );
    frames_fail(&[frame(CLOSE, [3])], Error::InvalidClose);
    frames_fail(&[close(1000, [0xe6, 0xb0])], Error::InvalidUtf8);
    frames_fail(&[close(1000, [0xff])], Error::InvalidUtf8);
}

#[test]
fn section_5_5_1_nothing_is_sent_behind_a_close() {
    for role in ROLES {
        let mut end = closing(role);
        assert!(
            end.send_everything()
                .iter()
                .all(|sent| *sent == Err(SendError::AfterClose))
        );
        assert!(end.out.is_empty());
        assert_eq!(end.state(), State::Closing);
    }
}

#[test]
fn section_5_5_1_nothing_is_sent_behind_the_answer_to_a_close() {
    for role in ROLES {
        let mut end = open(role);
        end.receive(&[close(1000, "")]);
        end.out.clear();
        assert!(
            end.send_everything()
                .iter()
                .all(|sent| *sent == Err(SendError::AfterClose))
        );
        assert!(end.out.is_empty());
    }
}

#[test]
fn section_5_5_1_a_close_is_answered_with_its_code() {
    for role in ROLES {
        for (sent, answer) in [
            (frame(CLOSE, ""), frame(CLOSE, "")),
            (close(1001, "going away"), close(1001, "")),
            (close(4999, ""), close(4999, "")),
        ] {
            let mut end = open(role);
            end.receive(&[sent]);
            assert_eq!(end.sent(), [answer]);
            assert_eq!(end.state(), State::Closed);
        }
    }
}

#[test]
fn section_5_5_1_a_close_is_not_answered_twice() {
    for role in ROLES {
        let mut end = closing(role);
        end.receive(&[close(1000, "")]);
        assert_eq!(end.seen, [Seen::Close(Some((1000, String::new())))]);
        assert!(end.out.is_empty());
        assert_eq!(end.state(), State::Closed);
    }
}

#[test]
fn section_5_5_1_two_closes_at_once_close_both_ends() {
    let (mut one, mut other) = (open(Role::Client), open(Role::Server));
    one.close(1000, "enough").expect("it is open");
    other.close(1001, "going away").expect("it is open");
    let (from_one, from_other) = (one.take_sent(), other.take_sent());
    one.receive(&from_other);
    other.receive(&from_one);
    assert_eq!(one.seen, [Seen::Close(Some((1001, "going away".into())))]);
    assert_eq!(other.seen, [Seen::Close(Some((1000, "enough".into())))]);
    assert_eq!((one.state(), other.state()), (State::Closed, State::Closed));
    assert!(one.out.is_empty() && other.out.is_empty());
}

#[test]
fn section_5_5_2_a_ping_behind_a_close_is_not_answered() {
    for role in ROLES {
        let mut end = open(role);
        end.receive(&[close(1000, ""), ping("late")]);
        assert_eq!(end.sent(), [close(1000, "")]);
        assert_eq!(end.seen.len(), 1);
    }
}

/// A Pong would be allowed here; §1.4 promises the peer that nothing follows our Close.
#[test]
fn section_5_5_2_a_ping_is_reported_and_not_answered_behind_our_own_close() {
    for role in ROLES {
        let mut end = closing(role);
        end.receive(&[ping("a")]);
        assert_eq!(end.seen, [Seen::Ping(b"a".into())]);
        assert!(end.out.is_empty());
    }
}
