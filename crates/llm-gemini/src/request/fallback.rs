//! What a request leaves out when its server refuses it: summaries of the thinking, which not every model has, and signatures
//! that no longer hold.

use super::{NO_SIGNATURE, Request};
use crate::Api;
use lockkeeper_ports::LlmError;
use serde_json::{Map, Value, json};

impl Request {
    /// Leaves out what the server refused, if it is something that can be left out. Each time there is less of it.
    pub(crate) fn concede(&mut self, error: &LlmError) -> bool {
        let LlmError::BadRequest(words) = error else { return false };
        let words = words.to_ascii_lowercase().replace(['_', ' '], "");
        if words.contains("thoughtsignature") {
            return self.forget_signatures();
        }
        // The level is somebody's explicit wish, and its refusal is for them to see.
        let about_thoughts = ["thinking", "includethoughts", "thought"].iter().any(|part| words.contains(part));
        about_thoughts && !words.contains("thinkinglevel") && self.forgo_summaries()
    }

    /// Asks for no summaries of the thinking. Whether it did.
    pub(crate) fn forgo_summaries(&mut self) -> bool {
        if !std::mem::replace(&mut self.summaries, false) {
            return false;
        }
        let key = if self.api == Api::GenerateContent { "generationConfig" } else { "generation_config" };
        let Some(generation) = self.body.get_mut(key).and_then(Value::as_object_mut) else { return false };
        generation.shift_remove("thinking_summaries");
        if let Some(Value::Object(thinking)) = generation.get_mut("thinkingConfig") {
            thinking.shift_remove("includeThoughts");
            if thinking.is_empty() {
                generation.shift_remove("thinkingConfig");
            }
        }
        true
    }

    /// Puts the vendor's own word in the place of the signatures of calls, and leaves out the others.
    fn forget_signatures(&mut self) -> bool {
        if std::mem::replace(&mut self.unsigned, true) {
            return false;
        }
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
