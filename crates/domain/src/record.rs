use crate::{Epoch, PrincipalId, Seq, SessionId, SessionState, SessionTitle, Timestamp, WorkspaceId};
use serde::{Deserialize, Serialize};

/// What is known of a session without reading its log: `mcp:session:{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionRecord {
    /// The form of this record, for readers of later versions.
    pub version: u32,
    /// The session.
    pub id: SessionId,
    /// Whose it is. Nobody else learns that it exists.
    pub owner: PrincipalId,
    /// When it was opened for the first time.
    pub created_at: Timestamp,
    /// When somebody last used it: the heartbeat.
    pub last_active_at: Timestamp,
    /// What it is called in lists; nothing before its first message.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<SessionTitle>,
    /// The model that the client asked for instead of the configured one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
    /// Whether its turns use a key that its user brought, which is stored nowhere: without it they do not go on.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub own_key: bool,
    /// Its sandbox, while it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sandbox: Option<SandboxRef>,
    /// The workspace that the sandbox holds, or that the last one held; none in records of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub workspace: Option<WorkspaceId>,
    /// What the log before `checkpoint` comes to. Whoever takes the session over folds the events after it.
    pub state: SessionState,
    /// The last event that `state` accounts for.
    pub checkpoint: Seq,
    /// Whether a message or a turn is unfinished: somebody must drive the session even if no client is there.
    pub busy: bool,
}

impl SessionRecord {
    /// The version that this code writes.
    pub const VERSION: u32 = 1;

    /// The record of a session that `owner` opens at `now`.
    pub fn opened(id: SessionId, owner: PrincipalId, model: Option<String>, now: Timestamp) -> Self {
        Self {
            version: Self::VERSION,
            id,
            owner,
            created_at: now,
            last_active_at: now,
            title: None,
            model,
            own_key: false,
            sandbox: None,
            workspace: None,
            state: SessionState::default(),
            checkpoint: Seq::default(),
            busy: false,
        }
    }
}

/// Where a session's sandbox is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxRef {
    /// The runtime's name for it.
    pub id: String,
    /// When it was started.
    pub started_at: Timestamp,
}

/// The right to drive a session, for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// Which process holds it.
    pub holder: String,
    /// The fencing token that its writes carry.
    pub epoch: Epoch,
    /// When it ends unless it is renewed.
    pub expires_at: Timestamp,
}
