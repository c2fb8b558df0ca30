use crate::Config;
use lockkeeper_domain::{PrincipalId, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// What a token claims, as far as it counts (RFC 7519, section 4.1). Times are in seconds since 1970.
#[derive(Debug, Deserialize)]
pub(crate) struct Claims {
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    iss: Option<String>,
    aud: Option<Value>,
}

/// The longest `sub`, in bytes.
const LONGEST_SUBJECT: usize = 1024;

/// Whom a token whose signature is right stands for.
pub(crate) fn check(claims: &Claims, config: &Config, now: Timestamp) -> Result<PrincipalId, &'static str> {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this millennium fit a double")]
    let now = now.as_millis() as f64 / 1000.0;
    #[expect(clippy::cast_precision_loss, reason = "nobody configures more seconds than a double holds")]
    let (leeway, lifetime) = (config.leeway_secs as f64, config.max_lifetime_secs as f64);
    let times = [Some(claims.exp), claims.nbf, claims.iat];
    if !times.into_iter().flatten().all(|time| time.is_finite() && time >= 0.0) {
        return Err("its times make no sense");
    }
    if claims.exp + leeway <= now {
        return Err("it has expired");
    }
    if claims.nbf.is_some_and(|begin| begin > now + leeway) {
        return Err("it is not valid yet");
    }
    if claims.iat.is_some_and(|issued| issued > now + leeway) {
        return Err("it was issued in the future");
    }
    if claims.exp - claims.iat.unwrap_or(now) > lifetime + leeway {
        return Err("it is valid for longer than is taken here");
    }
    if config.issuer.is_some() && claims.iss != config.issuer {
        return Err("another issuer made it");
    }
    if let Some(audience) = &config.audience {
        let is_for_us = match &claims.aud {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(several)) => several.iter().any(|one| one == audience),
            _ => false,
        };
        if !is_for_us {
            return Err("it is meant for others");
        }
    }
    principal(&claims.sub).ok_or("its subject is empty or too long")
}

/// The subject, or its hash where a subject holds what an id may not.
fn principal(subject: &str) -> Option<PrincipalId> {
    if subject.is_empty() || subject.len() > LONGEST_SUBJECT {
        return None;
    }
    PrincipalId::parse(subject).ok().or_else(|| {
        let mut name = "jwt-".to_owned();
        for byte in &Sha256::digest(subject.as_bytes())[..16] {
            // Writing to a string does not fail.
            let _ = write!(name, "{byte:02x}");
        }
        PrincipalId::parse(name).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_subject_is_a_principal_of_its_own() {
        let id = |subject: &str| principal(subject).map(|id| id.as_str().to_owned());
        assert_eq!(id("ann").as_deref(), Some("ann"));
        assert_eq!(id("auth0|1 2").as_deref(), Some("auth0|1 2"));
        let odd = ["a\n", "a\n\n", "\u{0}"].map(|subject| id(subject).expect("an id"));
        assert!(odd.iter().all(|id| id.starts_with("jwt-") && id.len() == 36), "{odd:?}");
        assert!(odd[0] != odd[1] && odd[1] != odd[2], "{odd:?}");
        assert_eq!((id(""), id(&"x".repeat(1025))), (None, None));
    }
}
