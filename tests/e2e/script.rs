use serde_json::{Value, json};

/// A message that makes the demo provider take these steps, without pauses.
pub(crate) fn script(steps: &[Value]) -> String {
    let quick = |step: &Value| {
        let mut step = step.clone();
        if step.get("delay_ms").is_none() {
            step["delay_ms"] = json!(0);
        }
        step
    };
    format!("script: {}", Value::Array(steps.iter().map(quick).collect()))
}

/// A step that asks for these calls at once.
pub(crate) fn calls(calls: &[(&str, Value)]) -> Value {
    let calls: Vec<_> = calls.iter().map(|(name, args)| json!({ "name": name, "args": args })).collect();
    json!({ "calls": calls })
}

/// A step that runs a command.
pub(crate) fn run(command: &str) -> Value {
    calls(&[("execute_command", json!({ "command": command }))])
}

/// A last step that quotes the results, as a model would.
pub(crate) fn quote() -> Value {
    json!({ "text": "The results:", "quote": true })
}
