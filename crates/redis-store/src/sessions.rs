//! Records and leases.

use crate::{
    RedisStore,
    failure::corrupt,
    indexes,
    keys::{self, SessionKeys, field},
    random,
    record::{Fields, encode},
    reply::Reply,
    script,
};
use fred::types::Value;
use lockkeeper_domain::{Epoch, Lease, PrincipalId, SessionId, SessionRecord, SessionTitle, Timestamp};
use lockkeeper_ports::{Claim, StoreError};
use std::time::Duration;

pub(crate) fn millis(at: Timestamp) -> Value {
    at.as_millis().to_string().into()
}

fn held(mut reply: Reply) -> StoreError {
    match (reply.text(), reply.number()) {
        (Ok(holder), Ok(until)) => StoreError::Held { holder, until: Timestamp::from_millis(until) },
        (Err(error), _) | (_, Err(error)) => error,
    }
}

impl RedisStore {
    /// Runs a script on the keys of a session.
    pub(crate) async fn on_session(
        &self,
        script: &script::Script,
        keys: &SessionKeys,
        args: Vec<Value>,
    ) -> Result<Reply, StoreError> {
        let SessionKeys { session, conversation, log, audit, audit_heads, budget } = keys;
        let keys = [session.as_str(), conversation, log, audit, audit_heads, budget];
        Reply::of(self.shared.connection.run(script, &keys, args).await?)
    }

    fn retention(&self) -> Value {
        self.shared.retention.as_str().into()
    }

    pub(crate) async fn create_session(&self, record: &SessionRecord) -> Result<(), StoreError> {
        let connection = &self.shared.connection;
        if record.sandbox.is_some() {
            indexes::affirm(connection, keys::IDLE, &record.id).await?;
        }
        if record.busy {
            indexes::affirm(connection, keys::BUSY, &record.id).await?;
        }
        indexes::used(connection, &record.owner, &record.id, record.last_active_at).await?;
        indexes::opened(connection, &record.id, record.last_active_at).await?;
        let sandbox = record.sandbox.as_ref().map(|sandbox| encode("sandbox", sandbox)).transpose()?;
        let args = vec![
            random::name()?.into(),
            keys::LAYOUT.to_string().into(),
            encode("session record", record)?,
            record.owner.as_str().into(),
            millis(record.last_active_at),
            sandbox.unwrap_or_else(|| "".into()),
            flag(record.busy),
            record.checkpoint.to_string().into(),
            self.retention(),
        ];
        let reply = self.on_session(&script::CREATE, &SessionKeys::of(&record.id), args).await?;
        match &*reply.word {
            b"OK" => {
                self.owners.learn(&record.id, &record.owner);
                Ok(())
            }
            b"EXISTS" => Err(StoreError::AlreadyExists),
            _ => Err(reply.unknown()),
        }
    }

    pub(crate) async fn session(&self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError> {
        let key = SessionKeys::of(id).session;
        let fields = self.shared.connection.call("HGETALL", &key, vec![key.as_str().into()]).await?;
        Fields::of(fields)?.map(|fields| fields.record()).transpose()
    }

    pub(crate) async fn touch_session(&self, id: &SessionId, at: Timestamp) -> Result<(), StoreError> {
        let keys = SessionKeys::of(id);
        let touch = self.on_session(&script::TOUCH, &keys, vec![millis(at), self.retention()]);
        let opened = indexes::opened(&self.shared.connection, id, at);
        let (reply, told) = tokio::join!(self.with_use(id, Some(at), touch), opened);
        let mut reply = reply?;
        if let Err(error) = told {
            tracing::warn!(%error, "the index of all sessions could not be written");
        }
        match &*reply.word {
            b"OK" => self.learn_owner(id, Some(at), &mut reply).await,
            b"NONE" => Err(StoreError::NotFound),
            _ => Err(reply.unknown()),
        }
    }

    pub(crate) async fn rename_session(&self, id: &SessionId, title: &SessionTitle) -> Result<(), StoreError> {
        let args = vec![encode("title", title)?, self.retention()];
        let reply = self.on_session(&script::RENAME, &SessionKeys::of(id), args).await?;
        match &*reply.word {
            b"OK" => Ok(()),
            b"NONE" => Err(StoreError::NotFound),
            _ => Err(reply.unknown()),
        }
    }

    pub(crate) async fn claim_session(
        &self,
        id: &SessionId,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Claim, StoreError> {
        let until = now.after(ttl);
        let args = vec![holder.into(), millis(now), millis(until), self.retention()];
        let mut reply = self.on_session(&script::CLAIM, &SessionKeys::of(id), args).await?;
        match &*reply.word {
            b"OK" => {}
            b"NONE" => return Err(StoreError::NotFound),
            b"HELD" => return Err(held(reply)),
            _ => return Err(reply.unknown()),
        }
        let fields = Fields::of(reply.rest.next().unwrap_or(Value::Null))?;
        let fields = fields.ok_or_else(|| corrupt("answer", "a claim answered without the session"))?;
        let epoch = Epoch::new(fields.number(field::EPOCH)?);
        let lease = Lease { holder: holder.to_owned(), epoch, expires_at: until };
        let claim = Claim { lease, record: fields.record()?, last: fields.last()? };
        self.owners.learn(id, &fields.owner()?);
        self.reindex(&claim.record).await;
        Ok(claim)
    }

    /// Writes the index entries of a session anew, in case that a failover lost them. They are there but for that.
    async fn reindex(&self, record: &SessionRecord) {
        let connection = &self.shared.connection;
        let (idle, busy) = (record.sandbox.is_some(), record.busy);
        let results = tokio::join!(
            indexes::used(connection, &record.owner, &record.id, record.last_active_at),
            indexes::opened(connection, &record.id, record.last_active_at),
            async { if idle { indexes::affirm(connection, keys::IDLE, &record.id).await } else { Ok(()) } },
            async { if busy { indexes::affirm(connection, keys::BUSY, &record.id).await } else { Ok(()) } },
        );
        if let (Err(error), ..) | (_, Err(error), ..) | (_, _, Err(error), _) | (.., Err(error)) = results {
            tracing::warn!(%error, "the indexes of a session could not be written anew");
        }
    }

    pub(crate) async fn renew_lease(
        &self,
        id: &SessionId,
        epoch: Epoch,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let args = vec![epoch.to_string().into(), millis(now.after(ttl)), self.retention()];
        let reply = self.on_session(&script::RENEW, &SessionKeys::of(id), args).await?;
        match &*reply.word {
            b"OK" => Ok(()),
            b"FENCED" => Err(StoreError::Fenced),
            _ => Err(reply.unknown()),
        }
    }

    pub(crate) async fn release_lease(&self, id: &SessionId, epoch: Epoch) -> Result<(), StoreError> {
        let keys = SessionKeys::of(id);
        let args = vec![epoch.to_string().into()];
        self.shared.connection.run(&script::RELEASE, &[&keys.session], args).await?;
        Ok(())
    }

    pub(crate) async fn delete_session(&self, id: &SessionId, now: Timestamp) -> Result<(), StoreError> {
        self.audit_before_removal(id, true).await?;
        let mut reply = self.on_session(&script::DELETE, &SessionKeys::of(id), vec![millis(now)]).await?;
        self.owners.forget(id);
        match &*reply.word {
            // The entries of the other indexes go when somebody looks at them.
            b"OK" => {
                let owner = keys::owner(&owner_of(&mut reply)?);
                let args = vec![owner.as_str().into(), id.as_str().into()];
                if let Err(error) = self.shared.connection.call("ZREM", &owner, args).await {
                    tracing::warn!(%error, "a deleted session is still in its owner's index");
                }
                Ok(())
            }
            b"NONE" => Ok(()),
            b"HELD" => Err(held(reply)),
            _ => Err(reply.unknown()),
        }
    }

    /// Runs `step`, and along with it tells the owner's index of the last use, if the owner is known.
    pub(crate) async fn with_use(
        &self,
        id: &SessionId,
        at: Option<Timestamp>,
        step: impl Future<Output = Result<Reply, StoreError>>,
    ) -> Result<Reply, StoreError> {
        let (Some(at), Some(owner)) = (at, self.owners.of(id)) else { return step.await };
        let (told, reply) = tokio::join!(indexes::used(&self.shared.connection, &owner, id, at), step);
        if let (Err(error), Ok(_)) = (told, &reply) {
            tracing::warn!(%error, "an owner's index could not be written");
        }
        reply
    }

    /// Learns the owner from an answer, and tells its index of the last use if that was not done along with the step.
    pub(crate) async fn learn_owner(
        &self,
        id: &SessionId,
        at: Option<Timestamp>,
        reply: &mut Reply,
    ) -> Result<(), StoreError> {
        let owner = owner_of(reply)?;
        if self.owners.of(id).as_ref() == Some(&owner) {
            return Ok(());
        }
        self.owners.learn(id, &owner);
        if let Some(at) = at
            && let Err(error) = indexes::used(&self.shared.connection, &owner, id, at).await
        {
            tracing::warn!(%error, "an owner's index could not be written");
        }
        Ok(())
    }
}

fn owner_of(reply: &mut Reply) -> Result<PrincipalId, StoreError> {
    PrincipalId::parse(reply.text()?).map_err(|error| corrupt("session record", error))
}

pub(crate) fn flag(value: bool) -> Value {
    if value { "1" } else { "0" }.into()
}
