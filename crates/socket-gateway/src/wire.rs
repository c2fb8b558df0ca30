//! What goes over a connection: every event and answer of the contract, version 1, each defined once.
//!
//! Every event from the server has two arguments, a payload and a [`Meta`]. An event without a payload
//! (`agent:thinking`) has `null` in its place, so that `meta` is the second argument always.

mod answer;
mod arguments;
mod budget;
mod catalogue;
mod client;
mod command;
mod history;
mod project;
mod rules;
mod server;
mod session;
#[cfg(test)]
mod tests;
mod tool;

pub use answer::{Accepted, Answer, Decided, Done, Page, Refreshed, Refused, Rules, Sessions};
pub use budget::{Account, BudgetAnswered, BudgetAsked, Budgets, Limits};
pub use client::{
    ApprovalCommand, BudgetCommand, HistoryCommand, ListCommand, MessageCommand, ReadCommand, RefreshCommand,
    RevokeCommand, Role, TrustCommand,
};
pub use history::{HistoryCall, HistoryEntry, HistoryMessage, HistoryResult, HistorySnapshot};
pub use rules::{FileRule, StoredRule};
pub use server::{
    AgentError, Expired, Expiry, McpStatus, Meta, Piece, Ready, ServerEvent, Time, Tool, TurnCompleted, UserMessage,
};
pub use session::{DeleteCommand, RenameCommand, SessionEntry, SessionsCommand};
pub use tool::{
    ApprovalRequired, ApprovalResolved, ToolCall, ToolError, ToolQuarantined, ToolShape, ToolStarted, ToolTrusted,
};

pub(crate) use arguments::{Arguments, is_shallow};
pub(crate) use client::Malformed;
pub(crate) use command::{By, Command};
pub(crate) use history::{page, snapshot};
pub(crate) use project::{live, logged};
pub(crate) use rules::rules;

#[cfg(test)]
pub(crate) use {client::Said, command::COMMANDS, server::SERVER_EVENTS};

/// The version of the contract that this crate speaks.
pub const PROTOCOL: u32 = 1;
