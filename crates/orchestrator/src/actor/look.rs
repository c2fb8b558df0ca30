use super::{Actor, Bench, Reply, send};
use crate::workspace::{Look, Seen, look, no_sandbox, no_workspace};
use lockkeeper_domain::{Code, Failure};
use std::sync::Arc;

impl Actor {
    /// Shows something of the sandbox, aside: the session goes on meanwhile. A sandbox is not started for it.
    pub(super) fn look(&self, wanted: Look, reply: Reply<Seen>) {
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
