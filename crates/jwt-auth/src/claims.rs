use crate::Config;
use lockkeeper_domain::{Power, Powers, PrincipalId, Timestamp, Via};
use lockkeeper_ports::Principal;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::{fmt::Write as _, time::Duration};

/// What a token claims, as far as it counts (RFC 7519, section 4.1). Times are in seconds since 1970.
#[derive(Debug, Deserialize)]
pub(crate) struct Claims {
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    iss: Option<String>,
    aud: Option<Value>,
    jti: Option<Value>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// The longest `sub`, in bytes.
const LONGEST_SUBJECT: usize = 1024;

/// Whom a token whose signature is right stands for, and until when.
pub(crate) fn check(claims: &Claims, config: &Config, now: Timestamp) -> Result<Principal, &'static str> {
    check_times(claims, config, now)?;
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
    let powers = match &config.powers_claim {
        None => Powers::default(),
        Some(claim) => powers(claim, &claims.others).ok_or("it gives its bearer no power here")?,
    };
    Ok(Principal {
        id: principal(&claims.sub).ok_or("its subject is empty or too long")?,
        powers,
        expires_at: Some(end(claims.exp, config)),
        via: Via { token: claims.jti.as_ref().and_then(Value::as_str).and_then(Via::named), ..Via::default() },
    })
}

/// From when on a new connection would be refused.
fn end(exp: f64, config: &Config) -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "a time beyond the end of time is the end of time")]
    let exp = Timestamp::from_millis((exp * 1000.0).ceil() as i64);
    exp.after(Duration::from_secs(config.leeway_secs))
}

/// What the claim says of powers; none where it says nothing of them.
fn powers(claim: &str, claims: &Map<String, Value>) -> Option<Powers> {
    let nested = || {
        let mut names = claim.split('.');
        let first = claims.get(names.next()?)?;
        names.try_fold(first, |value, name| value.get(name))
    };
    let powers: Powers = match claims.get(claim).or_else(nested)? {
        Value::String(words) => words.split(' ').filter_map(Power::named).collect(),
        Value::Array(words) => words.iter().filter_map(Value::as_str).filter_map(Power::named).collect(),
        _ => return None,
    };
    (!powers.is_empty()).then_some(powers)
}

fn check_times(claims: &Claims, config: &Config, now: Timestamp) -> Result<(), &'static str> {
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
    Ok(())
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

    #[test]
    fn powers_are_words_of_a_claim() {
        let claims = serde_json::json!({
            "scope": "openid drive decide", "roles": ["approve", 7, "admin"], "none": "openid", "odd": 7,
            "realm_access": { "roles": ["observe"] }, "dotted.name": "drive",
        });
        let Value::Object(claims) = claims else { panic!("an object") };
        let read = |claim: &str| powers(claim, &claims);
        let of = |powers: &[Power]| Some(powers.iter().copied().collect::<Powers>());
        assert_eq!(read("scope"), of(&[Power::Drive, Power::Decide]));
        assert_eq!(read("roles"), of(&[Power::Approve]));
        assert_eq!(read("realm_access.roles"), of(&[Power::Observe]));
        assert_eq!(read("dotted.name"), of(&[Power::Drive]));
        for nothing in ["none", "odd", "absent", "realm_access", "realm_access.roles.0", "roles.drive", ""] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
