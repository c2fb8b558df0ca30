//! Calls of the past, and what other rules would have said of them.

use super::{Asked, DecisionRule, Policy, Verdict};
use crate::{
    ApprovalResolved, CallGate, CallId, CallStatus, Code, Decision, Event, EventBody, Outcome, PrincipalId, ToolCall,
    ToolCalls,
};
use std::collections::HashMap;

/// A call that a model asked for once, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PastCall {
    /// The call, with the model's arguments.
    pub call: ToolCall,
    /// What the gate said of it then.
    pub gate: CallGate,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a call at the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A rule or a grant let it run.
    Allowed,
    /// A human did.
    Approved(PrincipalId),
    /// A human denied it.
    Denied(PrincipalId),
    /// A human was asked, and did not answer: time, the turn's end, or a rule that came was first.
    Unanswered,
    /// A rule denied it.
    Forbidden,
    /// It was refused for another reason than a rule, with this code.
    Refused(Code),
}

impl PastCall {
    /// The calls of a log, or of a part of it, in their order.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<Self> {
        let mut calls: Vec<Self> = Vec::new();
        let mut places: HashMap<CallId, usize> = HashMap::new();
        for event in events {
            match &event.body {
                EventBody::ToolCalls(asked) => {
                    for past in proposed(asked) {
                        places.insert(past.call.id.clone(), calls.len());
                        calls.push(past);
                    }
                }
                EventBody::ApprovalResolved(resolved) => {
                    if let Some(past) = places.get(&resolved.call).and_then(|place| calls.get_mut(*place)) {
                        past.fate = fate_of(resolved);
                    }
                }
                EventBody::ToolSettled(settled) => {
                    let past = places.get(&settled.call).and_then(|place| calls.get_mut(*place));
                    // The result of a call that was refused at once says why.
                    if let (Some(past), Outcome::Failed(code)) = (past, settled.result.outcome)
                        && past.gate.status == CallStatus::Refused
                    {
                        past.fate = if code == Code::Denied { Fate::Forbidden } else { Fate::Refused(code) };
                    }
                }
                _ => {}
            }
        }
        calls
    }

    /// What rules say of it. `None` where they have no say: there is no such tool, or it was refused before any rule.
    pub fn judged_by(&self, policy: &Policy, user: &str) -> Option<Verdict> {
        if matches!(self.fate, Fate::Refused(_)) {
            return None;
        }
        Some(policy.judge(Asked::again(&self.call, &self.gate, user)?))
    }

    /// What was decided at the gate, in the words of rules.
    pub fn decided(&self) -> DecisionRule {
        match self.fate {
            Fate::Allowed => DecisionRule::Allow,
            Fate::Approved(_) | Fate::Denied(_) | Fate::Unanswered => DecisionRule::Ask,
            Fate::Forbidden | Fate::Refused(_) => DecisionRule::Deny,
        }
    }
}

impl Verdict {
    /// What it decides.
    pub fn decision(&self) -> DecisionRule {
        match self {
            Self::Allow { .. } => DecisionRule::Allow,
            Self::Ask { .. } => DecisionRule::Ask,
            Self::Deny { .. } => DecisionRule::Deny,
        }
    }

    /// The rule, for people.
    pub fn why(&self) -> &str {
        match self {
            Self::Allow { why } | Self::Ask { why } | Self::Deny { why } => why,
        }
    }
}

fn proposed(asked: &ToolCalls) -> impl Iterator<Item = PastCall> {
    asked.message.calls.iter().zip(&asked.gates).map(|(call, gate)| {
        let fate = match gate.status {
            CallStatus::Allowed => Fate::Allowed,
            CallStatus::Waiting => Fate::Unanswered,
            // Until its result is known, which says why.
            CallStatus::Refused => Fate::Refused(Code::Denied),
        };
        PastCall { call: call.clone(), gate: gate.clone(), fate }
    })
}

fn fate_of(resolved: &ApprovalResolved) -> Fate {
    match (resolved.decision, &resolved.by) {
        (Decision::Approved, Some(by)) => Fate::Approved(by.clone()),
        (Decision::Denied, Some(by)) => Fate::Denied(by.clone()),
        _ => Fate::Unanswered,
    }
}

#[cfg(test)]
mod tests;
