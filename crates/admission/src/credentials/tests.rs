//! Tokens in each of their places, and what is none.

use super::*;
use proptest::prelude::*;

type Found = Result<Option<String>, CredentialError>;

fn find(sources: &str, headers: &[(&str, &str)], query: Option<&str>) -> Found {
    let sources: TokenSources = sources.parse().unwrap();
    let headers = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()));
    let found = sources.find(headers, query)?;
    Ok(found.map(|presented| presented.token.expose().to_owned()))
}

fn some(token: &str) -> Found {
    Ok(Some(token.to_owned()))
}

#[test]
fn rfc_6750_section_2_1_bearer() {
    let bearer = |value| find("bearer", &[("authorization", value)], None);
    let invalid = Err(CredentialError::Invalid(TokenPlace::Authorization));
    assert_eq!(bearer("Bearer mF_9.B5f-4.1JqM"), some("mF_9.B5f-4.1JqM"));
    assert_eq!(bearer("bEARER  a+/~=="), some("a+/~=="));
    for other in ["Basic YTpi", "Bearerx abc", "", "Digest a=b"] {
        assert_eq!(bearer(other), Ok(None), "{other}");
    }
    for value in [
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Bearer a,b",
        "Bearer =",
        "Bearer a=b",
        "Bearer \u{e4}",
    ] {
        assert_eq!(bearer(value), invalid, "{value}");
    }
    let twice = [("Authorization", "Bearer a"), ("authorization", "Basic b")];
    let repeated = CredentialError::Repeated(TokenPlace::Authorization);
    assert_eq!(find("bearer", &twice, None), Err(repeated));
    let longest = format!("Bearer {}", "a".repeat(MAX_TOKEN));
    assert!(bearer(&longest).is_ok());
    let too_long = CredentialError::TooLong(TokenPlace::Authorization);
    assert_eq!(bearer(&format!("{longest}a")), Err(too_long));
}

#[test]
fn rfc_6265_section_4_2_1_cookies() {
    let cookie = |value| find("cookie:__Host-sid", &[("Cookie", value)], None);
    for value in [
        "__Host-sid=abc",
        "a=b; __Host-sid=abc; c=d",
        "__Host-sid=\"abc\"",
        "x; =y; bad name=1 2; __Host-sid=abc;",
        "a__Host-sid=x;__Host-sid=abc; __Host-sid2=y",
    ] {
        assert_eq!(cookie(value), some("abc"), "{value}");
    }
    for value in [
        "",
        "a=b",
        "__host-sid=abc",
        "__Host-sid",
        "x=__Host-sid=abc",
    ] {
        assert_eq!(cookie(value), Ok(None), "{value}");
    }
    let place = TokenPlace::Cookie;
    for value in [
        "__Host-sid=",
        "__Host-sid=a b",
        "__Host-sid=\"abc",
        "__Host-sid=a,b",
        "__Host-sid=%41",
    ] {
        assert_eq!(
            cookie(value),
            Err(CredentialError::Invalid(place)),
            "{value}"
        );
    }
    let repeated = Err(CredentialError::Repeated(place));
    assert_eq!(cookie("__Host-sid=a; __Host-sid=a"), repeated);
    let lines = [("cookie", "__Host-sid=a"), ("cookie", "__Host-sid=b")];
    assert_eq!(find("cookie:__Host-sid", &lines, None), repeated);
}

#[test]
fn rfc_6455_section_11_3_4_subprotocols() {
    let offers = |source, value| find(source, &[("sec-websocket-protocol", value)], None);
    for value in ["bearer.a.b.c, chat", "chat,superchat , bearer.a.b.c"] {
        assert_eq!(offers("subprotocol", value), some("a.b.c"), "{value}");
    }
    assert_eq!(offers("subprotocol", "chat, Bearer.a"), Ok(None));
    let place = TokenPlace::Subprotocol;
    let repeated = Err(CredentialError::Repeated(place));
    assert_eq!(offers("subprotocol", "bearer.a, bearer.b"), repeated);
    let invalid = Err(CredentialError::Invalid(place));
    assert_eq!(offers("subprotocol", "chat, bearer."), invalid);

    assert_eq!(offers("subprotocol-pair", "chat, a.b.c"), some("a.b.c"));
    for value in ["chat", "chat, a, b", ""] {
        assert_eq!(offers("subprotocol-pair", value), Ok(None), "{value}");
    }
    let lines = [
        ("Sec-WebSocket-Protocol", "chat"),
        ("sec-websocket-protocol", "tok"),
    ];
    assert_eq!(find("subprotocol-pair", &lines, None), some("tok"));
}

#[test]
fn the_token_is_never_among_the_protocols_to_answer_with() {
    let protocols = |sources: &str, offered: &[&'static str]| {
        let sources: TokenSources = sources.parse().unwrap();
        sources.protocols(offered.iter().copied())
    };
    assert_eq!(protocols("subprotocol", &["bearer.x", "chat"]), ["chat"]);
    assert_eq!(protocols("subprotocol-pair", &["chat", "x"]), ["chat"]);
    assert_eq!(
        protocols("subprotocol-pair", &["a", "b", "c"]),
        ["a", "b", "c"]
    );
    assert_eq!(protocols("", &["chat", "bearer.x"]), ["chat"]);
    assert!(protocols("subprotocol", &["bearer.x"]).is_empty());
}

#[test]
fn rfc_6750_section_2_3_query() {
    let query = |query| find("query:ticket", &[], Some(query));
    for value in [
        "ticket=a%2Bb",
        "x=1&ticket=a+b&y",
        "ticket=a%2bb&tickets=c",
        "ticket=%61%2b%62",
    ] {
        assert_eq!(query(value), some("a+b"), "{value}");
    }
    for value in ["", "ticket", "Ticket=a", "xticket=a", "a=ticket=b"] {
        assert_eq!(query(value), Ok(None), "{value}");
    }
    let place = TokenPlace::Query;
    for value in [
        "ticket=",
        "ticket=%",
        "ticket=a%2",
        "ticket=%zz",
        "ticket=%00",
        "ticket=%20",
        "ticket=a%C3%A4",
    ] {
        assert_eq!(
            query(value),
            Err(CredentialError::Invalid(place)),
            "{value}"
        );
    }
    let repeated = Err(CredentialError::Repeated(place));
    assert_eq!(query("ticket=a&ticket=a"), repeated);
    assert_eq!(find("query:ticket", &[], None), Ok(None));
}

#[test]
fn the_first_place_that_has_one_counts() {
    let headers = [("cookie", "sid=c"), ("authorization", "Bearer a")];
    let query = Some("t=q");
    assert_eq!(find("bearer cookie:sid", &headers, query), some("a"));
    assert_eq!(find("cookie:sid, bearer", &headers, query), some("c"));
    assert_eq!(find("query:t,bearer", &headers, query), some("q"));
    assert_eq!(find("subprotocol cookie:sid", &headers, query), some("c"));
    assert_eq!(find("", &headers, query), Ok(None));
}

#[test]
fn mistakes_in_sources_are_told() {
    for (text, why) in [
        ("Bearer", TokenSourceError::Unknown),
        ("header:x", TokenSourceError::Unknown),
        ("bearer:x", TokenSourceError::Unknown),
        ("cookie", TokenSourceError::NameMissing),
        ("query", TokenSourceError::NameMissing),
        ("cookie:", TokenSourceError::InvalidName),
        ("query:a=b", TokenSourceError::InvalidName),
    ] {
        assert_eq!(text.parse::<TokenSource>(), Err(why), "{text}");
    }
    for text in [
        "bearer",
        "cookie:a",
        "subprotocol",
        "subprotocol-pair",
        "query:b",
    ] {
        let source: TokenSource = text.parse().unwrap();
        assert_eq!(source.to_string(), text);
        assert_eq!(source.is_ambient(), text == "cookie:a");
    }
}

#[test]
fn errors_and_what_is_found_do_not_show_the_token() {
    let sources: TokenSources = "bearer".parse().unwrap();
    let found = sources.find([("authorization", &b"Bearer hunter2"[..])], None);
    assert!(!format!("{found:?}").contains("hunter2"));
    let error = sources.find([("authorization", &b"Bearer hunter2 "[..])], None);
    let error = error.unwrap_err();
    assert!(!format!("{error:?} {error}").contains("hunter2"));
}

proptest! {
    #[test]
    fn a_token_is_found_wherever_it_is_put(token in "[A-Za-z0-9._~-]{1,40}") {
        let bearer = format!("Bearer {token}");
        let cookie = format!("a=b; sid={token}");
        let offers = format!("chat, bearer.{token}");
        let headers = [("authorization", &*bearer), ("cookie", &*cookie), ("sec-websocket-protocol", &*offers)];
        let encoded: String = token.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let query = format!("x&t={encoded}&y=z");
        for source in ["bearer", "cookie:sid", "subprotocol", "query:t"] {
            prop_assert_eq!(find(source, &headers, Some(&query)), some(&token));
        }
    }

    #[test]
    fn whatever_is_read_a_token_has_only_what_tokens_have(
        value in proptest::collection::vec(any::<u8>(), 0..60), text in "[a-c=;, \"%.0-9]{0,40}"
    ) {
        let sources = ["bearer", "cookie:a", "subprotocol", "subprotocol-pair", "query:a"];
        for source in sources {
            let sources: TokenSources = source.parse().unwrap();
            for name in ["authorization", "cookie", "sec-websocket-protocol"] {
                let bearer = [b"Bearer ", &value[..]].concat();
                for value in [&value[..], &bearer, text.as_bytes()] {
                    if let Ok(Some(found)) = sources.find([(name, value)], Some(&text)) {
                        prop_assert!(is_token_text(found.token.expose().as_bytes()));
                    }
                }
            }
        }
    }
}
