use super::{rule::glob, *};
use crate::{ServerName, ToolName};
use proptest::prelude::*;
use serde_json::json;

fn tool(server: &str, tool: &str, annotations: Annotations) -> ToolDefinition {
    let server = ServerName::new(server);
    ToolDefinition {
        name: ToolName::namespaced(&server, tool),
        server,
        tool: tool.to_owned(),
        title: None,
        description: String::new(),
        input_schema: json!({"type": "object"}),
        annotations,
        fingerprint: String::new(),
    }
}

fn judge(policy: &Policy, server: &str, name: &str, args: &Value) -> Verdict {
    let tool = tool(server, name, Annotations { read_only_hint: Some(true), ..Annotations::default() });
    policy.judge(Asked::of(&tool, args, "ann"))
}

fn policy(rules: Value) -> Policy {
    serde_json::from_value(rules).expect("rules")
}

#[test]
fn what_no_rule_covers_is_asked_whatever_its_annotations_say() {
    assert!(matches!(judge(&Policy::default(), "fs", "read", &json!({})), Verdict::Ask { .. }));
}

#[test]
fn deny_comes_before_ask_and_ask_before_allow_in_any_order() {
    let rule = |server: &str, tool: &str, decision| Rule {
        server: server.to_owned(),
        tool: tool.to_owned(),
        decision,
        ..Rule::default()
    };
    let mut rules = vec![
        rule("*", "*", DecisionRule::Allow),
        rule("fs", "*", DecisionRule::Ask),
        rule("*", "delete_*", DecisionRule::Deny),
    ];
    for _ in 0..rules.len() {
        rules.rotate_left(1);
        let policy = Policy::new(rules.clone());
        assert!(matches!(judge(&policy, "web", "fetch", &json!({})), Verdict::Allow { .. }));
        assert!(matches!(judge(&policy, "fs", "read", &json!({})), Verdict::Ask { .. }));
        assert!(matches!(judge(&policy, "fs", "delete_all", &json!({})), Verdict::Deny { .. }));
    }
}

#[test]
fn a_rule_may_look_at_arguments() {
    let policy = policy(json!([
        {"tool": "read", "args": {"path": {"within": "/workspace/src"}}, "decision": "allow"},
        {"tool": "run", "args": {"command": {"one_of": ["ls", "pwd"]}, "options.quiet": {"equals": true}}, "decision": "allow"},
        {"args": {"path": {"matches": "*.pem"}}, "decision": "deny"},
    ]));
    let says = |tool: &str, args: Value| match judge(&policy, "fs", tool, &args) {
        Verdict::Allow { .. } => "allow",
        Verdict::Ask { .. } => "ask",
        Verdict::Deny { .. } => "deny",
    };
    let cases = [
        ("read", json!({"path": "/workspace/src/a.rs"}), "allow"),
        ("read", json!({"path": "/workspace/src/./b//c"}), "allow"),
        ("read", json!({"path": "/workspace/src"}), "allow"),
        ("read", json!({"path": "/workspace/srcs"}), "ask"),
        ("read", json!({"path": "/workspace/src/../../etc/passwd"}), "ask"),
        ("read", json!({"path": "workspace/src/a"}), "ask"),
        ("read", json!({"path": "/workspace/src\\..\\x"}), "ask"),
        ("read", json!({"path": 7}), "ask"),
        ("read", json!({}), "ask"),
        ("read", json!("path"), "ask"),
        ("read", json!({"path": "/workspace/src/key.pem"}), "deny"),
        ("run", json!({"command": "ls", "options": {"quiet": true}}), "allow"),
        ("run", json!({"command": "ls"}), "ask"),
        ("run", json!({"command": "rm", "options": {"quiet": true}}), "ask"),
    ];
    for (tool, args, expected) in cases {
        assert_eq!(says(tool, args.clone()), expected, "{tool} {args}");
    }
}

#[test]
fn hints_may_raise_a_risk_and_never_lower_it() {
    let strict = policy(json!([{"decision": "allow"}, {"hints": {"destructive": true}, "decision": "ask"}]));
    let says = |hint: Option<bool>| {
        let tool = tool("fs", "write", Annotations { destructive_hint: hint, ..Annotations::default() });
        strict.judge(Asked::of(&tool, &json!({}), "ann"))
    };
    assert!(matches!(says(Some(true)), Verdict::Ask { .. }));
    assert!(matches!(says(None), Verdict::Ask { .. }), "what is not said is the riskier thing");
    assert!(matches!(says(Some(false)), Verdict::Allow { .. }));
    assert_eq!(strict.problems(), []);
    let lax =
        policy(json!([{"hints": {"read_only": true}, "decision": "allow"}, {"args": {"p": {}}, "decision": "deny"},
        {"args": {"p": {"within": "/a/../b"}}, "decision": "ask"}]));
    assert_eq!(lax.problems().into_iter().map(|(place, _)| place).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn a_rule_may_be_for_one_user() {
    let policy = policy(json!([{"user": "bob", "decision": "allow"}]));
    assert!(matches!(judge(&policy, "fs", "read", &json!({})), Verdict::Ask { .. }));
}

#[test]
fn a_star_stands_for_any_characters() {
    let cases = [
        ("*", "", true),
        ("read", "read", true),
        ("read", "reads", false),
        ("read_*", "read_file", true),
        ("*_file", "read_file", true),
        ("*a*b*", "xaybz", true),
        ("*a*b", "ba", false),
        ("ab*ba", "aba", false),
    ];
    for (pattern, text, matches) in cases {
        assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
    }
}

#[test]
fn other_rules_have_another_version() {
    let written = json!([{"server": "fs", "decision": "allow"}, {"args": {"p": {"equals": 1}}, "decision": "deny"}]);
    let version = policy(written.clone()).version();
    assert_eq!(version.len(), 16);
    assert_eq!(policy(written.clone()).version(), version);
    let again = json!([{"decision": "allow", "server": "fs"}, {"decision": "deny", "args": {"p": {"equals": 1}}}]);
    assert_eq!(policy(again).version(), version, "the order of a rule's words means nothing");
    for (path, value) in [("/0/decision", json!("ask")), ("/0/server", json!("fs*")), ("/1/args/p/equals", json!(2))] {
        let mut changed = written.clone();
        *changed.pointer_mut(path).expect("there") = value;
        assert_ne!(policy(changed).version(), version, "{path}");
    }
    let Value::Array(mut turned) = written else { panic!("a list") };
    turned.reverse();
    assert_ne!(policy(Value::Array(turned)).version(), version);
    assert_ne!(Policy::default().version(), version);
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let pattern = || prop::sample::select(vec!["*", "fs", "w*", "read", "*_file", "ann"]).prop_map(str::to_owned);
    let decision = prop::sample::select(vec![DecisionRule::Allow, DecisionRule::Ask, DecisionRule::Deny]);
    let args = prop::option::of(prop::sample::select(vec!["/a", "/a/b", "c"]));
    let rule = (pattern(), pattern(), pattern(), args, decision).prop_map(|(server, tool, user, within, decision)| {
        let rule = within.map(|path| ArgumentRule { within: Some(path.to_owned()), ..ArgumentRule::default() });
        let args = rule.into_iter().map(|rule| ("path".to_owned(), rule)).collect();
        Rule { server, tool, user, args, decision, ..Rule::default() }
    });
    prop::collection::vec(rule, 0..6)
}

proptest! {
    /// By brute force: every rule is asked, and the strictest word counts.
    #[test]
    fn the_strictest_of_all_that_cover_a_call_decides(
        rules in rules(),
        server in prop::sample::select(vec!["fs", "web"]),
        name in prop::sample::select(vec!["read", "write_file"]),
        path in prop::sample::select(vec!["/a/b/c", "/a", "/a/../b", "c/d", "/x"]),
    ) {
        let (tool, args) = (tool(server, name, Annotations::default()), json!({"path": path}));
        let asked = Asked::of(&tool, &args, "ann");
        let said: Vec<_> = rules.iter().filter(|rule| rule.covers(asked)).map(|rule| rule.decision).collect();
        let found = match Policy::new(rules).judge(asked) {
            Verdict::Deny { .. } => DecisionRule::Deny,
            Verdict::Ask { .. } => DecisionRule::Ask,
            Verdict::Allow { .. } => DecisionRule::Allow,
        };
        let expected = if said.contains(&DecisionRule::Deny) {
            DecisionRule::Deny
        } else if said.contains(&DecisionRule::Ask) || said.is_empty() {
            DecisionRule::Ask
        } else {
            DecisionRule::Allow
        };
        prop_assert_eq!(found, expected);
    }
}
