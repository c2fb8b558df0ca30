//! The one connection that listens, for everyone in this process.
//!
//! What is wanted is in a table; a task keeps the server's subscriptions to it, again after each reconnection and from time to
//! time for good measure. Whoever listens is woken when its subscription stands, since something may have been said before.

use crate::{Config, keys};
use bytes::Bytes;
use fred::{
    clients::SubscriberClient,
    error::Error,
    interfaces::{ClientLike as _, EventInterface as _, PubsubInterface as _},
    types::{ClusterHash, CustomCommand, Message, Value},
    util::redis_keyslot,
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, broadcast, broadcast::error::RecvError, watch},
    time::MissedTickBehavior,
};
use tokio_util::task::AbortOnDropHandle;

/// How long after a failure, or after all is well, subscriptions are made again.
const AGAIN_SOON: Duration = Duration::from_millis(200);
const AGAIN: Duration = Duration::from_secs(15);
/// How many channels one command subscribes to.
const AT_ONCE: usize = 256;

/// Who listens to what.
pub(crate) struct Hub {
    table: Arc<Table>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Table {
    channels: Mutex<HashMap<String, Channel>>,
    changed: Notify,
}

struct Channel {
    wake: watch::Sender<bool>,
    /// Where the words go, if somebody wants them.
    news: Option<broadcast::Sender<Bytes>>,
    listeners: usize,
}

/// A place among those who listen to a channel. The last one that goes ends the subscription.
pub(crate) struct Subscription {
    table: Arc<Table>,
    channel: String,
    /// Changes whenever there may be something new. Its value says whether the server's subscription stands.
    pub(crate) wake: watch::Receiver<bool>,
}

impl Hub {
    pub(crate) fn over(subscriber: SubscriberClient, is_cluster: bool, config: &Config) -> Self {
        let table = Arc::new(Table::default());
        let timeout = Duration::from_millis(config.operation_timeout_ms);
        let keeper = Keeper {
            table: Arc::clone(&table),
            subscriber,
            timeout,
            is_cluster,
            standing: HashSet::new(),
            stale: HashSet::new(),
        };
        let task = AbortOnDropHandle::new(tokio::runtime::Handle::current().spawn(keeper.run()));
        Self { table, _task: task }
    }

    /// Listens to a channel from soon on: as soon as [`Subscription::wake`] is true.
    pub(crate) fn subscribe(&self, channel: String) -> Subscription {
        let subscription = self.enter(&mut self.table.lock(), channel);
        self.table.changed.notify_one();
        subscription
    }

    /// The same, and what is said there: `waiting` messages wait for whoever listens slowly, and those beyond are lost to it.
    pub(crate) fn listen(&self, channel: String, waiting: usize) -> (Subscription, broadcast::Receiver<Bytes>) {
        let mut channels = self.table.lock();
        let subscription = self.enter(&mut channels, channel.clone());
        let news = &mut channels.entry(channel).or_insert_with(Channel::new).news;
        let news = news.get_or_insert_with(|| broadcast::channel(waiting).0).subscribe();
        drop(channels);
        self.table.changed.notify_one();
        (subscription, news)
    }

    fn enter(&self, channels: &mut HashMap<String, Channel>, channel: String) -> Subscription {
        let entry = channels.entry(channel.clone()).or_insert_with(Channel::new);
        entry.listeners += 1;
        Subscription { table: Arc::clone(&self.table), channel, wake: entry.wake.subscribe() }
    }
}

impl Channel {
    fn new() -> Self {
        Self { wake: watch::channel(false).0, news: None, listeners: 0 }
    }
}

impl Subscription {
    /// Waits until the server's subscription stands.
    pub(crate) async fn stands(&mut self) {
        // The sender is in the table for as long as this is.
        drop(self.wake.wait_for(|stands| *stands).await);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut channels = self.table.lock();
        if let Some(channel) = channels.get_mut(&self.channel) {
            channel.listeners -= 1;
            if channel.listeners == 0 {
                channels.remove(&self.channel);
                drop(channels);
                self.table.changed.notify_one();
            }
        }
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Channel>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self, message: Message) {
        let Some(said) = message.value.into_bytes() else { return };
        if let Some(channel) = self.lock().get(&*message.channel) {
            if let Some(news) = &channel.news {
                // Nobody may want the words any more.
                let _unheard = news.send(said);
            }
            channel.wake.send_modify(|_| {});
        }
    }

    fn wake_all(&self) {
        for channel in self.lock().values() {
            channel.wake.send_modify(|_| {});
        }
    }

    fn stands(&self, names: &[String], stands: bool) {
        let channels = self.lock();
        for channel in names.iter().filter_map(|name| channels.get(name)) {
            channel.wake.send_replace(stands);
        }
    }
}

struct Keeper {
    table: Arc<Table>,
    subscriber: SubscriberClient,
    timeout: Duration,
    /// Whether some channels belong to one node of a cluster.
    is_cluster: bool,
    /// The subscriptions that the server has confirmed.
    standing: HashSet<String>,
    /// The subscriptions that it may have besides: they were confirmed on a connection before.
    stale: HashSet<String>,
}

impl Keeper {
    async fn run(mut self) {
        let mut messages = self.subscriber.message_rx();
        let mut reconnections = self.subscriber.reconnect_rx();
        let mut errors = self.subscriber.error_rx();
        let mut again = tokio::time::interval(AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let table = Arc::clone(&self.table);
            tokio::select! {
                message = messages.recv() => match message {
                    Ok(message) => table.pass(message),
                    Err(RecvError::Lagged(_)) => table.wake_all(),
                    Err(RecvError::Closed) => return,
                },
                server = reconnections.recv() => match server {
                    Ok(_) | Err(RecvError::Lagged(_)) => self.begin_anew(&mut again).await,
                    Err(RecvError::Closed) => return,
                },
                // What is said from now until the connection is back is lost: nobody may take its subscription for standing.
                error = errors.recv() => match error {
                    Ok(_) | Err(RecvError::Lagged(_)) => {
                        self.fall();
                        again.reset_after(AGAIN_SOON);
                    }
                    Err(RecvError::Closed) => return,
                },
                () = table.changed.notified() => self.keep_up(&mut again).await,
                _ = again.tick() => self.begin_anew(&mut again).await,
            }
        }
    }

    /// No subscription stands any more, as far as is known.
    fn fall(&mut self) {
        let fallen: Vec<String> = self.standing.drain().collect();
        self.table.stands(&fallen, false);
        self.stale.extend(fallen);
    }

    async fn begin_anew(&mut self, again: &mut tokio::time::Interval) {
        self.stale.extend(self.standing.drain());
        self.keep_up(again).await;
    }

    /// Makes the server's subscriptions what is wanted.
    async fn keep_up(&mut self, again: &mut tokio::time::Interval) {
        let (missing, gone) = {
            let channels = self.table.lock();
            let missing: Vec<String> = channels.keys().filter(|name| !self.standing.contains(*name)).cloned().collect();
            let known = self.standing.union(&self.stale);
            let gone: Vec<String> = known.filter(|name| !channels.contains_key(*name)).cloned().collect();
            (missing, gone)
        };
        let missing = self.in_groups(missing);
        for (nth, names) in missing.iter().enumerate() {
            let made = tokio::time::timeout(self.timeout, self.subscribe(names)).await;
            if !matches!(made, Ok(Ok(()))) {
                tracing::debug!("subscriptions could not be made; they will be made again");
                missing[nth..].iter().for_each(|names| self.table.stands(names, false));
                again.reset_after(AGAIN_SOON);
                return;
            }
            self.standing.extend(names.iter().cloned());
            self.stale.retain(|name| !self.standing.contains(name));
            self.table.stands(names, true);
        }
        for names in self.in_groups(gone) {
            // One that is left over is told to nobody.
            drop(tokio::time::timeout(self.timeout, self.unsubscribe(&names)).await);
            for name in names {
                self.standing.remove(&name);
                self.stale.remove(&name);
            }
        }
    }

    /// Channels that one command can name: those of one node of a cluster come alone.
    fn in_groups(&self, names: Vec<String>) -> Vec<Vec<String>> {
        let (of_a_node, of_all): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| self.is_of_a_node(name));
        let of_a_node = of_a_node.into_iter().map(|name| vec![name]);
        of_a_node.chain(of_all.chunks(AT_ONCE).map(<[String]>::to_vec)).collect()
    }

    fn is_of_a_node(&self, name: &str) -> bool {
        self.is_cluster && keys::is_mailbox(name)
    }

    async fn subscribe(&self, names: &[String]) -> Result<(), Error> {
        if names.iter().any(|name| self.is_of_a_node(name)) {
            return self.subscriber.ssubscribe(names.to_vec()).await;
        }
        self.subscriber.subscribe(names.to_vec()).await?;
        self.confirm().await
    }

    /// Waits until the server has followed what was sent on this connection. The client does not wait for the answer to a
    /// SUBSCRIBE, and without this a message published over another connection could come before it. A cluster's node is
    /// the one that the client subscribes at.
    async fn confirm(&self) -> Result<(), Error> {
        let node = ClusterHash::Custom(redis_keyslot(self.subscriber.id().as_bytes()));
        let ping = CustomCommand::new_static("PING", node, false);
        self.subscriber.custom::<Value, Value>(ping, Vec::new()).await.map(drop)
    }

    async fn unsubscribe(&self, names: &[String]) -> Result<(), Error> {
        if names.iter().any(|name| self.is_of_a_node(name)) {
            return self.subscriber.sunsubscribe(names.to_vec()).await;
        }
        self.subscriber.unsubscribe(names.to_vec()).await
    }
}
