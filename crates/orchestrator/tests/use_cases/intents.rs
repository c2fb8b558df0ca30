//! A rule for always stands if its approval is recorded, and only then, whatever fails between the two.

use crate::desk::{Desk, User, answer, wish};
use async_trait::async_trait;
use lockkeeper_domain::{
    Annotations, Answer, CallId, CallStatus, Code, EventBody, PrincipalId, RuleId, Scope, Seq, StoredRule, Timestamp,
};
use lockkeeper_orchestrator::SessionManager;
use lockkeeper_ports::{RuleRepository, StoreError};
use lockkeeper_testkit::{llm::Step, tools::FakeTool};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Stored rules whose store fails when a test says so.
#[derive(Clone)]
struct FaultyRules {
    inner: Arc<dyn RuleRepository>,
    /// How many rules are stored, and reported as failed.
    lost: Arc<AtomicUsize>,
    /// Rules that let calls run are not stored.
    refuses: Arc<AtomicBool>,
}

impl FaultyRules {
    fn of(desk: &mut Desk) -> Self {
        let inner = Arc::clone(&desk.stored) as Arc<dyn RuleRepository>;
        let rules = Self { inner, lost: Arc::default(), refuses: Arc::default() };
        desk.stored_rules = Some(Arc::new(rules.clone()));
        rules
    }
}

#[async_trait]
impl RuleRepository for FaultyRules {
    async fn put_rule(&self, owner: &PrincipalId, rule: &StoredRule) -> Result<(), StoreError> {
        if rule.intent.is_none() && self.refuses.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("a test says so".into()));
        }
        let stored = self.inner.put_rule(owner, rule).await;
        match self.lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Err(StoreError::Unavailable("a test loses the answer".into())),
            Err(_) => stored,
        }
    }

    async fn rules(&self, owner: &PrincipalId) -> Result<Vec<StoredRule>, StoreError> {
        self.inner.rules(owner).await
    }

    async fn rule_used(&self, owner: &PrincipalId, id: &RuleId, at: Timestamp) -> Result<(), StoreError> {
        self.inner.rule_used(owner, id, at).await
    }

    async fn remove_rule(&self, owner: &PrincipalId, id: &RuleId) -> Result<(), StoreError> {
        self.inner.remove_rule(owner, id).await
    }
}

const CALM: Annotations = Annotations {
    read_only_hint: Some(true),
    destructive_hint: Some(false),
    idempotent_hint: Some(true),
    open_world_hint: Some(false),
};

fn look() -> Step {
    Step::calls([("box__look", json!({"path": "a"}))])
}

fn desk(steps: impl IntoIterator<Item = Step>) -> (Desk, FaultyRules) {
    let mut desk = Desk::new(steps);
    desk.host.set_tools([FakeTool::says("box", "look", "seen").annotated(CALM)]);
    let rules = FaultyRules::of(&mut desk);
    (desk, rules)
}

fn always(call: &CallId) -> Answer {
    Answer { scope: Scope::Always, ..answer(call, true) }
}

/// How the gate lets a call stand in another session of Ann's.
async fn stand_elsewhere(manager: &Arc<SessionManager>, name: &str) -> CallStatus {
    let attached = manager.open(wish(Some(name), "ann")).await.expect("opened");
    attached.ready().await.expect("ready");
    let mut ann = User::of(manager, attached, Seq::default()).await;
    ann.says("go").await.expect("accepted");
    ann.sees(|body| match body {
        EventBody::ToolCalls(calls) => Some(calls.gates[0].status),
        _ => None,
    })
    .await
}

/// Covers: F6
#[tokio::test(start_paused = true)]
async fn rule_whose_answer_was_lost_lets_nothing_run_after_a_denial() {
    let (desk, rules) = desk([look(), Step::text("no"), look()]);
    let manager = desk.manager();
    let mut ann = User::ready(&manager).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    rules.lost.store(1, Ordering::SeqCst);
    assert_eq!(ann.decides(always(&call)).await.expect_err("not stored").code, Code::StoreUnavailable);
    ann.answers(&call, false).await.expect("denied");
    ann.sees_answer().await;
    assert_eq!(stand_elsewhere(&manager, "other").await, CallStatus::Waiting);
    assert_eq!(desk.stored.rules(&ann.me.id).await.expect("readable"), [], "nothing is left over");
}

/// Covers: F6
#[tokio::test(start_paused = true)]
async fn approval_that_is_not_recorded_stores_no_rule() {
    let (desk, _) = desk([look()]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    desk.store.fail_commits(usize::MAX);
    assert_eq!(ann.decides(always(&call)).await.expect_err("not recorded").code, Code::StoreUnavailable);
    desk.store.fail_commits(0);
    ann.answers(&call, false).await.expect("it waits still");
    assert_eq!(ann.manager.rules(&ann.me).await.expect("a list").stored, []);
    assert_eq!(desk.stored.rules(&ann.me.id).await.expect("readable"), []);
}

/// The server dies between the approval and its rule.
///
/// Covers: F6
#[tokio::test(start_paused = true)]
async fn recorded_approval_stores_its_rule_though_the_server_died() {
    let (desk, rules) = desk([look(), Step::text("done"), look()]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    rules.refuses.store(true, Ordering::SeqCst);
    let id = ann.decides(always(&call)).await.expect("recorded").rule.expect("an id");
    ann.sees_answer().await;
    ann.manager.drain(Duration::from_secs(20)).await;
    rules.refuses.store(false, Ordering::SeqCst);
    let next = desk.manager();
    assert_eq!(stand_elsewhere(&next, "other").await, CallStatus::Allowed);
    let stored = desk.stored.rules(&ann.me.id).await.expect("readable");
    assert_eq!(stored.iter().map(|rule| &rule.id).collect::<Vec<_>>(), [&id], "the intent is gone");
}

/// Covers: F6
#[tokio::test(start_paused = true)]
async fn revoked_rule_is_not_brought_back_by_its_intent() {
    let (desk, _) = desk([look(), Step::text("done"), look()]);
    let manager = desk.manager();
    let mut ann = User::ready(&manager).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    let id = ann.decides(always(&call)).await.expect("recorded").rule.expect("an id");
    ann.sees_answer().await;
    // As if its removal had been lost.
    let stored = desk.stored.rules(&ann.me.id).await.expect("readable").remove(0);
    let intent = stored.intended(ann.session.clone(), call);
    desk.stored.put_rule(&ann.me.id, &intent).await.expect("stored");
    manager.revoke(&ann.me, &id).await.expect("revoked");
    assert_eq!(stand_elsewhere(&manager, "other").await, CallStatus::Waiting);
    assert_eq!(desk.stored.rules(&ann.me.id).await.expect("readable"), []);
}

/// An intent whose call waits decides nothing, and is not taken away from who is about to record its approval.
///
/// Covers: F6
#[tokio::test(start_paused = true)]
async fn intent_of_a_waiting_call_lets_nothing_run_and_stays() {
    let (desk, rules) = desk([look(), look()]);
    let manager = desk.manager();
    let mut ann = User::ready(&manager).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    rules.lost.store(1, Ordering::SeqCst);
    ann.decides(always(&call)).await.expect_err("not stored");
    assert_eq!(stand_elsewhere(&manager, "other").await, CallStatus::Waiting);
    assert_eq!(manager.rules(&ann.me).await.expect("a list").stored, []);
    assert_eq!(desk.stored.rules(&ann.me.id).await.expect("readable").len(), 1);
}
