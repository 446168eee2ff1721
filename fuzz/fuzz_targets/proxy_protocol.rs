//! Any bytes, cut anywhere, give the same PROXY header or error, leave what stands behind it, and hold no more than has come;
//! what was read is written so that it is read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wirefan_admission::proxy_protocol::{MAX_V1, ProxyError, ProxyHeader, ProxyReader};
use wirefan_fuzz::{Part, assemble, same_however_cut};

const MAX_LEN: u16 = 400;

const WORDS: [&[u8]; 14] = [
    b"PROXY ",
    b"TCP4 192.0.2.1 198.51.100.1 4711 443",
    b"TCP6 2001:db8::1 ::1 1 2",
    b"UNKNOWN",
    b"\r\n",
    b"\r\n\r\n\0\r\nQUIT\n",
    b"\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x01\x12\x67\x01\xbb",
    b"\x21\x11\0\x2c\xc0\0\x02\x01\xc6\x33\x64\x01\x12\x67\x01\xbb",
    b"\x20\0\0\0",
    b"\x21\x31\0\xd8",
    b"\x03\0\x04",
    b"\x02\0\x0bexample.com",
    b"\x20\0\x0f\x07\0\0\0\0\x21\0\x07TLSv1.3",
    b"\x04\0\0",
];

/// The header, and the bytes behind it.
type Seen = Result<Option<(ProxyHeader, Vec<u8>)>, ProxyError>;

fn read(pieces: Vec<Vec<u8>>) -> Seen {
    let mut reader = ProxyReader::with_max_len(MAX_LEN);
    let mut pieces = pieces.into_iter();
    while let Some(piece) = pieces.next() {
        let mut input = &piece[..];
        if let Some(header) = reader.read(&mut input)? {
            let behind = pieces.fold(input.to_vec(), |behind, piece| [behind, piece].concat());
            return Ok(Some((header, behind)));
        }
        assert!(
            input.is_empty(),
            "all is taken while the header is not whole"
        );
    }
    Ok(None)
}

fuzz_target!(|case: (Vec<Part<'_>>, &[u8])| {
    let bytes = assemble(&case.0, &WORDS);
    let seen = same_however_cut(&bytes, case.1, read);
    let longest = MAX_V1.max(16 + usize::from(MAX_LEN));
    let (header, behind) = match seen {
        Ok(Some(seen)) => seen,
        Ok(None) => return assert!(bytes.len() < longest, "it waits for no more than that"),
        Err(_) => return,
    };
    assert!(bytes.ends_with(&behind) && bytes.len() - behind.len() <= longest);
    let mut again = Vec::new();
    for checksum in [false, true] {
        header
            .write_v2(checksum, &mut again)
            .expect("what was read can be written");
        let mut input = &again[..];
        let read = ProxyReader::with_max_len(u16::MAX).read(&mut input);
        assert_eq!((read, input), (Ok(Some(header.clone())), &b""[..]));
        again.clear();
    }
    if header.write_v1(&mut again).is_ok() {
        assert_eq!(read(vec![again]), Ok(Some((header, Vec::new()))));
    }
});
