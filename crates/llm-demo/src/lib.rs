//! A scripted language-model provider that needs no key.
//!
//! [`DemoProvider`] knows no language: it looks for a few sentences in the last user's message and plays what belongs
//! to them, word by word, with real tool calls. The same request always gets the same answer. It keeps no state:
//! which step of a turn it plays, it learns from the messages after the last user's message, so a turn goes on
//! after a restart of the server.
//!
//! # What it understands
//!
//! | the user says, in any case | it |
//! |---|---|
//! | `list files in src`, `read a.txt`, `write a.txt: text`, `create a file a.txt with text`, `` run `date` `` | asks for that call, then quotes the result |
//! | two of them with `and` or `then` | takes a step for each |
//! | the same with `at once` or `in parallel`, or `three calls` | asks for all of them in one step |
//! | `build a hello project`, `5 steps` | takes a chain of steps, one call in each |
//! | `call NAME {"a": 1}` | calls any tool, by the model's name for it or its server's, known or not |
//! | `fail` | reads a file that is not there, and explains the error |
//! | `tell me a long story of 900 words` | talks for so long; 400 words where it says no number |
//! | `think` | streams reasoning first |
//! | `describe the image` | tells number and types of the attachments |
//! | `script:` and JSON | does what the script says, see below |
//! | anything else | says what it is, and what to try |
//!
//! # Scripts
//!
//! A message that begins with `script:` holds a JSON array of steps, or an object with such an array as its `steps`.
//! The n-th step answers the turn's n-th request. After the last one the turn ends with a short text. All fields of
//! a step may be left out:
//!
//! | field | meaning |
//! |---|---|
//! | `reasoning` | text that is streamed as reasoning, first |
//! | `text` | text that is streamed word by word |
//! | `quote` | `true`: the text goes on with the results of the turn so far, as a model would quote them |
//! | `calls` | `[{"name": "workspace__read_file", "args": {"path": "a"}}]`; a raw tool name finds its tool too |
//! | `delay_ms` | milliseconds before each event, in place of [`Config::piece_delay_ms`] |
//! | `stop` | `end_turn` (default), `max_tokens`, `stop_sequence`, `refusal`, `safety` |
//! | `usage` | `{"inputTokens": 1, "outputTokens": 2, "cachedInputTokens": 0, "reasoningTokens": 0}` |
//! | `replay` | any JSON, which the provider gives out as its replay |
//! | `error` | a kind, or `{"kind": .., "message": .., "retry_after_ms": ..}` |
//!
//! An error comes in place of the completion: after the step's text, or as the refusal of the request where the step
//! says nothing. Its kinds are `authentication`, `quota`, `rate_limited`, `overloaded`, `bad_request`,
//! `context_too_long`, `bad_response`, `network`, `timeout` and `stream_cut`, which are the port's errors, and besides
//! `cut` (the stream ends without a completion and without an error) and `hang` (it never ends).
//!
//! ```text
//! script: [
//!   {"text": "I look at it.", "calls": [{"name": "read_file", "args": {"path": "a.txt"}}]},
//!   {"text": "Half an ans", "error": "cut"}
//! ]
//! ```

mod action;
mod answer;
mod history;
mod intent;
mod phrase;
mod quote;
mod reply;
mod script;
mod story;
mod toolbox;

use async_trait::async_trait;
use history::Turn;
use lockkeeper_ports::{GenerateRequest, LlmError, LlmProvider, ModelInfo, ModelStream};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// How the demo provider answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Milliseconds before each piece of an answer, about one word. 15 by default; 0 streams without a pause.
    pub piece_delay_ms: u64,
    /// The most bytes of one tool's result that an answer quotes. 1,500 by default.
    pub quote_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { piece_delay_ms: 15, quote_bytes: 1_500 }
    }
}

/// A provider without a model behind it.
///
/// It is strict where the vendors are: it refuses a model that it does not have, and a history in which a call
/// lacks its result.
#[derive(Clone, Debug, Default)]
pub struct DemoProvider {
    config: Config,
}

impl DemoProvider {
    /// The one model.
    pub const MODEL: &str = "demo-1";

    /// A provider that answers as `config` says.
    pub fn new(config: Config) -> Self {
        Self { config }
    }
}

#[async_trait]
impl LlmProvider for DemoProvider {
    fn name(&self) -> &'static str {
        "demo"
    }

    fn default_model(&self) -> &'static str {
        Self::MODEL
    }

    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, LlmError> {
        if request.model != Self::MODEL {
            let (asked, known) = (&request.model, Self::MODEL);
            return Err(LlmError::BadRequest(format!("there is no model {asked:?}; the demo has {known:?} alone")));
        }
        let turn = Turn::of(&request.messages, &request.tools)?;
        let reply = answer::reply_to(&turn, self.config.quote_bytes).within(request.max_output_tokens);
        let delay = Duration::from_millis(self.config.piece_delay_ms);
        reply.into_stream(delay, history::input_tokens(&request), turn.step())
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, LlmError> {
        let display_name = "Demo (scripted replies, no network)".to_owned();
        Ok(vec![ModelInfo { id: Self::MODEL.to_owned(), display_name }])
    }
}

#[cfg(test)]
mod tests;
