//! What origins are the same, and which entries of a list match them.

use super::*;
use proptest::prelude::*;

fn same(origin: &str, host: &str, scheme: Option<Scheme>) -> bool {
    OriginPolicy::default()
        .check(Some(origin), Some(host), scheme)
        .is_ok()
}

fn listed(policy: &str, origin: &str) -> bool {
    let policy: OriginPolicy = policy.parse().unwrap();
    policy.check(Some(origin), Some("the.server"), None).is_ok()
}

#[test]
fn rfc_6454_section_5_same_host_and_port() {
    for (origin, host) in [
        ("https://example.com", "example.com"),
        ("http://example.com", "example.com"),
        ("https://example.com", "example.com:443"),
        ("http://example.com", "example.com:80"),
        ("https://example.com:443", "example.com"),
        ("http://localhost:9001", "localhost:9001"),
        ("HTTPS://EXAMPLE.com", "Example.COM"),
        ("https://example.com.", "example.com"),
        ("https://example.com", "example.com."),
        ("http://[::1]:9001", "[0:0::1]:9001"),
        ("http://127.0.0.1", "127.0.0.1"),
        ("http://a_b", "a_b:"),
    ] {
        assert!(same(origin, host, None), "{origin} {host}");
    }
    for (origin, host) in [
        ("https://example.com", "example.com:80"),
        ("http://example.com", "example.com:443"),
        ("http://example.com:443", "example.com"),
        ("https://example.com:8443", "example.com"),
        ("https://example.com", "example.org"),
        ("https://www.example.com", "example.com"),
        ("https://example.com", "www.example.com"),
        ("https://example.com.evil.example", "example.com"),
        ("https://evilexample.com", "example.com"),
        ("http://[::1]", "[::2]"),
        ("http://[::1]", "::1"),
        ("ftp://example.com", "example.com"),
        ("https://example.com", ""),
        ("https://example.com", "a@example.com"),
    ] {
        assert!(!same(origin, host, None), "{origin} {host}");
    }
    let policy = OriginPolicy::default();
    let without_host = policy.check(Some("https://example.com"), None, None);
    assert_eq!(without_host, Err(OriginRefused::NotAllowed));
}

#[test]
fn rfc_6454_section_5_a_page_without_tls_is_another_one_where_the_scheme_is_known() {
    assert!(same("https://a.b", "a.b", Some(Scheme::Tls)));
    assert!(same("http://a.b", "a.b", Some(Scheme::Plain)));
    assert!(!same("http://a.b", "a.b", Some(Scheme::Tls)));
    assert!(!same("https://a.b", "a.b", Some(Scheme::Plain)));
    assert!(!same("http://a.b:443", "a.b", Some(Scheme::Tls)));
}

#[test]
fn what_is_no_origin() {
    let policy: OriginPolicy = "same https://*.example.com".parse().unwrap();
    for origin in [
        "",
        "example.com",
        "https://",
        "https://a.example.com/",
        "https://a.example.com https://b.example.com",
        "https://x@a.example.com",
        "https://a..example.com",
        "https://.example.com",
        "https://a.example.com..",
        "https://a.example.com:0x50",
        "https://a.example.com:65536",
        "https://a.example.com:+80",
        "https://[::1",
        "https://[::1]x",
        "https://[fe80::1%25eth0]",
        "https://ex\u{e4}mple.com",
        "https://a.example.com\0",
        "https://a%2eexample.com",
        "Null",
    ] {
        let refused = policy.check(Some(origin), Some("example.com"), None);
        assert_eq!(refused, Err(OriginRefused::Invalid), "{origin}");
    }
}

#[test]
fn rfc_6454_section_7_3_null_has_to_be_named() {
    let null = |policy: &str| {
        let policy: OriginPolicy = policy.parse().unwrap();
        policy.check(Some("null"), Some("null"), None)
    };
    assert_eq!(null("same"), Err(OriginRefused::Null));
    assert_eq!(null("same null"), Ok(()));
    assert_eq!(null("any"), Ok(()));
}

#[test]
fn requests_without_origin_are_a_choice_of_their_own() {
    let policies = [OriginPolicy::default(), OriginPolicy::any()];
    for policy in policies {
        assert_eq!(policy.check(None, None, None), Ok(()));
        let policy = policy.with_missing(MissingOrigin::Refuse);
        assert_eq!(
            policy.check(None, Some("a"), None),
            Err(OriginRefused::Missing)
        );
    }
}

#[test]
fn entries_of_a_list() {
    for (policy, origin) in [
        ("https://example.com", "https://example.com"),
        ("https://example.com", "https://example.com:443"),
        ("https://example.com:443", "https://example.com"),
        ("HTTPS://Example.COM.", "https://example.com"),
        ("https://*.example.com", "https://a.example.com"),
        ("https://*.example.com", "https://a.b.example.com"),
        ("https://*.example.com:8443", "https://a.example.com:8443"),
        ("http://localhost:*", "http://localhost:5173"),
        ("http://localhost:*", "http://localhost"),
        ("http://*.localhost:*", "http://app.localhost:1"),
        ("http://[::1]:*", "http://[0::1]:7"),
        ("https://a.b,https://c.d", "https://c.d"),
        ("tauri://localhost", "tauri://localhost"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("any", "https://anything"),
        ("any", "not even one"),
    ] {
        assert!(listed(policy, origin), "{policy} {origin}");
    }
    for (policy, origin) in [
        ("https://example.com", "http://example.com"),
        ("https://example.com", "https://example.com:8443"),
        ("https://example.com", "https://a.example.com"),
        ("https://*.example.com", "https://example.com"),
        ("https://*.example.com", "https://evilexample.com"),
        (
            "https://*.example.com",
            "https://a.example.com.evil.example",
        ),
        ("https://*.example.com", "https://a.example.com:8443"),
        ("https://*.example.com", "http://a.example.com"),
        ("http://localhost:*", "https://localhost:1"),
        ("tauri://localhost", "tauri://localhost:1"),
        ("https://example.com", "https://the.server"),
    ] {
        assert!(!listed(policy, origin), "{policy} {origin}");
    }
}

#[test]
fn mistakes_in_a_policy_are_told() {
    let error = |text: &str| text.parse::<OriginPolicy>().unwrap_err();
    assert_eq!(error(" , "), OriginPolicyError::Empty);
    assert_eq!(error("any same"), OriginPolicyError::AnyAndMore);
    for (text, expected) in [
        ("example.com", OriginPatternError::SchemeMissing),
        ("1://a", OriginPatternError::SchemeInvalid),
        ("https://", OriginPatternError::HostInvalid),
        (
            "https://b\u{fc}cher.example",
            OriginPatternError::HostInvalid,
        ),
        ("https://a@b.c", OriginPatternError::HostInvalid),
        ("https://a:b", OriginPatternError::PortInvalid),
        ("https://a/", OriginPatternError::Path),
        ("https://*", OriginPatternError::Wildcard),
        ("https://*.com", OriginPatternError::Wildcard),
        ("https://a.*.com", OriginPatternError::Wildcard),
        ("https://*a.example.com", OriginPatternError::Wildcard),
        ("https://*.1.2.3.4", OriginPatternError::Wildcard),
    ] {
        match error(text) {
            OriginPolicyError::Pattern { why, .. } => assert_eq!(why, expected, "{text}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        error("example.com").to_string(),
        "\"example.com\" is no origin: it begins with a scheme, as in https://example.com"
    );
}

proptest! {
    #[test]
    fn nothing_that_is_read_panics(policy in "\\PC{0,40}", origin in "\\PC{0,40}", host in "\\PC{0,20}") {
        let policy = policy.parse().unwrap_or_else(|_| OriginPolicy::default());
        let _ = policy.check(Some(&origin), Some(&host), None);
    }

    #[test]
    fn an_origin_is_on_the_list_that_names_it_and_no_other(
        host in "[a-c.]{1,5}", other in "[a-c.]{1,5}", port in 1_u16..4
    ) {
        let (origin, entry) = (format!("https://{host}:{port}"), format!("https://{other}:{port}"));
        if let Ok(policy) = entry.parse::<OriginPolicy>() {
            let same = host.strip_suffix('.').unwrap_or(&host) == other.strip_suffix('.').unwrap_or(&other);
            prop_assert_eq!(policy.check(Some(&origin), None, None).is_ok(), same);
        }
    }

    #[test]
    fn below_a_wildcard_is_what_ends_in_its_name_behind_a_dot(host in "([a-b]{1,2}\\.){0,4}[a-b]{1,2}") {
        let below = host.ends_with(".a.b");
        prop_assert_eq!(listed("https://*.a.b", &format!("https://{host}")), below);
    }
}
