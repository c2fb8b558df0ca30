//! What Claude wants back: the blocks of its answer, word for word.

use crate::NAME;
use lockkeeper_domain::{AssistantMessage, Replay};
use serde_json::Value;

/// The API whose blocks these are.
const API: &str = "messages";

/// The replay of an answer that consisted of `blocks`, all of which are accepted.
pub(crate) fn of(model: &str, blocks: Vec<Value>) -> Option<Replay> {
    // Thinking alone is no turn that the vendor takes back.
    let says_something = blocks.iter().any(|block| !matches!(kind(block), "thinking" | "redacted_thinking"));
    says_something.then(|| Replay {
        provider: NAME.to_owned(),
        model: model.to_owned(),
        api: API.to_owned(),
        raw: Value::Array(blocks),
    })
}

/// The blocks that `message` goes back as, if this adapter made them and they hold exactly the message's calls.
pub(crate) fn blocks(message: &AssistantMessage) -> Option<Vec<Value>> {
    let replay = message.replay.as_ref().filter(|replay| replay.provider == NAME && replay.api == API)?;
    let blocks: Vec<Value> = replay.raw.as_array()?.iter().filter(|block| is_accepted(block)).cloned().collect();
    let calls = || message.calls.iter().map(|call| call.provider_id.as_deref());
    (!blocks.is_empty() && call_ids(&blocks).map(Some).eq(calls())).then_some(blocks)
}

/// The vendor's ids of the calls among `blocks`.
pub(crate) fn call_ids(blocks: &[Value]) -> impl Iterator<Item = &str> {
    let calls = blocks.iter().filter(|block| kind(block) == "tool_use");
    calls.map(|block| block.get("id").and_then(Value::as_str).unwrap_or_default())
}

/// Whether the vendor takes the block back. It gives out blank texts, and servers that speak its API give out thinking
/// without a signature; it refuses both.
pub(crate) fn is_accepted(block: &Value) -> bool {
    let is_blank = |key| block.get(key).and_then(Value::as_str).unwrap_or_default().trim().is_empty();
    match kind(block) {
        "" => false,
        "text" => !is_blank("text"),
        "thinking" => !is_blank("signature"),
        _ => true,
    }
}

fn kind(block: &Value) -> &str {
    block.get("type").and_then(Value::as_str).unwrap_or_default()
}
