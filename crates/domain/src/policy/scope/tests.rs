use super::*;
use crate::Annotations;
use serde_json::json;

fn harmless() -> Annotations {
    Annotations { destructive_hint: Some(false), open_world_hint: Some(false), ..Annotations::default() }
}

fn asked<'a>(hints: &'a Annotations, args: &'a Value) -> Asked<'a> {
    Asked { server: "s", tool: "t", hints, fingerprint: "f", args, user: "ann" }
}

fn grant(scope: GrantScope, args: &Value) -> Grant {
    let by = PrincipalId::parse("ann").expect("an id");
    let server = ServerName::new("s");
    let (tool, fingerprint, args) = ("t".to_owned(), "f".to_owned(), Some(args.clone()));
    Grant { server, tool, fingerprint, by, scope, args, workspace: None }
}

fn command(prefix: &str) -> GrantScope {
    GrantScope::Command { argument: "command".to_owned(), prefix: prefix.to_owned() }
}

fn path(within: &str) -> GrantScope {
    GrantScope::Path { argument: "path".to_owned(), within: within.to_owned() }
}

/// Covers: S2-3
#[test]
fn whole_risky_tool_is_not_offered() {
    let offered = |hints: &Annotations| GrantScope::offered(asked(hints, &json!({"a": 1})));
    let risky = [
        Annotations::default(),
        Annotations { destructive_hint: Some(true), ..harmless() },
        Annotations { open_world_hint: Some(true), ..harmless() },
        Annotations { open_world_hint: None, ..harmless() },
        Annotations { destructive_hint: None, ..harmless() },
        Annotations { read_only_hint: Some(true), ..Annotations::default() },
    ];
    for hints in &risky {
        assert_eq!(offered(hints), [GrantScope::Exact], "{hints:?}");
        let whole = grant(GrantScope::Tool, &json!({"a": 1}));
        assert!(!whole.covers(asked(hints, &json!({"a": 1}))), "one of an earlier version covers nothing");
    }
    assert_eq!(offered(&harmless()), [GrantScope::Exact, GrantScope::Tool]);
    let (hints, args) = (harmless(), json!({}));
    let nameless = Asked { fingerprint: "", ..asked(&hints, &args) };
    assert_eq!(GrantScope::offered(nameless), []);
}

#[test]
fn scopes_are_offered_by_the_arguments() {
    let risky = Annotations::default();
    let long = "x".repeat(MOST_BYTES);
    let cases = [
        (json!({"command": "git status -s"}), vec![GrantScope::Exact, command("git status")]),
        (json!({"command": "git status; ls"}), vec![GrantScope::Exact]),
        (json!({"path": "notes/./deep/a", "content": "x"}), vec![GrantScope::Exact, path("notes/deep")]),
        (json!({"path": "/w/a"}), vec![GrantScope::Exact, path("/w")]),
        (json!({"path": "a"}), vec![GrantScope::Exact]),
        (json!({"path": "notes/../a"}), vec![GrantScope::Exact]),
        (json!({"path": "notes\\a/b"}), vec![GrantScope::Exact]),
        (json!({"path": "a/b", "destination": "c/d"}), vec![GrantScope::Exact]),
        (json!({"path": "a/b", "command": "ls"}), vec![GrantScope::Exact]),
        (json!({"path": "a/b", "content": long}), vec![]),
    ];
    for (args, expected) in cases {
        assert_eq!(GrantScope::offered(asked(&risky, &args)), expected, "{args}");
    }
}

/// Covers: S2-3
#[test]
fn grant_covers_its_scope_and_nothing_else() {
    let risky = Annotations::default();
    let run = json!({"command": "git status", "timeout": 5});
    let write = json!({"path": "notes/a", "content": "x"});
    let cases = [
        (GrantScope::Exact, &run, json!({"timeout": 5.0, "command": "git status"}), true),
        (GrantScope::Exact, &run, json!({"command": "git status"}), false),
        (GrantScope::Exact, &run, json!({"command": "git status", "timeout": 5, "cwd": "/"}), false),
        (GrantScope::Exact, &run, json!({"command": "git  status", "timeout": 5}), false),
        (command("git status"), &run, json!({"command": "git status -s", "timeout": 5}), true),
        (command("git status"), &run, json!({"command": "git status -s", "timeout": 6}), false),
        (command("git status"), &run, json!({"command": "git status", "timeout": 5, "env": {"A": "b"}}), false),
        (command("git status"), &run, json!({"command": "git status; ls", "timeout": 5}), false),
        (command("git status"), &run, json!({"command": ["git status"], "timeout": 5}), false),
        (path("notes"), &write, json!({"path": "notes/b", "content": "y"}), true),
        (path("notes"), &write, json!({"path": "notes/b"}), true),
        (path("notes"), &write, json!({"path": "notes/../b", "content": "y"}), false),
        (path("notes"), &write, json!({"path": "/notes/b", "content": "y"}), false),
        (path("notes"), &write, json!({"path": "notesb", "content": "y"}), false),
        (path("notes"), &write, json!({"path": "notes/b", "content": "y", "mode": "x"}), false),
        (path("notes"), &write, json!({"content": "y"}), false),
    ];
    for (scope, granted, args, covers) in cases {
        let grant = grant(scope.clone(), granted);
        assert_eq!(grant.covers(asked(&risky, &args)), covers, "{scope:?} {args}");
        assert!(!grant.covers(Asked { fingerprint: "g", ..asked(&risky, &args) }), "another definition");
        assert!(!grant.covers(Asked { tool: "u", ..asked(&risky, &args) }), "another tool");
    }
}
