//! What is spent and set aside. The whole of an account is one value.

use super::Tables;
use crate::{failure::Halt, schema};
use lockkeeper_domain::{Spend, Timestamp};
use lockkeeper_ports::{ACCOUNT_KEPT_FOR, Account, Balance, Hold, Reserved, SETTLED_FOR};
use redb::ReadableTable;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An account as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredAccount {
    spent: Spend,
    /// Holds, and settled keys for as long as they are remembered.
    holds: BTreeMap<String, StoredHold>,
    /// The last change.
    at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredHold {
    held: Spend,
    until: Timestamp,
    settled: bool,
}

impl StoredAccount {
    /// Where it stands at `now`.
    pub(crate) fn balance(&self, now: Timestamp) -> Balance {
        let open = self.holds.values().filter(|hold| !hold.settled && hold.until > now);
        Balance { spent: self.spent, held: open.fold(Spend::default(), |sum, hold| sum.plus(hold.held)) }
    }

    fn forget_what_is_over(&mut self, now: Timestamp) {
        self.holds.retain(|_, hold| hold.until > now);
        self.at = self.at.max(now);
    }
}

impl Tables<'_> {
    pub(crate) fn reserve(&mut self, account: &Account, hold: &Hold, now: Timestamp) -> Result<Reserved, Halt> {
        let name = schema::account_name(account);
        let mut stored = self.account(&name)?;
        stored.forget_what_is_over(now);
        if let Some(before) = stored.holds.get(&hold.key) {
            return Ok(Reserved::Held(before.held));
        }
        let balance = stored.balance(now);
        let granted = match hold.ceiling.fit(balance.taken(), hold.want, hold.least) {
            Ok(granted) => granted,
            Err(measure) => return Ok(Reserved::Refused(measure, balance)),
        };
        stored.holds.insert(hold.key.clone(), StoredHold { held: granted, until: hold.until, settled: false });
        self.put_account(&name, &stored)?;
        Ok(Reserved::Held(granted))
    }

    pub(crate) fn settle(&mut self, account: &Account, key: &str, used: Spend, now: Timestamp) -> Result<(), Halt> {
        let name = schema::account_name(account);
        let mut stored = self.account(&name)?;
        stored.forget_what_is_over(now);
        let before = stored.holds.get(key);
        if before.is_some_and(|hold| hold.settled) {
            return Ok(());
        }
        let held = before.map(|hold| hold.held).unwrap_or_default();
        stored.holds.insert(key.to_owned(), StoredHold { held, until: now.after(SETTLED_FOR), settled: true });
        stored.spent = stored.spent.plus(used);
        self.put_account(&name, &stored)?;
        self.forget_old_days(now)
    }

    fn account(&self, name: &str) -> Result<StoredAccount, Halt> {
        let stored = self.budgets.get(name)?.map(|bytes| schema::decode_account(bytes.value()));
        stored.transpose().map(Option::unwrap_or_default)
    }

    fn put_account(&mut self, name: &str, account: &StoredAccount) -> Result<(), Halt> {
        self.touched.anything = true;
        self.budgets.insert(name, schema::encode("budget", account)?.as_slice())?;
        Ok(())
    }

    /// One account that nobody has changed for long goes with each change of another, so that they never pile up.
    fn forget_old_days(&mut self, now: Timestamp) -> Result<(), Halt> {
        // Names of days begin with the day, so the oldest is the first.
        let first = self.budgets.first()?;
        let first = first.map(|(name, bytes)| (name.value().to_owned(), schema::decode_account(bytes.value())));
        let Some((name, account)) = first else { return Ok(()) };
        if account?.at.after(ACCOUNT_KEPT_FOR) < now {
            self.budgets.remove(name.as_str())?;
        }
        Ok(())
    }
}
