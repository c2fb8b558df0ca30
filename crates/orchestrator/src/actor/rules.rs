//! Rules that change while calls wait, and those that an approval stores.

use super::{
    Actor,
    command::refused,
    persist::{Lost, store_failure},
};
use crate::{
    standing::{
        self,
        intents::{self, Approval},
    },
    tools::denied_by,
};
use lockkeeper_domain::{
    Answer, Asked, CallView, Code, Command, DecisionRule, Failure, Rule, RuleId, StoredRule, Verdict,
};
use std::sync::Arc;

impl Actor {
    /// Refuses the calls that wait for a human and that the rules deny as they are now, and asks the others anew. Called before anything is decided, so
    /// that no answer comes before it.
    pub(super) async fn heed_rules(&mut self) -> Result<(), Lost> {
        if !self.rules.has_changed().unwrap_or(false) {
            return Ok(());
        }
        let policy = Arc::clone(&self.rules.borrow_and_update());
        self.session.stand_on_rules(policy.version());
        let again = |open: &CallView<'_>| {
            Asked::again(open.call, open.gate, self.owner.as_str())
                .map(|asked| policy.judge(Asked { args: open.args, ..asked }))
        };
        let denied = |open: CallView<'_>| match again(&open)? {
            Verdict::Deny { why } => Some((open.call.id.clone(), denied_by(&why))),
            Verdict::Ask { .. } | Verdict::Allow { .. } => None,
        };
        let waiting = self.session.open_calls().into_iter().filter(|open| open.waiting);
        let denied: Vec<_> = waiting.filter_map(denied).collect();
        if !denied.is_empty() {
            self.follow(Command::Forbid(denied)).await?;
        }
        // What other rules asked about is asked anew.
        if self.session.has_stale_question() { self.follow(Command::Tick).await } else { Ok(()) }
    }

    /// Stores the intent of an approval for always, before it is recorded. Returns the rule that will stand; `None` for any
    /// other answer.
    pub(super) async fn intend_rule(&mut self, answer: &Answer) -> Result<Option<RuleId>, Failure> {
        let Some(rule) = self.session.rule_to_store(answer).map_err(refused)? else { return Ok(None) };
        if answer.by != self.owner {
            return Err(not_offered(
                "A rule for always is its user's own word: it is the session's owner who gives it.",
            ));
        }
        if let Some(why) = self.hindrance(answer) {
            return Err(not_offered(why));
        }
        let (ports, owner) = (&self.shared.ports, &self.owner);
        let denied = standing::is_denied_elsewhere(ports, owner, &self.id, &rule).await;
        if denied.map_err(|e| store_failure(&e))? {
            return Err(not_offered("The rule would cover a call that you denied in another session."));
        }
        let known = ports.rules.rules(owner).await.map_err(|e| store_failure(&e))?;
        let stored = StoredRule::new(rule, self.shared.now());
        let (most, standing) =
            (self.shared.config.max_rules_per_principal, known.iter().filter(|r| r.intent.is_none()));
        if standing.clone().count() >= most && !standing.clone().any(|rule| rule.id == stored.id) {
            let failure = not_offered(&format!("You have {} stored rules, and may have {most}.", standing.count()));
            return Err(failure.with_hint("Revoke one that you do not need; policy:list tells them."));
        }
        let intent = stored.intended(self.id.clone(), answer.call.clone());
        ports.rules.put_rule(owner, &intent).await.map_err(|e| store_failure(&e))?;
        self.intent = Some(intent);
        Ok(Some(stored.id))
    }

    /// The approval that the intent is for is recorded, or was refused. While the store does not answer, that is settled aside.
    pub(super) async fn settle_rule(&mut self, is_recorded: bool) {
        let Some(intent) = self.intent.take() else { return };
        let approval = if is_recorded { Approval::Recorded } else { Approval::Void };
        let (ports, owner) = (self.shared.ports.clone(), self.owner.clone());
        if let Err(error) = intents::settle(&ports, &owner, &intent, approval).await {
            tracing::warn!(%error, rule.id = %intent.id, "a rule could not be settled");
            let over = self.shared.hard.clone();
            self.shared.tasks.spawn(intents::settle_in_time(ports, owner, intent, approval, over));
        } else if is_recorded {
            let Rule { server, tool, .. } = &intent.rule;
            tracing::info!(rule.id = %intent.recorded().id, server, tool, "a rule was stored");
        }
    }

    /// Settles what an owner before left over.
    pub(super) fn settle_intents(&self) {
        let (ports, owner) = (self.shared.ports.clone(), self.owner.clone());
        self.shared.tasks.spawn(async move {
            drop(standing::rules_of(&ports, &owner).await);
        });
    }

    /// What has come about since a scope was offered, or comes with the answer, and speaks against more than this call.
    pub(super) fn hindrance(&self, answer: &Answer) -> Option<&'static str> {
        let open = self.session.open_calls().into_iter().find(|open| open.call.id == answer.call)?;
        let args = answer.args.as_ref().unwrap_or(open.args);
        let asked = Asked { args, ..Asked::again(open.call, open.gate, self.owner.as_str())? };
        let strict = |(_, rule): (usize, &Rule)| rule.decision != DecisionRule::Allow;
        if self.shared.ports.policy.now().decisive(asked).is_some_and(strict) {
            return Some("A rule of the operator's asks about this call each time.");
        }
        self.shared.output.secret_in(args).map(|_| "The arguments hold what looks like a secret.")
    }
}

fn not_offered(why: &str) -> Failure {
    Failure::new(Code::ScopeUnavailable, why).with_hint("Approve the call once, or for the session.")
}
