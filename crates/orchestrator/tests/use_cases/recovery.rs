use crate::desk::{Desk, User, answer};
use lockkeeper_domain::{
    Annotations, Answer, Code, Content, Event, EventBody, NoticeKind, Outcome, Rule, Seq, StopReason, ToolResult,
};
use lockkeeper_ports::Clock;
use lockkeeper_testkit::{
    llm::{Gate, Step},
    tools::{FakeTool, FakeToolHost},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

fn allow_all() -> Vec<Rule> {
    serde_json::from_value(json!([{"decision": "allow"}])).expect("a rule")
}

fn dense(log: &[lockkeeper_domain::Event]) {
    for (n, event) in (1..).zip(log) {
        assert_eq!(event.id.seq, Seq::new(n), "the log has no hole");
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_server_takes_up_an_answer_where_the_log_ends() {
    let desk = Desk::new([Step::new().say("Once ").hang(), Step::text("Once upon a time")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("tell").await.expect("accepted");
    ann.sees(|body| matches!(body, EventBody::Delta { .. }).then_some(())).await;
    ann.manager.drain(Duration::ZERO).await;

    let next = desk.manager();
    assert_eq!(next.resume_abandoned().await.expect("looked"), 1);
    let mut back = User::opens(&next, Seq::default()).await;
    let mut attempts = Vec::new();
    let answer = back
        .sees(|body| match body {
            EventBody::Delta { attempt, .. } => {
                attempts.push(*attempt);
                None
            }
            EventBody::Response { message, .. } => Some(message.text.clone()),
            _ => None,
        })
        .await;
    attempts.dedup();
    assert_eq!((answer.as_str(), attempts), ("Once upon a time", vec![0, 1]));
    assert_eq!(back.sees_end().await, StopReason::EndTurn);
    dense(&desk.store.log(&back.session).await);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_cut_off_has_an_unknown_outcome_and_is_not_run_again() {
    let mut desk = Desk::new([Step::calls([("box__hang", json!({}))]), Step::text("I do not know")]);
    desk.rules = allow_all();
    let ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    desk.host.wait_for_calls(1).await;
    ann.manager.drain(Duration::ZERO).await;

    let next = desk.manager();
    next.resume_abandoned().await.expect("looked");
    let mut back = User::opens(&next, Seq::default()).await;
    assert_eq!(back.sees_result().await.result.outcome, Outcome::Failed(Code::OutcomeUnknown));
    assert_eq!(back.sees_answer().await, "I do not know");
    assert_eq!(desk.host.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pending_approval_survives_the_server() {
    let desk = Desk::new([Step::calls([("box__echo", json!({"text": "a"}))]), Step::text("done")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    ann.manager.drain(Duration::from_secs(20)).await;

    let mut back = User::ready(&desk.manager()).await;
    let snapshot = back.manager.snapshot(&back.session, &back.me).await.expect("a snapshot");
    assert_eq!(snapshot.pending[0].1.call, call);
    back.answers(&call, true).await.expect("approved");
    assert_eq!(back.sees_answer().await, "done");
    assert_eq!(desk.host.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_a_turn_finish_and_takes_no_new_message() {
    let gate = Gate::new();
    let desk = Desk::new([Step::new().wait(&gate).say("done")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    desk.provider.request(0).await;
    let manager = Arc::clone(&ann.manager);
    let drain = async { manager.drain(Duration::from_secs(20)).await };
    let meanwhile = async {
        assert_eq!(ann.says("more").await.expect_err("draining").code, Code::Draining);
        gate.open();
        ann.sees_end().await
    };
    let (drained, end) = tokio::join!(drain, meanwhile);
    assert_eq!(end, StopReason::EndTurn);
    assert_eq!((drained.finished, drained.cut), (1, 0));
    assert_eq!(manager.live_sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_a_moment_delays_a_step_and_loses_nothing() {
    let desk = Desk::new([Step::text("one")]);
    let mut ann = User::ready(&desk.manager()).await;
    desk.store.fail_commits(5);
    ann.says("hi").await.expect("accepted in the end");
    assert_eq!(ann.sees_answer().await, "one");
    dense(&desk.store.log(&ann.session).await);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_refuses_the_message_and_the_session_comes_back_with_it() {
    let desk = Desk::new([Step::text("one")]);
    let mut ann = User::ready(&desk.manager()).await;
    desk.store.fail_commits(1_000);
    let failure = ann.says("hi").await.expect_err("not stored, so not accepted");
    assert_eq!(failure.code, Code::StoreUnavailable);
    desk.store.fail_commits(0);
    // What was refused is not in the history, and the sandbox is the same.
    tokio::time::sleep(Duration::from_secs(1)).await;
    ann.says("hi again").await.expect("accepted");
    assert_eq!(ann.sees_answer().await, "one");
    assert_eq!(*desk.stopped.lock().expect("no panic"), [], "no sandbox was removed");
    let users = |event: &&Event| matches!(&event.body, EventBody::UserMessage { .. });
    assert_eq!(desk.store.log(&ann.session).await.iter().filter(users).count(), 1);
}

/// A store that does not answer says nothing about the sandbox, nor about a call that runs in it.
#[tokio::test(start_paused = true)]
async fn store_outage_keeps_sandbox_and_running_call() {
    let mut desk = Desk::new([Step::calls([("box__wait", json!({}))]), Step::text("done")]);
    desk.rules = allow_all();
    desk.host = FakeToolHost::new([FakeTool::new("box", "wait", |_, _| async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        ToolResult::succeeded(vec![Content::text("waited")])
    })]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    ann.sees(|body| matches!(body, EventBody::ToolStarted { .. }).then_some(())).await;
    desk.store.go_away();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let refused = ann.says("are you there?").await.expect_err("the store is away");
    assert_eq!(refused.code, Code::StoreUnavailable);
    desk.store.come_back();
    assert_eq!(ann.sees_result().await.result.text(), "waited");
    assert_eq!(ann.sees_answer().await, "done");
    assert_eq!(ann.sees_end().await, StopReason::EndTurn);
    assert_eq!(*desk.stopped.lock().expect("no panic"), [], "no sandbox was removed");
    assert_eq!(ann.manager.live_sessions(), 1);
    dense(&desk.store.log(&ann.session).await);
}

/// An approval that was told as failed lets nothing run later.
#[tokio::test(start_paused = true)]
async fn approval_refused_in_an_outage_runs_no_call() {
    let desk = Desk::new([Step::calls([("box__echo", json!({"text": "a"}))]), Step::text("done")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let asked = ann.is_asked().await;
    desk.store.go_away();
    let refused = ann.answers(&asked, true).await.expect_err("the store is away");
    assert_eq!(refused.code, Code::StoreUnavailable);
    desk.store.come_back();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let log = desk.store.log(&ann.session).await;
    assert!(!log.iter().any(|event| matches!(event.body, EventBody::ToolStarted { .. })), "{log:?}");
    ann.answers(&asked, true).await.expect("the question still waits");
    assert_eq!(ann.sees_answer().await, "done");
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_lost_its_lease_writes_nothing_more() {
    let gate = Gate::new();
    let desk = Desk::new([Step::new().wait(&gate).say("too late")]);
    let ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    desk.provider.request(0).await;
    let written = desk.store.log(&ann.session).await.len();
    desk.store.steal(&ann.session, desk.clock.now()).await;
    gate.open();
    let refused = ann.manager.submit(
        &ann.session,
        &ann.me,
        lockkeeper_orchestrator::NewMessage {
            text: "more".to_owned(),
            attachments: Vec::new(),
            client_message_id: None,
        },
    );
    assert_eq!(refused.await.expect_err("lost").code, Code::OwnedElsewhere);
    assert_eq!(desk.store.log(&ann.session).await.len(), written);
}

#[tokio::test(start_paused = true)]
async fn a_reset_and_an_end_keep_their_promises() {
    let desk = Desk::new([Step::text("one"), Step::text("two")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("hi").await.expect("accepted");
    ann.sees_end().await;
    ann.manager.reset(&ann.session, &ann.me).await.expect("reset");
    assert_eq!(ann.sees_notice().await, NoticeKind::HistoryReset);
    let history = async || ann.manager.history(&ann.session, &ann.me, None, 10).await.expect("history").messages;
    assert_eq!(history().await.len(), 0);
    ann.says("hi").await.expect("accepted");
    ann.sees_end().await;
    ann.manager.end(&ann.session, &ann.me).await.expect("ended");
    let history = ann.manager.history(&ann.session, &ann.me, None, 10).await.expect("history").messages;
    assert_eq!(history.len(), 2, "the history stays");
}

#[tokio::test(start_paused = true)]
async fn the_history_is_read_page_by_page() {
    let desk = Desk::new((0..5).map(|n| Step::text(n.to_string())));
    let mut ann = User::ready(&desk.manager()).await;
    for n in 0..5 {
        ann.says(&n.to_string()).await.expect("accepted");
        ann.sees_end().await;
    }
    let (mut before, mut seen) = (None, 0);
    loop {
        let page = ann.manager.history(&ann.session, &ann.me, before, 4).await.expect("a page");
        seen += page.messages.len();
        before = page.before;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, 10);
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_is_another_one_after_a_restart_does_not_run_by_the_old_approval() {
    let desk = Desk::new([Step::calls([("box__echo", json!({"text": "a"}))]), Step::text("done")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    ann.manager.drain(Duration::from_secs(20)).await;

    let destructive = Annotations { destructive_hint: Some(true), ..Annotations::default() };
    desk.host.set_tools([FakeTool::echo("box", "echo").annotated(destructive)]);
    let mut back = User::ready(&desk.manager()).await;
    assert_eq!(back.sees_result().await.result.outcome, Outcome::Failed(Code::ToolChanged));
    assert_eq!(back.answers(&call, true).await.expect_err("void").code, Code::AlreadyResolved);
    assert_eq!(back.sees_answer().await, "done");
    assert_eq!(desk.host.calls().len(), 0, "what was asked about was another tool");
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_came_meanwhile_stops_a_call_and_an_edit_that_it_denies() {
    let rules = |path: &str| {
        serde_json::from_value(json!([{"args": {"text": {"equals": path}}, "decision": "deny"}])).expect("a rule")
    };
    let mut desk = Desk::new([Step::calls([("box__echo", json!({"text": "a"}))]), Step::text("done")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    ann.manager.drain(Duration::from_secs(20)).await;

    desk.rules = rules("b");
    let edited = User::ready(&desk.manager()).await;
    let edit = Answer { args: Some(json!({"text": "b"})), ..answer(&call, true) };
    assert_eq!(edited.decides(edit).await.expect_err("denied by a rule").code, Code::Denied);
    edited.manager.drain(Duration::from_secs(20)).await;

    desk.rules = rules("a");
    let mut back = User::ready(&desk.manager()).await;
    assert_eq!(back.answers(&call, true).await.expect_err("the rule was first").code, Code::AlreadyResolved);
    assert_eq!(back.sees_result().await.result.outcome, Outcome::Failed(Code::Denied));
    assert_eq!(desk.host.calls().len(), 0);
}
