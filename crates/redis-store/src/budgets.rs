//! What is spent and set aside: one hash for each account, changed by one script, and a mark for each key that was counted of late.

use crate::{
    RedisStore,
    failure::corrupt,
    keys,
    reply::{Reply, array, number, text},
    script,
    sessions::millis,
};
use async_trait::async_trait;
use fred::types::Value;
use futures::future::try_join_all;
use lockkeeper_domain::{Measure, Spend, Timestamp};
use lockkeeper_ports::{ACCOUNT_KEPT_FOR, Account, Balance, BudgetLedger, Hold, Reserved, SETTLED_FOR, StoreError};
use tracing::instrument;

/// More than this of anything is this much: Lua counts in doubles, which hold no larger whole numbers.
const MOST: u64 = 1 << 52;

fn amounts(spend: Spend) -> [Value; 3] {
    Measure::ALL.map(|measure| spend.of(measure).min(MOST).to_string().into())
}

fn life() -> Value {
    ACCOUNT_KEPT_FOR.as_millis().to_string().into()
}

fn spend(reply: &mut Reply) -> Result<Spend, StoreError> {
    Ok(Spend { tokens: reply.number()?, tool_calls: reply.number()?, wall_ms: reply.number()? })
}

#[async_trait]
impl BudgetLedger for RedisStore {
    #[instrument(level = "debug", name = "store.budget.reserve", skip_all, err(level = "debug"))]
    async fn reserve(&self, account: &Account, hold: &Hold, now: Timestamp) -> Result<Reserved, StoreError> {
        let Hold { key, want, least, ceiling, until } = hold;
        let mut args = vec![millis(now), key.as_str().into(), millis(*until), life()];
        args.extend(amounts(*want).into_iter().chain(amounts(*least)));
        let limit = |measure| ceiling.of(measure).map_or_else(String::new, |most| most.min(MOST).to_string());
        args.extend(Measure::ALL.map(|measure| Value::from(limit(measure))));
        let reply = self.shared.connection.run(&script::RESERVE, &[&keys::budget(account)], args).await?;
        let mut reply = Reply::of(reply)?;
        match &*reply.word {
            b"HELD" => Ok(Reserved::Held(spend(&mut reply)?)),
            b"FULL" => {
                let place: usize = reply.number()?;
                let measure = place.checked_sub(1).and_then(|place| Measure::ALL.get(place));
                let measure = *measure.ok_or_else(|| corrupt("answer", format!("there is no measure {place}")))?;
                let (spent, held) = (spend(&mut reply)?, spend(&mut reply)?);
                Ok(Reserved::Refused(measure, Balance { spent, held }))
            }
            _ => Err(reply.unknown()),
        }
    }

    #[instrument(level = "debug", name = "store.budget.settle", skip_all, err(level = "debug"))]
    async fn settle(&self, accounts: &[Account], key: &str, used: Spend, _: Timestamp) -> Result<(), StoreError> {
        let each = accounts.iter().map(|account| self.settle_one(account, key, used));
        try_join_all(each).await.map(drop)
    }

    #[instrument(level = "debug", name = "store.budget.balance", skip_all, err(level = "debug"))]
    async fn balance(&self, account: &Account, now: Timestamp) -> Result<Balance, StoreError> {
        let key = keys::budget(account);
        let mut fields =
            array(self.shared.connection.call("HGETALL", &key, vec![key.as_str().into()]).await?)?.into_iter();
        let mut balance = Balance::default();
        while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
            let (name, value) = (text(name)?, text(value)?);
            match name.as_str() {
                "tokens" => balance.spent.tokens = number(&value)?,
                "calls" => balance.spent.tool_calls = number(&value)?,
                "wall" => balance.spent.wall_ms = number(&value)?,
                _ => balance.held = balance.held.plus(open_hold(&value, now)?),
            }
        }
        Ok(balance)
    }
}

impl RedisStore {
    async fn settle_one(&self, account: &Account, key: &str, used: Spend) -> Result<(), StoreError> {
        let (account, settled) = (keys::budget(account), keys::settled(account, key));
        let mut args = vec![key.into(), SETTLED_FOR.as_millis().to_string().into(), life()];
        args.extend(amounts(used));
        let reply = self.shared.connection.run(&script::SETTLE, &[&account, &settled], args).await?;
        let reply = Reply::of(reply)?;
        if &*reply.word == b"OK" { Ok(()) } else { Err(reply.unknown()) }
    }
}

/// What a hold sets aside: nothing once its time is over. Earlier versions wrote an `h` behind it, and an `s` behind what was settled.
fn open_hold(value: &str, now: Timestamp) -> Result<Spend, StoreError> {
    let parts: Vec<_> = value.split(' ').collect();
    let ([tokens, calls, wall, until] | [tokens, calls, wall, until, "h" | "s"]) = parts[..] else {
        return Err(corrupt("budget", format!("`{value}` is no hold")));
    };
    let is_open = !value.ends_with('s') && number::<i64>(until)? > now.as_millis();
    let held = Spend { tokens: number(tokens)?, tool_calls: number(calls)?, wall_ms: number(wall)? };
    Ok(if is_open { held } else { Spend::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_of_earlier_versions_are_read() {
        let now = Timestamp::from_millis(1_000);
        let open = Spend { tokens: 1, tool_calls: 2, wall_ms: 3 };
        for (value, held) in [
            ("1 2 3 1001", open),
            ("1 2 3 1001 h", open),
            ("1 2 3 1000", Spend::default()),
            ("1 2 3 1001 s", Spend::default()),
        ] {
            assert_eq!(open_hold(value, now).unwrap(), held, "{value}");
        }
        for wrong in ["", "1 2 3", "1 2 3 x", "1 2 3 4 x", "1 2 3 4 h 5"] {
            assert!(open_hold(wrong, now).is_err(), "{wrong}");
        }
    }
}
