use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, retryable: $retryable:literal;)*) => {
        /// The stable names of everything that can go wrong, the same on the wire, in the log and in the documents.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl Code {
            /// All codes, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it is written.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Whether the same request may succeed when it is sent again later.
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$variant => $retryable,)* }
            }
        }
    };
}

codes! {
    /// A payload does not have the form that the contract gives it.
    InvalidPayload = "invalid_payload", retryable: false;
    /// A payload, message or attachment is over its limit.
    TooLarge = "too_large", retryable: false;
    /// Nobody is known by this token.
    Unauthenticated = "unauthenticated", retryable: false;
    /// Somebody is, but not one who may do this.
    Forbidden = "forbidden", retryable: false;
    /// More events, connections or sessions than are allowed.
    RateLimited = "rate_limited", retryable: true;
    /// The queue of a session is full.
    Busy = "busy", retryable: true;
    /// Another process drives this session.
    OwnedElsewhere = "session_owned_elsewhere", retryable: true;
    /// The session's sandbox was removed after it had been idle for too long.
    SessionExpired = "session_expired", retryable: true;
    /// No pending call has this id.
    UnknownCall = "unknown_call", retryable: false;
    /// The call was decided before; the first answer holds.
    AlreadyResolved = "already_resolved", retryable: false;
    /// The approval came after its time.
    ApprovalExpired = "approval_expired", retryable: false;
    /// There is no stored rule by this id.
    UnknownRule = "unknown_rule", retryable: false;
    /// The answer is not to the question that is being asked: its digest is another one, or it has none and must.
    ApprovalMismatch = "approval_mismatch", retryable: false;
    /// This scope of approval is not offered for the call.
    ScopeUnavailable = "scope_unavailable", retryable: false;
    /// The rules that an operator changed cannot be used; those before them stay in force.
    PolicyInvalid = "policy_invalid", retryable: false;
    /// The tool is not the one that was judged and shown any more; the call was not run.
    ToolChanged = "tool_changed", retryable: false;
    /// There is no turn to cancel.
    NothingRunning = "nothing_running", retryable: false;
    /// The store cannot be reached, or refuses to write.
    StoreUnavailable = "store_unavailable", retryable: true;
    /// The stored sessions of the user, or of all users, have reached their bound.
    StorageFull = "storage_full", retryable: false;
    /// No sandbox can be started for the session.
    SandboxUnavailable = "sandbox_unavailable", retryable: true;
    /// The server is shutting down.
    Draining = "server_draining", retryable: true;
    /// A required provider key is missing.
    MissingKey = "missing_api_key", retryable: false;
    /// The provider does not know the key, or it may not do this.
    ProviderAuthentication = "provider_authentication", retryable: false;
    /// The provider's quota or spend limit is used up.
    ProviderQuota = "provider_quota", retryable: false;
    /// The provider wants fewer requests.
    ProviderRateLimited = "provider_rate_limited", retryable: true;
    /// The provider is overloaded or failed by itself.
    ProviderOverloaded = "provider_overloaded", retryable: true;
    /// The provider refused the request as it is.
    ProviderBadRequest = "provider_bad_request", retryable: false;
    /// The conversation does not fit into the model's context.
    ContextTooLong = "context_too_long", retryable: false;
    /// The provider's answer could not be understood.
    ProviderBadResponse = "provider_bad_response", retryable: true;
    /// The provider cannot be reached.
    ProviderNetwork = "provider_network", retryable: true;
    /// The provider did not answer in time.
    ProviderTimeout = "provider_timeout", retryable: true;
    /// The provider's stream ended before the answer did.
    ProviderCut = "provider_stream_cut", retryable: true;
    /// The model asked for a tool that does not exist.
    UnknownTool = "unknown_tool", retryable: false;
    /// The arguments do not fit the tool's schema.
    InvalidArguments = "invalid_arguments", retryable: false;
    /// The model asked for more calls in one step than are allowed.
    TooManyCalls = "too_many_calls", retryable: false;
    /// The turn took as many steps, calls, tokens, as much output or as long as is allowed; the message says which.
    TurnLimit = "turn_limit", retryable: false;
    /// The session, or its owner's day, has spent what it may.
    BudgetExceeded = "budget_exceeded", retryable: false;
    /// The turn could not be continued after its server was lost.
    TurnInterrupted = "turn_interrupted", retryable: true;
    /// A human, or a rule that one wrote, refused the call.
    Denied = "denied", retryable: false;
    /// The call or the turn was cancelled.
    Cancelled = "cancelled", retryable: false;
    /// The tool ran, and reported an error.
    ToolFailed = "tool_failed", retryable: false;
    /// The tool did not answer in time.
    ToolTimeout = "tool_timeout", retryable: true;
    /// The tool's server ended during the call.
    ToolCrashed = "tool_crashed", retryable: true;
    /// The tool's server did not keep to the protocol.
    ToolProtocol = "tool_protocol", retryable: false;
    /// The tool's result is over the limit.
    ToolOutputTooLarge = "tool_output_too_large", retryable: false;
    /// The call was started, and nobody knows whether it finished. It is never run again by itself.
    OutcomeUnknown = "outcome_unknown", retryable: false;
    /// A defect of Lockkeeper's own.
    Internal = "internal", retryable: true;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_stored_as_it_is_written() {
        for code in Code::ALL {
            let stored = serde_json::to_string(code).expect("codes are strings");
            assert_eq!(stored, format!("\"{code}\""));
            assert_eq!(serde_json::from_str::<Code>(&stored).expect("reads back"), *code);
        }
    }

    #[test]
    fn the_documentation_says_of_each_code_what_to_do() {
        let page = include_str!("../../../docs/operations.md");
        let list = page.split_once("## Errors, and what to do").expect("the list of codes").1;
        let missing: Vec<_> = Code::ALL.iter().filter(|code| !list.contains(&format!("`{code}`"))).collect();
        assert!(missing.is_empty(), "add to docs/operations.md, `Errors, and what to do`: {missing:?}");
    }
}
