//! Sections 5.1 to 5.4: masks, headers, fragments.

use wirefan_protocol::{
    CloseCode, Error, Frame, Header, Kind, Opcode, Role, SendError, SendScratch,
};

use crate::common::{
    BINARY, ROLES, Seen, TEXT, binary, close, continuation, cuts, failure, frame, header, key,
    peer, ping, pong, text, wire,
};
use crate::{OPCODES, bytes_fail, frames_fail, open, server};

#[test]
fn section_5_1_a_client_masks_every_frame_and_a_server_none() {
    for role in ROLES {
        let mut end = open(role);
        assert!(end.send_everything().iter().all(Result::is_ok));
        // `sent` asserts the mask of each frame.
        assert_eq!(end.take_sent().last(), Some(&close(1000, "bye")));
        let mut end = open(role);
        end.receive(&[ping("a"), close(1000, "")]);
        assert_eq!(end.sent(), [pong("a"), close(1000, "")]);
        let mut end = open(role);
        end.receive(&[continuation("")]);
        assert_eq!(end.sent(), [failure(Error::UnexpectedContinuation)]);
    }
}

#[test]
fn section_5_1_a_server_fails_on_any_unmasked_frame() {
    for opcode in OPCODES {
        for payload in ["", "a", "abc"] {
            let bytes = frame(opcode, payload).encode(None);
            bytes_fail(Role::Server, &bytes, Error::MaskMissing);
        }
    }
    assert_eq!(Error::MaskMissing.close_code(), CloseCode::PROTOCOL_ERROR);
}

#[test]
fn section_5_1_a_client_fails_on_any_masked_frame() {
    for opcode in OPCODES {
        for payload in ["", "a", "abc"] {
            // A key that changes nothing is a mask all the same.
            for key in [[1, 2, 3, 4], [0; 4]] {
                let bytes = frame(opcode, payload).encode(Some(key));
                bytes_fail(Role::Client, &bytes, Error::MaskUnexpected);
            }
        }
    }
    assert_eq!(
        Error::MaskUnexpected.close_code(),
        CloseCode::PROTOCOL_ERROR
    );
}

#[test]
fn section_5_2_each_reserved_bit_fails_on_each_frame() {
    for opcode in OPCODES {
        for bits in 1..8 {
            frames_fail(&[frame(opcode, "").rsv(bits)], Error::ReservedBits);
        }
    }
    assert_eq!(Error::ReservedBits.close_code(), CloseCode::PROTOCOL_ERROR);
}

#[test]
fn section_5_2_each_reserved_bit_fails_inside_a_message() {
    for bits in 1..8 {
        let sent = [text("a").more(), continuation("b").rsv(bits)];
        frames_fail(&sent, Error::ReservedBits);
    }
}

#[test]
fn section_5_2_a_length_must_have_its_top_bit_clear() {
    for role in ROLES {
        for len in [1 << 63, u64::MAX] {
            // Without payload, and even without the key: the length is enough.
            let bytes = header(&binary(""), len, key(peer(role), 0));
            bytes_fail(role, &bytes[..10], Error::InvalidLength);
        }
    }
}

#[test]
fn section_5_2_a_length_takes_the_fewest_bytes_when_received() {
    let mask = |role| if role == Role::Server { 0x80 } else { 0 };
    for role in ROLES {
        for len in [0, 1, 124, 125] {
            bytes_fail(
                role,
                &[0x82, 126 | mask(role), 0, len],
                Error::InvalidLength,
            );
        }
        for len in [0, 125, 126, 0xffff_u64] {
            let bytes = [&[0x82, 127 | mask(role)], &len.to_be_bytes()[..]].concat();
            bytes_fail(role, &bytes, Error::InvalidLength);
        }
    }
}

#[test]
fn section_5_2_a_length_takes_the_fewest_bytes_when_sent() {
    for role in ROLES {
        for (len, header_len) in [(0, 2), (125, 2), (126, 4), (0xffff, 4), (0x1_0000, 10)] {
            let mut end = open(role);
            let data = vec![0x5a; len];
            end.connection
                .send_binary(&data, &mut SendScratch::default(), &mut end.out)
                .expect("it is open");
            let mask = if role == Role::Client { 4 } else { 0 };
            assert_eq!(end.out.len(), header_len + mask + len);
            assert!(end.sent() == [binary(data)]);
        }
    }
}

#[test]
fn section_5_2_a_header_reads_as_it_was_written() {
    for opcode in OPCODES.into_iter().filter_map(Opcode::from_bits) {
        for (fin, rsv1, len) in [(true, false, 0), (true, true, 125), (false, true, 126)] {
            for masking_key in [None, Some([0, 0x80, 0xff, 1])] {
                // A control frame is neither fragmented nor long.
                let control = opcode.is_control();
                let header = Header {
                    fin: fin || control,
                    rsv1,
                    opcode,
                    masking_key,
                    len: if control { len.min(125) } else { len },
                };
                let bytes = header.encode();
                assert_eq!(bytes.as_ref(), &*bytes);
                assert_eq!(Header::decode(&bytes), Ok(Some((header, bytes.len()))));
            }
        }
    }
}

#[test]
fn section_5_3_any_key_unmasks_at_any_cut() {
    let data: Vec<u8> = (0..=40).collect();
    for key in [[0; 4], [0xff; 4], [1, 2, 3, 4], [0x80, 0, 0, 1]] {
        let bytes = binary(&data).encode(Some(key));
        for cuts in cuts(bytes.len()) {
            let mut end = server();
            end.read_cut(&bytes, &cuts);
            assert_eq!(end.seen, [Seen::Binary(data.clone())]);
        }
    }
}

#[test]
fn section_5_4_fragments_are_sent_with_the_opcode_first_and_fin_last() {
    for role in ROLES {
        let mut end = open(role);
        for (data, last) in [("a", false), ("", false), ("b", true)] {
            end.connection
                .send_text_fragment(data, last, &mut end.out)
                .expect("it is open");
        }
        for (data, last) in [(b"c", false), (b"d", true), (b"e", true)] {
            end.connection
                .send_binary_fragment(data, last, &mut end.out)
                .expect("it is open");
        }
        let expected = [
            text("a").more(),
            continuation("").more(),
            continuation("b"),
            binary("c").more(),
            continuation("d"),
            binary("e"),
        ];
        assert_eq!(end.sent(), expected);
    }
}

#[test]
fn section_5_4_a_message_inside_another_fails() {
    for opcode in [TEXT, BINARY] {
        for first in [text("a").more(), binary("a").more()] {
            for second in [
                frame(opcode, "b"),
                frame(opcode, "b").more(),
                frame(opcode, ""),
            ] {
                frames_fail(&[first.clone(), second], Error::ExpectedContinuation);
            }
        }
    }
    assert_eq!(
        Error::ExpectedContinuation.close_code(),
        CloseCode::PROTOCOL_ERROR
    );
}

#[test]
fn section_5_4_a_message_is_not_sent_inside_another() {
    for role in ROLES {
        let mut end = open(role);
        end.connection
            .send_text_fragment("a", false, &mut end.out)
            .expect("it is open");
        let written = end.out.len();
        let (connection, out) = (&mut end.connection, &mut end.out);
        let frame = Frame::binary(b"b");
        assert_eq!(
            connection.send_text("b", &mut SendScratch::default(), out),
            Err(SendError::InsideMessage)
        );
        assert_eq!(
            connection.send_binary(b"b", &mut SendScratch::default(), out),
            Err(SendError::InsideMessage)
        );
        assert_eq!(
            connection.send_frame(&frame, &mut SendScratch::default()),
            Err(SendError::InsideMessage)
        );
        if role == Role::Server {
            let header = connection.send_header(Kind::Text, 1).map(|_| ());
            assert_eq!(header, Err(SendError::InsideMessage));
        }
        assert_eq!(end.out.len(), written);
        end.connection
            .send_text_fragment("c", true, &mut end.out)
            .expect("its own fragment");
        end.connection
            .send_text("d", &mut SendScratch::default(), &mut end.out)
            .expect("the next message");
        assert_eq!(end.sent(), [text("a").more(), continuation("c"), text("d")]);
    }
}

#[test]
fn section_5_4_all_fragments_of_a_message_are_sent_as_one_type() {
    for role in ROLES {
        let mut end = open(role);
        let (connection, out) = (&mut end.connection, &mut end.out);
        connection
            .send_text_fragment("a", false, out)
            .expect("it is open");
        for last in [false, true] {
            let sent = connection.send_binary_fragment(b"b", last, out);
            assert_eq!(sent, Err(SendError::InsideMessage));
        }
        connection
            .send_text_fragment("c", true, out)
            .expect("the type under way");
        connection
            .send_binary_fragment(b"d", false, out)
            .expect("the next message");
        let sent = connection.send_text_fragment("e", true, out);
        assert_eq!(sent, Err(SendError::InsideMessage));
        assert_eq!(
            end.sent(),
            [text("a").more(), continuation("c"), binary("d").more()]
        );
    }
}

#[test]
fn section_5_4_control_frames_are_sent_inside_a_message() {
    for role in ROLES {
        let mut end = open(role);
        let (connection, out) = (&mut end.connection, &mut end.out);
        connection
            .send_text_fragment("a", false, out)
            .expect("it is open");
        connection.send_ping(b"b", out).expect("a control frame");
        connection.send_pong(b"c", out).expect("a control frame");
        connection
            .close(CloseCode::NORMAL, "", out)
            .expect("a control frame");
        assert_eq!(
            end.sent(),
            [text("a").more(), ping("b"), pong("c"), close(1000, "")]
        );
    }
}

#[test]
fn section_5_4_control_frames_are_handled_inside_a_message() {
    let sent = [
        binary("a").more(),
        ping("b"),
        continuation("").more(),
        pong("c"),
        continuation("d"),
    ];
    for role in ROLES {
        let bytes = wire(peer(role), &sent);
        for cuts in cuts(bytes.len()) {
            let mut end = open(role);
            end.read_cut(&bytes, &cuts);
            let expected = [
                Seen::Ping(b"b".into()),
                Seen::Pong(b"c".into()),
                Seen::Binary(b"ad".into()),
            ];
            assert_eq!(end.seen, expected);
            assert_eq!(end.sent(), [pong("b")]);
        }
    }
}
