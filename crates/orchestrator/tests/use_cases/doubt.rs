//! The way between servers loses things; what is done is done once all the same.

use crate::desk::{Desk, User, wish};
use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use lockkeeper_domain::{Code, EventBody, QuestionId, SessionId, StopReason};
use lockkeeper_orchestrator::OnExceeded;
use lockkeeper_ports::{Asked, Clock, PeerError, Peers, SessionRepository, Topic};
use lockkeeper_testkit::llm::{Gate, Step};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};

/// Loses the next answers, after the requests were followed. Somebody may read along.
pub(crate) struct Lossy {
    pub(crate) inner: Arc<dyn Peers>,
    pub(crate) lose: Arc<AtomicUsize>,
}

#[async_trait]
impl Peers for Lossy {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn carries_secrets(&self) -> bool {
        false
    }

    async fn ask(&self, peer: &str, request: Vec<u8>, within: Duration) -> Result<Vec<u8>, PeerError> {
        let answer = self.inner.ask(peer, request, within).await?;
        let one_less = |left: usize| left.checked_sub(1);
        match self.lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less) {
            Ok(_) => {
                // That an answer was lost is known when its time is over.
                tokio::time::sleep(within.min(Duration::from_secs(3))).await;
                Err(PeerError::Unanswered(peer.to_owned()))
            }
            Err(_) => Ok(answer),
        }
    }

    async fn serve(&self) -> Result<BoxStream<'static, Asked>, PeerError> {
        self.inner.serve().await
    }

    async fn tell(&self, topic: &Topic, news: Vec<u8>) -> Result<(), PeerError> {
        self.inner.tell(topic, news).await
    }

    async fn listen(&self, topic: &Topic) -> Result<BoxStream<'static, Vec<u8>>, PeerError> {
        self.inner.listen(topic).await
    }
}

/// A user at the owner, the same one at another server, and how many answers that server loses.
async fn lossy(desk: &Desk) -> (User, User, Arc<AtomicUsize>) {
    let owner = User::ready(&desk.another().manager()).await;
    let lose = Arc::new(AtomicUsize::new(0));
    let mut far = desk.another();
    far.peers = Some(Arc::new(Lossy { inner: desk.join(), lose: Arc::clone(&lose) }));
    let other = User::ready(&far.manager()).await;
    (owner, other, lose)
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_answer_was_lost_is_taken_once() {
    let desk = Desk::new([Step::text("one")]);
    let (mut owner, other, lose) = lossy(&desk).await;
    lose.store(2, Ordering::SeqCst);
    let accepted = other.says_as(Some("m1"), "hi").await.expect("accepted");
    assert!(accepted.duplicate, "an earlier attempt had been taken");
    owner.sees_end().await;
    assert_eq!(desk.provider.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_without_a_name_is_not_sent_again_in_doubt() {
    let desk = Desk::new([Step::text("one")]);
    let (mut owner, other, lose) = lossy(&desk).await;
    lose.store(1, Ordering::SeqCst);
    let failure = other.says("hi").await.expect_err("nobody knows");
    assert_eq!(failure.code, Code::OwnedElsewhere);
    assert!(failure.message.contains("not known"), "{failure:?}");
    owner.sees_end().await;
    assert_eq!(desk.provider.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_decision_whose_answer_was_lost_is_known_by_the_log() {
    let echo = || Step::calls([("box__echo", json!({"text": "a"}))]);
    let desk = Desk::new([echo(), Step::text("done"), echo(), Step::text("done")]);
    let (mut owner, other, lose) = lossy(&desk).await;
    owner.says("go").await.expect("accepted");
    let call = owner.is_asked().await;
    lose.store(1, Ordering::SeqCst);
    other.answers(&call, true).await.expect("it was this answer that held");
    owner.sees_end().await;
    owner.says("go").await.expect("accepted");
    let call = owner.is_asked().await;
    owner.answers(&call, true).await.expect("approved");
    lose.store(1, Ordering::SeqCst);
    assert_eq!(other.answers(&call, false).await.expect_err("another held").code, Code::AlreadyResolved);
    owner.sees_end().await;
    assert_eq!(desk.host.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_whose_answer_was_lost_has_cancelled() {
    let desk = Desk::new([Step::new().hang()]);
    let (owner, other, lose) = lossy(&desk).await;
    owner.says("go").await.expect("accepted");
    lose.store(1, Ordering::SeqCst);
    other.manager.cancel(&other.session, &other.me).await.expect("cancelled");
}

/// The answer to a cancel is lost; the turn after the one it was meant for goes on.
#[tokio::test(start_paused = true)]
async fn cancel_delivered_twice_cancels_one_turn() {
    let desk = Desk::new([Step::new().hang(), Step::calls([("box__echo", json!({"text": "a"}))]), Step::text("done")]);
    let (mut owner, other, lose) = lossy(&desk).await;
    owner.says("first").await.expect("accepted");
    owner.says("second").await.expect("queued");
    lose.store(1, Ordering::SeqCst);
    other.manager.cancel(&other.session, &other.me).await.expect("cancelled");
    assert_eq!(owner.sees_end().await, StopReason::Cancelled);
    let asked = owner.is_asked().await;
    owner.answers(&asked, true).await.expect("the second turn goes on");
    assert_eq!(owner.sees_end().await, StopReason::EndTurn);
}

/// A cancel that was refused because nothing ran does not cancel what runs when it comes again.
#[tokio::test(start_paused = true)]
async fn refused_cancel_delivered_again_cancels_nothing() {
    let desk = Desk::new([Step::text("done")]);
    let (mut owner, other, lose) = lossy(&desk).await;
    lose.store(1, Ordering::SeqCst);
    let cancelled = async { other.manager.cancel(&other.session, &other.me).await };
    let says = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        owner.says("hello").await.expect("accepted");
        owner.sees_end().await
    };
    let (cancelled, end) = tokio::join!(cancelled, says);
    assert_eq!(end, StopReason::EndTurn);
    // It is told as done: by now nothing runs that it could have been meant for.
    cancelled.expect("settled");
}

/// A reset whose answer is lost empties the history once.
#[tokio::test(start_paused = true)]
async fn reset_delivered_twice_keeps_what_was_said_between() {
    let desk = Desk::new([Step::text("one"), Step::text("two")]);
    let (mut owner, other, lose) = lossy(&desk).await;
    owner.says("first").await.expect("accepted");
    owner.sees_end().await;
    lose.store(1, Ordering::SeqCst);
    let reset = async { other.manager.reset(&other.session, &other.me).await };
    let says = async {
        owner.sees_notice().await;
        owner.says("second").await.expect("accepted");
        owner.sees_end().await;
    };
    let (reset, ()) = tokio::join!(reset, says);
    reset.expect("reset");
    let page = owner.manager.history(&owner.session, &owner.me, None, 10).await.expect("read");
    assert_eq!(page.messages.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_does_not_answer_loses_the_session_with_its_lease() {
    let desk = Desk::new([Step::text("here")]);
    let one = desk.another().manager();
    let mut ann = User::ready(&one).await;
    one.end(&ann.session, &ann.me).await.expect("ended");
    let mute = desk.join();
    let mut requests = mute.serve().await.expect("served");
    let lease = Duration::from_secs(desk.config.lease_secs);
    desk.store.claim(&ann.session, mute.name(), desk.clock.now(), lease).await.expect("claimed");
    let began = Instant::now();
    let (accepted, asked) = tokio::join!(ann.says_as(Some("m1"), "anybody?"), requests.next());
    accepted.expect("accepted");
    assert!(began.elapsed() >= lease && began.elapsed() < lease + Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(ann.sees_answer().await, "here");
    // It answers at last, and nobody minds.
    asked.expect("it was asked").answer(b"\"not_here\"".to_vec());
}

/// Answers everything in the same way, and counts it.
async fn answers_always(peer: &Arc<dyn Peers>, answer: &'static str) -> (JoinSet<()>, Arc<AtomicUsize>) {
    let (mut requests, count) = (peer.serve().await.expect("served"), Arc::new(AtomicUsize::new(0)));
    let (mut task, counted) = (JoinSet::new(), Arc::clone(&count));
    task.spawn(async move {
        while let Some(asked) = requests.next().await {
            counted.fetch_add(1, Ordering::SeqCst);
            asked.answer(answer.as_bytes().to_vec());
        }
    });
    (task, count)
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_denies_it_for_ever_is_not_asked_for_ever() {
    let desk = Desk::new([]);
    let one = desk.another().manager();
    let ann = User::ready(&one).await;
    one.end(&ann.session, &ann.me).await.expect("ended");
    let confused = desk.join();
    let (_task, asked) = answers_always(&confused, "\"not_here\"").await;
    let day = Duration::from_hours(24);
    desk.store.claim(&ann.session, confused.name(), desk.clock.now(), day).await.expect("claimed");
    let began = Instant::now();
    let failure = ann.says("hello?").await.expect_err("nobody is there");
    assert_eq!(failure.code, Code::OwnedElsewhere);
    assert!(failure.message.contains("nothing was done"), "{failure:?}");
    assert!(began.elapsed() <= Duration::from_secs(desk.config.forward_secs), "{:?}", began.elapsed());
    assert!(asked.load(Ordering::SeqCst) <= 70, "it was asked {} times", asked.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn an_order_follows_a_session_that_moves_while_it_is_on_its_way() {
    let desk = Desk::new([Step::text("found")]);
    let mut ann = User::ready(&desk.another().manager()).await;
    ann.manager.end(&ann.session, &ann.me).await.expect("ended");
    let before = desk.join();
    let mut requests = before.serve().await.expect("served");
    let day = Duration::from_hours(24);
    let claim = desk.store.claim(&ann.session, before.name(), desk.clock.now(), day).await.expect("claimed");
    let third = desk.another().manager();
    let moves = async {
        let asked = requests.next().await.expect("asked");
        // It loses the session to a third server just now.
        desk.store.release(&ann.session, claim.lease.epoch).await.expect("released");
        third.open(wish(Some("s"), "ann")).await.expect("opened").ready().await.expect("ready");
        asked.answer(b"\"not_here\"".to_vec());
    };
    let (accepted, ()) = tokio::join!(ann.says("where are you?"), moves);
    accepted.expect("accepted by the third one");
    assert_eq!((third.live_sessions(), ann.manager.live_sessions()), (1, 0));
    assert_eq!(ann.sees_answer().await, "found");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_what_is_not_understood_is_told_so() {
    let desk = Desk::new([]);
    let peers = desk.join();
    let mut far = desk.another();
    far.peers = Some(Arc::clone(&peers));
    let manager = far.manager();
    // Until it serves.
    let answer = loop {
        match desk.join().ask(peers.name(), b"{\"what\": 1}".to_vec(), Duration::from_secs(1)).await {
            Ok(answer) => break String::from_utf8(answer).expect("text"),
            Err(PeerError::NotReached(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(answer.contains("internal"), "{answer}");
    let of_nobody = json!({"session": "s", "by": "ann", "order": "cancel"}).to_string().into_bytes();
    let answer = desk.join().ask(peers.name(), of_nobody, Duration::from_secs(1)).await.expect("answered");
    assert_eq!(answer, b"\"not_here\"");
    drop(manager);
}

#[tokio::test(start_paused = true)]
async fn a_letter_of_somebody_elses_is_refused_by_the_owner_too() {
    let gate = Gate::new();
    let desk = Desk::new([Step::new().wait(&gate)]);
    let peers = desk.join();
    let mut near = desk.another();
    near.peers = Some(Arc::clone(&peers));
    let ann = User::ready(&near.manager()).await;
    assert_eq!(ann.session, SessionId::parse("s").expect("an id"));
    let letter = json!({"session": "s", "by": "bob", "order": "end"}).to_string().into_bytes();
    let answer = desk.join().ask(peers.name(), letter, Duration::from_secs(1)).await.expect("answered");
    assert!(String::from_utf8(answer).expect("text").contains("forbidden"));
    assert_eq!(ann.manager.live_sessions(), 1);
}

/// The answer to a budget question is delivered twice, and the next turn asks in between: it pays for one turn.
///
/// Covers: F5, F7
#[tokio::test(start_paused = true)]
async fn budget_answer_delivered_twice_pays_for_one_turn() {
    let echo = || Step::calls([("box__echo", json!({"text": "a"}))]);
    let mut desk = Desk::new([echo(), echo(), Step::text("one"), echo()]);
    desk.rules = serde_json::from_value(json!([{"decision": "allow"}])).expect("a rule");
    (desk.config.budgets.on_exceeded, desk.config.budgets.session.max_tool_calls) = (OnExceeded::Ask, Some(1));
    let (mut owner, other, lose) = lossy(&desk).await;
    owner.says("first").await.expect("accepted");
    owner.says("second").await.expect("queued");
    let first = sees_question(&mut owner).await;
    lose.store(1, Ordering::SeqCst);
    let answered = async { other.manager.answer_budget(&other.session, &other.me, true, first.clone()).await };
    let (answered, second) = tokio::join!(answered, async {
        assert_eq!(owner.sees_end().await, StopReason::EndTurn);
        sees_question(&mut owner).await
    });
    answered.expect("answered, as it was the first time");
    assert_ne!(first, second);
    assert_eq!(desk.host.calls().len(), 2, "the second turn waits");
    owner.manager.answer_budget(&owner.session, &owner.me, false, second).await.expect("answered");
    assert_eq!(owner.sees_end().await, StopReason::Error);
}

async fn sees_question(user: &mut User) -> Option<QuestionId> {
    user.sees(|body| match body {
        EventBody::BudgetAsked(asked) => Some(asked.question.clone()),
        _ => None,
    })
    .await
}
