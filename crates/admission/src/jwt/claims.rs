//! From claims to a [`Grant`] (RFC 7519 §4.1). Used by `jwt`, for tokens whose signature is right.

use serde_json::{Map, Number, Value};

use super::{JwtError, JwtPolicy};
use crate::grant::MAX_SUBJECT;
use crate::{Grant, Rooms, RoomsError};

pub(super) fn grant(
    claims: &Map<String, Value>,
    policy: &JwtPolicy,
    now: u64,
) -> Result<Grant, JwtError> {
    // RFC 7519 §4.1.4: not on or after this time.
    let expires = match claims.get("exp") {
        Some(Value::Number(date)) => Some(seconds(date, f64::floor)?.saturating_add(policy.leeway)),
        Some(_) => return Err(JwtError::InvalidClaim),
        None if policy.require_expiry => return Err(JwtError::NoExpiry),
        None => None,
    };
    if expires.is_some_and(|expires| now >= expires) {
        return Err(JwtError::Expired);
    }
    let begins = match claims.get("nbf") {
        Some(Value::Number(date)) => seconds(date, f64::ceil)?,
        Some(_) => return Err(JwtError::InvalidClaim),
        None => 0,
    };
    if now.saturating_add(policy.leeway) < begins {
        return Err(JwtError::NotYet);
    }
    check_audience(claims.get("aud"), &policy.audience)?;
    if !policy.issuers.is_empty() {
        let issuer = claims.get("iss").and_then(Value::as_str);
        if !issuer.is_some_and(|issuer| policy.issuers.iter().any(|known| known == issuer)) {
            return Err(JwtError::Issuer);
        }
    }
    let mut grant = Grant::new(subject(claims.get("sub"))?);
    let read = rooms(claims.get(&policy.read_claim))?;
    let write = rooms(claims.get(&policy.write_claim))?;
    (grant.read, grant.write) = if read.is_none() && write.is_none() {
        (policy.default_read.clone(), policy.default_write.clone())
    } else {
        (read.unwrap_or_default(), write.unwrap_or_default())
    };
    grant.expires = expires;
    Ok(grant)
}

/// RFC 7519 §2, `NumericDate`: seconds since the Unix epoch, with a fraction perhaps.
fn seconds(date: &Number, round: fn(f64) -> f64) -> Result<u64, JwtError> {
    if let Some(seconds) = date.as_u64() {
        return Ok(seconds);
    }
    let date = date.as_f64().ok_or(JwtError::InvalidClaim)?;
    // What is before the epoch is its beginning, and what is beyond all numbers the last one.
    Ok(round(date) as u64)
}

/// RFC 7519 §4.1.3: one name or several, and one of them has to be ours.
fn check_audience(claim: Option<&Value>, ours: &[String]) -> Result<(), JwtError> {
    let is_ours = |name: &Value| {
        name.as_str()
            .is_some_and(|name| ours.iter().any(|it| it == name))
    };
    let fits = match claim {
        None => ours.is_empty(),
        Some(Value::Array(names)) => names.iter().any(is_ours),
        Some(name) => is_ours(name),
    };
    if fits {
        Ok(())
    } else {
        Err(JwtError::Audience)
    }
}

/// Text that can be shown in a log.
fn subject(claim: Option<&Value>) -> Result<&str, JwtError> {
    match claim {
        None => Ok(""),
        Some(Value::String(text))
            if text.len() <= MAX_SUBJECT && !text.contains(char::is_control) =>
        {
            Ok(text)
        }
        Some(_) => Err(JwtError::InvalidClaim),
    }
}

fn rooms(claim: Option<&Value>) -> Result<Option<Rooms>, JwtError> {
    let rooms: Result<Rooms, RoomsError> = match claim {
        None => return Ok(None),
        Some(Value::String(list)) => list.parse(),
        Some(Value::Array(patterns)) => {
            let patterns: Option<Vec<&str>> = patterns.iter().map(Value::as_str).collect();
            Rooms::from_patterns(patterns.ok_or(JwtError::InvalidClaim)?)
        }
        Some(_) => return Err(JwtError::InvalidClaim),
    };
    rooms.map(Some).map_err(|_| JwtError::InvalidClaim)
}
