//! What a session's owner can be asked to do, wherever it is, and how servers write it to each other.

use crate::{
    Accepted, Decided, Live,
    actor::{ActorHandle, Reply, Request, Unhandled},
    agent::Wish,
    opened::Readiness,
    workspace::{Look, Seen},
};
use lockkeeper_domain::{
    Answer, BudgetAnswer, Code, Failure, PrincipalId, RequestId, SessionId, ToolTrusted, UserMessage,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::{
    sync::{mpsc::error::TrySendError, oneshot},
    time::timeout,
};

/// A command to a session. It may be given again when it is not known whether it was followed, if
/// [`is_repeatable`](Self::is_repeatable).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Somebody attached, with wishes for the agent, and waits for so long for the sandbox.
    Attach {
        wish: Wish,
        patience: Duration,
    },
    Submit(UserMessage),
    Decide(Box<Answer>),
    AnswerBudget(BudgetAnswer),
    Trust(ToolTrusted),
    Cancel,
    Reset,
    End,
    /// Somebody wants to see files of the sandbox, within so long.
    Look {
        look: Look,
        patience: Duration,
    },
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Attached(Readiness),
    Accepted(Accepted),
    Seen(Seen),
    Decided(Decided),
    Done,
}

/// Why an order was not followed.
#[derive(Debug)]
pub(crate) enum Missed {
    /// The actor ended before it looked at it. Its successor may be asked.
    Ended,
    /// It may not be.
    Refused(Failure),
}

/// An order on its way to another server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub(crate) session: SessionId,
    /// Who gives it: known to the server that writes, and believed by the one that reads.
    pub(crate) by: PrincipalId,
    /// The same in each attempt. Servers of earlier versions do not name their orders.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) request: Option<RequestId>,
    pub(crate) order: Order,
}

/// What the other server says to it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Response {
    Followed(Outcome),
    Refused(Failure),
    /// No actor drives the session there. Nothing was done.
    NotHere,
}

/// News for the other servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum News {
    /// Something that is not logged happened in the session.
    Live(Live),
    /// The session has something to do, and nobody drives it any more.
    LetGo(SessionId),
}

impl Order {
    /// Whether it does no harm to give it again.
    pub(crate) fn is_repeatable(&self) -> bool {
        match self {
            Self::Submit(message) => message.client_message_id.is_some(),
            Self::Attach { .. }
            | Self::Decide(_)
            | Self::AnswerBudget(_)
            | Self::Trust(_)
            | Self::Cancel
            | Self::Reset
            | Self::End
            | Self::Look { .. } => true,
        }
    }

    /// How long its owner may take before it answers on purpose.
    pub(crate) fn patience(&self) -> Duration {
        match self {
            Self::Attach { patience, .. } | Self::Look { patience, .. } => *patience,
            _ => Duration::ZERO,
        }
    }
}

impl ActorHandle {
    /// Has the actor follow an order, once for each name.
    pub(crate) async fn follow(&self, order: &Order, name: Option<RequestId>) -> Result<Outcome, Missed> {
        let done = |()| Outcome::Done;
        match order.clone() {
            Order::Attach { wish, patience } => self.is_ready(wish, patience).await.map(Outcome::Attached),
            Order::Submit(message) => self.put(|reply| Request::Submit(message, reply)).await.map(Outcome::Accepted),
            Order::Decide(answer) => self.put(|reply| Request::Decide(answer, reply)).await.map(Outcome::Decided),
            Order::AnswerBudget(answer) => self.put(|reply| Request::AnswerBudget(answer, name, reply)).await.map(done),
            Order::Trust(trusted) => self.put(|reply| Request::Trust(trusted, name, reply)).await.map(done),
            Order::Cancel => self.put(|reply| Request::Cancel(name, reply)).await.map(done),
            Order::Reset => self.put(|reply| Request::Reset(name, reply)).await.map(done),
            Order::End => self.put(|reply| Request::End(name, reply)).await.map(done),
            Order::Look { look, .. } => self.put(|reply| Request::Look(look, reply)).await.map(Outcome::Seen),
        }
    }

    /// Asks the actor.
    pub(crate) async fn put<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Missed> {
        let (reply, answer) = oneshot::channel();
        match self.mailbox.try_send(request(reply)) {
            Ok(()) => match answer.await {
                Ok(Ok(answer)) => answer.map_err(Missed::Refused),
                Ok(Err(Unhandled)) => Err(Missed::Ended),
                Err(_) => Err(Missed::Refused(gone())),
            },
            Err(TrySendError::Full(_)) => {
                Err(Missed::Refused(Failure::new(Code::Busy, "Too much is waiting for this session already.")))
            }
            Err(TrySendError::Closed(_)) => Err(Missed::Ended),
        }
    }

    async fn is_ready(&self, wish: Wish, patience: Duration) -> Result<Readiness, Missed> {
        let mut readiness = self.put(|reply| Request::Attach(wish, reply)).await?;
        match timeout(patience, readiness.wait_for(Option::is_some)).await {
            Ok(Ok(known)) => Ok(known.clone()),
            Ok(Err(_)) => Err(Missed::Ended),
            Err(_) => Ok(None),
        }
    }
}

fn gone() -> Failure {
    Failure::new(Code::StoreUnavailable, "The session was lost on its way to the store.")
        .with_hint("Send it again; what was acknowledged is kept, and a message sent twice is taken once.")
}
