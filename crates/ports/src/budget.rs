use crate::StoreError;
use async_trait::async_trait;
use lockkeeper_domain::{Ceiling, Day, Measure, PrincipalId, SessionId, Spend, Timestamp};
use std::time::Duration;

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// All that a session ever spent.
    Session(SessionId),
    /// What a principal's sessions spent on a day.
    Day(PrincipalId, Day),
}

/// Something that is about to be spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its name in the account, which nothing else has: 1 to 200 characters of visible ASCII.
    pub key: String,
    /// As much as it may cost.
    pub want: Spend,
    /// Less is of no use.
    pub least: Spend,
    /// What may be spent in the account in all.
    pub ceiling: Ceiling,
    /// When it counts for nothing any more, unless it was settled: whoever made it has died.
    pub until: Timestamp,
}

/// What came of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// So much is set aside, between what is wanted and the least.
    Held(Spend),
    /// There is not enough of this left; nothing is set aside.
    Refused(Measure, Balance),
}

/// Where an account stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// What was spent.
    pub spent: Spend,
    /// What is set aside.
    pub held: Spend,
}

impl Balance {
    /// Both together: what is not there for others.
    pub const fn taken(self) -> Spend {
        self.spent.plus(self.held)
    }
}

/// Counts what sessions and principals spend, for all servers that share a store.
///
/// Each operation is atomic in each account, and durable as a step of a session is. An account begins with nothing spent. What is kept of it lives for
/// [`ACCOUNT_KEPT_FOR`] after the last change, so that days of long ago are forgotten.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait BudgetLedger: Send + Sync {
    /// Sets aside what the hold wants, or as much of it as the account's ceiling leaves beside what is spent and what others have
    /// set aside. Holds whose time is over count for nothing. Idempotent by the key for as long as the hold lives: a second time it
    /// gets what it got, and nothing more is set aside.
    async fn reserve(&self, account: &Account, hold: &Hold, now: Timestamp) -> Result<Reserved, StoreError>;

    /// Counts in each of these accounts what was really spent, however much, and lets go of the hold by this key if there is one.
    /// Idempotent by the key, account by account, for a minute.
    async fn settle(&self, accounts: &[Account], key: &str, used: Spend, now: Timestamp) -> Result<(), StoreError>;

    /// Where the account stands at `now`.
    async fn balance(&self, account: &Account, now: Timestamp) -> Result<Balance, StoreError>;
}

/// How long a settled key is remembered: longer than anybody tries again.
pub const SETTLED_FOR: Duration = Duration::from_mins(1);

/// How long an account is kept after its last change.
pub const ACCOUNT_KEPT_FOR: Duration = Duration::from_hours(24 * 31);
