//! [`JwtKeys`]: the keys that tokens may be signed with, from PEM, a JWK set, or a shared secret. Used by `jwt`.

use std::error;
use std::fmt;

use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm};
use jsonwebtoken::jwk::{KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use super::JwtAlgorithm;

/// Shortest key for HS256 in bytes (RFC 7518 §3.2).
pub const MIN_HS256_KEY: usize = 32;
/// Most keys at a time.
pub const MAX_JWT_KEYS: usize = 64;

/// Shortest DER of an RSA key with 2048 bits (RFC 7518 §3.3): two lengths of four bytes, the modulus, and the exponent 3.
const MIN_RSA_DER: usize = 4 + 4 + 256 + 3;
const MIN_RSA_MODULUS: usize = 256;
/// An uncompressed point on P-256: a byte and two coordinates (RFC 5480 §2.2).
const P256_POINT: usize = 65;
const ED25519_KEY: usize = 32;

/// The keys that tokens may be signed with.
///
/// The first time that any are made, the process-wide default of `jsonwebtoken` becomes `aws-lc-rs`, unless the program has chosen
/// something else before.
#[derive(Clone, Default)]
pub struct JwtKeys(Vec<Key>);

/// A key, and the one algorithm that it is good for.
#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Key {
    pub(super) fn id(&self) -> Option<&String> {
        self.id.as_ref()
    }

    pub(super) fn key(&self) -> &DecodingKey {
        &self.key
    }
}

impl JwtKeys {
    /// A secret that is shared with the issuer, for HS256.
    ///
    /// # Errors
    ///
    /// [`Weak`](JwtKeysError::Weak), for secrets below [`MIN_HS256_KEY`].
    pub fn hs256(secret: &[u8]) -> Result<Self, JwtKeysError> {
        if secret.len() < MIN_HS256_KEY {
            return Err(JwtKeysError::Weak);
        }
        let mut keys = Self::default();
        keys.push(None, Algorithm::HS256, DecodingKey::from_secret(secret))?;
        Ok(keys)
    }

    /// The public keys in a PEM file: RSA for RS256, P-256 for ES256, Ed25519 for EdDSA.
    ///
    /// # Errors
    ///
    /// The first block that is no such key. A private key is refused: it has no business here.
    pub fn from_pem(text: &str) -> Result<Self, JwtKeysError> {
        let mut keys = Self::default();
        for block in blocks(text) {
            let label = block.lines().next().unwrap_or_default();
            if label.contains("PRIVATE KEY") {
                return Err(JwtKeysError::Private);
            }
            if !label.contains("PUBLIC KEY-----") {
                return Err(JwtKeysError::NotPublicKey);
            }
            let block = block.as_bytes();
            let (algorithm, key, shortest, longest) =
                if let Ok(key) = DecodingKey::from_ec_pem(block) {
                    (Algorithm::ES256, key, P256_POINT, P256_POINT)
                } else if let Ok(key) = DecodingKey::from_ed_pem(block) {
                    (Algorithm::EdDSA, key, ED25519_KEY, ED25519_KEY)
                } else {
                    let key = DecodingKey::from_rsa_pem(block);
                    let key = key.map_err(|_| JwtKeysError::NotPublicKey)?;
                    (Algorithm::RS256, key, MIN_RSA_DER, usize::MAX)
                };
            let len = key.try_get_as_bytes().map_or(0, <[u8]>::len);
            if len < shortest && algorithm == Algorithm::RS256 {
                return Err(JwtKeysError::Weak);
            }
            if !(shortest..=longest).contains(&len) {
                return Err(JwtKeysError::NotPublicKey);
            }
            keys.push(None, algorithm, key)?;
        }
        keys.or_none()
    }

    /// The keys of a JWK set (RFC 7517 §5). Those for other purposes and of other kinds are left out; a shared secret (`oct`) counts
    /// only where it says that it is for HS256.
    ///
    /// # Errors
    ///
    /// That it is no JWK set, has no key of use, or has a private one.
    pub fn from_jwks(text: &str) -> Result<Self, JwtKeysError> {
        let set: Value = serde_json::from_str(text).map_err(|_| JwtKeysError::NotJwks)?;
        let members = set.get("keys").and_then(Value::as_array);
        let mut keys = Self::default();
        for member in members.ok_or(JwtKeysError::NotJwks)? {
            // RFC 7518 §6.2.2, §6.3.2, RFC 8037 §2: the private part.
            if member.get("d").is_some() {
                return Err(JwtKeysError::Private);
            }
            let Ok(jwk) = serde_json::from_value::<Jwk>(member.clone()) else {
                continue;
            };
            if let Some(algorithm) = usable(&jwk) {
                let key = DecodingKey::from_jwk(&jwk).map_err(|_| JwtKeysError::NotJwks)?;
                check_len(&jwk, &key)?;
                keys.push(jwk.common.key_id, algorithm, key)?;
            }
        }
        keys.or_none()
    }

    /// These and those.
    ///
    /// # Errors
    ///
    /// [`TooMany`](JwtKeysError::TooMany).
    pub fn and(mut self, others: Self) -> Result<Self, JwtKeysError> {
        for Key { id, algorithm, key } in others.0 {
            self.push(id, algorithm, key)?;
        }
        Ok(self)
    }

    /// Those for these algorithms.
    ///
    /// # Errors
    ///
    /// [`NoKey`](JwtKeysError::NoKey): none of them is for one.
    pub fn only(mut self, algorithms: &[JwtAlgorithm]) -> Result<Self, JwtKeysError> {
        self.0
            .retain(|key| algorithms.iter().any(|it| it.inner() == key.algorithm));
        self.or_none()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn of(&self, algorithm: Algorithm) -> impl Iterator<Item = &Key> {
        self.0.iter().filter(move |key| key.algorithm == algorithm)
    }

    fn push(
        &mut self,
        id: Option<String>,
        algorithm: Algorithm,
        key: DecodingKey,
    ) -> Result<(), JwtKeysError> {
        // A program that builds jsonwebtoken with both of its back ends has to choose, or its first use panics.
        let _ = aws_lc::DEFAULT_PROVIDER.install_default();
        if self.0.len() == MAX_JWT_KEYS {
            return Err(JwtKeysError::TooMany);
        }
        self.0.push(Key { id, algorithm, key });
        Ok(())
    }

    fn or_none(self) -> Result<Self, JwtKeysError> {
        if self.is_empty() {
            Err(JwtKeysError::NoKey)
        } else {
            Ok(self)
        }
    }
}

/// The blocks of a PEM file, each from its `-----BEGIN` on (RFC 7468 §2).
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices("-----BEGIN ").map(|(at, _)| at);
    let ends = starts.clone().skip(1).chain([text.len()]);
    starts
        .zip(ends)
        .filter_map(|(start, end)| text.get(start..end))
}

/// The algorithm of a key that is meant for signatures, if it is one of ours and the key says no other (RFC 7517 §4).
fn usable(jwk: &Jwk) -> Option<Algorithm> {
    let (algorithm, name) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        AlgorithmParameters::OctetKey(_) => (Algorithm::HS256, KeyAlgorithm::HS256),
        _ => return None,
    };
    let common = &jwk.common;
    let for_it = match common.key_algorithm {
        Some(said) => said == name,
        None => algorithm != Algorithm::HS256,
    };
    let for_signatures = match &common.public_key_use {
        Some(purpose) => *purpose == PublicKeyUse::Signature,
        None => true,
    };
    let to_verify = match &common.key_operations {
        Some(operations) => operations.contains(&KeyOperations::Verify),
        None => true,
    };
    (for_it && for_signatures && to_verify).then_some(algorithm)
}

fn check_len(jwk: &Jwk, key: &DecodingKey) -> Result<(), JwtKeysError> {
    let len = key.try_get_as_bytes().map_or(0, <[u8]>::len);
    match &jwk.algorithm {
        AlgorithmParameters::OctetKey(_) if len < MIN_HS256_KEY => Err(JwtKeysError::Weak),
        // Four characters for three bytes.
        AlgorithmParameters::RSA(key) if key.n.len() * 3 / 4 < MIN_RSA_MODULUS => {
            Err(JwtKeysError::Weak)
        }
        AlgorithmParameters::EllipticCurve(_) if len != P256_POINT => Err(JwtKeysError::NotJwks),
        AlgorithmParameters::OctetKeyPair(_) if len != ED25519_KEY => Err(JwtKeysError::NotJwks),
        _ => Ok(()),
    }
}

// Some keys are secrets.
impl fmt::Debug for JwtKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.iter().map(|key| (key.algorithm, &key.id));
        f.debug_list().entries(keys).finish()
    }
}

/// What is wrong with keys.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum JwtKeysError {
    /// There is none that tokens could be checked with.
    NoKey,
    /// A block of PEM is no public key of a known kind.
    NotPublicKey,
    /// It is no JWK set, or a key in it is broken.
    NotJwks,
    /// There is a private key.
    Private,
    /// A key is too short: RSA has 2048 bits at least, and a shared secret [`MIN_HS256_KEY`] bytes.
    Weak,
    /// There are more than [`MAX_JWT_KEYS`].
    TooMany,
}

impl fmt::Display for JwtKeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => f.write_str("there is no key for tokens"),
            Self::NotPublicKey => f.write_str("a block is no public key of RSA, P-256 or Ed25519"),
            Self::NotJwks => f.write_str("it is no JWK set, or a key in it is broken"),
            Self::Private => {
                f.write_str("there is a private key: openssl pkey -pubout gives the public one")
            }
            Self::Weak => f.write_str("a key is too short: RSA 2048 bits, shared secrets 32 bytes"),
            Self::TooMany => write!(f, "there are more than {MAX_JWT_KEYS} keys"),
        }
    }
}

impl error::Error for JwtKeysError {}
