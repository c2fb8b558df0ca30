use crate::{Annotations, CallId, Digest, GrantScope, PrincipalId, Rule, RuleId, ServerName, Timestamp, WorkspaceId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A call waits for a human, and this is what the human is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApprovalRequired {
    /// Which call.
    pub call: CallId,
    /// The tool's server.
    pub server: Option<ServerName>,
    /// What its server calls the tool.
    pub tool: String,
    /// The arguments that run if the call is approved as it is.
    pub args: Value,
    /// Which rule asks, and why, for people.
    pub why: String,
    /// The tool's hints about its effects.
    pub annotations: Annotations,
    /// Its place among the step's calls that wait, from 1.
    pub position: usize,
    /// How many calls of the step wait for a human in all.
    pub total: usize,
    /// When the call is refused by itself.
    pub expires_at: Timestamp,
    /// The rule that an approval for always stores; none where that is not offered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub always: Option<Rule>,
    /// The scopes that an approval for the session may have; none where that is not offered.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub scopes: Vec<GrantScope>,
    /// What the answer is bound to; none in logs of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
}

/// What became of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The call runs.
    Approved,
    /// A human said no, or a rule that came while it waited.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// The turn was cancelled first.
    Cancelled,
    /// What it was about has changed: the tool has another definition, or the workspace was lost. A call that was approved
    /// for the lost workspace is asked about again.
    Void,
}

/// How far an approval reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// This call.
    #[default]
    Once,
    /// Calls of the same tool, unchanged, in this session, as far as the scope goes that the answer names.
    Session,
    /// Every call that a stored rule covers.
    Always,
}

/// A call waits no longer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApprovalResolved {
    /// Which call.
    pub call: CallId,
    /// What became of it.
    pub decision: Decision,
    /// Who decided; none when time, a cancellation or a rule did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<PrincipalId>,
    /// How far the approval reaches.
    pub scope: Scope,
    /// Why it was denied, in the human's words or by which rule. It reaches the model.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The arguments that run instead of the model's, where the human edited them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub edited_args: Option<Value>,
    /// What runs is bound to this: the question's digest, or another one where the human edited the arguments.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
    /// By which way the decision came. For the log alone: no client is shown it.
    #[serde(skip_serializing_if = "Via::is_unknown", default)]
    pub via: Via,
    /// The rule that was stored, where the approval is for always.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rule: Option<RuleId>,
    /// Which calls of the session it covers, where the approval is for the session; none in logs of earlier versions, where
    /// it was every call of the tool.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grant: Option<GrantScope>,
    /// The workspace that it was given for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub workspace: Option<WorkspaceId>,
}

/// By which way somebody said something, for whoever asks later who it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Via {
    /// The id of the token that let them in (`jti`), where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The address of their connection: behind a proxy, the proxy's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What their program calls itself, in its own words: untrusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

impl Via {
    /// The longest id of a token and the longest name of a program, in bytes. What is longer is cut.
    pub const MAX_BYTES: usize = 256;

    /// What strangers call something, in visible characters of ASCII and no more than is kept; none where nothing is left.
    pub fn named(text: &str) -> Option<String> {
        let kept: String = text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(Self::MAX_BYTES).collect();
        (!kept.trim().is_empty()).then_some(kept)
    }

    pub(crate) fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}
