use crate::Config;
use lockkeeper_domain::{Power, Powers, PrincipalId, Timestamp, Via};
use lockkeeper_ports::{Principal, UnfitName};
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

/// Why a token whose signature is right is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejected {
    #[error("{0}")]
    Because(&'static str),
    #[error("its subject cannot name a principal: {0}")]
    Subject(UnfitName),
}

/// Whom a token whose signature is right stands for, and until when.
pub(crate) fn check(claims: &Claims, config: &Config, now: Timestamp) -> Result<Principal, Rejected> {
    check_times(claims, config, now).map_err(Rejected::Because)?;
    if config.issuer.is_some() && claims.iss != config.issuer {
        return Err(Rejected::Because("another issuer made it"));
    }
    if let Some(audience) = &config.audience {
        let is_for_us = match &claims.aud {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(several)) => several.iter().any(|one| one == audience),
            _ => false,
        };
        if !is_for_us {
            return Err(Rejected::Because("it is meant for others"));
        }
    }
    let powers = match &config.powers_claim {
        None => Powers::default(),
        Some(claim) => powers(claim, &claims.others).ok_or(Rejected::Because("it gives its bearer no power here"))?,
    };
    if is_revoked(claims, config) {
        return Err(Rejected::Because("it was revoked"));
    }
    Ok(Principal {
        id: principal(&claims.sub).map_err(Rejected::Subject)?,
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

/// Whether the configuration lists the token, or refuses tokens of its subject that are as old.
fn is_revoked(claims: &Claims, config: &Config) -> bool {
    let listed = match &claims.jti {
        Some(Value::String(name)) => config.revoked_tokens.contains(name),
        _ => false,
    };
    let too_old = config.not_before.get(&claims.sub).is_some_and(|earliest| {
        #[expect(clippy::cast_precision_loss, reason = "seconds of this millennium fit a double")]
        let earliest = *earliest as f64;
        claims.iat.is_none_or(|issued| issued < earliest)
    });
    listed || too_old
}

/// The subject, or its hash if only its length keeps it from naming a principal.
fn principal(subject: &str) -> Result<PrincipalId, UnfitName> {
    if subject.len() > LONGEST_SUBJECT {
        return Err(UnfitName::TooLong);
    }
    match Principal::id_from(subject) {
        Err(UnfitName::TooLong) => hashed(subject),
        // Nobody chooses the name that another subject's hash has.
        Ok(id) if is_hash(id.as_str()) => Err(UnfitName::Reserved),
        named => named,
    }
}

/// What the name of a hashed subject begins with.
const HASHED: &str = "jwt-";

fn hashed(subject: &str) -> Result<PrincipalId, UnfitName> {
    let mut name = HASHED.to_owned();
    for byte in &Sha256::digest(subject.as_bytes())[..16] {
        // Writing to a string does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    Principal::id_from(&name)
}

fn is_hash(name: &str) -> bool {
    let digits = name.strip_prefix(HASHED).unwrap_or_default();
    digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers: S3-sub
    #[test]
    fn subject_that_reads_as_another_is_refused() {
        let id = |subject: &str| principal(subject).map(|id| id.as_str().to_owned());
        assert_eq!(id("ann").as_deref(), Ok("ann"));
        assert_eq!(id("auth0|1 2").as_deref(), Ok("auth0|1 2"));
        for odd in ["ann\u{200b}", "ann\n", "\u{0}", "a\u{202e}nn", "ann\u{a0}", "Zoe\u{308}", " ann", ""] {
            id(odd).expect_err(odd);
        }
        id(&"x".repeat(1025)).expect_err("too long");
    }

    #[test]
    fn long_subject_is_hashed_and_no_other_has_the_name() {
        let long = |last: &str| principal(&("x".repeat(300) + last)).expect("an id");
        assert!(is_hash(long("a").as_str()) && long("a") != long("b"));
        assert_eq!(principal(long("a").as_str()), Err(UnfitName::Reserved));
        // What cannot be seen is not seen in a long subject either.
        principal(&("x".repeat(300) + "\u{200b}")).expect_err("unseen");
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
