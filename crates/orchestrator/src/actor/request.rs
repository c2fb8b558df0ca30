use crate::{
    agent::Wish,
    opened::{Accepted, Decided, Readiness, Snapshot},
    workspace::{Look, Seen},
};
use lockkeeper_domain::{Answer, BudgetAnswer, Failure, RequestId, Timestamp, ToolTrusted, UserMessage};
use tokio::sync::{oneshot, watch};

/// Where an answer goes. [`Unhandled`] means that the actor ended first: its successor may be asked the same.
pub(crate) type Reply<T> = oneshot::Sender<Result<Result<T, Failure>, Unhandled>>;

/// The name of a command that must not be followed twice. `None` from servers of earlier versions.
pub(crate) type Name = Option<RequestId>;

/// The actor ended before it looked at the request.
#[derive(Debug)]
pub(crate) struct Unhandled;

/// Sends an answer. Whoever asked may be gone; that changes nothing.
pub(super) fn send<T>(reply: Reply<T>, answer: Result<T, Failure>) {
    drop(reply.send(Ok(answer)));
}

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    /// Whether a turn runs or waits.
    pub(crate) busy: bool,
    /// Whether anything was ever said or done in it.
    pub(crate) used: bool,
    /// When it was used last.
    pub(crate) since: Timestamp,
}

/// What an actor can be asked.
pub(crate) enum Request {
    /// Somebody attached, with wishes for the agent: a sandbox is wanted. The answer tells how far it is.
    Attach(Wish, Reply<watch::Receiver<Readiness>>),
    Submit(UserMessage, Reply<Accepted>),
    Decide(Box<Answer>, Reply<Decided>),
    AnswerBudget(BudgetAnswer, Name, Reply<()>),
    /// Somebody takes a tool as it is now.
    Trust(ToolTrusted, Name, Reply<()>),
    Cancel(Name, Reply<()>),
    Reset(Name, Reply<()>),
    End(Name, Reply<()>),
    Snapshot(Reply<Snapshot>),
    /// Somebody wants to see files of the sandbox.
    Look(Look, Reply<Seen>),
    /// The session is over if nobody used it since then.
    ExpireIfIdle(Timestamp, Reply<bool>),
    /// How the session stands, for those that need its place.
    Rest(Reply<Rest>),
    /// The session gives its place to another one, if it still stands so.
    GiveWay(Rest, Reply<bool>),
}

impl Request {
    /// The store is away: whoever asked hears that nothing was done.
    pub(super) fn fail(self, failure: &Failure) {
        let failure = failure.clone();
        match self {
            Self::Attach(_, reply) => send(reply, Err(failure)),
            Self::Submit(_, reply) => send(reply, Err(failure)),
            Self::Decide(_, reply) => send(reply, Err(failure)),
            Self::AnswerBudget(_, _, reply)
            | Self::Trust(_, _, reply)
            | Self::Cancel(_, reply)
            | Self::Reset(_, reply)
            | Self::End(_, reply) => send(reply, Err(failure)),
            Self::Snapshot(reply) => send(reply, Err(failure)),
            Self::Look(_, reply) => send(reply, Err(failure)),
            Self::ExpireIfIdle(_, reply) | Self::GiveWay(_, reply) => send(reply, Ok(false)),
            Self::Rest(reply) => send(reply, Err(failure)),
        }
    }

    /// The actor ends: whoever asked may ask its successor.
    pub(super) fn refuse(self) {
        match self {
            Self::Attach(_, reply) => drop(reply.send(Err(Unhandled))),
            Self::Submit(_, reply) => drop(reply.send(Err(Unhandled))),
            Self::Decide(_, reply) => drop(reply.send(Err(Unhandled))),
            Self::AnswerBudget(_, _, reply)
            | Self::Trust(_, _, reply)
            | Self::Cancel(_, reply)
            | Self::Reset(_, reply)
            | Self::End(_, reply) => {
                drop(reply.send(Err(Unhandled)));
            }
            Self::Snapshot(reply) => drop(reply.send(Err(Unhandled))),
            Self::Look(_, reply) => drop(reply.send(Err(Unhandled))),
            Self::ExpireIfIdle(_, reply) | Self::GiveWay(_, reply) => drop(reply.send(Err(Unhandled))),
            Self::Rest(reply) => drop(reply.send(Err(Unhandled))),
        }
    }
}
