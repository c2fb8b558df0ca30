//! The driven side of Lockkeeper: what it needs from the outside world, as traits that adapters implement.
//!
//! All ports are object-safe and held as `Arc<dyn Port>`. The doc comment of a port is its contract: what is
//! atomic, what is idempotent, what `None` means, and what each error lets the caller do. The contract suites in
//! `lockkeeper-testkit` check it for every adapter. With the feature `mocks`, mockall stands in for each port.

mod audit;
mod auth;
mod availability;
mod budget;
mod clock;
mod llm;
mod peers;
mod principal_name;
mod rules;
mod sandbox;
mod store;
mod tools;

pub use audit::{AuditCursor, AuditEntry, AuditRemoval, AuditStream, AuditTrail, AuditedEntry, BadCursor, KeptAudit};
pub use auth::{AuthError, Authenticator, Credentials, Principal};
pub use availability::{Availability, AvailabilityReporter};
pub use budget::{ACCOUNT_KEPT_FOR, Account, Balance, BudgetLedger, Hold, Reserved, SETTLED_FOR};
pub use clock::Clock;
pub use llm::{
    Completion, GenerateRequest, KeyedLlm, LlmError, LlmProvider, ModelEvent, ModelInfo, ModelStream, Notice,
    ProposedCall,
};
pub use peers::{Asked, MAX_PEER_BYTES, PeerError, Peers, Topic};
pub use principal_name::UnfitName;
pub use rules::RuleRepository;
pub use sandbox::{
    Exec, ExecSpec, ExecStatus, Isolation, ProgressSink, SandboxError, SandboxId, SandboxRuntime, SandboxSpec,
    SandboxSummary, StartProgress,
};
pub use store::{
    Claim, Commit, Committed, ConversationRepository, EventLog, EventStream, HistoryChange, Occupied, OwnerOccupied,
    RecordChange, SessionRepository, SessionStore, StoreError,
};
pub use tools::{
    CallContext, CallProgress, LeftOutTool, McpServer, ServerHealth, ServerState, ToolHost, ToolHostError, ToolSession,
    ToolSessionStatus, TraceContext,
};

#[cfg(feature = "mocks")]
pub mod mocks {
    //! mockall mocks of the ports.
    pub use crate::auth::MockAuthenticator;
    pub use crate::budget::MockBudgetLedger;
    pub use crate::clock::MockClock;
    pub use crate::llm::{MockKeyedLlm, MockLlmProvider};
    pub use crate::peers::MockPeers;
    pub use crate::rules::MockRuleRepository;
    pub use crate::sandbox::MockSandboxRuntime;
    pub use crate::store::MockSessionStore;
    pub use crate::tools::{MockToolHost, MockToolSession};
}
