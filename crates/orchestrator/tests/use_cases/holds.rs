//! What was set aside for work is given back once the work is over, whatever fails.

use crate::desk::{Desk, User, wish};
use async_trait::async_trait;
use lockkeeper_domain::{Rule, Seq, Spend, StopReason, Timestamp, Usage};
use lockkeeper_ports::{Account, Balance, BudgetLedger, Hold, Reserved, StoreError};
use lockkeeper_testkit::llm::{Gate, Step};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

/// A ledger that fails when a test says so.
#[derive(Clone)]
struct FaultyLedger {
    inner: Arc<dyn BudgetLedger>,
    /// How many more reservations are made, and reported as failed.
    reserves: Arc<AtomicUsize>,
    /// How many more settlements are not made.
    settles: Arc<AtomicUsize>,
    /// Nothing is asked any more, as if this process stood still.
    frozen: Arc<AtomicBool>,
    /// A permit for each settlement that was tried.
    tried: Arc<Semaphore>,
}

fn takes(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl FaultyLedger {
    fn of(desk: &mut Desk) -> Self {
        let inner = Arc::clone(&desk.budgets);
        let (reserves, settles, frozen) = (Arc::default(), Arc::default(), Arc::default());
        let ledger = Self { inner, reserves, settles, frozen, tried: Arc::new(Semaphore::new(0)) };
        desk.budgets = Arc::new(ledger.clone());
        ledger
    }

    async fn awake(&self) {
        if self.frozen.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

fn away<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("a test says so".into()))
}

#[async_trait]
impl BudgetLedger for FaultyLedger {
    async fn reserve(&self, account: &Account, hold: &Hold, now: Timestamp) -> Result<Reserved, StoreError> {
        self.awake().await;
        let reserved = self.inner.reserve(account, hold, now).await;
        if takes(&self.reserves) { away() } else { reserved }
    }

    async fn settle(&self, accounts: &[Account], key: &str, used: Spend, now: Timestamp) -> Result<(), StoreError> {
        self.awake().await;
        self.tried.add_permits(1);
        if takes(&self.settles) {
            return away();
        }
        self.inner.settle(accounts, key, used, now).await
    }

    async fn balance(&self, account: &Account, now: Timestamp) -> Result<Balance, StoreError> {
        self.inner.balance(account, now).await
    }
}

fn desk(steps: impl IntoIterator<Item = Step>, hold_secs: u64) -> (Desk, FaultyLedger) {
    let mut desk = Desk::new(steps);
    desk.rules = serde_json::from_value::<Vec<Rule>>(json!([{"decision": "allow"}])).expect("a rule");
    let budgets = &mut desk.config.budgets;
    (budgets.day.max_tokens, budgets.session.max_tokens) = (Some(100_000), Some(100_000));
    budgets.session.max_tool_calls = Some(100);
    budgets.hold_secs = hold_secs;
    let ledger = FaultyLedger::of(&mut desk);
    (desk, ledger)
}

fn words() -> Step {
    Step::text("done").usage(Usage { input_tokens: 5, output_tokens: 5, ..Usage::default() })
}

async fn held(ann: &User) -> (Spend, Spend) {
    let usage = ann.manager.usage(&ann.session, &ann.me).await.expect("usage");
    (usage.session.held, usage.day.held)
}

const NOTHING: (Spend, Spend) =
    (Spend { tokens: 0, tool_calls: 0, wall_ms: 0 }, Spend { tokens: 0, tool_calls: 0, wall_ms: 0 });

/// Covers: F10
#[tokio::test(start_paused = true)]
async fn reservation_whose_answer_was_lost_is_made_once() {
    for lost in 1..4 {
        let (desk, ledger) = desk([words()], 900);
        let mut ann = User::ready(&desk.manager()).await;
        ledger.reserves.store(lost, Ordering::SeqCst);
        ann.says("go").await.expect("accepted");
        assert_eq!(ann.sees_end().await, StopReason::EndTurn, "the turn outlives a blip");
        assert_eq!(held(&ann).await, NOTHING);
    }
}

/// Covers: F10
#[tokio::test(start_paused = true)]
async fn reservation_that_fails_for_good_holds_nothing() {
    let (desk, ledger) = desk([words()], 900);
    let mut ann = User::ready(&desk.manager()).await;
    ledger.reserves.store(usize::MAX, Ordering::SeqCst);
    // Giving it back fails as well, and is tried again.
    ledger.settles.store(3, Ordering::SeqCst);
    ann.says("go").await.expect("accepted");
    assert_eq!(ann.sees_end().await, StopReason::Error);
    ledger.tried.acquire_many(4).await.expect("open").forget();
    assert_eq!(held(&ann).await, NOTHING);
}

/// Covers: F10
#[tokio::test(start_paused = true)]
async fn cost_is_counted_once_after_the_store_was_away() {
    let (desk, ledger) = desk([words()], 900);
    let mut ann = User::ready(&desk.manager()).await;
    ledger.settles.store(3, Ordering::SeqCst);
    ann.says("go").await.expect("accepted");
    ann.sees_end().await;
    ledger.tried.acquire_many(4).await.expect("open").forget();
    let usage = ann.manager.usage(&ann.session, &ann.me).await.expect("usage");
    assert_eq!((usage.session.spent.tokens, usage.day.spent.tokens), (10, 10));
    assert_eq!(held(&ann).await, NOTHING);
}

/// Work that takes longer than a hold lasts keeps what was set aside for it.
///
/// Covers: F10
#[tokio::test(start_paused = true)]
async fn long_answer_keeps_its_hold() {
    let gate = Gate::new();
    let (desk, _) = desk([Step::new().wait(&gate).say("done")], 60);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    desk.provider.request(0).await;
    let (before, _) = held(&ann).await;
    assert!(before.tokens > 0);
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(11)).await;
        let (session, day) = held(&ann).await;
        assert_eq!((session, day.tokens), (before, before.tokens));
    }
    gate.open();
    ann.sees_end().await;
    assert_eq!(held(&ann).await, NOTHING);
}

/// A process that ends gives back what its calls and its model had set aside.
///
/// Covers: F10
#[tokio::test(start_paused = true)]
async fn nothing_is_held_after_a_shutdown() {
    let hang = Step::calls([("box__hang", json!({})), ("box__hang", json!({}))]);
    for (steps, calls) in [(vec![hang, words()], 2), (vec![Step::unanswered()], 0)] {
        let (desk, _) = desk(steps, 900);
        let ann = User::ready(&desk.manager()).await;
        ann.says("go").await.expect("accepted");
        desk.provider.request(0).await;
        desk.host.wait_for_calls(calls).await;
        let store = Arc::clone(&desk.budgets);
        let account = Account::Session(ann.session.clone());
        ann.manager.drain(Duration::ZERO).await;
        let balance = store.balance(&account, lockkeeper_ports::Clock::now(&desk.clock)).await.expect("readable");
        assert_eq!(balance.held, Spend::default());
        assert_eq!(balance.spent.tool_calls, calls as u64, "what was sent is counted");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_server_set_aside_is_there_again_after_a_while() {
    let mut desk = Desk::new([Step::unanswered(), words()]);
    (desk.config.budgets.day.max_tokens, desk.config.budgets.hold_secs) = (Some(9_000), 60);
    let mut frozen = desk.another();
    let ledger = FaultyLedger::of(&mut frozen);
    let dead = frozen.manager();
    let ann = User::ready(&dead).await;
    ann.says("go").await.expect("accepted");
    desk.provider.request(0).await;
    // It stands still for good: nothing that it set aside is let go.
    frozen.store.freeze();
    ledger.frozen.store(true, Ordering::SeqCst);
    let next = desk.another().manager();
    let attached = next.open(wish(Some("another"), "ann")).await.expect("opened");
    let mut back = User::of(&next, attached, Seq::default()).await;
    back.says("go").await.expect("accepted");
    assert_eq!(back.sees_end().await, StopReason::Error);
    tokio::time::sleep(Duration::from_secs(61)).await;
    back.says("go").await.expect("accepted");
    assert_eq!(back.sees_end().await, StopReason::EndTurn);
    drop(Arc::clone(&dead));
}
