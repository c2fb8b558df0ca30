//! The servers that share a Redis, and what they say to each other.
//!
//! A request goes to the channel where its receiver alone listens, and the server says how many it reached: none is nobody
//! by that name. The answer comes on the asker's own channel. Nothing is stored and nothing is sent twice.

mod frame;

use crate::connection::Open;
use crate::{
    failure::Unavailable,
    hub::{Hub, Subscription},
    keys,
    store::Shared,
};
use async_trait::async_trait;
use bytes::Bytes;
use frame::{Answer, Frame};
use futures::{StreamExt as _, stream, stream::BoxStream};
use lockkeeper_ports::{Asked, MAX_PEER_BYTES, PeerError, Peers, Topic};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{broadcast, broadcast::error::RecvError, oneshot},
    time::{Instant, timeout_at},
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// How many requests wait for a server that is slow to take them.
const REQUESTS: usize = 2_048;
/// How many answers wait, for an instant.
const ANSWERS: usize = 4_096;
/// How many news wait for a listener that is slow. Those beyond are lost to it.
const NEWS: usize = 128;
/// How long to wait until a subscription stands.
const SUBSCRIBE: Duration = Duration::from_secs(5);

/// How a message gets from server to server.
pub(crate) struct Way {
    pub(crate) shared: Arc<Shared>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) _open: Arc<Open>,
}

/// One of the servers that share a Redis.
pub(crate) struct RedisPeers {
    name: Arc<str>,
    way: Arc<Way>,
    carries_keys: bool,
    open: Arc<OpenRequests>,
    /// Whether answers can come.
    answers: tokio::sync::Mutex<Subscription>,
    tasks: TaskTracker,
    _answers: AbortOnDropHandle<()>,
}

/// What was asked, and not answered yet.
#[derive(Default)]
struct OpenRequests(Mutex<HashMap<u128, oneshot::Sender<Answer>>>);

/// Takes a request from the list when nobody waits for it any more.
struct Waiting<'a> {
    requests: &'a OpenRequests,
    id: u128,
}

impl RedisPeers {
    pub(crate) fn new(name: &str, way: Way, carries_keys: bool) -> Self {
        let (answers, news) = way.hub.listen(keys::answers(name), ANSWERS);
        let open = Arc::new(OpenRequests::default());
        let taken = Arc::clone(&open);
        let task = tokio::runtime::Handle::current().spawn(async move { taken.take(news).await });
        Self {
            name: name.into(),
            way: Arc::new(way),
            carries_keys,
            open,
            answers: tokio::sync::Mutex::new(answers),
            tasks: TaskTracker::new(),
            _answers: AbortOnDropHandle::new(task),
        }
    }

    fn unavailable(error: Unavailable) -> PeerError {
        PeerError::Unavailable(Box::new(error))
    }

    async fn stands(&self, subscription: &mut Subscription, until: Instant) -> Result<(), PeerError> {
        let failure = || crate::failure::Failure::timeout(SUBSCRIBE).at(&self.way.shared.connection.address);
        timeout_at(until, subscription.stands()).await.map_err(|_| Self::unavailable(failure()))
    }
}

impl OpenRequests {
    async fn take(&self, mut news: broadcast::Receiver<Bytes>) {
        loop {
            match news.recv().await {
                Ok(said) => {
                    let Some((id, answer)) = frame::read_answer(&said) else { continue };
                    let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                    // Whoever asked may be gone.
                    drop(waiting.map(|waiting| waiting.send(answer)));
                }
                Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "answers of other servers were lost"),
                Err(RecvError::Closed) => return,
            }
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.requests.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

fn check(message: &[u8]) -> Result<(), PeerError> {
    if message.len() > MAX_PEER_BYTES { Err(PeerError::TooLarge(message.len())) } else { Ok(()) }
}

/// Sends the answer to a request once it is there.
async fn answer(way: Arc<Way>, asker: String, id: u128, answered: oneshot::Receiver<Vec<u8>>) {
    let answer = match answered.await {
        Ok(answer) if answer.len() > MAX_PEER_BYTES => Answer::TooLarge(answer.len()),
        Ok(answer) => Answer::Said(answer),
        Err(_) => Answer::Dropped,
    };
    let said = frame::write_answer(id, &answer);
    if let Err(error) = way.shared.connection.publish(&keys::answers(&asker), said).await {
        tracing::warn!(%error, "an answer to another server was lost");
    }
}

#[async_trait]
impl Peers for RedisPeers {
    fn name(&self) -> &str {
        &self.name
    }

    fn carries_secrets(&self) -> bool {
        self.carries_keys
    }

    async fn ask(&self, peer: &str, request: Vec<u8>, within: Duration) -> Result<Vec<u8>, PeerError> {
        check(&request)?;
        let deadline = Instant::now() + within;
        let mut answers = self.answers.lock().await;
        self.stands(&mut answers, deadline).await?;
        drop(answers);
        let id = rand_id().map_err(|error| PeerError::Unavailable(Box::new(error)))?;
        let (send, answered) = oneshot::channel();
        self.open.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, send);
        let _waiting = Waiting { requests: &self.open, id };
        let said = Frame { id, asker: self.name.to_string(), request }.write();
        match timeout_at(deadline, self.way.shared.connection.publish(&keys::mailbox(peer), said)).await {
            Ok(Ok(0)) => return Err(PeerError::NotReached(peer.to_owned())),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(Self::unavailable(error)),
            Err(_) => return Err(PeerError::Unanswered(peer.to_owned())),
        }
        match timeout_at(deadline, answered).await {
            Ok(Ok(Answer::Said(answer))) => Ok(answer),
            Ok(Ok(Answer::TooLarge(bytes))) => Err(PeerError::TooLarge(bytes)),
            Ok(Ok(Answer::Dropped) | Err(_)) | Err(_) => Err(PeerError::Unanswered(peer.to_owned())),
        }
    }

    async fn serve(&self) -> Result<BoxStream<'static, Asked>, PeerError> {
        let (mut subscription, news) = self.way.hub.listen(keys::mailbox(&self.name), REQUESTS);
        self.stands(&mut subscription, Instant::now() + SUBSCRIBE).await?;
        let (way, tasks) = (Arc::clone(&self.way), self.tasks.clone());
        let asked = heard(subscription, news).filter_map(move |said| {
            let asked = Frame::read(&said).map(|Frame { id, asker, request }| {
                let (asked, answered) = Asked::new(request);
                tasks.spawn(answer(Arc::clone(&way), asker, id, answered));
                asked
            });
            async move { asked }
        });
        Ok(asked.boxed())
    }

    async fn tell(&self, topic: &Topic, news: Vec<u8>) -> Result<(), PeerError> {
        check(&news)?;
        let said = Frame { id: 0, asker: self.name.to_string(), request: news }.write();
        self.way.shared.connection.publish(&keys::news(topic), said).await.map(drop).map_err(Self::unavailable)
    }

    async fn listen(&self, topic: &Topic) -> Result<BoxStream<'static, Vec<u8>>, PeerError> {
        let (mut subscription, news) = self.way.hub.listen(keys::news(topic), NEWS);
        self.stands(&mut subscription, Instant::now() + SUBSCRIBE).await?;
        let own = Arc::clone(&self.name);
        let news = heard(subscription, news).filter_map(move |said| {
            let told = Frame::read(&said).filter(|frame| *frame.asker != *own).map(|frame| frame.request);
            async move { told }
        });
        Ok(news.boxed())
    }
}

/// What is said on a channel, for as long as somebody wants it.
fn heard(subscription: Subscription, news: broadcast::Receiver<Bytes>) -> impl futures::Stream<Item = Bytes> + Send {
    stream::unfold((subscription, news), |(subscription, mut news)| async move {
        loop {
            match news.recv().await {
                Ok(said) => return Some((said, (subscription, news))),
                Err(RecvError::Lagged(lost)) => tracing::debug!(lost, "a slow listener has missed messages"),
                Err(RecvError::Closed) => return None,
            }
        }
    })
}

fn rand_id() -> Result<u128, getrandom::Error> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits)?;
    Ok(u128::from_be_bytes(bits))
}
