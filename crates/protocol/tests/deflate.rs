//! permessage-deflate on an open connection (RFC 7692 §6, §7): the examples, windows and takeover in both directions
//! against zlib itself, bounds, and what is invalid. Negotiation is tested in `handshake_*.rs` and in `src/deflate/`.
#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use wirefan_protocol::handshake::negotiate;
use wirefan_protocol::{
    Agreed, Config, Connection, DeflateConfig, Error, Event, Frame, Input, Kind, MaskKeys,
    RecvScratch, SendScratch,
};

fn config(change: impl FnOnce(&mut Config, &mut DeflateConfig)) -> Arc<Config> {
    let mut config = Config::default();
    let mut deflate = DeflateConfig::default();
    deflate.min_len = 0;
    deflate.takeover = true;
    change(&mut config, &mut deflate);
    config.deflate = Some(deflate);
    Arc::new(config)
}

fn agreed(offer: &str, config: &Config) -> Agreed {
    negotiate([offer.as_bytes()], config).unwrap().0
}

/// A client that has agreed on what `offer` gets from a server with `config`.
fn client(config: &Arc<Config>) -> Connection {
    // Seen from the client, sending and receiving change places; with the same offer both ways that does not matter.
    Connection::client(
        Arc::clone(config),
        agreed("permessage-deflate", config),
        MaskKeys::from_seed([1; 32]),
    )
}

#[derive(Debug, PartialEq)]
enum Got {
    Text(String),
    Binary(Vec<u8>),
    Failed(Error),
}

fn feed(connection: &mut Connection, bytes: &[u8]) -> Vec<Got> {
    let (mut bytes, mut scratch, mut out) = (bytes.to_vec(), RecvScratch::default(), Vec::new());
    let mut input = Input::new(&mut bytes);
    let mut got = Vec::new();
    while let Some(event) = connection.next_event(&mut input, &mut scratch, &mut out) {
        got.push(match event {
            Event::Text(text) => Got::Text(text.into()),
            Event::Binary(data) => Got::Binary(data.into()),
            Event::Failed(error) => Got::Failed(error),
            other => panic!("{other:?}"),
        });
    }
    got
}

fn hello() -> Got {
    Got::Text("Hello".into())
}

#[test]
fn rfc_7692_section_7_2_3_examples() {
    let config = config(|_, _| {});
    let one: &[&[u8]] = &[
        b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00",
        b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00",
        b"\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
        b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
    ];
    for frames in one {
        assert_eq!(feed(&mut client(&config), frames), [hello()], "{frames:x?}");
        // The same, byte for byte.
        let mut connection = client(&config);
        let got: Vec<_> = frames
            .iter()
            .flat_map(|byte| feed(&mut connection, &[*byte]))
            .collect();
        assert_eq!(got, [hello()], "{frames:x?}");
    }
    let mut connection = client(&config);
    assert_eq!(feed(&mut connection, one[0]), [hello()]);
    assert_eq!(
        feed(&mut connection, b"\xc1\x05\xf2\x00\x11\x00\x00"),
        [hello()],
        "§7.2.3.2: with a shared window"
    );
    assert_eq!(
        feed(&mut client(&config), b"\xc1\x01\x00"),
        [Got::Text(String::new())],
        "§7.2.3.6"
    );
}

#[test]
fn section_7_2_3_4_a_message_behind_a_final_block_may_refer_across_it() {
    let mut connection = client(&config(|_, _| {}));
    assert_eq!(
        feed(&mut connection, b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
        [hello()]
    );
    assert_eq!(
        feed(&mut connection, b"\xc1\x05\xf2\x00\x11\x00\x00"),
        [hello()]
    );
    // Within one message: a final block, then a block that refers back to it.
    let mut connection = client(&config(|_, _| {}));
    let both = b"\xc1\x0c\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00";
    assert_eq!(
        feed(&mut connection, both),
        [Got::Text("HelloHello".into())]
    );
}

#[test]
fn section_6_the_bit_belongs_on_the_first_frame_of_a_data_message() {
    let config = config(|_, _| {});
    for frames in [
        &b"\xc9\x00"[..],
        b"\xca\x00",
        b"\xc8\x00",
        b"\x41\x03\xf2\x48\xcd\xc0\x04\xc9\xc9\x07\x00",
        b"\xc0\x00",
    ] {
        assert_eq!(
            feed(&mut client(&config), frames),
            [Got::Failed(Error::ReservedBits)],
            "{frames:x?}"
        );
    }
    let mut plain = Connection::client(
        Arc::clone(&config),
        Agreed::default(),
        MaskKeys::from_seed([1; 32]),
    );
    assert_eq!(
        feed(&mut plain, b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"),
        [Got::Failed(Error::ReservedBits)]
    );
    // A message may go as it is.
    assert_eq!(feed(&mut client(&config), b"\x81\x05Hello"), [hello()]);
}

#[test]
fn section_7_2_2_invalid_data_fails_with_1007() {
    for frames in [
        &b"\xc2\x01\x06"[..],
        b"\xc2\x02\xff\xff",
        // Cut off in the middle of a block.
        b"\xc2\x03\xf2\x48\xcd",
        // A stored block that is longer than the message.
        b"\xc2\x06\x00\x05\x00\xfa\xff\x48",
        // A reference to before the beginning.
        b"\xc2\x05\xf2\x00\x11\x00\x00",
    ] {
        let got = feed(&mut client(&config(|_, _| {})), frames);
        assert_eq!(got, [Got::Failed(Error::DeflateInvalid)], "{frames:x?}");
    }
    assert_eq!(Error::DeflateInvalid.close_code().0, 1007);
}

/// A server's connection that has agreed on `offer`, and the text of the agreement.
fn server(offer: &str, config: &Arc<Config>) -> Connection {
    Connection::server(Arc::clone(config), agreed(offer, config))
}

fn messages() -> Vec<Vec<u8>> {
    let json = |i: u32| {
        format!(
            "{{\"id\":{i},\"bid\":{}.5,\"ask\":{}.25}}",
            i * 7 % 100,
            i * 13 % 100
        )
        .into_bytes()
    };
    let mut noise = 1_u32;
    let random = (0..40_000).map(|_| {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        noise as u8
    });
    let mut messages: Vec<_> = (0..200).map(json).collect();
    messages.push(b"abc".repeat(50_000));
    messages.push(random.collect());
    messages.extend((0..50).map(json));
    messages.push(Vec::new());
    messages.push(json(5).repeat(1000));
    messages
}

/// zlib's view of the payload of server frames: one inflater for the whole connection, or one for each message.
fn inflate(wire: &[u8], bits: u8, takeover: bool) -> Vec<Vec<u8>> {
    use flate2::{Decompress, FlushDecompress};
    let mut inflater = Decompress::new_with_window_bits(false, bits.max(9));
    let (mut rest, mut messages, mut message, mut compressed) =
        (wire, Vec::new(), Vec::new(), false);
    while !rest.is_empty() {
        let (header, used) = wirefan_protocol::Header::decode(rest).unwrap().unwrap();
        let payload = &rest[used..used + header.len as usize];
        rest = &rest[used + header.len as usize..];
        message.extend_from_slice(payload);
        compressed |= header.rsv1;
        if !header.fin {
            continue;
        }
        let mut content = std::mem::take(&mut message);
        if std::mem::take(&mut compressed) {
            if !takeover {
                inflater = Decompress::new_with_window_bits(false, bits.max(9));
            }
            content.extend_from_slice(&[0, 0, 0xff, 0xff]);
            let mut output = Vec::with_capacity(1 << 20);
            inflater
                .decompress_vec(&content, &mut output, FlushDecompress::Sync)
                .unwrap();
            content = output;
        }
        messages.push(content);
    }
    messages
}

#[test]
fn what_we_deflate_zlib_inflates() {
    for bits in 9..=15 {
        for takeover in [false, true] {
            for level in [1, 6, 9] {
                let config = config(|_, deflate| {
                    deflate.takeover = takeover;
                    deflate.level = level;
                    deflate.max_frame = (bits == 12).then_some(100);
                });
                let offer = format!("permessage-deflate; server_max_window_bits={bits}");
                let mut connection = server(&offer, &config);
                let (mut scratch, mut out) = (SendScratch::default(), Vec::new());
                for message in messages() {
                    connection
                        .send_binary(&message, &mut scratch, &mut out)
                        .unwrap();
                }
                assert_eq!(
                    inflate(&out, bits, takeover),
                    messages(),
                    "{bits} bits, takeover: {takeover}"
                );
            }
        }
    }
}

#[test]
fn what_zlib_deflates_we_inflate() {
    use flate2::{Compress, Compression, FlushCompress};
    for bits in 9..=15 {
        for takeover in [false, true] {
            let config = config(|_, deflate| deflate.takeover = takeover);
            let offer = format!("permessage-deflate; server_max_window_bits={bits}");
            let agreed = agreed(&offer.replace("server", "client"), &config);
            let mut connection = Connection::server(Arc::clone(&config), agreed);
            let new = || Compress::new_with_window_bits(Compression::new(6), false, bits);
            let mut deflater = new();
            for message in messages() {
                if !takeover {
                    deflater = new();
                }
                let mut payload = Vec::with_capacity(2 << 20);
                deflater
                    .compress_vec(&message, &mut payload, FlushCompress::Sync)
                    .unwrap();
                let payload = payload
                    .strip_suffix(&[0, 0, 0xff, 0xff])
                    .unwrap_or(&payload);
                let frame = wirefan_protocol::Header {
                    fin: true,
                    rsv1: true,
                    opcode: wirefan_protocol::Opcode::Binary,
                    masking_key: Some([0; 4]),
                    len: payload.len() as u64,
                };
                let wire = [&frame.encode()[..], payload].concat();
                let (first, second) = wire.split_at(wire.len() / 2);
                let mut got = feed(&mut connection, first);
                got.extend(feed(&mut connection, second));
                assert_eq!(
                    got,
                    [Got::Binary(message)],
                    "{bits} bits, takeover: {takeover}"
                );
            }
        }
    }
}

#[test]
fn exactly_the_longest_message_passes_and_one_byte_more_fails_with_1009() {
    let config = config(|config, deflate| {
        config.max_message = 100_000;
        deflate.max_ratio = None;
    });
    for (len, passes) in [(100_000, true), (100_001, false)] {
        let mut sender = server("permessage-deflate", &config);
        let (mut scratch, mut out) = (SendScratch::default(), Vec::new());
        sender
            .send_binary(&vec![7; len], &mut scratch, &mut out)
            .unwrap();
        let expected = if passes {
            Got::Binary(vec![7; len])
        } else {
            Got::Failed(Error::MessageTooLong)
        };
        assert_eq!(feed(&mut client(&config), &out), [expected]);
    }
}

#[test]
fn a_message_that_inflates_too_far_fails() {
    let config = config(|_, deflate| deflate.max_ratio = Some(100));
    let mut sender = server("permessage-deflate", &config);
    let (mut scratch, mut out) = (SendScratch::default(), Vec::new());
    sender
        .send_binary(&[7; 60_000], &mut scratch, &mut out)
        .unwrap();
    assert_eq!(
        feed(&mut client(&config), &out).len(),
        1,
        "short messages may be a few bytes many times over"
    );
    out.clear();
    let mut sender = server("permessage-deflate", &config);
    sender
        .send_binary(&vec![7; 200_000], &mut scratch, &mut out)
        .unwrap();
    assert_eq!(
        feed(&mut client(&config), &out),
        [Got::Failed(Error::MessageTooLong)]
    );
}

#[test]
fn blocks_without_content_come_to_an_end() {
    let config = config(|config, _| config.max_message = 1000);
    // Empty stored blocks as a fragmented message without end.
    let mut connection = client(&config);
    let mut got = feed(
        &mut connection,
        &[&b"\x41\x05"[..], b"\x00\x00\x00\xff\xff"].concat(),
    );
    for _ in 0..1000 {
        got.extend(feed(
            &mut connection,
            &[&b"\x00\x05"[..], b"\x00\x00\x00\xff\xff"].concat(),
        ));
    }
    assert_eq!(got, [Got::Failed(Error::MessageTooLong)]);
    // Final blocks, each of which costs a copy of the window.
    let mut finals = vec![0xc2, 126, 1, 0];
    finals.extend(b"\x03\x00".repeat(128));
    assert_eq!(
        feed(&mut client(&config), &finals),
        [Got::Failed(Error::DeflateInvalid)]
    );
}

#[test]
fn text_is_checked_as_it_is_inflated() {
    let config = config(|_, _| {});
    let mut sender = server("permessage-deflate", &config);
    let (mut scratch, mut out) = (SendScratch::default(), Vec::new());
    sender
        .send_binary(
            "κόσμε \u{10ffff}".repeat(5000).as_bytes(),
            &mut scratch,
            &mut out,
        )
        .unwrap();
    out[0] = 0xc1;
    assert_eq!(
        feed(&mut client(&config), &out),
        [Got::Text("κόσμε \u{10ffff}".repeat(5000))]
    );
    let mut bad = "κόσμε".repeat(100).into_bytes();
    bad.push(0xce);
    out.clear();
    let mut sender = server("permessage-deflate", &config);
    sender.send_binary(&bad, &mut scratch, &mut out).unwrap();
    out[0] = 0xc1;
    assert_eq!(
        feed(&mut client(&config), &out),
        [Got::Failed(Error::InvalidUtf8)]
    );
}

#[test]
fn a_shared_frame_is_compressed_once_and_fits_between_messages_with_takeover() {
    let config = config(|_, _| {});
    let (mut one, mut other) = (
        server("permessage-deflate", &config),
        server("permessage-deflate", &config),
    );
    let (mut scratch, mut out) = (SendScratch::default(), Vec::new());
    let text = "a message for all of them, all of them, all of them".repeat(10);
    let frame = Frame::text(&text);
    let (a, b) = (
        one.send_frame(&frame, &mut scratch).unwrap(),
        other.send_frame(&frame, &mut scratch).unwrap(),
    );
    assert_eq!(
        (a.as_ptr(), a.len()),
        (b.as_ptr(), b.len()),
        "the same bytes"
    );
    assert!(a.len() < text.len() / 2);
    for _ in 0..3 {
        one.send_text(&text, &mut scratch, &mut out).unwrap();
        out.extend_from_slice(&one.send_frame(&frame, &mut scratch).unwrap());
    }
    assert_eq!(inflate(&out, 15, true), vec![text.clone().into_bytes(); 6]);
    // A smaller window than the shared form was made for.
    let mut small = server("permessage-deflate; server_max_window_bits=10", &config);
    assert_eq!(
        small.send_frame(&frame, &mut scratch).unwrap(),
        frame.bytes()
    );
}

#[test]
fn what_does_not_shrink_goes_as_it_is_and_the_next_message_is_still_right() {
    let config = config(|_, _| {});
    let mut connection = server("permessage-deflate", &config);
    let (mut scratch, mut out) = (SendScratch::default(), Vec::new());
    let short = b"x";
    connection
        .send_binary(short, &mut scratch, &mut out)
        .unwrap();
    assert_eq!(out, b"\x82\x01x");
    let long = b"some text that is repeated, some text that is repeated".to_vec();
    for _ in 0..2 {
        connection
            .send_binary(&long, &mut scratch, &mut out)
            .unwrap();
        connection
            .send_binary(short, &mut scratch, &mut out)
            .unwrap();
    }
    let expected = [&short[..], &long, short, &long, short].map(<[u8]>::to_vec);
    assert_eq!(inflate(&out, 15, true), expected);
}

#[test]
fn short_messages_and_windows_of_8_bits_go_as_they_are() {
    let config = config(|_, deflate| deflate.min_len = 100);
    let (mut scratch, mut out) = (SendScratch::default(), Vec::new());
    let mut connection = server("permessage-deflate", &config);
    connection
        .send_binary(&[7; 99], &mut scratch, &mut out)
        .unwrap();
    assert_eq!(out[0], 0x82);
    out.clear();
    connection
        .send_binary(&[7; 100], &mut scratch, &mut out)
        .unwrap();
    assert_eq!(out[0], 0xc2);
    assert_eq!(Frame::binary(&[7; 100]).kind(), Kind::Binary);
}

#[test]
fn a_gigabyte_behind_a_megabyte_costs_a_message_and_fails_with_1009() {
    let config = config(|config, _| config.max_message = 256 * 1024);
    // A block of zeros that refers to nothing before it, again and again.
    let mut block = Vec::with_capacity(64 * 1024);
    let mut deflater = flate2::Compress::new(flate2::Compression::best(), false);
    let flush = flate2::FlushCompress::Sync;
    deflater
        .compress_vec(&vec![0; 1 << 20], &mut block, flush)
        .unwrap();
    let payload = block.repeat(1024);
    assert!(payload.len() < 2 << 20, "{} bytes", payload.len());
    // In one frame, as long as a compressed message may be.
    let payload = &payload[..payload.len().min(280_000)];
    let header = wirefan_protocol::Header {
        fin: true,
        rsv1: true,
        opcode: wirefan_protocol::Opcode::Binary,
        masking_key: None,
        len: payload.len() as u64,
    };
    let mut wire = [&header.encode()[..], payload].concat();
    let (mut scratch, mut out) = (RecvScratch::default(), Vec::with_capacity(256));
    let mut connection = client(&config);
    let mut failed = None;
    let counted = allocation_counter::measure(|| {
        let mut input = Input::new(&mut wire);
        while let Some(event) = connection.next_event(&mut input, &mut scratch, &mut out) {
            failed = Some(event == Event::Failed(Error::MessageTooLong));
        }
    });
    assert_eq!(failed, Some(true));
    let bound = 2 * config.max_message as u64 + 128 * 1024;
    assert!(
        counted.bytes_max <= bound,
        "{} bytes at once",
        counted.bytes_max
    );
}
