//! What the demo reads out of a request: the question, and the steps that were taken for it.

use lockkeeper_domain::{Attachment, CallResult, Message, ToolCall, ToolDefinition, ToolResult};
use lockkeeper_ports::{GenerateRequest, LlmError};

/// A question and what was done for it so far.
pub(crate) struct Turn<'a> {
    /// The last user's message; none when the window has lost it.
    pub(crate) question: Option<&'a str>,
    pub(crate) attachments: &'a [Attachment],
    pub(crate) tools: &'a [ToolDefinition],
    steps: Vec<Vec<Done<'a>>>,
}

/// A call and what it came to.
#[derive(Clone, Copy)]
pub(crate) struct Done<'a> {
    pub(crate) call: &'a ToolCall,
    pub(crate) result: &'a ToolResult,
}

impl<'a> Turn<'a> {
    /// The turn that `messages` end with, or what a vendor would refuse about them.
    pub(crate) fn of(messages: &'a [Message], tools: &'a [ToolDefinition]) -> Result<Self, LlmError> {
        let mut turn = Self { question: None, attachments: &[], tools, steps: Vec::new() };
        let mut open: Option<&[ToolCall]> = None;
        for (index, message) in messages.iter().enumerate() {
            let refuse = |why: &str| Err(LlmError::BadRequest(format!("messages[{index}]: {why}")));
            match (message, open.take()) {
                (Message::Tool { results, .. }, Some(calls)) => match paired(calls, results) {
                    Some(step) => turn.steps.push(step),
                    None => return refuse("the results are not those of the calls before them"),
                },
                (Message::Tool { .. }, None) => return refuse("results without calls"),
                (_, Some(_)) => return refuse("the calls before it have no results"),
                (Message::User { message, .. }, None) => {
                    turn.question = Some(&message.text);
                    turn.attachments = &message.attachments;
                    turn.steps.clear();
                }
                (Message::Assistant { message, .. }, None) => {
                    open = Some(&message.calls[..]).filter(|calls| !calls.is_empty());
                }
            }
        }
        match messages.last() {
            None => Err(LlmError::BadRequest("there are no messages".to_owned())),
            Some(Message::Assistant { .. }) => {
                Err(LlmError::BadRequest("the last message is the assistant's own".to_owned()))
            }
            Some(_) => Ok(turn),
        }
    }

    /// Which step of the turn is to be answered, from 0.
    pub(crate) fn step(&self) -> usize {
        self.steps.len()
    }

    /// The calls of the newest step.
    pub(crate) fn newest(&self) -> &[Done<'a>] {
        self.steps.last().map_or(&[], Vec::as_slice)
    }

    /// The calls of all steps.
    pub(crate) fn done(&self) -> impl Iterator<Item = Done<'a>> {
        self.steps.iter().flatten().copied()
    }
}

/// About how many tokens a request has, by the rule of [`Message::estimated_tokens`].
pub(crate) fn input_tokens(request: &GenerateRequest) -> u64 {
    let tool = |t: &ToolDefinition| t.name.as_str().len() + t.description.len() + t.input_schema.to_string().len();
    let tools: usize = request.tools.iter().map(tool).sum();
    let messages: usize = request.messages.iter().map(Message::estimated_tokens).sum();
    let total = request.system.len().div_ceil(4) + tools.div_ceil(4) + messages;
    u64::try_from(total).unwrap_or(u64::MAX)
}

fn paired<'a>(calls: &'a [ToolCall], results: &'a [CallResult]) -> Option<Vec<Done<'a>>> {
    let same = calls.len() == results.len() && std::iter::zip(calls, results).all(|(c, r)| c.id == r.call);
    let done = |(call, result): (&'a ToolCall, &'a CallResult)| Done { call, result: &result.result };
    same.then(|| std::iter::zip(calls, results).map(done).collect())
}
