//! Who the client is, whatever the headers say.

use super::*;
use proptest::prelude::*;

fn proxies(header: ForwardedHeader) -> TrustedProxies {
    TrustedProxies::new("10.0.0.0/8 fd00::/8".parse().unwrap(), header)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn x_forwarded(lines: &[&str]) -> Client {
    let headers = lines
        .iter()
        .map(|line| ("X-Forwarded-For", line.as_bytes()));
    proxies(ForwardedHeader::XForwardedFor).client(ip("10.0.0.1"), headers)
}

fn forwarded(lines: &[&str]) -> Client {
    let headers = lines.iter().map(|line| ("forwarded", line.as_bytes()));
    proxies(ForwardedHeader::Forwarded).client(ip("10.0.0.1"), headers)
}

#[test]
fn the_client_is_the_first_from_the_right_that_is_no_proxy() {
    for (lines, expected) in [
        (&["192.0.2.1"][..], "192.0.2.1"),
        (&["192.0.2.1, 10.0.0.2"], "192.0.2.1"),
        (&["198.51.100.1, 192.0.2.1, 10.0.0.2,10.0.0.3"], "192.0.2.1"),
        (&["198.51.100.1", "192.0.2.1", "10.0.0.2"], "192.0.2.1"),
        (&["10.0.0.5, 10.0.0.6"], "10.0.0.5"),
        (&["192.0.2.1, , ,10.0.0.2, "], "192.0.2.1"),
        (&["192.0.2.1:4711"], "192.0.2.1"),
        (&["2001:db8::1"], "2001:db8::1"),
        (&["[2001:db8::1]"], "2001:db8::1"),
        (&["[2001:db8::1]:4711, fd00::1"], "2001:db8::1"),
        (&["192.0.2.1, ::ffff:10.0.0.2"], "192.0.2.1"),
        (&["::ffff:192.0.2.1"], "192.0.2.1"),
        (&[], "10.0.0.1"),
        (&[""], "10.0.0.1"),
    ] {
        assert_eq!(x_forwarded(lines).address, ip(expected), "{lines:?}");
    }
    assert_eq!(x_forwarded(&["192.0.2.1:4711"]).port, Some(4711));
    assert_eq!(x_forwarded(&["192.0.2.1"]).port, None);
}

#[test]
fn what_is_no_address_ends_the_walk_at_who_wrote_it() {
    for (line, expected) in [
        ("unknown", "10.0.0.1"),
        ("192.0.2.1, unknown, 10.0.0.2", "10.0.0.2"),
        ("192.0.2.1, 10.0.0.2.3", "10.0.0.1"),
        ("192.0.2.1, 010.0.0.2", "10.0.0.1"),
        ("192.0.2.1, [10.0.0.2]", "10.0.0.1"),
        ("192.0.2.1, 10.0.0.2:99999", "10.0.0.1"),
        ("192.0.2.1, fd00::1%eth0", "10.0.0.1"),
        ("192.0.2.1, \"10.0.0.2\"", "10.0.0.1"),
        ("192.0.2.1 10.0.0.2", "10.0.0.1"),
    ] {
        assert_eq!(x_forwarded(&[line]).address, ip(expected), "{line}");
    }
    let headers: [(&str, &[u8]); 1] = [("X-Forwarded-For", b"192.0.2.1, \xff, 10.0.0.2")];
    let client = proxies(ForwardedHeader::XForwardedFor).client(ip("10.0.0.1"), headers);
    assert_eq!(client.address, ip("10.0.0.2"));
}

#[test]
fn nobody_else_is_believed() {
    let headers: [(&str, &[u8]); 3] = [
        ("X-Forwarded-For", b"192.0.2.1"),
        ("X-Forwarded-Proto", b"https"),
        ("Forwarded", b"for=192.0.2.1;proto=https"),
    ];
    let direct = Client {
        address: ip("198.51.100.1"),
        port: None,
        scheme: None,
        by_proxy: false,
    };
    for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
        assert_eq!(proxies(header).client(ip("198.51.100.1"), headers), direct);
        let nobody = TrustedProxies::new(Networks::default(), header);
        assert_eq!(nobody.client(ip("198.51.100.1"), headers), direct);
    }
    let mapped = TrustedProxies::default().client(ip("::ffff:198.51.100.1"), headers);
    assert_eq!(mapped, direct);
}

#[test]
fn only_the_header_that_the_proxies_write_is_read() {
    let headers: [(&str, &[u8]); 2] = [
        ("X-Forwarded-For", b"192.0.2.1"),
        ("Forwarded", b"for=192.0.2.2"),
    ];
    let seen = |header| proxies(header).client(ip("10.0.0.1"), headers).address;
    assert_eq!(seen(ForwardedHeader::XForwardedFor), ip("192.0.2.1"));
    assert_eq!(seen(ForwardedHeader::Forwarded), ip("192.0.2.2"));
}

#[test]
fn x_forwarded_proto_is_one_for_all_or_one_for_each() {
    let scheme = |addresses: &str, schemes: &[&str]| {
        let addresses = [("x-forwarded-for", addresses.as_bytes())];
        let schemes = schemes
            .iter()
            .map(|line| ("X-FORWARDED-PROTO", line.as_bytes()));
        let headers = addresses
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .chain(schemes);
        proxies(ForwardedHeader::XForwardedFor)
            .client(ip("10.0.0.1"), headers)
            .scheme
    };
    assert_eq!(scheme("192.0.2.1", &["https"]), Some(Scheme::Tls));
    assert_eq!(scheme("192.0.2.1", &["WS"]), Some(Scheme::Plain));
    assert_eq!(scheme("192.0.2.1, 10.0.0.2", &["https"]), Some(Scheme::Tls));
    assert_eq!(
        scheme("192.0.2.1, 10.0.0.2", &["https, http"]),
        Some(Scheme::Tls)
    );
    assert_eq!(
        scheme("1.2.3.4, 192.0.2.1, 10.0.0.2", &["http", "https", "http"]),
        Some(Scheme::Tls)
    );
    assert_eq!(scheme("192.0.2.1", &["gopher"]), None);
    assert_eq!(scheme("192.0.2.1", &[]), None);
    assert_eq!(scheme("", &["https"]), Some(Scheme::Tls));
}

#[test]
fn rfc_7239_section_4_elements() {
    for (line, expected, port, scheme) in [
        ("for=192.0.2.43", "192.0.2.43", None, None),
        (
            "For=\"[2001:db8:cafe::17]:4711\"",
            "2001:db8:cafe::17",
            Some(4711),
            None,
        ),
        (
            "for=192.0.2.60;proto=http;by=203.0.113.43",
            "192.0.2.60",
            None,
            Some(Scheme::Plain),
        ),
        (
            "for=192.0.2.43, for=10.0.0.17; proto=https ;",
            "192.0.2.43",
            None,
            None,
        ),
        (
            "proto=\"wss\";for=\"192.0.2.1:_hidden\";host=\"a,b;\\\"c\", for=10.1.1.1",
            "192.0.2.1",
            None,
            Some(Scheme::Tls),
        ),
        ("for=192.0.2.1:80", "192.0.2.1", Some(80), None),
        ("by=a", "10.0.0.1", None, None),
        ("for=unknown", "10.0.0.1", None, None),
        ("for=_gazonk, for=10.0.0.2", "10.0.0.2", None, None),
    ] {
        let client = forwarded(&[line]);
        let seen = (client.address, client.port, client.scheme);
        assert_eq!(seen, (ip(expected), port, scheme), "{line}");
    }
    let two_lines = forwarded(&["for=192.0.2.1;proto=https", "for=10.0.0.2"]);
    assert_eq!(two_lines.address, ip("192.0.2.1"));
}

#[test]
fn rfc_7239_section_8_1_a_client_cannot_break_what_is_appended() {
    for claim in [
        "for=\"",
        "\"",
        "for=1.2.3.4;x=\"",
        "for=\"\\",
        "\\\"",
        "for=1.2.3.4;;;=",
        ",,,",
        "\"\\\"",
    ] {
        let line = format!("{claim}, for=192.0.2.1, for=10.0.0.2");
        assert_eq!(forwarded(&[&line]).address, ip("192.0.2.1"), "{line}");
    }
}

#[test]
fn what_is_no_element_ends_the_walk() {
    for entry in [
        "for",
        "for=",
        "=10.0.0.2",
        "for=10.0.0.2;for=10.0.0.2",
        "for=10.0.0.2 for=10.0.0.3",
        "for=\"10.0.0.2\"x",
        "fo r=10.0.0.2",
        "for=10.0.0.2/8",
    ] {
        let line = format!("for=192.0.2.1, {entry}");
        assert_eq!(forwarded(&[&line]).address, ip("10.0.0.1"), "{line}");
    }
}

#[test]
fn a_list_without_end_is_not_walked_to_its_end() {
    let line = "10.0.0.2,".repeat(MAX_HOPS - 1);
    let seen = |hops: &str| x_forwarded(&[&format!("192.0.2.1,{hops}{line}")]).address;
    assert_eq!(seen(""), ip("192.0.2.1"));
    assert_eq!(seen("10.0.0.3,"), ip("10.0.0.3"));
}

proptest! {
    #[test]
    fn whatever_a_client_claims_the_appended_address_is_found(
        claim in "[ -~]{0,40}", hops in 0_usize..4, quoted in any::<bool>()
    ) {
        let appended: Vec<_> = std::iter::once("192.0.2.1").chain((0..hops).map(|_| "10.0.0.2")).collect();
        let line = format!("{claim},{}", appended.join(", "));
        prop_assert_eq!(x_forwarded(&[&line]).address, ip("192.0.2.1"));

        let element = |address: &&str| if quoted { format!("for=\"{address}\"") } else { format!("for={address}") };
        let appended: Vec<_> = appended.iter().map(element).collect();
        let line = format!("{claim},{}", appended.join(", "));
        prop_assert_eq!(forwarded(&[&line]).address, ip("192.0.2.1"));
    }

    #[test]
    fn nothing_that_is_read_panics(line in any::<Vec<u8>>(), other in "[\"\\\\,;=for:\\[\\]0-9. ]{0,40}") {
        for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
            for name in ["forwarded", "x-forwarded-for", "x-forwarded-proto"] {
                let headers = [(name, &line[..]), (name, other.as_bytes())];
                let _ = proxies(header).client(ip("10.0.0.1"), headers);
            }
        }
    }
}
