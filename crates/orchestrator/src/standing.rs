//! The rules that approvals for always have stored.

pub(crate) mod intents;

use crate::{
    actor::store_failure,
    manager::{Ports, SessionManager},
    sandbox::backoff,
};
use lockkeeper_domain::{
    Code, Event, Failure, PrincipalId, Rule, RuleId, Session, SessionId, SessionRecord, StoredRule,
};
use lockkeeper_ports::{Principal, StoreError};
use std::time::Duration;
use tokio::time::Instant;

/// How many of a principal's sessions are asked for calls that were denied, the last used first.
const SESSIONS: usize = 1_000;

/// The rules by which a principal's calls are judged.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleList {
    /// Those that approvals have stored, the first stored first.
    pub stored: Vec<StoredRule>,
    /// The operator's that are about the principal, each with what people call it.
    pub operator: Vec<(String, Rule)>,
}

impl SessionManager {
    /// The rules that are about a principal's calls.
    pub async fn rules(&self, by: &Principal) -> Result<RuleList, Failure> {
        let ports = &self.shared().ports;
        let stored = ports.rules.rules(&by.id).await.map_err(|e| store_failure(&e))?;
        let stored = intents::settle_all(ports, &by.id, stored).await.map_err(|e| store_failure(&e))?;
        let policy = ports.policy.now();
        let about = policy.rules().iter().enumerate().filter(|(_, rule)| rule.is_about(by.id.as_str()));
        let operator = about.map(|(place, rule)| (policy.name_of(place), rule.clone())).collect();
        Ok(RuleList { stored, operator })
    }

    /// Revokes a stored rule of the principal's: what it would let run asks again, in running sessions too.
    pub async fn revoke(&self, by: &Principal, id: &RuleId) -> Result<(), Failure> {
        let rules = &self.shared().ports.rules;
        let known = rules.rules(&by.id).await.map_err(|e| store_failure(&e))?;
        // What would bring the rule back goes first.
        for left in known.iter().filter(|stored| stored.intent.is_some() && stored.recorded().id == *id) {
            rules.remove_rule(&by.id, &left.id).await.map_err(|e| store_failure(&e))?;
        }
        if !known.iter().any(|rule| rule.id == *id && rule.intent.is_none()) {
            let failure = Failure::new(Code::UnknownRule, "You have no stored rule by this id.");
            return Err(failure.with_hint("policy:list tells those that you have."));
        }
        rules.remove_rule(&by.id, id).await.map_err(|e| store_failure(&e))
    }
}

/// The stored rules by which calls are judged now. Where they cannot be read there are none: doubt asks.
pub(crate) async fn rules_of(ports: &Ports, owner: &PrincipalId) -> Vec<StoredRule> {
    let read = async { intents::settle_all(ports, owner, ports.rules.rules(owner).await?).await };
    read.await.unwrap_or_else(|error: StoreError| {
        tracing::warn!(%error, "the stored rules cannot be read; what they would let run asks");
        Vec::new()
    })
}

/// A stored rule that let a call run, which must still stand when the call is sent.
pub(crate) struct Standing {
    ports: Ports,
    owner: PrincipalId,
    rule: RuleId,
    grace: Duration,
}

impl Standing {
    /// The rule of this owner. A store that is away is asked again for as long as `grace`.
    pub(crate) fn of(ports: &Ports, owner: &PrincipalId, rule: RuleId, grace: Duration) -> Self {
        Self { ports: ports.clone(), owner: owner.clone(), rule, grace }
    }

    /// Why the rule lets nothing run any more.
    pub(crate) async fn objection(self) -> Option<Failure> {
        let (started, mut attempt) = (Instant::now(), 0);
        let rules = loop {
            match self.ports.rules.rules(&self.owner).await {
                Ok(rules) => break rules,
                Err(error) => {
                    let pause = backoff(attempt);
                    if started.elapsed() + pause > self.grace {
                        return Some(store_failure(&error));
                    }
                    attempt += 1;
                    tokio::time::sleep(pause).await;
                }
            }
        };
        let stands = rules.iter().any(|stored| stored.id == self.rule);
        (!stands).then(|| Failure::new(Code::Denied, "The rule that let this call run was revoked."))
    }
}

/// Tells the store which rules let calls run. Nothing depends on it.
pub(crate) async fn tell_used(ports: Ports, owner: PrincipalId, used: Vec<RuleId>) {
    let now = ports.clock.now();
    for id in used {
        if let Err(error) = ports.rules.rule_used(&owner, &id, now).await {
            tracing::warn!(%error, "the use of a stored rule could not be written down");
        }
    }
}

/// Whether the rule would cover a call that its owner denied in another session than this one.
pub(crate) async fn is_denied_elsewhere(
    ports: &Ports,
    owner: &PrincipalId,
    here: &SessionId,
    rule: &Rule,
) -> Result<bool, StoreError> {
    for record in ports.store.owned_by(owner, SESSIONS).await? {
        if record.id != *here && is_denied_in(ports, record, rule).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn is_denied_in(ports: &Ports, record: SessionRecord, rule: &Rule) -> Result<bool, StoreError> {
    const BATCH: usize = 512;
    if record.state.denials().any_within(rule) {
        return Ok(true);
    }
    if !record.busy {
        return Ok(false);
    }
    // The record does not know of the open turn.
    let mut events: Vec<Event> = Vec::new();
    let mut after = record.checkpoint;
    loop {
        let batch = ports.store.read(&record.id, after, BATCH).await?;
        let Some(last) = batch.last() else { break };
        after = last.id.seq;
        events.extend(batch);
    }
    Ok(Session::fold(record.state, Vec::new(), &events).denials().any_within(rule))
}
