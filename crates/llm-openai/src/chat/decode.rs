//! The chunks of a chat completion's stream.

use super::{
    calls::Calls,
    details::Details,
    think::{Part, Splitter},
};
use crate::{
    config::Api,
    failure::{Failure, Report, is_error_object},
    json::{count, has, list, named, text},
    speech::{Ending, Speech},
};
use lockkeeper_domain::{Replay, StopReason, Usage};
use lockkeeper_ports::{LlmError, ModelEvent};
use serde_json::{Map, Value, json};

/// Fields of a message that its server wants back, besides the known ones.
const EXTRAS: &[&str] = &["extra_content", "thought_signature"];

/// Turns chunks into what the port says.
#[derive(Debug)]
pub(crate) struct Decoder {
    model: String,
    speech: Speech,
    splitter: Splitter,
    calls: Calls,
    details: Details,
    /// What the server calls its reasoning.
    reasoning_field: Option<&'static str>,
    extras: Map<String, Value>,
    /// Whether anything of an answer came.
    answered: bool,
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
            splitter: Splitter::default(),
            calls: Calls::default(),
            details: Details::default(),
            reasoning_field: None,
            extras: Map::new(),
            answered: false,
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
        let is_no_answer = !has(chunk, "/choices") && (text(chunk, "/type") == "error" || Report::is_refusal(chunk));
        if is_error_object(chunk) || is_no_answer {
            return Err(Report::of_json(chunk).into_failure());
        }
        if has(chunk, "/usage") {
            self.usage = usage(chunk);
        }
        let Some(choice) = list(chunk, "/choices").first() else { return Ok(()) };
        self.answered = true;
        if let Some(message) = ["delta", "message"].iter().find_map(|at| choice.get(at).filter(|m| m.is_object())) {
            self.message(message);
        }
        if let Some(reason) = named(choice, "/finish_reason") {
            self.finish.get_or_insert(reason);
        }
        Ok(())
    }

    /// The stream is over; `done` tells whether its server said that it was the end, and `strict` whether it must have.
    pub(crate) fn close(&mut self, done: bool, strict: Option<bool>) -> Result<(), Failure> {
        let cut = || Failure::cut("it ended before the completion did");
        let finish = self.finish.take();
        // One of the two marks of an end is enough for text. Calls that did not say why they end may be cut.
        let marked = done || !strict.unwrap_or(!self.calls.is_empty());
        if !self.answered || !(marked && finish.is_some() || done && self.calls.are_whole()) {
            return Err(cut());
        }
        self.split(Splitter::finish);
        let stop = match finish.as_deref() {
            _ if self.refused => StopReason::Refusal,
            None => StopReason::EndTurn,
            Some(finish) => match Finish::of(finish) {
                Finish::Stop(stop) => stop,
                Finish::Failed => {
                    return Err(Failure::passing(LlmError::Overloaded(format!("it stopped: {finish}"))));
                }
                Finish::Cut => return Err(Failure::cut(format!("it stopped: {finish}"))),
                // Whether the calls are whole, only the reason can tell.
                // Servers have words of their own for an end.
                Finish::Unknown if self.calls.is_empty() => StopReason::EndTurn,
                Finish::Unknown => {
                    return Err(Failure::bad_response(format!("calls, and an unknown end {finish:?}")));
                }
            },
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
            Some(Value::String(content)) => self.split(|splitter, parts| splitter.push(content, parts)),
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
        // What calls were before they could be several.
        if let Some(call) = message.get("function_call").filter(|call| call.is_object()) {
            self.calls.add(&json!({"function": call}));
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
        if text(part, "/type") == "thinking" {
            for piece in list(part, "/thinking") {
                self.speech.reason(text(piece, "/text"));
            }
        } else {
            self.split(|splitter, parts| splitter.push(text(part, "/text"), parts));
        }
    }

    /// Says what the splitter makes of a text.
    fn split(&mut self, take: impl FnOnce(&mut Splitter, &mut Vec<Part>)) {
        let mut parts = Vec::new();
        take(&mut self.splitter, &mut parts);
        for part in parts {
            match part {
                Part::Text(text) => self.speech.say(&text),
                Part::Reasoning(text) => self.speech.reason(&text),
                Part::AllWasReasoning => self.speech.take_back(),
            }
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

/// What a `finish_reason` says.
enum Finish {
    Stop(StopReason),
    Failed,
    Cut,
    Unknown,
}

impl Finish {
    fn of(reason: &str) -> Self {
        let reason = reason.to_ascii_lowercase();
        let has = |parts: &[&str]| parts.iter().any(|part| reason.contains(part));
        match reason.as_str() {
            "stop" | "tool_calls" | "tool_call" | "function_call" | "tool_use" | "end_turn" | "eos" | "eos_token"
            | "eot" | "end" | "done" | "complete" | "completed" | "success" | "end_of_turn" | "stop_str" => {
                Self::Stop(StopReason::EndTurn)
            }
            "stop_sequence" => Self::Stop(StopReason::StopSequence),
            "refusal" => Self::Stop(StopReason::Refusal),
            "abort" | "aborted" | "cancelled" | "canceled" => Self::Cut,
            _ if has(&["length", "max_tokens", "max_output"]) => Self::Stop(StopReason::MaxTokens),
            _ if has(&["filter", "safety", "sensitive", "blocked", "recitation"]) => Self::Stop(StopReason::Safety),
            _ if has(&["error", "insufficient_system_resource", "overload", "timeout"]) => Self::Failed,
            _ => Self::Unknown,
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
