use crate::{EmbeddedStore, change::Tables, query};
use async_trait::async_trait;
use lockkeeper_domain::{Spend, Timestamp};
use lockkeeper_ports::{Account, Balance, BudgetLedger, Hold, Reserved, StoreError};
use tracing::instrument;

/// About what a change costs that writes an account.
const ACCOUNT_WEIGHT: usize = 1 << 10;

#[async_trait]
impl BudgetLedger for EmbeddedStore {
    #[instrument(level = "debug", name = "store.budget.reserve", skip_all, err(level = "debug"))]
    async fn reserve(&self, account: &Account, hold: &Hold, now: Timestamp) -> Result<Reserved, StoreError> {
        let (account, hold) = (account.clone(), hold.clone());
        self.write(ACCOUNT_WEIGHT, move |tables| tables.reserve(&account, &hold, now)).await
    }

    #[instrument(level = "debug", name = "store.budget.settle", skip_all, err(level = "debug"))]
    async fn settle(&self, accounts: &[Account], key: &str, used: Spend, now: Timestamp) -> Result<(), StoreError> {
        let (accounts, key) = (accounts.to_vec(), key.to_owned());
        let settle = move |tables: &mut Tables<'_>| {
            accounts.iter().try_for_each(|account| tables.settle(account, &key, used, now))
        };
        self.write(ACCOUNT_WEIGHT, settle).await
    }

    #[instrument(level = "debug", name = "store.budget.balance", skip_all, err(level = "debug"))]
    async fn balance(&self, account: &Account, now: Timestamp) -> Result<Balance, StoreError> {
        self.shared.read(|txn| query::balance(txn, account, now))
    }
}
