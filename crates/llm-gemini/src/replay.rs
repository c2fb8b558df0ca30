//! What Gemini wants back: the parts, or the steps, of its answer, word for word.

use crate::{Api, NAME};
use lockkeeper_domain::{AssistantMessage, Replay};
use serde_json::Value;

/// A call as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WireCall<'a> {
    pub(crate) id: Option<&'a str>,
    pub(crate) name: &'a str,
}

/// The replay of an answer that consisted of `items`: parts or steps, as `api` has them.
pub(crate) fn of(api: Api, model: &str, items: Vec<Value>) -> Option<Replay> {
    (!items.is_empty()).then(|| Replay {
        provider: NAME.to_owned(),
        model: model.to_owned(),
        api: name(api).to_owned(),
        raw: Value::Array(items),
    })
}

/// The items that `message` goes back as, if this adapter made them over the same API and they hold exactly the
/// message's calls.
pub(crate) fn items(api: Api, message: &AssistantMessage) -> Option<Vec<Value>> {
    let replay = message.replay.as_ref().filter(|replay| replay.provider == NAME && replay.api == name(api))?;
    let items = replay.raw.as_array().filter(|items| !items.is_empty())?;
    let ours = message.calls.iter().map(|c| WireCall { id: c.provider_id.as_deref(), name: c.name.as_str() });
    let theirs = items.iter().filter_map(|item| wire_call(api, item));
    let complete = theirs.eq(ours) && message.calls.iter().all(|call| !call.name.as_str().is_empty());
    complete.then(|| items.clone())
}

/// The call that `item` holds, if any.
pub(crate) fn wire_call(api: Api, item: &Value) -> Option<WireCall<'_>> {
    let call = match api {
        Api::GenerateContent => item.get("functionCall")?,
        Api::Interactions => Some(item).filter(|step| step.get("type").is_some_and(|t| t == "function_call"))?,
    };
    let text = |key| call.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    Some(WireCall { id: text("id"), name: text("name").unwrap_or_default() })
}

fn name(api: Api) -> &'static str {
    match api {
        Api::GenerateContent => "generate_content",
        Api::Interactions => "interactions",
    }
}
