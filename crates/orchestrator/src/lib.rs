//! Lockkeeper's use cases: sessions, the agent loop, approvals, the janitor.
//!
//! [`SessionManager`] is the way in. Each session that somebody uses is driven by one actor, a task that owns the
//! session's state, takes commands from a bounded mailbox, and writes each step to the store before anyone hears of it.

mod actor;
mod agent;
mod budget;
mod checks;
mod config;
mod guard;
mod janitor;
mod live;
mod manager;
mod models;
mod opened;
mod order;
mod output;
mod oversight;
mod pool;
mod purse;
mod roster;
mod rulebook;
mod sandbox;
mod standing;
mod storage;
mod tools;
mod workspace;

pub use agent::{AgentFactory, OwnKeys, Provider};
pub use budget::{Budget, network};
pub use checks::CheckLimits;
pub use config::{Config, Others};
pub use janitor::{Janitor, Swept};
pub use live::{Live, LiveEvent};
pub use manager::{Drained, McpHealth, OpenSession, Ports, SessionManager, trail, whole_log};
pub use models::{ModelCatalog, ModelList, ModelsConfig};
pub use opened::{Accepted, Attached, Decided, HistoryPage, NewMessage, OpenCall, Ready, Snapshot};
pub use oversight::{Oversight, WaitingCall};
pub use purse::{Budgets, Limits, OnExceeded, Usage};
pub use rulebook::Rulebook;
pub use standing::RuleList;
pub use workspace::{Entry, EntryKind, FilePart, Listing};
