//! How far an approval for the session reaches, who may give one, and what becomes of approvals when the workspace is lost.

use crate::desk::{Desk, User, answer, principal};
use lockkeeper_domain::{
    Annotations, Answer, ApprovalResolved, Code, Decision, EventBody, GrantScope, NoticeKind, Outcome, Power, Rule,
    Scope,
};
use lockkeeper_ports::{Principal, SandboxId, SessionStore};
use lockkeeper_testkit::{llm::Step, tools::FakeTool};
use serde_json::{Value, json};

fn run(command: &str) -> Step {
    Step::calls([("box__run", json!({"command": command}))])
}

/// A desk whose one tool runs commands, and says of itself what a shell is.
fn desk(steps: impl IntoIterator<Item = Step>) -> Desk {
    let desk = Desk::new(steps);
    let shell = Annotations { destructive_hint: Some(true), open_world_hint: Some(true), ..Annotations::default() };
    desk.host.set_tools([FakeTool::echo("box", "run").annotated(shell)]);
    desk
}

/// A desk whose one tool says of itself that it does no harm.
fn harmless(steps: impl IntoIterator<Item = Step>) -> Desk {
    let desk = Desk::new(steps);
    let hints = Annotations { destructive_hint: Some(false), open_world_hint: Some(false), ..Annotations::default() };
    desk.host.set_tools([FakeTool::echo("box", "echo").annotated(hints)]);
    desk
}

fn echo(text: &str) -> Step {
    Step::calls([("box__echo", json!({"text": text}))])
}

async fn workspace(desk: &Desk, user: &User) -> Option<lockkeeper_domain::WorkspaceId> {
    let store: &dyn SessionStore = &desk.store;
    store.get(&user.session).await.expect("read").expect("there").workspace
}

fn rules(rules: Value) -> Vec<Rule> {
    serde_json::from_value(rules).expect("rules")
}

fn for_session(call: &lockkeeper_domain::CallId, grant: GrantScope) -> Answer {
    Answer { scope: Scope::Session, grant: Some(grant), ..answer(call, true) }
}

async fn is_resolved(user: &mut User) -> ApprovalResolved {
    user.sees(|body| match body {
        EventBody::ApprovalResolved(resolved) => Some(resolved.clone()),
        _ => None,
    })
    .await
}

/// Covers: S2-3
#[tokio::test(start_paused = true)]
async fn ask_rule_is_not_answered_by_a_grant() {
    let all_ask = [
        json!([{"tool": "echo", "decision": "ask"}]),
        json!([{"user": "ann", "decision": "ask"}]),
        json!([{"hints": {"open_world": false}, "decision": "ask"}]),
        json!([{"args": {"text": {"matches": "*"}}, "decision": "ask"}]),
        json!([{"decision": "allow"}, {"decision": "ask"}]),
    ];
    for asking in all_ask {
        let mut desk = harmless([echo("one"), echo("two"), Step::text("done")]);
        desk.rules = rules(asking);
        let mut ann = User::ready(&desk.manager()).await;
        ann.says("go").await.expect("accepted");
        let asked = ann.is_asked_about().await;
        assert_eq!(asked.scopes, []);
        for grant in [None, Some(GrantScope::Exact), Some(GrantScope::Tool)] {
            let refused = ann.decides(Answer { scope: Scope::Session, grant, ..answer(&asked.call, true) }).await;
            assert_eq!(refused.expect_err("not offered").code, Code::ScopeUnavailable);
        }
        ann.answers(&asked.call, true).await.expect("approved once");
        ann.is_asked().await;
    }
}

/// Covers: S2-3
#[tokio::test(start_paused = true)]
async fn ask_rule_that_comes_later_stands_above_a_grant() {
    let mut desk = harmless([echo("one"), Step::text("done"), echo("two"), Step::text("done")]);
    let book = lockkeeper_orchestrator::Rulebook::from(lockkeeper_domain::Policy::default());
    desk.rulebook = Some(book.clone());
    let asking = || lockkeeper_domain::Policy::new(rules(json!([{"tool": "echo", "decision": "ask"}])));
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let asked = ann.is_asked_about().await;
    book.replace(asking());
    let late = ann.decides(for_session(&asked.call, GrantScope::Tool)).await.expect_err("not offered any more");
    assert_eq!(late.code, Code::ScopeUnavailable);
    book.replace(lockkeeper_domain::Policy::default());
    ann.decides(for_session(&asked.call, GrantScope::Tool)).await.expect("granted");
    ann.sees_end().await;
    book.replace(asking());
    ann.says("more").await.expect("accepted");
    assert_ne!(ann.is_asked().await, asked.call);
}

/// Covers: S2-3
#[tokio::test(start_paused = true)]
async fn command_grant_covers_simple_commands_alone() {
    let commands = ["git status", "git status -s", "git status; rm -rf /workspace/*", "rm -rf ."];
    let desk = desk(commands.map(run).into_iter().chain([Step::text("done")]));
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let asked = ann.is_asked_about().await;
    let prefix = GrantScope::Command { argument: "command".to_owned(), prefix: "git status".to_owned() };
    assert_eq!(asked.scopes, [GrantScope::Exact, prefix.clone()]);
    let wide = GrantScope::Command { argument: "command".to_owned(), prefix: "git".to_owned() };
    for refused in [GrantScope::Tool, wide] {
        let refused = ann.decides(for_session(&asked.call, refused)).await.expect_err("not offered");
        assert_eq!(refused.code, Code::ScopeUnavailable);
    }
    ann.decides(for_session(&asked.call, prefix.clone())).await.expect("granted");
    assert_eq!(is_resolved(&mut ann).await.grant, Some(prefix));
    for command in &commands[2..] {
        let asked = ann.is_asked_about().await;
        assert_eq!(asked.args["command"], *command, "the second command ran by the grant");
        ann.answers(&asked.call, false).await.expect("denied");
    }
    ann.sees_end().await;
    assert_eq!(desk.host.calls().len(), 2);
}

/// Covers: S2-3
#[tokio::test(start_paused = true)]
async fn approver_decides_over_calls_as_they_are() {
    let mut desk = Desk::new([echo("a"), Step::text("done")]);
    desk.config.others = lockkeeper_orchestrator::Others::Approve;
    let manager = desk.manager();
    let mut ann = User::ready(&manager).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    let eve = Principal { powers: [Power::Approve].into_iter().collect(), ..principal("eve") };
    let edit = Answer { args: Some(json!({"text": "b"})), ..answer(&call, true) };
    for beyond in [edit, for_session(&call, GrantScope::Exact), for_session(&call, GrantScope::Tool)] {
        let refused = manager.decide(&ann.session, &eve, beyond).await.expect_err("refused");
        assert_eq!(refused.code, Code::Forbidden);
    }
    manager.decide(&ann.session, &eve, answer(&call, true)).await.expect("approved as it is");
    assert_eq!(is_resolved(&mut ann).await.by, Some(eve.id));
    ann.sees_end().await;
    assert_eq!(desk.host.calls()[0].args, json!({"text": "a"}));
}

/// Covers: S2-12
#[tokio::test(start_paused = true)]
async fn approval_for_a_lost_workspace_is_asked_again() {
    let desk = Desk::new([echo("a"), Step::text("done")]);
    let mut ann = User::ready(&desk.manager()).await;
    let first = workspace(&desk, &ann).await;
    assert!(first.is_some());
    ann.says("go").await.expect("accepted");
    let asked = ann.is_asked_about().await;
    desk.host.lose_sandbox(&SandboxId::new(ann.sandbox().await));
    ann.decides(Answer { digest: asked.digest, ..answer(&asked.call, true) }).await.expect("approved");
    assert_eq!(is_resolved(&mut ann).await.decision, Decision::Approved);
    assert_eq!(ann.sees_notice().await, NoticeKind::SandboxReplaced);
    assert_eq!(is_resolved(&mut ann).await.decision, Decision::Void);
    let again = ann.is_asked_about().await;
    assert_eq!((&again.call, again.digest == asked.digest), (&asked.call, false));
    assert!(again.why.contains("workspace was lost"), "{}", again.why);
    assert_ne!(workspace(&desk, &ann).await, first);
    assert_eq!(desk.host.calls().len(), 0, "nothing ran in the new workspace");
    let old = ann.decides(Answer { digest: asked.digest, ..answer(&asked.call, true) }).await.expect_err("the old one");
    assert_eq!(old.code, Code::ApprovalMismatch);
    ann.decides(Answer { digest: again.digest, ..answer(&asked.call, true) }).await.expect("approved");
    assert_eq!(ann.sees_result().await.result.outcome, Outcome::Succeeded);
    assert_eq!(desk.host.calls().len(), 1);
}

/// Covers: S2-12
#[tokio::test(start_paused = true)]
async fn grant_for_a_lost_workspace_covers_nothing() {
    let desk = harmless([echo("a"), echo("b"), Step::text("done"), echo("c"), Step::text("done")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let asked = ann.is_asked_about().await;
    ann.decides(for_session(&asked.call, GrantScope::Tool)).await.expect("granted");
    ann.sees_end().await;
    assert_eq!(desk.host.calls().len(), 2);
    // The call that finds the sandbox gone was let through by the grant: a human is asked about it.
    desk.host.lose_sandbox(&SandboxId::new(ann.sandbox().await));
    ann.says("more").await.expect("accepted");
    let asked = ann.is_asked_about().await;
    assert_eq!(asked.args["text"], "c");
    assert_eq!(desk.host.calls().len(), 2);
}

/// Covers: S2-12
#[tokio::test(start_paused = true)]
async fn waiting_question_is_asked_anew_after_a_takeover() {
    let desk = Desk::new([echo("a"), Step::text("done")]);
    let first = desk.manager();
    let mut ann = User::ready(&first).await;
    ann.says("go").await.expect("accepted");
    let before = ann.is_asked_about().await;
    first.drain(std::time::Duration::ZERO).await;
    let mut back = User::opens(&desk.another().manager(), lockkeeper_domain::Seq::default()).await;
    back.attached.ready().await.expect("ready");
    let old = Answer { digest: before.digest, ..answer(&before.call, true) };
    assert_eq!(back.decides(old).await.expect_err("for the workspace before").code, Code::ApprovalMismatch);
    let mut asked = back.is_asked_about().await;
    while asked.digest == before.digest {
        asked = back.is_asked_about().await;
    }
    back.decides(Answer { digest: asked.digest, ..answer(&asked.call, true) }).await.expect("approved");
    assert_eq!(back.sees_result().await.result.outcome, Outcome::Succeeded);
}
