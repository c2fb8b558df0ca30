use super::{Tables, audit::Audited};
use crate::{
    failure::Halt,
    follow::Tail,
    schema::{self, Log},
};
use lockkeeper_domain::{Epoch, EventId, Seq, SessionId, SessionRecord};
use lockkeeper_ports::{Commit, Committed, HistoryChange, RecordChange, StoreError};
use redb::ReadableTable;
use std::sync::Arc;

/// A [`Commit`] whose numbers are checked and whose values are encoded, by the caller and not by the one writer.
pub(crate) struct Step {
    epoch: Epoch,
    after: Seq,
    events: Arc<[Vec<u8>]>,
    audit: Vec<Audited>,
    history: Option<HistoryStep>,
    record: RecordChange,
}

enum HistoryStep {
    Slide { append: Vec<Vec<u8>>, drop_front: usize },
    Clear,
}

impl Step {
    /// Where the log ends after it.
    fn last(&self) -> EventId {
        EventId { epoch: self.epoch, seq: self.seq_of(self.events.len()) }
    }

    /// The number of the `nth` event, from 1.
    fn seq_of(&self, nth: usize) -> Seq {
        Seq::new(self.after.get().saturating_add(nth as u64))
    }

    /// About how many bytes it writes.
    pub(crate) fn weight(&self) -> usize {
        let messages = match &self.history {
            Some(HistoryStep::Slide { append, .. }) => append.as_slice(),
            Some(HistoryStep::Clear) | None => &[],
        };
        self.events.iter().chain(messages).map(Vec::len).sum()
    }
}

/// Checks what can be checked without the store. Events that do not follow each other are a `Conflict` of each with the
/// one before; events of another epoch than the commit's are `Fenced`.
pub(crate) fn step_of(commit: &Commit) -> Result<Step, StoreError> {
    let mut end = commit.after;
    let mut events = Vec::with_capacity(commit.events.len());
    for event in &commit.events {
        if event.id.epoch != commit.epoch {
            return Err(StoreError::Fenced);
        }
        if event.id.seq.get().checked_sub(1) != Some(end.get()) {
            let expected = Seq::new(event.id.seq.get().saturating_sub(1));
            return Err(StoreError::Conflict { expected, found: end });
        }
        end = event.id.seq;
        events.push(schema::encode("event", event)?);
    }
    let history = match &commit.history {
        Some(HistoryChange::Slide { append, drop_front }) => {
            let append = append.iter().map(|message| schema::encode("message", message)).collect::<Result<_, _>>()?;
            Some(HistoryStep::Slide { append, drop_front: *drop_front })
        }
        Some(HistoryChange::Clear) => Some(HistoryStep::Clear),
        None => None,
    };
    let events = events.into();
    let audit = commit.events.iter().filter_map(|event| Audited::of(event).transpose()).collect::<Result<_, _>>()?;
    Ok(Step { epoch: commit.epoch, after: commit.after, events, audit, history, record: commit.record.clone() })
}

impl Tables<'_> {
    pub(crate) fn commit(&mut self, id: &SessionId, step: &Step) -> Result<Committed, Halt> {
        let Some(mut log) = self.log(id)? else { return Err(StoreError::Fenced.into()) };
        // Before the fence: `Fenced` says that nothing was written, which would be wrong of a commit that was.
        let is_fenced = self.lease(id)?.is_none_or(|lease| lease.epoch != step.epoch.get());
        if self.holds(id, &log, step)? {
            return Ok(if is_fenced { Committed::Superseded } else { Committed::Before });
        }
        if is_fenced {
            return Err(StoreError::Fenced.into());
        }
        if log.last.seq != step.after {
            return Err(StoreError::Conflict { expected: step.after, found: log.last.seq }.into());
        }
        let mut size = self.size(id, &log)?;
        let audited = self.audit_before(id, &log, &step.audit)?;
        if step.record != RecordChange::default() {
            let Some(before) = self.entry(id)? else { return Err(StoreError::Fenced.into()) };
            let mut after = before.clone();
            apply(&mut after.record, &step.record);
            self.replace(id, Some(&before), Some(&after))?;
        }
        if let Some(history) = &step.history {
            size.history = self.change_history(id, history, size.history)?;
        }
        if !step.events.is_empty() {
            self.audit_step(id, &log, audited, &step.audit)?;
            for (nth, event) in (1..).zip(&*step.events) {
                self.events.insert((id.as_str(), step.seq_of(nth).get()), event.as_slice())?;
                size.log += event.len() as u64;
            }
            let grown = Tail { born: log.born, after: step.after, events: Arc::clone(&step.events) };
            log.last = step.last();
            self.put_log(id, &log, Some(grown))?;
        }
        if step.history.is_some() || !step.events.is_empty() {
            self.put_size(id, &log, size)?;
        }
        Ok(Committed::Written)
    }

    pub(crate) fn trim(&mut self, id: &SessionId, epoch: Epoch, through: Seq) -> Result<(), Halt> {
        let (Some(entry), Some(mut log)) = (self.entry(id)?, self.log(id)?) else {
            return Err(StoreError::Fenced.into());
        };
        if !entry.is_held_under(epoch.get()) {
            return Err(StoreError::Fenced.into());
        }
        let through = through.min(entry.record.checkpoint).min(log.last.seq);
        if through <= log.trimmed {
            return Ok(());
        }
        let key = id.as_str();
        let mut size = self.size(id, &log)?;
        self.audit_through(id, &entry.record.owner, &log, through)?;
        self.events.retain_in((key, 0)..=(key, through.get()), |_, event| {
            size.log = size.log.saturating_sub(event.len() as u64);
            false
        })?;
        log.trimmed = through;
        self.put_size(id, &log, size)?;
        self.put_log(id, &log, None)
    }

    /// Whether the log holds these very events. What is stored was encoded as the step's events were, so equal events
    /// are equal bytes; the epoch is among them.
    fn holds(&self, id: &SessionId, log: &Log, step: &Step) -> Result<bool, Halt> {
        if step.events.is_empty() || step.last().seq > log.last.seq {
            return Ok(false);
        }
        for (nth, event) in (1..).zip(&*step.events) {
            match self.events.get((id.as_str(), step.seq_of(nth).get()))? {
                Some(stored) if stored.value() == event.as_slice() => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Returns the bytes of the history, of which there were `bytes`.
    fn change_history(&mut self, id: &SessionId, change: &HistoryStep, mut bytes: u64) -> Result<u64, Halt> {
        let key = id.as_str();
        let all = (key, 0)..=(key, u64::MAX);
        self.touched.anything = true;
        let messages = self.history.open()?;
        match change {
            HistoryStep::Clear => {
                messages.retain_in(all, |_, _| false)?;
                bytes = 0;
            }
            HistoryStep::Slide { append, drop_front } => {
                let last = messages.range(all.clone())?.next_back().transpose()?;
                let next = last.map_or(0, |(key, _)| key.value().1 + 1);
                for (position, message) in (next..).zip(append) {
                    messages.insert((key, position), message.as_slice())?;
                    bytes += message.len() as u64;
                }
                for dropped in messages.extract_from_if(all, |_, _| true)?.take(*drop_front) {
                    bytes = bytes.saturating_sub(dropped?.1.value().len() as u64);
                }
            }
        }
        Ok(bytes)
    }
}

fn apply(record: &mut SessionRecord, change: &RecordChange) {
    let RecordChange { last_active_at, sandbox, workspace, checkpoint, busy, model, own_key, title } = change;
    if let Some(at) = last_active_at {
        record.last_active_at = record.last_active_at.max(*at);
    }
    if let Some(sandbox) = sandbox {
        record.sandbox.clone_from(sandbox);
    }
    if let Some(workspace) = workspace {
        record.workspace = Some(workspace.clone());
    }
    if let Some((state, seq)) = checkpoint {
        record.state = state.clone();
        record.checkpoint = *seq;
    }
    if let Some(busy) = busy {
        record.busy = *busy;
    }
    if let Some(model) = model {
        record.model = Some(model.clone());
    }
    if let Some(own_key) = own_key {
        record.own_key = *own_key;
    }
    if record.title.is_none() {
        record.title.clone_from(title);
    }
}
