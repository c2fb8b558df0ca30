//! A server dies, stands still, or ends: others go on from the log.

use crate::desk::{Desk, User, principal, wish};
use lockkeeper_domain::{Code, Event, EventBody, Outcome, Rule, Seq, StopReason};
use lockkeeper_orchestrator::{Janitor, NewMessage, Oversight, SessionManager};
use lockkeeper_ports::Clock;
use lockkeeper_testkit::{
    clock::TokioClock,
    llm::{Gate, Step},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// What a hand-over may take.
const TWO_SECONDS: Duration = Duration::from_secs(2);

fn allow_all() -> Vec<Rule> {
    serde_json::from_value(json!([{"decision": "allow"}])).expect("a rule")
}

fn dense(log: &[Event]) {
    for (n, event) in (1..).zip(log) {
        assert_eq!(event.id.seq, Seq::new(n), "the log has no hole");
    }
    assert!(log.is_sorted_by_key(|event| event.id.epoch), "no owner writes after its successor");
}

/// The janitor of a server, until the set is dropped.
fn janitor(manager: &Arc<SessionManager>) -> JoinSet<()> {
    let (mut tasks, janitor) = (JoinSet::new(), Janitor::new(Arc::clone(manager)));
    tasks.spawn(async move { janitor.run(CancellationToken::new()).await });
    tasks
}

/// The server is no more: it neither writes nor answers, and lets nothing go.
fn kill(desk: &Desk, manager: Arc<SessionManager>) {
    desk.store.freeze();
    drop(manager);
}

#[tokio::test(start_paused = true)]
async fn another_server_goes_on_when_the_owner_dies_in_the_middle_of_an_answer() {
    let desk = Desk::new([Step::new().say("Once ").hang(), Step::text("Once upon a time")]);
    let doomed = desk.another();
    let User { manager: owner, attached, .. } = User::ready(&doomed.manager()).await;
    let mut ann = User::ready(&desk.another().manager()).await;
    let _janitor = janitor(&ann.manager);
    ann.says("tell").await.expect("accepted");
    ann.sees(|body| matches!(body, EventBody::Delta { .. }).then_some(())).await;
    let died = Instant::now();
    drop(attached);
    kill(&doomed, owner);
    assert_eq!(ann.sees_answer().await, "Once upon a time");
    assert_eq!(ann.sees_end().await, StopReason::EndTurn);
    let bound = Duration::from_secs(desk.config.lease_secs) + TWO_SECONDS;
    assert!(died.elapsed() <= bound, "it took {:?}", died.elapsed());
    dense(&desk.store.log(&ann.session).await);
    assert_eq!(ann.manager.live_sessions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_command_outlives_the_death_of_the_owner() {
    let desk = Desk::new([Step::text("here")]);
    let doomed = desk.another();
    let User { manager: owner, attached, .. } = User::ready(&doomed.manager()).await;
    let mut ann = User::ready(&desk.another().manager()).await;
    drop(attached);
    kill(&doomed, owner);
    // Nobody looks for idle sessions: the message itself takes this one over, once the lease has run out.
    ann.says_as(Some("m1"), "anybody there?").await.expect("accepted");
    assert_eq!(ann.sees_answer().await, "here");
    dense(&desk.store.log(&ann.session).await);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ran_when_its_owner_died_is_not_run_again() {
    let mut desk = Desk::new([Step::calls([("box__hang", json!({}))]), Step::text("I do not know")]);
    desk.rules = allow_all();
    let doomed = desk.another();
    let User { manager: owner, attached, .. } = User::ready(&doomed.manager()).await;
    let mut ann = User::ready(&desk.another().manager()).await;
    let _janitor = janitor(&ann.manager);
    ann.says("go").await.expect("accepted");
    desk.host.wait_for_calls(1).await;
    drop(attached);
    kill(&doomed, owner);
    assert_eq!(ann.sees_result().await.result.outcome, Outcome::Failed(Code::OutcomeUnknown));
    assert_eq!(ann.sees_answer().await, "I do not know");
    assert_eq!(desk.host.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_stood_still_for_longer_than_its_lease_writes_nothing_and_lets_go() {
    let gate = Gate::new();
    let desk = Desk::new([Step::new().wait(&gate).say("too late"), Step::text("in time")]);
    let sleeper = desk.another();
    let mut asleep = User::ready(&sleeper.manager()).await;
    let mut ann = User::ready(&desk.another().manager()).await;
    let _janitor = janitor(&ann.manager);
    ann.says("go").await.expect("accepted");
    desk.provider.request(0).await;
    sleeper.store.freeze();
    assert_eq!(ann.sees_answer().await, "in time");
    ann.sees_end().await;
    let log = desk.store.log(&ann.session).await;
    // It wakes up with the model's answer and a user's message in hand.
    gate.open();
    sleeper.store.thaw();
    desk.provider.push(Step::text("welcome back"));
    asleep.says("I am back").await.expect("accepted, by whoever drives the session now");
    // Its views have missed nothing, and see on.
    assert_eq!(asleep.sees_answer().await, "in time");
    assert_eq!(asleep.sees_answer().await, "welcome back");
    asleep.sees_end().await;
    assert_eq!((asleep.manager.live_sessions(), ann.manager.live_sessions()), (0, 1));
    let now = desk.store.log(&ann.session).await;
    assert_eq!(now[..log.len()], log, "nothing that was written has changed");
    dense(&now);
    assert!(desk.stopped().len() == 1, "the sandbox of the one that stood still is gone: {:?}", desk.stopped());
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_stood_still_lets_go_by_itself() {
    let desk = Desk::new([Step::text("hi")]);
    let sleeper = desk.another();
    let asleep = User::ready(&sleeper.manager()).await;
    sleeper.store.freeze();
    let mut ann = User::ready(&desk.another().manager()).await;
    ann.says_as(Some("m1"), "hello").await.expect("accepted");
    ann.sees_end().await;
    assert_eq!((asleep.manager.live_sessions(), ann.manager.live_sessions()), (1, 1), "it does not know yet");
    sleeper.store.thaw();
    // Its next renewal is refused. Nobody sends it anything.
    let lease = Duration::from_secs(desk.config.lease_secs);
    tokio::time::sleep(lease).await;
    assert_eq!((asleep.manager.live_sessions(), ann.manager.live_sessions()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_drain_hands_a_waiting_question_over_within_two_seconds() {
    let desk = Desk::new([Step::calls([("box__echo", json!({"text": "a"}))]), Step::text("done")]);
    let ending = User::ready(&desk.another().manager()).await;
    let mut ann = User::ready(&desk.another().manager()).await;
    let _janitor = janitor(&ann.manager);
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    let (began, manager) = (Instant::now(), Arc::clone(&ending.manager));
    let drained = manager.drain(Duration::from_secs(20)).await;
    assert_eq!((drained.finished, drained.cut), (1, 0));
    ann.sees_notice().await;
    assert!(began.elapsed() < TWO_SECONDS, "it took {:?}", began.elapsed());
    assert_eq!(ann.manager.live_sessions(), 1);
    ann.answers(&call, true).await.expect("approved");
    assert_eq!(ann.sees_answer().await, "done");
    dense(&desk.store.log(&ann.session).await);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_a_drain_cuts_goes_on_elsewhere_within_two_seconds() {
    let desk = Desk::new([Step::new().say("Once ").hang(), Step::text("Once upon a time")]);
    let ending = User::ready(&desk.another().manager()).await;
    let mut ann = User::ready(&desk.another().manager()).await;
    let _janitor = janitor(&ann.manager);
    ann.says("tell").await.expect("accepted");
    ann.sees(|body| matches!(body, EventBody::Delta { .. }).then_some(())).await;
    let grace = Duration::from_secs(20);
    let began = Instant::now();
    assert_eq!(ending.manager.drain(grace).await.cut, 1);
    assert_eq!(ann.sees_answer().await, "Once upon a time");
    assert!(began.elapsed() < grace + TWO_SECONDS, "it took {:?}", began.elapsed());
    dense(&desk.store.log(&ann.session).await);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_meets_a_drain_is_taken_by_the_next_owner() {
    let gate = Gate::new();
    let desk = Desk::new([Step::new().wait(&gate).say("one"), Step::text("two")]);
    let ending = User::ready(&desk.another().manager()).await;
    let mut ann = User::ready(&desk.another().manager()).await;
    ann.says("first").await.expect("accepted");
    desk.provider.request(0).await;
    let drain = ending.manager.drain(Duration::from_secs(20));
    let meanwhile = async {
        let (second, ()) = tokio::join!(ann.says("second"), async {
            tokio::time::sleep(TWO_SECONDS).await;
            gate.open();
        });
        second.expect("accepted");
        assert_eq!((ann.sees_answer().await.as_str(), ann.sees_answer().await.as_str()), ("one", "two"));
    };
    tokio::join!(drain, meanwhile);
    dense(&desk.store.log(&ann.session).await);
}

#[tokio::test(start_paused = true)]
async fn what_was_let_go_without_a_word_is_found_by_looking() {
    let mut desk = Desk::new([Step::calls([("box__echo", json!({"text": "a"}))]), Step::text("done")]);
    let mut ann = User::ready(&desk.another().manager()).await;
    ann.says("go").await.expect("accepted");
    ann.is_asked().await;
    // The other server hears nothing from this one.
    desk.hub = lockkeeper_embedded_store::PeerHub::new();
    let other = desk.another().manager();
    let _janitor = janitor(&other);
    let began = Instant::now();
    ann.manager.drain(Duration::from_secs(20)).await;
    ann.sees_notice().await;
    assert!(began.elapsed() < TWO_SECONDS, "it took {:?}", began.elapsed());
    assert_eq!(other.live_sessions(), 1);
}

/// Servers agree on the time, since it is their store's. Should they not, that costs patience, and nothing else: who may write is
/// decided by the epoch.
#[tokio::test(start_paused = true)]
async fn s6_a_clock_that_is_an_hour_off_loses_and_doubles_nothing() {
    const HOUR: Duration = Duration::from_hours(1);
    const MESSAGES: usize = 10;
    let ways = [
        ("ahead", TokioClock::set_forward as fn(TokioClock, Duration) -> TokioClock),
        ("behind", TokioClock::set_back),
    ];
    for (name, set) in ways {
        let desk = Desk::new((0..10 * MESSAGES).map(|_| Step::text("done")));
        let mut wrong = desk.another();
        wrong.clock = set(wrong.clock, HOUR);
        let mut one = User::ready(&wrong.manager()).await;
        let mut other = User::ready(&desk.another().manager()).await;
        let _janitors = (janitor(&one.manager), janitor(&other.manager));
        for number in 0..MESSAGES {
            let user = if number % 2 == 0 { &one } else { &other };
            user.says_as(Some(&format!("m{number}")), "go").await.expect("accepted");
            one.sees_end().await;
            other.sees_end().await;
        }
        let log = desk.store.log(&one.session).await;
        dense(&log);
        let count = |is: fn(&EventBody) -> bool| log.iter().filter(|event| is(&event.body)).count();
        assert_eq!(count(|body| matches!(body, EventBody::UserMessage { .. })), MESSAGES, "{name}");
        assert_eq!(count(|body| matches!(body, EventBody::TurnCompleted(_))), MESSAGES, "{name}");
    }
}

/// The store is away for one and a half leases: nobody died, so nobody takes anything over.
#[tokio::test(start_paused = true)]
async fn store_outage_longer_than_a_lease_moves_no_session() {
    for outage_secs in [6, 10, 15, 31, 120] {
        let desk = Desk::new([Step::calls([("box__echo", json!({"text": "a"}))]), Step::text("done")]);
        let (here, there) = (desk.another(), desk.another());
        let mut ann = User::ready(&here.manager()).await;
        ann.says("go").await.expect("accepted");
        let asked = ann.is_asked().await;
        let others = there.manager();
        let (_here, _there) = (janitor(&ann.manager), janitor(&others));
        tokio::time::sleep(Duration::from_secs(5)).await;
        here.store.go_away();
        there.store.go_away();
        tokio::time::sleep(Duration::from_secs(outage_secs)).await;
        // The other server is the first to find the store back.
        there.store.come_back();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        here.store.come_back();
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!((ann.manager.live_sessions(), others.live_sessions()), (1, 0), "after {outage_secs} s");
        assert_eq!(*desk.stopped.lock().expect("no panic"), [], "no sandbox was removed");
        ann.answers(&asked, true).await.expect("decided");
        assert_eq!(ann.sees_answer().await, "done");
        dense(&desk.store.log(&ann.session).await);
    }
}

/// A command that reaches another server right after an outage goes to the owner.
#[tokio::test(start_paused = true)]
async fn command_after_an_outage_reaches_the_living_owner() {
    let desk = Desk::new([Step::text("here")]);
    let (here, there) = (desk.another(), desk.another());
    let mut ann = User::ready(&here.manager()).await;
    let others = there.manager();
    let _there = janitor(&others);
    tokio::time::sleep(Duration::from_secs(5)).await;
    here.store.go_away();
    there.store.go_away();
    tokio::time::sleep(Duration::from_secs(15)).await;
    there.store.come_back();
    let message = NewMessage { text: "hi".to_owned(), attachments: Vec::new(), client_message_id: None };
    let comes_back = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        here.store.come_back();
    };
    let (submitted, ()) = tokio::join!(others.submit(&ann.session, &ann.me, message), comes_back);
    submitted.expect("accepted");
    assert_eq!(ann.sees_answer().await, "here");
    assert_eq!((ann.manager.live_sessions(), others.live_sessions()), (1, 0));
    assert_eq!(*desk.stopped.lock().expect("no panic"), [], "no sandbox was removed");
}

/// A server that dies in an outage is found out a lease after it.
#[tokio::test(start_paused = true)]
async fn server_lost_in_an_outage_is_succeeded_a_lease_later() {
    let desk = Desk::new([Step::new().say("Once ").hang(), Step::text("Once upon a time")]);
    let (doomed, there) = (desk.another(), desk.another());
    let User { manager: owner, attached, .. } = User::ready(&doomed.manager()).await;
    let mut ann = User::ready(&there.manager()).await;
    let _there = janitor(&ann.manager);
    ann.says("tell").await.expect("accepted");
    ann.sees(|body| matches!(body, EventBody::Delta { .. }).then_some(())).await;
    there.store.go_away();
    drop(attached);
    kill(&doomed, owner);
    tokio::time::sleep(Duration::from_secs(30)).await;
    there.store.come_back();
    let back = Instant::now();
    assert_eq!(ann.sees_answer().await, "Once upon a time");
    let bound = Duration::from_secs(desk.config.lease_secs) + TWO_SECONDS;
    assert!(back.elapsed() <= bound, "it took {:?}", back.elapsed());
}

/// A commit that was written before the lease was lost is not acted on: no call is sent by two owners.
#[tokio::test(start_paused = true)]
async fn fenced_owner_acts_on_no_commit_it_wrote_before() {
    let desk = Desk::new([Step::calls([("box__echo", json!({"text": "a"}))]), Step::text("done")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let asked = ann.is_asked().await;
    desk.store.lose_answers(1);
    let stolen = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        desk.store.steal(&ann.session, desk.clock.now()).await;
    };
    let (answer, ()) = tokio::join!(ann.answers(&asked, true), stolen);
    answer.expect_err("another server drives the session");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(desk.host.calls().is_empty(), "no byte reached the tool");
}

/// One session that cannot be read suffers alone.
#[tokio::test(start_paused = true)]
async fn unreadable_session_keeps_no_other_from_takeover() {
    let desk = Desk::new((0..10).map(|_| Step::new().hang()));
    let doomed = desk.another();
    let manager = doomed.manager();
    let mut ids = Vec::new();
    for n in 0..5 {
        let attached = manager.open(wish(Some(&format!("s{n}")), "ann")).await.expect("opened");
        attached.ready().await.expect("ready");
        let message = NewMessage { text: "go".to_owned(), attachments: Vec::new(), client_message_id: None };
        manager.submit(attached.session(), &principal("ann"), message).await.expect("accepted");
        ids.push(attached.session().clone());
    }
    kill(&doomed, manager);
    tokio::time::sleep(Duration::from_secs(desk.config.lease_secs + 1)).await;
    let there = desk.another();
    there.store.damage(&ids[2]);
    let successor = there.manager();
    assert_eq!(successor.resume_abandoned().await.expect("the store answers"), 4);
    assert_eq!(successor.live_sessions(), 4);
    let operator = Oversight::new(Arc::clone(&successor), principal("operator").id);
    operator.waiting(10).await.expect("the unreadable session hides no other");
}

/// The same for idle sessions, and the lease of the unreadable one is left to servers that can read it.
#[tokio::test(start_paused = true)]
async fn unreadable_session_keeps_no_other_from_expiry() {
    let desk = Desk::new([]);
    let doomed = desk.another();
    let manager = doomed.manager();
    let mut ids = Vec::new();
    for n in 0..5 {
        let attached = manager.open(wish(Some(&format!("s{n}")), "ann")).await.expect("opened");
        attached.ready().await.expect("ready");
        ids.push(attached.session().clone());
    }
    kill(&doomed, manager);
    tokio::time::sleep(Duration::from_secs(desk.config.idle_secs + 60)).await;
    let there = desk.another();
    there.store.damage(&ids[0]);
    let sweeper = Janitor::new(there.manager());
    assert_eq!(sweeper.sweep().await.expired, 4);
    desk.store.steal(&ids[0], desk.clock.now()).await;
}
