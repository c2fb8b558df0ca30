//! What rules would have decided, beside what was.

use super::past::Log;
use lockkeeper_domain::{DecisionRule, Fate, PastCall, Policy, Verdict};
use std::fmt::Write as _;

/// One call of the past.
struct Row {
    place: String,
    fate: Fate,
    decided: DecisionRule,
    /// What the rules say; none where they have no say.
    verdict: Option<Verdict>,
}

/// All of them.
pub(super) struct Report {
    rows: Vec<Row>,
}

impl Row {
    /// Whether the rules would let a call run that a human denied.
    fn is_alarming(&self) -> bool {
        matches!((&self.fate, &self.verdict), (Fate::Denied(_), Some(Verdict::Allow { .. })))
    }

    fn is_changed(&self) -> bool {
        self.verdict.as_ref().is_some_and(|verdict| verdict.decision() != self.decided)
    }

    fn line(&self) -> String {
        let mark = match (self.is_alarming(), self.is_changed()) {
            (true, _) => '!',
            (false, true) => '*',
            (false, false) => ' ',
        };
        let now = match &self.verdict {
            Some(verdict) => format!("{} ({})", word(verdict.decision()), verdict.why()),
            None => "rules have no say".to_owned(),
        };
        format!("{mark} {}  was: {}  would be: {now}\n", self.place, fate(&self.fate))
    }
}

impl Report {
    /// Every call of the logs, judged by these rules.
    pub(super) fn of(policy: &Policy, logs: &[Log]) -> Self {
        let row = |log: &Log, past: PastCall| {
            let server = past.call.server.as_ref().map_or("?", |server| server.as_str());
            Row {
                place: printable(&format!("{} {} {server}.{}", log.session, past.call.id, past.call.tool)),
                verdict: past.judged_by(policy, &log.user),
                decided: past.decided(),
                fate: past.fate,
            }
        };
        let rows = logs.iter().flat_map(|log| PastCall::of(&log.events).into_iter().map(move |past| row(log, past)));
        Self { rows: rows.collect() }
    }

    /// Every call, and the summary.
    pub(super) fn whole(&self) -> String {
        self.lines(|_| true)
    }

    /// The calls that would be decided otherwise, and the summary.
    pub(super) fn changes(&self) -> String {
        self.lines(Row::is_changed)
    }

    /// What a reviewer must look at.
    pub(super) fn warnings(&self) -> Vec<String> {
        let alarming = self.rows.iter().filter(|row| row.is_alarming());
        let warning = |row: &Row| {
            let why = row.verdict.as_ref().map_or("", Verdict::why);
            format!("{} was denied by a human, and {why} would let it run", row.place)
        };
        alarming.map(warning).collect()
    }

    fn lines(&self, shown: impl Fn(&Row) -> bool) -> String {
        let mut text: String = self.rows.iter().filter(|row| shown(row)).map(Row::line).collect();
        text.push_str(&self.summary());
        text
    }

    fn summary(&self) -> String {
        let judged = || self.rows.iter().filter_map(|row| Some((row.decided, row.verdict.as_ref()?.decision())));
        let all = [DecisionRule::Allow, DecisionRule::Ask, DecisionRule::Deny];
        let changed = judged().filter(|(before, now)| before != now).count();
        let mut text = String::new();
        let (calls, judged_calls) = (self.rows.len(), judged().count());
        let _ =
            writeln!(text, "{calls} calls; rules have a say in {judged_calls}, and would decide {changed} otherwise:");
        for before in all {
            let counts = all.map(|now| judged().filter(|pair| *pair == (before, now)).count());
            let [allow, ask, deny] = counts;
            let _ = writeln!(text, "  was {:<5}  would be: allow {allow}, ask {ask}, deny {deny}", word(before));
        }
        text
    }
}

fn word(decision: DecisionRule) -> &'static str {
    match decision {
        DecisionRule::Allow => "allow",
        DecisionRule::Ask => "ask",
        DecisionRule::Deny => "deny",
    }
}

fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Allowed => "allow".to_owned(),
        Fate::Approved(by) => format!("ask, approved by {}", printable(by.as_str())),
        Fate::Denied(by) => format!("ask, denied by {}", printable(by.as_str())),
        Fate::Unanswered => "ask, unanswered".to_owned(),
        Fate::Forbidden => "deny".to_owned(),
        Fate::Refused(code) => format!("refused as {code}"),
    }
}

/// A line of text as a terminal may have it: names of tools are strangers' words.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_unicode().collect::<Vec<_>>() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_call_that_a_human_denied_and_the_rules_allow_is_a_warning() {
        let call = |index: usize, tool: &str| {
            json!({
                "id": format!("call_1_0_{index}"), "name": format!("fs__{tool}"), "server": "fs", "tool": tool, "args": {"path": "a"},
            })
        };
        let gate = |status: &str| json!({"status": status, "why": "then", "fingerprint": "f"});
        let resolved = |index: usize, decision: &str| {
            json!({
                "type": "approval_resolved", "call": format!("call_1_0_{index}"), "decision": decision, "by": "ann", "scope": "once",
            })
        };
        let bodies = [
            json!({"type": "tool_calls", "step": 0,
                   "message": {"text": "", "calls": [call(0, "read"), call(1, "read\u{1b}"), call(2, "list")]},
                   "gates": [gate("waiting"), gate("waiting"), gate("allowed")], "usage": {}}),
            resolved(0, "approved"),
            resolved(1, "denied"),
        ];
        let event =
            |(seq, body)| json!({"id": format!("1-{seq}"), "turn": 1, "at": 0, "body": body}).to_string() + "\n";
        let lines: String = (1..).zip(bodies).map(event).collect();
        let rules = json!([{"tool": "read*", "decision": "allow"}, {"tool": "list", "decision": "deny"}]);
        let rules = serde_json::from_value(rules).expect("rules");
        let policy = Policy::default().with_file("new.toml", rules);
        let report = Report::of(&policy, &[super::super::made_up("ann", &lines)]);
        let expected = "\
            * s call_1_0_0 fs.read  was: ask, approved by ann  would be: allow (rule 1 of new.toml for *.read*)\n\
            ! s call_1_0_1 fs.read\\u{1b}  was: ask, denied by ann  would be: allow (rule 1 of new.toml for *.read*)\n\
            * s call_1_0_2 fs.list  was: allow  would be: deny (rule 2 of new.toml for *.list)\n\
            3 calls; rules have a say in 3, and would decide 3 otherwise:\n\
            \u{20} was allow  would be: allow 0, ask 0, deny 1\n\
            \u{20} was ask    would be: allow 2, ask 0, deny 0\n\
            \u{20} was deny   would be: allow 0, ask 0, deny 0\n";
        assert_eq!(report.whole(), expected);
        assert_eq!(report.changes(), expected, "each of them is decided otherwise");
        assert_eq!(report.warnings().len(), 1);
        assert!(report.warnings()[0].contains("call_1_0_1"), "{:?}", report.warnings());
    }
}
