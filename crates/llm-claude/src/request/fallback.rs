//! What a request leaves out when its server refuses it. Gateways and servers of one's own speak older forms of the API,
//! and a conversation may hold thinking that is no longer accepted.

use super::Request;
use crate::Config;
use lockkeeper_llm_common::{Known, Memory, media};
use lockkeeper_ports::{LlmError, Notice};
use serde_json::{Value, json};

/// How hard the model is to work, among the fields that a server may refuse.
const EFFORT: &str = "effort";
/// The markers of the cache, among them.
const CACHE: &str = "cache";

/// What a request offers beyond the plain API. Each holds what is before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Offers {
    /// Nothing.
    Nothing,
    /// Thinking, with summaries.
    Thinking,
    /// Besides, that thinking which no longer fits is left out. It needs a beta.
    Binding,
}

impl Offers {
    pub(crate) fn of(config: &Config) -> Self {
        match (config.thinking, config.drop_unbound_thinking) {
            (false, _) => Self::Nothing,
            (true, false) => Self::Thinking,
            (true, true) => Self::Binding,
        }
    }
}

impl Request {
    /// Leaves out what the server refused, if it is something that can be left out. Each time there is less of it.
    pub(crate) fn concede(&mut self, error: &LlmError) -> bool {
        let LlmError::BadRequest(said) = error else { return false };
        let words = said.to_ascii_lowercase();
        let names = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
        // Such an error names the beta, too, as a way out.
        if names(&["`signature`", "signature in", "bound to a different conversation", "cannot be modified"]) {
            return self.forget_thinking();
        }
        if self.offers == Offers::Binding && names(&["block_binding", "prefix_mismatch", "beta"]) {
            self.lower(Offers::Thinking);
            return true;
        }
        if names(&["output_config", "effort"]) && self.forgo(EFFORT, said) {
            return true;
        }
        if names(&["cache_control", "cache control", "prompt caching"]) && self.forgo(CACHE, said) {
            return true;
        }
        if self.toolbox.concede(said, false).is_some() {
            self.exchange_tools();
            return true;
        }
        if media::is_about_files(said) && self.strike_files(said) {
            return true;
        }
        let about_thinking = names(&["thinking", "adaptive", "summarized"]);
        // Strict servers name no field, and some say nothing at all.
        let about_a_field =
            names(&["extra inputs", "unknown field", "unknown parameter", "unrecognized", "without an explanation"]);
        if self.offers > Offers::Nothing && (about_thinking || about_a_field) {
            self.lower(Offers::Nothing);
            return true;
        }
        about_thinking && self.forget_thinking()
    }

    /// Offers no more than `most`.
    pub(crate) fn lower(&mut self, most: Offers) {
        self.offers = self.offers.min(most);
        let Some(body) = self.body.as_object_mut() else { return };
        if self.offers == Offers::Nothing {
            body.shift_remove("thinking");
        } else if let (Offers::Thinking, Some(Value::Object(thinking))) = (self.offers, body.get_mut("thinking")) {
            thinking.shift_remove("block_binding");
        }
    }

    /// Leaves out what the server is known to refuse.
    pub(super) fn leave_out_known(&mut self, known: &Known) {
        for (field, words) in &known.fields {
            self.forgo(field, words);
        }
        media::strike(&mut self.body, &|part| known.refuses(part));
        self.forget_blocks(|block| signed(block).is_some_and(|signature| known.refuses(media::key(signature))));
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

    /// Leaves out a field that somebody asked for, and tells them; `words` are the server's. Whether it was there.
    fn forgo(&mut self, field: &'static str, words: &str) -> bool {
        let text = match field {
            EFFORT => {
                let Some(body) = self.body.as_object_mut() else { return false };
                if body.shift_remove("output_config").is_none() {
                    return false;
                }
                format!("The model does not take the configured effort, and works with its own: {words}")
            }
            CACHE => {
                if !without_key(&mut self.body, "cache_control") {
                    return false;
                }
                format!(
                    "The provider does not cache prompts, which are sent without (llm.claude.prompt_cache): {words}"
                )
            }
            _ => return false,
        };
        self.notices.push(Notice::Adjusted { text });
        self.refused_fields.insert(field, words.to_owned());
        true
    }

    /// The tools as the toolbox has them now.
    fn exchange_tools(&mut self) {
        let mut tools: Vec<Value> = self.toolbox.tools().iter().map(super::tool).collect();
        let Some(body) = self.body.as_object_mut() else { return };
        let marker =
            body.get("tools").and_then(Value::as_array).and_then(|old| old.last()?.get("cache_control").cloned());
        if let (Some(marker), Some(Value::Object(last))) = (marker, tools.last_mut()) {
            last.insert("cache_control".to_owned(), marker);
        }
        if tools.is_empty() {
            body.shift_remove("tools");
        } else {
            body.insert("tools".to_owned(), json!(tools));
        }
    }

    /// Puts a line in the place of the files that the server refused. Whether there were any.
    fn strike_files(&mut self, words: &str) -> bool {
        let notice = media::strike_accused(&mut self.body, words, "files", &mut self.refused_parts);
        let struck = notice.is_some();
        self.notices.extend(notice);
        struck
    }

    /// Leaves the thinking out of what the model said before; what remains is text and calls.
    fn forget_thinking(&mut self) -> bool {
        self.forget_blocks(|_| true)
    }

    fn forget_blocks(&mut self, is_refused: impl Fn(&Value) -> bool) -> bool {
        let is_thinking =
            |block: &Value| block.get("type").is_some_and(|kind| kind == "thinking" || kind == "redacted_thinking");
        let goes = |block: &Value| is_thinking(block) && is_refused(block);
        let messages = self.body.get_mut("messages").and_then(Value::as_array_mut).into_iter().flatten();
        let contents = messages.filter_map(|message| message.get_mut("content")?.as_array_mut());
        let mut forgotten = false;
        for content in contents.filter(|content| content.iter().any(goes) && !content.iter().all(is_thinking)) {
            self.refused_parts.extend(content.iter().filter(|block| goes(block)).filter_map(signed).map(media::key));
            content.retain(|block| !goes(block));
            forgotten = true;
        }
        forgotten
    }
}

/// What a block of thinking is signed with.
fn signed(block: &Value) -> Option<&str> {
    ["signature", "data"].iter().find_map(|key| block.get(*key)?.as_str())
}

/// Removes `key` wherever it stands. Whether it was there.
fn without_key(value: &mut Value, key: &str) -> bool {
    match value {
        Value::Object(fields) => {
            let here = fields.shift_remove(key).is_some();
            // The arguments and schemas of tools are not ours.
            let below = fields.iter_mut().filter(|(name, _)| !matches!(name.as_str(), "input" | "input_schema"));
            below.fold(here, |found, (_, below)| without_key(below, key) | found)
        }
        Value::Array(items) => items.iter_mut().fold(false, |found, item| without_key(item, key) | found),
        _ => false,
    }
}
