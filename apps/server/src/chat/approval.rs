//! A call that waits for the human: how it is shown, and how the answer is read.

use super::visible;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// A pending call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Approval {
    pub(super) call_id: String,
    server: String,
    tool: String,
    args: Value,
    why: String,
    hints: Vec<&'static str>,
    expires_at: Option<String>,
    place: Option<(u64, u64)>,
    /// What a rule for always would say; none where it is not offered.
    always: Option<Value>,
}

/// What the human wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// An answer for the server.
    Decide(Value),
    /// The arguments are to be written next.
    Edit,
}

impl Approval {
    /// Reads the payload of `tool:approval_required`.
    pub(super) fn read(payload: &Value) -> Option<Self> {
        let text = |key| payload.get(key).and_then(Value::as_str).map(str::to_owned);
        let number = |key| payload.get(key).and_then(Value::as_u64);
        let hint = |key: &str, text| {
            let set = payload.get("annotations").and_then(|hints| hints.get(key)).and_then(Value::as_bool);
            (set == Some(true)).then_some(text)
        };
        let hints = [
            hint("destructiveHint", "may destroy"),
            hint("openWorldHint", "reaches outside"),
            hint("readOnlyHint", "says it only reads"),
        ];
        Some(Self {
            call_id: text("callId")?,
            server: text("server").unwrap_or_else(|| "an unknown server".to_owned()),
            tool: text("name")?,
            args: payload.get("args").cloned().unwrap_or_default(),
            why: text("why").unwrap_or_default(),
            hints: hints.into_iter().flatten().collect(),
            expires_at: text("expiresAt"),
            place: number("queuePosition").zip(number("totalInQueue")),
            always: payload.get("alwaysRule").filter(|rule| rule.is_object()).cloned(),
        })
    }

    /// The card. Everything that a model or a server wrote is shown exactly.
    pub(super) fn card(&self) -> String {
        let mut card = String::from("\n");
        let place = match self.place {
            Some((at, total)) if total > 1 => format!("  ({at} of {total})"),
            _ => String::new(),
        };
        let _ = writeln!(card, "? {} of {}{place}", visible::line(&self.tool), visible::line(&self.server));
        let args = serde_json::to_string_pretty(&self.args).unwrap_or_default();
        for line in visible::exact(&args).lines() {
            let _ = writeln!(card, "    {line}");
        }
        let mut notes: Vec<String> = self.hints.iter().map(|hint| (*hint).to_owned()).collect();
        notes.extend(Some(visible::line(&self.why)).filter(|why| !why.is_empty()));
        notes.extend(self.expires_at.as_deref().map(|time| format!("refused by itself at {}", visible::line(time))));
        if !notes.is_empty() {
            let _ = writeln!(card, "  {}", notes.join("; "));
        }
        if let Some(rule) = &self.always {
            // The rule as it is stored, and not what somebody makes of it.
            let _ = writeln!(card, "  always stores the rule {}", visible::line(&rule.to_string()));
        }
        card
    }

    /// What can be answered.
    pub(super) fn question(&self) -> &'static str {
        if self.always.is_some() { Self::QUESTION_WITH_ALWAYS } else { Self::QUESTION }
    }

    pub(super) const QUESTION: &'static str = "  y once, s for the session, e edit, n [reason] no > ";
    const QUESTION_WITH_ALWAYS: &'static str = "  y once, s for the session, a always, e edit, n [reason] no > ";

    /// Reads an answer; none where it is no answer.
    pub(super) fn answer(&self, line: &str) -> Option<Answer> {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).map_or((line, ""), |(word, rest)| (word, rest.trim()));
        match (word.to_lowercase().as_str(), rest) {
            ("y" | "yes", "") => Some(Answer::Decide(self.decision(true, &[]))),
            ("s" | "session", "") => Some(Answer::Decide(self.decision(true, &[("scope", json!("session"))]))),
            ("a" | "always", "") if self.always.is_some() => {
                Some(Answer::Decide(self.decision(true, &[("scope", json!("always"))])))
            }
            ("e" | "edit", "") => Some(Answer::Edit),
            ("e" | "edit", args) => self.edited(args),
            ("n" | "no", "") => Some(Answer::Decide(self.decision(false, &[]))),
            ("n" | "no", reason) => Some(Answer::Decide(self.decision(false, &[("reason", json!(reason))]))),
            _ => None,
        }
    }

    /// The approval with other arguments; none where they are no JSON object.
    pub(super) fn edited(&self, args: &str) -> Option<Answer> {
        let args: Value = serde_json::from_str(args).ok().filter(Value::is_object)?;
        Some(Answer::Decide(self.decision(true, &[("args", args)])))
    }

    /// A refusal in the client's own words.
    pub(super) fn refusal(&self, reason: &str) -> Value {
        self.decision(false, &[("reason", json!(reason))])
    }

    /// The approval of this call as it is.
    pub(super) fn approval(&self) -> Value {
        self.decision(true, &[])
    }

    fn decision(&self, approved: bool, more: &[(&str, Value)]) -> Value {
        let mut decision = Map::new();
        decision.insert("callId".to_owned(), self.call_id.clone().into());
        decision.insert("approved".to_owned(), approved.into());
        decision.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        Value::Object(decision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approval() -> Approval {
        Approval::read(&json!({
            "callId": "c1", "name": "write_file", "server": "workspace", "args": {"path": "a\u{202e}b\u{1b}[2J"},
            "queuePosition": 1, "totalInQueue": 2, "expiresAt": "2026-01-01T00:00:00Z", "why": "no rule covers this tool",
            "annotations": {"destructiveHint": true},
        }))
        .expect("an approval")
    }

    #[test]
    fn the_card_shows_everything_and_hides_nothing() {
        let expected = "\n? write_file of workspace  (1 of 2)\n    {\n      \"path\": \"a\\u{202e}b\\u001b[2J\"\n    }\n  \
            may destroy; no rule covers this tool; refused by itself at 2026-01-01T00:00:00Z\n";
        assert_eq!(approval().card(), expected);
    }

    #[test]
    fn always_is_an_answer_where_its_rule_was_shown() {
        let mut approval = approval();
        assert_eq!(approval.answer("a"), None);
        approval.always = Some(json!({"server": "workspace", "tool": "read\u{202e}", "decision": "allow"}));
        let card = approval.card();
        let line = r#"  always stores the rule {"server":"workspace","tool":"read\u{202e}","decision":"allow"}"#;
        assert_eq!(card.lines().last(), Some(line), "{card}");
        assert!(approval.question().contains("a always"));
        let expected = json!({"callId": "c1", "approved": true, "scope": "always"});
        assert_eq!(approval.answer(" A "), Some(Answer::Decide(expected)));
    }

    #[test]
    fn only_a_clear_answer_is_one() {
        let cases = [
            ("y", Some(json!({"callId": "c1", "approved": true}))),
            (" Yes ", Some(json!({"callId": "c1", "approved": true}))),
            ("s", Some(json!({"callId": "c1", "approved": true, "scope": "session"}))),
            ("n", Some(json!({"callId": "c1", "approved": false}))),
            ("n not that file", Some(json!({"callId": "c1", "approved": false, "reason": "not that file"}))),
            (r#"e {"path": "b"}"#, Some(json!({"callId": "c1", "approved": true, "args": {"path": "b"}}))),
            ("e [1]", None),
            ("", None),
            ("y please", None),
            ("maybe", None),
        ];
        for (line, expected) in cases {
            assert_eq!(approval().answer(line), expected.map(Answer::Decide), "{line}");
        }
        assert_eq!(approval().answer("e"), Some(Answer::Edit));
    }
}
