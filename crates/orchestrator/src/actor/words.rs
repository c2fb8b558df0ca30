//! A model's own words, cleaned piece by piece before they are stored and sent.
//!
//! What a provider wants back verbatim (`replay`) and the arguments of calls stay as they are: the former is shown to nobody, and
//! what runs must be what was shown.

use crate::output::Output;
use lockkeeper_ports::{Completion, ModelEvent, Notice};
use lockkeeper_sanitizer::Stream;
use serde_json::Value;
use std::sync::Arc;

/// One answer of a model, as it arrives.
pub(super) struct Words {
    output: Arc<Output>,
    text: Track,
    reasoning: Track,
}

/// One kind of words.
struct Track {
    stream: Stream,
    raw: String,
    clean: String,
}

impl Track {
    fn new(output: &Output) -> Self {
        Self { stream: output.stream(), raw: String::new(), clean: String::new() }
    }

    fn push(&mut self, piece: &str) -> String {
        self.raw.push_str(piece);
        let clean = self.stream.push(piece);
        self.clean.push_str(&clean);
        clean
    }

    fn finish(&mut self) -> String {
        let rest = self.stream.finish();
        self.clean.push_str(&rest);
        rest
    }

    fn stall(&mut self) -> String {
        let word = self.stream.stall();
        self.clean.push_str(&word);
        word
    }

    /// The whole of it: what was shown, unless the provider streamed something else.
    fn whole(&self, whole: &str, output: &Output) -> String {
        if whole == self.raw {
            return self.clean.clone();
        }
        let mut track = Self::new(output);
        track.push(whole);
        track.finish();
        track.clean
    }
}

impl Words {
    pub(super) fn new(output: Arc<Output>) -> Self {
        Self { text: Track::new(&output), reasoning: Track::new(&output), output }
    }

    /// Cleans the next event. What of it may be passed on comes first to last; a piece that is held back is none.
    pub(super) fn pass(&mut self, event: ModelEvent) -> Vec<ModelEvent> {
        match event {
            ModelEvent::Text(piece) => some(self.text.push(&piece), ModelEvent::Text),
            ModelEvent::Reasoning(piece) => some(self.reasoning.push(&piece), ModelEvent::Reasoning),
            ModelEvent::Notice(Notice::Adjusted { text }) => {
                vec![ModelEvent::Notice(Notice::Adjusted { text: self.output.text(&text) })]
            }
            ModelEvent::Notice(Notice::ToolsLeftOut { tools, reason }) => {
                let reason = self.output.text(&reason);
                vec![ModelEvent::Notice(Notice::ToolsLeftOut { tools, reason })]
            }
            ModelEvent::Completed(completion) => {
                let mut events = self.finish();
                events.push(ModelEvent::Completed(self.complete(completion)));
                events
            }
        }
    }

    /// Whether a short word is held back.
    pub(super) fn holds_word(&self) -> bool {
        self.text.stream.holds_word() || self.reasoning.stream.holds_word()
    }

    /// Returns short words that were held back: nothing has come for a while.
    pub(super) fn stall(&mut self) -> Vec<ModelEvent> {
        let mut events = some(self.reasoning.stall(), ModelEvent::Reasoning);
        events.extend(some(self.text.stall(), ModelEvent::Text));
        events
    }

    /// Returns what was held back.
    pub(super) fn finish(&mut self) -> Vec<ModelEvent> {
        let mut events = some(self.reasoning.finish(), ModelEvent::Reasoning);
        events.extend(some(self.text.finish(), ModelEvent::Text));
        events
    }

    fn complete(&self, mut completion: Completion) -> Completion {
        completion.text = self.text.whole(&completion.text, &self.output);
        completion.reasoning = completion.reasoning.map(|words| self.reasoning.whole(&words, &self.output));
        for call in &mut completion.calls {
            call.name = self.output.text(&call.name);
            // Arguments that are no JSON never run: they are words.
            if let Value::String(words) = &call.args {
                call.args = Value::String(self.output.text(words));
            }
        }
        completion
    }
}

fn some(text: String, event: fn(String) -> ModelEvent) -> Vec<ModelEvent> {
    if text.is_empty() { Vec::new() } else { vec![event(text)] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_domain::{StopReason, Usage};
    use lockkeeper_ports::ProposedCall;
    use lockkeeper_sanitizer::Config;
    use serde_json::json;

    /// Covers: S2-6
    #[test]
    fn final_words_equal_the_pieces_and_hold_no_secret() {
        let mut words = Words::new(Arc::new(Output::new(&Config::default(), &[], &[])));
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let raw = format!("hi \u{1b}]52;c;AAAA\u{7} \u{202e}evil {token} done");
        let pieces = [&raw[..6], &raw[6..30], &raw[30..]];
        let mut events: Vec<_> =
            pieces.iter().flat_map(|piece| words.pass(ModelEvent::Text((*piece).to_owned()))).collect();
        let args = json!({"a": "\u{202e}"});
        let call = ProposedCall { provider_id: None, name: "t\u{200b}".to_owned(), args: args.clone() };
        let (stop, usage) = (StopReason::EndTurn, Usage::default());
        let completion =
            Completion { text: raw.clone(), reasoning: None, calls: vec![call], stop, usage, replay: None };
        events.extend(words.pass(ModelEvent::Completed(completion)));
        let mut said = String::new();
        for event in events {
            match event {
                ModelEvent::Text(piece) => said += &piece,
                ModelEvent::Reasoning(piece) => panic!("no reasoning was said: {piece}"),
                ModelEvent::Notice(notice) => panic!("nothing was left out: {notice:?}"),
                ModelEvent::Completed(completion) => {
                    assert_eq!(completion.text, said);
                    assert_eq!((completion.calls[0].name.as_str(), &completion.calls[0].args), ("t", &args));
                }
            }
        }
        assert!(said.starts_with("hi  \\u{202E}evil [REDACTED:github_token:") && said.ends_with("] done"), "{said}");
    }
}
