use crate::{
    BudgetAnswered, BudgetAsked, BudgetOf, CallId, CallStatus, Code, Decision, Digest, EventBody, Measure, Outcome,
    PrincipalId, QuestionId, Scope, ServerName, Timestamp, Via,
};
use serde::{Deserialize, Serialize};

/// What an auditor reads of an event: who, what, by which rule, bound to what, and what came of it. Arguments and results are
/// there as digests alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum AuditRecord {
    /// The gate's word on the calls of a step.
    Judged {
        /// Each call.
        calls: Vec<JudgedRecord>,
    },
    /// A human was asked.
    Asked {
        /// About which call.
        call: CallId,
        /// With which arguments.
        args: Digest,
        /// Which rule asks.
        why: String,
        /// Until when.
        expires_at: Timestamp,
        /// What an answer is bound to.
        digest: Option<Digest>,
    },
    /// It was decided.
    Decided {
        /// Over which call.
        call: CallId,
        /// How.
        decision: Decision,
        /// By whom; none where time or a cancellation did.
        by: Option<PrincipalId>,
        /// By which way.
        via: Via,
        /// How far it reaches.
        scope: Scope,
        /// Why not, in the human's words, as a digest.
        reason: Option<Digest>,
        /// The arguments that run instead, where the human edited them.
        edited_args: Option<Digest>,
        /// What it is bound to.
        digest: Option<Digest>,
    },
    /// A tool had another definition than before.
    Quarantined {
        /// The tool's server.
        server: ServerName,
        /// The tool, as its server calls it.
        tool: String,
        /// The pinned definition, by its fingerprint.
        before: String,
        /// The one that it has.
        after: String,
    },
    /// Somebody took it as it is.
    Trusted {
        /// The tool's server.
        server: ServerName,
        /// The tool, as its server calls it.
        tool: String,
        /// The definition, by its fingerprint.
        definition: String,
        /// Who.
        by: PrincipalId,
    },
    /// A human was asked whether a turn goes on beyond its budget.
    BudgetAsked {
        /// The question's name; none where an earlier version asked.
        question: Option<QuestionId>,
        /// Whose budget.
        of: BudgetOf,
        /// What there is not enough of.
        measure: Measure,
        /// How much of it is spent or set aside.
        taken: u64,
        /// How much of it there is in all.
        limit: u64,
        /// Until when.
        expires_at: Timestamp,
    },
    /// It was decided.
    BudgetAnswered {
        /// The question's name.
        question: Option<QuestionId>,
        /// Whether the turn goes on.
        go_on: bool,
        /// By whom; none where time or the turn's end did.
        by: Option<PrincipalId>,
        /// By which way.
        via: Via,
    },
    /// A call was about to run.
    Started {
        /// Which.
        call: CallId,
        /// The tool's server.
        server: Option<ServerName>,
        /// The tool, as its server calls it.
        tool: String,
    },
    /// A call came to its result.
    Settled {
        /// Which.
        call: CallId,
        /// Why it failed, if it did.
        code: Option<Code>,
        /// What the tool said.
        result: Digest,
    },
}

/// The gate's word on one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JudgedRecord {
    /// Which call.
    pub call: CallId,
    /// The tool's server, where there is such a tool.
    pub server: Option<ServerName>,
    /// The tool, as its server calls it.
    pub tool: String,
    /// The arguments.
    pub args: Digest,
    /// What the gate says.
    pub status: CallStatus,
    /// By which rule.
    pub why: String,
    /// The tool's definition, by its fingerprint.
    pub definition: String,
    /// What a call that a rule lets run is bound to.
    pub digest: Option<Digest>,
}

impl AuditRecord {
    /// What of an event belongs into the audit.
    pub fn of(body: &EventBody) -> Option<Self> {
        Some(match body {
            EventBody::ToolCalls(step) => {
                let calls = step.message.calls.iter().zip(&step.gates).map(|(call, gate)| JudgedRecord {
                    call: call.id.clone(),
                    server: call.server.clone(),
                    tool: call.tool.clone(),
                    args: Digest::of(&call.args),
                    status: gate.status,
                    why: gate.why.clone(),
                    definition: gate.fingerprint.clone(),
                    digest: gate.digest,
                });
                Self::Judged { calls: calls.collect() }
            }
            EventBody::ApprovalRequired(asked) => Self::Asked {
                call: asked.call.clone(),
                args: Digest::of(&asked.args),
                why: asked.why.clone(),
                expires_at: asked.expires_at,
                digest: asked.digest,
            },
            EventBody::ApprovalResolved(resolved) => Self::Decided {
                call: resolved.call.clone(),
                decision: resolved.decision,
                by: resolved.by.clone(),
                via: resolved.via.clone(),
                scope: resolved.scope,
                reason: resolved.reason.as_ref().map(Digest::of),
                edited_args: resolved.edited_args.as_ref().map(Digest::of),
                digest: resolved.digest,
            },
            EventBody::ToolQuarantined(found) => Self::Quarantined {
                server: found.after.server.clone(),
                tool: found.after.tool.clone(),
                before: found.before.fingerprint.clone(),
                after: found.after.fingerprint.clone(),
            },
            EventBody::ToolTrusted(trusted) => Self::Trusted {
                server: trusted.server.clone(),
                tool: trusted.tool.clone(),
                definition: trusted.fingerprint.clone(),
                by: trusted.by.clone(),
            },
            EventBody::BudgetAsked(asked) => {
                let BudgetAsked { question, of, measure, taken, limit, expires_at } = asked.clone();
                Self::BudgetAsked { question, of, measure, taken, limit, expires_at }
            }
            EventBody::BudgetAnswered(answered) => {
                let BudgetAnswered { question, go_on, by, via } = answered.clone();
                Self::BudgetAnswered { question, go_on, by, via }
            }
            EventBody::ToolStarted { call, server, tool } => {
                Self::Started { call: call.clone(), server: server.clone(), tool: tool.clone() }
            }
            EventBody::ToolSettled(settled) => Self::Settled {
                call: settled.call.clone(),
                code: match settled.result.outcome {
                    Outcome::Succeeded => None,
                    Outcome::Failed(code) => Some(code),
                },
                result: Digest::of(&settled.result),
            },
            _ => return None,
        })
    }
}
