//! A call that waits for the human: how it is shown, and how the answer is read.

use super::{exact, visible};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// A pending call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Approval {
    pub(super) call_id: String,
    server: String,
    tool: String,
    /// The arguments as the exact text that runs.
    args: String,
    /// What the answer is bound to; none where an earlier version asks.
    digest: Option<String>,
    why: String,
    hints: Vec<&'static str>,
    expires_at: Option<String>,
    place: Option<(u64, u64)>,
    /// What a rule for always would say; none where it is not offered.
    always: Option<Value>,
    /// The scopes that an approval for the session may have, as the server wants them back.
    scopes: Vec<Value>,
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
            args: text("argsText").unwrap_or_else(|| payload.get("args").unwrap_or(&Value::Null).to_string()),
            digest: text("digest"),
            why: text("why").unwrap_or_default(),
            hints: hints.into_iter().flatten().collect(),
            expires_at: text("expiresAt"),
            place: number("queuePosition").zip(number("totalInQueue")),
            always: payload.get("alwaysRule").filter(|rule| rule.is_object()).cloned(),
            scopes: payload.get("sessionScopes").and_then(Value::as_array).cloned().unwrap_or_default(),
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
        for line in visible::exact(&exact::laid_out(&self.args)).lines() {
            let _ = writeln!(card, "    {line}");
        }
        let mut notes: Vec<String> = self.hints.iter().map(|hint| (*hint).to_owned()).collect();
        notes.extend(Some(visible::line(&self.why)).filter(|why| !why.is_empty()));
        notes.extend(self.expires_at.as_deref().map(|time| format!("refused by itself at {}", visible::line(time))));
        if !notes.is_empty() {
            let _ = writeln!(card, "  {}", notes.join("; "));
        }
        for (place, scope) in self.scopes.iter().enumerate() {
            let _ = writeln!(card, "  s{} for the session: {}", place + 1, scope_in_words(scope));
        }
        if let Some(rule) = &self.always {
            // The rule as it is stored, and not what somebody makes of it.
            let _ = writeln!(card, "  always stores the rule {}", visible::line(&rule.to_string()));
        }
        card
    }

    /// What can be answered.
    pub(super) fn question(&self) -> String {
        let session = match self.scopes.len() {
            0 => String::new(),
            1 => "s1 for the session, ".to_owned(),
            many => format!("s1 to s{many} for the session, "),
        };
        let always = if self.always.is_some() { "a always, " } else { "" };
        format!("  y once, {session}{always}e edit, n [reason] no > ")
    }

    /// Reads an answer; none where it is no answer.
    pub(super) fn answer(&self, line: &str) -> Option<Answer> {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).map_or((line, ""), |(word, rest)| (word, rest.trim()));
        match (word.to_lowercase().as_str(), rest) {
            ("y" | "yes", "") => Some(Answer::Decide(self.decision(true, &[]))),
            ("s" | "session", "") => {
                let whole = self.scopes.iter().position(|scope| scope["kind"] == "tool")?;
                self.for_session(whole)
            }
            (word, "") if word.starts_with('s') => self.for_session(word[1..].parse::<usize>().ok()?.checked_sub(1)?),
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
        let _is_object = serde_json::from_str::<Value>(args).ok().filter(Value::is_object)?;
        // As text, so that all digits of its numbers arrive.
        Some(Answer::Decide(self.decision(true, &[("argsText", json!(args.trim()))])))
    }

    fn for_session(&self, place: usize) -> Option<Answer> {
        let scope = self.scopes.get(place)?.clone();
        Some(Answer::Decide(self.decision(true, &[("scope", json!("session")), ("grant", scope)])))
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
        if let Some(digest) = &self.digest {
            decision.insert("digest".to_owned(), digest.clone().into());
        }
        decision.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        Value::Object(decision)
    }
}

/// Which calls a scope covers. One of a later version is shown as it is.
fn scope_in_words(scope: &Value) -> String {
    let text = |key: &str| visible::line(scope[key].as_str().unwrap_or_default());
    match scope["kind"].as_str() {
        Some("tool") => "every call of this tool".to_owned(),
        Some("exact") => "calls with exactly these arguments".to_owned(),
        Some("command") => format!("simple commands that begin with `{}`, other arguments the same", text("prefix")),
        Some("path") => format!("paths in `{}`, whatever the other arguments are", text("within")),
        _ => visible::line(&scope.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approval() -> Approval {
        Approval::read(&json!({
            "callId": "c1", "name": "write_file", "server": "workspace", "args": {"path": "a\u{202e}b\u{1b}[2J"},
            "queuePosition": 1, "totalInQueue": 2, "expiresAt": "2026-01-01T00:00:00Z", "why": "no rule covers this tool",
            "annotations": {"destructiveHint": true}, "digest": "d1",
            "argsText": "{\"path\":\"a\u{202e}b\\u001b[2J\",\"id\":1234567890123456789}",
            "sessionScopes": [{"kind": "exact"}, {"kind": "path", "argument": "path", "within": "a"}],
        }))
        .expect("an approval")
    }

    #[test]
    fn the_card_shows_everything_and_hides_nothing() {
        let expected = "\n? write_file of workspace  (1 of 2)\n    {\n      \"path\": \"a\\u{202e}b\\u001b[2J\",\n      \
            \"id\": 1234567890123456789\n    }\n  \
            may destroy; no rule covers this tool; refused by itself at 2026-01-01T00:00:00Z\n  \
            s1 for the session: calls with exactly these arguments\n  \
            s2 for the session: paths in `a`, whatever the other arguments are\n";
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
        let expected = json!({"callId": "c1", "approved": true, "digest": "d1", "scope": "always"});
        assert_eq!(approval.answer(" A "), Some(Answer::Decide(expected)));
    }

    #[test]
    fn only_a_clear_answer_is_one() {
        let session = |grant: &Value| json!({"callId": "c1", "approved": true, "digest": "d1", "scope": "session", "grant": grant});
        let text = r#"{"id": 1234567890123456788}"#;
        let edited = json!({"callId": "c1", "approved": true, "digest": "d1", "argsText": text});
        let cases = [
            ("y", Some(json!({"callId": "c1", "approved": true, "digest": "d1"}))),
            (" Yes ", Some(json!({"callId": "c1", "approved": true, "digest": "d1"}))),
            ("s1", Some(session(&json!({"kind": "exact"})))),
            ("S2", Some(session(&json!({"kind": "path", "argument": "path", "within": "a"})))),
            ("s", None),
            ("s0", None),
            ("s3", None),
            ("n", Some(json!({"callId": "c1", "approved": false, "digest": "d1"}))),
            ("n no", Some(json!({"callId": "c1", "approved": false, "digest": "d1", "reason": "no"}))),
            (r#"e {"id": 1234567890123456788}"#, Some(edited)),
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
