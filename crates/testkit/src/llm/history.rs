//! Requests for a provider, built as a conversation goes.

use lockkeeper_domain::{
    Annotations, AssistantMessage, Attachment, CallId, CallResult, Message, PrincipalId, Replay, ServerName, SessionId,
    Timestamp, ToolCall, ToolDefinition, ToolName, ToolResult, TurnId, UserMessage,
};
use lockkeeper_ports::{Completion, GenerateRequest};
use serde_json::{Value, json};

const AT: Timestamp = crate::clock::TokioClock::START;

/// A conversation. Everything that it says keeps the rules of a history: a step's calls come with all their results.
#[derive(Clone, Debug, Default)]
pub struct History {
    turn: TurnId,
    step: u32,
    messages: Vec<Message>,
    tools: Vec<ToolDefinition>,
}

impl History {
    /// A conversation that a user opens with `text`.
    pub fn asked(text: impl Into<String>) -> Self {
        Self::default().user(text)
    }

    /// The user says this, which opens a turn.
    #[must_use]
    pub fn user(self, text: impl Into<String>) -> Self {
        self.user_with(text, [])
    }

    /// The user says this and attaches files.
    #[must_use]
    pub fn user_with(mut self, text: impl Into<String>, attachments: impl IntoIterator<Item = Attachment>) -> Self {
        (self.turn, self.step) = (self.turn.next(), 0);
        let message = UserMessage {
            text: text.into(),
            attachments: attachments.into_iter().collect(),
            client_message_id: None,
            by: PrincipalId::parse("tester").expect("a valid id"),
        };
        self.messages.push(Message::User { turn: self.turn, at: AT, message });
        self
    }

    /// The model answers.
    #[must_use]
    pub fn answer(self, text: impl Into<String>) -> Self {
        let message = AssistantMessage { text: text.into(), ..AssistantMessage::default() };
        self.assistant(message)
    }

    /// The model said this and asked for these calls, which came to these results.
    #[must_use]
    pub fn step<'a>(
        self,
        text: impl Into<String>,
        calls: impl IntoIterator<Item = (&'a str, Value, ToolResult)>,
    ) -> Self {
        let (names, results): (Vec<_>, Vec<_>) =
            calls.into_iter().map(|(name, args, result)| ((None, name.to_owned(), args), result)).unzip();
        self.called(text.into(), None, names, results)
    }

    /// The model said what `completion` holds, and its calls came to these results, one for each.
    #[must_use]
    pub fn completed(self, completion: Completion, results: impl IntoIterator<Item = ToolResult>) -> Self {
        let calls: Vec<_> = completion.calls.into_iter().map(|c| (c.provider_id, c.name, c.args)).collect();
        self.called(completion.text, completion.replay, calls, results.into_iter().collect())
    }

    /// The model may use this tool.
    #[must_use]
    pub fn with_tool(mut self, tool: ToolDefinition) -> Self {
        self.tools.push(tool);
        self
    }

    /// The messages so far.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Asks `model` to go on.
    pub fn request(&self, model: &str) -> GenerateRequest {
        GenerateRequest {
            session: SessionId::parse("session").expect("a valid id"),
            model: model.to_owned(),
            system: "You are a helpful assistant.".into(),
            messages: self.messages.clone(),
            tools: self.tools.clone().into(),
            max_output_tokens: 1_024,
        }
    }

    fn called(
        mut self,
        text: String,
        replay: Option<Replay>,
        calls: Vec<(Option<String>, String, Value)>,
        results: Vec<ToolResult>,
    ) -> Self {
        assert_eq!(calls.len(), results.len(), "every call has one result");
        let calls: Vec<ToolCall> = calls.into_iter().enumerate().map(|call| self.call(call)).collect();
        let outcomes: Vec<CallResult> = std::iter::zip(&calls, results)
            .map(|(call, result)| CallResult { call: call.id.clone(), name: call.name.clone(), result })
            .collect();
        let (turn, at) = (self.turn, AT);
        self = self.assistant(AssistantMessage { text, calls, replay, ..AssistantMessage::default() });
        if !outcomes.is_empty() {
            self.messages.push(Message::Tool { turn, at, results: outcomes });
            self.step += 1;
        }
        self
    }

    fn call(&self, (index, (provider_id, name, args)): (usize, (Option<String>, String, Value))) -> ToolCall {
        let known = self.tools.iter().find(|t| t.name.as_str() == name);
        ToolCall {
            id: CallId::minted(self.turn, self.step, index),
            provider_id,
            server: known.map(|t| t.server.clone()),
            tool: known.map_or_else(|| name.clone(), |t| t.tool.clone()),
            name: ToolName::as_written(name),
            args,
        }
    }

    fn assistant(mut self, message: AssistantMessage) -> Self {
        self.messages.push(Message::Assistant { turn: self.turn, at: AT, message });
        self
    }
}

/// The tool `tool` of server `server`, with an object of `properties` (a JSON Schema for each) as its arguments.
pub fn tool(server: &str, tool: &str, properties: &Value) -> ToolDefinition {
    let server = ServerName::new(server);
    ToolDefinition {
        name: ToolName::namespaced(&server, tool),
        fingerprint: format!("{server}/{tool}/{properties}"),
        server,
        tool: tool.to_owned(),
        title: None,
        description: format!("The tool {tool}."),
        input_schema: json!({"type": "object", "properties": properties}),
        annotations: Annotations::default(),
    }
}
