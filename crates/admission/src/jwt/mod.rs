//! [`JwtVerifier`]: JSON Web Tokens (RFC 7519), signed with keys that are known beforehand. Asked for each request.
//!
//! The cryptography is that of `aws-lc-rs`, through `jsonwebtoken`. What time it is, and what the claims mean, is decided here.

mod algorithm;
mod claims;
mod keys;

use std::error;
use std::fmt;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use serde_json::{Map, Value};

use crate::credentials::MAX_TOKEN;
use crate::{Grant, Rooms, Secret};
pub use algorithm::{JwtAlgorithm, UnknownJwtAlgorithm};
pub use keys::{JwtKeys, JwtKeysError, MAX_JWT_KEYS, MIN_HS256_KEY};

/// What a token has to say, and what its claims mean.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct JwtPolicy {
    /// Who we are: one of these is in `aud`. Where it is empty, tokens with an `aud` are for somebody else, and refused
    /// (RFC 7519 §4.1.3). Default: empty.
    pub audience: Vec<String>,
    /// Who may issue tokens: `iss` is one of these. Where it is empty, anybody who has a key. Default: empty.
    pub issuers: Vec<String>,
    /// How far clocks may differ, in seconds. Default: 30.
    pub leeway: u64,
    /// Whether tokens have to expire. Default: yes.
    pub require_expiry: bool,
    /// The claim with the rooms that one may read. Default: `read`.
    pub read_claim: String,
    /// The claim with the rooms that one may write. Default: `write`.
    pub write_claim: String,
    /// What a token without either of the two claims allows to read. Default: nothing.
    pub default_read: Rooms,
    /// What a token without either of the two claims allows to write. Default: nothing.
    pub default_write: Rooms,
}

impl Default for JwtPolicy {
    fn default() -> Self {
        Self {
            audience: Vec::new(),
            issuers: Vec::new(),
            leeway: 30,
            require_expiry: true,
            read_claim: "read".to_owned(),
            write_claim: "write".to_owned(),
            default_read: Rooms::none(),
            default_write: Rooms::none(),
        }
    }
}

/// Checks JSON Web Tokens: HS256, RS256, ES256 and EdDSA with Ed25519.
///
/// Each key is good for one algorithm, which comes from the key and never from the token: a public key cannot be taken for a
/// shared secret, and `none` is no algorithm. Keys that a token brings along or points to (`jwk`, `jku`, `x5u`) are not
/// looked at.
///
/// | claim | |
/// |---|---|
/// | `exp` | needed, unless the [policy](JwtPolicy::require_expiry) says otherwise |
/// | `nbf` | heeded where it is |
/// | `aud`, `iss` | as the [policy](JwtPolicy) says |
/// | `sub` | becomes the [subject](Grant::subject) |
/// | `read`, `write` | become the [rooms](Rooms): an array of patterns, or one string with spaces or commas between them; with one of them, the other one is none |
///
/// ```
/// use wirefan_admission::{JwtError, JwtKeys, JwtPolicy, JwtVerifier, Secret};
///
/// // The example of RFC 7515, appendix A.1: issued by joe, and expired in 2011.
/// let key = r#"{"keys":[{"kty":"oct","alg":"HS256","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#;
/// let token = Secret::new("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
///
/// let mut policy = JwtPolicy::default();
/// policy.issuers = vec!["joe".to_owned()];
/// policy.default_read = "/news".parse()?;
/// let verifier = JwtVerifier::new(JwtKeys::from_jwks(key)?, policy);
/// assert!(verifier.verify(&token, 1_300_819_379)?.may_read("/news"));
/// assert_eq!(verifier.verify(&token, 1_300_819_380 + 30), Err(JwtError::Expired));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct JwtVerifier {
    keys: JwtKeys,
    policy: JwtPolicy,
}

impl JwtVerifier {
    /// Accepts what one of `keys` has signed and `policy` allows.
    pub fn new(keys: JwtKeys, policy: JwtPolicy) -> Self {
        Self { keys, policy }
    }

    /// What `token` allows at `now`, in seconds since the Unix epoch. The grant ends with the token and the leeway.
    ///
    /// # Errors
    ///
    /// Why it allows nothing.
    pub fn verify(&self, token: &Secret, now: u64) -> Result<Grant, JwtError> {
        let claims = self.signed_claims(token.expose())?;
        claims::grant(&claims, &self.policy, now)
    }

    /// The claims, if the signature is right. A token without `kid` is tried with all keys of its algorithm, and a key without
    /// with all tokens.
    fn signed_claims(&self, token: &str) -> Result<Map<String, Value>, JwtError> {
        if token.len() > MAX_TOKEN {
            return Err(JwtError::Malformed);
        }
        // `none`, and algorithms that nobody knows, end here.
        let header = decode_header(token).map_err(|_| JwtError::Malformed)?;
        // RFC 7515 §4.1.11: what has to be understood, and is not.
        if header.crit.is_some() {
            return Err(JwtError::Critical);
        }
        let mut answer = JwtError::Algorithm;
        for key in self.keys.of(header.alg) {
            let fits = match (&header.kid, key.id()) {
                (Some(wanted), Some(id)) => wanted == id,
                _ => true,
            };
            if !fits {
                if answer == JwtError::Algorithm {
                    answer = JwtError::UnknownKey;
                }
                continue;
            }
            let mut validation = Validation::new(header.alg);
            // Only the signature: the claims are looked at here, where `now` is known.
            validation.required_spec_claims.clear();
            validation.validate_exp = false;
            validation.validate_nbf = false;
            validation.validate_aud = false;
            match decode::<Map<String, Value>>(token, key.key(), &validation) {
                Ok(token) => return Ok(token.claims),
                Err(error) => match error.kind() {
                    ErrorKind::Json(_) | ErrorKind::Utf8(_) | ErrorKind::Base64(_) => {
                        return Err(JwtError::Malformed);
                    }
                    _ => answer = JwtError::Signature,
                },
            }
        }
        Err(answer)
    }
}

/// Why a token allows nothing. To be answered with 401, and not more than that.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum JwtError {
    /// It is no token, or too long, or its algorithm is none.
    Malformed,
    /// It is signed with an algorithm that there is no key for.
    Algorithm,
    /// It has a header that has to be understood (`crit`).
    Critical,
    /// It names a key that is not known.
    UnknownKey,
    /// No key has signed it.
    Signature,
    /// A claim is not what it should be.
    InvalidClaim,
    /// It never expires.
    NoExpiry,
    /// It was good.
    Expired,
    /// It will be good.
    NotYet,
    /// It is for somebody else.
    Audience,
    /// It is issued by somebody else.
    Issuer,
}

impl fmt::Display for JwtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the token is not valid",
            Self::Algorithm => "there is no key for the token's algorithm",
            Self::Critical => "the token has a critical header that is not understood",
            Self::UnknownKey => "the token names an unknown key",
            Self::Signature => "the token is not signed by a known key",
            Self::InvalidClaim => "a claim of the token is not valid",
            Self::NoExpiry => "the token never expires",
            Self::Expired => "the token has expired",
            Self::NotYet => "the token is not good yet",
            Self::Audience => "the token is for another audience",
            Self::Issuer => "the token is from another issuer",
        })
    }
}

impl error::Error for JwtError {}

#[cfg(test)]
mod tests;
