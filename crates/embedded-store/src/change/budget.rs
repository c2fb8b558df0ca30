//! What is spent and set aside. What is set aside, and what was counted of late, are rows of their own: an account costs the
//! same however much is done in it.

use super::Tables;
use crate::{
    failure::Halt,
    schema::{self, AFTER_IDS, HoldRow},
};
use lockkeeper_domain::{Spend, Timestamp};
use lockkeeper_ports::{ACCOUNT_KEPT_FOR, Account, Balance, Hold, Reserved, SETTLED_FOR};
use redb::ReadableTable;
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

impl Tables<'_> {
    pub(crate) fn reserve(&mut self, account: &Account, hold: &Hold, now: Timestamp) -> Result<Reserved, Halt> {
        let name = schema::account_name(account);
        let spent = self.account(&name)?.spent;
        let holds = self.holds.open()?;
        let before = holds.get((name.as_str(), hold.key.as_str()))?.map(|row| hold_of(row.value()));
        if let Some((before, _)) = before.filter(|(_, until)| *until > now) {
            return Ok(Reserved::Held(before));
        }
        let balance = Balance { spent, held: held(holds, &name, now)? };
        let granted = match hold.ceiling.fit(balance.taken(), hold.want, hold.least) {
            Ok(granted) => granted,
            Err(measure) => return Ok(Reserved::Refused(measure, balance)),
        };
        self.touched.anything = true;
        let of_account = (name.as_str(), "")..=(name.as_str(), AFTER_IDS);
        holds.retain_in(of_account, |_, hold| hold_of(hold).1 > now)?;
        let Spend { tokens, tool_calls, wall_ms } = granted;
        let row = (tokens, tool_calls, wall_ms, hold.until.as_millis());
        holds.insert((name.as_str(), hold.key.as_str()), row)?;
        Ok(Reserved::Held(granted))
    }

    pub(crate) fn settle(&mut self, account: &Account, key: &str, used: Spend, now: Timestamp) -> Result<(), Halt> {
        let name = schema::account_name(account);
        let place = (name.as_str(), key);
        let before = self.settled.open()?.get(place)?.map(|until| until.value());
        if before.is_some_and(|until| until > now.as_millis()) {
            return Ok(());
        }
        let mut stored = self.account(&name)?;
        stored.spent = stored.spent.plus(used);
        stored.at = stored.at.max(now);
        self.touched.anything = true;
        self.spent.open()?.insert(name.as_str(), schema::encode("budget", &stored)?.as_slice())?;
        self.holds.open()?.remove(place)?;
        self.remember(place, now.after(SETTLED_FOR))?;
        self.forget(now)
    }

    /// Forgets the account. What was counted in it of late is forgotten by its time.
    pub(super) fn close_account(&mut self, name: &str) -> Result<(), Halt> {
        self.spent.open()?.remove(name)?;
        self.holds.open()?.retain_in((name, "")..=(name, AFTER_IDS), |_, _| false)?;
        Ok(())
    }

    fn account(&mut self, name: &str) -> Result<StoredAccount, Halt> {
        let stored = self.spent.open()?.get(name)?.map(|bytes| schema::decode_account(bytes.value()));
        stored.transpose().map(Option::unwrap_or_default)
    }

    fn remember(&mut self, (account, key): (&str, &str), until: Timestamp) -> Result<(), Halt> {
        let until = until.as_millis();
        let before = self.settled.open()?.insert((account, key), until)?.map(|before| before.value());
        let times = self.settled_until.open()?;
        if let Some(before) = before {
            times.remove((before, account, key))?;
        }
        times.insert((until, account, key), ())?;
        Ok(())
    }

    /// What was counted long enough ago, and one account that nobody has changed for long, go with each change of another.
    fn forget(&mut self, now: Timestamp) -> Result<(), Halt> {
        let settled = self.settled.open()?;
        let over = ..(now.as_millis() + 1, "", "");
        for row in self.settled_until.open()?.extract_from_if(over, |_, ()| true)?.take(SWEPT_AT_ONCE) {
            let (place, _) = row?;
            let (_, account, key) = place.value();
            settled.remove((account, key))?;
        }
        // Names of days begin with the day, so the oldest is the first.
        let first = self.spent.open()?.first()?;
        let first = first.map(|(name, bytes)| (name.value().to_owned(), schema::decode_account(bytes.value())));
        let Some((name, account)) = first else { return Ok(()) };
        if account?.at.after(ACCOUNT_KEPT_FOR) < now { self.close_account(&name) } else { Ok(()) }
    }
}
