//! Several servers over one store: clients of any of them use any session.

use crate::desk::{Desk, User, principal, wish};
use lockkeeper_domain::{Code, Decision, Event, EventBody, NoticeKind, Outcome, Seq, StopReason};
use lockkeeper_orchestrator::{LiveEvent, SessionManager};
use lockkeeper_testkit::llm::{Gate, Step};
use serde_json::json;
use std::sync::Arc;

fn echo() -> Step {
    Step::calls([("box__echo", json!({"text": "a"}))])
}

/// A user at the server that drives the session, and the same user at another one.
async fn two_views(desk: &Desk) -> (User, User) {
    let owner = User::ready(&desk.another().manager()).await;
    let other = User::ready(&desk.another().manager()).await;
    assert_eq!((owner.manager.live_sessions(), other.manager.live_sessions()), (1, 0), "one server drives it");
    (owner, other)
}

#[tokio::test(start_paused = true)]
async fn a_session_is_opened_once_however_many_servers_are_asked() {
    let desk = Desk::new([]);
    let managers: Vec<Arc<SessionManager>> = (0..5).map(|_| desk.another().manager()).collect();
    let opened = futures::future::join_all(managers.iter().map(User::ready)).await;
    let first = opened[0].sandbox().await;
    for user in &opened {
        assert_eq!(user.sandbox().await, first);
    }
    assert_eq!(managers.iter().map(|m| m.live_sessions()).sum::<usize>(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_command_reaches_the_owner_from_another_server() {
    let desk = Desk::new([echo(), Step::text("done"), Step::new().say("long").hang()]);
    let (mut owner, mut other) = two_views(&desk).await;
    assert!(!other.says("go").await.expect("accepted").duplicate);
    let call = other.is_asked().await;
    other.answers(&call, true).await.expect("approved");
    assert_eq!((owner.sees_answer().await, other.sees_answer().await), ("done".to_owned(), "done".to_owned()));
    other.says("more").await.expect("accepted");
    desk.provider.request(2).await;
    other.manager.cancel(&other.session, &other.me).await.expect("cancelled");
    assert_eq!(owner.sees_end().await, StopReason::EndTurn);
    assert_eq!(owner.sees_end().await, StopReason::Cancelled);
    let nothing = other.manager.cancel(&other.session, &other.me).await.expect_err("nothing runs");
    assert_eq!(nothing.code, Code::NothingRunning);
    other.manager.reset(&other.session, &other.me).await.expect("reset");
    assert_eq!(owner.sees_notice().await, NoticeKind::HistoryReset);
    other.manager.end(&other.session, &other.me).await.expect("ended");
    assert_eq!(owner.sees_notice().await, NoticeKind::SessionEnded);
    assert_eq!(desk.host.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_sent_through_two_servers_is_taken_once() {
    let desk = Desk::new([Step::text("one")]);
    let (mut owner, other) = two_views(&desk).await;
    let (here, there) = tokio::join!(owner.says_as(Some("m1"), "hi"), other.says_as(Some("m1"), "hi"));
    let (here, there) = (here.expect("accepted"), there.expect("accepted"));
    assert_eq!(here.turn, there.turn);
    assert!(here.duplicate != there.duplicate, "one of them came first");
    owner.sees_end().await;
    assert_eq!(desk.provider.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_logged_reaches_views_on_other_servers() {
    let gate = Gate::new();
    let mut desk = Desk::new([Step::calls([("box__slow", json!({}))]), Step::new().wait(&gate)]);
    desk.rules = serde_json::from_value(json!([{"decision": "allow"}])).expect("a rule");
    let (_owner, mut other) = two_views(&desk).await;
    other.says("go").await.expect("accepted");
    let (mut thinking, mut progress) = (0, 0);
    while (thinking, progress) != (2, 3) {
        match other.attached.live().recv().await.expect("news").event {
            LiveEvent::Thinking(turn) => thinking += turn.get(),
            LiveEvent::Tool(_, told) => progress += u64::from(told.progress > 0.0),
            LiveEvent::Starting(_) => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_the_same_on_every_server() {
    let gate = Gate::new();
    let desk =
        Desk::new([Step::new().say("I will ").wait(&gate).call("box__echo", json!({"text": "a"})), Step::text("done")]);
    let (mut owner, other) = two_views(&desk).await;
    let same = async |owner: &User, when: &str| {
        let here = owner.manager.snapshot(&owner.session, &owner.me).await.expect("a snapshot");
        let there = other.manager.snapshot(&other.session, &other.me).await.expect("a snapshot");
        assert_eq!(here, there, "{when}");
        here
    };
    assert_eq!(same(&owner, "before anything").await.messages.len(), 0);
    owner.says("go").await.expect("accepted");
    owner.says("then this").await.expect("accepted");
    owner.sees(|body| matches!(body, EventBody::Delta { .. }).then_some(())).await;
    let streaming = same(&owner, "while text streams").await;
    assert_eq!((streaming.partial.as_str(), streaming.thinking, streaming.messages.len()), ("I will ", true, 1));
    gate.open();
    let call = owner.is_asked().await;
    assert_eq!(same(&owner, "while a question waits").await.pending.len(), 1);
    owner.answers(&call, false).await.expect("denied");
    owner.sees_end().await;
    owner.sees_end().await;
    same(&owner, "after all").await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_begun_is_in_the_snapshot_of_another_server() {
    let desk = Desk::new([Step::new().hang()]);
    let (owner, other) = two_views(&desk).await;
    owner.says("go").await.expect("accepted");
    let snapshot = other.manager.snapshot(&other.session, &other.me).await.expect("a snapshot");
    assert_eq!((snapshot.messages.len(), snapshot.thinking), (1, true));
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_at_a_session_of_another_user_through_another_server() {
    let desk = Desk::new([]);
    let (_owner, other) = two_views(&desk).await;
    let bob = principal("bob");
    let refused = other.manager.open(wish(Some("s"), "bob")).await.map(drop).expect_err("not bob's");
    assert_eq!(refused.code, Code::Forbidden);
    assert_eq!(other.manager.cancel(&other.session, &bob).await.expect_err("not bob's").code, Code::Forbidden);
    assert_eq!(other.manager.snapshot(&other.session, &bob).await.expect_err("not bob's").code, Code::Forbidden);
}

/// Reads on to the first event that `is_last` means.
async fn read(view: &mut User, is_last: fn(&EventBody) -> bool) -> Vec<Event> {
    let mut events = Vec::new();
    while events.last().is_none_or(|event: &Event| !is_last(&event.body)) {
        events.push(view.next().await);
    }
    events
}

fn asks(body: &EventBody) -> bool {
    matches!(body, EventBody::ApprovalRequired(_))
}

fn ends(body: &EventBody) -> bool {
    matches!(body, EventBody::TurnCompleted(_))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_contradictory_answers_from_two_servers_one_holds_each_time_and_all_views_agree() {
    const ROUNDS: u64 = 1_000;
    let steps = (0..ROUNDS).flat_map(|_| [echo(), Step::text("done")]);
    let desk = Desk::new(steps);
    let (mut owner, mut other) = two_views(&desk).await;
    let (mut last, mut won, mut ran) = (Seq::default(), [0, 0], 0);
    for round in 0..ROUNDS {
        owner.says("go").await.expect("accepted");
        let (mut seen, mut elsewhere) = tokio::join!(read(&mut owner, asks), read(&mut other, asks));
        let Some(EventBody::ApprovalRequired(asked)) = seen.last().map(|event| &event.body) else {
            panic!("a question")
        };
        let call = asked.call.clone();
        // Each server says yes as often as no.
        let yes_here = round % 2 == 0;
        let (here, there) = tokio::join!(owner.answers(&call, yes_here), other.answers(&call, !yes_here));
        let (held_here, loser) = match (here, there) {
            (Ok(()), Err(lost)) => (true, lost),
            (Err(lost), Ok(())) => (false, lost),
            both => panic!("one answer holds: {both:?}"),
        };
        assert_eq!(loser.code, Code::AlreadyResolved);
        won[usize::from(held_here)] += 1;
        let approved = held_here == yes_here;
        ran += usize::from(approved);
        let (rest, its_rest) = tokio::join!(read(&mut owner, ends), read(&mut other, ends));
        seen.extend(rest);
        elsewhere.extend(its_rest);
        assert_eq!(seen, elsewhere, "all views see the same");
        for event in &seen {
            assert_eq!(event.id.seq, last.next(), "nothing is lost, nothing comes twice");
            last = event.id.seq;
        }
        let decided: Vec<_> = seen
            .iter()
            .filter_map(|event| match &event.body {
                EventBody::ApprovalResolved(resolved) => Some(resolved.decision),
                _ => None,
            })
            .collect();
        assert_eq!(decided, [if approved { Decision::Approved } else { Decision::Denied }]);
        let denied = |event: &Event| matches!(&event.body, EventBody::ToolSettled(s) if s.result.outcome == Outcome::Failed(Code::Denied));
        assert_eq!(seen.iter().any(denied), !approved);
    }
    assert_eq!(desk.host.calls().len(), ran, "what was approved ran, and nothing else");
    println!("of {ROUNDS} answers {} held at the owner and {} at the other server", won[1], won[0]);
}
