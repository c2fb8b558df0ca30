//! What a request leaves out when its server refuses it: summaries of the thinking, which not every model has, signatures that
//! no longer hold, tools, and files.

use super::{NO_SIGNATURE, Request, generate, interactions};
use crate::Api;
use lockkeeper_llm_common::{Known, Memory, media};
use lockkeeper_ports::{LlmError, Notice};
use serde_json::{Map, Value, json};

/// How hard the model is to think, among the fields that a server may refuse.
const LEVEL: &str = "thinking_level";

impl Request {
    /// Leaves out what the server refused, if it is something that can be left out. Each time there is less of it.
    pub(crate) fn concede(&mut self, error: &LlmError) -> bool {
        let LlmError::BadRequest(said) = error else { return false };
        let words = said.to_ascii_lowercase().replace(['_', ' '], "");
        if words.contains("thoughtsignature") {
            return self.forget_signatures();
        }
        if self.toolbox.concede(said, self.api == Api::GenerateContent).is_some() {
            self.exchange_tools();
            return true;
        }
        if words.contains("thinkinglevel") {
            return self.forgo_level(said);
        }
        if media::is_about_files(said) && self.strike_files(said) {
            return true;
        }
        let about_thoughts = ["thinking", "includethoughts", "thought"].iter().any(|part| words.contains(part));
        about_thoughts && self.forgo_summaries()
    }

    /// Leaves out what the server is known to refuse.
    pub(super) fn leave_out_known(&mut self, known: &Known) {
        if let Some(words) = known.fields.get(LEVEL) {
            self.forgo_level(words);
        }
        media::strike(&mut self.body, &|part| known.refuses(part));
        if known.refuses_any(&self.signatures()) {
            self.forget_signatures();
        }
    }

    /// The server took the request: what it is without stays out of the next ones.
    pub(crate) fn accepted(&mut self, memory: &Memory) {
        self.toolbox.accepted(memory, &self.model);
        let fields = std::mem::take(&mut self.refused_fields);
        let parts = std::mem::take(&mut self.refused_parts);
        if !fields.is_empty() || !parts.is_empty() {
            memory.learn(&self.model, |known| {
                known.fields.extend(fields);
                known.refuse_parts(parts);
            });
        }
    }

    /// The level is somebody's wish, so they are told that the model has another one.
    fn forgo_level(&mut self, words: &str) -> bool {
        let level = self.thinking().and_then(|thinking| thinking.shift_remove("thinkingLevel"));
        let level = level.or_else(|| self.generation()?.shift_remove("thinking_level"));
        if level.is_none() {
            return false;
        }
        self.drop_empty_thinking();
        let text = format!("The model does not take the configured thinking level, and thinks by its own: {words}");
        self.notices.push(Notice::Adjusted { text });
        self.refused_fields.insert(LEVEL, words.to_owned());
        true
    }

    fn exchange_tools(&mut self) {
        let tools = self.toolbox.tools();
        let Some(body) = self.body.as_object_mut() else { return };
        if tools.is_empty() {
            body.shift_remove("tools");
            return;
        }
        let tools = match self.api {
            Api::GenerateContent => generate::tools(tools),
            Api::Interactions => interactions::tools(tools),
        };
        body.insert("tools".to_owned(), tools);
    }

    /// Puts a line in the place of the files that the server refused. Whether there were any.
    fn strike_files(&mut self, words: &str) -> bool {
        let notice = media::strike_accused(&mut self.body, words, "files", &mut self.refused_parts);
        let struck = notice.is_some();
        self.notices.extend(notice);
        struck
    }

    fn generation(&mut self) -> Option<&mut Map<String, Value>> {
        let key = if self.api == Api::GenerateContent { "generationConfig" } else { "generation_config" };
        self.body.get_mut(key)?.as_object_mut()
    }

    fn thinking(&mut self) -> Option<&mut Map<String, Value>> {
        self.generation()?.get_mut("thinkingConfig")?.as_object_mut()
    }

    fn drop_empty_thinking(&mut self) {
        if self.thinking().is_some_and(|thinking| thinking.is_empty())
            && let Some(generation) = self.generation()
        {
            generation.shift_remove("thinkingConfig");
        }
    }

    /// Asks for no summaries of the thinking. Whether it did.
    pub(crate) fn forgo_summaries(&mut self) -> bool {
        if !std::mem::replace(&mut self.summaries, false) {
            return false;
        }
        let Some(generation) = self.generation() else { return false };
        generation.shift_remove("thinking_summaries");
        if let Some(thinking) = self.thinking() {
            thinking.shift_remove("includeThoughts");
        }
        self.drop_empty_thinking();
        true
    }

    /// Puts the vendor's own word in the place of the signatures of calls, and leaves out the others.
    fn forget_signatures(&mut self) -> bool {
        if std::mem::replace(&mut self.unsigned, true) {
            return false;
        }
        self.refused_parts.extend(self.signatures());
        match self.api {
            Api::GenerateContent => {
                let contents = self.body.get_mut("contents").and_then(Value::as_array_mut).into_iter().flatten();
                let parts = contents.filter_map(|content| content.get_mut("parts")?.as_array_mut());
                for parts in parts {
                    parts
                        .iter_mut()
                        .filter_map(Value::as_object_mut)
                        .for_each(forget("functionCall", "thoughtSignature"));
                    // What is left of a part that held a signature alone is nothing.
                    parts.retain(|part| !is_empty_text(part));
                }
            }
            Api::Interactions => {
                let Some(steps) = self.body.get_mut("input").and_then(Value::as_array_mut) else { return false };
                steps.retain(|step| step.get("type").is_none_or(|kind| kind != "thought"));
                steps.iter_mut().filter_map(Value::as_object_mut).for_each(forget("arguments", "signature"));
            }
        }
        true
    }
}

impl Request {
    /// The signatures of the history.
    fn signatures(&self) -> Vec<u64> {
        let (list, key) = match self.api {
            Api::GenerateContent => ("contents", "thoughtSignature"),
            Api::Interactions => ("input", "signature"),
        };
        let items = self.body.get(list).and_then(Value::as_array).into_iter().flatten();
        let parts = items.flat_map(|item| match item.get("parts").and_then(Value::as_array) {
            Some(parts) => parts.iter().collect(),
            None => vec![item],
        });
        let signatures = parts.filter_map(|part| part.get(key)?.as_str()).filter(|text| *text != NO_SIGNATURE);
        signatures.map(media::key).collect()
    }
}

/// Of what has `call` it is a call whose `signature` is replaced; elsewhere it is removed.
fn forget(call: &'static str, signature: &'static str) -> impl Fn(&mut Map<String, Value>) {
    move |fields| {
        if fields.shift_remove(signature).is_some() && fields.contains_key(call) {
            fields.insert(signature.to_owned(), json!(NO_SIGNATURE));
        }
    }
}

fn is_empty_text(part: &Value) -> bool {
    part.as_object().is_some_and(|part| part.keys().eq(["text"]) && part.get("text").is_some_and(|text| text == ""))
}
