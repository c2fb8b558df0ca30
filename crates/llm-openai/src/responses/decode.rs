//! The events of a response's stream. Unknown ones are skipped, and nothing that should be there is relied on.

use super::items::{GAP, Items, part_of, reasoned_parts, spoken_parts};
use crate::{
    config::Api,
    failure::{Failure, Report, is_error_object},
    json::{count, list, text},
    speech::{Ending, Speech},
};
use lockkeeper_domain::{Replay, StopReason, Usage};
use lockkeeper_ports::{LlmError, ModelEvent};
use serde_json::{Value, json};

/// Turns events into what the port says.
#[derive(Debug)]
pub(crate) struct Decoder {
    model: String,
    items: Items,
    speech: Speech,
    refused: bool,
    ended: bool,
}

impl Decoder {
    /// For an answer of `model`.
    pub(crate) fn new(model: &str) -> Self {
        let (items, speech) = (Items::default(), Speech::default());
        Self { model: model.to_owned(), items, speech, refused: false, ended: false }
    }

    pub(crate) fn next_piece(&mut self) -> Option<ModelEvent> {
        self.speech.next_piece()
    }

    /// Takes an event. Nothing is said to one after the end.
    pub(crate) fn feed(&mut self, event: &Value) -> Result<(), Failure> {
        if self.ended {
            return Ok(());
        }
        match text(event, "/type") {
            "response.output_text.delta" => self.say(event),
            "response.refusal.delta" => {
                self.refused = true;
                self.say(event);
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => self.reason(event),
            "response.output_item.added" => self.items.begin(event),
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.items.add_arguments(event);
            }
            "response.function_call_arguments.done" | "response.custom_tool_call_input.done" => {
                self.items.end_arguments(event);
            }
            "response.output_item.done" => self.finish(event),
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                let status = text(event, "/type").trim_start_matches("response.");
                let nothing = json!({});
                self.end(event.get("response").unwrap_or(&nothing), status)?;
            }
            "error" => return Err(Report::of_json(event).into_failure()),
            "" if text(event, "/object") == "response" => self.end(event, "")?,
            "" if is_error_object(event) => return Err(Report::of_json(event).into_failure()),
            _ => {}
        }
        Ok(())
    }

    /// The stream is over.
    pub(crate) fn close(&mut self) -> Result<(), Failure> {
        if self.ended { Ok(()) } else { Err(Failure::cut("it ended before the response was complete")) }
    }

    fn say(&mut self, event: &Value) {
        let parts = &mut self.items.of(event).spoken;
        let is_first = parts.is_empty();
        let new = parts.add(part_of(event), text(event, "/delta"));
        self.speak(is_first, &new);
    }

    fn reason(&mut self, event: &Value) {
        let parts = &mut self.items.of(event).reasoned;
        let is_first = parts.is_empty();
        let new = parts.add(part_of(event), text(event, "/delta"));
        self.think(is_first, &new);
    }

    fn speak(&mut self, is_first: bool, piece: &str) {
        let gap = if is_first && self.speech.has_text() && !piece.is_empty() { GAP } else { "" };
        self.speech.say(&format!("{gap}{piece}"));
    }

    fn think(&mut self, is_first: bool, piece: &str) {
        let gap = if is_first && self.speech.has_reasoning() && !piece.is_empty() { GAP } else { "" };
        self.speech.reason(&format!("{gap}{piece}"));
    }

    /// Keeps the item, and says what of it was not streamed: some gateways forward only whole items.
    fn finish(&mut self, event: &Value) {
        let Some(item) = event.get("item") else { return };
        self.items.finish(event);
        let spoken = spoken_parts(item);
        self.refused |= spoken.iter().any(|(is_refusal, _)| *is_refusal);
        let said: Vec<&str> = spoken.into_iter().map(|(_, part)| part).collect();
        let slot = self.items.of(event);
        let (first_spoken, first_reasoned) = (slot.spoken.is_empty(), slot.reasoned.is_empty());
        let said = slot.spoken.missing(&said.join(GAP));
        let thought = slot.reasoned.missing(&reasoned_parts(item).join(GAP));
        self.think(first_reasoned, &thought);
        self.speak(first_spoken, &said);
    }

    fn end(&mut self, response: &Value, by_event: &str) -> Result<(), Failure> {
        let status = Some(text(response, "/status")).filter(|s| !s.is_empty()).unwrap_or(by_event);
        let incomplete = match (status, by_event) {
            ("failed", _) | (_, "failed") => {
                return Err(Report::of_json(response).into_failure());
            }
            ("completed", "completed" | "") => None,
            ("incomplete", _) | (_, "incomplete") => Some(text(response, "/incomplete_details/reason")),
            (status, _) => return Err(Failure::cut(format!("the response is {status}"))),
        };
        if !self.items.any_finished() {
            // A server that does not stream, or a gateway that forwards only the ends.
            for (index, item) in list(response, "/output").iter().enumerate() {
                self.finish(&json!({"output_index": index, "item": item}));
            }
        }
        let stop = match incomplete {
            None if self.refused => StopReason::Refusal,
            None if self.items.has_open_call() => {
                return Err(Failure::bad_response("a call that began did not end"));
            }
            None => StopReason::EndTurn,
            Some("max_output_tokens" | "max_tokens") => StopReason::MaxTokens,
            Some("content_filter") => StopReason::Safety,
            Some("") => return Err(Failure::fatal(LlmError::Cut("incomplete: ".to_owned()))),
            Some(reason) => {
                self.speech.explain(&format!("(The provider stopped the answer before it was finished: {reason}.)"));
                StopReason::Unfinished
            }
        };
        let (output, calls) = std::mem::take(&mut self.items).into_output();
        let replay = (!output.is_empty()).then(|| Replay {
            provider: crate::NAME.to_owned(),
            model: self.model.clone(),
            api: Api::Responses.name().to_owned(),
            raw: Value::Array(output),
        });
        self.ended = true;
        self.speech.complete(Ending { calls, stop, usage: usage(response), replay });
        Ok(())
    }
}

fn usage(response: &Value) -> Usage {
    Usage {
        input_tokens: count(response, "/usage/input_tokens"),
        output_tokens: count(response, "/usage/output_tokens"),
        cached_input_tokens: count(response, "/usage/input_tokens_details/cached_tokens"),
        reasoning_tokens: count(response, "/usage/output_tokens_details/reasoning_tokens"),
    }
}
