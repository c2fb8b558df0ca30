//! `GenerateContentResponse`, of which each event of the stream is one.

use super::{Said, cut, partial::PartialCall, string, unfinished};
use crate::{
    Api,
    error::{self, Failure},
    replay,
};
use lockkeeper_domain::{StopReason, Usage};
use lockkeeper_ports::{Completion, ModelEvent, ProposedCall};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;

#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    model: String,
    said: Said,
    /// The parts as they have to go back.
    parts: Vec<Value>,
    /// A call whose arguments are still coming.
    partial: Option<PartialCall>,
    usage: Map<String, Value>,
    finish: Option<Finish>,
    /// The prompt was blocked, for the reason that the vendor gives.
    blocked: Option<String>,
    /// A call was left without its end.
    torn: bool,
    completed: bool,
}

#[derive(Clone, Debug)]
struct Finish {
    reason: String,
    words: String,
}

impl Answer {
    pub(super) fn new(model: String) -> Self {
        Self { model, ..Self::default() }
    }

    pub(super) fn chunk(&mut self, chunk: &Value, out: &mut VecDeque<ModelEvent>) {
        let usage = chunk.get("usageMetadata").and_then(Value::as_object);
        self.usage.extend(usage.into_iter().flatten().map(|(name, count)| (name.clone(), count.clone())));
        if let Some(feedback) =
            chunk.get("promptFeedback").filter(|feedback| !string(feedback, "blockReason").is_empty())
        {
            self.blocked = Some(string(feedback, "blockReasonMessage").to_owned());
        }
        let candidates = chunk.get("candidates").and_then(Value::as_array);
        let Some(candidate) = candidates.and_then(|candidates| candidates.first()) else { return };
        let parts = candidate.get("content").and_then(|content| content.get("parts")).and_then(Value::as_array);
        let mut goes_on = false;
        for part in parts.into_iter().flatten() {
            goes_on |= part.as_object().is_some_and(|part| !is_nothing(part));
            self.part(part, out);
        }
        let reason = string(candidate, "finishReason");
        if reason.is_empty() {
            // An answer with code that the vendor runs finishes more than once, and only the last time counts.
            self.finish = self.finish.take().filter(|_| !goes_on);
        } else {
            let words = string(candidate, "finishMessage").to_owned();
            self.finish = Some(Finish { reason: reason.to_owned(), words });
        }
    }

    /// Only the end of the body says that an answer that finished has no more to say.
    pub(super) fn end(&mut self, out: &mut VecDeque<ModelEvent>) -> Result<(), Failure> {
        if self.completed {
            return Ok(());
        }
        if self.partial.is_some() || self.torn {
            return Err(cut("within a call"));
        }
        if self.parts.last().is_some_and(|part| part.get("executableCode").is_some()) {
            return Err(cut("before the result of its code"));
        }
        let (stop, whole) = match &self.finish {
            Some(finish) => meaning(finish)?,
            None if self.blocked.is_some() => (StopReason::Safety, false),
            None => return Err(cut("before the answer did")),
        };
        self.completed = true;
        let called = self.parts.iter().any(|part| part.get("functionCall").is_some());
        match (stop, &mut self.finish) {
            (StopReason::Safety, _) => self.explain(out),
            (StopReason::Unfinished, Some(finish)) => {
                finish.words = unfinished(&finish.reason, &finish.words, called);
                self.explain(out);
            }
            _ => {}
        }
        let mut parts = std::mem::take(&mut self.parts);
        if !whole {
            parts.retain(|part| part.get("functionCall").is_none());
        }
        let calls = parts.iter().filter_map(call).collect();
        out.push_back(ModelEvent::Completed(Completion {
            text: std::mem::take(&mut self.said.text),
            reasoning: Some(std::mem::take(&mut self.said.reasoning)).filter(|text| !text.is_empty()),
            calls,
            stop,
            usage: self.counted(),
            replay: replay::of(Api::GenerateContent, &self.model, parts),
        }));
        Ok(())
    }

    /// Says why the vendor stopped the answer, where it does.
    fn explain(&mut self, out: &mut VecDeque<ModelEvent>) {
        let finished = self.finish.as_ref().map(|finish| finish.words.as_str());
        let words = finished.or(self.blocked.as_deref()).unwrap_or_default().trim();
        if !words.is_empty() {
            let gap = if self.said.text.trim().is_empty() { "" } else { "\n\n" };
            self.said.say(&format!("{gap}{words}"), out);
        }
    }

    fn part(&mut self, part: &Value, out: &mut VecDeque<ModelEvent>) {
        if let Some(function) = part.get("functionCall") {
            self.function_call(part, function);
            return;
        }
        let text = string(part, "text");
        if part.get("thought").is_some_and(|thought| thought == true) {
            self.said.reason(text, out);
        } else {
            self.said.say(text, out);
        }
        self.keep(part);
    }

    /// A call comes whole, or in pieces: first its name, then its arguments, then an end that may be empty.
    fn function_call(&mut self, part: &Value, function: &Value) {
        if let Some(mut partial) = self.partial.take() {
            if string(function, "name").is_empty() {
                partial.extend(part, function);
            } else {
                self.torn = true;
                partial = PartialCall::begun(part, function);
            }
            self.continue_or_keep(partial, function);
        } else if !string(function, "name").is_empty() {
            self.continue_or_keep(PartialCall::begun(part, function), function);
        }
    }

    fn continue_or_keep(&mut self, call: PartialCall, function: &Value) {
        if function.get("willContinue").is_some_and(|more| more == true) {
            self.partial = Some(call);
        } else {
            self.parts.push(call.into_part());
        }
    }

    /// Keeps a part for the replay. Texts that nobody signed become one; a part with a signature is never touched.
    fn keep(&mut self, part: &Value) {
        if let (Some(Value::Object(last)), Some(new)) = (self.parts.last_mut(), part.as_object()) {
            let same_kind = last.get("thought") == new.get("thought");
            if let (true, true, true, Some(Value::String(text))) =
                (same_kind, is_plain_text(last), is_plain_text(new), last.get_mut("text"))
            {
                text.push_str(string(part, "text"));
                return;
            }
        }
        if part.as_object().is_some_and(|part| !is_nothing(part)) {
            self.parts.push(part.clone());
        }
    }

    fn counted(&self) -> Usage {
        let count = |name: &str| self.usage.get(name).and_then(Value::as_u64).unwrap_or(0);
        let reasoning = count("thoughtsTokenCount");
        Usage {
            input_tokens: count("promptTokenCount").saturating_add(count("toolUsePromptTokenCount")),
            output_tokens: count("candidatesTokenCount").saturating_add(reasoning),
            cached_input_tokens: count("cachedContentTokenCount"),
            reasoning_tokens: reasoning,
        }
    }
}

fn is_plain_text(part: &Map<String, Value>) -> bool {
    part.get("text").is_some_and(Value::is_string) && part.keys().all(|key| key == "text" || key == "thought")
}

/// Whether a part may be left out: it is empty, and nobody signed it.
fn is_nothing(part: &Map<String, Value>) -> bool {
    part.is_empty() || (is_plain_text(part) && part.get("text").is_some_and(|text| text == ""))
}

fn call(part: &Value) -> Option<ProposedCall> {
    let call = replay::wire_call(Api::GenerateContent, part)?;
    let args = part.get("functionCall")?.get("args").filter(|args| !args.is_null());
    Some(ProposedCall {
        provider_id: call.id.map(ToOwned::to_owned),
        name: call.name.to_owned(),
        args: args.cloned().unwrap_or_else(|| json!({})),
    })
}

/// Why the model stopped, and whether its calls are whole. A reason that nobody knows may well be a limit.
fn meaning(finish: &Finish) -> Result<(StopReason, bool), Failure> {
    Ok(match finish.reason.as_str() {
        "STOP" => (StopReason::EndTurn, true),
        "MAX_TOKENS" => (StopReason::MaxTokens, false),
        // Asked again without the signatures, it may well answer.
        "MISSING_THOUGHT_SIGNATURE" => return Err(error::of_missing_signature(&finish.words)),
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "LANGUAGE" | "MODEL_ARMOR" => {
            (StopReason::Safety, false)
        }
        reason if reason.starts_with("IMAGE_") => (StopReason::Safety, false),
        "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS" | "MALFORMED_RESPONSE" => {
            return Err(error::of_malformed_call(&finish.reason, &finish.words));
        }
        _ => (StopReason::Unfinished, false),
    })
}
