use super::{HistoryEntry, SessionEntry, Time};
use lockkeeper_domain::{Code, Failure, TurnId};
use lockkeeper_orchestrator::{FilePart, Listing};
use serde::{Serialize, Serializer, ser::SerializeStruct};

/// The acknowledgement of a command that was followed: `{ ok: true, .. }`.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It was followed.
    Done,
    /// A message was accepted.
    Accepted {
        /// Its turn.
        turn: TurnId,
        /// Whether it had been accepted before.
        duplicate: bool,
    },
    /// A part of the history.
    History {
        /// The messages, oldest first.
        messages: Vec<HistoryEntry>,
        /// The place to ask for next, for older ones; none at the beginning.
        before: Option<usize>,
    },
    /// The caller's sessions.
    Sessions {
        /// The last used first.
        sessions: Vec<SessionEntry>,
    },
    /// A fresh token was taken.
    Refreshed {
        /// Until when it is good; none where it does not end.
        expires_at: Option<Time>,
    },
    /// What a directory of the sandbox holds.
    Directory(Listing),
    /// A part of a file of the sandbox.
    File(FilePart),
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut answer = to.serialize_struct("Answer", 3)?;
        answer.serialize_field("ok", &true)?;
        match self {
            Self::Done => {}
            Self::Accepted { turn, duplicate } => {
                answer.serialize_field("turn", turn)?;
                answer.serialize_field("duplicate", duplicate)?;
            }
            Self::History { messages, before } => {
                answer.serialize_field("messages", messages)?;
                if let Some(before) = before {
                    answer.serialize_field("before", before)?;
                }
            }
            Self::Sessions { sessions } => answer.serialize_field("sessions", sessions)?,
            Self::Refreshed { expires_at } => {
                if let Some(at) = expires_at {
                    answer.serialize_field("expiresAt", at)?;
                }
            }
            Self::Directory(Listing { path, entries, left_out }) => {
                answer.serialize_field("path", path)?;
                answer.serialize_field("entries", entries)?;
                if *left_out > 0 {
                    answer.serialize_field("leftOut", left_out)?;
                }
            }
            Self::File(FilePart { path, offset, next_offset, content }) => {
                answer.serialize_field("path", path)?;
                answer.serialize_field("offset", offset)?;
                answer.serialize_field("content", content)?;
                if let Some(next_offset) = next_offset {
                    answer.serialize_field("nextOffset", next_offset)?;
                }
            }
        }
        answer.end()
    }
}

/// The acknowledgement of a command that was not followed: `{ ok: false, code, message, hint? }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// `false`.
    pub ok: bool,
    /// Why, for programs.
    pub code: Code,
    /// Why, for people.
    pub message: String,
    /// Whether the same may succeed later.
    pub retryable: bool,
    /// What to do about it, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<Failure> for Refused {
    fn from(Failure { code, message, hint }: Failure) -> Self {
        Self { ok: false, code, message, retryable: code.is_retryable(), hint }
    }
}
