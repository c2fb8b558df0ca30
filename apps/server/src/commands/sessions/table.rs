//! Sessions for people. What users wrote is shown as it is, but for what a terminal would obey.

use crate::chat::one_line;
use serde_json::Value;
use std::fmt::Write as _;

/// A line for each session.
pub(super) fn list(answer: &Value) -> String {
    let sessions = answer["sessions"].as_array().map_or(&[][..], Vec::as_slice);
    if sessions.is_empty() {
        return "there are no sessions\n".to_owned();
    }
    let head = ["SESSION", "OWNER", "LAST ACTIVE", "STATE", "TITLE"].map(str::to_owned);
    let row = |session: &Value| {
        let state = match (&session["busy"], &session["hasSandbox"]) {
            (Value::Bool(true), _) => "busy",
            (_, Value::Bool(true)) => "idle",
            _ => "resting",
        };
        let (id, owner) = (text(&session["sessionId"]), text(&session["owner"]));
        [id, owner, text(&session["lastActiveAt"]), state.to_owned(), text(&session["title"])]
    };
    let rows: Vec<_> = std::iter::once(head).chain(sessions.iter().map(row)).collect();
    let widths: [usize; 5] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default());
    let mut table = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(table, "{}", line.trim_end());
    }
    table
}

/// A line for each thing that is known of a session.
pub(super) fn session(answer: &Value) -> String {
    let known = [
        ("session", "sessionId"),
        ("title", "title"),
        ("owner", "owner"),
        ("created", "createdAt"),
        ("last active", "lastActiveAt"),
        ("model", "model"),
        ("sandbox", "sandbox"),
        ("last event", "lastEventId"),
        ("messages", "messages"),
        ("open turn", "turn"),
    ];
    let mut lines = String::new();
    for (name, key) in known {
        let _ = writeln!(lines, "{name:<12} {}", text(&answer[key]));
    }
    for call in answer["calls"].as_array().into_iter().flatten() {
        let state = if call["waiting"] == true { "waits" } else { "runs" };
        let (id, server, name) = (text(&call["callId"]), text(&call["server"]), text(&call["name"]));
        let _ = writeln!(lines, "call         {id} {server}.{name} {state}: {}", text(&call["why"]));
    }
    lines
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => one_line(text),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sessions_are_lined_up() {
        let answer = json!({"sessions": [
            {"sessionId": "a", "owner": "ann", "lastActiveAt": "2026-11-22T21:00:00.000Z", "busy": true, "hasSandbox": true, "title": "Hi\u{1b}[2J"},
            {"sessionId": "longer", "owner": "b", "lastActiveAt": "2026-11-22T20:00:00.000Z", "busy": false, "hasSandbox": false, "title": null},
        ]});
        let listed = list(&answer);
        let lines: Vec<_> = listed.lines().collect();
        assert_eq!(lines[0], "SESSION  OWNER  LAST ACTIVE               STATE    TITLE");
        assert!(lines[1].starts_with("a        ann    2026-11-22T21:00:00.000Z  busy     Hi"), "{listed}");
        assert_eq!(lines[2], "longer   b      2026-11-22T20:00:00.000Z  resting  -");
        assert!(!listed.contains('\u{1b}'), "a terminal would obey it");
        assert_eq!(list(&json!({"sessions": []})), "there are no sessions\n");
    }

    #[test]
    fn a_session_is_told_with_its_open_calls() {
        let call = json!({"callId": "call_1_0_0", "server": "fs", "name": "write", "waiting": true, "why": "no rule"});
        let told = session(&json!({"sessionId": "a", "title": null, "messages": 2, "calls": [call]}));
        assert!(told.contains("session      a\ntitle        -\n"), "{told}");
        assert!(told.contains("messages     2\n"), "{told}");
        assert!(told.ends_with("call         call_1_0_0 fs.write waits: no rule\n"), "{told}");
    }
}
