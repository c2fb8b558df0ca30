use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use lockkeeper_ports::{Asked, MAX_PEER_BYTES, PeerError, Peers, Topic};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{broadcast, mpsc},
    time::timeout,
};

/// How many requests wait for a server.
const REQUESTS: usize = 1_024;
/// How many news wait for each listener. When it lags further it misses the oldest.
const NEWS: usize = 256;

/// News, and who told them.
type Told = (Arc<str>, Vec<u8>);

/// The way between servers of one process. A server with a store of its own is alone on its hub.
#[derive(Clone, Default)]
pub struct PeerHub {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    servers: HashMap<Arc<str>, mpsc::Sender<Asked>>,
    topics: HashMap<Topic, broadcast::Sender<Told>>,
}

/// One server on a [`PeerHub`].
struct HubPeer {
    name: Arc<str>,
    hub: PeerHub,
}

impl PeerHub {
    /// A hub without servers.
    pub fn new() -> Self {
        Self::default()
    }

    /// The server by this name, as one of this hub's.
    pub fn join(&self, name: impl Into<Arc<str>>) -> Arc<dyn Peers> {
        Arc::new(HubPeer { name: name.into(), hub: self.clone() })
    }

    /// The maps stay right even when a panic passed by: each change is one statement.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PeerHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerHub").field("servers", &self.inner().servers.len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Peers for HubPeer {
    fn name(&self) -> &str {
        &self.name
    }

    fn carries_secrets(&self) -> bool {
        true
    }

    async fn ask(&self, peer: &str, request: Vec<u8>, within: Duration) -> Result<Vec<u8>, PeerError> {
        fits(&request)?;
        let not_reached = || PeerError::NotReached(peer.to_owned());
        let server = self.hub.inner().servers.get(peer).cloned().ok_or_else(not_reached)?;
        let (asked, answer) = Asked::new(request);
        match server.try_send(asked) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(not_reached()),
            Err(mpsc::error::TrySendError::Full(_)) => return Err(PeerError::Unanswered(peer.to_owned())),
        }
        match timeout(within, answer).await {
            Ok(Ok(answer)) => fits(&answer).map(|()| answer),
            Ok(Err(_)) | Err(_) => Err(PeerError::Unanswered(peer.to_owned())),
        }
    }

    async fn serve(&self) -> Result<BoxStream<'static, Asked>, PeerError> {
        let (server, requests) = mpsc::channel(REQUESTS);
        self.hub.inner().servers.insert(Arc::clone(&self.name), server);
        let next = async |mut requests: mpsc::Receiver<Asked>| Some((requests.recv().await?, requests));
        Ok(stream::unfold(requests, next).boxed())
    }

    async fn tell(&self, topic: &Topic, news: Vec<u8>) -> Result<(), PeerError> {
        fits(&news)?;
        let mut inner = self.hub.inner();
        if let Some(listeners) = inner.topics.get(topic)
            && listeners.send((Arc::clone(&self.name), news)).is_err()
        {
            inner.topics.remove(topic);
        }
        Ok(())
    }

    async fn listen(&self, topic: &Topic) -> Result<BoxStream<'static, Vec<u8>>, PeerError> {
        let mut inner = self.hub.inner();
        inner.topics.retain(|_, listeners| listeners.receiver_count() > 0);
        let listeners = inner.topics.entry(topic.clone()).or_insert_with(|| broadcast::Sender::new(NEWS));
        let own = Arc::clone(&self.name);
        Ok(stream::unfold((listeners.subscribe(), own), next_news).boxed())
    }
}

async fn next_news(
    (mut news, own): (broadcast::Receiver<Told>, Arc<str>),
) -> Option<(Vec<u8>, (broadcast::Receiver<Told>, Arc<str>))> {
    loop {
        match news.recv().await {
            Ok((teller, told)) if teller != own => return Some((told, (news, own))),
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            // Its sender stays for as long as somebody listens.
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

fn fits(message: &[u8]) -> Result<(), PeerError> {
    if message.len() > MAX_PEER_BYTES { Err(PeerError::TooLarge(message.len())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn on_one_hub() -> [Arc<dyn Peers>; 3] {
        let hub = PeerHub::new();
        ["a", "b", "c"].map(|name| hub.join(name))
    }

    lockkeeper_testkit::peers_contract!(on_one_hub);

    #[tokio::test]
    async fn topics_that_nobody_listens_to_any_more_are_forgotten() {
        let hub = PeerHub::new();
        let [a, b] = ["a", "b"].map(|name| hub.join(name));
        for n in 0..100 {
            let id = lockkeeper_domain::SessionId::parse(format!("s{n}").as_str()).expect("an id");
            let news = b.listen(&Topic::Session(id.clone())).await.expect("listened");
            a.tell(&Topic::Session(id), Vec::new()).await.expect("told");
            drop(news);
        }
        assert_eq!(hub.inner().topics.len(), 1);
    }
}
