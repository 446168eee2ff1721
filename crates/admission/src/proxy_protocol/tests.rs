//! What headers say, cut anywhere, and which of them are none.

use std::net::SocketAddr;

use super::*;
use proptest::prelude::*;

/// Reads `bytes` in pieces of `len`, and returns the header with what stands behind it.
fn read_in_pieces(bytes: &[u8], len: usize) -> Result<Option<(ProxyHeader, Vec<u8>)>, ProxyError> {
    let mut reader = ProxyReader::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (mut piece, behind) = rest.split_at(len.min(rest.len()));
        if let Some(header) = reader.read(&mut piece)? {
            return Ok(Some((header, [piece, behind].concat())));
        }
        assert!(
            piece.is_empty(),
            "all is taken while the header is not whole"
        );
        rest = behind;
    }
    Ok(None)
}

fn read(bytes: &[u8]) -> Result<ProxyHeader, ProxyError> {
    let behind = [bytes, b"GET"].concat();
    let whole = read_in_pieces(&behind, behind.len());
    for len in [1, 2, 7] {
        assert_eq!(read_in_pieces(&behind, len), whole, "{len}");
    }
    let (header, behind) = whole?.expect("a whole header");
    assert_eq!(behind, b"GET", "what follows is left");
    Ok(header)
}

fn inet(source: &str, destination: &str) -> Endpoints {
    Endpoints::Inet {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    }
}

/// A header of version 2 with this command, family and body.
fn v2_bytes(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &len, body].concat()
}

const TCP4_BODY: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x67, 0x01, 0xbb];

#[test]
fn section_2_1_lines() {
    let header = read(b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n").unwrap();
    assert_eq!(
        *header.endpoints(),
        inet("192.0.2.1:4711", "198.51.100.1:443")
    );
    assert_eq!(header.transport(), Transport::Stream);
    let header = read(b"PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 0 65535\r\n").unwrap();
    assert_eq!(
        *header.endpoints(),
        inet("[2001:db8::1]:0", "[::ffff:1.2.3.4]:65535")
    );
    for line in [
        &b"PROXY UNKNOWN\r\n"[..],
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
        b"PROXY UNKNOWN \xff\r\0\r\n",
    ] {
        let header = read(line).unwrap();
        assert_eq!(*header.endpoints(), Endpoints::Unknown);
        assert!(!header.is_local() && header.source().is_none());
    }
    let mapped = read(b"PROXY TCP6 ::ffff:1.2.3.4 ::1 5 6\r\n").unwrap();
    assert_eq!(mapped.source(), Some("1.2.3.4:5".parse().unwrap()));
}

#[test]
fn section_2_1_lines_have_107_bytes_at_most() {
    let line = |len: usize| {
        let padding = "x".repeat(len - "PROXY UNKNOWN \r\n".len());
        format!("PROXY UNKNOWN {padding}\r\n")
    };
    assert!(read(line(107).as_bytes()).is_ok());
    assert_eq!(read(line(108).as_bytes()), Err(ProxyError::LineTooLong));
    let endless = [b'x'; 200];
    let endless = [b"PROXY TCP4 ", &endless[..]].concat();
    assert_eq!(read(&endless), Err(ProxyError::LineTooLong));
}

#[test]
fn section_2_1_what_is_no_line() {
    for (line, why) in [
        (&b"GET / HTTP/1.1\r\n"[..], ProxyError::NoProxyProtocol),
        (b"PROXZ", ProxyError::NoProxyProtocol),
        (b"PROXY\r\n", ProxyError::NoProxyProtocol),
        (b"proxy TCP4 ", ProxyError::NoProxyProtocol),
        (b"\r\n\r\n\0\r\nQUIX", ProxyError::NoProxyProtocol),
        (b"\r\n\r\n\0\r\nQUIT\r", ProxyError::NoProxyProtocol),
        (b"\x16\x03\x01\x02\0\x01", ProxyError::NoProxyProtocol),
        (b"PROXY UNKNOWN\n", ProxyError::LineEnd),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", ProxyError::LineEnd),
        (b"PROXY \r\n", ProxyError::UnknownProtocol),
        (b"PROXY UNKNOWNS\r\n", ProxyError::UnknownProtocol),
        (
            b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
            ProxyError::UnknownProtocol,
        ),
        (
            b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
            ProxyError::UnknownProtocol,
        ),
        (
            b"PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
            ProxyError::UnknownProtocol,
        ),
        (b"PROXY TCP4\r\n", ProxyError::InvalidAddress),
        (b"PROXY TCP4 1.2.3.4\r\n", ProxyError::InvalidAddress),
        (
            b"PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
            ProxyError::InvalidAddress,
        ),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", ProxyError::InvalidAddress),
        (
            b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
            ProxyError::InvalidAddress,
        ),
        (
            b"PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
            ProxyError::InvalidAddress,
        ),
        (
            b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
            ProxyError::InvalidAddress,
        ),
        (
            b"PROXY TCP6 [::1] [::1] 1 2\r\n",
            ProxyError::InvalidAddress,
        ),
        (
            b"PROXY TCP4 1.2.3.4 1.2.3.4 \xff\r\n",
            ProxyError::InvalidAddress,
        ),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4\r\n", ProxyError::InvalidPort),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", ProxyError::InvalidPort),
        (
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
            ProxyError::InvalidPort,
        ),
        (
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
            ProxyError::InvalidPort,
        ),
        (
            b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n",
            ProxyError::InvalidPort,
        ),
        (
            b"PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n",
            ProxyError::InvalidPort,
        ),
        (
            b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n",
            ProxyError::InvalidPort,
        ),
        (
            b"PROXY TCP4 1.2.3.4 1.2.3.4 -1 1\r\n",
            ProxyError::InvalidPort,
        ),
        (
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n",
            ProxyError::InvalidPort,
        ),
    ] {
        assert_eq!(read(line), Err(why), "{}", line.escape_ascii());
    }
}

#[test]
fn section_2_2_headers() {
    let header = read(&v2_bytes(0x21, 0x11, &TCP4_BODY)).unwrap();
    assert_eq!(
        *header.endpoints(),
        inet("192.0.2.1:4711", "198.51.100.1:443")
    );
    assert_eq!(header.transport(), Transport::Stream);
    let udp = read(&v2_bytes(0x21, 0x12, &TCP4_BODY)).unwrap();
    assert_eq!(udp.transport(), Transport::Datagram);

    let mut body = [0; 36];
    body[15] = 1;
    body[31] = 2;
    body[33] = 3;
    body[35] = 4;
    let header = read(&v2_bytes(0x21, 0x21, &body)).unwrap();
    assert_eq!(*header.endpoints(), inet("[::1]:3", "[::2]:4"));

    let mut body = [0; 216];
    body[..4].copy_from_slice(b"/a/b");
    body[109..111].copy_from_slice(b"xy");
    let header = read(&v2_bytes(0x21, 0x31, &body)).unwrap();
    let expected = Endpoints::Unix {
        source: (*b"/a/b").into(),
        destination: (*b"\0xy").into(),
    };
    assert_eq!(*header.endpoints(), expected);
    assert_eq!(header.source(), None);
}

#[test]
fn section_2_2_local_and_unspecified_say_nothing_of_the_client() {
    for (family, body) in [(0x00, &b""[..]), (0x11, b"xx"), (0xff, &[7; 300])] {
        let header = read(&v2_bytes(0x20, family, body)).unwrap();
        assert!(header.is_local() && *header.endpoints() == Endpoints::Unknown);
    }
    for body in [&b""[..], b"\x03\0", &[0xff; 50]] {
        let header = read(&v2_bytes(0x21, 0x00, body)).unwrap();
        assert!(!header.is_local() && *header.endpoints() == Endpoints::Unknown);
        assert_eq!(header.tlvs().count(), 0);
    }
}

#[test]
fn section_2_2_what_is_no_header() {
    for (command, family, body, why) in [
        (0x11, 0x11, &TCP4_BODY[..], ProxyError::UnknownVersion(1)),
        (0x31, 0x11, &TCP4_BODY, ProxyError::UnknownVersion(3)),
        (0x22, 0x11, &TCP4_BODY, ProxyError::UnknownCommand(2)),
        (0x2f, 0x11, &TCP4_BODY, ProxyError::UnknownCommand(15)),
        (0x21, 0x01, &TCP4_BODY, ProxyError::UnknownFamily(0x01)),
        (0x21, 0x10, &TCP4_BODY, ProxyError::UnknownFamily(0x10)),
        (0x21, 0x13, &TCP4_BODY, ProxyError::UnknownFamily(0x13)),
        (0x21, 0x41, &TCP4_BODY, ProxyError::UnknownFamily(0x41)),
        (0x21, 0x11, &TCP4_BODY[..11], ProxyError::AddressesCut),
        (0x21, 0x21, &TCP4_BODY, ProxyError::AddressesCut),
        (0x21, 0x31, &[0; 215], ProxyError::AddressesCut),
        (
            0x21,
            0x31,
            &[0; 2049],
            ProxyError::TooLong { declared: 2049 },
        ),
        (
            0x20,
            0x00,
            &[0; 2049],
            ProxyError::TooLong { declared: 2049 },
        ),
    ] {
        assert_eq!(read(&v2_bytes(command, family, body)), Err(why), "{why}");
    }
}

#[test]
fn what_cannot_become_a_header_is_told_at_its_first_wrong_byte() {
    let told_at = |bytes: &[u8]| {
        let mut reader = ProxyReader::default();
        (1..=bytes.len()).find(|&len| reader.read(&mut &bytes[len - 1..len]).is_err())
    };
    assert_eq!(told_at(b"GET /"), Some(1));
    assert_eq!(told_at(b"PROXIES"), Some(5));
    assert_eq!(told_at(b"\r\n\r\nGET /"), Some(5));
    assert_eq!(told_at(&v2_bytes(0x31, 0x11, &TCP4_BODY)), Some(13));
    assert_eq!(told_at(&v2_bytes(0x21, 0x41, &TCP4_BODY)), Some(14));
    // The length alone is enough: nothing is waited for, and nothing reserved.
    assert_eq!(told_at(&v2_bytes(0x21, 0x11, &[0; 4000])), Some(16));
    assert_eq!(told_at(&v2_bytes(0x21, 0x11, &[0; 11])), Some(16));
}

fn with_fields(fields: &[u8]) -> Result<ProxyHeader, ProxyError> {
    read(&v2_bytes(0x21, 0x11, &[&TCP4_BODY[..], fields].concat()))
}

#[test]
fn section_2_2_fields() {
    let tls = b"\x20\0\x19\x07\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x03joe\x23\0\x01x";
    let rest =
        b"\x01\0\x08http/1.1\x02\0\x0bexample.com\x05\0\x02\xff\0\xee\0\0\x04\0\x01\0\x04\0\0";
    let header = with_fields(&[&tls[..], rest].concat()).unwrap();
    assert_eq!(header.authority(), Some("example.com"));
    assert_eq!(header.alpn(), Some(&b"http/1.1"[..]));
    assert_eq!(header.unique_id(), Some(&b"\xff\0"[..]));
    let tls = header.tls().unwrap();
    assert!(tls.is_used() && tls.has_valid_certificate());
    assert_eq!(
        (tls.version(), tls.common_name(), tls.cipher()),
        (Some("TLSv1.3"), Some("joe"), Some("x"))
    );
    let kinds: Vec<_> = header.tlvs().map(|(kind, _)| kind.0).collect();
    assert_eq!(kinds, [0x20, 0x01, 0x02, 0x05, 0xee, 0x04, 0x04]);
}

#[test]
fn a_certificate_counts_if_it_was_shown_and_checked() {
    for (flags, verify, valid) in [
        (7, 0, true),
        (3, 0, true),
        (5, 0, true),
        (1, 0, false),
        (7, 1, false),
    ] {
        let header = with_fields(&[0x20, 0, 5, flags, 0, 0, 0, verify]).unwrap();
        assert_eq!(
            header.tls().unwrap().has_valid_certificate(),
            valid,
            "{flags} {verify}"
        );
    }
}

#[test]
fn fields_that_are_none() {
    for (fields, why) in [
        (&b"\x01"[..], ProxyError::TlvCut),
        (b"\x01\0", ProxyError::TlvCut),
        (b"\x01\0\x02a", ProxyError::TlvCut),
        (b"\x04\0\x00\x04\xff\xff", ProxyError::TlvCut),
        (b"\x02\0\x01\xff", ProxyError::InvalidTlv(0x02)),
        (b"\x03\0\x03abc", ProxyError::InvalidTlv(0x03)),
        (b"\x20\0\x04\0\0\0\0", ProxyError::InvalidTlv(0x20)),
        (
            b"\x20\0\x08\0\0\0\0\0\x21\0\x01",
            ProxyError::InvalidTlv(0x20),
        ),
        (b"\x02\0\x01a\x02\0\x01a", ProxyError::RepeatedTlv(0x02)),
        (b"\x05\0\0\x05\0\0", ProxyError::RepeatedTlv(0x05)),
        (b"\x03\0\x04\0\0\0\0", ProxyError::Checksum),
    ] {
        assert_eq!(with_fields(fields), Err(why), "{}", fields.escape_ascii());
    }
    let id = |len: u8| with_fields(&[&[0x05, 0, len][..], &vec![1; len.into()]].concat());
    assert!(id(128).is_ok());
    assert_eq!(id(129), Err(ProxyError::InvalidTlv(0x05)));
}

#[test]
fn section_2_2_3_the_checksum_covers_the_whole_header() {
    let header = ProxyHeader::tcp(
        "192.0.2.1:1".parse().unwrap(),
        "192.0.2.2:2".parse().unwrap(),
    );
    let header = header.with_tlv(TlvType::AUTHORITY, b"a.b").unwrap();
    let mut bytes = Vec::new();
    header.write_v2(true, &mut bytes).unwrap();
    assert_eq!(read(&bytes), Ok(header));
    // The type of the checksum's own field is the one byte that it cannot keep: without it there is none.
    let kind = bytes.len() - 7;
    for at in (v2::FIXED..bytes.len()).filter(|&at| at != kind) {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(
                read_in_pieces(&changed, changed.len()).is_err(),
                "{at}.{bit}"
            );
        }
    }
}

#[test]
fn what_cannot_be_written() {
    let v4: SocketAddr = "192.0.2.1:1".parse().unwrap();
    let v6: SocketAddr = "[::1]:1".parse().unwrap();
    let mut out = Vec::new();
    let mixed = ProxyHeader::tcp(v4, v6);
    assert_eq!(
        mixed.write_v1(&mut out),
        Err(ProxyWriteError::MixedFamilies)
    );
    assert_eq!(
        mixed.write_v2(true, &mut out),
        Err(ProxyWriteError::MixedFamilies)
    );
    let long = Endpoints::Unix {
        source: [b'a'; 109].into(),
        destination: [].into(),
    };
    let unix = ProxyHeader::new(Transport::Stream, long);
    assert_eq!(unix.write_v1(&mut out), Err(ProxyWriteError::NotInVersion1));
    assert_eq!(
        unix.write_v2(false, &mut out),
        Err(ProxyWriteError::PathTooLong)
    );
    let tcp = ProxyHeader::tcp(v4, v4);
    for (kind, value) in [
        (TlvType::AUTHORITY, &b"\xff"[..]),
        (TlvType::CRC32C, b"abcd"),
    ] {
        let refused = tcp.clone().with_tlv(kind, value);
        assert!(
            matches!(refused, Err(ProxyWriteError::Field(_))),
            "{kind:?}"
        );
    }
    let tcp = tcp.with_tlv(TlvType::NETNS, &[0; 65_535]).unwrap();
    assert_eq!(tcp.write_v1(&mut out), Err(ProxyWriteError::NotInVersion1));
    assert_eq!(tcp.write_v2(false, &mut out), Err(ProxyWriteError::TooLong));
    assert_eq!(out, b"");
}

fn any_endpoints() -> impl Strategy<Value = Endpoints> {
    let path = proptest::collection::vec(1_u8.., 0..=108).prop_map(Box::<[u8]>::from);
    prop_oneof![
        Just(Endpoints::Unknown),
        any::<([u8; 4], u16, [u8; 4], u16)>().prop_map(|(a, b, c, d)| Endpoints::Inet {
            source: (a, b).into(),
            destination: (c, d).into(),
        }),
        any::<([u8; 16], u16, [u8; 16], u16)>().prop_map(|(a, b, c, d)| Endpoints::Inet {
            source: (a, b).into(),
            destination: (c, d).into(),
        }),
        (path.clone(), path).prop_map(|(source, destination)| Endpoints::Unix {
            source,
            destination
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_however_it_is_cut(
        endpoints in any_endpoints(), datagram in any::<bool>(), checksum in any::<bool>(),
        id in proptest::option::of(any::<[u8; 9]>()), cut in 1_usize..40,
    ) {
        let transport = if datagram { Transport::Datagram } else { Transport::Stream };
        let mut header = ProxyHeader::new(transport, endpoints);
        let mut line = Vec::new();
        if header.write_v1(&mut line).is_ok() {
            prop_assert!(line.len() <= MAX_V1);
            prop_assert_eq!(read_in_pieces(&line, cut).unwrap(), Some((header.clone(), vec![])));
        }
        if let (Some(id), true) = (id, *header.endpoints() != Endpoints::Unknown) {
            header = header.with_tlv(TlvType::UNIQUE_ID, &id).unwrap();
        }
        let mut bytes = Vec::new();
        header.write_v2(checksum, &mut bytes).unwrap();
        prop_assert_eq!(read_in_pieces(&bytes, cut).unwrap(), Some((header, vec![])));
    }

    #[test]
    fn any_bytes_give_the_same_however_they_are_cut(
        command in 0x1f_u8..0x24, family in 0_u8..0x44, body in proptest::collection::vec(0_u8..6, 0..300),
        cut in 1_usize..40, length in proptest::option::of(any::<u16>()),
    ) {
        let mut bytes = v2_bytes(command, family, &body);
        if let Some(length) = length {
            bytes[14..16].copy_from_slice(&length.to_be_bytes());
        }
        prop_assert_eq!(read_in_pieces(&bytes, bytes.len()), read_in_pieces(&bytes, cut));
    }

    #[test]
    fn any_line_gives_the_same_however_it_is_cut(line in "PROXY [TCP46UNKOW 0-9.:\r\n]{0,120}", cut in 1_usize..40) {
        prop_assert_eq!(read_in_pieces(line.as_bytes(), 200), read_in_pieces(line.as_bytes(), cut));
    }
}
