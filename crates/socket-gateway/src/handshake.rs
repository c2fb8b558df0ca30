use crate::wire::{Malformed, Protocol, Role};
use lockkeeper_domain::{EventId, SessionId};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::fmt;

/// What a client wants when it connects.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) session: Option<SessionId>,
    pub(crate) model: Option<String>,
    pub(crate) token: Option<SecretString>,
    /// The client's own provider key.
    pub(crate) key: Option<SecretString>,
    pub(crate) since: Since,
    pub(crate) role: Role,
}

/// How far the client had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// It does not say.
    Nothing,
    /// To this event.
    Event(EventId),
    /// It says something that is no event's id.
    Unknown,
}

impl Handshake {
    /// Reads the query of the connection's request and the `auth` of its Socket.IO handshake. `auth` is `Err` where it is no
    /// JSON.
    pub(crate) fn parse<E: fmt::Debug>(query: &str, auth: Result<Value, E>) -> Result<Self, Malformed> {
        let (mut session, mut model) = (None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "sessionId" if session.is_none() && !is_nothing(&value) => {
                    let rule = Malformed("A sessionId is 1 to 128 characters out of A-Z, a-z, 0-9, '_' and '-'.");
                    session = Some(SessionId::parse(value).map_err(|_| rule)?);
                }
                "model" if model.is_none() && !is_nothing(&value) => model = Some(value.into_owned()),
                _ => {}
            }
        }
        if auth.as_ref().is_ok_and(|auth| Protocol::asked(auth).is_none()) {
            return Err(Malformed("auth.protocol is the version of the events: 1 or 2."));
        }
        let auth = match auth {
            Ok(Value::Object(auth)) => auth,
            Ok(Value::Null) => Map::new(),
            _ => return Err(Malformed("auth is an object.")),
        };
        let model = named_model(&auth)?.or(model);
        Ok(Self { session, model, token: token(&auth)?, key: key(&auth)?, since: since(&auth), role: role(&auth)? })
    }
}

/// Whether a value stands for none: what programs make of a variable that is not set when they write it into a text. A
/// page whose storage is empty sends `null` as its session; all first visits would share that session.
fn is_nothing(value: &str) -> bool {
    matches!(value.trim(), "" | "null" | "undefined" | "None" | "NaN" | "[object Object]")
}

fn token(auth: &Map<String, Value>) -> Result<Option<SecretString>, Malformed> {
    const MAX_TOKEN: usize = 8 << 10;
    match auth.get("token") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(token)) if token.len() <= MAX_TOKEN => Ok(Some(token.clone().into())),
        Some(_) => Err(Malformed("auth.token is a string of at most 8 KiB.")),
    }
}

/// The session manager knows what a model's name may look like.
fn named_model(auth: &Map<String, Value>) -> Result<Option<String>, Malformed> {
    match auth.get("model") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(model)) => Ok((!is_nothing(model)).then(|| model.clone())),
        Some(_) => Err(Malformed("auth.model is a string.")),
    }
}

fn key(auth: &Map<String, Value>) -> Result<Option<SecretString>, Malformed> {
    match auth.get("apiKey") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(key)) => provider_key(key),
        Some(_) => Err(BAD_KEY),
    }
}

const BAD_KEY: Malformed = Malformed("auth.apiKey is a string of at most 4 KiB of visible ASCII characters.");

/// A provider key as it was typed or pasted, without the space around it. None where it is empty.
pub(crate) fn provider_key(text: &str) -> Result<Option<SecretString>, Malformed> {
    const MAX_KEY: usize = 4 << 10;
    let key = text.trim();
    let possible = key.len() <= MAX_KEY && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !possible {
        return Err(BAD_KEY);
    }
    Ok((!is_nothing(key)).then(|| key.to_owned().into()))
}

fn since(auth: &Map<String, Value>) -> Since {
    match auth.get("lastEventId") {
        None | Some(Value::Null) => Since::Nothing,
        Some(Value::String(id)) if is_nothing(id) => Since::Nothing,
        Some(Value::String(id)) => id.parse().map_or(Since::Unknown, Since::Event),
        Some(_) => Since::Unknown,
    }
}

fn role(auth: &Map<String, Value>) -> Result<Role, Malformed> {
    match auth.get("role") {
        None | Some(Value::Null) => Ok(Role::Driver),
        Some(role) => Role::deserialize(role).map_err(|_| Malformed("auth.role is driver, approver or observer.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;
    use serde_json::json;

    fn parse(query: &str, auth: Value) -> Result<Handshake, Malformed> {
        Handshake::parse::<()>(query, Ok(auth))
    }

    #[test]
    fn a_client_that_says_nothing_gets_a_new_session_as_its_driver() {
        let handshake = parse("EIO=4&transport=websocket", json!({})).expect("valid");
        assert!(handshake.session.is_none() && handshake.model.is_none() && handshake.token.is_none());
        assert_eq!((handshake.since, handshake.role), (Since::Nothing, Role::Driver));
        assert!(parse("", json!(null)).is_ok());
    }

    #[test]
    fn what_a_client_says_is_read() {
        let auth = json!({"token": "t", "lastEventId": "3-17", "role": "observer", "apiKey": "k", "later": {}});
        let handshake = parse("sessionId=a_B-9&model=vendor%2Fname%3A7b&sessionId=b", auth).expect("valid");
        assert_eq!(handshake.session.as_ref().map(SessionId::as_str), Some("a_B-9"));
        assert_eq!(handshake.model.as_deref(), Some("vendor/name:7b"));
        assert_eq!(handshake.token.as_ref().map(ExposeSecret::expose_secret), Some("t"));
        assert_eq!(handshake.key.as_ref().map(ExposeSecret::expose_secret), Some("k"));
        assert_eq!(handshake.role, Role::Observer);
        assert_eq!(handshake.since, Since::Event("3-17".parse().expect("an id")));
    }

    #[test]
    fn words_of_an_empty_storage_are_no_session() {
        for word in ["null", "undefined", "None", "NaN", "", "%20%20", "%5Bobject%20Object%5D"] {
            let auth = json!({"model": "undefined", "lastEventId": "null"});
            let handshake = parse(&format!("sessionId={word}&model={word}"), auth).expect("valid");
            assert!(handshake.session.is_none() && handshake.model.is_none(), "{word}");
            assert_eq!(handshake.since, Since::Nothing);
        }
        let named = parse("sessionId=null&sessionId=mine", json!({})).expect("valid").session;
        assert_eq!(named.as_ref().map(SessionId::as_str), Some("mine"));
        let similar = parse("sessionId=nullable", json!({})).expect("valid").session;
        assert_eq!(similar.as_ref().map(SessionId::as_str), Some("nullable"));
    }

    #[test]
    fn a_place_in_the_log_that_cannot_be_read_is_unknown() {
        for odd in [json!("x"), json!("1-"), json!(17), json!({}), json!("-1-1")] {
            assert_eq!(parse("", json!({"lastEventId": odd})).expect("valid").since, Since::Unknown, "{odd}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for query in ["sessionId=a:b", "sessionId=%7Ba%7D", "sessionId=../x", "sessionId=%FF"] {
            assert!(parse(query, json!({})).is_err(), "{query}");
        }
        let long = format!("sessionId={}", "x".repeat(129));
        assert!(parse(&long, json!({})).is_err());
        for auth in [
            json!([]),
            json!("t"),
            json!(7),
            json!({"token": 7}),
            json!({"token": {}}),
            json!({"role": "admin"}),
            json!({"protocol": "x"}),
        ] {
            assert!(parse("", auth.clone()).is_err(), "{auth}");
        }
        assert!(Handshake::parse("", Err(())).is_err());
    }

    #[test]
    fn a_model_in_auth_comes_before_one_in_the_query() {
        let model = |query, auth| parse(query, auth).map(|handshake| handshake.model);
        assert_eq!(model("model=a", json!({"model": "b"})), Ok(Some("b".to_owned())));
        assert_eq!(model("model=a", json!({"model": ""})), Ok(Some("a".to_owned())));
        assert_eq!(model("", json!({"model": null})), Ok(None));
        assert!(model("", json!({"model": 7})).is_err());
    }

    #[test]
    fn a_key_is_trimmed_and_an_empty_one_is_none() {
        let key =
            |key: Value| parse("", json!({"apiKey": key})).map(|h| h.key.map(|key| key.expose_secret().to_owned()));
        assert_eq!(key(json!(" sk-1\n")), Ok(Some("sk-1".to_owned())));
        assert_eq!(key(json!(" ")), Ok(None));
        assert_eq!(key(json!(null)), Ok(None));
        for bad in [json!(7), json!({}), json!("a b"), json!("a\nb"), json!("schlüssel"), json!("x".repeat(4097))] {
            assert!(key(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_debug_print_holds_no_token() {
        let print = format!("{:?}", parse("", json!({"token": "canary", "apiKey": "canary"})));
        assert!(!print.contains("canary"), "{print}");
    }
}
