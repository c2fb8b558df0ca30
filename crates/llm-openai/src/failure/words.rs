//! A vendor's words, wherever in an error they stand.

use serde_json::Value;

/// How deep the words may lie.
const DEPTH: usize = 6;
/// Where they are looked for, the likelier places first.
const PLACES: [&str; 17] = [
    "error",
    "message",
    "detail",
    "details",
    "errors",
    "msg",
    "error_message",
    "errorMessage",
    "error_msg",
    "error_description",
    "description",
    "reason",
    "title",
    "fault",
    "faultstring",
    "statusMessage",
    "cause",
];

/// What an error says, with what it explains besides; empty where it says nothing.
pub(super) fn of(json: &Value) -> String {
    let mut said = find(json, DEPTH).unwrap_or_default();
    let error = json.get("error").filter(|error| error.is_object()).unwrap_or(json);
    let more = [
        // OpenAI explains what it found, and what may be done.
        "/misalignment/detailed_explanation",
        "/misalignment/steer/message",
        // OpenRouter hands on what the vendor behind it said.
        "/metadata/raw",
        "/innererror/message",
    ];
    for place in more {
        let words = match error.pointer(place) {
            Some(Value::String(words)) => nested(words),
            _ => continue,
        };
        if !words.is_empty() && !said.contains(&words) {
            said = if said.is_empty() { words } else { format!("{said} {words}") };
        }
    }
    said
}

fn find(json: &Value, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    match json {
        Value::String(words) => Some(words.trim().to_owned()).filter(|words| !words.is_empty()),
        Value::Array(items) => {
            let all: Vec<String> = items.iter().take(5).filter_map(|item| find(item, depth)).collect();
            (!all.is_empty()).then(|| all.join("; "))
        }
        Value::Object(fields) => {
            let words = PLACES.iter().find_map(|place| find(fields.get(*place)?, depth))?;
            // Where something is missing or wrong, as FastAPI tells it.
            let at = fields.get("loc").and_then(Value::as_array).map(|path| {
                let step = |step: &Value| step.as_str().map_or_else(|| step.to_string(), ToOwned::to_owned);
                path.iter().map(step).collect::<Vec<_>>().join(".")
            });
            Some(at.map_or(words.clone(), |at| format!("{at}: {words}")))
        }
        _ => None,
    }
}

/// Words that are an error's JSON again.
fn nested(words: &str) -> String {
    let inner = serde_json::from_str::<Value>(words).ok().and_then(|json| find(&json, DEPTH));
    inner.unwrap_or_else(|| words.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_are_found_in_every_form_of_an_error() {
        let check = |json: Value, said: &str| assert_eq!(of(&json), said, "{json}");
        check(json!({"error": {"message": "no"}}), "no");
        check(json!({"error": "no"}), "no");
        check(json!({"detail": "no"}), "no");
        check(json!({"detail": {"error": {"message": "no"}}}), "no");
        check(json!({"detail": [{"loc": ["body", "tools", 2], "msg": "bad"}]}), "body.tools.2: bad");
        check(json!({"errors": [{"message": "a"}, "b"]}), "a; b");
        check(json!({"fault": {"faultstring": "no"}}), "no");
        check(
            json!({"error": {"message": "Provider returned error", "metadata": {"raw": "{\"error\":\"busy\"}"}}}),
            "Provider returned error busy",
        );
        check(
            json!({"code": "x", "misalignment": {"detailed_explanation": "It deletes.", "steer": {"message": "Ask."}}}),
            "It deletes. Ask.",
        );
        check(json!({"status": 500}), "");
        check(json!(7), "");
    }
}
