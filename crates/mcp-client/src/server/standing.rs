//! How a server does, and who is told.

use super::{Latest, Server};
use crate::link::Down;
use lockkeeper_ports::{ServerState, ToolSessionStatus};
use std::{
    collections::BTreeMap,
    sync::{PoisonError, atomic::Ordering},
};
use tokio::sync::watch;

impl Server {
    pub(crate) fn status(&self) -> ToolSessionStatus {
        let (state, down) = self.standing();
        self.status_of(state, down.as_ref())
    }

    /// What the process is doing, and why it is not up.
    fn standing(&self) -> (ServerState, Option<Down>) {
        let given_up = self.given_up.load(Ordering::Acquire);
        let ended = if given_up { ServerState::Down } else { ServerState::Restarting };
        match &*self.latest() {
            Latest::Connected(connection) => match connection.link.down() {
                None => (ServerState::Up, None),
                Some(down) => {
                    let reason = connection.link.problem(&down.reason);
                    (ended, Some(Down { reason, ..down.as_ref().clone() }))
                }
            },
            Latest::Failed(down) => (ended, Some(down.clone())),
            Latest::Unavailable(down) => (ServerState::Restarting, Some(down.clone())),
            Latest::HeldBack(down) => (ServerState::HeldBack, Some(down.clone())),
        }
    }

    fn status_of(&self, state: ServerState, down: Option<&Down>) -> ToolSessionStatus {
        ToolSessionStatus {
            server: self.spec.name.clone(),
            state,
            tools: down.is_none().then(|| self.pinned.get().map_or(0, BTreeMap::len)),
            code: down.map(|down| down.code),
            problem: down.map(|down| self.problem(down)),
            left_out: self.left_out.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Why it is not up, for people, with what mends it where that is known.
    fn problem(&self, down: &Down) -> String {
        let told = format!("MCP server {} {}", self.spec.name, down.reason);
        match &self.spec.advice {
            Some(advice) => format!("{told}. {advice}"),
            None => told,
        }
    }

    /// Each change of its state from now on. The first thing that is seen is how it does at that time.
    pub(crate) fn told(&self) -> watch::Receiver<ToolSessionStatus> {
        self.told.subscribe()
    }

    /// Tells how it does, if that is new.
    pub(super) fn tell(&self) {
        let (state, down) = self.standing();
        let status = self.status_of(state, down.as_ref());
        self.told.send_if_modified(|told| {
            let changed = *told != status;
            if changed {
                self.seat.tell(state, status.tools, down.map(|down| (down.code, down.brief)));
                *told = status;
            }
            changed
        });
    }
}
