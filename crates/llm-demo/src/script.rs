//! Scripts: a turn's answers, step by step, as a test writes them. The crate's documentation describes the format.

use crate::{
    history::Turn,
    quote,
    reply::{Ending, Reply},
    toolbox,
};
use lockkeeper_domain::{StopReason, Usage};
use lockkeeper_ports::LlmError;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(untagged)]
enum Script {
    Steps(Vec<Value>),
    Named { steps: Vec<Value> },
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Step {
    reasoning: String,
    text: String,
    quote: bool,
    calls: Vec<Call>,
    delay_ms: Option<u64>,
    stop: Option<ProviderStop>,
    usage: Option<Usage>,
    replay: Option<Value>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    name: String,
    #[serde(default = "no_args")]
    args: Value,
}

/// The reasons that a provider may give; the others are the orchestrator's.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ProviderStop {
    EndTurn,
    MaxTokens,
    StopSequence,
    Refusal,
    Safety,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Failure {
    Kind(Kind),
    Full(FullFailure),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FullFailure {
    kind: Kind,
    message: Option<String>,
    retry_after_ms: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Authentication,
    Quota,
    RateLimited,
    Overloaded,
    BadRequest,
    ContextTooLong,
    BadResponse,
    Network,
    Timeout,
    StreamCut,
    Cut,
    Hang,
}

/// What the script says for the step that `turn` has come to; else what is wrong with the script.
pub(crate) fn play(script: &str, turn: &Turn, quote_bytes: usize) -> Reply {
    let Ok(Script::Steps(steps) | Script::Named { steps }) = serde_json::from_str(script) else {
        return Reply::text(not_a_script(script));
    };
    let (number, count) = (turn.step() + 1, steps.len());
    let Some(step) = steps.into_iter().nth(turn.step()) else {
        return Reply::text(format!("The script is over after {count} steps."));
    };
    match serde_json::from_value::<Step>(step) {
        Ok(step) => step.reply(turn, quote_bytes),
        Err(error) => Reply::text(format!("Step {number} of the script cannot be played: {error}.")),
    }
}

impl Step {
    fn reply(self, turn: &Turn, quote_bytes: usize) -> Reply {
        let mut text = self.text;
        if self.quote {
            for done in turn.done() {
                let gap = if text.is_empty() { "" } else { "\n\n" };
                text = format!("{text}{gap}{}", quote::outcome(&done, quote_bytes));
            }
        }
        let stop = self.stop.map_or(StopReason::EndTurn, StopReason::from);
        Reply {
            reasoning: self.reasoning,
            text,
            calls: self.calls.into_iter().map(|c| (toolbox::exposed_name(&c.name, turn.tools), c.args)).collect(),
            ending: self.error.map_or(Ending::Completed(stop), Failure::ending),
            delay: self.delay_ms.map(Duration::from_millis),
            usage: self.usage,
            replay: self.replay,
        }
    }
}

impl From<ProviderStop> for StopReason {
    fn from(stop: ProviderStop) -> Self {
        match stop {
            ProviderStop::EndTurn => Self::EndTurn,
            ProviderStop::MaxTokens => Self::MaxTokens,
            ProviderStop::StopSequence => Self::StopSequence,
            ProviderStop::Refusal => Self::Refusal,
            ProviderStop::Safety => Self::Safety,
        }
    }
}

impl Failure {
    fn ending(self) -> Ending {
        let full = match self {
            Self::Kind(kind) => FullFailure { kind, message: None, retry_after_ms: None },
            Self::Full(full) => full,
        };
        let message = full.message.unwrap_or_else(|| "the demo's script says so".to_owned());
        Ending::Failed(match full.kind {
            Kind::Cut => return Ending::Cut,
            Kind::Hang => return Ending::Hang,
            Kind::Authentication => LlmError::Authentication(message),
            Kind::Quota => LlmError::Quota(message),
            Kind::RateLimited => {
                LlmError::RateLimited { message, retry_after: full.retry_after_ms.map(Duration::from_millis) }
            }
            Kind::Overloaded => LlmError::Overloaded(message),
            Kind::BadRequest => LlmError::BadRequest(message),
            Kind::ContextTooLong => LlmError::ContextTooLong(message),
            Kind::BadResponse => LlmError::BadResponse(message),
            Kind::Network => LlmError::Network(message),
            Kind::Timeout => LlmError::Timeout(message),
            Kind::StreamCut => LlmError::Cut(message),
        })
    }
}

fn no_args() -> Value {
    Value::Object(serde_json::Map::new())
}

fn not_a_script(script: &str) -> String {
    match serde_json::from_str::<Value>(script) {
        Ok(_) => "This is no script: it must be an array of steps, or an object whose `steps` are one.".to_owned(),
        Err(error) => format!("This is no script, since it is no JSON: {error}."),
    }
}
