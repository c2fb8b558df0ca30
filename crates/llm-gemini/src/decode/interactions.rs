//! The events of the Interactions API: steps that begin, grow and end.

use super::{Said, cut, string, unfinished};
use crate::{
    Api,
    error::{self, Failure},
    replay,
};
use lockkeeper_domain::{StopReason, Usage};
use lockkeeper_ports::{Completion, LlmError, ModelEvent, ProposedCall};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};

#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    model: String,
    said: Said,
    steps: BTreeMap<u64, Step>,
    completed: bool,
}

#[derive(Clone, Debug, Default)]
struct Step {
    fields: Map<String, Value>,
    /// The JSON of a call's arguments, as far as it has come.
    arguments: String,
    /// The words in place of the arguments, where they are not JSON.
    words: Option<String>,
    closed: bool,
}

impl Answer {
    pub(super) fn new(model: String) -> Self {
        Self { model, ..Self::default() }
    }

    pub(super) fn is_over(&self) -> bool {
        self.completed
    }

    pub(super) fn event(&mut self, event: &Value, out: &mut VecDeque<ModelEvent>) -> Result<(), Failure> {
        if self.completed {
            return Ok(());
        }
        match string(event, "event_type") {
            "step.start" => {
                let next = self.steps.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
                if let Some(step) = event.get("step") {
                    self.begin(event.get("index").and_then(Value::as_u64).unwrap_or(next), step, out);
                }
            }
            "step.delta" => self.extend(event, out),
            "step.stop" => {
                if let Some(step) = self.index(event).and_then(|index| self.steps.get_mut(&index)) {
                    step.close();
                }
            }
            "interaction.completed" | "interaction.complete" => {
                return self.complete(event.get("interaction").unwrap_or(&Value::Null), out);
            }
            "error" | "interaction.failed" => return Err(error::of_event(event)),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn whole(&mut self, interaction: &Value, out: &mut VecDeque<ModelEvent>) -> Result<(), Failure> {
        let Some(steps) = interaction.get("steps").and_then(Value::as_array) else {
            return Err(LlmError::BadResponse("the answer is no interaction".to_owned()).into());
        };
        for (index, step) in (0..).zip(steps) {
            self.begin(index, step, out);
        }
        self.steps.values_mut().for_each(Step::close);
        self.complete(interaction, out)
    }

    pub(super) fn end(&mut self) -> Result<(), Failure> {
        if self.completed { Ok(()) } else { Err(cut("before the interaction did")) }
    }

    fn index(&self, event: &Value) -> Option<u64> {
        let last = || self.steps.last_key_value().map(|(index, _)| *index);
        event.get("index").and_then(Value::as_u64).or_else(last)
    }

    fn begin(&mut self, index: u64, step: &Value, out: &mut VecDeque<ModelEvent>) {
        let texts = |key| step.get(key).and_then(Value::as_array).into_iter().flatten().map(|c| string(c, "text"));
        match string(step, "type") {
            "model_output" => texts("content").for_each(|text| self.said.say(text, out)),
            "thought" => texts("summary").for_each(|text| self.said.reason(text, out)),
            _ => {}
        }
        self.steps.insert(index, Step { fields: step.as_object().cloned().unwrap_or_default(), ..Step::default() });
    }

    fn extend(&mut self, event: &Value, out: &mut VecDeque<ModelEvent>) {
        let Some(delta) = event.get("delta") else { return };
        let index = self.index(event).unwrap_or(0);
        let step = self.steps.entry(index).or_default();
        match string(delta, "type") {
            "text" => {
                step.push_text("model_output", "content", string(delta, "text"));
                self.said.say(string(delta, "text"), out);
            }
            "thought_summary" => {
                let content = delta.get("content").unwrap_or(&Value::Null);
                let text = string(content, "text");
                if text.is_empty() && content.is_object() && string(content, "type") != "text" {
                    step.push_item("thought", "summary", content.clone());
                } else {
                    step.push_text("thought", "summary", text);
                }
                self.said.reason(text, out);
            }
            "thought_signature" => step.sign(string(delta, "signature")),
            "image" | "audio" | "video" | "document" => step.push_item("model_output", "content", delta.clone()),
            "text_annotation_delta" | "text_annotation" => step.annotate(delta),
            "arguments_delta" => step.arguments.push_str(string(delta, "arguments")),
            _ => step.merge(delta),
        }
    }

    fn complete(&mut self, interaction: &Value, out: &mut VecDeque<ModelEvent>) -> Result<(), Failure> {
        self.completed = true;
        if self.steps.values().any(|step| step.is_call() && !step.closed) {
            return Err(cut("within a call"));
        }
        if let Some(error) = self.steps.values().find_map(Step::error) {
            return Err(of_step(error));
        }
        let reason = interaction.get("errors").and_then(Value::as_array).and_then(|errors| errors.first());
        let status = string(interaction, "status");
        let (stop, whole) = match status {
            "completed" | "requires_action" => (StopReason::EndTurn, true),
            "incomplete" => (StopReason::MaxTokens, false),
            "failed" => return Err(of_failed(interaction, reason)),
            "in_progress" => return Err(cut("while the interaction went on")),
            _ => (StopReason::Unfinished, false),
        };
        if stop == StopReason::Unfinished {
            let words = reason.map_or("", |reason| string(reason, "message"));
            let gap = if self.said.text.trim().is_empty() { "" } else { "\n\n" };
            let called = self.steps.values().any(Step::is_call);
            let status = if status.is_empty() { "it gave no status" } else { status };
            self.said.say(&format!("{gap}{}", unfinished(status, words, called)), out);
        }
        let mut steps: Vec<Step> = std::mem::take(&mut self.steps).into_values().collect();
        steps.retain(|step| !step.fields.is_empty() && (whole || !step.is_call()));
        out.push_back(ModelEvent::Completed(Completion {
            text: std::mem::take(&mut self.said.text),
            reasoning: Some(std::mem::take(&mut self.said.reasoning)).filter(|text| !text.is_empty()),
            calls: steps.iter().filter(|step| step.is_call()).map(Step::call).collect(),
            stop,
            usage: counted(interaction.get("usage").unwrap_or(&Value::Null)),
            replay: replay::of(Api::Interactions, &self.model, steps.into_iter().map(Step::into_value).collect()),
        }));
        Ok(())
    }
}

/// What the first of an interaction's errors means.
fn of_failed(interaction: &Value, reason: Option<&Value>) -> Failure {
    match reason.or_else(|| interaction.get("error").filter(|error| !error.is_null())) {
        Some(reason) => error::of_event(&json!({"error": reason})),
        None => LlmError::Overloaded("the interaction failed without a reason".to_owned()).into(),
    }
}

/// What an error of a step means: a permission that is denied there is about what was asked, and not about the key.
fn of_step(error: &Value) -> Failure {
    let denied = error.get("code").is_some_and(|code| code == 7 || code == "PERMISSION_DENIED");
    if denied { error::of_block(string(error, "message")) } else { error::of_event(&json!({"error": error})) }
}

impl Step {
    fn error(&self) -> Option<&Value> {
        self.fields.get("error").filter(|error| error.is_object())
    }

    fn is_call(&self) -> bool {
        self.fields.get("type").is_some_and(|kind| kind == "function_call")
    }

    fn close(&mut self) {
        self.closed = true;
        let json = std::mem::take(&mut self.arguments);
        if !json.trim().is_empty() {
            match serde_json::from_str::<Value>(&json) {
                Ok(arguments) => drop(self.fields.insert("arguments".to_owned(), arguments)),
                Err(_) => self.words = Some(json),
            }
        }
    }

    fn call(&self) -> ProposedCall {
        let text = |key| self.fields.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let arguments = self.fields.get("arguments").filter(|arguments| !arguments.is_null());
        let words = self.words.clone().map(Value::String);
        ProposedCall {
            provider_id: Some(text("id")).filter(|id| !id.is_empty()),
            name: text("name"),
            args: words.or_else(|| arguments.cloned()).unwrap_or_else(|| json!({})),
        }
    }

    fn into_value(mut self) -> Value {
        if let Some(words) = self.words.take() {
            self.fields.insert("arguments".to_owned(), json!({"unreadable": words}));
        }
        Value::Object(self.fields)
    }

    /// Adds to the last text of `list`, which belongs to a step of type `kind`.
    fn push_text(&mut self, kind: &str, list: &str, text: &str) {
        self.fields.entry("type").or_insert_with(|| json!(kind));
        let items = self.fields.entry(list).or_insert_with(|| json!([]));
        let Some(items) = items.as_array_mut() else { return };
        match items.last_mut().filter(|item| string(item, "type") == "text").and_then(|item| item.get_mut("text")) {
            Some(Value::String(known)) => known.push_str(text),
            _ => items.push(json!({"type": "text", "text": text})),
        }
    }

    /// Adds an item that is no text to `list`, as it came.
    fn push_item(&mut self, kind: &str, list: &str, item: Value) {
        self.fields.entry("type").or_insert_with(|| json!(kind));
        if let Value::Array(items) = self.fields.entry(list).or_insert_with(|| json!([])) {
            items.push(item);
        }
    }

    /// Annotations belong to the text before them.
    fn annotate(&mut self, delta: &Value) {
        let more = delta.get("annotations").and_then(Value::as_array).cloned().unwrap_or_default();
        let items = self.fields.get_mut("content").and_then(Value::as_array_mut);
        let Some(Value::Object(last)) = items.and_then(|items| items.last_mut()) else { return };
        if let Value::Array(known) = last.entry("annotations").or_insert_with(|| json!([])) {
            known.extend(more);
        }
    }

    fn sign(&mut self, signature: &str) {
        self.fields.entry("type").or_insert_with(|| json!("thought"));
        match self.fields.get_mut("signature") {
            Some(Value::String(known)) => known.push_str(signature),
            _ => drop(self.fields.insert("signature".to_owned(), json!(signature))),
        }
    }

    /// Calls and results of tools that run at the vendor's come whole, as the deltas of their steps.
    fn merge(&mut self, delta: &Value) {
        let fields = delta.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        for (key, value) in fields.map(|(key, value)| (key.clone(), value.clone())) {
            if key == "type" {
                self.fields.entry(key).or_insert(value);
            } else {
                self.fields.insert(key, value);
            }
        }
    }
}

fn counted(usage: &Value) -> Usage {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
    let reasoning = count("total_thought_tokens");
    Usage {
        input_tokens: count("total_input_tokens").saturating_add(count("total_tool_use_tokens")),
        output_tokens: count("total_output_tokens").saturating_add(reasoning),
        cached_input_tokens: count("total_cached_tokens"),
        reasoning_tokens: reasoning,
    }
}
