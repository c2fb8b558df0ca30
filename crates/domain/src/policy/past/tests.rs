use super::*;
use crate::{
    Annotations, AssistantMessage, Epoch, EventId, Rule, Scope, Seq, ServerName, Timestamp, ToolName, ToolResult,
    ToolSettled, TurnId, Usage,
};
use serde_json::{Value, json};

fn call(index: usize, server: &str, tool: &str, args: Value) -> ToolCall {
    let server = ServerName::new(server);
    ToolCall {
        id: CallId::minted(TurnId::new(1), 0, index),
        provider_id: None,
        name: ToolName::namespaced(&server, tool),
        server: Some(server),
        tool: tool.to_owned(),
        args,
    }
}

fn gate(status: CallStatus, annotations: Annotations) -> CallGate {
    CallGate {
        status,
        why: "then".to_owned(),
        annotations,
        fingerprint: "f".to_owned(),
        rule: None,
        always: None,
        scopes: Vec::new(),
        granted: false,
        pin: None,
        digest: None,
    }
}

fn log(bodies: impl IntoIterator<Item = EventBody>) -> Vec<Event> {
    let event = |(seq, body)| Event {
        id: EventId { epoch: Epoch::new(1), seq: Seq::new(seq) },
        turn: Some(TurnId::new(1)),
        at: Timestamp::default(),
        body,
        link: None,
        request: None,
    };
    (1..).zip(bodies).map(event).collect()
}

fn resolved(index: usize, decision: Decision, by: Option<&str>) -> EventBody {
    EventBody::ApprovalResolved(ApprovalResolved {
        call: CallId::minted(TurnId::new(1), 0, index),
        decision,
        by: by.map(|by| PrincipalId::parse(by).expect("an id")),
        scope: Scope::Once,
        reason: None,
        edited_args: None,
        digest: None,
        via: crate::Via::default(),
        rule: None,
        grant: None,
        workspace: None,
    })
}

fn settled(index: usize, code: Code) -> EventBody {
    let (call, tool) = (CallId::minted(TurnId::new(1), 0, index), "t".to_owned());
    EventBody::ToolSettled(ToolSettled { call, tool, result: ToolResult::failed(code, "why") })
}

#[test]
fn the_fate_of_each_call_is_read_from_the_log() {
    use CallStatus::{Allowed, Refused, Waiting};
    let statuses = [Allowed, Waiting, Waiting, Waiting, Waiting, Refused, Refused];
    let calls = (0..statuses.len()).map(|index| call(index, "fs", "t", json!({}))).collect();
    let message = AssistantMessage { calls, ..AssistantMessage::default() };
    let gates = statuses.map(|status| gate(status, Annotations::default())).to_vec();
    let events = log([
        EventBody::ToolCalls(ToolCalls { step: 0, message, gates, usage: Usage::default() }),
        settled(5, Code::Denied),
        settled(6, Code::InvalidArguments),
        resolved(1, Decision::Approved, Some("ann")),
        settled(1, Code::ToolFailed),
        resolved(2, Decision::Denied, Some("ann")),
        settled(2, Code::Denied),
        resolved(3, Decision::Denied, None),
        resolved(4, Decision::Expired, None),
    ]);
    let ann = || PrincipalId::parse("ann").expect("an id");
    let fates: Vec<_> = PastCall::of(&events).into_iter().map(|past| past.fate).collect();
    assert_eq!(
        fates,
        [
            Fate::Allowed,
            Fate::Approved(ann()),
            Fate::Denied(ann()),
            Fate::Unanswered,
            Fate::Unanswered,
            Fate::Forbidden,
            Fate::Refused(Code::InvalidArguments),
        ]
    );
}

/// The same sequence of numbers on every machine (`xorshift64*`): what fails, fails again.
struct Dice(u64);

impl Dice {
    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let roll = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        from[usize::try_from(roll).expect("31 bits fit") % from.len()].clone()
    }
}

const SERVERS: [&str; 3] = ["fs", "web", "fs2"];
const TOOLS: [&str; 5] = ["read_file", "write_file", "fetch", "file", "read"];
const USERS: [&str; 3] = ["ann", "bob", "bobby"];
const PATHS: [&str; 9] = ["/a", "/a/b", "/a/./b/c", "/ab", "/a/../b", "a/b", "", "/a\\..", "x.env"];
const PATTERNS: [&str; 12] = ["*", "fs", "web", "f*", "*_file", "read*", "r*d*e", "ann", "b*b", "bob", "fs*", "*fs*2"];
const HINTS: [Option<bool>; 3] = [None, Some(true), Some(false)];

fn generated_rule(dice: &mut Dice) -> Value {
    let mut rule = json!({ "decision": dice.pick(&["allow", "ask", "deny"]) });
    for key in ["server", "tool", "user"] {
        if dice.pick(&[true, false]) {
            rule[key] = json!(dice.pick(&PATTERNS));
        }
    }
    match dice.pick(&[0, 1, 2, 3, 4, 5]) {
        0 => rule["args"] = json!({"path": {"within": dice.pick(&["/a", "a", "/a/b", "/"])}}),
        1 => rule["args"] = json!({"path": {"matches": dice.pick(&["*.env", "/a*", "*"])}}),
        2 => rule["args"] = json!({"o.n": {"one_of": [1, "1"]}}),
        3 => rule["args"] = json!({"path": {"equals": dice.pick(&PATHS)}, "o.n": {"equals": 1}}),
        _ => {}
    }
    if let Some(wanted) = dice.pick(&HINTS) {
        rule["hints"][dice.pick(&["destructive", "open_world", "read_only"])] = json!(wanted);
    }
    rule
}

/// Whether a text is of a form, tried out letter by letter.
fn is_of_form(form: &[u8], text: &[u8]) -> bool {
    match (form, text) {
        ([], text) => text.is_empty(),
        ([b'*', form @ ..], text) => (0..=text.len()).any(|skipped| is_of_form(form, &text[skipped..])),
        ([a, form @ ..], [b, text @ ..]) => a == b && is_of_form(form, text),
        _ => false,
    }
}

fn names(path: &str) -> Option<Vec<&str>> {
    let parts: Vec<_> = path.split('/').collect();
    let bad = path.contains('\\') || parts.contains(&"..");
    (!bad).then(|| parts.into_iter().filter(|part| !matches!(*part, "" | ".")).collect())
}

fn argument_fits(rule: &Value, found: Option<&Value>) -> bool {
    let Some(found) = found else { return false };
    rule.as_object().expect("a table").iter().all(|(key, wanted)| match key.as_str() {
        "equals" => wanted == found,
        "one_of" => wanted.as_array().expect("a list").iter().any(|one| one == found),
        "matches" => {
            let text = found.as_str().map(str::as_bytes);
            text.is_some_and(|text| is_of_form(wanted.as_str().expect("a form").as_bytes(), text))
        }
        _ => {
            let (Some(above), Some(path)) = (wanted.as_str(), found.as_str()) else { return false };
            let (Some(outer), Some(inner)) = (names(above), names(path)) else { return false };
            above.starts_with('/') == path.starts_with('/') && outer.iter().eq(inner.iter().take(outer.len()))
        }
    })
}

/// What rules, as they are written in a file, say of a call: all are asked one by one, by code of the test's own.
fn by_brute_force(rules: &[Value], past: &PastCall, user: &str) -> DecisionRule {
    let hints = &past.gate.annotations;
    let covers = |rule: &&Value| {
        let form = |key: &str, text: &str| {
            rule.get(key).is_none_or(|form| is_of_form(form.as_str().expect("a form").as_bytes(), text.as_bytes()))
        };
        let hint = |(name, wanted): (&String, &Value)| {
            let said = match name.as_str() {
                "destructive" => hints.destructive_hint.unwrap_or(true),
                "open_world" => hints.open_world_hint.unwrap_or(true),
                _ => hints.read_only_hint.unwrap_or(false),
            };
            *wanted == json!(said)
        };
        let argument = |(name, rule): (&String, &Value)| {
            let pointer = format!("/{}", name.replace('.', "/"));
            argument_fits(rule, past.call.args.pointer(&pointer))
        };
        form("server", past.call.server.as_ref().expect("a server").as_str())
            && form("tool", &past.call.tool)
            && form("user", user)
            && rule.get("hints").and_then(Value::as_object).is_none_or(|all| all.iter().all(hint))
            && rule.get("args").and_then(Value::as_object).is_none_or(|all| all.iter().all(argument))
    };
    let said: Vec<&str> = rules.iter().filter(covers).map(|rule| rule["decision"].as_str().expect("one")).collect();
    match (said.contains(&"deny"), said.contains(&"ask") || said.is_empty()) {
        (true, _) => DecisionRule::Deny,
        (false, true) => DecisionRule::Ask,
        (false, false) => DecisionRule::Allow,
    }
}

#[test]
fn what_is_simulated_is_what_brute_force_finds_for_100_000_calls() {
    const CALLS: usize = 100_000;
    const PER_POLICY: usize = 100;
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for _ in 0..CALLS / PER_POLICY {
        let rules: Vec<Value> = (0..dice.pick(&[0, 1, 2, 3, 5, 8])).map(|_| generated_rule(&mut dice)).collect();
        let parsed: Vec<Rule> = serde_json::from_value(Value::Array(rules.clone())).expect("rules");
        let policy = Policy::new(parsed);
        for index in 0..PER_POLICY {
            let args = json!({"path": dice.pick(&PATHS), "o": {"n": dice.pick(&[json!(1), json!("1"), json!(2), json!(null)])}});
            let annotations = Annotations {
                read_only_hint: dice.pick(&HINTS),
                destructive_hint: dice.pick(&HINTS),
                open_world_hint: dice.pick(&HINTS),
                ..Annotations::default()
            };
            let call = call(index, dice.pick(&SERVERS), dice.pick(&TOOLS), args);
            let past = PastCall { call, gate: gate(CallStatus::Allowed, annotations), fate: Fate::Allowed };
            let user = dice.pick(&USERS);
            let verdict = past.judged_by(&policy, user).expect("rules have a say");
            assert_eq!(verdict.decision(), by_brute_force(&rules, &past, user), "{past:?} for {user} by {rules:?}");
            *seen
                .entry(match verdict {
                    Verdict::Allow { .. } => "allow",
                    Verdict::Ask { .. } => "ask",
                    Verdict::Deny { .. } => "deny",
                })
                .or_default() += 1;
        }
    }
    assert!(
        seen.len() == 3 && seen.values().all(|count| *count > CALLS / 50),
        "the calls are too much alike: {seen:?}"
    );
}
