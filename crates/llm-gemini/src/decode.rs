//! From the vendor's events to the port's.
//!
//! Fields that are missing, and events and parts that nobody knows yet, are no errors: what cannot be understood is
//! carried back unread. Only an answer that says how it finished, and whose body then ended, is complete.

mod generate;
mod interactions;
mod partial;

use crate::{
    Api,
    error::{self, Failure},
};
use lockkeeper_ports::{LlmError, ModelEvent};
use serde_json::Value;
use std::collections::VecDeque;

/// What has been said of an answer so far, in the form of one of the vendor's APIs.
#[derive(Clone, Debug)]
pub(crate) enum Decoder {
    Generate(Box<generate::Answer>),
    Interactions(interactions::Answer),
}

impl Decoder {
    pub(crate) fn new(api: Api, model: String) -> Self {
        match api {
            Api::GenerateContent => Self::Generate(Box::new(generate::Answer::new(model))),
            Api::Interactions => Self::Interactions(interactions::Answer::new(model)),
        }
    }

    /// Takes the data of one event of a stream.
    pub(crate) fn event(&mut self, data: &str, out: &mut VecDeque<ModelEvent>) -> Result<(), Failure> {
        // The end as compatible servers of another vendor's API mark it.
        if self.is_over() || data.trim() == "[DONE]" {
            return Ok(());
        }
        self.take(&parsed(data.as_bytes())?, out)
    }

    /// Takes an answer that came in one piece: what would be an event, or an array of them.
    pub(crate) fn whole(&mut self, body: &[u8], out: &mut VecDeque<ModelEvent>) -> Result<(), Failure> {
        match parsed(body)? {
            Value::Array(events) => events.iter().try_for_each(|event| self.take(event, out)),
            answer => match self {
                Self::Generate(_) => self.take(&answer, out),
                Self::Interactions(whole) => {
                    refuse_error(&answer)?;
                    whole.whole(&answer, out)
                }
            },
        }
    }

    /// Whether nothing of the body is of interest any more.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Generate(_) => false,
            Self::Interactions(answer) => answer.is_over(),
        }
    }

    /// The body ended.
    pub(crate) fn end(&mut self, out: &mut VecDeque<ModelEvent>) -> Result<(), Failure> {
        match self {
            Self::Generate(answer) => answer.end(out),
            Self::Interactions(answer) => answer.end(),
        }
    }

    fn take(&mut self, event: &Value, out: &mut VecDeque<ModelEvent>) -> Result<(), Failure> {
        refuse_error(event)?;
        match self {
            Self::Generate(answer) => {
                answer.chunk(event, out);
                Ok(())
            }
            Self::Interactions(answer) => answer.event(event, out),
        }
    }
}

/// Text and reasoning as they are streamed, and all of them together.
#[derive(Clone, Debug, Default)]
struct Said {
    text: String,
    reasoning: String,
}

impl Said {
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
}

/// The words about an answer that was not finished.
fn unfinished(reason: &str, words: &str, called: bool) -> String {
    let words = words.trim();
    let more = if words.is_empty() { String::new() } else { format!(" {words}") };
    let calls = if called { " Its calls were not run." } else { "" };
    format!("(The provider stopped the answer before it was finished: {reason}.{more}{calls})")
}

fn parsed(data: &[u8]) -> Result<Value, Failure> {
    // The text of the error says where, and never what.
    serde_json::from_slice(data).map_err(|e| LlmError::BadResponse(format!("it is not JSON: {e}")).into())
}

fn refuse_error(event: &Value) -> Result<(), Failure> {
    match event.get("error") {
        Some(Value::Object(_) | Value::String(_)) => Err(error::of_event(event)),
        _ => Ok(()),
    }
}

fn string<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn cut(where_: &str) -> Failure {
    LlmError::Cut(format!("it ended {where_}")).into()
}
