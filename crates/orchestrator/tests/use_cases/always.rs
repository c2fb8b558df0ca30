//! Approvals for always: the rules that they store, and what stands above those.

use crate::desk::{Desk, User, answer, principal, wish};
use lockkeeper_domain::{
    Annotations, Answer, ApprovalRequired, CallId, CallStatus, Code, DecisionRule, EventBody, Policy, Rule, Scope,
};
use lockkeeper_orchestrator::Rulebook;
use lockkeeper_ports::RuleRepository;
use lockkeeper_testkit::{llm::Step, tools::FakeTool};
use serde_json::{Value, json};

const CALM: Annotations = Annotations {
    read_only_hint: Some(true),
    destructive_hint: Some(false),
    idempotent_hint: Some(true),
    open_world_hint: Some(false),
};

fn look(path: &str) -> Step {
    Step::calls([("box__look", json!({"path": path}))])
}

fn desk(steps: impl IntoIterator<Item = Step>) -> Desk {
    let desk = Desk::new(steps);
    desk.host.set_tools([FakeTool::says("box", "look", "seen").annotated(CALM), FakeTool::echo("box", "echo")]);
    desk
}

fn always(call: &CallId) -> Answer {
    Answer { scope: Scope::Always, ..answer(call, true) }
}

fn within(call: &CallId, path: &str) -> Answer {
    let constraints = serde_json::from_value(json!({"path": {"within": path}})).expect("constraints");
    Answer { constraints, ..always(call) }
}

async fn question(user: &mut User) -> ApprovalRequired {
    user.sees(|body| match body {
        EventBody::ApprovalRequired(asked) => Some(asked.clone()),
        _ => None,
    })
    .await
}

/// How the gate let the next step's first call stand.
async fn stand(user: &mut User) -> (CallStatus, String) {
    user.sees(|body| match body {
        EventBody::ToolCalls(calls) => Some((calls.gates[0].status, calls.gates[0].why.clone())),
        _ => None,
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn an_approval_for_always_stores_the_rule_that_was_shown_and_asks_no_more_anywhere() {
    let desk = desk([look("a"), look("b"), Step::text("done"), look("c"), Step::text("done")]);
    let manager = desk.manager();
    let mut ann = User::ready(&manager).await;
    ann.says("go").await.expect("accepted");
    let asked = question(&mut ann).await;
    let decided = ann.decides(always(&asked.call)).await.expect("approved");
    let stored = desk.stored.rules(&ann.me.id).await.expect("readable");
    assert_eq!(stored.iter().map(|rule| &rule.id).collect::<Vec<_>>(), [decided.rule.as_ref().expect("an id")]);
    assert_eq!(Some(&stored[0].rule), asked.always.as_ref(), "what is stored is what was shown");
    assert_eq!(ann.sees_answer().await, "done");
    let attached = manager.open(wish(Some("other"), "ann")).await.expect("opened");
    attached.ready().await.expect("ready");
    let mut elsewhere = User::of(&manager, attached, lockkeeper_domain::Seq::default()).await;
    elsewhere.says("go").await.expect("accepted");
    let (status, why) = stand(&mut elsewhere).await;
    assert_eq!(status, CallStatus::Allowed);
    assert!(why.contains(decided.rule.expect("an id").as_str()), "{why}");
    assert_eq!(elsewhere.sees_answer().await, "done");
    let used = desk.stored.rules(&ann.me.id).await.expect("readable");
    assert!(used[0].last_used_at.is_some(), "{used:?}");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_rule_asks_again_and_is_its_owners_alone() {
    let desk = desk([look("a"), Step::text("one"), look("b"), Step::text("two")]);
    let manager = desk.manager();
    let mut ann = User::ready(&manager).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    let id = ann.decides(always(&call)).await.expect("approved").rule.expect("an id");
    assert_eq!(ann.sees_answer().await, "one");
    let bob = principal("bob");
    assert_eq!(manager.revoke(&bob, &id).await.expect_err("not bob's").code, Code::UnknownRule);
    assert_eq!(manager.rules(&bob).await.expect("a list").stored, []);
    assert_eq!(manager.rules(&ann.me).await.expect("a list").stored.len(), 1);
    manager.revoke(&ann.me, &id).await.expect("revoked");
    assert_eq!(manager.revoke(&ann.me, &id).await.expect_err("gone").code, Code::UnknownRule);
    ann.says("again").await.expect("accepted");
    assert_eq!(stand(&mut ann).await.0, CallStatus::Waiting);
}

#[tokio::test(start_paused = true)]
async fn a_stored_rule_stands_below_those_of_the_operator_and_below_secrets() {
    let book = Rulebook::new(Policy::default());
    let secret = json!({"path": "AKIAIOSFODNN7EXAMPLE"});
    let steps = [look("a"), Step::text("1"), look("a"), Step::text("2"), look("a"), Step::text("3")];
    let steps = steps.into_iter().chain([Step::calls([("box__look", secret)]), Step::text("4")]);
    let desk = Desk { rulebook: Some(book.clone()), ..desk(steps) };
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    ann.decides(always(&call)).await.expect("approved");
    ann.sees_answer().await;
    for (decision, status) in [(DecisionRule::Ask, CallStatus::Waiting), (DecisionRule::Deny, CallStatus::Refused)] {
        book.replace(Policy::new(vec![Rule { decision, ..Rule::default() }]));
        ann.says("again").await.expect("accepted");
        assert_eq!(stand(&mut ann).await.0, status);
        if status == CallStatus::Waiting {
            let asked = question(&mut ann).await;
            assert_eq!(asked.always, None, "what the operator wants asked is not offered");
            ann.answers(&asked.call, true).await.expect("approved");
        }
        ann.sees_answer().await;
    }
    book.replace(Policy::default());
    ann.says("and a secret").await.expect("accepted");
    let asked = question(&mut ann).await;
    assert!(asked.always.is_none() && asked.why.contains("aws_key"), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_changed_tool_asks_again() {
    let desk = desk([look("a"), Step::text("one"), look("a"), Step::text("two")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    ann.decides(always(&call)).await.expect("approved");
    ann.sees_answer().await;
    ann.manager.drain(std::time::Duration::from_secs(20)).await;
    desk.host.set_tools([FakeTool::says("box", "look", "seen").annotated(CALM).annotated(CALM)]);
    let mut back = User::ready(&desk.manager()).await;
    back.says("again").await.expect("accepted");
    back.is_asked().await;
}

#[tokio::test(start_paused = true)]
async fn no_rule_is_stored_that_covers_a_call_denied_here_or_in_another_session() {
    let desk = desk([look("private/x"), Step::text("no"), look("notes/a"), Step::text("yes")]);
    let manager = desk.manager();
    let mut ann = User::ready(&manager).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    ann.answers(&call, false).await.expect("denied");
    ann.sees_answer().await;
    let attached = manager.open(wish(Some("other"), "ann")).await.expect("opened");
    attached.ready().await.expect("ready");
    let mut elsewhere = User::of(&manager, attached, lockkeeper_domain::Seq::default()).await;
    elsewhere.says("go").await.expect("accepted");
    let call = elsewhere.is_asked().await;
    for answer in [always(&call), within(&call, ".")] {
        assert_eq!(elsewhere.decides(answer).await.expect_err("denied before").code, Code::ScopeUnavailable);
    }
    elsewhere.decides(within(&call, "notes")).await.expect("narrow enough");
    let stored = desk.stored.rules(&ann.me.id).await.expect("readable");
    assert!(stored[0].rule.fits_args(&json!({"path": "notes/b"})));
    assert!(!stored[0].rule.fits_args(&json!({"path": "private/x"})), "{stored:?}");
}

#[tokio::test(start_paused = true)]
async fn what_may_do_harm_and_rules_beyond_the_limit_are_not_stored() {
    let calls = |path: &str| {
        Step::calls([("box__look", json!({ "path": path })), ("box__echo", Value::Object(serde_json::Map::new()))])
    };
    let mut desk = desk([calls("a"), Step::text("done")]);
    desk.config.max_rules_per_principal = 0;
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let asked = question(&mut ann).await;
    assert!(asked.always.is_some());
    let full = ann.decides(always(&asked.call)).await.expect_err("full");
    assert!(full.code == Code::ScopeUnavailable && full.hint.is_some_and(|hint| hint.contains("policy:list")));
    ann.answers(&asked.call, true).await.expect("it waits on");
    let asked = question(&mut ann).await;
    assert_eq!((asked.tool.as_str(), &asked.always), ("echo", &None), "nothing is known of its effects");
    assert_eq!(ann.decides(always(&asked.call)).await.expect_err("no").code, Code::ScopeUnavailable);
}
