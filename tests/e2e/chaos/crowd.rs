use super::{CLIENTS, SESSIONS, cluster::Cluster, witness::Witness};
use crate::crash::{Dice, Driver, Orders};
use anyhow::{Context, Result, bail};
use std::time::Duration;
use tokio::{sync::watch, task::JoinSet, time::timeout};

/// How long a round may take that sees fewer events than it waits for.
const ROUND: Duration = Duration::from_secs(4);
/// How long the clients may need to bring what they began to its end.
const REST: Duration = Duration::from_mins(3);

/// The clients of both servers.
pub(super) struct Crowd {
    orders: watch::Sender<Orders>,
    events: watch::Receiver<u64>,
    drivers: JoinSet<Result<Driver>>,
}

impl Crowd {
    pub(super) fn start(cluster: &Cluster, witness: &Witness, dice: &mut Dice) -> Self {
        let (orders, _) = watch::channel(Orders { urls: cluster.urls(), last: false });
        let (counter, events) = watch::channel(0_u64);
        let mut drivers = JoinSet::new();
        for number in 0..CLIENTS {
            let (name, session) = (format!("c{number}"), session(number % SESSIONS));
            let driver = Driver::new(name, session, Dice::new(dice.next()), counter.clone());
            drivers.spawn(driver.witnessed_by(witness.pipe()).run(orders.subscribe()));
        }
        Self { orders, events, drivers }
    }

    /// Tells them where the servers are.
    pub(super) fn tell(&self, cluster: &Cluster) {
        self.orders.send_modify(|orders| orders.urls = cluster.urls());
    }

    /// Waits for so many more events, wherever the servers are then. With none to be had, for the end of a round. Whether there
    /// was any.
    pub(super) async fn goes_on(&mut self, more: u64) -> bool {
        let before = *self.events.borrow_and_update();
        let _ = timeout(ROUND, self.events.wait_for(|seen| *seen >= before + more)).await;
        *self.events.borrow() > before
    }

    /// Fails if a client gave up.
    pub(super) fn is_there(&mut self) -> Result<()> {
        let Some(ended) = self.drivers.try_join_next() else { return Ok(()) };
        ended??;
        bail!("a client gave up")
    }

    /// Lets them bring what they began to its end.
    pub(super) async fn finish(mut self) -> Result<Vec<Driver>> {
        self.orders.send_modify(|orders| orders.last = true);
        let mut done = Vec::new();
        while !self.drivers.is_empty() {
            let driver = timeout(REST, self.drivers.join_next()).await.ok().flatten();
            done.push(driver.with_context(|| format!("only {} clients came to an end", done.len()))???);
        }
        Ok(done)
    }
}

/// The id of a session.
pub(super) fn session(number: usize) -> String {
    format!("chaos-{number}")
}
