use lockkeeper_domain::{ArgumentRule, Attachment, CallId, ClientMessageId, GrantScope, RuleId, Scope, ServerName};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// The payload of `message`: a text alone, or this object. Fields that are not known are ignored, here and below, so that a
/// newer client is understood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageCommand {
    /// The text.
    pub text: String,
    /// Images.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schemars(with = "Option<Vec<Attachment>>")]
    pub attachments: Vec<Attachment>,
    /// The client's own name for it; the same one twice is one message.
    #[serde(default)]
    pub client_message_id: Option<ClientMessageId>,
}

/// The payload of `message`, as the contract's documents show it.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is described and never made")]
pub(crate) enum Said {
    /// A text alone.
    Text(String),
    /// A text, and what goes with it.
    Message(MessageCommand),
}

/// The payload of `tool:approval`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalCommand {
    /// Which call.
    pub call_id: CallId,
    /// Yes or no.
    pub approved: bool,
    /// The arguments that shall run instead of the model's.
    #[serde(default)]
    pub args: Option<Value>,
    /// The same as JSON text, instead of `args`: for clients whose JSON rounds large numbers.
    #[serde(default)]
    pub args_text: Option<String>,
    /// How far a yes reaches.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schemars(with = "Option<Scope>")]
    pub scope: Scope,
    /// Which calls a yes for the session covers: one of the question's `sessionScopes`. By default every call of the tool, where
    /// that is offered.
    #[serde(default)]
    pub grant: Option<GrantScope>,
    /// What arguments must be for the rule of a yes for always to cover a call, as in a configuration's `args`.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schemars(with = "Option<BTreeMap<String, ArgumentRule>>")]
    pub constraints: BTreeMap<String, ArgumentRule>,
    /// Why not; it reaches the model.
    #[serde(default)]
    pub reason: Option<String>,
    /// Which question this answers: the `digest` of its `tool:approval_required`. With another one the answer is refused.
    #[serde(default)]
    pub digest: Option<String>,
}

/// The payload of `tool:trust`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustCommand {
    /// The tool's server.
    pub server: ServerName,
    /// The tool, as its server calls it.
    pub name: String,
    /// The `fingerprint` of its `tool:quarantined`: what was shown is trusted, and nothing else.
    pub fingerprint: String,
}

/// The payload of `history:get`, which may be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryCommand {
    /// The place before which to read; the end without it.
    #[serde(default)]
    pub before: Option<usize>,
    /// How many messages at most.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// The payload of `policy:revoke`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct RevokeCommand {
    /// Which stored rule.
    pub id: RuleId,
}

/// The payload of `auth:refresh`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct RefreshCommand {
    /// A fresh token of the same principal's.
    #[schemars(with = "String")]
    pub token: SecretString,
}

/// The payload of `budget:answer`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetCommand {
    /// Whether the turn goes on to its end, whatever it costs.
    pub go_on: bool,
    /// The question that this answers, as `budget:asked` gave it. Without it, the answer counts if this connection was shown
    /// one question alone that it has not answered.
    #[serde(default)]
    pub question: Option<String>,
}

/// What a connection may do: as much as its principal may, or less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    #[default]
    Driver,
    /// See everything, decide calls, change nothing else.
    Approver,
    /// See everything, change nothing.
    Observer,
}

/// A payload that does not have the form that the contract gives it. The text says what was expected, and holds nothing
/// of what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl MessageCommand {
    pub(crate) fn parse(payload: Option<Value>) -> Result<Self, Malformed> {
        let command = match payload {
            Some(Value::String(text)) => Self { text, ..Self::default() },
            Some(object @ Value::Object(_)) => serde_json::from_value(object).map_err(|_| {
                Malformed(
                    "A message is a string, or { text, attachments?: [{ mimeType, data, name? }], clientMessageId? }.",
                )
            })?,
            _ => return Err(Malformed("A message is a string, or an object with a text.")),
        };
        if command.text.trim().is_empty() && command.attachments.is_empty() {
            return Err(Malformed("The message is empty."));
        }
        Ok(command)
    }
}

/// The payload of `workspace:list`, which may be left out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct ListCommand {
    /// Which directory, relative to the workspace; by default the workspace itself.
    #[serde(default = "workspace_itself")]
    pub path: String,
}

/// The payload of `workspace:read`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct ReadCommand {
    /// Which file, relative to the workspace.
    pub path: String,
    /// Where to begin, in bytes.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schemars(with = "Option<u64>")]
    pub offset: u64,
    /// At most this many bytes; the server has a limit of its own.
    #[serde(default)]
    pub limit: Option<u64>,
}

impl ListCommand {
    pub(crate) fn parse(payload: Option<Value>) -> Result<Self, Malformed> {
        match payload {
            None | Some(Value::Null) => Ok(Self { path: workspace_itself() }),
            Some(object @ Value::Object(_)) => serde_json::from_value(object)
                .map_err(|_| Malformed("A request for a directory is { path? }, with a text as path.")),
            Some(_) => Err(Malformed("A request for a directory is { path? }.")),
        }
    }
}

impl ReadCommand {
    pub(crate) fn parse(payload: Option<Value>) -> Result<Self, Malformed> {
        let form = Malformed("A request for a file is { path, offset?, limit? }, the last two whole numbers of bytes.");
        match payload {
            Some(object @ Value::Object(_)) => serde_json::from_value(object).map_err(|_| form),
            _ => Err(form),
        }
    }
}

fn workspace_itself() -> String {
    ".".to_owned()
}

impl ApprovalCommand {
    pub(crate) fn parse(payload: Option<Value>) -> Result<Self, Malformed> {
        let form = Malformed(
            "An approval is { callId, approved, args?, argsText?, scope?, grant?, constraints?, reason?, digest? }, with approved true or false, scope once, session or always, and digest as the question has it.",
        );
        match payload {
            Some(object @ Value::Object(_)) => serde_json::from_value(object).map_err(|_| form),
            _ => Err(form),
        }
    }
}

impl BudgetCommand {
    pub(crate) fn parse(payload: Option<Value>) -> Result<Self, Malformed> {
        let form = Malformed("An answer on a budget is { goOn, question }, with goOn true or false.");
        match payload {
            Some(object @ Value::Object(_)) => serde_json::from_value(object).map_err(|_| form),
            _ => Err(form),
        }
    }
}

impl RefreshCommand {
    pub(crate) fn parse(payload: Option<Value>) -> Result<Self, Malformed> {
        let form = Malformed("A refresh is { token }, with a fresh token as a string.");
        match payload {
            Some(object @ Value::Object(_)) => serde_json::from_value(object).map_err(|_| form),
            _ => Err(form),
        }
    }
}

impl RevokeCommand {
    pub(crate) fn parse(payload: Option<Value>) -> Result<Self, Malformed> {
        let form = Malformed("A revocation is { id }, the id of a stored rule.");
        serde_json::from_value(payload.unwrap_or_default()).map_err(|_| form)
    }
}

impl TrustCommand {
    pub(crate) fn parse(payload: Option<Value>) -> Result<Self, Malformed> {
        let form = Malformed("Trust in a tool is { server, name, fingerprint }, as its tool:quarantined has them.");
        match payload {
            Some(object @ Value::Object(_)) => serde_json::from_value(object).map_err(|_| form),
            _ => Err(form),
        }
    }
}

impl HistoryCommand {
    pub(crate) fn parse(payload: Option<Value>) -> Result<Self, Malformed> {
        match payload {
            None | Some(Value::Null) => Ok(Self::default()),
            Some(object @ Value::Object(_)) => serde_json::from_value(object)
                .map_err(|_| Malformed("A request for history is { before?, limit? }, both whole numbers.")),
            Some(_) => Err(Malformed("A request for history is { before?, limit? }.")),
        }
    }
}

/// JavaScript clients write `null` for what they leave out.
fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_message_is_a_string_or_an_object() {
        let text = |payload: Value| MessageCommand::parse(Some(payload)).map(|m| m.text);
        assert_eq!(text(json!("hi")).as_deref(), Ok("hi"));
        assert_eq!(text(json!({"text": "hi", "attachments": null, "later": 1})).as_deref(), Ok("hi"));
        for bad in
            [json!(null), json!(7), json!([]), json!({}), json!({"text": 1}), json!(""), json!(" \n"), json!(true)]
        {
            assert!(text(bad.clone()).is_err(), "{bad}");
        }
        let bad_id = json!({"text": "a", "clientMessageId": "a\nb"});
        assert!(text(bad_id).is_err());
        assert!(MessageCommand::parse(None).is_err());
    }

    #[test]
    fn an_approval_says_yes_or_no_and_nothing_in_between() {
        let parse = |payload: Value| ApprovalCommand::parse(Some(payload));
        let call_id = CallId::parse("call_1_0_0").expect("valid");
        let constraints = BTreeMap::new();
        let (args, args_text, scope, grant, reason, digest) = (None, None, Scope::Once, None, None, None);
        let plain =
            ApprovalCommand { call_id, approved: true, args, args_text, scope, grant, constraints, reason, digest };
        assert_eq!(parse(json!({"callId": "call_1_0_0", "approved": true})), Ok(plain.clone()));
        assert_eq!(parse(json!({"callId": "call_1_0_0", "approved": true, "args": null, "scope": null})), Ok(plain));
        for bad in [
            json!(null),
            json!("call_1_0_0"),
            json!({"callId": "call_1_0_0"}),
            json!({"approved": true}),
            json!({"callId": "call_1_0_0", "approved": "yes"}),
            json!({"callId": "call_1_0_0", "approved": 1}),
            json!({"callId": {"$ne": 1}, "approved": true}),
            json!({"callId": "a:b", "approved": true}),
            json!({"callId": "call_1_0_0", "approved": true, "scope": "forever"}),
            json!({"callId": "call_1_0_0", "approved": true, "scope": "always", "constraints": {"path": {"inside": "a"}}}),
        ] {
            assert!(parse(bad.clone()).is_err(), "{bad}");
        }
        assert!(ApprovalCommand::parse(None).is_err());
    }

    #[test]
    fn a_request_for_history_may_be_empty() {
        for empty in [None, Some(json!(null)), Some(json!({}))] {
            assert_eq!(HistoryCommand::parse(empty), Ok(HistoryCommand::default()));
        }
        for bad in [json!("x"), json!({"before": -1}), json!({"limit": "1"}), json!({"before": 1.5})] {
            assert!(HistoryCommand::parse(Some(bad.clone())).is_err(), "{bad}");
        }
    }
}
