//! JSON Web Tokens: keys of every kind, what has to be in a token, and its end.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use wirefan_protocol::CloseCode;

use crate::common::{Received, Wirefan, run, text};
use crate::folder::Folder;
use crate::knock::{bearer, enter_with, knock};

const SECRET: &str = "a shared secret of thirty-two bytes";
const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../admission/tests/keys");
/// How far clocks may differ.
const LEEWAY: u64 = 30;

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn hs256(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

fn es256(claims: &Value) -> String {
    let pem = std::fs::read(format!("{KEYS}/ec.pem")).unwrap();
    let key = EncodingKey::from_ec_pem(&pem).unwrap();
    encode(&Header::new(Algorithm::ES256), claims, &key).unwrap()
}

fn claims() -> Value {
    json!({"sub": "ann", "exp": now() + 60, "read": ["/news"], "write": "/team/*"})
}

#[test]
fn keys_in_pem_in_a_set_and_shared() {
    let folder = Folder::new("jwt-keys");
    let secret = folder.file("secret", &format!("{SECRET}\n"));
    let set = json!({"keys": [{"kty": "oct", "alg": "HS256",
        "k": "YSBzaGFyZWQgc2VjcmV0IG9mIHRoaXJ0eS10d28gYnl0ZXM"}]});
    let set = folder.file("set", &set.to_string());
    let public = format!("{KEYS}/ec.pub.pem");
    for (args, by_secret, by_ec) in [
        (&["--jwt-key", &secret][..], true, false),
        (&["--jwks", &set], true, false),
        (&["--jwt-key", &public], false, true),
        (&["--jwt-key", &public, "--jwks", &set], true, true),
        (
            &[
                "--jwt-key",
                &public,
                "--jwks",
                &set,
                "--jwt-algorithm",
                "ES256",
            ],
            false,
            true,
        ),
    ] {
        let server = Wirefan::start(&[&["broadcast"], args].concat());
        for (token, good) in [(hs256(&claims()), by_secret), (es256(&claims()), by_ec)] {
            let entered = enter_with(&server, "/news", &token);
            assert_eq!(entered.err(), (!good).then_some(401), "{args:?}");
        }
    }
}

#[test]
fn claims_say_which_rooms() {
    let folder = Folder::new("jwt-rooms");
    let key = folder.file("secret", SECRET);
    let server = Wirefan::start(&["broadcast", "--jwt-key", &key, "--jwt-rooms", "/tea"]);
    let mut reader = enter_with(&server, "/news", &hs256(&claims()))
        .ok()
        .unwrap();
    let plain = hs256(&json!({"exp": now() + 60}));
    assert_eq!(enter_with(&server, "/news", &plain).err(), Some(403));
    let mut one = enter_with(&server, "/tea", &plain).ok().unwrap();
    let mut other = enter_with(&server, "/tea", &plain).ok().unwrap();
    one.send_text("tea");
    assert_eq!(other.next(), text("tea"));
    assert_eq!(
        enter_with(&server, "/tea", &hs256(&claims())).err(),
        Some(403)
    );
    reader.send_text("no");
    assert_eq!(reader.next(), Received::Close(Some(CloseCode::POLICY)));
}

#[test]
fn issuer_and_audience_and_time() {
    let folder = Folder::new("jwt-claims");
    let key = folder.file("secret", SECRET);
    let args = [
        "echo",
        "--jwt-key",
        &key,
        "--jwt-issuer",
        "https://id.example",
    ];
    let server = Wirefan::start(&[&args[..], &["--jwt-audience", "wirefan"]].concat());
    let good = json!({"exp": now() + 60, "iss": "https://id.example", "aud": "wirefan"});
    assert!(enter_with(&server, "/", &hs256(&good)).is_ok());
    for (claim, value, detail) in [
        ("iss", json!("https://evil.example"), "another issuer"),
        ("aud", json!(["other"]), "another audience"),
        ("aud", Value::Null, "another audience"),
        ("exp", json!(now() - LEEWAY), "has expired"),
        ("exp", Value::Null, "not valid"),
        ("nbf", json!(now() + 1000), "not good yet"),
    ] {
        let mut bad = good.clone();
        bad[claim] = value;
        let (name, value) = bearer(&hs256(&bad));
        let reply = knock(&server, "/", &[(name, &value)]);
        assert_eq!(reply.status, 401, "{claim}");
        // The client is not told which.
        assert_eq!(reply.body, "the token is not good here\n");
        let line = server.line_with("refused");
        assert!(line.contains(detail), "{detail}: {line}");
    }
}

#[test]
fn a_connection_ends_with_its_token() {
    let folder = Folder::new("jwt-end");
    let key = folder.file("secret", SECRET);
    for mode in ["echo", "broadcast"] {
        let server = Wirefan::start(&[mode, "--jwt-key", &key, "--jwt-rooms", "*"]);
        let soon = hs256(&json!({"exp": now() + 4 - LEEWAY}));
        let mut client = enter_with(&server, "/", &soon).ok().unwrap();
        assert_eq!(client.next(), Received::Close(Some(CloseCode(4401))));
        let line = server.line_with("shown out");
        assert!(line.contains("the token has expired"), "{line}");
    }
}

#[test]
fn files_that_are_no_keys_are_one_line_and_exit_code_1() {
    let folder = Folder::new("jwt-broken");
    let short = folder.file("short", "secret");
    let tokens = folder.file("tokens", "# one\nsecret\n");
    let private = format!("{KEYS}/ec.pem");
    for (args, hint) in [
        (&["--jwt-key", &short][..], "too short"),
        (&["--jwt-key", &private], "private key"),
        (&["--jwks", &private], "no JWK set"),
        (&["--jwt-key", "/no/such/file"], "/no/such/file"),
        (&["--ticket-key", &short], "openssl rand"),
        (&["--token-file", &tokens], "tokens: line 2"),
    ] {
        let output = run(&[&["echo", "--listen", "127.0.0.1:0"], args].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(hint), "{said}");
    }
}
