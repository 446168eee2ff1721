//! Tokens that are signed, and what they allow; and those of other people's making.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const SECRET: &[u8] = b"a shared secret of thirty-two bytes";
const RSA: &str = include_str!("../../tests/keys/rsa.pem");
const RSA_PUBLIC: &str = include_str!("../../tests/keys/rsa.pub.pem");
const EC: &str = include_str!("../../tests/keys/ec.pem");
const EC_PUBLIC: &str = include_str!("../../tests/keys/ec.pub.pem");
const ED: &str = include_str!("../../tests/keys/ed.pem");
const ED_PUBLIC: &str = include_str!("../../tests/keys/ed.pub.pem");

const NOW: u64 = 1_800_000_000;

fn signer(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::HS256 => EncodingKey::from_secret(SECRET),
        Algorithm::ES256 => EncodingKey::from_ec_pem(EC.as_bytes()).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(ED.as_bytes()).unwrap(),
        _ => EncodingKey::from_rsa_pem(RSA.as_bytes()).unwrap(),
    }
}

fn sign(header: &Header, claims: &Value) -> Secret {
    encode(header, claims, &signer(header.alg)).unwrap().into()
}

fn with_kid(algorithm: Algorithm, kid: &str) -> Header {
    let mut header = Header::new(algorithm);
    header.kid = Some(kid.to_owned());
    header
}

fn hs256(claims: &Value) -> Secret {
    sign(&Header::new(Algorithm::HS256), claims)
}

fn verifier(policy: JwtPolicy) -> JwtVerifier {
    JwtVerifier::new(JwtKeys::hs256(SECRET).unwrap(), policy)
}

/// What claims come to with the shared secret.
fn grant(policy: &JwtPolicy, claims: &Value) -> Result<Grant, JwtError> {
    verifier(policy.clone()).verify(&hs256(claims), NOW)
}

fn good() -> Value {
    json!({"sub": "alice", "exp": NOW + 60, "read": ["/a", "/b c"], "write": "/d, /e/*"})
}

fn all_keys() -> JwtKeys {
    let pem = format!("RSA\n{RSA_PUBLIC}\n{EC_PUBLIC}{ED_PUBLIC}");
    let keys = JwtKeys::from_pem(&pem).unwrap();
    keys.and(JwtKeys::hs256(SECRET).unwrap()).unwrap()
}

#[test]
fn each_algorithm_with_its_own_key() {
    let verifier = JwtVerifier::new(all_keys(), JwtPolicy::default());
    assert_eq!(verifier.keys.len(), 4);
    for algorithm in [
        Algorithm::HS256,
        Algorithm::RS256,
        Algorithm::ES256,
        Algorithm::EdDSA,
    ] {
        let token = sign(&Header::new(algorithm), &good());
        let grant = verifier.verify(&token, NOW).unwrap();
        assert_eq!((&*grant.subject, grant.expires), ("alice", Some(NOW + 90)));
        assert!(grant.may_read("/b c") && !grant.may_read("/d"));
        assert!(grant.may_write("/d") && grant.may_write("/e/f") && !grant.may_write("/a"));
        // One character of the claims or of the signature changed.
        let text = token.expose();
        for at in [text.find('.').unwrap() + 5, text.len() - 10] {
            let other = if &text[at..=at] == "A" { "B" } else { "A" };
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            let refused = verifier.verify(&changed.into(), NOW);
            assert_eq!(refused, Err(JwtError::Signature), "{algorithm:?}");
        }
    }
}

#[test]
fn rfc_8725_section_3_1_the_key_says_which_algorithm() {
    // The classic: the public key, taken for a shared secret.
    let header = Header::new(Algorithm::HS256);
    let forged = encode(
        &header,
        &good(),
        &EncodingKey::from_secret(RSA_PUBLIC.as_bytes()),
    );
    let forged = Secret::from(forged.unwrap());
    let rsa = JwtVerifier::new(JwtKeys::from_pem(RSA_PUBLIC).unwrap(), JwtPolicy::default());
    assert_eq!(rsa.verify(&forged, NOW), Err(JwtError::Algorithm));
    let all = JwtVerifier::new(all_keys(), JwtPolicy::default());
    assert_eq!(all.verify(&forged, NOW), Err(JwtError::Signature));
    // A key of RSA signs RS256 here, and neither longer hashes nor PSS.
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        let token = sign(&Header::new(algorithm), &good());
        assert_eq!(all.verify(&token, NOW), Err(JwtError::Algorithm));
    }
    // No signature at all.
    for name in ["none", "None", "nOnE", "HS1"] {
        let head = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{name}"}}"#));
        let claims = URL_SAFE_NO_PAD.encode(good().to_string());
        for token in [format!("{head}.{claims}."), format!("{head}.{claims}.AAAA")] {
            assert_eq!(
                all.verify(&token.into(), NOW),
                Err(JwtError::Malformed),
                "{name}"
            );
        }
    }
}

#[test]
fn keys_of_other_algorithms_can_be_left_out() {
    let keys = all_keys().only(&["ES256".parse().unwrap(), JwtAlgorithm::EdDsa]);
    let verifier = JwtVerifier::new(keys.unwrap(), JwtPolicy::default());
    for (algorithm, good_for) in [
        (Algorithm::ES256, true),
        (Algorithm::EdDSA, true),
        (Algorithm::RS256, false),
        (Algorithm::HS256, false),
    ] {
        let token = sign(&Header::new(algorithm), &good());
        assert_eq!(verifier.verify(&token, NOW).is_ok(), good_for);
    }
    let none = JwtKeys::hs256(SECRET).unwrap().only(&[JwtAlgorithm::Rs256]);
    assert_eq!(none.unwrap_err(), JwtKeysError::NoKey);
    for name in ["none", "es256", "", "RS512"] {
        assert_eq!(name.parse::<JwtAlgorithm>(), Err(UnknownJwtAlgorithm));
    }
}

fn jwk(kid: &str, public: &str) -> Value {
    let key = match public {
        RSA_PUBLIC => jsonwebtoken::DecodingKey::from_rsa_pem(public.as_bytes()),
        EC_PUBLIC => jsonwebtoken::DecodingKey::from_ec_pem(public.as_bytes()),
        _ => jsonwebtoken::DecodingKey::from_ed_pem(public.as_bytes()),
    };
    let jwk = jsonwebtoken::jwk::Jwk::from_decoding_key(&key.unwrap(), None).unwrap();
    let mut jwk = serde_json::to_value(jwk).unwrap();
    jwk["kid"] = kid.into();
    jwk
}

fn jwks(keys: &[Value]) -> Result<JwtKeys, JwtKeysError> {
    JwtKeys::from_jwks(&json!({"keys": keys}).to_string())
}

#[test]
fn rfc_7517_section_4_5_the_kid_chooses() {
    let other_rsa = {
        let mut key = jwk("r2", RSA_PUBLIC);
        let mut n = URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).unwrap();
        n[100] ^= 1;
        key["n"] = URL_SAFE_NO_PAD.encode(n).into();
        key
    };
    let set = [
        other_rsa,
        jwk("r1", RSA_PUBLIC),
        jwk("e1", EC_PUBLIC),
        jwk("d1", ED_PUBLIC),
    ];
    let verifier = JwtVerifier::new(jwks(&set).unwrap(), JwtPolicy::default());
    let verify = |header: &Header| verifier.verify(&sign(header, &good()), NOW).map(|_| ());
    for (algorithm, kid) in [
        (Algorithm::RS256, "r1"),
        (Algorithm::ES256, "e1"),
        (Algorithm::EdDSA, "d1"),
    ] {
        assert_eq!(verify(&with_kid(algorithm, kid)), Ok(()));
        assert_eq!(verify(&Header::new(algorithm)), Ok(()), "all are tried");
        assert_eq!(
            verify(&with_kid(algorithm, "x1")),
            Err(JwtError::UnknownKey)
        );
    }
    assert_eq!(
        verify(&with_kid(Algorithm::RS256, "r2")),
        Err(JwtError::Signature)
    );
    // The key of another algorithm is not even tried.
    assert_eq!(
        verify(&with_kid(Algorithm::RS256, "e1")),
        Err(JwtError::UnknownKey)
    );
    assert_eq!(
        verify(&Header::new(Algorithm::HS256)),
        Err(JwtError::Algorithm)
    );
}

#[test]
fn rfc_7517_section_5_keys_of_no_use_are_left_out() {
    let but = |key: &Value, name: &str, value: Value| {
        let mut key = key.clone();
        key[name] = value;
        key
    };
    let rsa = jwk("r1", RSA_PUBLIC);
    let secret = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET)});
    let good = [
        rsa.clone(),
        but(&rsa, "alg", "RS256".into()),
        but(&rsa, "use", "sig".into()),
        but(&rsa, "key_ops", json!(["verify"])),
        but(&secret, "alg", "HS256".into()),
        but(&jwk("d1", ED_PUBLIC), "alg", "EdDSA".into()),
    ];
    for key in good {
        assert_eq!(
            jwks(std::slice::from_ref(&key)).map(|keys| keys.len()),
            Ok(1),
            "{key}"
        );
    }
    let left_out = [
        but(&rsa, "alg", "PS256".into()),
        but(&rsa, "alg", "RSA-OAEP".into()),
        but(&rsa, "alg", "HS256".into()),
        but(&rsa, "use", "enc".into()),
        but(&rsa, "key_ops", json!(["encrypt"])),
        but(&jwk("e1", EC_PUBLIC), "crv", "P-384".into()),
        secret.clone(),
        but(&secret, "alg", "HS512".into()),
        json!({"kty": "new", "x": 1}),
        json!("nothing"),
    ];
    for key in &left_out {
        assert_eq!(
            jwks(std::slice::from_ref(key)).map(|_| ()),
            Err(JwtKeysError::NoKey),
            "{key}"
        );
    }
    assert_eq!(
        jwks(&[&left_out[..], std::slice::from_ref(&rsa)].concat()).map(|keys| keys.len()),
        Ok(1)
    );

    let short = but(&secret, "k", "AAAA".into());
    let error = |key: Value| jwks(&[key]).unwrap_err();
    assert_eq!(
        error(but(&short, "alg", "HS256".into())),
        JwtKeysError::Weak
    );
    assert_eq!(error(but(&rsa, "n", "AQAB".into())), JwtKeysError::Weak);
    assert_eq!(error(but(&rsa, "d", "AQAB".into())), JwtKeysError::Private);
    assert_eq!(
        error(but(&rsa, "n", "~".repeat(400).into())),
        JwtKeysError::NotJwks
    );
    assert_eq!(
        error(but(&jwk("e1", EC_PUBLIC), "x", "AA".into())),
        JwtKeysError::NotJwks
    );
    for text in ["", "[]", "{}", r#"{"keys":1}"#, &rsa.to_string()] {
        assert_eq!(
            JwtKeys::from_jwks(text).unwrap_err(),
            JwtKeysError::NotJwks,
            "{text}"
        );
    }
    let many = vec![rsa; MAX_JWT_KEYS + 1];
    assert_eq!(jwks(&many).unwrap_err(), JwtKeysError::TooMany);
}

#[test]
fn keys_in_pem_that_are_none() {
    let error = |text: &str| JwtKeys::from_pem(text).unwrap_err();
    assert_eq!(error("nothing"), JwtKeysError::NoKey);
    assert_eq!(error(RSA), JwtKeysError::Private);
    assert_eq!(error(&format!("{EC_PUBLIC}{ED}")), JwtKeysError::Private);
    assert_eq!(
        error(include_str!("../../tests/keys/p384.pub.pem")),
        JwtKeysError::NotPublicKey
    );
    assert_eq!(
        error(include_str!("../../tests/keys/rsa-1024.pub.pem")),
        JwtKeysError::Weak
    );
    assert_eq!(
        error(&RSA_PUBLIC.replace("PUBLIC KEY", "CERTIFICATE")),
        JwtKeysError::NotPublicKey
    );
    assert_eq!(error(&RSA_PUBLIC[..100]), JwtKeysError::NotPublicKey);
    assert_eq!(
        JwtKeys::hs256(&SECRET[..31]).unwrap_err(),
        JwtKeysError::Weak
    );
    let shown = format!("{:?}", all_keys());
    assert_eq!(
        shown,
        "[(RS256, None), (ES256, None), (EdDSA, None), (HS256, None)]"
    );
}

#[test]
fn rfc_7519_section_4_1_4_and_5_time() {
    let mut policy = JwtPolicy {
        leeway: 10,
        ..JwtPolicy::default()
    };
    let at = |exp: Value, nbf: Value| {
        grant(&policy, &json!({"exp": exp, "nbf": nbf})).map(|grant| grant.expires)
    };
    let now = i64::try_from(NOW).unwrap();
    for (exp, expected) in [
        (json!(NOW + 1), Ok(Some(NOW + 11))),
        (json!(NOW - 9), Ok(Some(NOW + 1))),
        (json!(NOW - 10), Err(JwtError::Expired)),
        (json!(u64::MAX), Ok(Some(u64::MAX))),
        (json!(1e300), Ok(Some(u64::MAX))),
        (json!(-now), Err(JwtError::Expired)),
        (json!(-1e300), Err(JwtError::Expired)),
        (json!(1_799_999_991.9), Ok(Some(NOW + 1))),
        (json!("1900000000"), Err(JwtError::InvalidClaim)),
        (json!(null), Err(JwtError::InvalidClaim)),
    ] {
        assert_eq!(at(exp.clone(), json!(0)), expected, "{exp}");
    }
    for (nbf, expected) in [
        (json!(NOW + 10), Ok(())),
        (json!(NOW + 11), Err(JwtError::NotYet)),
        (json!(1_800_000_010.1), Err(JwtError::NotYet)),
        (json!(u64::MAX), Err(JwtError::NotYet)),
        (json!(-1), Ok(())),
        (json!([]), Err(JwtError::InvalidClaim)),
    ] {
        assert_eq!(
            at(json!(NOW + 60), nbf.clone()).map(|_| ()),
            expected,
            "{nbf}"
        );
    }
    assert_eq!(grant(&policy, &json!({})), Err(JwtError::NoExpiry));
    policy.require_expiry = false;
    assert_eq!(grant(&policy, &json!({})).unwrap().expires, None);
}

#[test]
fn rfc_7519_section_4_1_1_and_3_issuer_and_audience() {
    let mut policy = JwtPolicy::default();
    let with = |policy: &JwtPolicy, name: &str, value: Value| {
        let mut claims = good();
        claims[name] = value;
        grant(policy, &claims).map(|_| ())
    };
    assert_eq!(with(&policy, "iss", "anybody".into()), Ok(()));
    assert_eq!(
        with(&policy, "aud", "somebody".into()),
        Err(JwtError::Audience)
    );
    policy.issuers = vec!["https://a/".to_owned(), "https://b/".to_owned()];
    assert_eq!(with(&policy, "iss", "https://b/".into()), Ok(()));
    for other in [
        json!("https://a"),
        json!(1),
        json!(["https://a/"]),
        json!(null),
    ] {
        assert_eq!(with(&policy, "iss", other), Err(JwtError::Issuer));
    }
    assert_eq!(grant(&policy, &good()), Err(JwtError::Issuer));
    policy.issuers.clear();
    policy.audience = vec!["chat".to_owned()];
    for ours in [json!("chat"), json!(["x", "chat"])] {
        assert_eq!(with(&policy, "aud", ours), Ok(()));
    }
    for other in [
        json!("Chat"),
        json!(["x"]),
        json!([]),
        json!({"chat": 1}),
        json!([["chat"]]),
    ] {
        assert_eq!(with(&policy, "aud", other), Err(JwtError::Audience));
    }
    assert_eq!(grant(&policy, &good()), Err(JwtError::Audience));
}

#[test]
fn rooms_come_from_claims() {
    let mut policy = JwtPolicy::default();
    let rooms = |policy: &JwtPolicy, mut claims: Value| {
        claims["exp"] = (NOW + 1).into();
        grant(policy, &claims).map(|grant| (grant.read.to_string(), grant.write.to_string()))
    };
    let are = |read: &str, write: &str| Ok((read.to_owned(), write.to_owned()));
    assert_eq!(rooms(&policy, json!({})), are("", ""));
    assert_eq!(rooms(&policy, json!({"read": ["*"]})), are("*", ""));
    for claim in [
        json!(1),
        json!(["/a", 1]),
        json!("/a*"),
        json!([""]),
        json!({}),
        json!(null),
    ] {
        assert_eq!(
            rooms(&policy, json!({"read": claim})),
            Err(JwtError::InvalidClaim),
            "{claim}"
        );
    }
    policy.default_read = Rooms::all();
    assert_eq!(rooms(&policy, json!({})), are("*", ""));
    assert_eq!(rooms(&policy, json!({"write": "/a"})), are("", "/a"));
    policy.read_claim = "https://example.com/rooms".to_owned();
    let named = json!({"https://example.com/rooms": "/a /b", "read": "/c"});
    assert_eq!(rooms(&policy, named), are("/a,/b", ""));
    for sub in [json!(1), json!("a\nb"), json!("a".repeat(257))] {
        assert_eq!(
            rooms(&policy, json!({"sub": sub})),
            Err(JwtError::InvalidClaim)
        );
    }
}

#[test]
fn what_is_no_token() {
    let verifier = verifier(JwtPolicy::default());
    let token = hs256(&good());
    let token = token.expose();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (head, claims) = signed.split_once('.').unwrap();
    for text in [
        String::new(),
        "a.b.c".to_owned(),
        "..".to_owned(),
        head.to_owned(),
        signed.to_owned(),
        format!("{head}..{signature}"),
        format!("{token}.{signature}"),
        format!("{head}=.{claims}.{signature}"),
        format!(" {token}"),
        "a".repeat(MAX_TOKEN + 1),
    ] {
        let refused = verifier.verify(&text.clone().into(), NOW);
        assert!(
            matches!(refused, Err(JwtError::Malformed | JwtError::Signature)),
            "{text} {refused:?}"
        );
    }
    // Signed, but no object.
    assert_eq!(
        verifier.verify(&hs256(&json!([1])), NOW),
        Err(JwtError::Malformed)
    );
    let mut critical = Header::new(Algorithm::HS256);
    critical.crit = Some(vec!["exp".to_owned()]);
    let refused = verifier.verify(&sign(&critical, &good()), NOW);
    assert_eq!(refused, Err(JwtError::Critical));
}

proptest! {
    #[test]
    fn any_text_is_refused(text in "\\PC{0,60}", head in "\\PC{0,40}", claims in "\\PC{0,40}") {
        let verifier = verifier(JwtPolicy::default());
        prop_assert!(verifier.verify(&text.into(), NOW).is_err());
        let parts = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        let token = format!("{}.AAAA", parts.join("."));
        prop_assert!(verifier.verify(&token.into(), NOW).is_err());
    }

    #[test]
    fn any_keys_are_read_or_refused(text in "\\PC{0,60}", body in "[A-Za-z0-9+/=\n]{0,80}", kty in "RSA|EC|OKP|oct|x") {
        let _ = JwtKeys::from_jwks(&text);
        let _ = JwtKeys::from_jwks(&json!({"keys": [{"kty": kty, "n": body, "e": body, "k": text, "x": body, "alg": "HS256"}]}).to_string());
        let _ = JwtKeys::from_pem(&format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"));
        let _ = JwtKeys::from_pem(&format!("-----BEGIN {text}"));
    }
}
