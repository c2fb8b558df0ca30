use crate::desk::{Desk, User, answer};
use lockkeeper_domain::{Answer, CallId, Code, EventBody, Outcome, Scope, Seq, StopReason};
use lockkeeper_testkit::llm::Step;
use serde_json::json;
use std::time::Duration;
use tokio::task::JoinSet;

fn echo(text: &str) -> Step {
    Step::calls([("box__echo", json!({"text": text}))])
}

#[tokio::test(start_paused = true)]
async fn a_denial_is_a_result_with_the_reason() {
    let desk = Desk::new([echo("a"), Step::text("as you wish")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    let reason = Some("not today".to_owned());
    ann.decides(Answer { reason, ..answer(&call, false) }).await.expect("denied");
    let settled = ann.sees_result().await;
    assert_eq!(settled.result.outcome, Outcome::Failed(Code::Denied));
    assert!(settled.result.text().contains("not today"));
    assert_eq!(ann.sees_answer().await, "as you wish");
    assert_eq!(desk.host.calls().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_on_a_human_and_silence_is_a_refusal() {
    let desk = Desk::new([echo("a"), Step::text("nobody there")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    assert_eq!(ann.sees_result().await.result.outcome, Outcome::Failed(Code::ApprovalExpired));
    assert_eq!(ann.sees_end().await, StopReason::EndTurn);
    let late = ann.answers(&call, true).await.expect_err("too late");
    assert_eq!(late.code, Code::AlreadyResolved);
    assert_eq!(desk.host.calls().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn of_many_answers_at_once_one_holds_and_the_call_runs_at_most_once() {
    for round in 0..50 {
        let desk = Desk::new([echo("a"), Step::text("done")]);
        let mut ann = User::ready(&desk.manager()).await;
        ann.says("go").await.expect("accepted");
        let call = ann.is_asked().await;
        let mut answers = JoinSet::new();
        for n in 0..20 {
            let (manager, session, me, call) = (ann.manager.clone(), ann.session.clone(), ann.me.clone(), call.clone());
            let approved = (n + round) % 2 == 0;
            answers
                .spawn(async move { manager.decide(&session, &me, answer(&call, approved)).await.map(|_| approved) });
        }
        let answers = answers.join_all().await;
        let held: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
        assert_eq!(held.len(), 1, "one answer holds");
        assert!(answers.iter().filter_map(|a| a.as_ref().err()).all(|f| f.code == Code::AlreadyResolved));
        ann.sees_end().await;
        assert_eq!(desk.host.calls().len(), usize::from(*held[0]));
    }
}

#[tokio::test(start_paused = true)]
async fn edited_arguments_are_checked_and_run_instead_of_the_models() {
    let mut desk = Desk::new([echo("a"), Step::text("done")]);
    let schema = json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]});
    desk.host.set_tools([lockkeeper_testkit::tools::FakeTool::echo("box", "echo").schema(schema)]);
    desk.rules = Vec::new();
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    let edit = async |args| ann.decides(Answer { args: Some(args), ..answer(&call, true) }).await;
    assert_eq!(edit(json!({"text": 7})).await.expect_err("refused").code, Code::InvalidArguments);
    edit(json!({"text": "b"})).await.expect("approved");
    ann.sees_end().await;
    assert_eq!(desk.host.calls()[0].args, json!({"text": "b"}));
}

#[tokio::test(start_paused = true)]
async fn a_grant_for_the_session_asks_no_more_for_that_tool() {
    let desk = Desk::new([echo("a"), echo("b"), Step::calls([("box__fail", json!({}))]), Step::text("done")]);
    let hints = lockkeeper_domain::Annotations {
        destructive_hint: Some(false),
        open_world_hint: Some(false),
        ..lockkeeper_domain::Annotations::default()
    };
    let tool = |name| lockkeeper_testkit::tools::FakeTool::echo("box", name).annotated(hints.clone());
    desk.host.set_tools([tool("echo"), tool("fail")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    ann.decides(Answer { scope: Scope::Session, ..answer(&call, true) }).await.expect("granted");
    let next = ann.is_asked().await;
    assert_eq!(next.as_str(), "call_1_2_0", "the second echo ran by the grant, and another tool asks");
    assert_eq!(desk.host.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn invalid_answers_change_nothing() {
    let desk = Desk::new([echo("a"), Step::text("done")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    let unknown = CallId::parse("call_7_0_0").expect("an id");
    assert_eq!(ann.answers(&unknown, true).await.expect_err("unknown").code, Code::UnknownCall);
    let always = ann.decides(Answer { scope: Scope::Always, ..answer(&call, true) }).await;
    assert_eq!(always.expect_err("not offered").code, Code::ScopeUnavailable);
    ann.answers(&call, true).await.expect("still open");
}

#[tokio::test(start_paused = true)]
async fn an_approval_waits_while_nobody_is_connected() {
    let desk = Desk::new([echo("a"), Step::text("done")]);
    let manager = desk.manager();
    let mut ann = User::ready(&manager).await;
    ann.says("go").await.expect("accepted");
    ann.is_asked().await;
    drop(ann);
    tokio::time::advance(Duration::from_mins(1)).await;
    let mut back = User::opens(&manager, lockkeeper_domain::Seq::default()).await;
    let snapshot = manager.snapshot(&back.session, &back.me).await.expect("a snapshot");
    let (_, question) = &snapshot.pending[0];
    assert!(snapshot.calls[0].waiting);
    back.answers(&question.call, true).await.expect("approved");
    assert_eq!(back.sees_answer().await, "done");
    let asked =
        desk.store.log(&back.session).await.iter().filter(|e| matches!(e.body, EventBody::ApprovalRequired(_))).count();
    assert_eq!(asked, 1);
}

#[tokio::test(start_paused = true)]
async fn c6_an_answer_with_the_digest_of_another_question_is_refused() {
    let desk = Desk::new([echo("a"), Step::text("done")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let question = ann.is_asked_about().await;
    let digest = question.digest.expect("a digest");
    let gives = async |digest| ann.decides(Answer { digest: Some(digest), ..answer(&question.call, true) }).await;
    let other = lockkeeper_domain::Digest::of_bytes(b"another");
    assert_eq!(gives(other).await.expect_err("refused").code, Code::ApprovalMismatch);
    gives(digest).await.expect("approved");
    ann.sees_end().await;
    assert_eq!(desk.host.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_question_of_other_rules_is_asked_anew_by_the_next_server_and_its_old_answer_runs_nothing() {
    let mut desk = Desk::new([echo("a"), Step::text("done")]);
    let first = desk.manager();
    let mut ann = User::ready(&first).await;
    ann.says("go").await.expect("accepted");
    let asked = ann.is_asked_about().await;
    first.drain(Duration::ZERO).await;
    // The next one has a rule more, about another tool.
    desk.rules = serde_json::from_value(json!([{"tool": "other", "decision": "deny"}])).expect("a rule");
    let second = desk.manager();
    second.resume_abandoned().await.expect("the store answers");
    let mut ann = User::opens(&second, Seq::default()).await;
    ann.is_asked_about().await;
    let anew = ann.is_asked_about().await;
    assert_eq!((&anew.call, &anew.args), (&asked.call, &asked.args));
    assert_ne!(anew.digest, asked.digest);
    let old = ann.decides(Answer { digest: asked.digest, ..answer(&asked.call, true) }).await;
    assert_eq!(old.expect_err("refused").code, Code::ApprovalMismatch);
    assert_eq!(desk.host.calls().len(), 0);
    ann.decides(Answer { digest: anew.digest, ..answer(&anew.call, true) }).await.expect("approved");
    ann.sees_end().await;
    assert_eq!(desk.host.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c4_of_ten_thousand_decisions_that_race_for_one_call_one_holds() {
    const RACERS: usize = 10_000;
    let mut desk = Desk::new([echo("a"), Step::text("done")]);
    desk.config.mailbox = RACERS + 64;
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let question = ann.is_asked_about().await;
    let mut racers = JoinSet::new();
    for n in 0..RACERS {
        let (manager, session, me) = (ann.manager.clone(), ann.session.clone(), ann.me.clone());
        let answer = Answer { digest: question.digest, ..answer(&question.call, n % 2 == 0) };
        racers.spawn(async move { manager.decide(&session, &me, answer.clone()).await.map(|_| answer.approved) });
    }
    let (held, lost): (Vec<_>, Vec<_>) = racers.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((held.len(), lost.len()), (1, RACERS - 1));
    assert!(lost.iter().all(|lost| lost.as_ref().is_err_and(|failure| failure.code == Code::AlreadyResolved)));
    ann.sees_end().await;
    let approved = held.into_iter().flatten().next().expect("one held");
    assert_eq!(desk.host.calls().len(), usize::from(approved));
}
