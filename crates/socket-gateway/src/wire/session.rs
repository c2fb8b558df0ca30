use super::{Malformed, Time};
use lockkeeper_domain::{SessionId, SessionRecord, SessionTitle};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The payload of `session:list`, which may be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct SessionsCommand {
    /// How many sessions at most.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// The payload of `session:rename`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenameCommand {
    /// Which session.
    pub session_id: SessionId,
    /// What it is called from now on.
    pub title: String,
}

/// The payload of `session:delete`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteCommand {
    /// Which session.
    pub session_id: SessionId,
}

/// A session in the answer to `session:list`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionEntry {
    /// The session.
    pub session_id: SessionId,
    /// What it is called: the first words of its first message until it is renamed; null before the first one.
    pub title: Option<SessionTitle>,
    /// When it was opened for the first time.
    pub created_at: Time,
    /// When somebody last used it.
    pub last_active_at: Time,
    /// Whether a turn is open or waits.
    pub busy: bool,
    /// The model that answers in it.
    pub model: String,
    /// Whether it has a sandbox, so that its files are there.
    pub has_sandbox: bool,
}

impl SessionEntry {
    pub(crate) fn new(record: SessionRecord, model: String) -> Self {
        Self {
            session_id: record.id,
            title: record.title,
            created_at: Time(record.created_at),
            last_active_at: Time(record.last_active_at),
            busy: record.busy,
            model,
            has_sandbox: record.sandbox.is_some(),
        }
    }
}

impl SessionsCommand {
    pub(crate) fn parse(payload: Option<Value>) -> Result<Self, Malformed> {
        match payload {
            None | Some(Value::Null) => Ok(Self::default()),
            payload => read(payload, Malformed("A request for the sessions is { limit? }, a whole number.")),
        }
    }
}

impl RenameCommand {
    pub(crate) fn parse(payload: Option<Value>) -> Result<Self, Malformed> {
        read(payload, Malformed("A new title for a session is { sessionId, title }, both strings."))
    }
}

impl DeleteCommand {
    pub(crate) fn parse(payload: Option<Value>) -> Result<Self, Malformed> {
        read(payload, Malformed("A session is deleted by { sessionId }."))
    }
}

fn read<T: DeserializeOwned>(payload: Option<Value>, form: Malformed) -> Result<T, Malformed> {
    match payload {
        Some(object @ Value::Object(_)) => serde_json::from_value(object).map_err(|_| form),
        _ => Err(form),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_may_have_a_limit() {
        for empty in [None, Some(json!(null)), Some(json!({})), Some(json!({"limit": null}))] {
            assert_eq!(SessionsCommand::parse(empty), Ok(SessionsCommand::default()));
        }
        assert_eq!(SessionsCommand::parse(Some(json!({"limit": 7}))), Ok(SessionsCommand { limit: Some(7) }));
        for bad in [json!("x"), json!(7), json!({"limit": -1}), json!({"limit": "7"})] {
            assert!(SessionsCommand::parse(Some(bad.clone())).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_session_is_named_to_be_changed() {
        let renamed = RenameCommand::parse(Some(json!({"sessionId": "a", "title": "t", "later": 1})));
        assert_eq!(renamed.map(|r| (r.session_id.to_string(), r.title)), Ok(("a".to_owned(), "t".to_owned())));
        assert!(DeleteCommand::parse(Some(json!({"sessionId": "a"}))).is_ok());
        for bad in [None, Some(json!(null)), Some(json!("a")), Some(json!({})), Some(json!({"sessionId": "a:b"}))] {
            assert!(RenameCommand::parse(bad.clone()).is_err() && DeleteCommand::parse(bad).is_err());
        }
        assert!(RenameCommand::parse(Some(json!({"sessionId": "a", "title": 7}))).is_err());
    }
}
