//! Every key that this crate writes, and what it holds.
//!
//! The braces are literal. In a cluster they make the session's id the hash tag, so that the keys of a session are
//! in one slot and one script changes them together.
//!
//! | key | type | holds | lives |
//! |---|---|---|---|
//! | `mcp:session:{id}` | hash | the record, the lease, where the log ends: [`field`] | retention |
//! | `mcp:conversation:{id}` | list | the history's messages as JSON, oldest first | retention |
//! | `mcp:log:{id}` | stream | the events as JSON in field `e`; an entry's id is `<seq>-<epoch>` | retention |
//! | `mcp:audit:{id}` | stream | records of the audit of all sessions that had the id, in field `e`, with the session's `born` in `b`, the number in `n`, and the owner in `o` | until the retention of the audit removes them |
//! | `mcp:audit-heads:{id}` | hash | `born` to `<begun in ms> <last number> <last removed> <last removed for size> <owner>` | as long as records of it are kept, or the session |
//! | `mcp:audits` | sorted set | sessions with records of the audit, by about when they last wrote one, in ms of the server | as long as records of it are kept |
//! | `mcp:owner:<owner>` | sorted set | the owner's sessions by last use, in ms | for good |
//! | `mcp:sessions` | sorted set | all sessions by when they were last opened, in ms | for good |
//! | `mcp:idle` | sorted set | sessions that have a sandbox, by a lower bound of their last use | for good |
//! | `mcp:busy` | sorted set | sessions that are busy | for good |
//! | `mcp:rules:<owner>` | hash | the rules that the owner's approvals have stored: `<id>` the rule as JSON, `<id>:used` its last use in ms | until they are revoked |
//! | `mcp:budget:session:{id}` | hash | what a session has spent, and its holds: [`budget`] | 31 days |
//! | `mcp:budget:day:{<day>:<owner>}` | hash | the same of a principal, on a day in UTC | 31 days |
//! | `<a budget>:settled:<key>` | string | nothing: what the key stands for was counted in that budget | a minute |
//! | `mcp:secret:<name>` | string | a secret that the servers share unless they are given one | for good |
//! | `mcp:probe:<n>` | string | nothing: written to see whether that works | a minute |
//!
//! Retention is [`Config::retention_secs`](crate::Config::retention_secs) from the last write, renewals of the lease included,
//! and the same for the first three keys of a session; by default they live until they are deleted.
//!
//! Budgets live for 31 days after the last change. In their hashes, `tokens`, `calls` and `wall` are what was spent, and
//! `h:<key>` is `<tokens> <calls> <ms> <end in ms>`: a hold. What is over goes with the next hold.
//!
//! Servers talk over channels that nothing is stored of: `mcp:peer:<name>` takes a server's requests, `mcp:answers:<name>` the
//! answers to its own, and `mcp:news` and `mcp:news:{id}` what is told to all.
//!
//! The name of a log is also the channel where its growth is told. The message says nothing that is relied on.
//!
//! **Indexes are hints.** A session that belongs into one is always there: its entry is written before the record says so.
//! What else is in there is found out by reading the record, and taken out later. So a crash between the two leaves too
//! much in an index and never too little, and no step needs two slots of a cluster.
//!
//! **A negative score** in `mcp:idle` and `mcp:busy` is a probation: the time, in ms and negated, when somebody saw that the
//! session does not belong there. Whoever is about to need the entry makes the score positive again; otherwise the entry goes a
//! minute later.

use lockkeeper_domain::{PrincipalId, SessionId};
use lockkeeper_ports::{Account, Topic};

/// The version of this layout, in each session's field [`field::LAYOUT`]. A higher one is not read.
pub(crate) const LAYOUT: u32 = 1;

/// The fields of `mcp:session:{id}`. Numbers are decimal, times in milliseconds.
pub(crate) mod field {
    /// The version of the layout.
    pub(crate) const LAYOUT: &str = "v";
    /// The record as it was created, as JSON. The fields below are newer.
    pub(crate) const RECORD: &str = "record";
    /// The owner.
    pub(crate) const OWNER: &str = "owner";
    /// The last use: the heartbeat.
    pub(crate) const ACTIVE: &str = "active";
    /// The sandbox as JSON. Absent: none.
    pub(crate) const SANDBOX: &str = "sandbox";
    /// The sandbox's workspace as JSON. Absent: as in the record.
    pub(crate) const WORKSPACE: &str = "workspace";
    /// The state of the last checkpoint as JSON. Absent: that of the record.
    pub(crate) const STATE: &str = "state";
    /// The last event that the state accounts for.
    pub(crate) const CHECKPOINT: &str = "checkpoint";
    /// `1` or `0`.
    pub(crate) const BUSY: &str = "busy";
    /// The model as JSON. Absent: that of the record.
    pub(crate) const MODEL: &str = "model";
    /// `1` or `0`. Absent: as in the record.
    pub(crate) const OWN_KEY: &str = "own_key";
    /// What the session is called, as JSON. Absent: as in the record.
    pub(crate) const TITLE: &str = "title";
    /// Who has the lease. Absent: nobody.
    pub(crate) const HOLDER: &str = "holder";
    /// When the lease ends.
    pub(crate) const UNTIL: &str = "until";
    /// The last epoch that was given.
    pub(crate) const EPOCH: &str = "epoch";
    /// The last event's number.
    pub(crate) const SEQ: &str = "seq";
    /// The last event's epoch.
    pub(crate) const SEQ_EPOCH: &str = "seq_epoch";
    // Scripts alone use these. `born`: a random name of this session among all that had its id. `trimmed`: the last event
    // that is not kept. `attempt`: the last commit without events.
}

/// The keys of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionKeys {
    pub(crate) session: String,
    pub(crate) conversation: String,
    pub(crate) log: String,
    pub(crate) audit: String,
    pub(crate) audit_heads: String,
    pub(crate) budget: String,
}

impl SessionKeys {
    pub(crate) fn of(id: &SessionId) -> Self {
        Self {
            session: format!("mcp:session:{{{id}}}"),
            conversation: format!("mcp:conversation:{{{id}}}"),
            log: format!("mcp:log:{{{id}}}"),
            audit: format!("mcp:audit:{{{id}}}"),
            audit_heads: format!("mcp:audit-heads:{{{id}}}"),
            budget: budget(&Account::Session(id.clone())),
        }
    }
}

pub(crate) const SESSIONS: &str = "mcp:sessions";
pub(crate) const AUDITS: &str = "mcp:audits";
pub(crate) const IDLE: &str = "mcp:idle";
pub(crate) const BUSY: &str = "mcp:busy";

pub(crate) fn owner(owner: &PrincipalId) -> String {
    format!("mcp:owner:{owner}")
}

/// The rules that an owner's approvals have stored.
pub(crate) fn rules(owner: &PrincipalId) -> String {
    format!("mcp:rules:{owner}")
}

/// What follows a rule's id in the name of the field of its last use. No id holds it.
pub(crate) const USED: &str = ":used";

/// What an account has spent and set aside.
pub(crate) fn budget(account: &Account) -> String {
    match account {
        Account::Session(id) => format!("mcp:budget:session:{{{id}}}"),
        Account::Day(owner, day) => format!("mcp:budget:day:{{{day}:{owner}}}"),
    }
}

/// There for as long as it must be known that the key was settled in the account. It shares the account's slot.
pub(crate) fn settled(account: &Account, key: &str) -> String {
    format!("{}:settled:{key}", budget(account))
}

/// Where a server takes requests.
pub(crate) fn mailbox(server: &str) -> String {
    format!("mcp:peer:{server}")
}

/// Where a server takes answers.
pub(crate) fn answers(server: &str) -> String {
    format!("mcp:answers:{server}")
}

/// Whether one server alone listens there. In a cluster such a channel belongs to one node, which knows whether it does.
pub(crate) fn is_mailbox(channel: &str) -> bool {
    channel.starts_with("mcp:peer:") || channel.starts_with("mcp:answers:")
}

/// Where news of a topic are told.
pub(crate) fn news(topic: &Topic) -> String {
    match topic {
        Topic::Servers => "mcp:news".to_owned(),
        Topic::Session(id) => format!("mcp:news:{{{id}}}"),
    }
}

/// A secret that servers share.
pub(crate) fn secret(name: &str) -> String {
    format!("mcp:secret:{name}")
}

/// A key for the `nth` probe. They are spread over a cluster's slots.
pub(crate) fn probe(nth: u64) -> String {
    format!("mcp:probe:{nth}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_session_share_a_slot() {
        let id = SessionId::parse("a-1").unwrap();
        let SessionKeys { session, conversation, log, audit, audit_heads, budget } = SessionKeys::of(&id);
        let names = [session.as_str(), &conversation, &log, &audit, &audit_heads, &budget];
        let of_session = ["mcp:session:{a-1}", "mcp:conversation:{a-1}", "mcp:log:{a-1}"];
        assert_eq!((&names[..3], names[3], names[4]), (&of_session[..], "mcp:audit:{a-1}", "mcp:audit-heads:{a-1}"));
        let slots = names.map(|name| fred::util::redis_keyslot(name.as_bytes()));
        assert_eq!(slots, [fred::util::redis_keyslot(b"a-1"); 6]);
    }
}
