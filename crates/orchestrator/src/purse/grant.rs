//! What was set aside for one piece of work, from then until it is counted.

use super::Purse;
use crate::sandbox::backoff;
use lockkeeper_domain::{Ceiling, Spend};
use lockkeeper_ports::{Account, Hold, StoreError};
use std::sync::Arc;
use tokio::{runtime::Handle, sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;

/// Work that may be done. It is counted when it is settled, or by what is known of its cost when it is dropped.
pub(crate) struct Grant {
    purse: Arc<Purse>,
    accounts: [Account; 2],
    hold: Arc<Held>,
    granted: Spend,
    cost: Spend,
    started: Instant,
    is_open: bool,
}

/// A hold that lives for as long as its work. The store lets holds lapse, so that those of the dead do; work that takes longer
/// than that gets another one in time.
struct Held {
    /// The name of the hold as it is now.
    key: Mutex<String>,
    closed: CancellationToken,
}

impl Grant {
    /// Work for which `granted` is set aside in the accounts `reserved_in`.
    pub(super) fn new(
        purse: Arc<Purse>,
        accounts: [Account; 2],
        key: String,
        granted: Spend,
        reserved_in: Vec<Account>,
    ) -> Self {
        let hold = Arc::new(Held { key: Mutex::new(key), closed: CancellationToken::new() });
        if !reserved_in.is_empty() {
            purse.tasks.spawn(Arc::clone(&purse).keep(Arc::clone(&hold), reserved_in, granted));
        }
        Self { purse, accounts, hold, granted, cost: Spend::default(), started: Instant::now(), is_open: true }
    }

    /// How much of what was wanted it may cost.
    pub(crate) fn granted(&self) -> Spend {
        self.granted
    }

    /// It has cost so much more, as far as one can tell.
    pub(crate) fn costs(&mut self, more: Spend) {
        self.cost = self.cost.plus(more);
    }

    /// What it has cost, as far as one can tell, but for the time.
    pub(crate) fn cost(&self) -> Spend {
        self.cost
    }

    /// It is done, and has cost this; the time is added.
    pub(crate) async fn settle(self, used: Spend) {
        let used = self.with_time(used);
        self.close(used).await;
    }

    /// It is not done: what was set aside for it is given back.
    pub(crate) async fn give_up(self) {
        self.close(Spend::default()).await;
    }

    async fn close(mut self, used: Spend) {
        self.is_open = false;
        let (purse, accounts, hold) = (Arc::clone(&self.purse), self.accounts.clone(), Arc::clone(&self.hold));
        purse.close(&accounts, &hold, used).await;
    }

    fn with_time(&self, used: Spend) -> Spend {
        let wall_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        used.plus(Spend { wall_ms, ..Spend::default() })
    }
}

impl Drop for Grant {
    /// The work was broken off: what it cost until then is counted aside.
    fn drop(&mut self) {
        if !self.is_open || Handle::try_current().is_err() {
            return;
        }
        // What was never begun has taken no time either.
        let used = if self.cost == Spend::default() { self.cost } else { self.with_time(self.cost) };
        let (purse, accounts, hold) = (Arc::clone(&self.purse), self.accounts.clone(), Arc::clone(&self.hold));
        self.purse.tasks.spawn(async move { purse.close(&accounts, &hold, used).await });
    }
}

impl Purse {
    async fn close(self: &Arc<Self>, accounts: &[Account], hold: &Held, used: Spend) {
        hold.closed.cancel();
        // Not while the hold is being made anew.
        let key = hold.key.lock().await;
        self.settle(accounts, &key, used).await;
    }

    /// Makes a hold anew before it lapses, until its work is done.
    async fn keep(self: Arc<Self>, hold: Arc<Held>, accounts: Vec<Account>, granted: Spend) {
        let first = hold.key.lock().await.clone();
        let period = self.config.hold() * 2 / 3;
        let (mut pause, mut attempt) = (period, 0);
        for nth in 1_u64.. {
            tokio::select! {
                () = hold.closed.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let mut key = hold.key.lock().await;
            if hold.closed.is_cancelled() {
                return;
            }
            let next = format!("{first}/{nth}");
            match self.hold_again(&accounts, &next, granted).await {
                Ok(()) => {
                    let before = std::mem::replace(&mut *key, next);
                    self.settle(&accounts, &before, Spend::default()).await;
                    (pause, attempt) = (period, 0);
                }
                Err(error) => {
                    tracing::warn!(%error, "what was set aside could not be kept; trying again");
                    self.settle(&accounts, &next, Spend::default()).await;
                    (pause, attempt) = (backoff(attempt), attempt + 1);
                }
            }
        }
    }

    /// Sets aside the same once more, beside what is set aside now: there is room for it, whatever others have taken.
    async fn hold_again(&self, accounts: &[Account], key: &str, granted: Spend) -> Result<(), StoreError> {
        for account in accounts {
            let now = self.clock.now();
            let (until, ceiling) = (now.after(self.config.hold()), Ceiling::default());
            let hold = Hold { key: key.to_owned(), want: granted, least: Spend::default(), ceiling, until };
            self.ledger.reserve(account, &hold, now).await?;
        }
        Ok(())
    }
}
