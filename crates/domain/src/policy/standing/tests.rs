use super::*;
use proptest::prelude::*;
use serde_json::json;

const CALM: Annotations = Annotations {
    read_only_hint: Some(true),
    destructive_hint: None,
    idempotent_hint: None,
    open_world_hint: Some(false),
};

fn asked<'a>(tool: &'a str, hints: &'a Annotations, args: &'a Value) -> Asked<'a> {
    Asked { server: "fs", tool, hints, fingerprint: "f1", args, user: "ann" }
}

#[test]
fn an_always_rule_is_about_this_tool_as_it_is_and_this_user() {
    let args = json!({"path": "a"});
    let call = asked("read", &CALM, &args);
    let rule = Rule::always(call).expect("offered");
    assert!(rule.covers(call));
    for other in [
        Asked { fingerprint: "f2", ..call },
        Asked { user: "bob", ..call },
        Asked { server: "web", ..call },
        Asked { tool: "reads", ..call },
    ] {
        assert!(!rule.covers(other), "{other:?}");
    }
    assert_eq!(
        serde_json::to_value(&rule).expect("JSON"),
        json!({
            "server": "fs", "tool": "read", "user": "ann", "fingerprint": "f1", "decision": "allow",
        })
    );
}

#[test]
fn what_may_do_harm_or_has_a_star_in_its_name_is_not_offered() {
    let args = json!({});
    let hints = |read_only, destructive, open_world| Annotations {
        read_only_hint: read_only,
        destructive_hint: destructive,
        open_world_hint: open_world,
        ..Annotations::default()
    };
    for (hints, offered) in [
        (hints(Some(true), None, Some(false)), true),
        (hints(None, Some(false), Some(false)), true),
        (hints(Some(true), Some(true), Some(false)), false),
        (hints(None, None, Some(false)), false),
        (hints(Some(true), None, None), false),
        (hints(Some(true), Some(false), Some(true)), false),
    ] {
        assert_eq!(Rule::always(asked("read", &hints, &args)).is_some(), offered, "{hints:?}");
    }
    assert_eq!(Rule::always(asked("re*", &CALM, &args)), None);
    assert_eq!(Rule::always(Asked { user: "*", ..asked("read", &CALM, &args) }), None);
    assert_eq!(Rule::always(Asked { fingerprint: "", ..asked("read", &CALM, &args) }), None);
}

#[test]
fn what_is_too_much_to_remember_counts_for_the_whole_tool() {
    let server = ServerName::new("fs");
    let mut denials = Denials::default();
    denials.remember(&server, "write", &json!({"text": "x".repeat(Denials::MOST_BYTES)}));
    for n in 0..Denials::MOST {
        denials.remember(&server, "read", &json!({"path": n.to_string()}));
    }
    let args = json!({"path": "other"});
    assert!(denials.hold(asked("write", &CALM, &args)) && !denials.hold(asked("read", &CALM, &args)));
    denials.remember(&server, "read", &json!({"path": "0"}));
    assert!(!denials.hold(asked("read", &CALM, &args)), "the same call again is nothing more to remember");
    denials.remember(&server, "read", &json!({"path": "one more"}));
    assert!(denials.hold(asked("read", &CALM, &args)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// However a rule is narrowed: if it is not held back, it covers no call that was denied, whoever asks for it.
    #[test]
    fn a_rule_that_may_be_stored_covers_no_denied_call(
        denied in prop::collection::vec((prop::sample::select(vec!["read", "list", "stat"]), 0_usize..6), 0..100),
        tool in prop::sample::select(vec!["read", "list", "stat"]),
        within in prop::option::of(prop::sample::select(vec!["a", "a/b", "c"])),
        fingerprint in prop::sample::select(vec!["f1", "f2"]),
    ) {
        let paths = ["a", "a/b", "a/b/c", "c", "d", "../a"];
        let mut denials = Denials::default();
        for (tool, path) in &denied {
            denials.remember(&ServerName::new("fs"), tool, &json!({"path": paths[*path]}));
        }
        let args = json!({"path": "a/b"});
        let mut rule = Rule::always(asked(tool, &CALM, &args)).expect("offered");
        if let Some(path) = within {
            let constraint = super::super::ArgumentRule { within: Some(path.to_owned()), ..Default::default() };
            rule.args.insert("path".to_owned(), constraint);
        }
        let covered = denied.iter().any(|(tool, path)| {
            let args = json!({"path": paths[*path]});
            rule.covers(Asked { fingerprint: "f1", ..asked(tool, &CALM, &args) })
        });
        // The calls that were denied may have been of another definition of the tool: they count all the same.
        prop_assert_eq!(denials.any_within(&Rule { fingerprint: None, ..rule.clone() }), covered);
        rule.fingerprint = Some(fingerprint.to_owned());
        prop_assert!(denials.any_within(&rule) || !covered);
    }
}
