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

/// JSON values of small shapes, with numbers that are spelt in more than one way.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1_000_i64..1_000).prop_map(Value::from),
        (-1_000_000_i32..1_000_000).prop_map(|n| Value::from(f64::from(n) / 8.0)),
        "[a-z*./ ]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The same value in another spelling: members the other way round, numbers as a double where a double is exact, with an
/// exponent, or with zeros.
fn respelt(value: &Value, seed: u32) -> String {
    match value {
        Value::Object(members) => {
            let members = members.iter().rev();
            let members =
                members.map(|(name, value)| format!("{}:{}", json!(name), respelt(value, seed.rotate_left(3))));
            format!("{{{}}}", members.collect::<Vec<_>>().join(" , "))
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| respelt(item, seed.rotate_left(5)));
            format!("[ {} ]", items.collect::<Vec<_>>().join(","))
        }
        Value::Number(number) if number.as_i64().is_some_and(|n| n.unsigned_abs() <= 1 << 53) => {
            // `00` is no number of JSON.
            let tenfold = if number.as_i64() == Some(0) { "0e-1".to_owned() } else { format!("{number}0e-1") };
            [format!("{number}"), format!("{number}.0"), format!("{number}e0"), tenfold][seed as usize % 4].clone()
        }
        other => other.to_string(),
    }
}

/// How long the fuzz test of the matcher runs, in seconds: none unless the environment asks for more than a few cases.
fn cases() -> u32 {
    const PER_SECOND: u32 = 2_500;
    #[expect(clippy::disallowed_methods, reason = "a test reads how long it may go on")]
    let seconds = std::env::var("LOCKKEEPER_FUZZ_SECS").ok().and_then(|text| text.parse::<u32>().ok());
    seconds.map_or(512, |seconds| seconds.saturating_mul(PER_SECOND))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// Covers: S3 numbers
    #[test]
    fn deny_holds_for_every_spelling_of_a_value(value in json_value(), other in json_value(), seed in any::<u32>()) {
        let denies = |rule: ArgumentRule| {
            let args = [("a".to_owned(), rule)].into_iter().collect();
            let deny = Rule { args, decision: DecisionRule::Deny, ..Rule::default() };
            Policy::new(vec![Rule { decision: DecisionRule::Allow, ..Rule::default() }, deny])
        };
        let spelt: Value = serde_json::from_str(&respelt(&value, seed)).expect("JSON");
        let equals = ArgumentRule { equals: Some(value.clone()), ..ArgumentRule::default() };
        let one_of = ArgumentRule { one_of: Some(vec![other, value.clone()]), ..ArgumentRule::default() };
        for policy in [denies(equals), denies(one_of)] {
            let verdict = judge(&policy, "fs", "read", &json!({"a": spelt}));
            prop_assert!(matches!(verdict, Verdict::Deny { .. }), "{} {}", value, spelt);
        }
        let mut denials = Denials::default();
        denials.remember(&ServerName::new("fs"), "read", &json!({"a": value}));
        let (tool, args) = (tool("fs", "read", Annotations::default()), json!({"a": spelt}));
        prop_assert!(denials.hold(Asked::of(&tool, &args, "ann")));
    }

    /// Rules of any form, and arguments of any form: the matcher answers, and the order of the rules changes nothing.
    #[test]
    fn order_of_rules_never_changes_a_verdict(
        texts in prop::collection::vec("[a-z*./\\\\ ;$=\u{e9}\n-]{0,8}", 4),
        value in json_value(),
        args in json_value(),
        turn in 0_usize..6,
    ) {
        let rule = |argument: ArgumentRule, decision| {
            let args = [("a".to_owned(), argument)].into_iter().collect();
            Rule { args, decision, ..Rule::default() }
        };
        let text = |n: usize| Some(texts[n].clone());
        let mut rules = vec![
            rule(ArgumentRule { matches: text(0), ..ArgumentRule::default() }, DecisionRule::Ask),
            rule(ArgumentRule { within: text(1), ..ArgumentRule::default() }, DecisionRule::Deny),
            rule(ArgumentRule { command: text(2), ..ArgumentRule::default() }, DecisionRule::Allow),
            rule(ArgumentRule { equals: Some(value), ..ArgumentRule::default() }, DecisionRule::Deny),
            Rule { tool: texts[3].clone(), decision: DecisionRule::Allow, ..Rule::default() },
            Rule { decision: DecisionRule::Allow, ..Rule::default() },
        ];
        let before = judge(&Policy::new(rules.clone()), "fs", "read", &args).decision();
        rules.rotate_left(turn);
        prop_assert_eq!(judge(&Policy::new(rules), "fs", "read", &args).decision(), before);
    }

    /// Covers: S2-3
    #[test]
    fn command_prefix_covers_no_shell_syntax(rest in any::<String>()) {
        let text = format!("git status{rest}");
        let rule = ArgumentRule { command: Some("git status".to_owned()), ..ArgumentRule::default() };
        let rule = Rule { args: [("a".to_owned(), rule)].into_iter().collect(), ..Rule::default() };
        if rule.fits_args(&json!({"a": text})) {
            let plain = |c: char| c.is_ascii_alphanumeric() || " -_./:,@+=".contains(c);
            prop_assert!(text.chars().all(plain) && (rest.is_empty() || rest.starts_with(' ')), "{:?}", text);
        }
    }
}
