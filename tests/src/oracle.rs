use crate::{Event, EventId};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Judges a session's log by the promises that Lockkeeper makes. It reads nothing but what clients saw.
#[derive(Debug, Default)]
pub struct Oracle {
    log: BTreeMap<u64, Event>,
    acknowledged_messages: HashSet<String>,
    /// The answers for each call. There may be several where the approval was void because the workspace was lost.
    acknowledged_answers: HashMap<String, BTreeSet<bool>>,
    broken: Vec<String>,
}

impl Oracle {
    /// The server acknowledged a message with this `clientMessageId`.
    pub fn message_acknowledged(&mut self, id: &str) {
        self.acknowledged_messages.insert(id.to_owned());
    }

    /// The server acknowledged this answer for a call.
    pub fn answer_acknowledged(&mut self, call: &str, approved: bool) {
        self.acknowledged_answers.entry(call.to_owned()).or_default().insert(approved);
    }

    /// A client that had seen everything up to `after` received these events on one connection. None may be missing, none
    /// may come twice, and none may differ from what another client saw in its place.
    pub fn saw(&mut self, after: Option<EventId>, events: &[Event]) {
        let mut last = after.map(|id| id.seq);
        for event in events {
            let Some(id) = event.id() else { continue };
            if let Some(last) = last
                && id.seq != last + 1
            {
                let what = if id.seq <= last { "came again" } else { "came with a gap before it" };
                self.broken.push(format!("event {id} ({}) {what}, after {last}", event.name));
            }
            last = Some(id.seq);
            self.keep(id, event);
        }
    }

    /// Takes in what another client of the same session saw and was told.
    pub fn join(&mut self, other: &Self) {
        self.broken.extend_from_slice(&other.broken);
        self.acknowledged_messages.extend(other.acknowledged_messages.iter().cloned());
        for (call, answers) in &other.acknowledged_answers {
            self.acknowledged_answers.entry(call.clone()).or_default().extend(answers);
        }
        for event in other.log() {
            self.keep(event.id().expect("only logged events are kept"), event);
        }
    }

    /// How many events of the log are known.
    pub fn len(&self) -> usize {
        self.log.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    /// The known log, in order.
    pub fn log(&self) -> impl Iterator<Item = &Event> {
        self.log.values()
    }

    /// Everything that was promised and not kept; empty when all was. The log must be complete and at rest.
    pub fn verdict(&self) -> Vec<String> {
        let mut broken = self.broken.clone();
        self.judge_density(&mut broken);
        self.judge_messages(&mut broken);
        self.judge_calls(&mut broken);
        self.judge_turns(&mut broken);
        broken
    }

    fn keep(&mut self, id: EventId, event: &Event) {
        let known = self.log.entry(id.seq).or_insert_with(|| event.clone());
        if known != event {
            self.broken.push(format!("event {id} is {known:?} to one client and {event:?} to another"));
        }
    }

    fn judge_density(&self, broken: &mut Vec<String>) {
        let mut epoch = 0;
        for (place, (seq, event)) in self.log.iter().enumerate() {
            if *seq != place as u64 + 1 {
                broken.push(format!("the log lacks event {}", place + 1));
                return;
            }
            let id = event.id().expect("only logged events are kept");
            if id.epoch < epoch {
                broken.push(format!("event {id} was written by an owner who had lost the session"));
            }
            epoch = id.epoch;
        }
    }

    fn judge_messages(&self, broken: &mut Vec<String>) {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for event in self.named("user:message") {
            if let Some(id) = event.payload["clientMessageId"].as_str() {
                *seen.entry(id).or_default() += 1;
            }
        }
        let twice = seen.iter().filter(|(_, times)| **times > 1);
        broken.extend(twice.map(|(id, times)| format!("message {id} is in the log {times} times")));
        let lost = self.acknowledged_messages.iter().filter(|id| !seen.contains_key(id.as_str()));
        broken.extend(lost.map(|id| format!("message {id} was acknowledged and is lost")));
    }

    fn judge_calls(&self, broken: &mut Vec<String>) {
        let asked = self.named("tool:calls").flat_map(|event| event.payload.as_array().into_iter().flatten());
        let asked: HashSet<&str> = asked.filter_map(|call| call["callId"].as_str()).collect();
        let started = self.per_call(&["tool:started"]);
        let settled = self.per_call(&["tool:output", "tool:error"]);
        let resolved = self.per_call(&["tool:approval_resolved"]);
        for call in &asked {
            match settled.get(call).map_or(0, Vec::len) {
                1 => {}
                times => broken.push(format!("call {call} has {times} results")),
            }
        }
        // A call whose approval was voided because its workspace was lost was not sent, and may start once more.
        let voided = |call: &str| {
            let voids = |event: &&&Event| event.payload["decision"] == "void";
            resolved.get(call).map_or(0, |events| events.iter().filter(voids).count())
        };
        let repeated = started.iter().filter(|(call, events)| events.len() > 1 + voided(call));
        broken.extend(repeated.map(|(call, events)| format!("call {call} was started {} times", events.len())));
        let strange = settled.keys().chain(started.keys()).filter(|call| !asked.contains(*call));
        broken.extend(strange.map(|call| format!("call {call} was never asked for")));
        let flipped = resolved.iter().filter(|(call, events)| events.len() > 1 + 2 * voided(call));
        broken.extend(flipped.map(|(call, events)| format!("call {call} was decided {} times", events.len())));
        let answers = self.acknowledged_answers.iter();
        for (call, approved) in
            answers.flat_map(|(call, answers)| answers.iter().map(move |approved| (call, *approved)))
        {
            let events = resolved.get(call.as_str()).into_iter().flatten();
            let decisions: Vec<_> = events.filter_map(|event| event.payload["decision"].as_str()).collect();
            let wanted = if approved { "approved" } else { "denied" };
            if !decisions.contains(&wanted) {
                broken.push(format!("the answer {wanted} for {call} was acknowledged; the log says {decisions:?}"));
            }
            if !approved && started.contains_key(call.as_str()) {
                broken.push(format!("call {call} was denied and ran"));
            }
        }
        let unasked = started.keys().filter(|call| !resolved.contains_key(*call) && self.waited(call));
        broken.extend(unasked.map(|call| format!("call {call} ran without its approval")));
    }

    fn judge_turns(&self, broken: &mut Vec<String>) {
        let mut ends: HashMap<u64, usize> = HashMap::new();
        for event in self.named("turn:completed") {
            *ends.entry(event.turn().unwrap_or_default()).or_default() += 1;
        }
        for event in self.named("user:message") {
            let turn = event.turn().unwrap_or_default();
            match ends.get(&turn).copied().unwrap_or_default() {
                1 => {}
                times => broken.push(format!("turn {turn} ended {times} times")),
            }
        }
    }

    fn waited(&self, call: &str) -> bool {
        self.named("tool:approval_required").any(|event| event.call() == Some(call))
    }

    fn named(&self, name: &'static str) -> impl Iterator<Item = &Event> {
        self.log.values().filter(move |event| event.name == name)
    }

    fn per_call(&self, names: &[&str]) -> HashMap<&str, Vec<&Event>> {
        let mut found: HashMap<&str, Vec<&Event>> = HashMap::new();
        for event in self.log.values().filter(|event| names.contains(&event.name.as_str())) {
            let call = event.meta["callId"].as_str().or_else(|| event.payload["callId"].as_str());
            found.entry(call.unwrap_or_default()).or_default().push(event);
        }
        found
    }
}

#[cfg(test)]
mod tests;
