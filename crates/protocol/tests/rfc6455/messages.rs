//! Sections 5.6 to 6.2: data frames, the examples, sending and receiving messages.

use wirefan_protocol::{Frame, Header, Kind, Opcode, Role, SendError, SendScratch};

use crate::common::{ROLES, Seen, binary, close, continuation, text};
use crate::{closing, frames_arrive, open, server};

#[test]
fn section_5_6_a_binary_message_is_any_bytes() {
    let data: Vec<u8> = (0..=255).collect();
    frames_arrive(&[binary(&data)], &[Seen::Binary(data.clone())]);
    let sent = [binary(&data[..200]).more(), continuation(&data[200..])];
    frames_arrive(&sent, &[Seen::Binary(data)]);
}

#[test]
fn section_5_6_a_frame_of_a_text_may_end_inside_a_character() {
    let sent = [
        text([0xe6]).more(),
        continuation([0xb0]).more(),
        continuation([0xb4]),
    ];
    frames_arrive(&sent, &[Seen::Text("水".into())]);
}

#[test]
fn section_5_7_examples_received() {
    let hello = [Seen::Text("Hello".into())];
    let data: Vec<u8> = (0..=255).collect();
    let long = [&[0x82, 0x7e, 1, 0], &data[..]].concat();
    let longer = [&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0], &data.repeat(256)[..]].concat();
    let masked_hello = b"\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    let examples: [(Role, &[u8], &[Seen]); 7] = [
        (Role::Client, b"\x81\x05Hello", &hello),
        (
            Role::Server,
            &[b"\x81\x85", &masked_hello[..]].concat(),
            &hello,
        ),
        (Role::Client, b"\x01\x03Hel\x80\x02lo", &hello),
        (
            Role::Client,
            b"\x89\x05Hello",
            &[Seen::Ping(b"Hello".into())],
        ),
        (
            Role::Server,
            &[b"\x8a\x85", &masked_hello[..]].concat(),
            &[Seen::Pong(b"Hello".into())],
        ),
        (Role::Client, &long, &[Seen::Binary(data.clone())]),
        (Role::Client, &longer, &[Seen::Binary(data.repeat(256))]),
    ];
    for (role, bytes, expected) in examples {
        let mut end = open(role);
        end.read(bytes);
        assert!(end.seen == expected, "{role:?} {:x?}", &bytes[..4]);
    }
}

#[test]
fn section_5_7_examples_sent() {
    let mut end = server();
    let data: Vec<u8> = (0..=255).collect();
    end.connection
        .send_text("Hello", &mut SendScratch::default(), &mut end.out)
        .expect("it is open");
    assert_eq!(end.out, b"\x81\x05Hello");
    end.out.clear();
    end.connection
        .send_text_fragment("Hel", false, &mut end.out)
        .expect("it is open");
    end.connection
        .send_text_fragment("lo", true, &mut end.out)
        .expect("it is open");
    assert_eq!(end.out, b"\x01\x03Hel\x80\x02lo");
    end.out.clear();
    end.connection
        .send_ping(b"Hello", &mut end.out)
        .expect("it is open");
    assert_eq!(end.out, b"\x89\x05Hello");
    end.out.clear();
    end.connection
        .send_binary(&data, &mut SendScratch::default(), &mut end.out)
        .expect("it is open");
    assert_eq!(end.out, [&[0x82, 0x7e, 1, 0], &data[..]].concat());
    let header = end
        .connection
        .send_header(Kind::Binary, 65536)
        .expect("it is open");
    assert_eq!(header[..], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    let header = Header {
        fin: true,
        rsv1: false,
        opcode: Opcode::Pong,
        masking_key: Some([0x37, 0xfa, 0x21, 0x3d]),
        len: 5,
    };
    assert_eq!(header.encode()[..], *b"\x8a\x85\x37\xfa\x21\x3d");
}

#[test]
fn section_6_1_a_message_is_sent_only_while_the_connection_is_open() {
    for role in ROLES {
        // Closed by the peer, failed, and lost.
        let mut closed = open(role);
        closed.receive(&[close(1000, "")]);
        let mut failed = open(role);
        failed.receive(&[continuation("")]);
        let mut lost = open(role);
        lost.end();
        for mut end in [closing(role), closed, failed, lost] {
            end.out.clear();
            assert!(
                end.send_everything()
                    .iter()
                    .all(|sent| *sent == Err(SendError::AfterClose))
            );
            assert!(end.out.is_empty());
        }
    }
}

#[test]
fn section_6_1_a_message_under_way_is_given_up_when_the_connection_closes() {
    for role in ROLES {
        let mut end = open(role);
        end.connection
            .send_text_fragment("a", false, &mut end.out)
            .expect("it is open");
        end.receive(&[close(1000, "")]);
        let rest = end.connection.send_text_fragment("b", true, &mut end.out);
        assert_eq!(rest, Err(SendError::AfterClose));
        assert_eq!(end.sent(), [text("a").more(), close(1000, "")]);
    }
}

#[test]
fn section_6_1_a_message_is_sent_with_its_opcode_and_fin() {
    for role in ROLES {
        let mut end = open(role);
        let text_frame = end
            .connection
            .send_frame(&Frame::text("a"), &mut SendScratch::default())
            .expect("it is open");
        let binary_frame = end
            .connection
            .send_frame(&Frame::binary(b"b"), &mut SendScratch::default())
            .expect("it is open");
        end.out.extend(text_frame);
        end.out.extend(binary_frame);
        end.connection
            .send_text("c", &mut SendScratch::default(), &mut end.out)
            .expect("it is open");
        end.connection
            .send_binary(b"d", &mut SendScratch::default(), &mut end.out)
            .expect("it is open");
        assert_eq!(end.sent(), [text("a"), binary("b"), text("c"), binary("d")]);
    }
}

#[test]
fn section_6_1_a_client_cannot_send_a_payload_that_it_has_not_masked() {
    for mut end in [open(Role::Client), closing(Role::Client)] {
        let header = end.connection.send_header(Kind::Text, 1).map(|_| ());
        assert_eq!(header, Err(SendError::HeaderForClient));
    }
}

#[test]
fn section_6_2_a_message_has_the_type_of_its_first_frame_and_the_data_of_all() {
    let sent = [
        text("a").more(),
        continuation("b").more(),
        continuation("c"),
        binary("d").more(),
        continuation("e"),
        text("f"),
        binary("g"),
    ];
    let expected = [
        Seen::Text("abc".into()),
        Seen::Binary(b"de".into()),
        Seen::Text("f".into()),
        Seen::Binary(b"g".into()),
    ];
    frames_arrive(&sent, &expected);
}
