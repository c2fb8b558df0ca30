use super::Time;
use lockkeeper_domain::{
    Annotations, CallId, CallStatus, Code, Decision, Digest, GrantScope, PrincipalId, Rule, RuleId, Scope, ServerName,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// One of `tool:calls`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolCall {
    /// Which call.
    pub call_id: CallId,
    /// The tool, as its server calls it.
    pub name: String,
    /// The tool's server; none when there is no such tool.
    pub server: Option<ServerName>,
    /// The arguments.
    pub args: Value,
    /// The arguments as the exact JSON text that runs: a reader of `args` may round large numbers.
    pub args_text: String,
    /// Where it stands.
    pub status: CallStatus,
    /// Which rule decided so, and why, for people.
    pub why: String,
    /// What an answer is bound to that comes before the question is asked; on calls that wait alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// `tool:approval_required`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalRequired {
    /// Which call.
    pub call_id: CallId,
    /// The tool, as its server calls it.
    pub name: String,
    /// The tool's server.
    pub server: Option<ServerName>,
    /// The arguments that run if the call is approved as it is.
    pub args: Value,
    /// The same as the exact JSON text that runs: show this, since a reader of `args` may round large numbers.
    pub args_text: String,
    /// Its place among the step's calls that wait, from 1.
    pub queue_position: usize,
    /// How many calls of the step wait in all.
    pub total_in_queue: usize,
    /// When the call is refused by itself.
    pub expires_at: Time,
    /// Which rule asks, and why, for people.
    pub why: String,
    /// The tool's hints about its effects: untrusted.
    pub annotations: Annotations,
    /// The rule that an approval for always stores, as a configuration has it; absent where that is not offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub always_rule: Option<Rule>,
    /// The scopes that an approval for the session may have: give one back as `grant`. Absent where that is not offered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub session_scopes: Vec<GrantScope>,
    /// What an answer is bound to: give it back with the answer. None where an earlier version asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The first eight digits of the digest, for people to compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// `tool:approval_resolved`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalResolved {
    /// Which call.
    pub call_id: CallId,
    /// What became of it.
    pub decision: Decision,
    /// Who decided; none when time, a cancellation or a rule did.
    pub by: Option<PrincipalId>,
    /// How far the approval reaches.
    pub scope: Scope,
    /// Why it was denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The arguments that run instead, where the human edited them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Value>,
    /// The same as the exact JSON text that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args_text: Option<String>,
    /// Which calls of the session it covers, where it is for the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantScope>,
    /// The rule that an approval for always has stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_id: Option<RuleId>,
    /// What the decision is bound to: the question's digest, or another one where the human edited the arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// `tool:quarantined`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolQuarantined {
    /// The tool's server.
    pub server: ServerName,
    /// The tool, as its server calls it.
    pub name: String,
    /// What it was when it was judged or trusted before: untrusted text.
    pub before: ToolShape,
    /// What it is now: untrusted text.
    pub after: ToolShape,
    /// What differs: `title`, `description`, `inputSchema`, `annotations`, or `other`, which is not shown. Empty where the tool is
    /// again what it was.
    pub changes: Vec<&'static str>,
    /// Names what it is now: `tool:trust` gives it back.
    pub fingerprint: String,
}

/// What a tool's server says of it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolShape {
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it does.
    pub description: String,
    /// The JSON Schema of its arguments; null where it is too large to be kept.
    pub input_schema: Value,
    /// Hints about its effects.
    pub annotations: Annotations,
}

/// `tool:trusted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolTrusted {
    /// The tool's server.
    pub server: ServerName,
    /// The tool, as its server calls it.
    pub name: String,
    /// What is trusted.
    pub fingerprint: String,
    /// Who says so.
    pub by: PrincipalId,
}

/// `tool:started`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolStarted {
    /// Which call.
    pub call_id: CallId,
    /// The tool, as its server calls it.
    pub name: String,
    /// The tool's server.
    pub server: Option<ServerName>,
}

/// `tool:error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolError {
    /// Which call.
    pub call_id: CallId,
    /// The tool, as its server calls it.
    pub name: String,
    /// What happened, for people.
    pub message: String,
    /// What happened, for programs.
    pub code: Code,
}
