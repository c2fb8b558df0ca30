//! Looks up the records of sessions, for those who may know them.

use super::{SessionManager, checks, checks::Wanted};
use crate::{actor::store_failure, agent::Wish};
use lockkeeper_domain::{Failure, Power, SessionId, SessionRecord, Timestamp};
use lockkeeper_ports::{Principal, StoreError};

impl SessionManager {
    /// The session by this name, created where there is none. Says whose it is where there was one.
    pub(super) async fn find_or_create(
        &self,
        id: SessionId,
        by: &Principal,
        wish: &Wish,
        now: Timestamp,
    ) -> Result<(SessionId, Option<Principal>), Failure> {
        let found = self.shared.ports.store.get(&id).await.map_err(|e| store_failure(&e))?;
        if let Some(record) = found {
            checks::may(Wanted::Look, &record, by, self.shared.config.others)?;
            // Who has lost the key of a session may look at it all the same.
            if !record.own_key {
                self.shared.ports.agents.can_answer(wish)?;
            }
            return Ok((id, Some(Principal::known(record.owner))));
        }
        Ok((self.create(id, by, wish, now).await?, None))
    }

    pub(super) async fn create(
        &self,
        id: SessionId,
        by: &Principal,
        wish: &Wish,
        now: Timestamp,
    ) -> Result<SessionId, Failure> {
        if !by.powers.may(Power::Drive) {
            // The same words as for a session that is somebody else's.
            return Err(checks::not_yours());
        }
        self.shared.ports.agents.can_answer(wish)?;
        let mut record = SessionRecord::opened(id.clone(), by.id.clone(), wish.model.clone(), now);
        record.own_key = wish.key.is_some();
        let shared = &self.shared;
        let admitted = shared.storage.admit_session(&by.id, shared.ports.store.as_ref(), &shared.config).await;
        let _counted = match admitted {
            Ok(counted) => counted,
            // Another tab may have taken the last place with this very session.
            Err(full) => return self.owned(&id, by).await.map(|_| id).map_err(|_| full),
        };
        match shared.ports.store.create(&record).await {
            Ok(()) => Ok(id),
            // Two tabs of one client may ask for the same new session at once.
            Err(StoreError::AlreadyExists) => self.owned(&id, by).await.map(|_| id),
            Err(error) => Err(store_failure(&error)),
        }
    }

    /// The record of a session that is this one's, or open to one with its powers.
    pub(super) async fn record_for(
        &self,
        wanted: Wanted,
        id: &SessionId,
        by: &Principal,
    ) -> Result<SessionRecord, Failure> {
        let record = self.shared.ports.store.get(id).await.map_err(|e| store_failure(&e))?;
        let record = record.ok_or_else(checks::not_yours)?;
        checks::may(wanted, &record, by, self.shared.config.others).map(|()| record)
    }

    /// The record of a session that is this one's.
    pub(super) async fn owned(&self, id: &SessionId, by: &Principal) -> Result<SessionRecord, Failure> {
        let record = self.record_for(Wanted::Look, id, by).await?;
        if record.owner == by.id { Ok(record) } else { Err(checks::not_yours()) }
    }
}
