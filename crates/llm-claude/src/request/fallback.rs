//! What a request leaves out when its server refuses it. Gateways and servers of one's own speak older forms of the API,
//! and a conversation may hold thinking that is no longer accepted.

use super::Request;
use crate::Config;
use lockkeeper_ports::LlmError;
use serde_json::Value;

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
        let LlmError::BadRequest(words) = error else { return false };
        let words = words.to_ascii_lowercase();
        let names = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
        // Such an error names the beta, too, as a way out.
        if names(&["`signature`", "signature in", "bound to a different conversation", "cannot be modified"]) {
            return self.forget_thinking();
        }
        if self.offers == Offers::Binding && names(&["block_binding", "prefix_mismatch", "beta"]) {
            self.lower(Offers::Thinking);
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

    /// Leaves the thinking out of what the model said before; what remains is text and calls.
    fn forget_thinking(&mut self) -> bool {
        let is_thinking =
            |block: &Value| block.get("type").is_some_and(|kind| kind == "thinking" || kind == "redacted_thinking");
        let messages = self.body.get_mut("messages").and_then(Value::as_array_mut).into_iter().flatten();
        let contents = messages.filter_map(|message| message.get_mut("content")?.as_array_mut());
        let mut forgotten = false;
        for content in contents.filter(|content| content.iter().any(is_thinking) && !content.iter().all(is_thinking)) {
            content.retain(|block| !is_thinking(block));
            forgotten = true;
        }
        forgotten
    }
}
