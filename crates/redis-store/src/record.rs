//! A session's hash, and the record in it.

use crate::{
    failure::corrupt,
    keys::{self, field},
    reply::{array, bytes, number},
};
use bytes::Bytes;
use fred::types::Value;
use lockkeeper_domain::{Epoch, EventId, PrincipalId, Seq, SessionRecord, Timestamp};
use lockkeeper_ports::StoreError;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::HashMap;

/// The fields of a session's hash.
pub(crate) struct Fields(HashMap<String, Bytes>);

impl Fields {
    /// From the answer of `HGETALL`. `None`: there is no session.
    pub(crate) fn of(value: Value) -> Result<Option<Self>, StoreError> {
        let mut values = array(value)?.into_iter();
        let mut fields = HashMap::new();
        while let (Some(name), Some(value)) = (values.next(), values.next()) {
            fields.insert(crate::reply::text(name)?, bytes(value)?);
        }
        Ok((!fields.is_empty()).then_some(Self(fields)))
    }

    fn text(&self, name: &'static str) -> Result<Option<&str>, StoreError> {
        let text = self.0.get(name).map(|bytes| std::str::from_utf8(bytes));
        text.transpose().map_err(|error| corrupt("session record", error))
    }

    fn needed(&self, name: &'static str) -> Result<&str, StoreError> {
        self.text(name)?.ok_or_else(|| corrupt("session record", format!("its field `{name}` is missing")))
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, StoreError> {
        number(self.needed(name)?)
    }

    /// The record that the fields come to.
    pub(crate) fn record(&self) -> Result<SessionRecord, StoreError> {
        let layout: u32 = self.number(field::LAYOUT)?;
        if layout > keys::LAYOUT {
            let why = format!("its layout is {layout}, and this program knows layouts up to {}", keys::LAYOUT);
            return Err(corrupt("session record", why));
        }
        let mut record = decode_record(self.needed(field::RECORD)?.as_bytes())?;
        record.last_active_at = Timestamp::from_millis(self.number(field::ACTIVE)?);
        record.sandbox =
            self.text(field::SANDBOX)?.map(|json| decode("session record", json.as_bytes())).transpose()?;
        if let Some(workspace) = self.text(field::WORKSPACE)? {
            record.workspace = Some(decode("session record", workspace.as_bytes())?);
        }
        if let Some(state) = self.text(field::STATE)? {
            record.state = decode("session record", state.as_bytes())?;
        }
        if let Some(model) = self.text(field::MODEL)? {
            record.model = Some(decode("session record", model.as_bytes())?);
        }
        if let Some(own_key) = self.text(field::OWN_KEY)? {
            record.own_key = own_key == "1";
        }
        if let Some(title) = self.text(field::TITLE)? {
            record.title = Some(decode("session record", title.as_bytes())?);
        }
        record.checkpoint = Seq::new(self.number(field::CHECKPOINT)?);
        record.busy = self.needed(field::BUSY)? == "1";
        Ok(record)
    }

    /// Where the log ends.
    pub(crate) fn last(&self) -> Result<EventId, StoreError> {
        let epoch = Epoch::new(self.number(field::SEQ_EPOCH)?);
        Ok(EventId { epoch, seq: Seq::new(self.number(field::SEQ)?) })
    }

    pub(crate) fn owner(&self) -> Result<PrincipalId, StoreError> {
        PrincipalId::parse(self.needed(field::OWNER)?).map_err(|error| corrupt("session record", error))
    }
}

/// A value as it is stored. `what` names it in the error.
pub(crate) fn encode<T: Serialize>(what: &'static str, value: &T) -> Result<Value, StoreError> {
    let json = serde_json::to_vec(value).map_err(|error| corrupt(what, error))?;
    Ok(Value::Bytes(json.into()))
}

pub(crate) fn decode<T: DeserializeOwned>(what: &'static str, json: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(json).map_err(|error| corrupt(what, error))
}

fn decode_record(json: &[u8]) -> Result<SessionRecord, StoreError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    const WHAT: &str = "session record";
    // The version is looked at first: a later form may not parse, or worse, parse and mean something else.
    let Versioned { version } = decode(WHAT, json)?;
    if version > SessionRecord::VERSION {
        let known = SessionRecord::VERSION;
        return Err(corrupt(WHAT, format!("its version is {version}, and this program knows versions up to {known}")));
    }
    decode(WHAT, json)
}
