//! What is said to proxies, byte by byte, and which one the environment chooses.
use super::*;

fn target(url: &str) -> Target {
    Target::parse(url).unwrap()
}

/// Goes through a conversation, the proxy's side in pieces of this size.
fn talk(proxy: &str, url: &str, size: usize, lines: &[(&[u8], &[u8])]) -> Result<Next, ProxyError> {
    let (mut talk, mut said) = Talk::begin(&Proxy::new(proxy).unwrap(), &target(url))?;
    let mut last = Next::Wait;
    for (expected, answer) in lines {
        assert_eq!(said, *expected, "{:?}", String::from_utf8_lossy(&said));
        for piece in answer.chunks(size) {
            last = talk.hear(piece)?;
        }
        if let Next::Say(next) = &last {
            said = next.clone();
        }
    }
    Ok(last)
}

#[test]
fn rfc_9110_section_9_3_6_connect() {
    let asked = b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n";
    let with = b"CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\nProxy-Authorization: Basic YTpiQA==\r\n\r\n";
    for size in [1, 1000] {
        let yes: &[u8] = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";
        let through = talk("http://p", "wss://a.example/", size, &[(asked, yes)]);
        assert_eq!(through, Ok(Next::Through));
        let through = talk(
            "p:3128",
            "ws://[::1]/",
            size,
            &[(b"CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", yes)],
        );
        assert_eq!(through, Ok(Next::Through));
        let no: &[u8] = b"HTTP/1.1 407 No\r\n\r\n";
        let refused = talk("http://a:b%40@p", "ws://[::1]/", size, &[(with, no)]);
        assert_eq!(refused, Err(ProxyError::Refused(407)));
    }
    for bad in [
        &b"HTTP/2 200\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\n\r\nx",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"\r\n\r\n",
        &[b'x'; MAX_HEAD + 1],
    ] {
        let result = talk("http://p", "wss://a.example/", 100_000, &[(asked, bad)]);
        assert_eq!(result, Err(ProxyError::Protocol));
    }
}

#[test]
fn rfc_1928_without_and_rfc_1929_with_a_password() {
    let name: &[u8] = b"\x05\x01\x00\x03\x09a.example\x01\xbb";
    let v4: &[u8] = b"\x05\x01\x00\x01\x01\x02\x03\x04\x00\x50";
    let done: &[u8] = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00";
    let done_name: &[u8] = b"\x05\x00\x00\x03\x01x\x00\x00";
    for size in [1, 1000] {
        let lines = [(&b"\x05\x01\x00"[..], &b"\x05\x00"[..]), (name, done)];
        let result = talk("socks5://p", "wss://a.example/", size, &lines);
        assert_eq!(result, Ok(Next::Through));
        let lines = [
            (&b"\x05\x02\x00\x02"[..], &b"\x05\x02"[..]),
            (b"\x01\x01a\x02b@", b"\x01\x00"),
            (v4, done_name),
        ];
        let result = talk("socks5h://a:b%40@p", "ws://1.2.3.4/", size, &lines);
        assert_eq!(result, Ok(Next::Through));
    }
    let asked: &[u8] = b"\x05\x01\x00";
    for (lines, expected) in [
        (vec![(asked, &b"\x05\xff"[..])], ProxyError::Socks(255)),
        (vec![(asked, b"\x04\x00")], ProxyError::Protocol),
        (vec![(asked, b"\x05\x02")], ProxyError::Protocol),
        (vec![(asked, b"\x05\x00x")], ProxyError::Protocol),
        (
            vec![(asked, b"\x05\x00"), (name, b"\x05\x05\x00\x01")],
            ProxyError::Socks(5),
        ),
        (
            vec![(asked, b"\x05\x00"), (name, b"\x05\x00\x00\x09")],
            ProxyError::Protocol,
        ),
    ] {
        let result = talk("socks5://p", "wss://a.example/", 100, &lines);
        assert_eq!(result, Err(expected));
    }
    let lines = [
        (&b"\x05\x02\x00\x02"[..], &b"\x05\x02"[..]),
        (b"\x01\x01a\x00", b"\x01\x01"),
    ];
    let result = talk("socks5://a@p", "ws://1.2.3.4/", 100, &lines);
    assert_eq!(result, Err(ProxyError::Password));
}

#[test]
fn what_is_no_proxy() {
    for url in [
        "",
        "https://p",
        "ftp://p",
        "http://",
        "http://p:x",
        "http://a b",
        "socks4://p",
    ] {
        assert_eq!(Proxy::new(url), Err(ProxyError::Url), "{url}");
    }
    let proxy = Proxy::new("http://ann:secret@p").unwrap();
    assert!(!format!("{proxy:?}").contains("secret"));
}

/// The host of the proxy that this environment chooses.
fn chosen(url: &str, environment: &[(&str, &str)]) -> Option<String> {
    let get = |name: &str| {
        let found = environment.iter().find(|(own, _)| *own == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let proxy = Proxy::of_environment(&target(url), get).unwrap();
    proxy.map(|proxy| proxy.host.into())
}

#[test]
fn the_environment_chooses_by_scheme_and_exempts_by_name_and_network() {
    let both = [("HTTP_PROXY", "http://h"), ("HTTPS_PROXY", "http://s")];
    assert_eq!(chosen("ws://a/", &both).as_deref(), Some("h"));
    assert_eq!(chosen("wss://a/", &both).as_deref(), Some("s"));
    assert_eq!(chosen("ws://a/", &both[1..]), None);
    let all = [
        ("ALL_PROXY", "socks5://all"),
        ("http_proxy", "low"),
        ("HTTP_PROXY", "up"),
    ];
    assert_eq!(chosen("wss://a/", &all).as_deref(), Some("all"));
    assert_eq!(chosen("ws://a/", &all).as_deref(), Some("low"));
    let cgi = [("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "http://evil")];
    assert_eq!(chosen("ws://a/", &cgi), None);
    assert_eq!(chosen("ws://a/", &[("HTTP_PROXY", "")]), None);
    let list = "localhost, .example.com,10.0.0.0/8 b.test:81,[::1],*.star.test,1.2.3.4";
    for (url, exempt) in [
        ("ws://localhost/", true),
        ("ws://LOCALHOST:99/", true),
        ("ws://example.com/", true),
        ("ws://a.example.com./", true),
        ("ws://badexample.com/", false),
        ("ws://10.1.2.3/", true),
        ("ws://11.1.2.3/", false),
        ("ws://b.test/", false),
        ("ws://b.test:81/", true),
        ("ws://[::1]/", true),
        ("ws://[::2]/", false),
        ("ws://a.star.test/", true),
        ("ws://1.2.3.4:9/", true),
        ("ws://1.2.3.5/", false),
    ] {
        let environment = [("HTTP_PROXY", "http://h"), ("NO_PROXY", list)];
        assert_eq!(chosen(url, &environment).is_none(), exempt, "{url}");
    }
    let all = [("HTTP_PROXY", "http://h"), ("no_proxy", "*")];
    assert_eq!(chosen("ws://a/", &all), None);
}
