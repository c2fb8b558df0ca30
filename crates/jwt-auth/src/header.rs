use crate::Algorithm;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

/// What a token's header says that counts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: Option<String>,
}

/// Reads the header of a token in compact form. Where a key is to be found (`jku`, `x5u`, `jwk`, `x5c`) is not its business.
pub(crate) fn read(token: &str, algorithms: &[Algorithm]) -> Result<Header, &'static str> {
    let mut parts = token.split('.');
    let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err("it is no JSON Web Token");
    };
    let bytes = URL_SAFE_NO_PAD.decode(header).map_err(|_| "its header is not base64url")?;
    let header: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|_| "its header is no JSON object")?;
    // RFC 7515, section 4.1.11: who does not understand an extension must refuse it, and none is understood here.
    if header.contains_key("crit") {
        return Err("its header demands an extension");
    }
    let kind = header.get("typ").map(|kind| kind.as_str().unwrap_or_default().to_ascii_lowercase());
    if kind.is_some_and(|kind| !matches!(kind.as_str(), "jwt" | "at+jwt" | "application/at+jwt")) {
        return Err("it is a token of another type");
    }
    let named = header.get("alg").and_then(Value::as_str).ok_or("its header names no algorithm")?;
    let algorithm = algorithms.iter().copied().find(|algorithm| algorithm.name() == named);
    let key = match header.get("kid") {
        None => None,
        Some(Value::String(key)) => Some(key.clone()),
        Some(_) => return Err("its key has no name"),
    };
    Ok(Header { algorithm: algorithm.ok_or("its algorithm is not taken here")?, key })
}
