use super::catalogue::commands;
#[cfg(test)]
use super::{
    Accepted, ApprovalCommand, BudgetCommand, Budgets, Decided, DeleteCommand, Done, HistoryCommand, ListCommand, Page,
    ReadCommand, RefreshCommand, Refreshed, RenameCommand, RevokeCommand, Rules, Said, Sessions, SessionsCommand,
    TrustCommand,
};
#[cfg(test)]
use lockkeeper_orchestrator::{FilePart, Listing};

/// Who may send a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Who drives the session.
    Driver,
    /// Who decides its calls, too.
    Approver,
    /// Observers too.
    Anyone,
}

commands! {
    /// Says something to the model. An acknowledged message is stored. The same `clientMessageId` twice is one message.
    /// While a turn runs it queues; then `busy`.
    Message(Said) = "message", answer: Accepted, by: Driver;
    /// Answers for any pending call, in any order; the first answer wins, a later one gets `already_resolved`.
    ToolApproval(ApprovalCommand) = "tool:approval", answer: Decided, by: Approver;
    /// Takes a tool that is held back as its `tool:quarantined` showed it. With another fingerprint it is refused.
    ToolTrust(TrustCommand) = "tool:trust", answer: Done, by: Approver;
    /// Cancels the turn: running calls are cancelled, pending ones denied, each with its result.
    TurnCancel(()) = "turn:cancel", answer: Done, by: Driver;
    /// Reads the history, page by page, the newest first.
    HistoryGet(Option<HistoryCommand>) = "history:get", answer: Page, by: Anyone;
    /// Empties the history. The log stays.
    HistoryReset(()) = "history:reset", answer: Done, by: Driver;
    /// Ends the session: its sandbox goes now, its history stays.
    SessionEnd(()) = "session:end", answer: Done, by: Driver;
    /// Lists your sessions, the last used first.
    SessionList(Option<SessionsCommand>) = "session:list", answer: Sessions, by: Anyone;
    /// Gives any session of yours another title.
    SessionRename(RenameCommand) = "session:rename", answer: Done, by: Driver;
    /// Removes any session of yours for good, with its log and its history.
    SessionDelete(DeleteCommand) = "session:delete", answer: Done, by: Driver;
    /// Lists the rules that approvals for always have stored for you, and those of the operator that are about you.
    PolicyList(()) = "policy:list", answer: Rules, by: Anyone;
    /// Revokes a rule that is stored for you: it lets nothing run from now on. `unknown_rule` if you have none by this id.
    PolicyRevoke(RevokeCommand) = "policy:revoke", answer: Done, by: Driver;
    /// Looks at what a directory of the sandbox holds.
    WorkspaceList(Option<ListCommand>) = "workspace:list", answer: Listing, by: Anyone;
    /// Reads a part of a file of the sandbox.
    WorkspaceRead(ReadCommand) = "workspace:read", answer: FilePart, by: Anyone;
    /// Tells what this session, and all of yours today, have spent, and may: for its owner.
    UsageGet(()) = "usage:get", answer: Budgets, by: Anyone;
    /// Says whether a turn that would cost more than there is goes on to its end; the first answer holds.
    BudgetAnswer(BudgetCommand) = "budget:answer", answer: Done, by: Approver;
    /// Brings a fresh token of the same principal's, before the connection's own is over or soon after.
    AuthRefresh(RefreshCommand) = "auth:refresh", answer: Refreshed, by: Anyone;
}
