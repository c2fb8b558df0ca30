use crate::{
    CallId, ClientMessageId, Content, Digest, PrincipalId, ServerName, Timestamp, ToolName, ToolResult, TurnId,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A file that came with a user's message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// What the user calls it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// The media type, as in `image/png`.
    pub mime_type: String,
    /// The bytes, in base64.
    pub data: String,
}

/// What a user said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserMessage {
    /// The text.
    pub text: String,
    /// Images that go with it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub attachments: Vec<Attachment>,
    /// The client's own name for the message; the same one twice is one message.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_message_id: Option<ClientMessageId>,
    /// Who said it.
    pub by: PrincipalId,
}

impl UserMessage {
    /// The digest of what was said, whatever it is called and whoever said it.
    pub fn content_digest(&self) -> Digest {
        Digest::of(&(&self.text, &self.attachments))
    }
}

/// A call that a model asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolCall {
    /// Lockkeeper's name for the call.
    pub id: CallId,
    /// The provider's name for it, which the provider wants back with the result. Not unique by itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub provider_id: Option<String>,
    /// What the model called the tool.
    pub name: ToolName,
    /// The tool's server; none when no tool has that name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub server: Option<ServerName>,
    /// What the tool's server calls the tool; the model's word for it when no tool has that name.
    pub tool: String,
    /// The arguments as the model gave them.
    pub args: Value,
}

/// What a provider must get back, word for word, when the conversation goes on: signed reasoning, encrypted items.
/// Opaque to everyone but the adapter that made it; for another provider or API it degrades to text and calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// The provider that made it.
    pub provider: String,
    /// The model that said it.
    pub model: String,
    /// The API whose form it has.
    pub api: String,
    /// The provider's own JSON.
    pub raw: Value,
}

/// What a model said in one step of a turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssistantMessage {
    /// The text.
    pub text: String,
    /// A summary of its reasoning, for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reasoning: Option<String>,
    /// The calls that it asks for, in its order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub calls: Vec<ToolCall>,
    /// What its provider wants back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replay: Option<Replay>,
}

/// The result of one call of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallResult {
    /// Which call.
    pub call: CallId,
    /// What the model called the tool.
    pub name: ToolName,
    /// What it came to.
    pub result: ToolResult,
}

/// An entry of a conversation's history.
///
/// A history is built of whole steps: an assistant's message with calls is always followed by one `Tool` message
/// that holds a result for each of them, in the same order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "camelCase")]
pub enum Message {
    /// What a user said.
    #[serde(rename_all = "camelCase")]
    User {
        /// The turn that it opens.
        turn: TurnId,
        /// When it was accepted.
        at: Timestamp,
        /// What was said.
        #[serde(flatten)]
        message: UserMessage,
    },
    /// What the model said.
    #[serde(rename_all = "camelCase")]
    Assistant {
        /// The turn that it belongs to.
        turn: TurnId,
        /// When it was complete.
        at: Timestamp,
        /// What was said.
        #[serde(flatten)]
        message: AssistantMessage,
    },
    /// What the calls of the message before it came to.
    #[serde(rename_all = "camelCase")]
    Tool {
        /// The turn that it belongs to.
        turn: TurnId,
        /// When the last result was there.
        at: Timestamp,
        /// One result for each call, in the order of the calls.
        results: Vec<CallResult>,
    },
}

impl Message {
    /// The turn that the message belongs to.
    pub fn turn(&self) -> TurnId {
        match self {
            Self::User { turn, .. } | Self::Assistant { turn, .. } | Self::Tool { turn, .. } => *turn,
        }
    }

    /// Whether results of this message's calls must follow it.
    pub fn awaits_results(&self) -> bool {
        matches!(self, Self::Assistant { message, .. } if !message.calls.is_empty())
    }

    /// About how many tokens the message costs a model: one for four bytes of text and JSON, and 1,000 for an image.
    /// An estimate for choosing a window, never shown as usage.
    pub fn estimated_tokens(&self) -> usize {
        const IMAGE: usize = 1_000;
        const FRAME: usize = 8;
        let text = |bytes: usize| bytes.div_ceil(4);
        let content = |parts: &[Content]| -> usize {
            let cost = |part: &Content| match part {
                Content::Known(crate::tool::KnownContent::Text { text: t }) => text(t.len()),
                Content::Known(crate::tool::KnownContent::Image { .. }) => IMAGE,
                Content::Other(value) => text(value.to_string().len()),
            };
            parts.iter().map(cost).sum()
        };
        FRAME
            + match self {
                Self::User { message, .. } => text(message.text.len()) + IMAGE * message.attachments.len(),
                Self::Assistant { message, .. } => {
                    let call = |c: &ToolCall| FRAME + text(c.name.as_str().len() + c.args.to_string().len());
                    let replay = message.replay.as_ref().map_or(0, |r| text(r.raw.to_string().len()));
                    let said = text(message.text.len()) + message.calls.iter().map(call).sum::<usize>();
                    said.max(replay)
                }
                Self::Tool { results, .. } => results.iter().map(|r| FRAME + content(&r.result.content)).sum(),
            }
    }
}
