//! The bytes that sessions occupy, as the server counts them. There is no count of our own that could go wrong.

use crate::{
    RedisStore,
    failure::corrupt,
    keys::{self, SessionKeys},
    reply::{Reply, array, number, text},
    script,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use lockkeeper_domain::{Epoch, PrincipalId, Seq, SessionId};
use lockkeeper_ports::{Occupied, OwnerOccupied, StoreError};

/// How many sessions are measured at once.
const AT_ONCE: usize = 32;

impl RedisStore {
    pub(crate) async fn bytes_of(&self, id: &SessionId) -> Result<Occupied, StoreError> {
        let SessionKeys { session, conversation, log, .. } = SessionKeys::of(id);
        let connection = &self.shared.connection;
        let reply = connection.run(&script::OCCUPIED, &[&session, &conversation, &log], Vec::new()).await?;
        let mut reply = Reply::of(reply)?;
        Ok(Occupied { log: reply.number()?, rest: reply.number()? })
    }

    pub(crate) async fn bytes_of_owner(&self, owner: &PrincipalId) -> Result<OwnerOccupied, StoreError> {
        let index = keys::owner(owner);
        let args = vec![index.as_str().into(), "0".into(), "-1".into()];
        let mut ids = Vec::new();
        for id in array(self.shared.connection.call("ZRANGE", &index, args).await?)? {
            ids.push(SessionId::parse(text(id)?).map_err(|error| corrupt("session id", error))?);
        }
        // The index may name sessions that are gone: those occupy nothing.
        let sizes = stream::iter(ids).map(async |id: SessionId| self.bytes_of(&id).await).buffer_unordered(AT_ONCE);
        sizes
            .try_fold(OwnerOccupied::default(), async |sum, Occupied { log, rest }| {
                let sessions = sum.sessions + u64::from(log + rest > 0);
                Ok(OwnerOccupied { sessions, bytes: sum.bytes + log + rest })
            })
            .await
    }

    /// The memory in use of the server, of whatever else it holds too. In a cluster: of one node.
    pub(crate) async fn bytes_in_all(&self) -> Result<u64, StoreError> {
        let info = text(self.shared.connection.call("INFO", keys::SESSIONS, vec!["memory".into()]).await?)?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        number(used.unwrap_or_default().trim())
    }

    pub(crate) async fn trim_log_to(&self, id: &SessionId, epoch: Epoch, bytes: u64) -> Result<Seq, StoreError> {
        self.audit_before_removal(id, false).await?;
        let keys = SessionKeys::of(id);
        let args = vec![epoch.to_string().into(), bytes.to_string().into()];
        let reply = self.shared.connection.run(&script::TRIM_TO, &[&keys.session, &keys.log], args).await?;
        let mut reply = Reply::of(reply)?;
        match &*reply.word {
            b"OK" => Ok(Seq::new(reply.number()?)),
            b"FENCED" => Err(StoreError::Fenced),
            _ => Err(reply.unknown()),
        }
    }
}
