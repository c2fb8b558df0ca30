//! How an actor ends, whatever the reason.

use super::{Actor, Bench, command::Edited};
use crate::order::News;
use lockkeeper_ports::Topic;

impl Actor {
    /// Lets everything go. What is open stays in the log, for whoever comes next.
    pub(super) async fn tear_down(mut self) {
        self.mailbox.close();
        self.model = None;
        self.calls.cancel_all();
        // The next owner has a sandbox of its own and need not wait until this one is gone.
        self.let_go().await;
        while let Some(edited) = self.edits.join_next().await {
            edited.into_iter().for_each(Edited::refuse);
        }
        while let Ok(request) = self.mailbox.try_recv() {
            request.refuse();
        }
        if let Bench::Ready(bench) = std::mem::replace(&mut self.bench, Bench::Absent) {
            bench.tools.close().await;
            self.calls.end_all().await;
            self.shared.starter.remove(&bench.sandbox).await;
        }
        self.calls.end_all().await;
    }

    /// Gives the lease back, and tells the other servers where there is something to do.
    async fn let_go(&self) {
        let ports = &self.shared.ports;
        if let Err(error) = ports.store.release(&self.id, self.epoch).await {
            tracing::warn!(%error, "the lease could not be let go; it will run out");
            return;
        }
        if self.stored.busy {
            let news = serde_json::to_vec(&News::LetGo(self.id.clone())).expect("news are JSON with string keys");
            if let Err(error) = ports.peers.tell(&Topic::Servers, news).await {
                tracing::debug!(%error, "the other servers find out by themselves");
            }
        }
    }
}
