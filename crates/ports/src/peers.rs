use async_trait::async_trait;
use futures::stream::BoxStream;
use lockkeeper_domain::SessionId;
use std::{fmt, time::Duration};
use tokio::sync::oneshot;

/// The longest request, answer or news, in bytes. Whoever has more to say says it in the store.
pub const MAX_PEER_BYTES: usize = 4 << 20;

/// Why an answer did not come.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Nobody by that name takes requests now. Nothing was done.
    #[error("{0} does not take requests")]
    NotReached(String),
    /// The deadline passed, or the peer dropped the request. It is not known whether it did what it was asked.
    #[error("{0} did not answer in time")]
    Unanswered(String),
    /// The request, the answer or the news have more than [`MAX_PEER_BYTES`]. A request that is too large was not sent; one
    /// whose answer is too large was followed.
    #[error("{0} bytes are too many for one message between servers")]
    TooLarge(usize),
    /// The way between the servers is broken. It is not known whether the peer did what it was asked.
    #[error("the other servers cannot be reached: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Who should hear of something.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Every server.
    Servers,
    /// Servers where somebody looks at this session.
    Session(SessionId),
}

/// A request that somebody sent to this server. Dropped without an answer, it is unanswered.
pub struct Asked {
    /// What is asked.
    pub request: Vec<u8>,
    answer: oneshot::Sender<Vec<u8>>,
}

impl Asked {
    /// A request, and where its answer comes. For adapters.
    pub fn new(request: Vec<u8>) -> (Self, oneshot::Receiver<Vec<u8>>) {
        let (answer, answered) = oneshot::channel();
        (Self { request, answer }, answered)
    }

    /// Answers. Whoever asked may be gone; that changes nothing.
    pub fn answer(self, answer: Vec<u8>) {
        drop(self.answer.send(answer));
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("bytes", &self.request.len()).finish_non_exhaustive()
    }
}

/// The servers that share a store, as one of them sees the others.
///
/// Nothing here is stored and nothing is retried: a request is done at most once, and news may be lost. What must not be lost
/// is in the [log](crate::EventLog); what goes this way is commands for a session's owner, news that are worth something
/// only now, and hints to look into the store.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Peers: Send + Sync {
    /// The name of this server, as it stands in leases. No two servers that run share one.
    fn name(&self) -> &str;

    /// Whether keys may go this way: nobody but the servers can read along, or the operator has said that it does not matter.
    fn carries_secrets(&self) -> bool;

    /// Asks the server by the name `peer`, which may be this one, and waits for its answer for at most `within`. Requests at
    /// once do not wait for each other. Dropping the future does not take the request back.
    async fn ask(&self, peer: &str, request: Vec<u8>, within: Duration) -> Result<Vec<u8>, PeerError>;

    /// Takes requests from now on; each comes once. Called once. The stream goes on while the way to the others is broken, and
    /// never ends by itself; once it is dropped this server is, soon, not reached any more. Requests that are not polled wait; at
    /// least 1,024 do, and those beyond may be unanswered.
    async fn serve(&self) -> Result<BoxStream<'static, Asked>, PeerError>;

    /// Tells all other servers that listen to `topic` now; this one does not hear it. News of one server on one topic come in the
    /// order in which they were told. Waits for nobody who listens. `Ok` says nothing about who heard it.
    async fn tell(&self, topic: &Topic, news: Vec<u8>) -> Result<(), PeerError>;

    /// What the other servers tell on `topic`, from now on. The stream goes on while the way to the others is broken, and
    /// never ends by itself. Whoever listens slowly, or while the way is broken, misses some.
    async fn listen(&self, topic: &Topic) -> Result<BoxStream<'static, Vec<u8>>, PeerError>;
}
