//! From the vendor's events to the port's (<https://platform.claude.com/docs/en/build-with-claude/streaming>).
//!
//! Fields that are missing, and events and blocks that nobody knows yet, are no errors: what cannot be understood is
//! carried back unread. Only an answer that came to its `message_stop` is complete.

mod block;

use crate::{
    error::{self, Failure},
    replay,
};
use block::Block;
use lockkeeper_domain::{StopReason, Usage};
use lockkeeper_ports::{Completion, LlmError, ModelEvent, ProposedCall};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, VecDeque};

/// What has been said of an answer so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decoder {
    model: String,
    /// How often a paused turn may still go on.
    continuations: u32,
    /// The blocks from before the last pause, and what they cost.
    before: Vec<Value>,
    paid: Usage,
    blocks: BTreeMap<u64, Block>,
    text: String,
    reasoning: String,
    usage: Map<String, Value>,
    stop: Option<String>,
    /// The vendor's words about why it stopped.
    words: Option<String>,
    paused: bool,
    completed: bool,
}

impl Decoder {
    /// The beginning of an answer, which may go on after a pause so often.
    pub(crate) fn new(model: String, continuations: u32) -> Self {
        Self { model, continuations, ..Self::default() }
    }

    /// Whether the vendor paused the turn, and wants to go on with what it said so far.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether nothing of this body is of interest any more.
    pub(crate) fn is_over(&self) -> bool {
        self.completed || self.paused
    }

    /// The decoder for the rest of a paused turn.
    pub(crate) fn continued(&self) -> Self {
        let blocks = self.blocks.values().cloned().map(Block::into_value).filter(replay::is_accepted);
        let mut paid = self.paid;
        paid += self.counted();
        Self {
            model: self.model.clone(),
            continuations: self.continuations.saturating_sub(1),
            before: self.before.iter().cloned().chain(blocks).collect(),
            paid,
            text: self.text.clone(),
            reasoning: self.reasoning.clone(),
            ..Self::default()
        }
    }

    /// What was said before the pause.
    pub(crate) fn blocks(&self) -> &[Value] {
        &self.before
    }

    /// Takes the data of one event of a stream.
    pub(crate) fn event(&mut self, data: &str, out: &mut VecDeque<ModelEvent>) -> Result<(), Failure> {
        if self.is_over() {
            return Ok(());
        }
        let event: Value = serde_json::from_str(data).map_err(|e| unreadable(&e))?;
        match string(&event, "type") {
            "message_start" => self.merge_usage(event.get("message").and_then(|m| m.get("usage"))),
            "content_block_start" => self.open(&event, out),
            "content_block_delta" => self.extend(&event, out),
            "content_block_stop" => self.close(&event),
            "message_delta" => self.message_delta(&event),
            "message_stop" => self.complete(out)?,
            "error" => return Err(error::of_event(&event)),
            _ if event.get("error").is_some_and(Value::is_object) => return Err(error::of_event(&event)),
            _ => {}
        }
        Ok(())
    }

    /// Takes a message that came in one piece.
    pub(crate) fn whole(&mut self, body: &[u8], out: &mut VecDeque<ModelEvent>) -> Result<(), Failure> {
        let message: Value = serde_json::from_slice(body).map_err(|e| unreadable(&e))?;
        if message.get("error").is_some_and(Value::is_object) {
            return Err(error::of_event(&message));
        }
        let Some(blocks) = message.get("content").and_then(Value::as_array) else {
            return Err(LlmError::BadResponse("the answer is no message".to_owned()).into());
        };
        for (index, block) in (0..).zip(blocks) {
            self.put(index, Block::whole(block), out);
        }
        self.merge_usage(message.get("usage"));
        self.stopped(&message);
        self.complete(out)
    }

    /// The body ended.
    pub(crate) fn end(&self) -> Result<(), Failure> {
        if self.is_over() {
            return Ok(());
        }
        Err(LlmError::Cut("it ended before the message did".to_owned()).into())
    }

    fn open(&mut self, event: &Value, out: &mut VecDeque<ModelEvent>) {
        let index = index(event).unwrap_or_else(|| self.last().map_or(0, |last| last.saturating_add(1)));
        if let Some(block) = event.get("content_block") {
            self.put(index, Block::begun(block), out);
        }
    }

    fn put(&mut self, index: u64, block: Block, out: &mut VecDeque<ModelEvent>) {
        let (text, reasoning) = (block.string("text").to_owned(), block.string("thinking").to_owned());
        match block.kind() {
            "text" => self.say(&text, out),
            "thinking" => self.reason(&reasoning, out),
            _ => {}
        }
        self.blocks.insert(index, block);
    }

    fn extend(&mut self, event: &Value, out: &mut VecDeque<ModelEvent>) {
        let Some(delta) = event.get("delta") else { return };
        let index = index(event).or_else(|| self.last()).unwrap_or(0);
        let block = self.blocks.entry(index).or_insert_with(|| Block::implied(string(delta, "type")));
        block.extend(delta);
        match string(delta, "type") {
            "text_delta" => self.say(string(delta, "text"), out),
            "thinking_delta" => self.reason(string(delta, "thinking"), out),
            _ => {}
        }
    }

    fn close(&mut self, event: &Value) {
        let index = index(event).or_else(|| self.last());
        if let Some(block) = index.and_then(|index| self.blocks.get_mut(&index)) {
            block.close();
        }
    }

    fn message_delta(&mut self, event: &Value) {
        self.merge_usage(event.get("usage"));
        if let Some(delta) = event.get("delta") {
            self.stopped(delta);
        }
    }

    fn stopped(&mut self, message: &Value) {
        if let Some(stop) = message.get("stop_reason").and_then(Value::as_str).filter(|stop| !stop.is_empty()) {
            self.stop = Some(stop.to_owned());
        }
        let details = message.get("stop_details").unwrap_or(&Value::Null);
        self.words = match (string(details, "explanation"), string(details, "category")) {
            ("", "") => self.words.take(),
            ("", category) => Some(format!("The request was refused (category: {category}).")),
            (explanation, _) => Some(explanation.to_owned()),
        };
    }

    fn say(&mut self, text: &str, out: &mut VecDeque<ModelEvent>) {
        if !text.is_empty() {
            self.text.push_str(text);
            out.push_back(ModelEvent::Text(text.to_owned()));
        }
    }

    fn reason(&mut self, text: &str, out: &mut VecDeque<ModelEvent>) {
        if !text.is_empty() {
            self.reasoning.push_str(text);
            out.push_back(ModelEvent::Reasoning(text.to_owned()));
        }
    }

    fn last(&self) -> Option<u64> {
        self.blocks.last_key_value().map(|(index, _)| *index)
    }

    /// The counts are cumulative: the last word on each holds.
    fn merge_usage(&mut self, usage: Option<&Value>) {
        let counts = usage.and_then(Value::as_object).into_iter().flatten().filter(|(_, count)| !count.is_null());
        self.usage.extend(counts.map(|(name, count)| (name.clone(), count.clone())));
    }

    fn complete(&mut self, out: &mut VecDeque<ModelEvent>) -> Result<(), Failure> {
        if self.wants_to_go_on() {
            self.paused = true;
            return Ok(());
        }
        self.completed = true;
        let called = self.blocks.values().any(Block::is_call);
        let unfinished = self.blocks.values().any(|block| block.is_call() && !block.is_closed());
        if unfinished || (called && self.stop.is_none()) {
            return Err(LlmError::Cut("the message ended within a call".to_owned()).into());
        }
        let (stop, whole) = meaning(self.stop.as_deref(), called);
        match stop {
            StopReason::Refusal => self.explain(out),
            StopReason::Unfinished => {
                let reason = self.stop.clone().unwrap_or_default();
                let calls = if called { " Its calls were not run." } else { "" };
                let more = self.words.take().map(|words| format!(" {words}")).unwrap_or_default();
                self.words = Some(format!("(The provider stopped the answer: {reason}.{more}{calls})"));
                self.explain(out);
            }
            _ => {}
        }
        let blocks: Vec<Block> = std::mem::take(&mut self.blocks).into_values().collect();
        // The last call of an answer that was cut short may lack some of its arguments, and nobody can tell.
        let blocks = if whole { blocks } else { blocks.into_iter().filter(|block| !block.is_call()).collect() };
        let mut usage = self.paid;
        usage += self.counted();
        let calls = blocks.iter().filter(|block| block.is_call()).map(call).collect();
        let blocks = blocks.into_iter().map(Block::into_value).filter(replay::is_accepted);
        let blocks = std::mem::take(&mut self.before).into_iter().chain(blocks).collect();
        out.push_back(ModelEvent::Completed(Completion {
            calls,
            text: std::mem::take(&mut self.text),
            reasoning: Some(std::mem::take(&mut self.reasoning)).filter(|text| !text.is_empty()),
            stop,
            usage,
            replay: replay::of(&self.model, blocks),
        }));
        Ok(())
    }

    /// A paused turn goes on by itself, unless it waits for us: for a call, or because it says nothing to go on from.
    fn wants_to_go_on(&self) -> bool {
        let is_call = self.blocks.values().any(Block::is_call);
        let is_block = |block: &Block| replay::is_accepted(&block.clone().into_value());
        self.stop.as_deref() == Some("pause_turn")
            && self.continuations > 0
            && !is_call
            && self.blocks.values().any(is_block)
    }

    /// Says why the vendor refused, in its own words.
    fn explain(&mut self, out: &mut VecDeque<ModelEvent>) {
        if let Some(words) = self.words.take() {
            let gap = if self.text.trim().is_empty() { "" } else { "\n\n" };
            self.say(&format!("{gap}{words}"), out);
        }
    }

    fn counted(&self) -> Usage {
        let count = |name: &str| self.usage.get(name).and_then(Value::as_u64).unwrap_or(0);
        let cached = count("cache_read_input_tokens");
        let details = self.usage.get("output_tokens_details");
        let input = [count("input_tokens"), count("cache_creation_input_tokens"), cached];
        Usage {
            input_tokens: input.into_iter().fold(0, u64::saturating_add),
            output_tokens: count("output_tokens"),
            cached_input_tokens: cached,
            reasoning_tokens: details.and_then(|d| d.get("thinking_tokens")).and_then(Value::as_u64).unwrap_or(0),
        }
    }
}

fn call(block: &Block) -> ProposedCall {
    let id = block.string("id");
    ProposedCall {
        provider_id: (!id.is_empty()).then(|| id.to_owned()),
        name: block.string("name").to_owned(),
        args: block.args(),
    }
}

/// Why the model stopped, and whether its calls are whole. A reason that nobody knows may well be a limit.
fn meaning(stop: Option<&str>, called: bool) -> (StopReason, bool) {
    match stop {
        // A turn that was paused more often than it may go on, and lacks its end.
        Some("pause_turn") if !called => (StopReason::MaxTokens, true),
        None | Some("end_turn" | "tool_use" | "pause_turn") => (StopReason::EndTurn, true),
        Some("stop_sequence") => (StopReason::StopSequence, true),
        Some("max_tokens" | "model_context_window_exceeded") => (StopReason::MaxTokens, false),
        Some("refusal") => (StopReason::Refusal, false),
        Some(_) => (StopReason::Unfinished, false),
    }
}

fn index(event: &Value) -> Option<u64> {
    event.get("index").and_then(Value::as_u64)
}

fn string<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn unreadable(error: &serde_json::Error) -> Failure {
    // The text of the error says where, and never what.
    LlmError::BadResponse(format!("it is not JSON: {error}")).into()
}
