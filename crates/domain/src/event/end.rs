use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model had said all.
    EndTurn,
    /// The answer reached the limit of its length.
    MaxTokens,
    /// The model came to a stop sequence.
    StopSequence,
    /// The model refused.
    Refusal,
    /// The provider's safety filter stopped the answer.
    Safety,
    /// The provider stopped the answer before it was finished, for another reason, which the answer gives.
    Unfinished,
    /// The turn took as many steps as are allowed.
    StepLimit,
    /// It reached another limit of turns; an `agent:error` before it says which.
    TurnLimit,
    /// A user cancelled it.
    Cancelled,
    /// Something failed; an `agent:error` before it says what.
    Error,
    /// Its server was lost and the turn could not be continued.
    Interrupted,
}

/// What a model's work cost, in tokens, as its provider counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Tokens read, cached ones included.
    pub input_tokens: u64,
    /// Tokens written, reasoning included.
    pub output_tokens: u64,
    /// Of the tokens read, those that came from the provider's cache.
    pub cached_input_tokens: u64,
    /// Of the tokens written, those that were reasoning.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// Tokens read and written.
    pub fn total(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.cached_input_tokens += other.cached_input_tokens;
        self.reasoning_tokens += other.reasoning_tokens;
    }
}

/// A turn's one end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnCompleted {
    /// Why it ended.
    pub stop_reason: StopReason,
    /// What all its steps cost.
    pub usage: Usage,
    /// How many calls the model asked for.
    pub tool_calls: u32,
    /// From the turn's opening to its end, in milliseconds.
    pub duration_ms: u64,
}
