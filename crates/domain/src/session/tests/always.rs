//! Approvals for always, and rules that change while calls wait.

use super::world::{World, ask, offered, someone};
use crate::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn always(call: &str, constraints: Value) -> Answer {
    Answer {
        grant: None,
        call: CallId::parse(call).expect("an id"),
        approved: true,
        scope: Scope::Always,
        reason: None,
        args: None,
        constraints: serde_json::from_value::<BTreeMap<String, ArgumentRule>>(constraints).expect("constraints"),
        digest: None,
        by: someone(),
        via: Via::default(),
        rule: None,
    }
}

fn refusal(world: &World, answer: &Answer) -> Option<Code> {
    world.session.rule_to_store(answer).err().map(|refusal| refusal.code)
}

#[test]
fn an_approval_for_always_needs_its_rule_stored_first() {
    let mut world = World::acting([offered("read", json!({"path": "notes/a"}))]);
    let mut answer = always("call_1_0_0", json!({}));
    let rule = world.session.rule_to_store(&answer).expect("offered").expect("a rule");
    assert_eq!(world.questions()[0].always.as_ref(), Some(&rule), "what is stored is what was shown");
    let refused = world.follow(Command::Decide(answer.clone())).expect_err("nothing was stored");
    assert_eq!(refused.code, Code::ScopeUnavailable);
    answer.rule = Some(RuleId::parse("r1").expect("an id"));
    world.follow(Command::Decide(answer)).expect("approved");
    let resolved = world.log.iter().find_map(|event| match &event.body {
        EventBody::ApprovalResolved(resolved) => Some(resolved.clone()),
        _ => None,
    });
    let resolved = resolved.expect("resolved");
    assert_eq!((resolved.scope, resolved.rule), (Scope::Always, Some(RuleId::parse("r1").expect("an id"))));
}

#[test]
fn a_rule_may_be_narrowed_to_what_covers_the_call() {
    let world = World::acting([offered("read", json!({"path": "notes/a"}))]);
    let narrowed = always("call_1_0_0", json!({"path": {"within": "notes"}}));
    let rule = world.session.rule_to_store(&narrowed).expect("offered").expect("a rule");
    assert!(rule.fits_args(&json!({"path": "notes/b"})) && !rule.fits_args(&json!({"path": "other"})));
    for bad in [json!({"path": {"within": "other"}}), json!({"path": {}}), json!({"path": {"within": "a/../.."}})] {
        assert_eq!(refusal(&world, &always("call_1_0_0", bad.clone())), Some(Code::InvalidPayload), "{bad}");
    }
    let mut edited = narrowed;
    edited.args = Some(json!({"path": "elsewhere"}));
    assert_eq!(refusal(&world, &edited), Some(Code::InvalidPayload), "it does not cover what would run");
}

#[test]
fn always_is_for_calls_that_it_is_offered_for() {
    let world = World::acting([ask("rm")]);
    assert_eq!(refusal(&world, &always("call_1_0_0", json!({}))), Some(Code::ScopeUnavailable));
    assert_eq!(refusal(&world, &always("call_9_0_0", json!({}))), Some(Code::UnknownCall));
    let denial = Answer { approved: false, ..always("call_1_0_0", json!({})) };
    assert_eq!(world.session.rule_to_store(&denial), Ok(None), "a denial stores nothing");
}

#[test]
fn a_denied_call_keeps_rules_that_would_cover_it_from_being_offered_and_stored() {
    let call = |path: &str| offered("read", json!({"path": path}));
    let mut world = World::acting([call("secret/key"), call("notes/a")]);
    world.answer("call_1_0_0", false, Scope::Once, None, None).expect("denied");
    assert_eq!(world.questions().last().expect("asked").always, None, "the wide rule would cover the denied call");
    assert_eq!(refusal(&world, &always("call_1_0_1", json!({}))), Some(Code::ScopeUnavailable));
    let narrow = always("call_1_0_1", json!({"path": {"within": "notes"}}));
    assert!(world.session.rule_to_store(&narrow).expect("narrow enough").is_some());
    world.crash();
    assert!(!world.session.denials().is_empty(), "a successor knows of it");
}

#[test]
fn a_rule_that_came_later_refuses_what_waits_and_nothing_else() {
    let mut world = World::acting([ask("a"), ask("b")]);
    world.approve("call_1_0_1").expect("approved");
    let denied = ["call_1_0_0", "call_1_0_1", "call_7_0_0"].map(|id| CallId::parse(id).expect("an id"));
    world.does(Command::Forbid(denied.map(|call| (call, "rule 1 denies it".to_owned())).to_vec()));
    assert_eq!(world.result_of("call_1_0_0").outcome, Outcome::Failed(Code::Denied));
    assert!(world.result_of("call_1_0_0").text().contains("rule 1"));
    assert!(world.session.denials().is_empty(), "no human denied it");
    world.settles("call_1_0_1", "it ran");
    assert_eq!(world.result_of("call_1_0_1").text(), "it ran");
}
