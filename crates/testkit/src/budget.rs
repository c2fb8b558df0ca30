//! The contract of the budget ledger: one check for each sentence of its documentation.
//!
//! Accounts are named anew in each run, and time is what the checks say it is.

#![expect(clippy::unwrap_used, reason = "what fails in a contract's test fails the test")]

use futures::future::{BoxFuture, join_all};
use lockkeeper_domain::{Ceiling, Day, Measure, PrincipalId, SessionId, Spend, Timestamp};
use lockkeeper_ports::{Account, Balance, BudgetLedger, Hold, Reserved, SETTLED_FOR};
use std::{
    slice::from_ref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// One requirement.
pub struct Case {
    /// What it is about.
    pub name: &'static str,
    /// Panics where a ledger does not meet it. Both are of servers that share a store.
    pub check: fn(Two) -> BoxFuture<'static, ()>,
}

/// The ledger as two servers have it; where there is one server, the same twice.
pub type Two = [Arc<dyn BudgetLedger>; 2];

macro_rules! cases {
    ($($name:ident)*) => {
        /// All requirements.
        pub const CASES: &[Case] = &[$(Case { name: stringify!($name), check: |two| Box::pin($name(two)) },)*];
    };
}

cases! {
    an_account_begins_with_nothing
    what_is_set_aside_is_not_there_for_others
    less_than_is_wanted_is_given_and_never_less_than_the_least
    each_measure_has_its_own_limit
    a_hold_is_made_once
    what_was_spent_takes_the_place_of_its_hold
    what_was_spent_is_counted_once
    what_was_spent_without_a_hold_counts_as_well
    accounts_are_settled_together
    a_hold_of_the_dead_lapses
    accounts_are_apart
    of_many_at_once_no_more_fit_than_there_is_room_for
}

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const LIFE: Duration = Duration::from_mins(15);
const A_MOMENT: Duration = Duration::from_millis(1);

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A number that no other run has.
fn unique() -> String {
    let address = std::ptr::from_ref(&NEXT).addr();
    format!("{}-{address:x}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn session() -> Account {
    Account::Session(SessionId::parse(format!("budget-{}", unique())).unwrap())
}

fn tokens(tokens: u64) -> Spend {
    Spend { tokens, ..Spend::default() }
}

fn hold(key: &str, want: u64, limit: u64) -> Hold {
    let ceiling = Ceiling { tokens: Some(limit), ..Ceiling::default() };
    Hold { key: key.to_owned(), want: tokens(want), least: tokens(want), ceiling, until: START.after(LIFE) }
}

async fn balance(ledger: &Arc<dyn BudgetLedger>, account: &Account) -> (u64, u64) {
    let Balance { spent, held } = ledger.balance(account, START).await.unwrap();
    (spent.tokens, held.tokens)
}

async fn an_account_begins_with_nothing([ledger, _]: Two) {
    assert_eq!(ledger.balance(&session(), START).await.unwrap(), Balance::default());
}

async fn what_is_set_aside_is_not_there_for_others([one, other]: Two) {
    let account = session();
    assert_eq!(one.reserve(&account, &hold("a", 60, 100), START).await.unwrap(), Reserved::Held(tokens(60)));
    let refused = other.reserve(&account, &hold("b", 60, 100), START).await.unwrap();
    let stands = Balance { spent: Spend::default(), held: tokens(60) };
    assert_eq!(refused, Reserved::Refused(Measure::Tokens, stands));
    assert_eq!(other.balance(&account, START).await.unwrap(), stands, "a refusal sets nothing aside");
    assert_eq!(other.reserve(&account, &hold("c", 40, 100), START).await.unwrap(), Reserved::Held(tokens(40)));
}

async fn less_than_is_wanted_is_given_and_never_less_than_the_least([ledger, _]: Two) {
    let account = session();
    ledger.settle(from_ref(&account), "before", tokens(70), START).await.unwrap();
    let flexible = Hold { least: tokens(10), ..hold("a", 60, 100) };
    assert_eq!(ledger.reserve(&account, &flexible, START).await.unwrap(), Reserved::Held(tokens(30)));
    let more = Hold { key: "b".to_owned(), ..flexible.clone() };
    assert!(matches!(ledger.reserve(&account, &more, START).await.unwrap(), Reserved::Refused(Measure::Tokens, _)));
    let none = Hold { key: "c".to_owned(), least: tokens(0), ..flexible };
    assert_eq!(ledger.reserve(&account, &none, START).await.unwrap(), Reserved::Held(tokens(0)));
}

async fn each_measure_has_its_own_limit([ledger, _]: Two) {
    let account = session();
    let used = Spend { tokens: 1_000_000, tool_calls: 3, wall_ms: 60_000 };
    ledger.settle(from_ref(&account), "before", used, START).await.unwrap();
    let want = Spend { tokens: 1, tool_calls: 1, wall_ms: 1 };
    let ask = async |key: &str, ceiling: Ceiling| {
        let hold = Hold { key: key.to_owned(), want, least: want, ceiling, until: START.after(LIFE) };
        ledger.reserve(&account, &hold, START).await.unwrap()
    };
    let open = Ceiling::default();
    assert_eq!(ask("a", open).await, Reserved::Held(want), "without a ceiling all fits");
    let calls = ask("b", Ceiling { tool_calls: Some(4), ..open }).await;
    assert!(matches!(calls, Reserved::Refused(Measure::ToolCalls, _)), "{calls:?}");
    let time = ask("c", Ceiling { wall_ms: Some(60_001), ..open }).await;
    assert!(matches!(time, Reserved::Refused(Measure::WallMs, _)), "{time:?}");
    assert_eq!(ask("d", Ceiling { tool_calls: Some(5), wall_ms: Some(60_002), ..open }).await, Reserved::Held(want));
}

async fn a_hold_is_made_once([one, other]: Two) {
    let account = session();
    for ledger in [&one, &other, &one] {
        assert_eq!(ledger.reserve(&account, &hold("a", 60, 100), START).await.unwrap(), Reserved::Held(tokens(60)));
    }
    assert_eq!(balance(&one, &account).await, (0, 60));
}

async fn what_was_spent_takes_the_place_of_its_hold([one, other]: Two) {
    let account = session();
    one.reserve(&account, &hold("a", 60, 100), START).await.unwrap();
    one.reserve(&account, &hold("b", 20, 100), START).await.unwrap();
    other.settle(from_ref(&account), "a", tokens(15), START).await.unwrap();
    assert_eq!(balance(&one, &account).await, (15, 20));
    // It may be more than was set aside, and more than the ceiling.
    one.settle(from_ref(&account), "b", tokens(500), START).await.unwrap();
    assert_eq!(balance(&other, &account).await, (515, 0));
}

async fn what_was_spent_is_counted_once([one, other]: Two) {
    let account = session();
    one.reserve(&account, &hold("a", 60, 100), START).await.unwrap();
    for ledger in [&one, &other, &one] {
        ledger.settle(from_ref(&account), "a", tokens(15), START).await.unwrap();
    }
    let just = START.after(SETTLED_FOR).before(A_MOMENT);
    other.settle(from_ref(&account), "a", tokens(15), just).await.unwrap();
    assert_eq!(balance(&one, &account).await, (15, 0));
}

async fn what_was_spent_without_a_hold_counts_as_well([ledger, _]: Two) {
    let account = session();
    ledger.settle(from_ref(&account), "a", tokens(7), START).await.unwrap();
    ledger.settle(from_ref(&account), "b", tokens(8), START).await.unwrap();
    assert_eq!(balance(&ledger, &account).await, (15, 0));
}

async fn accounts_are_settled_together([one, other]: Two) {
    let accounts = [session(), Account::Day(PrincipalId::parse(format!("ann {}", unique())).unwrap(), Day::of(START))];
    one.reserve(&accounts[1], &hold("a", 60, 100), START).await.unwrap();
    // One of them was counted by an attempt whose answer was lost.
    one.settle(&accounts[..1], "a", tokens(7), START).await.unwrap();
    other.settle(&accounts, "a", tokens(7), START).await.unwrap();
    for account in &accounts {
        assert_eq!(balance(&one, account).await, (7, 0), "{account:?}");
    }
    one.settle(&[], "b", tokens(7), START).await.unwrap();
}

async fn a_hold_of_the_dead_lapses([one, other]: Two) {
    let account = session();
    one.reserve(&account, &hold("a", 100, 100), START).await.unwrap();
    let (before, after) = (START.after(LIFE).before(A_MOMENT), START.after(LIFE));
    let later = |key: &str, at: Timestamp| Hold { until: at.after(LIFE), ..hold(key, 100, 100) };
    assert!(matches!(other.reserve(&account, &later("b", before), before).await.unwrap(), Reserved::Refused(..)));
    assert_eq!(other.balance(&account, before).await.unwrap().held, tokens(100));
    assert_eq!(other.balance(&account, after).await.unwrap().held, tokens(0));
    assert_eq!(other.reserve(&account, &later("b", after), after).await.unwrap(), Reserved::Held(tokens(100)));
    // Who was only late is counted all the same.
    one.settle(from_ref(&account), "a", tokens(30), after).await.unwrap();
    let stands = one.balance(&account, after).await.unwrap();
    assert_eq!((stands.spent, stands.held), (tokens(30), tokens(100)));
}

async fn accounts_are_apart([ledger, _]: Two) {
    let day = Day::of(START);
    let principal = |name: &str| PrincipalId::parse(format!("{name} {}", unique())).unwrap();
    let (ann, odd) = (principal("ann"), principal("a}{:b"));
    let accounts = [
        session(),
        session(),
        Account::Day(ann.clone(), day),
        Account::Day(ann, Day::of(day.end())),
        Account::Day(odd, day),
    ];
    for (spent, account) in (1..).zip(&accounts) {
        ledger.settle(from_ref(account), "a", tokens(spent), START).await.unwrap();
    }
    for (spent, account) in (1..).zip(&accounts) {
        assert_eq!(balance(&ledger, account).await, (spent, 0), "{account:?}");
    }
}

async fn of_many_at_once_no_more_fit_than_there_is_room_for(two: Two) {
    let account = session();
    let asking = (0..40).map(|n: usize| {
        let (ledger, account) = (Arc::clone(&two[n % 2]), account.clone());
        async move {
            let key = format!("hold-{n}");
            let held = ledger.reserve(&account, &hold(&key, 10, 105), START).await.unwrap();
            let fits = matches!(held, Reserved::Held(_));
            if fits && n.is_multiple_of(3) {
                ledger.settle(from_ref(&account), &key, tokens(10), START).await.unwrap();
            }
            fits
        }
    });
    let fit = join_all(asking).await.into_iter().filter(|fits| *fits).count();
    assert_eq!(fit, 10);
    let (spent, held) = balance(&two[0], &account).await;
    assert_eq!(spent + held, 100);
}
