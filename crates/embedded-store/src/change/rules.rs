use super::Tables;
use crate::{failure::Halt, schema};
use lockkeeper_domain::{PrincipalId, RuleId, StoredRule, Timestamp};
use redb::ReadableTable;

impl Tables<'_> {
    pub(crate) fn put_rule(&mut self, owner: &PrincipalId, rule: &StoredRule) -> Result<(), Halt> {
        if self.rule(owner, &rule.id)?.is_some() {
            return Ok(());
        }
        self.write_rule(owner, rule)
    }

    pub(crate) fn rule_used(&mut self, owner: &PrincipalId, id: &RuleId, at: Timestamp) -> Result<(), Halt> {
        match self.rule(owner, id)? {
            Some(rule) if rule.last_used_at < Some(at) => {
                self.write_rule(owner, &StoredRule { last_used_at: Some(at), ..rule })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn remove_rule(&mut self, owner: &PrincipalId, id: &RuleId) -> Result<(), Halt> {
        self.touched.anything = true;
        self.rules.open()?.remove((owner.as_str(), id.as_str()))?;
        Ok(())
    }

    fn rule(&mut self, owner: &PrincipalId, id: &RuleId) -> Result<Option<StoredRule>, Halt> {
        let stored = self.rules.open()?.get((owner.as_str(), id.as_str()))?;
        stored.map(|bytes| schema::decode_rule(bytes.value())).transpose()
    }

    fn write_rule(&mut self, owner: &PrincipalId, rule: &StoredRule) -> Result<(), Halt> {
        let bytes = schema::encode("stored rule", rule)?;
        self.touched.anything = true;
        self.rules.open()?.insert((owner.as_str(), rule.id.as_str()), bytes.as_slice())?;
        Ok(())
    }
}
