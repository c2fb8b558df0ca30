//! The chunks of a chat completion's stream.

use super::{calls::Calls, details::Details};
use crate::{
    config::Api,
    failure::{Failure, Report, is_error_object},
    json::{count, has, list, named, text},
    speech::{Ending, Speech},
};
use lockkeeper_domain::{Replay, StopReason, Usage};
use lockkeeper_ports::{LlmError, ModelEvent};
use serde_json::{Map, Value};

/// Fields of a message that its server wants back, besides the known ones.
const EXTRAS: &[&str] = &["extra_content", "thought_signature"];

/// Turns chunks into what the port says.
#[derive(Debug)]
pub(crate) struct Decoder {
    model: String,
    speech: Speech,
    calls: Calls,
    details: Details,
    /// What the server calls its reasoning.
    reasoning_field: Option<&'static str>,
    extras: Map<String, Value>,
    finish: Option<String>,
    refused: bool,
    usage: Usage,
}

impl Decoder {
    /// For an answer of `model`.
    pub(crate) fn new(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            speech: Speech::default(),
            calls: Calls::default(),
            details: Details::default(),
            reasoning_field: None,
            extras: Map::new(),
            finish: None,
            refused: false,
            usage: Usage::default(),
        }
    }

    pub(crate) fn next_piece(&mut self) -> Option<ModelEvent> {
        self.speech.next_piece()
    }

    /// Takes a chunk, or the whole completion of a server that does not stream.
    pub(crate) fn feed(&mut self, chunk: &Value) -> Result<(), Failure> {
        if is_error_object(chunk) || (text(chunk, "/type") == "error" && !has(chunk, "/choices")) {
            return Err(Report::of_json(chunk).into_failure());
        }
        if has(chunk, "/usage") {
            self.usage = usage(chunk);
        }
        let Some(choice) = list(chunk, "/choices").first() else { return Ok(()) };
        if let Some(message) = ["delta", "message"].iter().find_map(|at| choice.get(at).filter(|m| m.is_object())) {
            self.message(message);
        }
        if let Some(reason) = named(choice, "/finish_reason") {
            self.finish.get_or_insert(reason);
        }
        Ok(())
    }

    /// The stream is over; `done` tells whether its server said that it was the end.
    pub(crate) fn close(&mut self, done: bool) -> Result<(), Failure> {
        let Some(finish) = self.finish.take().filter(|_| done) else {
            return Err(Failure::cut("it ended before the completion did"));
        };
        let stop = match finish.as_str() {
            _ if self.refused => StopReason::Refusal,
            "stop" | "tool_calls" | "function_call" | "tool_use" | "end_turn" | "eos" | "eos_token" => {
                StopReason::EndTurn
            }
            "stop_sequence" => StopReason::StopSequence,
            "length" | "max_tokens" | "model_length" => StopReason::MaxTokens,
            "content_filter" | "safety" => StopReason::Safety,
            "refusal" => StopReason::Refusal,
            "error" | "insufficient_system_resource" => {
                return Err(Failure::passing(LlmError::Overloaded(format!("it stopped: {finish}"))));
            }
            "abort" | "cancelled" => return Err(Failure::cut(format!("it stopped: {finish}"))),
            _ if self.calls.is_empty() => StopReason::EndTurn,
            // Whether the calls are whole, only the reason can tell.
            _ => return Err(Failure::bad_response(format!("calls, and an unknown end {finish:?}"))),
        };
        let (calls, raw_calls) = std::mem::take(&mut self.calls).into_parts();
        let replay = self.replay(raw_calls);
        self.speech.complete(Ending { calls, stop, usage: self.usage, replay: Some(replay) });
        Ok(())
    }

    fn message(&mut self, message: &Value) {
        let field = ["reasoning_content", "reasoning"].into_iter().find(|field| named(message, &at(field)).is_some());
        if let Some(field) = field {
            self.reasoning_field = Some(field);
            self.speech.reason(text(message, &at(field)));
        }
        match message.get("content") {
            Some(Value::String(content)) => self.speech.say(content),
            Some(Value::Array(parts)) => parts.iter().for_each(|part| self.part(part)),
            _ => {}
        }
        if let Some(refusal) = named(message, "/refusal") {
            self.refused = true;
            self.speech.say(&refusal);
        }
        for piece in list(message, "/tool_calls") {
            self.calls.add(piece);
        }
        for piece in list(message, "/reasoning_details") {
            self.details.add(piece);
        }
        for extra in EXTRAS {
            if let Some(value) = message.get(*extra).filter(|value| !value.is_null()) {
                self.extras.insert((*extra).to_owned(), value.clone());
            }
        }
    }

    /// A part of a content that is a list, as Mistral sends it.
    fn part(&mut self, part: &Value) {
        match text(part, "/type") {
            "thinking" => list(part, "/thinking").iter().for_each(|piece| self.speech.reason(text(piece, "/text"))),
            _ => self.speech.say(text(part, "/text")),
        }
    }

    /// The message as the server should get it back.
    fn replay(&mut self, calls: Vec<Value>) -> Replay {
        let mut message = Map::new();
        let content = if self.speech.has_text() { Value::from(self.speech.text()) } else { Value::Null };
        message.insert("role".to_owned(), "assistant".into());
        message.insert("content".to_owned(), content);
        if let Some(field) = self.reasoning_field.take().filter(|_| self.speech.has_reasoning()) {
            message.insert(field.to_owned(), self.speech.reasoning().into());
        }
        if let Some(details) = std::mem::take(&mut self.details).into_value() {
            message.insert("reasoning_details".to_owned(), details);
        }
        message.append(&mut self.extras);
        if !calls.is_empty() {
            message.insert("tool_calls".to_owned(), Value::Array(calls));
        }
        Replay {
            provider: crate::NAME.to_owned(),
            model: self.model.clone(),
            api: Api::Chat.name().to_owned(),
            raw: Value::Object(message),
        }
    }
}

fn at(field: &str) -> String {
    format!("/{field}")
}

fn usage(chunk: &Value) -> Usage {
    let cached = count(chunk, "/usage/prompt_tokens_details/cached_tokens");
    Usage {
        input_tokens: count(chunk, "/usage/prompt_tokens"),
        output_tokens: count(chunk, "/usage/completion_tokens"),
        // DeepSeek's name for it comes second.
        cached_input_tokens: cached.max(count(chunk, "/usage/prompt_cache_hit_tokens")),
        reasoning_tokens: count(chunk, "/usage/completion_tokens_details/reasoning_tokens"),
    }
}
