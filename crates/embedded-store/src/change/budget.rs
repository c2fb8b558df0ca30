//! What is spent and set aside. What is set aside, and what was counted of late, are rows of their own: an account costs the
//! same however much is done in it.

use super::Tables;
use crate::{
    failure::Halt,
    schema::{self, AFTER_IDS, HoldRow},
};
use lockkeeper_domain::{Spend, Timestamp};
use lockkeeper_ports::{ACCOUNT_KEPT_FOR, Account, Balance, Hold, Reserved, SETTLED_FOR};
use redb::{ReadableTable, Table, WriteTransaction};
use serde::{Deserialize, Serialize};

/// How many rows that are over go with one change: more than it makes, so that they never pile up.
const SWEPT_AT_ONCE: usize = 8;

/// An account as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredAccount {
    pub(crate) spent: Spend,
    /// The last change.
    at: Timestamp,
}

/// The tables of the budgets, for the changes that need them: most do not, and each table that is opened takes its time.
pub(super) struct Accounts<'t> {
    txn: &'t WriteTransaction,
    open: Option<OpenAccounts<'t>>,
}

struct OpenAccounts<'t> {
    spent: Table<'t, &'static str, &'static [u8]>,
    holds: Table<'t, (&'static str, &'static str), HoldRow>,
    settled: Table<'t, (&'static str, &'static str), i64>,
    settled_until: Table<'t, (i64, &'static str, &'static str), ()>,
}

/// What is set aside in an account at `now`.
pub(crate) fn held(
    holds: &impl ReadableTable<(&'static str, &'static str), HoldRow>,
    account: &str,
    now: Timestamp,
) -> Result<Spend, Halt> {
    let mut held = Spend::default();
    for hold in holds.range((account, "")..=(account, AFTER_IDS))? {
        let (amount, until) = hold_of(hold?.1.value());
        if until > now {
            held = held.plus(amount);
        }
    }
    Ok(held)
}

fn hold_of((tokens, tool_calls, wall_ms, until): HoldRow) -> (Spend, Timestamp) {
    (Spend { tokens, tool_calls, wall_ms }, Timestamp::from_millis(until))
}

impl<'t> Accounts<'t> {
    pub(super) fn of(txn: &'t WriteTransaction) -> Self {
        Self { txn, open: None }
    }

    fn open(&mut self) -> Result<&mut OpenAccounts<'t>, Halt> {
        let open = match self.open.take() {
            Some(open) => open,
            None => OpenAccounts {
                spent: self.txn.open_table(schema::BUDGETS)?,
                holds: self.txn.open_table(schema::HOLDS)?,
                settled: self.txn.open_table(schema::SETTLED)?,
                settled_until: self.txn.open_table(schema::SETTLED_UNTIL)?,
            },
        };
        Ok(self.open.insert(open))
    }
}

impl Tables<'_> {
    pub(crate) fn reserve(&mut self, account: &Account, hold: &Hold, now: Timestamp) -> Result<Reserved, Halt> {
        let name = schema::account_name(account);
        let accounts = self.accounts.open()?;
        let before = accounts.holds.get((name.as_str(), hold.key.as_str()))?.map(|row| hold_of(row.value()));
        if let Some((before, _)) = before.filter(|(_, until)| *until > now) {
            return Ok(Reserved::Held(before));
        }
        let balance = Balance { spent: accounts.account(&name)?.spent, held: held(&accounts.holds, &name, now)? };
        let granted = match hold.ceiling.fit(balance.taken(), hold.want, hold.least) {
            Ok(granted) => granted,
            Err(measure) => return Ok(Reserved::Refused(measure, balance)),
        };
        self.touched.anything = true;
        let of_account = (name.as_str(), "")..=(name.as_str(), AFTER_IDS);
        accounts.holds.retain_in(of_account, |_, hold| hold_of(hold).1 > now)?;
        let Spend { tokens, tool_calls, wall_ms } = granted;
        let row = (tokens, tool_calls, wall_ms, hold.until.as_millis());
        accounts.holds.insert((name.as_str(), hold.key.as_str()), row)?;
        Ok(Reserved::Held(granted))
    }

    pub(crate) fn settle(&mut self, account: &Account, key: &str, used: Spend, now: Timestamp) -> Result<(), Halt> {
        let name = schema::account_name(account);
        let accounts = self.accounts.open()?;
        let place = (name.as_str(), key);
        let before = accounts.settled.get(place)?.map(|until| until.value());
        if before.is_some_and(|until| until > now.as_millis()) {
            return Ok(());
        }
        let mut stored = accounts.account(&name)?;
        stored.spent = stored.spent.plus(used);
        stored.at = stored.at.max(now);
        self.touched.anything = true;
        accounts.spent.insert(name.as_str(), schema::encode("budget", &stored)?.as_slice())?;
        accounts.holds.remove(place)?;
        accounts.remember(place, now.after(SETTLED_FOR))?;
        accounts.forget(now)
    }

    /// Forgets the account.
    pub(super) fn close_account(&mut self, account: &Account) -> Result<(), Halt> {
        self.accounts.open()?.close(&schema::account_name(account))
    }
}

impl OpenAccounts<'_> {
    fn account(&self, name: &str) -> Result<StoredAccount, Halt> {
        let stored = self.spent.get(name)?.map(|bytes| schema::decode_account(bytes.value()));
        stored.transpose().map(Option::unwrap_or_default)
    }

    fn remember(&mut self, (account, key): (&str, &str), until: Timestamp) -> Result<(), Halt> {
        let until = until.as_millis();
        let before = self.settled.insert((account, key), until)?.map(|before| before.value());
        if let Some(before) = before {
            self.settled_until.remove((before, account, key))?;
        }
        self.settled_until.insert((until, account, key), ())?;
        Ok(())
    }

    /// What was counted long enough ago, and one account that nobody has changed for long, go with each change of another.
    fn forget(&mut self, now: Timestamp) -> Result<(), Halt> {
        let over = ..(now.as_millis() + 1, "", "");
        for row in self.settled_until.extract_from_if(over, |_, ()| true)?.take(SWEPT_AT_ONCE) {
            let (place, _) = row?;
            let (_, account, key) = place.value();
            self.settled.remove((account, key))?;
        }
        // Names of days begin with the day, so the oldest is the first.
        let first = self.spent.first()?;
        let first = first.map(|(name, bytes)| (name.value().to_owned(), schema::decode_account(bytes.value())));
        let Some((name, account)) = first else { return Ok(()) };
        if account?.at.after(ACCOUNT_KEPT_FOR) < now { self.close(&name) } else { Ok(()) }
    }

    /// What was counted in it of late is forgotten by its time.
    fn close(&mut self, name: &str) -> Result<(), Halt> {
        self.spent.remove(name)?;
        self.holds.retain_in((name, "")..=(name, AFTER_IDS), |_, _| false)?;
        Ok(())
    }
}
