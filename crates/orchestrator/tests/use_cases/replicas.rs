//! Several servers over one store: clients of any of them use any session.

use crate::desk::{Desk, User, principal, wish};
use lockkeeper_domain::{Code, Decision, Event, EventBody, NoticeKind, Seq, StopReason};
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
    let desk = Desk::new([echo(), Step::text("done"), Step::new().say("long ").hang()]);
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
            LiveEvent::Starting(_) | LiveEvent::Server(_) => {}
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
        let next = tokio::time::timeout(std::time::Duration::from_mins(1), view.next()).await;
        let Ok(event) = next else { panic!("nothing comes after {:?}", events.last()) };
        events.push(event);
    }
    events
}

fn asks(body: &EventBody) -> bool {
    matches!(body, EventBody::ApprovalRequired(_))
}

fn ends(body: &EventBody) -> bool {
    matches!(body, EventBody::TurnCompleted(_))
}

/// What both views saw up to the same event.
async fn both(here: &mut User, there: &mut User, is_last: fn(&EventBody) -> bool) -> Vec<Event> {
    let (seen, elsewhere) = tokio::join!(read(here, is_last), read(there, is_last));
    assert_eq!(seen, elsewhere, "all views see the same");
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_contradictory_answers_from_two_servers_one_holds_each_time_and_all_views_agree() {
    const TURNS: usize = 125;
    const CALLS: usize = 8;
    let calls = || Step::calls((0..CALLS).map(|n| ("box__echo", json!({"text": n.to_string()}))));
    let desk = Desk::new((0..TURNS).flat_map(|_| [calls(), Step::text("done")]));
    let (mut owner, mut other) = two_views(&desk).await;
    let (mut log, mut held, mut won_here) = (Vec::new(), Vec::new(), 0);
    for round in 0..TURNS * CALLS {
        if round % CALLS == 0 {
            owner.says("go").await.expect("accepted");
        }
        log.extend(both(&mut owner, &mut other, asks).await);
        let Some(EventBody::ApprovalRequired(asked)) = log.last().map(|event: &Event| &event.body) else {
            panic!("a question")
        };
        // Each server says yes as often as no, and has a start as often as not.
        let (call, yes_here) = (asked.call.clone(), round % 2 == 0);
        let here = async {
            for _ in 0..round % 16 {
                tokio::task::yield_now().await;
            }
            owner.answers(&call, yes_here).await
        };
        let (won, loser) = match tokio::join!(other.answers(&call, !yes_here), here) {
            (Err(lost), Ok(_)) => (true, lost),
            (Ok(_), Err(lost)) => (false, lost),
            both => panic!("one answer holds: {both:?}"),
        };
        assert_eq!(loser.code, Code::AlreadyResolved);
        won_here += usize::from(won);
        held.push((call, if won == yes_here { Decision::Approved } else { Decision::Denied }));
        if round % CALLS == CALLS - 1 {
            log.extend(both(&mut owner, &mut other, ends).await);
        }
    }
    for (n, event) in (1..).zip(&log) {
        assert_eq!(event.id.seq, Seq::new(n), "nothing is lost, nothing comes twice");
    }
    let decided = log.iter().filter_map(|event| match &event.body {
        EventBody::ApprovalResolved(resolved) => Some((resolved.call.clone(), resolved.decision)),
        _ => None,
    });
    assert_eq!(decided.collect::<Vec<_>>(), held, "the log holds the answers that held");
    let approved = held.iter().filter(|(_, decision)| *decision == Decision::Approved).count();
    assert_eq!(desk.host.calls().len(), approved, "what was approved ran, and nothing else");
    println!("of {} answers {won_here} held at the owner, the others at the other server", held.len());
}
