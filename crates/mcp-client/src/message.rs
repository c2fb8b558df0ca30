//! A line of a server's output as the JSON-RPC message that it is, or as none.

use crate::head::is_deeper_than;
use serde_json::{Map, Value};

/// The longest id of a server's request that is answered.
const MAX_ID_BYTES: usize = 256;

/// What a server sent.
#[derive(Debug, PartialEq)]
pub(crate) enum Incoming {
    /// An answer with a result. The id is `None` where it cannot be one of ours.
    Result { id: Option<i64>, result: Value },
    /// An answer with an error.
    Error { id: Option<i64>, code: i32, message: String },
    /// A request, to be answered under its own id.
    Request { id: Value, method: String },
    /// A notification.
    Notification { method: String, params: Map<String, Value> },
    /// Nothing: an empty line.
    Blank,
    /// No message of JSON-RPC 2.0.
    Garbage,
}

/// Reads a line. MCP has no batches any more, so that an array is no message.
pub(crate) fn parse(line: &[u8], max_depth: usize) -> Incoming {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Incoming::Blank;
    }
    if is_deeper_than(line, max_depth) {
        return Incoming::Garbage;
    }
    match serde_json::from_slice(line) {
        Ok(Value::Object(message)) => classify(message).unwrap_or(Incoming::Garbage),
        _ => Incoming::Garbage,
    }
}

fn classify(mut message: Map<String, Value>) -> Option<Incoming> {
    if message.get("jsonrpc")? != "2.0" {
        return None;
    }
    let id = message.remove("id");
    if let Some(method) = message.remove("method") {
        let Value::String(method) = method else { return None };
        return match id {
            None => Some(Incoming::Notification { method, params: params(message) }),
            Some(Value::String(id)) if id.len() <= MAX_ID_BYTES => Some(Incoming::Request { id: id.into(), method }),
            Some(id @ Value::Number(_)) => Some(Incoming::Request { id, method }),
            Some(_) => None,
        };
    }
    let id = id.as_ref().and_then(own_id);
    // Some stacks write `"error": null` beside a result.
    if let Some(error) = message.remove("error").filter(|error| !error.is_null()) {
        let code = error.get("code").and_then(Value::as_i64).and_then(|code| i32::try_from(code).ok()).unwrap_or(0);
        let text = error.get("message").and_then(Value::as_str).unwrap_or("an error without a message");
        return Some(Incoming::Error { id, code, message: text.to_owned() });
    }
    Some(Incoming::Result { id, result: message.remove("result")? })
}

fn params(mut message: Map<String, Value>) -> Map<String, Value> {
    match message.remove("params") {
        Some(Value::Object(params)) => params,
        _ => Map::new(),
    }
}

/// Ids of ours are integers. Some servers send them back as strings, others as floats such as `5.0`.
pub(crate) fn own_id(id: &Value) -> Option<i64> {
    match id {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn whole(number: f64) -> Option<i64> {
    // Written without an exponent and without digits after the point, as no id of ours has any.
    (number.fract() == 0.0).then(|| format!("{number:.0}").parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(line: &str, expected: &Incoming) {
        assert_eq!(parse(line.as_bytes(), 16), *expected, "{line}");
    }

    #[test]
    fn messages_are_told_apart() {
        check(
            r#"{"jsonrpc":"2.0","id":1,"result":{"a":1}}"#,
            &Incoming::Result { id: Some(1), result: json!({"a": 1}) },
        );
        check(r#"{"jsonrpc":"2.0","id":"7","result":42}"#, &Incoming::Result { id: Some(7), result: json!(42) });
        check(
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}"#,
            &Incoming::Error { id: Some(1), code: -32602, message: "no".into() },
        );
        check(
            r#"{"jsonrpc":"2.0","id":"x","method":"roots/list"}"#,
            &Incoming::Request { id: json!("x"), method: "roots/list".into() },
        );
        check(
            r#"{"jsonrpc":"2.0","method":"notifications/x","params":[1]}"#,
            &Incoming::Notification { method: "notifications/x".into(), params: Map::new() },
        );
        check(
            r#"{"result":7,"error":null,"jsonrpc":"2.0","id":5.0}"#,
            &Incoming::Result { id: Some(5), result: json!(7) },
        );
        check(r#"{"jsonrpc":"2.0","id":5.5,"result":7}"#, &Incoming::Result { id: None, result: json!(7) });
        check("  \r", &Incoming::Blank);
    }

    #[test]
    fn what_is_no_message_is_garbage() {
        for line in [
            "Server listening",
            "42",
            "null",
            r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#,
            r#"{"jsonrpc":"1.0","id":1,"result":{}}"#,
            r#"{"id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"#,
            r#"{"jsonrpc":"2.0","id":1,"result":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}"#,
        ] {
            check(line, &Incoming::Garbage);
        }
        assert_eq!(parse(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"\xff\"}", 16), Incoming::Garbage);
    }
}
