//! Looks after a server while its session lives: finds out when it ended or hangs, and starts it again.

use super::{Latest, Refusal, Server};
use crate::connection::Connection;
use lockkeeper_ports::Availability;
use std::{
    future::pending,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};
use tokio::time::sleep;

impl Server {
    /// Goes on until the session ends. A server that ended is started again at once, as often as its limits allow; from then
    /// on it is the next call that tries.
    pub(super) async fn keep(self: Arc<Self>) {
        let mut news = self.told.subscribe();
        let mut kept = Weak::new();
        loop {
            let Some(connection) = self.opened().filter(|opened| !kept.ptr_eq(&Arc::downgrade(opened))) else {
                // A call may start it again meanwhile.
                tokio::select! {
                    biased;
                    changed = news.changed() => if changed.is_err() { return },
                    () = self.recover() => {}
                }
                continue;
            };
            kept = Arc::downgrade(&connection);
            self.given_up.store(false, Ordering::Release);
            tokio::select! {
                biased;
                _ = connection.link.wait_down() => {}
                () = mind(&connection, self.scope.config.ping(), self.scope.patience.availability()) => {}
                () = self.heed(&connection) => {}
            }
            drop(connection);
            self.tell();
            if !self.revive().await {
                self.given_up.store(true, Ordering::Release);
                self.tell();
            }
        }
    }

    /// Starts the server until it is up. False when no more is to be tried by itself.
    async fn revive(&self) -> bool {
        loop {
            self.scope.patience.availability().back().await;
            let mut gate = self.gate.lock().await;
            let Err(down) = self.connected() else { return true };
            if gate.restarts.is_exhausted() {
                return false;
            }
            match self.restart(&mut gate, &down).await {
                Ok(_) => return true,
                Err(Refusal::SandboxGone) => return false,
                Err(Refusal::With(_)) if matches!(*self.latest(), Latest::HeldBack(_)) => return false,
                Err(Refusal::With(_)) if self.is_unavailable() => {
                    drop(gate);
                    self.pause().await;
                }
                Err(Refusal::With(_)) => {}
            }
        }
    }

    /// Waits until a start may be tried again that failed for the runtime's reason.
    async fn pause(&self) {
        let config = &self.scope.config;
        let doubled = 1_u32 << self.misses.load(Ordering::Acquire).min(16);
        sleep((config.restart_backoff() * doubled).min(config.breaker())).await;
        self.scope.patience.availability().back().await;
    }

    /// Starts a server once that no call can start (it has not been up in this session), or that was held back: after the
    /// time that it is held back, or when it starts for another session of the same tenant.
    async fn recover(&self) {
        let is_held_back = matches!(*self.latest(), Latest::HeldBack(_));
        let is_unavailable = self.is_unavailable();
        if !is_unavailable && self.pinned.get().is_some() && !is_held_back {
            return pending().await;
        }
        let recovery = self.seat.recovery();
        let mut recovered = recovery.recovered.subscribe();
        let rest = self.seat.held_back().unwrap_or_else(|| self.scope.config.breaker());
        let rested = async { if is_unavailable { self.pause().await } else { sleep(rest).await } };
        tokio::select! {
            biased;
            _ = recovered.changed() => {}
            () = rested => {}
        }
        let Ok(_turn) = recovery.turn.acquire().await else { return };
        let mut gate = self.gate.lock().await;
        if self.connected().is_err() && self.open_again(&mut gate).await.is_err() && !self.is_unavailable() {
            self.given_up.store(true, Ordering::Release);
            self.tell();
        }
    }

    /// The last connection that there was, if it is not known that none could be had after it.
    fn opened(&self) -> Option<Arc<Connection>> {
        match &*self.latest() {
            Latest::Connected(connection) => Some(Arc::clone(connection)),
            Latest::Failed(_) | Latest::HeldBack(_) | Latest::Unavailable(_) => None,
        }
    }
}

/// Pings a server that is idle, until its connection is over: because it ended, or because it did not answer in time.
async fn mind(connection: &Connection, every: Option<Duration>, availability: &Availability) {
    let Some(every) = every else { return pending().await };
    loop {
        sleep(every).await;
        // Pings would only queue up before a runtime that passes nothing on.
        availability.back().await;
        if !connection.answers().await {
            return;
        }
    }
}
