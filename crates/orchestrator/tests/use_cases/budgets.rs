//! What sessions and principals may spend: set aside before, counted after, shared by servers.

use crate::desk::{Desk, User, principal, wish};
use lockkeeper_domain::{
    BudgetAsked, BudgetOf, Code, EventBody, Failure, Measure, Outcome, Rule, Seq, Spend, StopReason, StoredRule, Usage,
};
use lockkeeper_orchestrator::{Limits, OnExceeded};
use lockkeeper_ports::{Clock, RuleRepository};
use lockkeeper_testkit::llm::{Gate, Step};
use serde_json::json;
use std::time::Duration;

fn usage(tokens: u64) -> Usage {
    Usage { input_tokens: tokens / 2, output_tokens: tokens - tokens / 2, ..Usage::default() }
}

fn echo() -> Step {
    Step::calls([("box__echo", json!({"text": "a"}))]).usage(usage(10))
}

fn words(tokens: u64) -> Step {
    Step::text("done").usage(usage(tokens))
}

fn desk(steps: impl IntoIterator<Item = Step>, change: impl FnOnce(&mut lockkeeper_orchestrator::Budgets)) -> Desk {
    let mut desk = Desk::new(steps);
    desk.rules = serde_json::from_value::<Vec<Rule>>(json!([{"decision": "allow"}])).expect("a rule");
    change(&mut desk.config.budgets);
    desk
}

async fn spent(ann: &User) -> (Spend, Spend) {
    let usage = ann.manager.usage(&ann.session, &ann.me).await.expect("usage");
    (usage.session.spent, usage.day.spent)
}

async fn sees_failure(ann: &mut User) -> Failure {
    ann.sees(|body| match body {
        EventBody::Failure(failure) => Some(failure.clone()),
        _ => None,
    })
    .await
}

async fn sees_question(ann: &mut User) -> BudgetAsked {
    ann.sees(|body| match body {
        EventBody::BudgetAsked(asked) => Some(asked.clone()),
        _ => None,
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn what_was_spent_is_counted_for_the_session_and_the_day() {
    let desk = desk([echo(), words(25), words(5)], |_| {});
    let mut ann = User::ready(&desk.manager()).await;
    assert_eq!(spent(&ann).await, (Spend::default(), Spend::default()));
    for _ in 0..2 {
        ann.says("go").await.expect("accepted");
        ann.sees_end().await;
    }
    let (session, day) = spent(&ann).await;
    assert_eq!((session.tokens, session.tool_calls), (40, 1));
    assert_eq!(session, day);
    let usage = ann.manager.usage(&ann.session, &ann.me).await.expect("usage");
    assert_eq!((usage.session.held, usage.day.held), (Spend::default(), Spend::default()));
    assert_eq!(usage.date.to_string(), "2026-01-01");
    // The day is the principal's, in UTC, and the session goes on.
    tokio::time::advance(Duration::from_hours(24)).await;
    let (session, day) = spent(&ann).await;
    assert_eq!((session.tokens, day), (40, Spend::default()));
    let stranger = ann.manager.usage(&ann.session, &principal("bob")).await.expect_err("not his");
    assert_eq!(stranger.code, Code::Forbidden);
}

#[tokio::test(start_paused = true)]
async fn a_turn_without_enough_tokens_ends_and_says_why() {
    let desk = desk([words(9_000)], |budgets| budgets.session.max_tokens = Some(10_000));
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("one").await.expect("accepted");
    assert_eq!(ann.sees_end().await, StopReason::EndTurn);
    ann.says("two").await.expect("accepted");
    let failure = sees_failure(&mut ann).await;
    assert_eq!(failure.code, Code::BudgetExceeded);
    assert!(failure.message.contains("9000 of 10000 tokens"), "{}", failure.message);
    assert!(failure.hint.is_some());
    assert_eq!(ann.sees_end().await, StopReason::Error);
    assert_eq!(desk.provider.requests().len(), 1, "nobody was asked");
}

#[tokio::test(start_paused = true)]
async fn an_answer_gets_no_longer_than_what_is_left() {
    let desk = desk([words(1_000), words(100)], |budgets| budgets.day.max_tokens = Some(6_000));
    let mut ann = User::ready(&desk.manager()).await;
    for _ in 0..2 {
        ann.says("go").await.expect("accepted");
        ann.sees_end().await;
    }
    let most: Vec<_> = desk.provider.requests().iter().map(|request| request.max_output_tokens).collect();
    assert!(most[0] < 6_000 && most[0] > 5_000, "{most:?}");
    assert!(most[1] < 5_000 && most[1] > 4_000, "{most:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_beyond_the_budget_is_not_run_and_the_turn_ends() {
    let desk = desk([echo(), echo(), words(5)], |budgets| budgets.session.max_tool_calls = Some(1));
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    assert_eq!(ann.sees_result().await.result.outcome, Outcome::Succeeded);
    assert_eq!(ann.sees_result().await.result.outcome, Outcome::Failed(Code::BudgetExceeded));
    assert_eq!(sees_failure(&mut ann).await.code, Code::BudgetExceeded);
    assert_eq!(ann.sees_end().await, StopReason::Error);
    assert_eq!(desk.host.calls().len(), 1);
    assert_eq!(desk.provider.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn time_is_what_models_and_tools_take_and_not_what_humans_do() {
    let gate = Gate::new();
    let slow = Step::new().wait(&gate).say("done").usage(usage(1));
    let mut desk = desk([echo(), slow, words(1)], |budgets| budgets.session.max_wall_secs = Some(100));
    desk.rules.clear();
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    ann.answers(&call, true).await.expect("approved");
    ann.sees_result().await;
    desk.provider.request(1).await;
    tokio::time::sleep(Duration::from_secs(101)).await;
    gate.open();
    ann.sees_end().await;
    let (session, _) = spent(&ann).await;
    assert!((101_000..102_000).contains(&session.wall_ms), "{session:?}");
    ann.says("more").await.expect("accepted");
    let failure = sees_failure(&mut ann).await;
    assert_eq!(failure.code, Code::BudgetExceeded);
    assert!(failure.message.contains("101 of 100 seconds"), "{}", failure.message);
}

#[tokio::test(start_paused = true)]
async fn a_human_lets_a_turn_go_on_to_its_end_and_the_next_one_asks_again() {
    let change = |budgets: &mut lockkeeper_orchestrator::Budgets| {
        budgets.on_exceeded = OnExceeded::Ask;
        budgets.session = Limits { max_tool_calls: Some(1), ..Limits::default() };
    };
    let desk = desk([echo(), echo(), echo(), words(5), echo(), words(5)], change);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let asked = sees_question(&mut ann).await;
    let question = asked.question.clone();
    assert_eq!((asked.of, asked.measure, asked.taken, asked.limit), (BudgetOf::Session, Measure::ToolCalls, 1, 1));
    assert_eq!(desk.host.calls().len(), 1, "the second waits");
    let snapshot = ann.manager.snapshot(&ann.session, &ann.me).await.expect("a snapshot");
    assert_eq!(snapshot.budget, Some(asked));
    ann.manager.answer_budget(&ann.session, &ann.me, true, question.clone()).await.expect("answered");
    let by = ann
        .sees(|body| match body {
            EventBody::BudgetAnswered(answered) => answered.by.clone(),
            _ => None,
        })
        .await;
    assert_eq!(by, ann.me.id);
    assert_eq!(ann.sees_end().await, StopReason::EndTurn);
    assert_eq!(desk.host.calls().len(), 3);
    assert_eq!(spent(&ann).await.0.tool_calls, 3, "what a human allowed is counted as well");
    let late = ann.manager.answer_budget(&ann.session, &ann.me, true, question).await.expect_err("nothing is asked");
    assert_eq!(late.code, Code::AlreadyResolved);
    ann.says("again").await.expect("accepted");
    let question = sees_question(&mut ann).await.question;
    ann.manager.answer_budget(&ann.session, &ann.me, false, question).await.expect("answered");
    assert_eq!(sees_failure(&mut ann).await.code, Code::BudgetExceeded);
    assert_eq!(ann.sees_end().await, StopReason::Error);
    assert_eq!(desk.host.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn silence_about_a_budget_is_a_no_and_the_question_outlives_its_server() {
    let change = |budgets: &mut lockkeeper_orchestrator::Budgets| {
        (budgets.on_exceeded, budgets.session.max_tokens) = (OnExceeded::Ask, Some(1_000));
    };
    let desk = desk([words(5)], change);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let asked = sees_question(&mut ann).await;
    assert_eq!(desk.provider.requests().len(), 0);
    ann.manager.drain(Duration::ZERO).await;
    let next = desk.manager();
    assert_eq!(next.resume_abandoned().await.expect("looked"), 1);
    let mut back = User::opens(&next, Seq::default()).await;
    let snapshot = back.manager.snapshot(&back.session, &back.me).await.expect("a snapshot");
    assert_eq!(snapshot.budget, Some(asked));
    assert_eq!(sees_failure(&mut back).await.code, Code::BudgetExceeded);
    assert_eq!(back.sees_end().await, StopReason::Error);
    assert_eq!(desk.provider.requests().len(), 0, "doubt never executes");
}

/// A call that waits for a human's word was never sent: whoever takes over sends it.
#[tokio::test(start_paused = true)]
async fn call_held_for_the_budget_is_sent_by_the_next_server() {
    let change = |budgets: &mut lockkeeper_orchestrator::Budgets| {
        (budgets.on_exceeded, budgets.session.max_tool_calls) = (OnExceeded::Ask, Some(1));
    };
    let desk = desk([echo(), echo(), words(5)], change);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let asked = sees_question(&mut ann).await;
    ann.manager.drain(Duration::ZERO).await;
    let next = desk.manager();
    assert_eq!(next.resume_abandoned().await.expect("looked"), 1);
    next.answer_budget(&ann.session, &ann.me, true, asked.question).await.expect("answered");
    assert_eq!(ann.sees_end().await, StopReason::EndTurn);
    let log = desk.store.log(&ann.session).await;
    let count = |is: fn(&EventBody) -> bool| log.iter().filter(|event| is(&event.body)).count();
    assert_eq!(count(|body| matches!(body, EventBody::ToolStarted { .. })), 2);
    let succeeded =
        |body: &EventBody| matches!(body, EventBody::ToolSettled(s) if s.result.outcome == Outcome::Succeeded);
    assert_eq!(count(succeeded), 2);
    assert_eq!(desk.host.calls().len(), 2);
}

/// A cancel tells of a call that waits for the budget that it did not run.
#[tokio::test(start_paused = true)]
async fn cancelled_call_that_was_held_for_the_budget_was_not_run() {
    let change = |budgets: &mut lockkeeper_orchestrator::Budgets| {
        (budgets.on_exceeded, budgets.session.max_tool_calls) = (OnExceeded::Ask, Some(1));
    };
    let desk = desk([echo(), echo()], change);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    ann.sees_result().await;
    sees_question(&mut ann).await;
    ann.manager.cancel(&ann.session, &ann.me).await.expect("cancelled");
    let result = ann.sees_result().await.result;
    assert!(result.text().contains("it was not run"), "{}", result.text());
    assert_eq!(ann.sees_end().await, StopReason::Cancelled);
}

/// A stored rule is revoked while its call waits for a human's word on the budget.
#[tokio::test(start_paused = true)]
async fn rule_revoked_while_its_call_is_held_lets_nothing_run() {
    let change = |budgets: &mut lockkeeper_orchestrator::Budgets| {
        (budgets.on_exceeded, budgets.session.max_tool_calls) = (OnExceeded::Ask, Some(1));
    };
    let mut desk = desk([echo(), echo(), words(5)], change);
    desk.rules.clear();
    let rule = json!({"server": "box", "tool": "echo", "user": "ann", "decision": "allow"});
    let rule = StoredRule::new(serde_json::from_value(rule).expect("a rule"), desk.clock.now());
    let mut ann = User::ready(&desk.manager()).await;
    desk.stored.put_rule(&ann.me.id, &rule).await.expect("stored");
    ann.says("go").await.expect("accepted");
    assert_eq!(ann.sees_result().await.result.outcome, Outcome::Succeeded);
    let asked = sees_question(&mut ann).await;
    ann.manager.revoke(&ann.me, &rule.id).await.expect("revoked");
    ann.manager.answer_budget(&ann.session, &ann.me, true, asked.question).await.expect("answered");
    let refused = ann.sees_result().await.result;
    assert_eq!(refused.outcome, Outcome::Failed(Code::Denied));
    assert!(refused.text().contains("was revoked"), "{}", refused.text());
    assert_eq!(desk.host.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn sessions_of_one_principal_on_two_servers_share_a_day() {
    let steps = (0..40).map(|_| echo());
    let desk = desk(steps, |budgets| budgets.day.max_tool_calls = Some(7));
    let managers = [desk.another().manager(), desk.another().manager()];
    let mut users = Vec::new();
    for n in 0..6 {
        let manager = &managers[n % 2];
        let attached = manager.open(wish(Some(&format!("s{n}")), "ann")).await.expect("opened");
        users.push(User::of(manager, attached, Seq::default()).await);
    }
    for user in &users {
        user.says("go").await.expect("accepted");
    }
    for user in &mut users {
        assert_eq!(user.sees_end().await, StopReason::Error);
    }
    assert_eq!(desk.host.calls().len(), 7);
    assert_eq!(spent(&users[0]).await.1.tool_calls, 7);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_broken_off_costs_what_was_heard_of_it() {
    let desk = desk([Step::new().say("x ".repeat(2_000)).hang()], |budgets| budgets.day.max_tokens = Some(100_000));
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    ann.sees(|body| matches!(body, EventBody::Delta { .. }).then_some(())).await;
    ann.manager.cancel(&ann.session, &ann.me).await.expect("cancelled");
    ann.sees_end().await;
    desk.provider.until_dropped(1).await;
    // It is counted aside, soon.
    let (mut session, mut held) = (Spend::default(), Spend::default());
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let usage = ann.manager.usage(&ann.session, &ann.me).await.expect("usage");
        (session, held) = (usage.session.spent, usage.day.held);
        if session.tokens > 0 {
            break;
        }
    }
    assert!((1_000..2_000).contains(&session.tokens), "{session:?}");
    assert_eq!(held, Spend::default());
}
