//! Reads of the log: pages, each from one look at it.

use crate::{
    failure::corrupt,
    keys::{SessionKeys, field},
    record::decode,
    reply::{Reply, array, bytes, number, text},
    script,
    store::Shared,
};
use lockkeeper_domain::{Epoch, Event, EventId, Message, Seq, SessionId};
use lockkeeper_ports::StoreError;

/// How much one page may hold, so that no read holds the server up.
const PAGE_EVENTS: usize = 512;
const PAGE_BYTES: usize = 1 << 20;

/// What a look at a log finds.
pub(crate) enum Page {
    /// No session by this id.
    Nothing,
    /// Some that should follow are not kept any more; those up to here.
    Trimmed(Seq),
    /// Events, perhaps none.
    Events {
        /// The random name of the session.
        born: String,
        /// Where the log ends.
        last: Seq,
        /// What follows the number that was asked for.
        events: Vec<Event>,
    },
}

impl Shared {
    /// The events after `after`: at most `events`, and no more once they have `bytes`.
    pub(crate) async fn page(
        &self,
        id: &SessionId,
        after: Seq,
        events: usize,
        bytes: usize,
    ) -> Result<Page, StoreError> {
        let keys = SessionKeys::of(id);
        let args = vec![after.to_string().into(), events.to_string().into(), bytes.to_string().into()];
        let mut reply = Reply::of(self.connection.run(&script::READ, &[&keys.session, &keys.log], args).await?)?;
        match &*reply.word {
            b"NONE" => return Ok(Page::Nothing),
            b"TRIMMED" => {
                reply.text()?;
                return Ok(Page::Trimmed(Seq::new(reply.number()?)));
            }
            b"OK" => {}
            _ => return Err(reply.unknown()),
        }
        let (born, last) = (reply.text()?, Seq::new(reply.number()?));
        let events = decode_events(after, reply)?;
        if events.is_empty() && after < last {
            return Err(corrupt("log", format!("it lacks the events after {after}, and should end at {last}")));
        }
        Ok(Page::Events { born, last, events })
    }

    pub(crate) async fn read(&self, id: &SessionId, after: Seq, limit: usize) -> Result<Vec<Event>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        loop {
            if let Some(events) = self.read_one_log(id, after, limit).await? {
                return Ok(events);
            }
        }
    }

    /// `None` if the session was deleted and made anew between two pages.
    async fn read_one_log(&self, id: &SessionId, after: Seq, limit: usize) -> Result<Option<Vec<Event>>, StoreError> {
        let mut found: Vec<Event> = Vec::new();
        let mut of: Option<String> = None;
        loop {
            let at = found.last().map_or(after, |event| event.id.seq);
            let most = (limit - found.len()).min(PAGE_EVENTS);
            match self.page(id, at, most, PAGE_BYTES).await? {
                Page::Nothing if of.is_none() => return Ok(Some(found)),
                Page::Nothing => return Ok(None),
                Page::Trimmed(through) => return Err(StoreError::Trimmed(through)),
                Page::Events { born, last, events } => {
                    if *of.get_or_insert_with(|| born.clone()) != born {
                        return Ok(None);
                    }
                    found.extend(events);
                    if found.len() >= limit || found.last().is_none_or(|event| event.id.seq >= last) {
                        return Ok(Some(found));
                    }
                }
            }
        }
    }

    pub(crate) async fn last(&self, id: &SessionId) -> Result<EventId, StoreError> {
        let key = SessionKeys::of(id).session;
        let args = vec![key.as_str().into(), field::SEQ_EPOCH.into(), field::SEQ.into()];
        let mut values = array(self.connection.call("HMGET", &key, args).await?)?.into_iter();
        match (values.next(), values.next()) {
            (Some(epoch), Some(seq)) if !epoch.is_null() && !seq.is_null() => {
                Ok(EventId { epoch: Epoch::new(number(&text(epoch)?)?), seq: Seq::new(number(&text(seq)?)?) })
            }
            _ => Ok(EventId::default()),
        }
    }

    pub(crate) async fn history(&self, id: &SessionId) -> Result<Vec<Message>, StoreError> {
        let key = SessionKeys::of(id).conversation;
        let args = vec![key.as_str().into(), "0".into(), "-1".into()];
        let messages = array(self.connection.call("LRANGE", &key, args).await?)?;
        messages.into_iter().map(|message| decode("message", &bytes(message)?)).collect()
    }
}

/// The events, each with the number after the one before.
fn decode_events(after: Seq, reply: Reply) -> Result<Vec<Event>, StoreError> {
    let mut at = after;
    let mut events = Vec::with_capacity(reply.rest.len());
    for json in reply.rest {
        let event: Event = decode("event", &bytes(json)?)?;
        if event.id.seq != at.next() {
            return Err(corrupt("log", format!("{} stands where the event after {at} should", event.id)));
        }
        at = event.id.seq;
        events.push(event);
    }
    Ok(events)
}
