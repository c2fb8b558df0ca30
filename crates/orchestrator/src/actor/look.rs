use super::{Actor, Bench, Reply, send};
use crate::workspace::{Look, Seen, look, no_sandbox, no_workspace};
use lockkeeper_domain::{Code, Failure};
use std::{sync::Arc, time::Duration};

/// How old the stored time of the last use may become by looks alone.
const TOUCH: Duration = Duration::from_secs(30);

impl Actor {
    /// Somebody uses the session, without a step that would say so in the store.
    pub(super) fn use_now(&mut self) {
        let now = self.shared.now();
        self.last_active_at = now;
        if now.since(self.stored.active_at) < TOUCH {
            return;
        }
        self.stored.active_at = now;
        let (store, id) = (Arc::clone(&self.shared.ports.store), self.id.clone());
        self.shared.tasks.spawn(async move {
            if let Err(error) = store.touch(&id, now).await {
                tracing::debug!(session.id = %id, %error, "the time of a session's last use could not be stored");
            }
        });
    }

    /// Shows something of the sandbox, aside: the session goes on meanwhile. A sandbox is not started for it.
    pub(super) fn look(&mut self, wanted: Look, reply: Reply<Seen>) {
        self.use_now();
        let Some(server) = self.shared.ports.workspace.clone() else { return send(reply, Err(no_workspace())) };
        let Bench::Ready(bench) = &self.bench else { return send(reply, Err(no_sandbox())) };
        let Ok(place) = Arc::clone(&self.looks).try_acquire_owned() else {
            let failure = Failure::new(Code::Busy, "Too much of this sandbox is being looked at already.");
            return send(reply, Err(failure));
        };
        let (tools, output) = (Arc::clone(&bench.tools), Arc::clone(&self.shared.output));
        let (session, patience) = (self.id.clone(), self.shared.config.look());
        self.shared.tasks.spawn(async move {
            let seen = look(&session, wanted, &server, &*tools, &output, patience).await;
            drop(place);
            send(reply, seen);
        });
    }
}
