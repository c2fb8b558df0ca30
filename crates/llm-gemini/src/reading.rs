//! An answer, read from the bytes of its body.

use crate::{
    Config,
    decode::Decoder,
    error::{self, Failure},
};
use lockkeeper_ports::{LlmError, ModelEvent};
use lockkeeper_sse::{Limits, Reader};
use std::collections::VecDeque;

/// What an answer says, read from the bytes of its body however they are cut. It knows no connection and no time, so a
/// recording can be read with it as well.
#[derive(Clone, Debug)]
pub struct Reading {
    form: Form,
    decoder: Decoder,
}

/// The form that a body has.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// A stream of events.
    Events(Reader),
    /// One answer, from a gateway that does not stream: the bytes so far, and the most that there may be.
    Whole(Vec<u8>, usize),
}

impl Form {
    pub(crate) fn events(config: &Config) -> Self {
        let limits = Limits { event_bytes: config.max_event_bytes, body_bytes: config.max_answer_bytes };
        Self::Events(Reader::new(limits))
    }

    pub(crate) fn whole(config: &Config) -> Self {
        Self::Whole(Vec::new(), config.max_answer_bytes)
    }
}

impl Reading {
    /// The beginning of a stream that answers for `model`, over the API and within the limits of `config`.
    pub fn new(config: &Config, model: &str) -> Self {
        Self::of(Form::events(config), Decoder::new(config.api, model.to_owned()))
    }

    /// Takes more of the body, and adds what it says now to `events`.
    ///
    /// # Errors
    /// When the answer cannot be understood, or is an error. The reading is of no more use then.
    pub fn push(&mut self, bytes: &[u8], events: &mut VecDeque<ModelEvent>) -> Result<(), LlmError> {
        self.take(bytes, events).map_err(|failure| failure.error)
    }

    /// The body ended. Adds what that says to `events`.
    ///
    /// # Errors
    /// [`LlmError::Cut`] when the answer had not ended.
    pub fn end(&mut self, events: &mut VecDeque<ModelEvent>) -> Result<(), LlmError> {
        self.finish(events).map_err(|failure| failure.error)
    }

    pub(crate) fn of(form: Form, decoder: Decoder) -> Self {
        Self { form, decoder }
    }

    /// As [`Self::push`].
    pub(crate) fn take(&mut self, bytes: &[u8], out: &mut VecDeque<ModelEvent>) -> Result<(), Failure> {
        match &mut self.form {
            Form::Events(reader) => {
                let mut events = Vec::new();
                let outcome = reader.push(bytes, &mut events);
                events.iter().try_for_each(|data| self.decoder.event(data, out))?;
                outcome.map_err(error::of_stream).or_else(|failure| self.unless_over(failure))
            }
            Form::Whole(body, most) if body.len().saturating_add(bytes.len()) > *most => {
                Err(LlmError::BadResponse(format!("an answer is larger than {most} bytes")).into())
            }
            Form::Whole(body, _) => {
                body.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// As [`Self::end`].
    pub(crate) fn finish(&mut self, out: &mut VecDeque<ModelEvent>) -> Result<(), Failure> {
        match &self.form {
            Form::Events(reader) => {
                reader.end().map_err(error::of_stream).or_else(|failure| self.unless_over(failure))?;
                self.decoder.end(out)
            }
            Form::Whole(body, _) => {
                self.decoder.whole(body, out)?;
                self.decoder.end(out)
            }
        }
    }

    /// What follows the end of the answer is nobody's concern.
    fn unless_over(&self, failure: Failure) -> Result<(), Failure> {
        if self.decoder.is_over() { Ok(()) } else { Err(failure) }
    }
}
