//! What goes over a connection: every event and answer of the contract, each defined once.
//!
//! A client of the basic contract gets each event's payload alone. A client that asks for [`PROTOCOL`] gets two
//! arguments, the payload and a [`Meta`]; an event without a payload (`agent:thinking`) then has `null` in its place,
//! so that `meta` is the second argument always.

mod answer;
mod arguments;
mod budget;
mod catalogue;
mod client;
mod command;
mod history;
mod project;
mod protocol;
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
pub use protocol::Protocol;
pub use rules::{FileRule, StoredRule};
pub use server::{
    AgentError, Expired, Expiry, McpStatus, Meta, Piece, Ready, ServerEvent, Time, Tool, TurnCompleted, UserMessage,
};
pub use session::{DeleteCommand, RenameCommand, SessionEntry, SessionsCommand};
pub use tool::{
    ApprovalRequired, ApprovalResolved, ToolCall, ToolError, ToolQuarantined, ToolShape, ToolStarted, ToolTrusted,
};

pub(crate) use arguments::{Arguments, answered_call, event_name, is_shallow};
pub(crate) use client::Malformed;
pub(crate) use command::{By, Command};
pub(crate) use history::{page, snapshot};
pub(crate) use project::{live, logged};
pub(crate) use protocol::Sent;
pub(crate) use rules::rules;

#[cfg(test)]
pub(crate) use {client::Said, command::COMMANDS, server::SERVER_EVENTS};

/// The newest version of the contract that this crate speaks. Version 1 is the basic contract: see [`Protocol`].
pub const PROTOCOL: u32 = 2;
