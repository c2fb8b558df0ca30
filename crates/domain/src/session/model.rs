use crate::{
    Annotations, Code, GrantScope, Replay, Rule, RuleId, ServerName, StopReason, ToolDefinition, ToolName, Usage,
};
use serde_json::Value;

/// A piece of what a model says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Of the answer.
    Text(String),
    /// Of the reasoning's summary.
    Reasoning(String),
}

/// A model's complete answer, its calls judged.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelOutcome {
    /// The whole text.
    pub text: String,
    /// The whole summary of the reasoning.
    pub reasoning: Option<String>,
    /// The calls, in the model's order.
    pub calls: Vec<JudgedCall>,
    /// Why it stopped.
    pub stop: StopReason,
    /// What it cost.
    pub usage: Usage,
    /// What the provider wants back.
    pub replay: Option<Replay>,
}

/// A call that a model asks for, and what the gate says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedCall {
    /// The provider's name for the call.
    pub provider_id: Option<String>,
    /// The tool, as the model wrote it.
    pub name: ToolName,
    /// The tool's server, where there is such a tool.
    pub server: Option<ServerName>,
    /// What its server calls it.
    pub tool: String,
    /// The arguments.
    pub args: Value,
    /// What the gate says.
    pub judgement: Judgement,
    /// The tool's hints.
    pub annotations: Annotations,
    /// The hash of the tool's definition.
    pub fingerprint: String,
    /// The stored rule that lets it run.
    pub rule: Option<RuleId>,
    /// The rule that an approval for always would store; none where that is not offered.
    pub always: Option<Rule>,
    /// The scopes that an approval for the session may have; none where that is not offered.
    pub scopes: Vec<GrantScope>,
    /// Whether a grant for the session lets it run.
    pub granted: bool,
    /// The tool, where no call of it was judged in the session before.
    pub pin: Option<Box<ToolDefinition>>,
}

/// What the gate says of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// A human's rule or grant lets it run.
    Run {
        /// Which, for people.
        why: String,
    },
    /// A human is asked.
    Ask {
        /// Why, for people.
        why: String,
    },
    /// It does not run.
    Refuse {
        /// Why, for programs.
        code: Code,
        /// Why, for people and the model.
        message: String,
    },
}
