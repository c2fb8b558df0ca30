use anyhow::{Context, Result};
use serde_json::Value;
use std::{fmt, str::FromStr};

/// An event's name in its session's log. Real clients do not look inside; the judge does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// Which owner of the session wrote it.
    pub epoch: u64,
    /// Its place, dense from 1.
    pub seq: u64,
}

impl FromStr for EventId {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (epoch, seq) = text.split_once('-').with_context(|| format!("{text:?} is no event id"))?;
        Ok(Self { epoch: epoch.parse()?, seq: seq.parse()? })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

/// What the server sent: `(payload, meta)` under a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// As in the Socket.IO contract.
    pub name: String,
    /// The first argument; null where there is none.
    pub payload: Value,
    /// The second.
    pub meta: Value,
}

impl Event {
    /// Reads the array of a Socket.IO event packet.
    pub(crate) fn from_packet(array: Value) -> Result<Self> {
        let Value::Array(parts) = array else { anyhow::bail!("an event packet must hold an array, not {array}") };
        let mut parts = parts.into_iter();
        let name = parts.next().and_then(|name| name.as_str().map(str::to_owned)).context("an event without a name")?;
        let (payload, meta) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        Ok(Self { name, payload, meta })
    }

    /// Its place in the log, if it is logged.
    pub fn id(&self) -> Option<EventId> {
        self.meta["id"].as_str().and_then(|id| id.parse().ok())
    }

    /// The turn that it belongs to.
    pub fn turn(&self) -> Option<u64> {
        self.meta["turn"].as_u64()
    }

    /// The call that it is about.
    pub fn call(&self) -> Option<&str> {
        self.payload["callId"].as_str().or_else(|| self.meta["callId"].as_str())
    }

    /// The payload, where it is a string.
    pub fn text(&self) -> &str {
        self.payload.as_str().unwrap_or_default()
    }
}
