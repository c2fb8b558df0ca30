//! The rules that approvals for always have stored.

use crate::{
    keys,
    record::{decode, encode},
    reply::{Reply, array, bytes, number, text},
    script,
    sessions::millis,
    store::Shared,
};
use lockkeeper_domain::{PrincipalId, RuleId, StoredRule, Timestamp};
use lockkeeper_ports::StoreError;
use std::collections::HashMap;

const WHAT: &str = "stored rule";

impl Shared {
    pub(crate) async fn put_rule(&self, owner: &PrincipalId, rule: &StoredRule) -> Result<(), StoreError> {
        let key = keys::rules(owner);
        let args = vec![key.as_str().into(), rule.id.as_str().into(), encode(WHAT, rule)?];
        self.connection.call("HSETNX", &key, args).await?;
        Ok(())
    }

    pub(crate) async fn rules(&self, owner: &PrincipalId) -> Result<Vec<StoredRule>, StoreError> {
        let key = keys::rules(owner);
        let mut fields = array(self.connection.call("HGETALL", &key, vec![key.as_str().into()]).await?)?.into_iter();
        let (mut rules, mut uses) = (Vec::new(), HashMap::new());
        while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
            match text(name)?.strip_suffix(keys::USED) {
                Some(id) => {
                    uses.insert(id.to_owned(), Timestamp::from_millis(number(&text(value)?)?));
                }
                None => rules.push(decode::<StoredRule>(WHAT, &bytes(value)?)?),
            }
        }
        for rule in &mut rules {
            rule.last_used_at = uses.remove(rule.id.as_str()).max(rule.last_used_at);
        }
        rules.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(rules)
    }

    pub(crate) async fn rule_used(&self, owner: &PrincipalId, id: &RuleId, at: Timestamp) -> Result<(), StoreError> {
        let args = vec![id.as_str().into(), format!("{id}{}", keys::USED).into(), millis(at)];
        let reply = Reply::of(self.connection.run(&script::RULE_USED, &[&keys::rules(owner)], args).await?)?;
        match &*reply.word {
            b"OK" | b"NONE" => Ok(()),
            _ => Err(reply.unknown()),
        }
    }

    pub(crate) async fn remove_rule(&self, owner: &PrincipalId, id: &RuleId) -> Result<(), StoreError> {
        let key = keys::rules(owner);
        let used = format!("{id}{}", keys::USED);
        self.connection.call("HDEL", &key, vec![key.as_str().into(), id.as_str().into(), used.into()]).await?;
        Ok(())
    }
}
