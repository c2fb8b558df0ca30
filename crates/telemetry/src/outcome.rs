//! How things went, in words that labels can bear.

use lockkeeper_domain::{Decision, Outcome, StopReason};
use lockkeeper_ports::{SandboxError, StoreError};

/// What every outcome without a failure is called.
pub(crate) const SUCCEEDED: &str = "succeeded";

pub(crate) fn of_store(error: &StoreError) -> &'static str {
    match error {
        StoreError::NotFound => "not_found",
        StoreError::AlreadyExists => "already_exists",
        StoreError::Held { .. } => "held",
        StoreError::Fenced => "fenced",
        StoreError::Trimmed(_) => "trimmed",
        StoreError::Corrupt { .. } => "corrupt",
        StoreError::Unavailable(_) => "unavailable",
        StoreError::Conflict { .. } => "conflict",
    }
}

pub(crate) fn of_sandbox(error: &SandboxError) -> &'static str {
    match error {
        SandboxError::Gone => "gone",
        SandboxError::StartTimeout(_) => "timeout",
        SandboxError::CannotExec { .. } => "cannot_exec",
        SandboxError::Unavailable(_) => "unavailable",
    }
}

pub(crate) fn of_call(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => SUCCEEDED,
        Outcome::Failed(code) => code.as_str(),
    }
}

pub(crate) fn of_turn(reason: StopReason) -> &'static str {
    match reason {
        StopReason::EndTurn => "end_turn",
        StopReason::MaxTokens => "max_tokens",
        StopReason::StopSequence => "stop_sequence",
        StopReason::Refusal => "refusal",
        StopReason::Safety => "safety",
        StopReason::Unfinished => "unfinished",
        StopReason::StepLimit => "step_limit",
        StopReason::TurnLimit => "turn_limit",
        StopReason::Cancelled => "cancelled",
        StopReason::Error => "error",
        StopReason::Interrupted => "interrupted",
    }
}

/// Whether a turn that ended so is a failure.
pub(crate) fn is_failure(reason: StopReason) -> bool {
    matches!(reason, StopReason::Error | StopReason::Interrupted | StopReason::StepLimit | StopReason::TurnLimit)
}

pub(crate) fn of_approval(decision: Decision) -> &'static str {
    match decision {
        Decision::Approved => "approved",
        Decision::Denied => "denied",
        Decision::Expired => "expired",
        Decision::Cancelled => "cancelled",
        Decision::Void => "void",
    }
}
