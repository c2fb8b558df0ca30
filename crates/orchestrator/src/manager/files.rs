//! The files of a session's sandbox, for its owner to look at.

use super::SessionManager;
use crate::{
    order::{Order, Outcome},
    workspace::{FilePart, Listing, Look, Seen, no_sandbox, no_workspace},
};
use lockkeeper_domain::{Code, Failure, SessionId};
use lockkeeper_ports::Principal;

impl SessionManager {
    /// What a directory of the session's workspace holds.
    pub async fn list_files(&self, id: &SessionId, by: &Principal, path: String) -> Result<Listing, Failure> {
        match self.look(id, by, Look::List { path }).await? {
            Seen::Listing(listing) => Ok(listing),
            Seen::Part(_) => Err(something_else()),
        }
    }

    /// A part of a file of the session's workspace: from `offset` on at most `limit` bytes, and no more than is allowed. An
    /// image comes whole.
    pub async fn read_file(
        &self,
        id: &SessionId,
        by: &Principal,
        path: String,
        offset: u64,
        limit: Option<u64>,
    ) -> Result<FilePart, Failure> {
        let most = self.shared.config.max_look_bytes.min(self.shared.config.output.max_bytes) as u64;
        let limit = limit.unwrap_or(most).clamp(1, most);
        match self.look(id, by, Look::Read { path, offset, limit }).await? {
            Seen::Part(part) => Ok(part),
            Seen::Listing(_) => Err(something_else()),
        }
    }

    async fn look(&self, id: &SessionId, by: &Principal, look: Look) -> Result<Seen, Failure> {
        if self.shared.ports.workspace.is_none() {
            return Err(no_workspace());
        }
        // An owner would start a sandbox, and a look alone is no reason to.
        if self.owned(id, by).await?.sandbox.is_none() {
            return Err(no_sandbox());
        }
        let patience = self.shared.config.look();
        match self.order(id, by, Order::Look { look, patience }).await? {
            Outcome::Seen(seen) => Ok(seen),
            _ => Err(something_else()),
        }
    }
}

fn something_else() -> Failure {
    Failure::new(Code::Internal, "The session's server answered something else.")
}
